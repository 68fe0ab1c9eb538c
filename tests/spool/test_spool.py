"""A spool loses nothing that it can keep, and counts what it cannot: restarts, deaths, damage, bounds, disks that refuse."""

import errno
import os

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spoolworld import START_MS, World, good, read_all

from energyd.errors import EnvironmentFault
from energyd.service import onewriter, statefile
from energyd.spool import segments, spool
from energyd.spool.format import PROGRESS, pack


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def accounted(one):
    """Every sample that was ever appended is delivered, dropped or waits."""
    return one.delivered + sum(one.dropped.values()) + len(one.cursor.pending) == one.cursor.end


def test_what_was_appended_is_read_back_from_memory_and_from_disk(world):
    one = world.open()
    world.fill(one, 300)
    from_memory = read_all(one)
    one.close()
    again = world.open()
    from_disk = read_all(again)
    assert [row.at_ms for row in from_disk] == [row.at_ms for row in from_memory]
    assert len(from_disk) == 300
    assert good(from_disk)


def test_a_batch_has_at_least_a_row_and_at_most_what_fits(world):
    one = world.open()
    world.fill(one, 10)
    assert [len(one.read(0, 100, most)) for most in (1, 10, 19, 20, 10**6)] == [1, 1, 1, 2, 10]
    assert [row.first for row in one.read(30, 45, 10**6)] == [30, 40]
    assert one.read(0, 0, 10) == []


def test_what_was_acknowledged_is_not_read_again_after_a_restart(world):
    one = world.open()
    world.fill(one, 10)
    one.acknowledge(0, 70)
    one.close()
    again = world.open()
    assert [row.first for row in read_all(again)] == [70, 80, 90]
    assert (again.delivered, again.cursor.end) == (70, 100)


def test_a_death_costs_neither_samples_nor_acknowledgements(world):
    """The mark in memory is younger than what the files say."""
    one = world.open()
    world.fill(one, 5)
    one.commit()
    world.fill(one, 5)
    one.acknowledge(0, 60)
    world.kill(one)
    again = world.open()
    assert [row.first for row in read_all(again)] == [60, 70, 80, 90]
    assert sum(again.dropped.values()) == 0


def test_a_power_cut_costs_acknowledgements_but_no_sample_that_is_on_the_disk(world):
    one = world.open()
    world.fill(one, 5)
    one.acknowledge(0, 20)
    one.commit()
    world.fill(one, 5)
    one.acknowledge(20, 60)
    world.kill(one)
    (world.place / "run" / "mark").unlink()
    again = world.open()
    assert [row.first for row in read_all(again)] == [20, 30, 40, 50, 60, 70, 80, 90]
    assert again.delivered == 20


def test_without_any_progress_everything_that_is_there_is_sent_again(world):
    one = world.open()
    world.fill(one, 10)
    one.acknowledge(0, 50)
    one.safe(2**60)
    world.kill(one)
    (world.place / "run" / "mark").unlink()
    path = world.files()[0]
    content = bytearray(path.read_bytes())
    content[4] = 77  # the kind of the first record, which is the progress
    path.write_bytes(content)
    again = world.open()
    assert [row.first for row in read_all(again)] == list(range(0, 100, 10))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1), commits=st.integers(0, 5))
def test_a_file_cut_at_any_byte_is_readable_and_what_is_missing_is_counted(tmp_path_factory, cut, commits):
    """The machine dies, and the file system kept an arbitrary part of the file."""
    world = World(tmp_path_factory.mktemp("cut"))
    one = world.open()
    for _ in range(commits + 1):
        world.fill(one, 3)
        one.commit()
    world.kill(one)
    path = world.files()[-1]
    os.truncate(path, round(cut * path.stat().st_size))
    again = world.open()
    rows = read_all(again)
    assert good(rows)
    assert [row.first for row in rows] == list(range(0, 10 * len(rows), 10))
    assert again.dropped["unwritten"] == one.cursor.end - 10 * len(rows)
    assert again.cursor.end == one.cursor.end
    world.fill(again, 2)
    assert good(read_all(again))
    assert accounted(again)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bit=st.floats(0, 1, exclude_max=True))
