"""Shares of real processes in real control groups, against what the processes and the kernel say themselves."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cpuaccount import BURNER, STORM, Machine, cgroup_roots, clock_log, used_ns

from energyd.procfs.clocks import clocks_reach
from energyd.procfs.taskstats import Silence, listen
from energyd.units import NS_PER_S

ROOTS = cgroup_roots()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not ROOTS, reason="no control groups may be made here"),
    pytest.mark.skipif(not clocks_reach("/proc"), reason="this /proc is of another PID namespace"),
]


def may_listen() -> bool:
    listener, _ = listen("/sys")
    listener.close()
    return not isinstance(listener, Silence)


WITHOUT_ADMIN = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")


def name(letter: str) -> str:
    return f"energyd-e2e-{os.getpid()}-{letter}.service"


@pytest.fixture
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    options = dict(getattr(request, "param", {}))
    root = ROOTS.get(options.pop("hierarchy", next(iter(ROOTS))))
    if root is None:
        pytest.skip("no such hierarchy here")
    made = Machine(root, **options)
    yield made
    message = made.close()
    assert made.worker.returncode == 0, message


@pytest.mark.parametrize("machine", [{"rate_hz": 10.0}], indirect=True)
def test_two_burners_at_one_to_three_get_what_their_own_clocks_say(machine: Machine) -> None:
    """Within 2 % over 10 s, within 5 % over each second."""
    burners = [machine.spawn(name(letter), BURNER, str(share)) for letter, share in (("a", 0.2), ("b", 0.6))]
    machine.run(1)
    for burner in burners:
        machine.start(burner)
    machine.run(13)
    logs = [clock_log(burner) for burner in burners]
    names = (name("a"), name("b"))
    begin_ns, end_ns = max(log[0][0] for log in logs) + NS_PER_S // 2, min(log[-1][0] for log in logs) - NS_PER_S // 2
    ends = [at_ns for at_ns, _ in machine.settled if begin_ns <= at_ns <= end_ns]

    def error(first_ns: int, last_ns: int) -> float:
        """Of the smaller share, relative."""
        energies = machine.energies(first_ns, last_ns, names)
        used = np.array([used_ns(log, first_ns, last_ns) for log in logs])
        return float(np.abs(energies / energies.sum() / (used / used.sum()) - 1).max())

    first_ns = ends[0]
    last_ns = max(at_ns for at_ns in ends if at_ns <= first_ns + 10 * NS_PER_S)
    assert last_ns - first_ns > 9.8 * NS_PER_S
    assert error(first_ns, last_ns) <= 0.02
    seconds = [
        (begin, next(at_ns for at_ns in ends if at_ns >= begin + NS_PER_S))
        for begin in ends[::10]
        if begin + 1.2 * NS_PER_S < ends[-1]
    ]
    errors = [error(*each) for each in seconds]
    assert len(errors) >= 8
    assert max(errors) <= 0.05, errors


CPUS = sorted(os.sched_getaffinity(0))


@pytest.fixture
def two_sockets(tmp_path: Path) -> Iterator[Machine]:
    """A machine whose second CPU is another package: 20 W the first, 80 W the second."""
    for cpu in CPUS:
        topology = tmp_path / f"devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text("1\n" if cpu == CPUS[1] else "0\n")
    made = Machine(next(iter(ROOTS.values())), rate_hz=10.0, powers_w=(20, 80), sysfs_root=str(tmp_path))
    yield made
    message = made.close()
    assert made.worker.returncode == 0, message


def busy_s(cpu: int) -> float:
    """CPU seconds of all tasks on one CPU, by the kernel's own account."""
    [line] = [line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{cpu} ")]
    user, nice, system, _, _, irq, softirq = map(int, line.split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs")
def test_on_two_sockets_the_energy_of_each_goes_to_who_runs_on_it(two_sockets: Machine) -> None:
    """By the last CPU that each scan saw, which is an estimate and says so: within a fifth of what the kernel counted per CPU."""
    machine = two_sockets
    burners = [machine.spawn(name(letter), BURNER, "0.5") for letter in "cd"]
    for burner, cpu in zip(burners, CPUS, strict=False):
        os.sched_setaffinity(burner.pid, {cpu})
    machine.run(1)
    for burner in burners:
        machine.start(burner)
    machine.run(2)
    names = (name("c"), name("d"))
    begin_ns, begin_busy_s = machine.settled[-1][0], [busy_s(cpu) for cpu in CPUS[:2]]
    machine.run(10)
    end_ns, end_busy_s = machine.settled[-1][0], [busy_s(cpu) for cpu in CPUS[:2]]
    used_s = [used_ns(clock_log(burner), begin_ns, end_ns) / 1e9 for burner in burners]
    elapsed_s = (end_ns - begin_ns) / 1e9
    energies_j = machine.energies(begin_ns, end_ns, names) / 1e6
    expected_j = [
        power_w * elapsed_s * used / (after - before)
        for power_w, used, before, after in zip((20, 80), used_s, begin_busy_s, end_busy_s, strict=True)
    ]
    if len(CPUS) == 2:  # more of them share the first package
        assert energies_j == pytest.approx(expected_j, rel=0.2)
    assert energies_j[1] > 2 * energies_j[0]
    assert {zone.shared_by for zone in machine.snapshot().zones} == {"cpu_time_by_last_cpu"}
    check_conservation(machine)


def group_s(machine: Machine) -> float:
    """CPU seconds of the storm's group."""
    return sum(group.cpu_ns for group in machine.snapshot().groups.visible if group.group == name("storm")) / 1e9


def run_storm(machine: Machine, parent: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Let it go; CPU seconds of all children, and of their parent meanwhile."""
    machine.start(parent)
    assert parent.stdout is not None
    os.set_blocking(parent.stdout.fileno(), False)
    line = b""
    while not line.endswith(b"\n"):
        machine.run(0.5)
        line += parent.stdout.read() or b""
    machine.run(1.5)
    children_s, parent_s = map(float, line.split())
    return children_s, parent_s


def storm(machine: Machine) -> tuple[float, float]:
    """1000 processes of 5 ms, one after the other, in a control group: CPU seconds of them all, and what their group got beyond
    what their parent used meanwhile."""
    parent = machine.spawn(name("storm"), STORM, "1000", "5000000")
    machine.run(1.5)
    before_s = group_s(machine)
    children_s, parent_s = run_storm(machine, parent)
    return children_s, group_s(machine) - before_s - parent_s


def energy_of(machine: Machine, group: str) -> int:
    return sum(by_group[group] for _, by_group in machine.settled)


def check_conservation(machine: Machine) -> None:
    shot = machine.snapshot()
    groups = shot.groups
    given_uj = sum(group.energy_uj for group in groups.visible) + groups.other_energy_uj + groups.gone_energy_uj
    assert given_uj + groups.ungrouped_energy_uj == sum(zone.processes_uj + zone.exited_uj for zone in shot.zones)
    for zone in shot.zones:
        assert zone.processes_uj + zone.exited_uj + zone.idle_uj + zone.unattributed_uj + zone.pending_uj == zone.energy_uj


@pytest.mark.skipif(not may_listen(), reason="exit records may not be had here")
def test_with_exit_records_a_storm_ends_under_its_own_name(machine: Machine) -> None:
    """At least 90 % of its CPU time, and of the energy that belongs to that time."""
    children_s, _ = storm(machine)
    brief = [process for process in machine.snapshot().processes.visible if process.comm == "brief"]
    named = [
        process for process in brief if name("storm") in (process.cgroup.rpartition("/")[2], process.group)
    ]  # there may be others
    assert {(process.cgroup.rpartition("/")[2], process.group) for process in named} == {(name("storm"), name("storm"))}
    assert sum(process.cpu_ns for process in named) / 1e9 == pytest.approx(children_s, rel=0.1)
    [unit] = [group for group in machine.snapshot().groups.visible if group.group == name("storm")]
    assert sum(process.energy_uj for process in named) >= 0.9 * children_s * 1e9 / unit.cpu_ns * unit.energy_uj
    check_conservation(machine)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
@pytest.mark.parametrize(
    "machine",
    [{"prefix": WITHOUT_ADMIN, "hierarchy": "cpuacct"}, {"prefix": WITHOUT_ADMIN, "hierarchy": "v2"}],
    indirect=True,
    ids=["cpuacct", "v2"],
)
def test_without_exit_records_a_storm_ends_in_its_own_control_group(machine: Machine) -> None:
    """At least 99 % of its CPU time."""
    children_s, exited_s = storm(machine)
    assert exited_s >= 0.99 * children_s
    assert exited_s <= 1.02 * children_s + 0.02
    assert not [process for process in machine.snapshot().processes.visible if process.comm == "brief" and not process.pid]
    check_conservation(machine)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
@pytest.mark.parametrize("machine", [{"prefix": WITHOUT_ADMIN}], indirect=True)
def test_with_neither_a_storm_ends_under_its_parents_name(machine: Machine) -> None:
    """At least 90 % of its CPU time, none of it twice; the group is the parent's."""
    if Path("/proc/self/cgroup").read_text().count(":/\n") < 2:
        pytest.skip("we are in a control group that counts")
    parent = machine.spawn("", STORM, "1000", "5000000", "stormy")
    machine.run(1.5)
    children_s, _ = run_storm(machine, parent)
    [told] = [process for process in machine.snapshot().processes.visible if process.comm == "stormy" and not process.pid]
    [stormy] = [process for process in machine.snapshot().processes.visible if process.comm == "stormy" and process.pid]
    assert 0.9 * children_s <= told.cpu_ns / 1e9 <= children_s + 0.05
    assert (told.group, told.environment) == (stormy.group, stormy.environment)
    check_conservation(machine)
