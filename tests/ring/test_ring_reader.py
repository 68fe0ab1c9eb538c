"""Following a ring: late, stalled, restarted, lapped, across rotations, and in front of files that are no rings."""

import os
import resource
import signal
from pathlib import Path

import msgpack
import pytest

from energyd.ring import layout
from energyd.ring.reader import Cursor, MappedRing, RingReader
from energyd.ring.writer import RingWriter
from energyd.samples import COUNTER, END, LAST, RAPL, TIC
from energyd.service.clock import SYSTEM_CLOCK


def fill(writer, batches, size=2):
    for _ in range(batches):
        for number in range(size):
            writer.append(1, number, (number, 0, 0, 0))
        writer.end_batch(10, 5, 0)


@pytest.fixture
def reader(run_dir):
    one = RingReader(run_dir, "rapl", RAPL)
    yield one
    one.close()


def counts(drained):
    return len(drained.records), drained.overruns, drained.refused, drained.rotated


def test_a_ring_that_is_not_there_yet_is_waited_for(reader, open_writer):
    assert counts(reader.poll()) == (0, 0, 0, False)
    assert (reader.cursor, reader.header, reader.fault, reader.labels()) == (None, None, None, [])

    fill(open_writer(), 1)

    assert counts(reader.poll()) == (3, 0, 0, False)


def test_a_batch_is_seen_once_it_is_closed(reader, open_writer):
    writer = open_writer()
    writer.append(1, 77, (5, 6, 7, 8))
    assert counts(reader.poll()) == (0, 0, 0, False)

    writer.end_batch(78, 76, 0)

    records = reader.poll().records
    assert records[["seq", "mono_ns", "kind", "energy_uj", "read_ns"]].tolist()[0] == (1, 77, 1, 5, 6)
    assert records["status"].tolist() == [0, LAST]
    assert counts(reader.poll()) == (0, 0, 0, False)


def test_samples_and_service_records_are_told_apart(reader, open_writer):
    writer = open_writer()
    writer.append(1, 1, (5, 6, 7, 8))
    writer.service(COUNTER, 2, 3, 44)
    writer.end_batch(3, 1, 9)

    drained = reader.poll()

    assert drained.samples["energy_uj"].tolist() == [5]
    assert drained.services[["kind", "a", "b", "c"]].tolist() == [(COUNTER, 3, 44, 0), (END, 1, 1, 9)]


def test_what_was_read_stays_as_it_was_when_the_ring_goes_on(reader, open_writer):
    writer = open_writer(capacity=4)
    fill(writer, 1)
    records = reader.poll().records
    fill(writer, 5)

    assert records["seq"].tolist() == [1, 2, 3]


def test_records_over_the_end_of_the_file_are_read_in_order(reader, open_writer):
    writer = open_writer(capacity=8)
    fill(writer, 2)
    reader.poll()
    fill(writer, 2)

    assert reader.poll().records["seq"].tolist() == [7, 8, 9, 10, 11, 12]


def test_a_lapped_reader_counts_what_it_lost_and_goes_on_with_the_next_whole_batch(reader, open_writer):
    writer = open_writer(capacity=8)
    fill(writer, 1)
    reader.poll()
    fill(writer, 5)

    drained = reader.poll()

    assert drained.records["seq"].tolist() == list(range(13, 19))
    assert (drained.overruns, drained.refused) == (12 - 3, 0)
    assert drained.overruns + len(drained.records) == 18 - 3, "each record is either delivered or counted"


def test_what_was_overwritten_before_the_first_look_is_no_loss(open_writer, reader):
    fill(open_writer(capacity=8), 10)

    assert counts(reader.poll()) == (6, 0, 0, False)


def test_a_damaged_record_takes_its_batch_with_it_and_is_counted(reader, open_writer, run_dir):
    writer = open_writer()
    fill(writer, 3)
    with open(run_dir / "rapl.ring", "r+b") as ring:
        ring.seek(4096 + 5 * 64 + 30)
        ring.write(b"\xff")

    drained = reader.poll()

    assert drained.records["batch"].tolist() == [1] * 3 + [3] * 3
    assert (drained.overruns, drained.refused) == (0, 3)


