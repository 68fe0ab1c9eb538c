"""The scan tells what moved, was born or ended, and never takes one process for another."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from procworld import KERNEL_THREAD, ProcWorld

from energyd.procfs.cgroup import V2, Mount
from energyd.procfs.clocks import GONE
from energyd.procfs.scan import CHUNK
from energyd.samples import GONE as GONE_STATUS


def test_only_processes_that_used_cpu_are_told(world: ProcWorld) -> None:
    scan = world.scanner()
    world.process(1, b"init", cpu_ns=10)
    world.process(2, b"idle", cpu_ns=20)
    assert world.told(scan.scan(True, True)) == [("init", 1, 10, False), ("idle", 2, 20, False)], "first sight"
    assert world.told(scan.scan(False, False)) == []
    world.clocks[1] = 15
    assert world.told(scan.scan(False, False)) == [("init", 1, 15, False)]


def test_a_keyframe_holds_every_process_that_lives(world: ProcWorld) -> None:
    scan = world.scanner()
    for pid in range(1, 200):
        world.process(pid, cpu_ns=pid)
    scan.scan(True, True)
    world.end(100)
    told = world.told(scan.scan(True, True))
    assert {pid for _, pid, _, gone in told if not gone} == set(range(1, 200)) - {100}
    assert [(pid, cpu_ns) for _, pid, cpu_ns, gone in told if gone] == [(100, 100)]


def test_the_dead_are_told_once_with_their_last_value(world: ProcWorld) -> None:
    scan = world.scanner()
    for pid in (1, 2, 3):
        world.process(pid, b"p%d" % pid, cpu_ns=pid * 10)
    scan.scan(True, True)
    world.end(1)
    world.end(2)
    assert sorted(world.told(scan.scan(False, False))) == [("p1", 1, 10, True), ("p2", 2, 20, True)]
    world.clocks[3] = 31
    assert world.told(scan.scan(False, False)) == [("p3", 3, 31, False)]
    assert (scan.born, scan.gone, len(scan.table)) == (3, 2, 1)


def test_a_counter_that_falls_is_another_process(world: ProcWorld) -> None:
    scan = world.scanner()
    world.process(7, b"old", 1, 1000)
    scan.scan(True, True)
    world.process(7, b"new", 2, 5)
    assert world.told(scan.scan(False, False)) == [("old", 7, 1000, True), ("new", 7, 5, False)]


def test_a_reused_pid_is_seen_though_its_counter_is_higher(world: ProcWorld) -> None:
    """The clock cannot see it; the kernel gave the pid out anew, so its start time is looked at before its clock is read."""
    scan = world.scanner()
    world.process(7, b"old", 1, 1000)
    scan.scan(True, True)
    world.process(7, b"new", 2, 5000)
    world.renewed = [7]
    assert world.told(scan.scan(False, False)) == [("old", 7, 1000, True), ("new", 7, 5000, False)]


def test_a_reuse_that_nobody_announced_is_found_when_its_turn_comes(world: ProcWorld) -> None:
    scan = world.scanner(scans_per_round=1)
    world.process(7, b"old", 1, 1000)
    scan.scan(True, True)
    scan.scan(False, False)
    world.process(7, b"new", 2, 5000)
    told = [entry for _ in range(3) for entry in world.told(scan.scan(False, False))]
    assert told[-2:] == [("old", 7, 5000, True), ("new", 7, 5000, False)]


def test_an_exec_right_after_the_fork_is_seen_at_the_next_scan(world: ProcWorld) -> None:
    scan = world.scanner()
    world.process(7, b"bash", 1)
    scan.scan(True, True)
    world.process(7, b"make", 1, 5)
    scan.scan(False, False)
    world.clocks[7] = 9
    [(_, _, (consumer, pid, start_ticks, _, _), status)] = scan.scan(False, False)
    assert (world.labels[consumer]["comm"], world.labels[consumer]["argv"][0]) == ("make", "/bin/make")
    assert (pid, start_ticks, status) == (7, 1, 0), "the same identity under a new label"
    assert (scan.born, scan.gone) == (1, 0)


def test_a_later_exec_is_seen_within_a_round_because_it_costs_cpu(world: ProcWorld) -> None:
    scan = world.scanner(scans_per_round=4)
    for pid in range(1, 9):
        world.process(pid, b"bash")
    for _ in range(3):
        scan.scan(False, False)
    for pid in range(1, 9):
        world.process(pid, b"make", cpu_ns=1)
    for _ in range(4):
        scan.scan(False, False)
    assert {tracked.comm for tracked in scan.table.tracked} == {b"make"}


def test_processes_at_rest_are_not_visited(world: ProcWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = world.scanner(scans_per_round=1)
    world.process(7, b"bash")
    for _ in range(3):
        scan.scan(False, False)
    monkeypatch.setattr("energyd.procfs.scan.read_vitals", lambda *_: pytest.fail("nothing has moved"))
    scan.scan(False, False)


def test_a_kernel_worker_that_shows_its_work_in_its_name_gets_no_new_label(world: ProcWorld) -> None:
    scan = world.scanner(scans_per_round=1)
    world.process(9, b"kworker/0:1-events", flags=KERNEL_THREAD)
    for cpu_ns in range(5):
        world.process(9, b"kworker/0:1-task%d" % cpu_ns, cpu_ns=cpu_ns, flags=KERNEL_THREAD)
        scan.scan(False, False)
    assert len(world.labels) == 1


def test_a_process_that_moves_to_another_control_group_is_described_anew(world: ProcWorld) -> None:
    scan = world.scanner({V2: Mount(frozenset({V2}), b"/", b"/nowhere")})
    world.process(7, b"init", cpu_ns=100)
    scan.scan(True, True)
    assert (scan.table.groups, scan.table.root_group_ns()) == ({}, 100)
    world.process(7, b"init", cpu_ns=130, cgroup=b"0::/system.slice/x\n")
    scan.scan(False, False)
    assert scan.table.groups == {(V2, b"/system.slice/x"): 1}
    assert scan.table.root_group_ns() == 130, "what it used in the root stays the root's"
    world.clocks[7] = 500
    scan.scan(False, False)
    world.end(7)
    scan.scan(False, False)
    assert (scan.table.groups, scan.table.root_group_ns()) == ({}, 130)


def test_a_process_that_moves_into_the_root_group_does_not_bring_its_past(world: ProcWorld) -> None:
    scan = world.scanner({V2: Mount(frozenset({V2}), b"/", b"/nowhere")})
    world.process(7, b"init", cpu_ns=100, cgroup=b"0::/system.slice/x\n")
    scan.scan(True, True)
    world.process(7, b"init", cpu_ns=130)
    scan.scan(False, False)
    assert scan.table.root_group_ns() == 0
    world.clocks[7] = 150
    scan.scan(False, False)
    assert scan.table.root_group_ns() == 20


def test_one_unreadable_process_is_left_out_and_told(world: ProcWorld) -> None:
    scan = world.scanner()
    world.process(1, b"good")
    world.process(2, b"bad")
    (world.root / "2" / "stat").write_bytes(b"nonsense")
    assert world.told(scan.scan(True, True)) == [("good", 1, 0, False)]
    assert scan.read_errors == 1
    assert [kind for kind, _ in world.faults] == ["process malformed"]


def test_a_process_that_goes_before_it_is_named_leaves_no_trace(world: ProcWorld) -> None:
    scan = world.scanner()
    world.process(1)
    world.end(1)
    world.clocks[1] = 5  # it answered the probe
    assert scan.scan(False, False) == []
    assert (scan.born, scan.read_errors, world.labels) == (0, 0, {})


def test_memory_is_the_resident_set_at_the_last_look(world: ProcWorld) -> None:
    scan = world.scanner()
    world.process(7, rss_pages=3)
    [(_, _, payload, _)] = scan.scan(True, True)
    assert payload[4] == 3 * 4096


def test_after_a_rotation_all_that_lives_is_described_anew(world: ProcWorld) -> None:
    scan = world.scanner()
    for pid in (1, 2, 3):
        world.process(pid, b"p%d" % pid, cpu_ns=pid)
    scan.scan(True, True)
    world.end(2)
    world.labels.clear()
    scan.relabel()
    assert sorted(world.told(scan.scan(True, True))) == [("p1", 1, 1, False), ("p3", 3, 3, False)]
    assert (scan.born, scan.gone) == (3, 1)


def test_times_are_those_of_each_chunk(world: ProcWorld) -> None:
    scan = world.scanner()
    for pid in range(1, 3 * CHUNK + 2):
        world.process(pid)
    scan.scan(True, True)
    stamps = [mono_ns for _, mono_ns, _, _ in scan.scan(False, True)]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) == 4


Life = dict[int, tuple[int, int]]  # pid -> (start_ticks, cpu_ns)


@st.composite
def lives(draw: st.DrawFn) -> list[Life]:
    """What lives at each of some scans: births, deaths and reuse of a few pids, counters that grow by any amount."""
    steps: list[Life] = []
    now: Life = {}
    for start_ticks in range(1, draw(st.integers(2, 8))):
        for pid in draw(st.lists(st.integers(1, 6), max_size=4)):
            if draw(st.booleans()) and pid in now:
                now[pid] = (now[pid][0], now[pid][1] + draw(st.integers(0, 50)))
            elif draw(st.booleans()):
                now.pop(pid, None)
            else:
                now[pid] = (start_ticks, draw(st.integers(0, 100)))
        steps.append(dict(now))
    return steps


def told_by(world: ProcWorld, steps: list[Life]) -> Iterator[tuple[Life, dict[tuple[int, int], int], list[tuple[int, int]]]]:
    """At each step: what lives, the last value told of each identity that was not told to be gone, and those that were."""
    scan = world.scanner()
    alive: dict[tuple[int, int], int] = {}
    before: Life = {}
    for step in steps:
        for pid in before.keys() - step:
            world.end(pid)
        for pid, (start_ticks, cpu_ns) in step.items():
            world.process(pid, b"p", start_ticks, cpu_ns)
        world.renewed = [pid for pid in step if pid in before and step[pid][0] != before[pid][0]]
        gone = []
        for _, _, (_, pid, start_ticks, cpu_ns, _), status in scan.scan(False, False):
            identity = pid, start_ticks
            assert cpu_ns >= alive.get(identity, GONE), "a counter only grows"
            alive[identity] = cpu_ns
            if status & GONE_STATUS:
                del alive[identity]
                gone.append(identity)
        yield step, dict(alive), gone
        before = step
    for pid in before:
        world.end(pid)


@settings(max_examples=60, deadline=None)
@given(lives())
def test_whatever_is_born_dies_or_takes_a_used_pid_is_told_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Life]
) -> None:
    ended: set[tuple[int, int]] = set()
    for step, alive, gone in told_by(ProcWorld(tmp_path_factory.mktemp("proc")), steps):
        assert alive == {(pid, start_ticks): cpu_ns for pid, (start_ticks, cpu_ns) in step.items()}
        assert not ended & set(gone), "an identity ends once"
        ended |= set(gone)
