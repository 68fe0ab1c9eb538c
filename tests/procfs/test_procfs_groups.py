"""Control groups: followed from their first process until they are removed, whatever their files do."""

from pathlib import Path

import pytest
from procworld import ProcWorld

from energyd.procfs.cgroup import CPUACCT, V2, Mount
from energyd.procfs.files import CounterFiles
from energyd.procfs.groups import GroupScan, parse_usage_ns
from energyd.procfs.scan import Sample
from energyd.samples import CGROUP, GONE

A, B = (V2, b"/a"), (V2, b"/b")


class Groups:
    """A v2 hierarchy in a temporary directory."""

    def __init__(self, root: Path, world: ProcWorld, limit: int = 8) -> None:
        self.root, self.world = root, world
        root.mkdir()
        self.files = CounterFiles(limit)
        self.scanner = GroupScan({V2: Mount(frozenset({V2}), b"/", bytes(root))}, self.files, world.sink)

    def write(self, name: str, usage_us: int, memory: int | None = None) -> None:
        directory = self.root / name
        directory.mkdir(exist_ok=True)
        (directory / "cpu.stat").write_text(f"usage_usec {usage_us}\nuser_usec 1\n")
        if memory is not None:
            (directory / "memory.current").write_text(f"{memory}\n")

    def remove(self, name: str) -> None:
        for file in (self.root / name).iterdir():
            file.write_bytes(b"")  # a descriptor of a removed group reads nothing or fails
            file.unlink()
        (self.root / name).rmdir()

    def scan(self, *holding: tuple[str, bytes], keyframe: bool = False, memory: bool = False) -> list[tuple[str, int, int, bool]]:
        """(path, cpu_ns, memory, gone)"""
        return [self.told(sample) for sample in self.scanner.scan(holding, keyframe, memory)]

    def told(self, sample: Sample) -> tuple[str, int, int, bool]:
        kind, _, (consumer, pid, start_ticks, cpu_ns, memory), status = sample
        assert (kind, pid, start_ticks) == (CGROUP, 0, 0)
        return self.world.labels[consumer]["path"], cpu_ns, memory, bool(status & GONE)


@pytest.fixture
def groups(tmp_path: Path, world: ProcWorld) -> Groups:
    return Groups(tmp_path / "cgroup", world)


def test_only_groups_that_used_cpu_are_told_and_all_in_a_keyframe(groups: Groups) -> None:
    groups.write("a", 5, memory=100)
    groups.write("b", 7)
    assert groups.scan(A, B) == [("/a", 5000, 100, False), ("/b", 7000, 0, False)]
    assert groups.scan(A, B) == []
    groups.write("b", 8)
    assert groups.scan(A, B) == [("/b", 8000, 0, False)]
    assert groups.scan(A, B, keyframe=True) == [("/a", 5000, 100, False), ("/b", 8000, 0, False)]
    assert groups.world.labels[1] == {"kind": "cgroup", "path": "/a", "controller": "v2"}


def test_memory_is_read_when_asked_for(groups: Groups) -> None:
    groups.write("a", 5, memory=100)
    groups.scan(A)
    groups.write("a", 5, memory=200)
    assert groups.scan(A) == []
    assert groups.scan(A, memory=True) == [("/a", 5000, 200, False)]


def test_an_empty_group_is_followed_because_short_lived_processes_may_use_it(groups: Groups) -> None:
    groups.write("a", 5)
    groups.scan(A)
    groups.write("a", 9)
    assert groups.scan() == [("/a", 9000, 0, False)]


def test_a_removed_group_is_told_once_and_its_descriptors_are_closed(groups: Groups) -> None:
    groups.write("a", 5, memory=1)
    groups.scan(A)
    assert len(groups.files) == 2
    groups.remove("a")
    assert groups.scan() == [("/a", 5000, 1, True)]
    assert len(groups.files) == 0
    assert groups.scan() == []


def test_a_group_made_again_under_its_name_is_another(groups: Groups) -> None:
    groups.write("a", 500)
    groups.scan(A)
    groups.write("a", 3)
    assert groups.scan(A) == [("/a", 500_000, 0, True), ("/a", 3000, 0, False)]
    assert [entry["path"] for entry in groups.world.labels.values()] == ["/a", "/a"]


def test_a_group_that_cannot_be_read_is_asked_for_again_at_the_keyframe(groups: Groups) -> None:
    (groups.root / "a").mkdir()
    (groups.root / "a" / "cpu.stat").write_text("nonsense\n")
    assert groups.scan(A) == []
    groups.write("a", 5)
    assert groups.scan(A) == []
    assert groups.scan(A, keyframe=True) == [("/a", 5000, 0, False)]
    assert groups.scanner.read_errors == 1
    assert groups.world.faults[0][0] == "cgroup malformed"


def test_a_group_outside_of_what_is_mounted_is_left_out(groups: Groups) -> None:
    assert groups.scan((V2, b"/../host")) == []
    assert groups.world.faults == []


def test_descriptors_are_bounded_and_every_group_is_still_read(tmp_path: Path, world: ProcWorld) -> None:
    groups = Groups(tmp_path / "cgroup", world, limit=3)
    names = [f"g{number}" for number in range(10)]
    holding = [(V2, b"/" + name.encode()) for name in names]
    for usage_us, name in enumerate(names):
        groups.write(name, usage_us)
    assert len(groups.scan(*holding)) == 10
    assert len(groups.files) == 3
    for usage_us, name in enumerate(names):
        groups.write(name, usage_us + 1)
    assert [cpu_ns for _, cpu_ns, _, _ in groups.scan(*holding)] == [1000 * number for number in range(1, 11)]


def test_after_a_rotation_groups_have_new_labels(groups: Groups) -> None:
    groups.write("a", 5)
    groups.scan(A)
    groups.world.labels.clear()
    groups.scanner.relabel()
    assert groups.scan(A, keyframe=True) == [("/a", 5000, 0, False)]


def test_v1_is_in_nanoseconds_and_its_memory_in_another_hierarchy(tmp_path: Path, world: ProcWorld) -> None:
    for directory, name, value in (("cpu", "cpuacct.usage", 12345), ("mem", "memory.usage_in_bytes", 678)):
        (tmp_path / directory / "x").mkdir(parents=True)
        (tmp_path / directory / "x" / name).write_text(f"{value}\n")
    mounts = {
        CPUACCT: Mount(frozenset({CPUACCT}), b"/", bytes(tmp_path / "cpu")),
        "memory": Mount(frozenset({"memory"}), b"/", bytes(tmp_path / "mem")),
    }
    [(_, _, payload, _)] = GroupScan(mounts, CounterFiles(8), world.sink).scan([(CPUACCT, b"/x")], False, False)
    assert payload[3:] == (12345, 678)


def test_a_cpu_stat_without_usage_is_refused() -> None:
    with pytest.raises(ValueError, match="usage_usec"):
        parse_usage_ns(V2, b"nr_periods 0\n")