def test_a_flipped_bit_costs_one_row_or_one_chapter_and_is_counted(tmp_path_factory, bit):
    world = World(tmp_path_factory.mktemp("flip"))
    one = world.open()
    world.fill(one, 80)
    world.kill(one)
    path = world.files()[0]
    content = bytearray(path.read_bytes())
    place = int(bit * 8 * len(content))
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)
    again = world.open()
    rows = read_all(again)
    assert good(rows)
    assert len(rows) >= 80 - 64
    lost = 80 - len(rows)
    for before, after in zip([0, *[row.end for row in rows]], [*[row.first for row in rows], 800], strict=True):
        again.give_up(before, after, "damaged") if after > before else None
    assert again.dropped["damaged"] + again.dropped["unwritten"] == 10 * lost
    assert accounted(again)


def test_the_oldest_files_give_way_when_the_spool_is_full_and_their_samples_are_counted(tmp_path):
    world = World(tmp_path, max_bytes=1 << 16)
    one = world.open()
    world.fill(one, 1000)
    assert one.size_bytes <= 1 << 16
    assert one.dropped["spool_full"] > 0
    rows = read_all(one)
    assert rows[0].first == one.dropped["spool_full"]
    assert good(rows)
    assert accounted(one)


def test_samples_that_are_too_old_give_way_and_are_counted(tmp_path):
    world = World(tmp_path, max_bytes=1 << 16, max_age_s=100.0)
    one = world.open()
    world.fill(one, 200)
    assert len(world.files()) > 1
    world.clock.turn(101)
    world.fill(one, 1)
    assert len(world.files()) == 1
    assert one.dropped["too_old"] > 0
    assert accounted(one)


def test_files_are_removed_when_everything_in_them_is_safe_at_the_receiver(tmp_path):
    world = World(tmp_path, max_bytes=1 << 16)
    one = world.open()
    world.fill(one, 200)
    files = len(world.files())
    assert files > 2
    one.acknowledge(0, one.cursor.end)
    assert len(world.files()) == files, "it may yet be replayed"
    one.safe(START_MS * 2)
    assert len(world.files()) == 1
    assert sum(one.dropped.values()) == 0


def test_a_replay_reads_the_tail_again_and_is_counted_apart(world):
    one = world.open()
    world.fill(one, 10)
    one.acknowledge(0, 50)
    world.clock.turn(60)
    one.acknowledge(50, 100)
    now_ms = world.clock.real_ns() // 10**6
    assert one.replay(now_ms, 30_000) == 50
    assert [row.first for row in read_all(one)] == [50, 60, 70, 80, 90]
    one.acknowledge(50, 100)
    assert (one.delivered, one.replayed) == (100, 50)
    assert accounted(one)


