"""Opening, adopting and rotating a ring, and everything that can be in the way."""

import errno
import gc
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from energyd.errors import EnvironmentFault
from energyd.ring import files, layout
from energyd.ring.reader import RingReader
from energyd.ring.writer import RingWriter, capacity_for
from energyd.samples import END, FAILED, KEYFRAME, LAST, RAPL, TIC, USAGE, VOID


def fill(writer, batches, size=2):
    for _ in range(batches):
        for number in range(size):
            writer.append(1, number, (number, 0, 0, 0))
        writer.end_batch(10, 5, 0)


def descriptors():
    gc.collect()
    return sorted(os.listdir("/proc/self/fd"))


def drained(run_dir, schema=RAPL, name="rapl"):
    reader = RingReader(run_dir, name, schema)
    taken = reader.poll()
    reader.close()
    return taken


@pytest.mark.parametrize(("rate", "capacity"), [(0, 64), (1, 64), (1.07, 128), (10, 1024), (50, 4096), (5000, 524288)])
def test_a_ring_holds_at_least_60_s(rate, capacity):
    assert capacity_for(rate) == capacity
    assert capacity >= 60 * rate


def test_a_new_ring_is_allocated_whole_and_closed_to_the_world(open_writer, run_dir):
    umask = os.umask(0)
    try:
        open_writer(capacity=1024)
    finally:
        os.umask(umask)

    status = (run_dir / "rapl.ring").stat()
    assert status.st_size == 4096 + 1024 * 64
    assert status.st_blocks * 512 >= status.st_size, "a hole would become SIGBUS on a full tmpfs"
    assert [path.stat().st_mode & 0o777 for path in sorted(run_dir.iterdir())] == [0o640] * 3
    assert sorted(path.name for path in run_dir.iterdir()) == ["rapl.labels", "rapl.lock", "rapl.ring"]


def test_a_strict_umask_does_not_lock_the_group_out(open_writer, run_dir):
    umask = os.umask(0o077)
    try:
        open_writer()
    finally:
        os.umask(umask)

    assert (run_dir / "rapl.ring").stat().st_mode & 0o777 == 0o640


def test_the_header_says_whose_ring_it_is(open_writer, run_dir, clock):
    open_writer(capacity=32)

    header = layout.read_header(run_dir / "rapl.ring")
    assert (header.schema, header.capacity, header.writer_pid) == ("rapl.1", 32, os.getpid())
    assert header.boot_id.hex() == "3f0c0d3e4a534c9c9a1b7a1d52c3a001"
    assert header.created_real_ns == header.created_mono_ns + clock.offset_ns
    assert header.heartbeat_ns > header.created_mono_ns


def test_a_heartbeat_is_the_time_of_the_clock(open_writer, run_dir, clock):
    writer = open_writer()
    clock.now_ns = 5_000_000_000_000

    writer.heartbeat()

    assert layout.read_header(run_dir / "rapl.ring").heartbeat_ns == 5_000_000_000_001


def test_the_end_record_counts_samples_without_service_records(open_writer, run_dir):
    writer = open_writer()
    writer.append(1, 1, (1, 0, 0, 0))
    writer.service(0xFFF2, 2, 1, 7)
    writer.append(2, 3, (1, 0, 0, 0))
    writer.end_batch(9, 1, 44, status=KEYFRAME)
    writer.end_batch(19, 18, 44)

    ends = [record for record in drained(run_dir).services.tolist() if record[3] == END]
    assert [end[1:9] for end in ends] == [(9, 1, END, LAST | KEYFRAME, 2, 1, 44, 0), (19, 2, END, LAST, 0, 18, 44, 0)]


def test_a_batch_written_at_once_reads_as_one_that_was_written_singly(open_writer, run_dir):
    payloads = {
        "rapl": (RAPL, (2**64 - 1, 5, 0, 7)),
        "usage": (USAGE, (1, 2**32 - 1, 3, 4, 5)),
        "tic-a": (TIC, (-1, -(2**62), b"ab")),
    }
    for name, (schema, payload) in payloads.items():
        writer = open_writer(name, schema)
        samples = [(1, 10, payload, FAILED), (0xFFEF, 11, payload, 0)]
        writer.write_batch(samples, 20, 9, 44, status=KEYFRAME)
        for kind, mono_ns, values, status in samples:
            writer.append(kind, mono_ns, values, status=status)
        writer.end_batch(20, 9, 44, status=KEYFRAME)

        rows = [record[1:2] + record[3:-1] for record in drained(run_dir, schema, name).records.tolist()]
        assert rows[:3] == rows[3:]
        assert rows[0][0] == 10
        assert rows[0][-len(payload) :] == payload