@pytest.mark.parametrize(("damaged", "delivered"), [(1, [2, 3]), (2, [2, 3]), (3, [3]), (4, [1, 3]), (6, [1]), (9, [1, 2])])
def test_a_damaged_record_spoils_every_batch_that_it_may_belong_to(reader, open_writer, run_dir, damaged, delivered):
    writer = open_writer()
    fill(writer, 3)
    writer.append(1, 1, (1, 0, 0, 0), status=LAST)
    with open(run_dir / "rapl.ring", "r+b") as ring:
        ring.seek(4096 + damaged * 64 + 30)
        ring.write(b"\xff")

    drained = reader.poll()

    whole = [] if damaged == 9 else [4]
    assert sorted(set(drained.records["batch"].tolist())) == delivered + whole
    assert len(drained.records) + drained.refused == 10


def test_last_ends_a_batch_even_if_the_number_stays(reader, open_writer, run_dir):
    writer = open_writer()
    for number in range(4):
        writer.append(1, number, (1, 0, 0, 0), status=LAST)
    with open(run_dir / "rapl.ring", "r+b") as ring:
        ring.seek(4096 + 2 * 64 + 30)
        ring.write(b"\xff")

    drained = reader.poll()

    assert (drained.records["seq"].tolist(), drained.refused) == ([1, 4], 2)


def test_labels_come_after_the_records_that_use_them(reader, open_writer):
    writer = open_writer()
    zone = writer.label({"zone": "package-0"})
    writer.append(zone, 1, (1, 0, 0, 0), status=LAST)

    kinds = reader.poll().records["kind"].tolist()

    assert [entry["zone"] for number, entry in reader.labels() if number in kinds] == ["package-0"]
    assert reader.labels() == []


def test_a_restarted_reader_goes_on_where_its_cursor_stands(open_writer, run_dir, reader):
    writer = open_writer()
    writer.label({"a": 1})
    fill(writer, 1)
    reader.poll()
    reader.labels()
    saved = msgpack.unpackb(msgpack.packb(tuple(reader.cursor)))
    writer.label({"b": 2})
    fill(writer, 1)

    second = RingReader(run_dir, "rapl", RAPL, Cursor(*saved))

    drained = second.poll()
    assert (drained.records["seq"].tolist(), drained.rotated) == ([4, 5, 6], False)
    assert second.labels() == [(2, {"b": 2})]
    second.close()


def test_an_open_batch_is_read_again_after_a_restart(open_writer, run_dir, reader):
    writer = open_writer()
    fill(writer, 1)
    writer.append(1, 1, (1, 0, 0, 0))
    reader.poll()
    cursor = reader.cursor
    writer.end_batch(1, 1, 1)

    second = RingReader(run_dir, "rapl", RAPL, cursor)

    assert second.poll().records["seq"].tolist() == [4, 5]
    second.close()


def test_a_cursor_that_was_overrun_is_counted(open_writer, run_dir, reader):
    writer = open_writer(capacity=8)
    fill(writer, 1)
    reader.poll()
    cursor = reader.cursor
    fill(writer, 10)

    second = RingReader(run_dir, "rapl", RAPL, cursor)

    drained = second.poll()
    assert drained.overruns + len(drained.records) == 30
    assert not drained.rotated
    second.close()


@pytest.mark.parametrize(
    "cursor",
    [Cursor("another ring", 2, 9), Cursor("", 10**9, 10**9), None],
    ids=["another ring", "far away", "beyond the head of the same ring"],
)
def test_a_cursor_of_another_ring_starts_at_the_beginning_and_says_so(open_writer, run_dir, reader, cursor):
    writer = open_writer()
    writer.label({"a": 1})
    fill(writer, 1)
    reader.poll()
    cursor = cursor or reader.cursor._replace(next_index=99)

    second = RingReader(run_dir, "rapl", RAPL, cursor)

    assert second.cursor == cursor
    assert counts(second.poll()) == (3, 0, 0, True)
    assert second.labels() == [(1, {"a": 1})]
    second.close()


def test_a_rotation_is_followed_after_the_old_file_has_been_drained(open_writer, reader):
    writer = open_writer()
    writer.label({"old": 1})
    fill(writer, 1)
    reader.poll()
    reader.labels()
    fill(writer, 1)
    writer.append(9, 1, (1, 0, 0, 0))
    writer.rotate()
    writer.label({"new": 1})
    fill(writer, 1, size=1)

    first, first_labels = reader.poll(), reader.labels()
    second, second_labels = reader.poll(), reader.labels()

    assert (counts(first), first_labels) == ((3, 0, 0, False), [])
    assert (counts(second), second_labels) == ((2, 0, 1, True), [(1, {"new": 1})])
    assert counts(reader.poll()) == (0, 0, 0, False)


