"""What exit records become: last values of known processes, sums by command of unknown ones."""

from pathlib import Path
from typing import Any

import pytest
from procworld import ProcWorld

from energyd.procfs.commands import FORGET_NS, CommandLabels
from energyd.procfs.exits import MAX_COMMANDS, Exits
from energyd.procfs.scan import ProcessScan
from energyd.procfs.taskstats import Exit
from energyd.procfs.topology import package_finder, packages
from energyd.samples import EXITED, GONE, PACKAGE_SHIFT, PROCESS


def ended(
    pid: int, *, tgid: int = 0, ppid: int = 1, comm: bytes = b"sh", last: bool = True, ticks: int = 4, ns: int = 3, **kw: Any
) -> Exit:
    return Exit(pid, tgid or pid, ppid, 1000, comm, last, ticks, ns, kw.get("process_ns"))


class Kernel:
    """A listener with what a test puts into it."""

    def __init__(self) -> None:
        self.exits: list[Exit] = []
        self.lost = 0

    def drain(self) -> list[Exit]:
        drained, self.exits = self.exits, []
        return drained

    def close(self) -> None:
        self.lost = -1


class Reader:
    """Scan and exits as the machine puts them together; `late` ends between the sweep and the end of the scan."""

    def __init__(self, world: ProcWorld) -> None:
        self.world, self.kernel = world, Kernel()
        self.scanner: ProcessScan = world.scanner()
        self.labels = CommandLabels(world.sink)
        self.exits = Exits(self.kernel, self.scanner.table, self.labels, world.sink)

    def scan(self, *early: Exit, late: tuple[Exit, ...] = ()) -> tuple[list[Any], dict[tuple[str, str], tuple[int, ...]]]:
        """Samples of processes, and (ancestor, tasks, ticks_ns, counted_ns) by (comm, cgroup)."""
        self.kernel.exits += early
        processes = self.scanner.scan(False, False, self.exits.before())
        for tracked in self.scanner.ended:
            self.exits.note(tracked)
        self.kernel.exits += late
        told = {}
        for kind, _, (consumer, *values), status in self.exits.after():
            label = self.world.labels[consumer]
            assert (kind, status, label["kind"], label["uid"]) == (EXITED, 0, "command", 1000)
            told[label["comm"], label["cgroup"]] = tuple(values)
        return processes, told


@pytest.fixture
def reader(world: ProcWorld) -> Reader:
    world.process(1, b"init")
    world.process(50, b"shell", cgroup=b"0::/user\n")
    made = Reader(world)
    made.scan()
    return made


def test_those_that_nobody_saw_are_one_record_a_command_in_the_control_group_of_their_parent(reader: Reader) -> None:
    _, told = reader.scan(*(ended(pid, ppid=50, ticks=4, ns=3) for pid in range(100, 120)), ended(200, ppid=50, comm=b"ls"))
    assert told == {("sh", "/user"): (50, 20, 80, 60), ("ls", "/user"): (50, 1, 4, 3)}
    assert reader.exits.records == 21


def test_a_known_process_gets_its_last_value_from_its_record(reader: Reader) -> None:
    reader.world.clocks[50] = 700
    reader.scan()
    reader.world.end(50)
    processes, told = reader.scan(ended(50, ns=900))
    assert [(kind, payload[1], payload[3], status) for kind, _, payload, status in processes] == [(PROCESS, 50, 900, GONE)]
    assert told == {}


def test_a_record_that_comes_behind_the_sweep_is_kept_for_the_next(reader: Reader) -> None:
    reader.scan(late=(ended(50, ns=900),))
    reader.world.end(50)
    processes, told = reader.scan()
    assert processes[0][2][3] == 900
    assert told == {}


def test_the_process_of_several_threads_is_told_by_its_last(reader: Reader) -> None:
    reader.world.end(50)
    threads = ended(51, tgid=50, last=False, ns=10**6), ended(50, tgid=50, ns=5, process_ns=10**6 + 5)
    processes, told = reader.scan(*threads)
    assert processes[0][2][3] == 10**6 + 5
    assert told == {}


def test_a_pid_that_was_used_again_in_between_is_another_process(reader: Reader) -> None:
    reader.world.clocks[50] = 700
    reader.scan()
    reader.world.end(50)
    processes, told = reader.scan(ended(50, ns=900), ended(50, ppid=1, comm=b"new", ns=2))
    assert processes[0][2][3] == 900
    assert told == {("new", "/"): (1, 1, 4, 2)}
    reader.world.process(50, b"shell", start_ticks=9)
    reader.world.clocks[50] = 10_000
    reader.scan()
    processes, told = reader.scan(ended(50, ppid=1, comm=b"brief", ns=2))
    assert told == {("brief", "/"): (1, 1, 4, 2)}, "less than what the living one has used: not its end"