def test_a_batch_written_at_once_is_a_sign_of_life(open_writer, run_dir):
    writer = open_writer()

    writer.write_batch([], 7_000_000_000_000, 1, 0)

    assert layout.read_header(run_dir / "rapl.ring").heartbeat_ns == 7_000_000_000_000


def test_batches_of_one_record_are_closed_by_themselves(open_writer, run_dir):
    writer = open_writer("tic-house", TIC)
    for number in range(3):
        writer.append(number, number, (number, 0, b"text"), status=LAST)
        writer.next_batch()

    assert drained(run_dir, TIC, "tic-house").records["batch"].tolist() == [1, 2, 3]


def test_batch_numbers_wrap_at_32_bits(open_writer, run_dir):
    writer = open_writer()
    writer._batch = 0xFFFFFFFF
    fill(writer, 2)

    assert drained(run_dir).records["batch"].tolist() == [0xFFFFFFFF] * 3 + [0] * 3


def test_a_value_that_does_not_fit_stores_nothing(open_writer, run_dir):
    writer = open_writer()

    with pytest.raises(Exception, match=r"argument out of range|int too large|format requires"):
        writer.append(1, 1, (2**64, 0, 0, 0))
    with pytest.raises(Exception, match=r"argument out of range|int too large|format requires"):
        writer.write_batch([(1, 1, (1, 0, 0, 0), 0), (1, 1, (-1, 0, 0, 0), 0)], 2, 1, 0)

    header = layout.read_header(run_dir / "rapl.ring")
    assert (header.claim, header.head) == (0, 0)


def test_a_restart_adopts_the_ring_and_goes_on(open_writer, run_dir):
    first = open_writer()
    zone = first.label({"zone": "package-0"})
    fill(first, 2)
    inode = (run_dir / "rapl.ring").stat().st_ino
    first.close()

    second = open_writer()
    assert second.label({"zone": "core"}) == zone + 1
    fill(second, 1)

    assert (run_dir / "rapl.ring").stat().st_ino == inode
    records = drained(run_dir).records
    assert records["seq"].tolist() == list(range(1, 10))
    assert records["batch"].tolist() == [1] * 3 + [2] * 3 + [3] * 3


def test_a_batch_that_death_left_open_is_never_continued(open_writer, run_dir):
    first = open_writer()
    first.append(1, 1, (1, 0, 0, 0))
    first.close()

    fill(open_writer(), 1)

    taken = drained(run_dir)
    assert (taken.records["batch"].tolist(), taken.refused) == ([2, 2, 2], 1)


def test_slots_between_head_and_claim_become_void(open_writer, run_dir):
    first = open_writer()
    fill(first, 1)
    first._words[layout.CLAIM] = 6
    first.close()

    second = open_writer()
    header = layout.read_header(run_dir / "rapl.ring")
    assert (header.claim, header.head) == (6, 6)
    fill(second, 1)

    taken = drained(run_dir)
    assert taken.records["seq"].tolist() == [1, 2, 3, 7, 8, 9]
    assert (taken.overruns, taken.refused) == (0, 0)
    content = (run_dir / "rapl.ring").read_bytes()[4096:]
    assert [int.from_bytes(content[index * 64 + 20 : index * 64 + 22], "little") for index in (4, 5, 6)] == [VOID] * 3


def reboot(run_dir, boot_id_path):
    boot_id_path.write_text("00000000-0000-4000-8000-000000000001\n")


def patch(offset, data):
    def do(run_dir, boot_id_path):
        with open(run_dir / "rapl.ring", "r+b") as ring:
            ring.seek(offset)
            ring.write(data)

    return do


def cut(run_dir, boot_id_path):
    os.truncate(run_dir / "rapl.ring", 5000)


def lose_labels(run_dir, boot_id_path):
    (run_dir / "rapl.labels").unlink()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(reboot, id="another boot"),
        pytest.param(patch(8, b"\2"), id="another layout"),
        pytest.param(patch(20, b"\1"), id="an unknown flag"),
        pytest.param(patch(24, b"tic.1\0"), id="another schema"),
        pytest.param(patch(layout.CLAIM * 8, b"\1"), id="a claim below head"),
        pytest.param(patch(layout.CLAIM * 8, b"\xff\xff"), id="a claim far beyond head"),
        pytest.param(patch(4096 + 3 * 64 + 30, b"\xff"), id="a damaged last record"),
        pytest.param(cut, id="a file cut short"),
        pytest.param(lose_labels, id="labels lost"),
    ],
)
def test_what_cannot_be_adopted_is_rotated(open_writer, run_dir, boot_id_path, change):
    first = open_writer()
    fill(first, 1)
    first.close()
    before = (run_dir / "rapl.ring").stat().st_ino
    kept = os.open(run_dir / "rapl.ring", os.O_RDONLY)
    change(run_dir, boot_id_path)

    second = open_writer()

    assert (run_dir / "rapl.ring").stat().st_ino != before
    assert layout.read_header(run_dir / "rapl.ring").head == 0
    fill(second, 1)
    assert len(drained(run_dir).records) == 3
    os.close(kept)