def test_a_full_disk_is_said_and_counted_and_what_is_rendered_meanwhile_waits_in_memory(world, monkeypatch):
    one = world.open()
    world.fill(one, 3)
    real_write = os.write

    def full(descriptor, content):
        real_write(descriptor, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    world.fill(one, 3)
    assert "No space left" in one.fault
    assert any("free space" in text for text in world.said)
    assert [row.first for row in read_all(one)] == [0, 10, 20, 30, 40, 50]
    monkeypatch.setattr(os, "write", real_write)
    world.fill(one, 1)
    assert one.fault, "not asked again at once"
    world.clock.turn(6)
    world.fill(one, 1, [b'other{i="%d"} ' % i for i in range(200)])  # explained by a chapter behind what is torn
    assert not one.fault
    assert world.said[-1].endswith("the disk takes samples again")
    world.kill(one)
    again = world.open()
    assert [row.first for row in read_all(again)] == list(range(0, 80, 10))
    assert sum(again.dropped.values()) == 0


def test_memory_is_bounded_while_the_disk_refuses(tmp_path, monkeypatch):
    world = World(tmp_path, memory_bytes=16 * 10 * 20)
    one = world.open()
    monkeypatch.setattr(os, "write", refuse)
    world.fill(one, 50)
    assert one.dropped["unwritten"] == 300
    assert [row.first for row in read_all(one)] == list(range(300, 500, 10))
    assert accounted(one)


def refuse(*_arguments):
    raise OSError(errno.EROFS, "Read-only file system")


def test_a_directory_that_cannot_be_made_is_no_reason_to_stop(tmp_path, monkeypatch):
    world = World(tmp_path)
    (tmp_path / "spool").write_text("a file where the directory should be")
    one = world.open()
    world.fill(one, 5)
    assert one.fault
    assert [row.first for row in read_all(one)] == [0, 10, 20, 30, 40]
    one.acknowledge(0, 50)
    assert one.delivered == 50
    (tmp_path / "spool").unlink()
    world.clock.turn(6)
    world.fill(one, 1)
    assert not one.fault
    assert len(world.files()) == 1


def test_a_file_whose_name_could_not_be_forced_to_the_disk_is_begun_again(tmp_path, monkeypatch):
    world = World(tmp_path, max_bytes=1 << 14)  # so small that a few rows fill a file
    one = world.open()
    world.fill(one, 1)
    real_fsync = os.fsync
    monkeypatch.setattr(os, "fsync", refuse)
    while not one.fault:
        world.fill(one, 1)
    monkeypatch.setattr(os, "fsync", real_fsync)
    world.clock.turn(6)
    world.fill(one, 5)
    assert not one.fault
    rows = one.cursor.end // 10
    world.kill(one)
    again = world.open()
    assert [row.first for row in read_all(again)] == list(range(0, 10 * rows, 10))
    assert good(read_all(again))


@pytest.mark.parametrize("locked", [True, False])
def test_a_disk_that_is_read_only_at_the_start_is_read_and_its_numbers_go_on(world, monkeypatch, locked):
    one = world.open()
    world.fill(one, 6)
    one.acknowledge(0, 20)
    one.close()
    (world.place / "run" / "mark").unlink()
    if not locked:
        (world.directory / onewriter.LOCK).unlink()
    really = os.open

    def read_only(path, flags, *rest):
        if flags & (os.O_WRONLY | os.O_RDWR) and "spool" in str(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return really(path, flags, *rest)

    monkeypatch.setattr(os, "open", read_only)
    again = world.open()
    world.fill(again, 2)
    assert "Read-only" in again.fault
    assert [row.first for row in read_all(again)] == [20, 30, 40, 50, 60, 70]
    monkeypatch.setattr(os, "open", really)
    world.clock.turn(6)
    world.fill(again, 1)
    assert not again.fault
    assert len(world.files()) == 2
    world.kill(again)
    last = world.open()
    assert [row.first for row in read_all(last)] == [20, 30, 40, 50, 60, 70, 80]
    assert accounted(last)


def test_what_cannot_be_read_at_the_start_is_set_apart_and_never_overwritten(world, monkeypatch):
    one = world.open()
    world.fill(one, 6)
    one.close()
    before = world.files()[0].read_bytes()
    (world.place / "run" / "mark").unlink()

    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(segments, "_read", refused)
    again = world.open()
    monkeypatch.undo()
    world.fill(again, 3)
    world.clock.turn(6)
    world.fill(again, 1)
    assert not again.fault
    assert [row.first for row in read_all(again)] == [0, 10, 20, 30]
    [apart] = (world.place / "spool-1").glob("*.spool")
    assert apart.read_bytes() == before
    assert any("energyd spool replay spool-1 --to URL" in message for message in world.said)


def test_a_file_that_appeared_from_elsewhere_is_not_overwritten(world):
    one = world.open()
    (world.directory / f"{0:020d}.spool").write_bytes(b"somebody's")
    world.fill(one, 1)
    assert one.fault == "File exists"
    assert (world.directory / f"{0:020d}.spool").read_bytes() == b"somebody's"


def test_what_only_memory_held_is_counted_after_a_death(world, monkeypatch):
    one = world.open()
    world.fill(one, 3)
    monkeypatch.setattr(os, "write", refuse)
    monkeypatch.setattr(statefile, "save", untouched(statefile.save))
    world.fill(one, 4)
    monkeypatch.undo()
    world.kill(one)
    again = world.open()
    assert again.dropped["unwritten"] == 40
    assert again.cursor.end == 70
    assert [row.first for row in read_all(again)] == [0, 10, 20]
    world.fill(again, 1)
    assert [row.first for row in read_all(again)] == [0, 10, 20, 70]
    assert accounted(again)


def untouched(save):
    """The mark is on another file system, which is not full."""
    return save


def test_two_processes_never_write_to_one_spool(world):
    one = world.open()
    with pytest.raises(EnvironmentFault, match="belongs to another energyd"):
        world.open()
    one.close()
    world.open().close()


def test_a_block_that_the_medium_cannot_read_costs_what_lies_in_it(world, monkeypatch):
    one = world.open()
    world.fill(one, 400)
    one.close()
    [path] = world.files()
    assert path.stat().st_size > 5 * 4096
    real_pread = os.pread

    def broken(*_arguments):
        raise OSError(errno.EIO, "Input/output error")

    def patchy(descriptor, size, offset):
        if offset == 2 * 4096:
            raise OSError(errno.EIO, "Input/output error")
        return real_pread(descriptor, size, offset)

    monkeypatch.setattr(segments.Path, "read_bytes", broken)
    monkeypatch.setattr(os, "pread", patchy)
    rows = list(segments.Content(path).rows(0))
    assert good(rows)
    assert 300 <= len(rows) < 400


def test_a_file_that_cannot_be_read_now_is_not_given_up(world, monkeypatch):
    one = world.open()
    world.fill(one, 5)
    one.close()
    again = world.open()
    again._content = None

    def refused(*_arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(segments.Path, "read_bytes", refused)
    with pytest.raises(PermissionError):
        again.read(0, 50, 100)
    monkeypatch.undo()
    assert good(again.read(0, 50, 100))


def test_files_that_somebody_has_removed_are_gaps(world):
    one = world.open()
    world.fill(one, 5)
    one.close()
    again = world.open()
    world.files()[0].unlink()
    again._content = None
    assert again.read(0, 50, 100) == []
    again.give_up(0, 50, "damaged")
    world.fill(again, 1)
    assert [row.first for row in read_all(again)] == [50]


def test_a_damaged_mark_is_said_and_the_files_count(world):
    one = world.open()
    world.fill(one, 5)
    one.acknowledge(0, 20)
    one.close()
    (world.place / "run" / "mark").write_bytes(b"nonsense")
    again = world.open()
    assert [row.first for row in read_all(again)] == [20, 30, 40]
    assert any("mark" in text for text in world.said)


def test_what_is_no_file_of_ours_is_left_alone(world):
    one = world.open()
    world.fill(one, 5)
    one.close()
    (world.directory / f"{7:020d}.spool").mkdir()
    (world.directory / f"{8:020d}.spool").symlink_to("/nowhere")
    os.mkfifo(world.directory / f"{9:020d}.spool")
    (world.directory / f"{'9' * 25}.spool").write_bytes(b"")
    again = world.open()
    assert [row.first for row in read_all(again)] == [0, 10, 20, 30, 40]
    assert len(segments.segments_in(world.directory)) == 1
    world.fill(again, 1)
    assert not again.fault
    assert again.cursor.end == 60


@pytest.mark.parametrize("state", [{"serial": 1 << 40}, {"serial": 1 << 40, "cursor": {}}, {}])
def test_a_mark_of_another_version_that_lacks_something_ends_nothing(world, state):
    one = world.open()
    world.fill(one, 5)
    one.close()
    statefile.save(world.place / "run" / "mark", state)
    again = world.open()
    assert [row.first for row in read_all(again)] == [0, 10, 20, 30, 40]


def test_a_progress_that_is_no_map_tells_nothing(world):
    one = world.open()
    world.fill(one, 5)
    world.kill(one)
    (world.place / "run" / "mark").unlink()
    with world.files()[0].open("ab") as file:
        file.write(pack(PROGRESS, 50, 0, 0, 0, msgpack.packb([1, 2])))
    again = world.open()
    assert [row.first for row in read_all(again)] == [0, 10, 20, 30, 40]


def test_of_the_mark_and_the_files_the_younger_counts(world):
    """A tmpfs that is full takes no mark, while the disk goes on."""
    one = world.open()
    world.fill(one, 5)
    mark = world.place / "run" / "mark"
    old = mark.read_bytes()
    one.acknowledge(0, 20)
    one.close()
    mark.write_bytes(old)
    again = world.open()
    assert [row.first for row in read_all(again)] == [20, 30, 40]
    assert again.delivered == 20


def test_a_commit_tells_what_to_sync_only_when_there_is_something(world):
    one = world.open()
    assert one.commit() is None
    world.fill(one, 1)
    descriptor = one.commit()
    assert descriptor is not None
    os.close(descriptor)
    assert one.commit() is None
    one.acknowledge(0, 10)
    os.close(one.commit())


def test_what_a_sync_could_not_bring_to_the_disk_is_written_once_more(world):
    """After an error of fdatasync nobody knows which pages are there (PostgreSQL's fsync-gate)."""
    one = world.open()
    world.fill(one, 3)
    os.close(one.commit())
    one.synced(None)
    world.fill(one, 3)
    os.close(one.commit())
    one.synced(OSError(errno.EIO, "Input/output error"))
    assert one.fault == "Input/output error"
    world.clock.turn(6)
    world.fill(one, 1)
    assert not one.fault
    first, second = world.files()
    assert [row.first for row in segments.Content(second).rows(0)] == [30, 40, 50, 60]
    first.write_bytes(b"whatever was there")
    world.kill(one)
    again = world.open()
    assert [row.first for row in read_all(again)] == [30, 40, 50, 60]
    assert good(read_all(again))


def test_what_a_disk_that_fails_may_have_lost_is_written_once_more(world, monkeypatch):
    """EIO of a write tells of the pages before it too."""
    one = world.open()
    world.fill(one, 3)
    os.close(one.commit())
    one.synced(None)
    world.fill(one, 3)
    real_write = os.write

    def fail(*_arguments):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", fail)
    world.fill(one, 1)
    monkeypatch.setattr(os, "write", real_write)
    world.clock.turn(6)
    world.fill(one, 1)
    assert not one.fault
    first, _second = world.files()
    first.write_bytes(b"whatever was there")
    world.kill(one)
    assert [row.first for row in read_all(world.open())] == [30, 40, 50, 60, 70]


def test_rows_that_lie_in_two_files_are_read_once(world):
    one = world.open()
    world.fill(one, 6)
    os.close(one.commit())
    one.synced(OSError(errno.EIO, "Input/output error"))
    world.clock.turn(6)
    world.fill(one, 1)
    one.close()
    again = world.open()
    assert [row.first for row in read_all(again)] == list(range(0, 70, 10))


def test_a_spool_that_is_never_synced_gives_nothing_to_sync(tmp_path):
    world = World(tmp_path, sync=False)
    one = world.open()
    world.fill(one, 1)
    assert one.commit() is None


def test_notes_and_counts_outlive_the_process(world):
    one = world.open()
    assert one.note("receiver", 1.5) is None
    world.fill(one, 3)
    one.give_up(0, 10, spool.REFUSED)
    one.acknowledge(10, 20, {spool.OUT_OF_ORDER: 4})
    world.kill(one)
    again = world.open()
    assert again.note("receiver", 2.5) == 1.5
    assert (again.dropped["refused"], again.dropped["out_of_order"], again.delivered) == (10, 4, 6)


def test_the_row_before_is_found_in_memory_and_on_disk(world):
    one = world.open()
    world.fill(one, 5)
    assert one.before(30).first == 20
    assert one.before(0) is None
    one.close()
    again = world.open()
    assert again.before(30).first == 20
    assert again.before(35) is None
    world.fill(again, 1)
    assert again.before(50).first == 40