def test_what_is_written_just_before_a_rotation_is_read_however_late_the_reader_notices(open_writer, reader, monkeypatch):
    writer = open_writer()
    fill(writer, 1)
    reader.poll()
    really = MappedRing.has_name

    def turn_first(ring, path):
        monkeypatch.undo()
        fill(writer, 1)
        writer.rotate()
        return really(ring, path)

    monkeypatch.setattr(MappedRing, "has_name", turn_first)

    assert [counts(reader.poll()), counts(reader.poll())] == [(3, 0, 0, False), (0, 0, 0, True)]


def test_who_was_away_while_the_ring_was_replaced_reads_the_predecessor_first(open_writer, run_dir, reader):
    writer = open_writer()
    writer.label({"old": 1})
    fill(writer, 1)
    reader.poll()
    reader.labels()
    cursor = reader.cursor
    fill(writer, 1)
    writer.rotate()
    writer.label({"new": 1})
    fill(writer, 1, size=1)

    second = RingReader(run_dir, "rapl", RAPL, cursor)

    assert (counts(second.poll()), second.labels()) == ((3, 0, 0, False), [])
    assert (counts(second.poll()), second.labels()) == ((2, 0, 0, True), [(1, {"new": 1})])
    second.close()


def test_of_two_replacements_the_first_is_lost_to_who_was_away_for_both_and_no_more(open_writer, run_dir, reader):
    writer = open_writer()
    fill(writer, 1)
    reader.poll()
    cursor = reader.cursor
    for name in ("second", "third"):
        writer.rotate()
        writer.label({name: 1})
        fill(writer, 1, size=1)

    away = RingReader(run_dir, "rapl", RAPL, cursor)

    for one in (away, reader):
        assert (counts(one.poll()), one.labels()) == ((2, 0, 0, True), [(1, {"second": 1})])
        assert (counts(one.poll()), one.labels()) == ((2, 0, 0, True), [(1, {"third": 1})])
        assert counts(one.poll()) == (0, 0, 0, False)
    away.close()


def test_a_damaged_predecessor_is_passed_over(open_writer, run_dir, reader):
    writer = open_writer()
    fill(writer, 1)
    reader.poll()
    cursor = reader.cursor
    writer.rotate()
    fill(writer, 1, size=1)
    (run_dir / "rapl.ring.old").write_bytes(b"?" * 5000)

    second = RingReader(run_dir, "rapl", RAPL, cursor)

    assert counts(second.poll()) == (2, 0, 0, True)
    assert second.fault is None
    second.close()


def test_a_ring_whose_directory_was_emptied_is_kept_until_a_new_one_comes(open_writer, reader, run_dir):
    writer = open_writer()
    fill(writer, 1)
    reader.poll()
    writer.close()
    for path in run_dir.iterdir():
        path.unlink()

    assert counts(reader.poll()) == (0, 0, 0, False)
    assert reader.header.head == 3
    fill(open_writer(), 1)
    assert counts(reader.poll()) == (3, 0, 0, True)


@pytest.mark.parametrize(
    ("offset", "data", "told"),
    [(8, b"\2", "layout 2"), (20, b"\1", "flags 0x1"), (0, b"x", "not a ring"), (24, b"rapl.2", "holds rapl.2 samples")],
)
def test_a_file_of_another_layout_is_reported_and_not_read(open_writer, reader, run_dir, offset, data, told):
    writer = open_writer()
    fill(writer, 1)
    writer.close()
    with open(run_dir / "rapl.ring", "r+b") as ring:
        ring.seek(offset)
        ring.write(data)
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(3):
        assert counts(reader.poll()) == (0, 0, 0, False)

    assert told in reader.fault
    assert "restart its writer" in reader.fault
    assert len(os.listdir("/proc/self/fd")) == before, "and nothing leaks while it waits"
    fill(open_writer(), 1)
    assert counts(reader.poll()) == (3, 0, 0, False)
    assert reader.fault is None


def test_a_file_cut_short_is_reported_instead_of_a_bus_error(open_writer, reader, run_dir):
    open_writer().close()
    os.truncate(run_dir / "rapl.ring", 4096)

    reader.poll()

    assert "is damaged: 4096 bytes" in reader.fault