def test_a_file_that_is_no_ring_of_ours_is_told_when_a_new_one_takes_its_place(run_dir, clock, boot_id_path):
    (run_dir / "rapl.ring").write_bytes(b"something else")
    told = []

    for _ in range(2):
        RingWriter.open(run_dir, "rapl", RAPL, 16, clock, warn=told.append, boot_id_path=boot_id_path).close()

    assert len(told) == 1
    assert told[0].startswith(f"{run_dir}/rapl.ring is not a ring of energyd; ")
    assert told[0].endswith("a new file takes its place, what it held is not read")


def test_another_capacity_rotates(open_writer, run_dir):
    open_writer(capacity=16).close()

    open_writer(capacity=32)

    assert layout.read_header(run_dir / "rapl.ring").capacity == 32


def test_full_labels_are_rotated_away_at_the_next_start(open_writer, run_dir, monkeypatch):
    first = open_writer()
    first.label({"a": 1})
    first.close()
    monkeypatch.setattr("energyd.ring.labels.MAX_IDS", 2)

    assert open_writer().label({"a": 1}) == 1


def test_a_living_writer_rotates_when_its_labels_are_full(open_writer, run_dir, monkeypatch):
    monkeypatch.setattr("energyd.ring.labels.MAX_IDS", 2)
    writer = open_writer()
    assert not writer.labels_full
    writer.label({"comm": "dead"})
    fill(writer, 1)
    assert writer.labels_full
    before = descriptors()

    writer.rotate()

    assert not writer.labels_full
    assert writer.label({"comm": "alive"}) == 1
    fill(writer, 1)
    assert drained(run_dir).records["batch"].tolist() == [1, 1, 1]
    assert len(descriptors()) == len(before), "the old file has been let go"


def test_leftovers_of_a_death_while_rotating_do_not_matter(open_writer, run_dir):
    (run_dir / "rapl.ring.new").write_bytes(b"half")
    (run_dir / "rapl.labels.new").symlink_to("/dev/null")

    fill(open_writer(), 1)

    assert sorted(path.name for path in run_dir.iterdir()) == ["rapl.labels", "rapl.lock", "rapl.ring"]
    assert not (run_dir / "rapl.labels").is_symlink()


def test_there_need_not_be_room_for_more_than_a_ring_and_its_predecessor(open_writer, run_dir, monkeypatch):
    writer = open_writer()
    writer.rotate()
    assert (run_dir / "rapl.ring.old").exists()
    allocate, beside = files._allocate, []

    def look(path, size):
        beside.extend(sorted(each.name for each in run_dir.glob("rapl.ring*")))
        return allocate(path, size)

    monkeypatch.setattr(files, "_allocate", look)
    writer.rotate()
    assert beside == ["rapl.ring"]


@pytest.mark.parametrize("fatal", [1, 2, 3, 4])
def test_a_death_between_any_two_renames_is_rotated_again_and_who_was_away_misses_nothing(open_writer, run_dir, monkeypatch, fatal):
    first = open_writer()
    fill(first, 1)
    reader = RingReader(run_dir, "rapl", RAPL)
    reader.poll()
    cursor = reader.cursor
    first.label({"zone": "old"})
    fill(first, 2)
    really, calls = os.rename, []

    def die(source, target):
        calls.append(target)
        if len(calls) == fatal:
            raise KeyboardInterrupt
        really(source, target)

    monkeypatch.setattr(files.os, "rename", die)
    with pytest.raises(KeyboardInterrupt):
        first.rotate()
    monkeypatch.undo()
    first.close()

    second = open_writer()
    zone = second.label({"zone": "package-0"})
    fill(second, 1)

    for follower in (reader, RingReader(run_dir, "rapl", RAPL, cursor)):
        records, labels = 0, []
        for _ in range(3):
            records += len(follower.poll().records)
            labels += follower.labels()
        assert records == 6 + 3
        assert labels == [(1, {"zone": "old"}), (zone, {"zone": "package-0"})]
        assert follower.fault is None
        follower.close()


def hold_lock(path, locked, leave):
    files.acquire_lock(path, files_clock())
    locked.set()
    leave.wait(30)


def files_clock():
    from energyd.service.clock import SYSTEM_CLOCK

    return SYSTEM_CLOCK


@pytest.fixture
def other_process(run_dir):
    """Another process that holds the lock of the ring `rapl` until told to leave."""
    context = multiprocessing.get_context("fork")
    locked, leave = context.Event(), context.Event()
    process = context.Process(target=hold_lock, args=(run_dir / "rapl.lock", locked, leave))
    process.start()
    assert locked.wait(30)
    yield process, leave
    leave.set()
    process.join(30)


