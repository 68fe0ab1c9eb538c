"""A power cut: of the page cache nothing is left, or anything. What was forced to the disk is there, and waits or is known."""

import errno
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spoolworld import World, good, read_all

from energyd.spool.spool import WRITE_AGAIN_S
from powercut import Disk

ROWS_OF_FIRST_COMMIT = 3


def commit(one):
    descriptor = one.commit()
    if descriptor is not None:
        os.fdatasync(descriptor)
        os.close(descriptor)
        one.synced(None)


def with_two_rows_after_a_commit(world):
    one = world.open()
    world.fill(one, ROWS_OF_FIRST_COMMIT)
    commit(one)
    world.fill(one, 2)
    return one


def cut(world, disk, one, **survived):
    """The machine goes and comes: no mark, and of the files what the disk has."""
    image = disk.image()
    world.kill(one)
    disk.restore(image, **survived)
    (world.place / "run" / "mark").unlink(missing_ok=True)
    return world.open()


@pytest.fixture
def patch(monkeypatch):
    """As `monkeypatch`, for several disks one after the other in a test."""
    return monkeypatch


class FullDisk:
    """Calls of os that fail once when told to, without effect."""

    def __init__(self, patch):
        self.next: dict[str, int] = {}
        for name in ("write", "fdatasync"):
            patch.setattr(os, name, self._failing(name, getattr(os, name)))

    def _failing(self, name, really):
        def call(*arguments):
            if name in self.next:
                number = self.next.pop(name)
                raise OSError(number, os.strerror(number))
            return really(*arguments)

        return call


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("calls", [["fdatasync"], ["write"], ["write", "fdatasync"]], ids=" and ".join)
def test_what_a_disk_that_was_full_has_not_taken_is_written_once_more(tmp_path, patch, calls, number):
    """Many file systems tell only at the sync that they have no room for what was written, and then forget it."""
    full = FullDisk(patch)
    world = World(tmp_path / "disk", max_bytes=1 << 14)
    disk = Disk(world.place, tmp_path / "attic", patch)
    one = with_two_rows_after_a_commit(world)
    full.next = dict.fromkeys(calls, number)
    while full.next:
        world.fill(one, 1)
    assert one.fault
    world.clock.turn(WRITE_AGAIN_S + 1)
    world.fill(one, 2)
    assert not one.fault
    commit(one)
    end = one.cursor.end

    again = cut(world, disk, one)

    waiting = read_all(again)
    assert [row.first for row in waiting] == list(range(0, end, 10))
    assert good(waiting)
    assert not sum(again.dropped.values())


def test_a_full_disk_at_a_commit_costs_nothing_either(tmp_path, patch):
    full = FullDisk(patch)
    world = World(tmp_path / "disk")
    disk = Disk(world.place, tmp_path / "attic", patch)
    one = with_two_rows_after_a_commit(world)
    full.next = dict.fromkeys(["write", "fdatasync"], errno.ENOSPC)
    commit(one)
    world.clock.turn(WRITE_AGAIN_S + 1)
    world.fill(one, 1)
    commit(one)
    assert [row.first for row in read_all(cut(world, disk, one))] == list(range(0, one.cursor.end, 10))


def test_a_sync_that_was_under_way_when_another_failed_proves_nothing(tmp_path, patch):
    """The error of a file is told to one of them only."""
    full = FullDisk(patch)
    world = World(tmp_path / "disk", max_bytes=1 << 14)
    disk = Disk(world.place, tmp_path / "attic", patch)
    one = with_two_rows_after_a_commit(world)
    under_way = one.commit()
    full.next = {"fdatasync": errno.ENOSPC}
    while full.next:
        world.fill(one, 1)
    world.clock.turn(WRITE_AGAIN_S + 1)
    world.fill(one, 1)
    os.close(under_way)
    one.synced(None)
    os.close(one.commit())
    one.synced(OSError(errno.ENOSPC, "No space left on device"))
    world.clock.turn(WRITE_AGAIN_S + 1)
    world.fill(one, 1)
    commit(one)
    assert [row.first for row in read_all(cut(world, disk, one))] == list(range(0, one.cursor.end, 10))


def test_a_sync_that_ends_after_its_file_was_left_takes_nothing_back(tmp_path, patch):
    """Otherwise what is on the disk would be written once more, into a file that begins within another one."""
    full = FullDisk(patch)
    world = World(tmp_path / "disk", max_bytes=1 << 14)
    one = world.open()
    world.fill(one, ROWS_OF_FIRST_COMMIT)
    under_way = one.commit()
    while len(files := set(world.directory.glob("*.spool"))) == 1:
        world.fill(one, 1)
    os.close(under_way)
    one.synced(None)
    full.next = {"write": errno.EIO}
    world.fill(one, 1)
    world.clock.turn(WRITE_AGAIN_S + 1)
    world.fill(one, 1)
    assert not one.fault
    assert set(world.directory.glob("*.spool")) == files
    assert [row.first for row in read_all(one)] == list(range(0, one.cursor.end, 10))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("fill"), st.integers(1, 25)),
        st.tuples(st.just("commit"), st.just(0)),
        st.tuples(st.just("acknowledge"), st.floats(0, 1)),
    ),
    max_size=12,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, survived=st.floats(0, 1), zeros=st.booleans())
def test_what_was_forced_to_the_disk_waits_or_is_known_to_be_acknowledged(tmp_path_factory, patch, steps, survived, zeros):
    place = tmp_path_factory.mktemp("cut")
    with patch.context() as patched:
        world = World(place / "disk", max_bytes=1 << 15)
        disk = Disk(world.place, place / "attic", patched)
        one = world.open()
        world.fill(one, ROWS_OF_FIRST_COMMIT)
        commit(one)
        forced_end = one.cursor.end
        acknowledged: set[int] = set()
        for name, argument in steps:
            if name == "fill":
                world.fill(one, argument)
            elif name == "commit":
                commit(one)
                forced_end = one.cursor.end
            else:
                row_end = round(argument * one.cursor.end / 10) * 10
                one.acknowledge(row_end // 20 * 10, row_end)
                acknowledged |= set(range(row_end // 20 * 10, row_end))
        dropped = sum(one.dropped.values())

        again = cut(world, disk, one, survived=survived, zeros=zeros)

        assert not dropped
        assert again.cursor.end >= forced_end
        waiting = read_all(again)
        assert good(waiting)
        there = {ordinal for row in waiting for ordinal in range(row.first, row.end)}
        known = {ordinal for entry in again.cursor.acknowledged for ordinal in range(entry.lo, entry.hi)}
        assert known <= acknowledged
        assert there | known >= set(range(forced_end))
        world.fill(again, 2)
        assert good(read_all(again))
        again.close()