@pytest.mark.parametrize("name", ["rapl.ring", "rapl.labels"])
def test_a_file_that_may_not_be_read_is_reported_until_it_may(open_writer, reader, monkeypatch, name):
    fill(open_writer(), 1)
    really = os.open

    def denied(path, flags):
        if os.path.basename(path) == name:
            raise PermissionError(13, "Permission denied")
        return really(path, flags)

    monkeypatch.setattr("energyd.ring.reader.os.open", denied)
    assert counts(reader.poll()) == (0, 0, 0, False)
    assert name in reader.fault
    assert "Permission denied); a reader must be in the group that owns it" in reader.fault
    monkeypatch.undo()

    assert counts(reader.poll()) == (3, 0, 0, False)
    assert reader.fault is None


def test_a_refused_file_that_has_gone_is_no_fault_any_more(reader, run_dir):
    (run_dir / "rapl.ring").write_text("no ring")
    reader.poll()
    assert reader.fault
    (run_dir / "rapl.ring").unlink()

    reader.poll()

    assert reader.fault is None


def test_damaged_labels_are_reported_and_skipped(open_writer, reader, run_dir):
    writer = open_writer()
    length = layout.read_header(run_dir / "rapl.ring").labels_length
    writer.label({"a": 1})
    with open(run_dir / "rapl.labels", "r+b") as labels:
        labels.seek(length)
        labels.write(b"\xc1")
    fill(writer, 1)
    reader.poll()

    assert reader.labels() == []
    assert "rapl.labels" in reader.fault
    writer.label({"b": 2})
    assert reader.labels() == [(2, {"b": 2})]


def test_the_header_is_live(open_writer, reader, clock):
    writer = open_writer()
    reader.poll()
    clock.now_ns += 10**9
    writer.heartbeat()

    assert reader.header.heartbeat_ns == clock.now_ns
    assert (reader.header.writer_pid, reader.header.schema) == (os.getpid(), "rapl.1")


def test_a_reader_of_the_wrong_kind_is_told(open_writer, run_dir):
    open_writer()
    wrong = RingReader(run_dir, "rapl", TIC)

    wrong.poll()

    assert "holds rapl.1 samples, this version reads tic.1" in wrong.fault


def test_a_reader_cannot_write_into_the_ring(open_writer, reader):
    fill(open_writer(), 1)
    reader.poll()
    ring, _ = reader._open

    with pytest.raises(TypeError):
        ring._words[layout.HEAD] = 0
    with pytest.raises(ValueError, match="read-only"):
        ring._slots[0, 0] = 0


def test_a_stopped_or_dead_reader_changes_nothing_for_the_writer(open_writer, run_dir):
    """The writer's file and its system calls are the same with three readers, one of them stopped and one killed."""
    writer = open_writer(capacity=8)
    fill(writer, 1)
    children = []
    for _ in range(3):
        ready, tell = os.pipe()
        child = os.fork()
        if child == 0:
            follower = RingReader(run_dir, "rapl", RAPL)
            follower.poll()
            os.write(tell, b"1")
            while True:
                follower.poll()
        os.read(ready, 1)
        os.close(ready)
        os.close(tell)
        children.append(child)
    try:
        os.kill(children[0], signal.SIGSTOP)
        os.kill(children[1], signal.SIGKILL)
        before = resource.getrusage(resource.RUSAGE_SELF)

        fill(writer, 2000)

        assert resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before.ru_nvcsw < 20, "it never waits"
        late = RingReader(run_dir, "rapl", RAPL)
        assert late.poll().records["seq"].tolist()[-1] == 3 * 2001
        late.close()
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_polling_leaks_no_descriptor_over_many_rotations(open_writer, reader):
    writer = open_writer()
    reader.poll()
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(20):
        writer.rotate()
        fill(writer, 1)
        assert len(reader.poll().records) == 3

    assert len(os.listdir("/proc/self/fd")) == before
    assert Path("/proc/self/maps").read_text().count("rapl.ring") <= 2


def test_a_header_that_is_damaged_under_an_open_ring_is_a_fault_that_is_told_and_no_exception(tmp_path):
    writer = RingWriter.open(tmp_path, "rapl", RAPL, 64, SYSTEM_CLOCK)
    reader = RingReader(tmp_path, "rapl", RAPL)
    reader.poll()
    with open(tmp_path / "rapl.ring", "r+b") as file:
        file.seek(8)
        file.write(b"\xff\xff\xff\xff")
    header = reader.header
    fault = reader.fault
    reader.close()
    writer.close()
    assert header is None
    assert fault is not None
    assert "rapl.ring" in fault
