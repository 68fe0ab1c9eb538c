"""The account of the ended that their parents keep: told once, under the parent's command, and only where nobody else counts."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from procworld import Children, ProcWorld

from energyd.procfs import machine
from energyd.procfs.cgroup import V2, Mount
from energyd.procfs.children import ChildTime
from energyd.procfs.clocks import clocks_reach
from energyd.procfs.commands import CommandLabels
from energyd.procfs.scan import Source
from energyd.procfs.stat import NS_PER_TICK
from energyd.procfs.taskstats import Silence
from energyd.samples import EXITED

TICK = NS_PER_TICK


class Reader:
    """Scan and accounts as the machine puts them together."""

    def __init__(self, world: ProcWorld, mounts: dict[str, Any] | None = None) -> None:
        self.world = world
        self.scanner = world.scanner(mounts)
        self.children = ChildTime(
            str(world.root), self.scanner.table, Source(world.read, int, world), CommandLabels(world.sink), world.sink
        )
        self.keyframe = True

    def scan(self, keyframe: bool = False) -> dict[tuple[str, int], int]:
        """(comm, pid) of a parent -> ns told for what it reaped."""
        keyframe |= self.keyframe
        self.keyframe = False
        told = {}
        for kind, _, (consumer, pid, tasks, ticks_ns, counted_ns), status in self.children.after(
            self.scanner.scan(keyframe, keyframe), keyframe
        ):
            label = self.world.labels[consumer]
            assert (kind, status, tasks, label["kind"], ticks_ns) == (EXITED, 0, 1, "command", counted_ns)
            told[label["comm"], pid] = ticks_ns
        return told

    def reap(self, parent: int, ticks: int, **kw: Any) -> None:
        """The account of `parent` has grown to `ticks`; it used CPU for that."""
        world = self.world
        world.process(
            parent, b"p%d" % parent, parent, world.clocks[parent] + 1000, child_ticks=(ticks - ticks // 2, ticks // 2), **kw
        )


@pytest.fixture
def reader(world: ProcWorld) -> Reader:
    for pid in (1, 50, 60):
        world.process(pid, b"p%d" % pid, pid, child_ticks=(3, 4))
    made = Reader(world)
    assert made.scan() == {}, "what was reaped before we looked is not ours"
    return made


def test_what_a_parent_reaped_and_nobody_saw_is_told_under_its_command(reader: Reader) -> None:
    reader.reap(50, 12)
    assert reader.scan() == {("p50", 50): 5 * TICK}
    reader.reap(50, 12)
    assert reader.scan() == {}
    reader.reap(50, 13)
    reader.reap(60, 10)
    assert reader.scan() == {("p50", 50): TICK, ("p60", 60): 3 * TICK}


def test_a_child_that_the_scan_counted_is_not_told_again(reader: Reader) -> None:
    world = reader.world
    world.process(70, b"child", 70, ppid=50, child_ticks=(0, 0))
    assert reader.scan() == {}
    world.clocks[70] = 40 * TICK
    assert reader.scan() == {}
    world.end(70)
    reader.reap(50, 7 + 43)
    assert reader.scan() == {("p50", 50): 3 * TICK}, "only what it used behind its last scan"


def test_what_a_child_had_reaped_itself_is_told_once(reader: Reader) -> None:
    world = reader.world
    world.process(70, b"make", 70, ppid=50, child_ticks=(10, 0))
    assert reader.scan() == {("make", 70): 10 * TICK}, "born since the last scan: all of it is new"
    world.end(70)
    reader.reap(50, 7 + 25)
    assert reader.scan() == {("p50", 50): 15 * TICK}


def test_a_line_that_ends_at_once_is_credited_to_who_is_left_of_it(reader: Reader) -> None:
    world = reader.world
    for pid, ppid in ((70, 50), (71, 70), (72, 71)):
        world.process(pid, b"line", pid, ppid=ppid, child_ticks=(0, 0))
    reader.scan()
    for pid in (70, 71, 72):
        world.clocks[pid] = 10 * TICK
    reader.scan()
    for pid in (70, 71, 72):
        world.end(pid)
    reader.reap(50, 7 + 30)
    assert reader.scan() == {}


def test_an_orphan_is_its_new_parents(reader: Reader) -> None:
    world = reader.world
    world.process(70, b"shell", 70, ppid=50, child_ticks=(0, 0))
    world.process(71, b"daemon", 71, ppid=70, child_ticks=(0, 0))
    reader.scan()
    world.end(70)
    world.process(71, b"daemon", 71, ppid=1, cpu_ns=20 * TICK, child_ticks=(0, 0))
    reader.scan()
    world.end(71)
    reader.reap(1, 7 + 20)
    assert reader.scan() == {}


def test_a_child_that_is_reaped_behind_the_sweep_is_credited_before_its_parent_is_believed(reader: Reader) -> None:
    world = reader.world
    world.process(70, b"child", 70, ppid=50, child_ticks=(0, 0))
    reader.scan()
    world.clocks[70] = 500 * TICK
    reader.reap(50, 7)
    samples = reader.scanner.scan(False, False)
    world.end(70)
    reader.reap(50, 7 + 501)
    assert [payload[3] for _, _, payload, _ in reader.children.after(samples, False)] == [TICK]
    assert reader.scan() == {}
    reader.reap(50, 7 + 504)
    assert reader.scan() == {("p50", 50): 3 * TICK}


def test_a_parent_that_is_told_nothing_of_its_children_owes_nothing(reader: Reader) -> None:
    """SIGCHLD ignored: the child's time is in nobody's account."""
    world = reader.world
    world.process(70, b"child", 70, ppid=50, child_ticks=(0, 0))
    reader.scan()
    world.clocks[70] = 500 * TICK
    reader.scan()
    world.end(70)
    reader.reap(50, 7)
    assert reader.scan() == {}
    reader.reap(50, 7 + 6)
    assert reader.scan() == {("p50", 50): 6 * TICK}


def test_a_pid_that_another_process_has_now_begins_anew(reader: Reader) -> None:
    world = reader.world
    world.end(60)
    world.process(60, b"next", 99, cpu_ns=0, child_ticks=(2, 0))
    world.renewed = [60]
    assert reader.scan() == {("next", 60): 2 * TICK}
    world.process(61, b"late", 2, child_ticks=(30, 0))
    assert reader.scan() == {}, "older than what we knew: it was overlooked, and what it reaped is others' by now"


def test_where_control_groups_count_nothing_is_read_and_nothing_told(world: ProcWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = {V2: Mount(frozenset({V2}), b"/", b"/nowhere")}
    world.process(50, b"unit", 50, cgroup=b"0::/system.slice/x\n")
    reader = Reader(world, mounts)
    reader.scan()
    assert not reader.children.needed
    monkeypatch.setattr("energyd.procfs.children.read_stat", lambda *_: pytest.fail("not needed"))
    reader.reap(50, 90, cgroup=b"0::/system.slice/x\n")
    assert reader.scan() == {}
    monkeypatch.undo()
    world.process(60, b"p60", 60)
    assert reader.scan(keyframe=True) == {}
    reader.reap(50, 120, cgroup=b"0::/system.slice/x\n")
    reader.reap(60, 24)
    assert reader.scan() == {("p60", 60): 10 * TICK}, "what ended in a unit is in the unit's own counter"
    world.end(60)
    reader.scan(keyframe=True)
    assert not reader.children.needed


def test_who_goes_while_it_is_looked_at_is_passed_over(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    reader.reap(50, 12)
    samples = reader.scanner.scan(False, False)
    reader.world.end(50)
    assert reader.children.after(samples, False) == []
    reader.reap(60, 12)
    (reader.world.root / "60" / "stat").write_bytes(b"nonsense")
    assert reader.scan() == {}


Steps = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 30), st.booleans()), max_size=40)


@given(steps=Steps)
@settings(max_examples=150, deadline=None)
def test_no_time_is_told_twice_whoever_forks_and_ends(steps: Steps, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A kernel in small: children use CPU, end seen or unseen, and add all of theirs to their parent's account."""
    world = ProcWorld(tmp_path_factory.mktemp("proc"))
    world.process(1, b"p1", 1, child_ticks=(0, 0))
    reader = Reader(world)
    reader.scan()
    parent, used, reaped = {1: 0}, {1: 0}, {1: 0}
    whole = counted_ended = told = 0
    next_pid = 2

    def show(pid: int) -> None:
        world.process(pid, b"p%d" % pid, pid, used[pid] * TICK, ppid=parent[pid], child_ticks=(reaped[pid], 0))

    for action, which, ticks, scanned in steps:
        pid = list(parent)[which % len(parent)]
        if action == 0 and len(parent) < 8:
            parent[next_pid], used[next_pid], reaped[next_pid] = pid, 0, 0
            show(next_pid)
            next_pid += 1
        elif action in (1, 2):
            used[pid] += ticks
            whole += ticks
            show(pid)
        elif action in (3, 4):  # a child that nobody sees
            reaped[pid] += ticks
            whole += ticks
            used[pid] += 1
            whole += 1
            show(pid)
        elif pid != 1:
            heir = parent.pop(pid)
            world.end(pid)
            reaped[heir] += used.pop(pid) + reaped.pop(pid)
            used[heir] += 1
            whole += 1
            show(heir)
            for child in [child for child, above in parent.items() if above == pid]:
                parent[child] = 1
                show(child)
        if scanned:
            table = reader.scanner.table
            before = {pid: table.values[position] for pid, position in table.position.items()}
            told += sum(reader.scan().values())
            counted_ended += sum(value for pid, value in before.items() if pid not in table.position)
            live = sum(table.values)
            assert live + counted_ended + told <= whole * TICK