def test_a_busy_ring_is_tried_for_five_seconds_and_then_names_its_holder(open_writer, clock, other_process):
    process, _ = other_process
    began_ns = clock.now_ns
    before = descriptors()

    with pytest.raises(EnvironmentFault, match=f"is held by process {process.pid}, which writes this ring already") as fault:
        open_writer()

    assert fault.value.exit_code == 111
    assert 5_000_000_000 <= clock.now_ns - began_ns < 5_300_000_000
    assert descriptors() == before


def test_an_orphan_that_is_just_leaving_is_waited_for(open_writer, clock, other_process):
    process, leave = other_process

    def let_it_go():
        leave.set()
        process.join(30)

    clock.while_asleep = let_it_go

    fill(open_writer(), 1)


def test_the_lock_file_stays_and_is_free_after_close(open_writer, run_dir):
    first = open_writer()
    inode = (run_dir / "rapl.lock").stat().st_ino
    first.close()

    open_writer()

    assert (run_dir / "rapl.lock").stat().st_ino == inode
    assert (run_dir / "rapl.lock").read_text() == f"{os.getpid()}\n"


def test_a_full_tmpfs_says_how_much_is_needed_and_where(open_writer, run_dir, monkeypatch):
    def full(descriptor, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "posix_fallocate", full)
    before = descriptors()

    with pytest.raises(EnvironmentFault, match=f"needs {4096 + 64 * 1024} bytes, {run_dir} has .* free; enlarge") as fault:
        open_writer(capacity=1024)

    assert fault.value.exit_code == 111
    assert not (run_dir / "rapl.ring.new").exists()
    assert descriptors() == before


def test_a_real_tmpfs_that_is_too_small_is_told_without_a_signal(tmp_path, clock, boot_id_path):
    small = tmp_path / "small"
    small.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("needs the right to mount")
    try:
        with pytest.raises(EnvironmentFault, match="enlarge its tmpfs"):
            RingWriter.open(small, "rapl", RAPL, 1024, clock, boot_id_path=boot_id_path)
        fitting = RingWriter.open(small, "rapl", RAPL, 256, clock, boot_id_path=boot_id_path)
        fill(fitting, 200)
        with pytest.raises(EnvironmentFault, match="free space on its tmpfs"):
            fitting.label({"argv": ["x" * 100_000]})
        fill(fitting, 1)
        assert drained(small).records["batch"][-1] == 201
        fitting.close()
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_a_directory_that_does_not_exist_is_told_with_its_mend(open_writer, tmp_path, clock, boot_id_path):
    with pytest.raises(EnvironmentFault, match=r"No such file or directory; .*nowhere must exist .*install -d -m 0750"):
        RingWriter.open(tmp_path / "nowhere", "rapl", RAPL, 16, clock, boot_id_path=boot_id_path)


def test_a_file_that_cannot_be_made_is_told(open_writer, run_dir):
    (run_dir / "rapl.labels.new").mkdir()

    with pytest.raises(EnvironmentFault, match="install -d -m 0750"):
        open_writer()


@pytest.mark.parametrize("content", [None, "no hex\n"])
def test_a_missing_boot_id_is_told(run_dir, clock, tmp_path, content):
    path = tmp_path / "unreadable"
    if content:
        path.write_text(content)

    with pytest.raises(EnvironmentFault, match="mount /proc"):
        RingWriter.open(run_dir, "rapl", RAPL, 16, clock, boot_id_path=path)


@pytest.mark.parametrize("capacity", [0, 1, 3, 100])
def test_a_capacity_that_is_no_power_of_two_is_a_bug(open_writer, capacity):
    with pytest.raises(AssertionError, match="BUG"):
        open_writer(capacity=capacity)


def test_rings_of_several_names_share_a_directory(open_writer, run_dir):
    fill(open_writer("rapl"), 1)
    open_writer("usage", USAGE).end_batch(1, 1, 1)

    assert len(drained(run_dir).records) == 3
    assert len(drained(run_dir, USAGE, "usage").records) == 1


def test_a_writer_process_loads_neither_numpy_nor_shared_memory():
    code = "import sys, energyd.ring.writer; print([m for m in ('numpy', 'multiprocessing', 'asyncio') if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_words_are_never_stored_in_the_ways_that_show_zeros():
    sources = {path.name: path.read_text() for path in (Path(files.__file__).parent).glob("*.py")}

    assert len(sources) >= 8
    for name, source in sources.items():
        for forbidden in ("shared_memory import", "np.memmap", ".pack_into("):
            assert forbidden not in source, f"{name}: {forbidden}"
