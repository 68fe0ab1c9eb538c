"""The control total: the best source that can be read, and a total that never falls."""

import time
from collections.abc import Callable
from pathlib import Path

from energyd.procfs.cgroup import CPUACCT, V2, Mount
from energyd.procfs.control import GroupsAndRootTasks, HostTicks, choose_control
from energyd.procfs.files import CounterFiles
from energyd.procfs.machine import read_mounts


def v1(root: Path, usage_ns: int) -> Mount:
    (root / "cpuacct.usage").write_text(f"{usage_ns}\n")
    return Mount(frozenset({CPUACCT}), b"/", bytes(root))


def group(root: Path, name: str, usage_us: int) -> None:
    (root / name).mkdir(exist_ok=True)
    (root / name / "cpu.stat").write_text(f"usage_usec {usage_us}\n")


def test_the_cpuacct_root_is_preferred(tmp_path: Path) -> None:
    (tmp_path / "release_agent").touch()
    control = choose_control({CPUACCT: v1(tmp_path, 42)}, CounterFiles(8), lambda: 0)
    assert (control.source, control.total_ns([])) == ("cpuacct.usage", 42)


def test_a_container_s_own_cpuacct_is_not_the_machine_s(tmp_path: Path) -> None:
    assert choose_control({CPUACCT: v1(tmp_path, 42)}, CounterFiles(8), lambda: 0).source == "/proc/stat"


def test_v2_is_the_groups_below_the_root_and_the_tasks_in_it(tmp_path: Path) -> None:
    group(tmp_path, "system.slice", 5)
    group(tmp_path, "user.slice", 7)
    control = choose_control({V2: Mount(frozenset({V2}), b"/", bytes(tmp_path))}, CounterFiles(8), lambda: 100)
    assert (control.source, control.total_ns([])) == ("cpu.stat", 12_100)


def test_a_container_s_own_v2_is_not_the_machine_s(tmp_path: Path) -> None:
    (tmp_path / "cgroup.type").touch()
    mounts = {V2: Mount(frozenset({V2}), b"/", bytes(tmp_path))}
    assert choose_control(mounts, CounterFiles(8), lambda: 0).source == "/proc/stat"


def test_the_v2_total_never_falls_when_groups_come_and_go(tmp_path: Path) -> None:
    files = CounterFiles(8)
    control = GroupsAndRootTasks(Mount(frozenset({V2}), b"/", bytes(tmp_path)), files, lambda: 0)
    group(tmp_path, "a", 5)
    group(tmp_path, "b", 7)
    assert control.total_ns([]) == 12_000
    (tmp_path / "a" / "cpu.stat").unlink()
    files.forget(bytes(tmp_path / "a" / "cpu.stat"))
    (tmp_path / "a").rmdir()
    assert control.total_ns([]) == 12_000, "what the removed group had is kept"
    group(tmp_path, "c", 4)
    assert control.total_ns([]) == 16_000
    group(tmp_path, "c", 1)
    assert control.total_ns([]) == 17_000, "made again under its name"


def test_ticks_are_the_last_resort_and_leave_out_idle_iowait_and_steal() -> None:
    control = choose_control({}, CounterFiles(8), lambda: 0)
    assert control.total_ns([1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000]) == 1_100_111


def test_the_sources_of_this_machine_agree(burner: Callable[[float], int]) -> None:
    """Whatever is chosen here counts a burner as its own clock does, within ticks and what else runs."""
    files = CounterFiles(8)
    control = choose_control(read_mounts("/proc", "/sys"), files, lambda: 0)
    if isinstance(control, (HostTicks, GroupsAndRootTasks)):
        return  # needs the process scan; the worker's test has it
    before = control.total_ns([])
    burner(0.3)
    time.sleep(0.02)
    assert control.total_ns([]) - before >= 290_000_000
    files.close()