@pytest.mark.skipif(not clocks_reach("/proc"), reason="this /proc is of another PID namespace")
def test_real_children_of_a_real_parent_without_taskstats(
    world: ProcWorld, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty children of 10 ms, too short to be seen: 90 % of their time is told, and never more than all of it."""
    monkeypatch.setattr(machine, "listen", lambda _: (Silence(), "nothing to listen to"))
    monkeypatch.setattr(machine, "read_mounts", lambda *_: {})
    reader = machine.Machine("/proc", "/sys", 500_000_000, world.sink)
    start, done = os.pipe(), os.pipe()

    def burn() -> None:
        until = time.process_time() + 0.010
        while time.process_time() < until:
            pass
        os._exit(0)

    def work() -> None:
        os.read(start[0], 1)
        for _ in range(40):
            pid = os.fork()
            if pid == 0:
                burn()
            os.waitpid(pid, 0)
        os.write(done[1], str(os.times().children_user + os.times().children_system).encode())
        signal.pause()

    pid = children.fork(work)
    reader.scan()
    os.write(start[1], b"!")
    truth_s = float(os.read(done[0], 64))
    told_ns = sum(
        payload[3]
        for scan in (reader.scan(), reader.scan())
        for kind, _, payload, _ in scan.samples
        if kind == EXITED and payload[1] == pid
    )
    assert 0.9 * truth_s <= told_ns / 1e9 <= truth_s + 0.021
    for end in (*start, *done):
        os.close(end)
    reader.close()


def test_the_stat_file_tells_the_account(tmp_path: Path) -> None:
    world = ProcWorld(tmp_path)
    world.process(5, b"a) b", 9, child_ticks=(11, 22))
    stat = world.scanner()._identify(5)
    assert stat is not None
    assert stat.stat.child_ns == 33 * TICK