def test_the_family_is_followed_through_those_that_have_ended_too(reader: Reader) -> None:
    _, told = reader.scan(ended(300, ppid=299, comm=b"leaf"), ended(299, ppid=298, comm=b"node"), ended(298, ppid=50, comm=b"root"))
    assert {key: values[0] for key, values in told.items()} == {("leaf", "/user"): 50, ("node", "/user"): 50, ("root", "/user"): 50}
    _, told = reader.scan(ended(301, ppid=299, comm=b"late"))
    assert told == {("late", "/user"): (50, 1, 4, 3)}
    reader.world.end(50)
    _, told = reader.scan(ended(302, ppid=50, comm=b"orphan"))
    assert told == {("orphan", "/user"): (0, 1, 4, 3)}, "its parent ended in the same scan: where it was is known, who it was too"
    reader.scan()
    _, told = reader.scan(ended(303, ppid=50), ended(400, ppid=401, comm=b"a"), ended(401, ppid=400, comm=b"b"))
    assert told == {("sh", "/"): (0, 1, 4, 3), ("a", "/"): (0, 1, 4, 3), ("b", "/"): (0, 1, 4, 3)}


def test_threads_of_a_process_as_young_as_the_scan_wait_for_the_next(reader: Reader) -> None:
    _, told = reader.scan(late=(ended(501, tgid=500, ppid=50, last=False),))
    assert told == {}
    _, told = reader.scan(ended(500, ppid=50))
    assert told == {("sh", "/user"): (50, 1, 8, 6)}
    reader.scan(late=(ended(601, tgid=600, ppid=50, last=False),))
    reader.world.process(600, b"young")
    _, told = reader.scan()
    assert told == {}, "the clock of the process has counted its thread"


def test_a_storm_of_names_is_told_under_one(reader: Reader) -> None:
    _, told = reader.scan(*(ended(1000 + each, ppid=50, comm=b"c%d" % each) for each in range(MAX_COMMANDS + 40)))
    assert len(told) == MAX_COMMANDS + 1
    assert told["(others)", "/user"] == (50, 40, 160, 120)


def test_commands_keep_their_number_until_they_are_silent_for_long_or_the_ring_is_new(reader: Reader) -> None:
    def number() -> int:
        before = len(reader.world.labels)
        reader.scan(ended(100, ppid=50))
        return len(reader.world.labels) - before

    assert [number(), number()] == [1, 0]
    reader.world.now_ns += FORGET_NS + 10
    reader.labels.forget_silent()
    assert [number(), number()] == [1, 0]
    reader.labels.relabel()
    assert number() == 1
    reader.exits.close()
    assert reader.exits.lost == -1


def cpu(root: Path, number: int, package: int | str) -> None:
    directory = root / f"devices/system/cpu/cpu{number}/topology"
    directory.mkdir(parents=True)
    (directory / "physical_package_id").write_text(f"{package}\n")


def test_with_several_packages_the_record_of_a_process_that_moved_says_which_it_ran_on(world: ProcWorld, tmp_path: Path) -> None:
    for number, package in enumerate((0, 0, 1, 1)):
        cpu(tmp_path, number, package)
    cpu(tmp_path, 9, "nonsense")
    (tmp_path / "devices/system/cpu/cpufreq").mkdir()
    assert packages(str(tmp_path)) == {0: 0, 1: 0, 2: 1, 3: 1}
    find = package_finder(str(world.root), str(tmp_path))
    assert find is not None
    world.process(7)
    world.process(8)
    for pid, last_cpu in ((7, b"3"), (8, b"77")):
        stat = world.root / str(pid) / "stat"
        fields = stat.read_bytes().split()
        stat.write_bytes(b" ".join(fields + [b"0"] * (38 - len(fields)) + [last_cpu, b"0"]))
    scanner = ProcessScan(str(world.root), {}, world.scanner()._source, world.sink, 60, find)
    scanner.scan(False, False)
    world.clocks.update({7: 10, 8: 10})
    statuses = {payload[1]: status for _, _, payload, status in scanner.scan(False, False)}
    assert statuses == {7: 2 << PACKAGE_SHIFT, 8: 0}
    assert find(999) == 0


def test_one_package_or_none_that_is_told_needs_no_looking(tmp_path: Path) -> None:
    assert package_finder("/proc", str(tmp_path)) is None
    cpu(tmp_path, 0, 0)
    cpu(tmp_path, 1, 0)
    assert package_finder("/proc", str(tmp_path)) is None
