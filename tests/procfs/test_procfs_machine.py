"""The whole of a scan, on this machine and on a tree of another PID namespace."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from procworld import Children, ProcWorld

from energyd.procfs.belongings import Networks
from energyd.procfs.clocks import GONE, clock_id, clocks_reach, read_clock, read_clocks
from energyd.procfs.machine import KEYFRAME_NS, Machine
from energyd.procfs.stat import NS_PER_TICK
from energyd.samples import CONTROL, CPU_MODES, FIGURES, HOST_CPU, HOST_MEMORY, PROCESS
from energyd.samples import GONE as GONE_STATUS


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


needs_clocks = pytest.mark.skipif(not clocks_reach("/proc"), reason="this /proc is of another PID namespace")


@needs_clocks
def test_a_child_is_seen_to_be_born_to_use_cpu_and_to_end(
    world: ProcWorld, sleeper: Callable[[], int], end: Callable[[int], None], burner: Callable[[float], int]
) -> None:
    machine = Machine("/proc", "/sys", 500_000_000, world.sink)
    assert machine.scan().keyframe
    pid = sleeper()
    born = [sample for sample in machine.scan().samples if sample[2][1] == pid]
    assert [world.labels[sample[2][0]]["pid"] for sample in born if sample[0] == PROCESS] == [pid]
    end(pid)
    gone = [sample for sample in machine.scan().samples if sample[2][1] == pid]
    assert [status for _, _, _, status in gone] == [GONE_STATUS]
    machine.close()


@needs_clocks
def test_every_process_of_the_directory_is_in_the_first_scan(world: ProcWorld, sleeper: Callable[[], int]) -> None:
    pids = {sleeper() for _ in range(3)} | {os.getpid(), os.getppid()}
    machine = Machine("/proc", "/sys", 500_000_000, world.sink)
    scan = machine.scan()
    assert pids <= {sample[2][1] for sample in scan.samples if sample[0] == PROCESS}
    assert [sample[2][0] for sample in scan.samples if sample[0] == HOST_CPU] == list(range(len(CPU_MODES)))
    assert any(sample[0] == HOST_MEMORY for sample in scan.samples)
    [control] = [sample for sample in scan.samples if sample[0] == CONTROL]
    assert world.labels[control[2][0]]["kind"] == "control"
    assert control[2][3] > 0
    assert world.labels[control[2][0]]["source"] in machine.describe()
    assert not world.faults
    machine.close()


@needs_clocks
def test_live_processes_and_the_control_total_tell_the_same_story(world: ProcWorld, burner: Callable[[float], int]) -> None:
    machine = Machine("/proc", "/sys", 500_000_000, world.sink)

    def total() -> tuple[int, int]:
        [control] = [sample[2][3] for sample in machine.scan().samples if sample[0] == CONTROL]
        return sum(machine.processes.table.values), control

    machine.scan()
    live, control = total()
    begin = time.monotonic()
    while time.monotonic() - begin < 0.5:
        pass
    live_after, control_after = total()
    assert control_after - control >= (live_after - live) - 30_000_000
    machine.close()


def test_another_pid_namespace_is_read_from_its_stat_files(world: ProcWorld) -> None:
    world.process(1, b"init", 5, ticks=(3, 4))
    (world.root / "stat").write_bytes(b"cpu  1 2 3 4 5 6 7 8 9 10\n")
    (world.root / "meminfo").write_bytes(b"MemTotal: 4 kB\n")
    machine = Machine(str(world.root), "/nowhere", 500_000_000, world.sink)
    assert not machine.by_clocks
    assert "stat files" in machine.describe()
    assert "/proc/stat" in machine.describe()
    samples = machine.scan().samples
    assert [(pid, ns) for kind, _, (_, pid, _, ns, _), _ in samples if kind == PROCESS] == [(1, 7 * NS_PER_TICK)]
    assert [ns for kind, _, (_, _, _, ns, _), _ in samples if kind == CONTROL] == [(1 + 2 + 3 + 6 + 7) * NS_PER_TICK]
    world.end(1)
    world.process(2, b"next", 6)
    assert world.told(machine.scan().samples) == [("init", 1, 7 * NS_PER_TICK, True), ("next", 2, 0, False)]


def test_what_the_host_does_not_tell_is_a_fault_and_the_rest_goes_on(world: ProcWorld) -> None:
    world.process(1)
    machine = Machine(str(world.root), "/nowhere", 500_000_000, world.sink)
    assert [kind for kind, _, _, _ in machine.scan().samples] == [PROCESS]
    devices = {"devices loadavg", "devices diskstats", "devices dev"}
    assert {kind for kind, _ in world.faults} == {"host", "control total"} | devices
    assert machine.read_errors == 3 + len(devices)


def test_keyframes_come_every_30_s_and_memory_every_second(world: ProcWorld) -> None:
    (world.root / "stat").write_bytes(b"cpu  1 2 3 4 5 6 7 8 9 10\n")
    (world.root / "meminfo").write_bytes(b"MemTotal: 4 kB\n")
    machine = Machine(str(world.root), "/nowhere", 500_000_000, world.sink)
    keyframes, memories = [], []
    for tick in range(2 * KEYFRAME_NS // 500_000_000 + 1):
        world.now_ns = tick * 500_000_000 + tick % 3 * 1000  # a little late now and then
        scan = machine.scan()
        if scan.keyframe:
            keyframes.append(tick)
        if any(kind == HOST_MEMORY for kind, _, _, _ in scan.samples):
            memories.append(tick)
    assert keyframes == [0, 60, 120]
    assert memories == list(range(0, 121, 2))
    machine.relabel()
    assert machine.scan().keyframe


def test_devices_are_read_every_second_and_traffic_of_control_groups_every_five(
    world: ProcWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.root / "stat").write_bytes(b"cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 0\n")
    (world.root / "1" / "net").mkdir(parents=True)
    net = world.root / "1/net/dev"
    net.write_text("a|\nb|\n")
    machine = Machine(str(world.root), "/nowhere", 500_000_000, world.sink)
    devices: list[int] = []
    traffic: list[bool] = []
    monkeypatch.setattr(Networks, "scan", lambda _networks, keyframe: traffic.append(keyframe) or [])
    for tick in range(121):
        world.now_ns = tick * 500_000_000 + tick % 3 * 1000
        net.write_text(f"a|\nb|\n eth0: {tick} 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n")
        if any(kind == FIGURES for kind, _, _, _ in machine.scan().samples):
            devices.append(tick)
    assert devices == list(range(0, 121, 2))
    assert traffic == [tick % 60 == 0 for tick in range(0, 121, 10)]
    machine.close()


@needs_clocks
def test_an_exec_of_a_real_process_gives_it_a_new_label(world: ProcWorld, children: Children) -> None:
    reading, writing = os.pipe()

    def become_sleep() -> None:
        os.read(reading, 1)
        os.execvp("sleep", ["sleep", "60"])

    machine = Machine("/proc", "/sys", 500_000_000, world.sink)
    machine.scan()
    pid = children.fork(become_sleep)
    machine.scan()
    os.write(writing, b"!")
    os.close(reading)
    os.close(writing)
    wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
    machine.scan()
    names = [(entry["comm"], entry["argv"], entry["start_ticks"]) for entry in world.labels.values() if entry.get("pid") == pid]
    assert len(names) == 2
    assert names[1][:2] == ("sleep", ["sleep", "60"])
    assert names[0][0] != "sleep"
    assert names[0][2] == names[1][2]
    machine.close()


@needs_clocks
def test_the_clock_of_a_process_answers_until_it_is_reaped(sleeper: Callable[[], int], end: Callable[[int], None]) -> None:
    pid = sleeper()
    before, own = read_clocks([clock_id(pid), clock_id(os.getpid())])
    assert own > before >= 0
    end(pid)
    assert read_clocks([clock_id(os.getpid()), clock_id(pid)])[1] == GONE


@needs_clocks
def test_the_id_of_a_thread_is_not_taken_for_a_process() -> None:
    started, finished = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (started.set(), finished.wait()))
    thread.start()
    started.wait()
    assert thread.native_id is not None
    assert read_clock(clock_id(thread.native_id)) == GONE
    finished.set()
    thread.join()


def test_clocks_reach_only_the_procfs_that_knows_us_under_our_own_pid(world: ProcWorld) -> None:
    own = world.root / "self"
    own.mkdir()
    assert not clocks_reach(str(world.root))
    (own / "status").write_text(f"Name:\tx\nNSpid:\t12345\t{os.getpid()}\n")
    assert not clocks_reach(str(world.root)), "an ancestor's"
    (own / "status").write_text(f"Name:\tx\nNSpid:\t{os.getpid()}\n")
    assert clocks_reach(str(world.root))


def test_mounts_that_cannot_be_read_leave_ticks(tmp_path: Path, world: ProcWorld) -> None:
    machine = Machine(str(tmp_path), str(tmp_path), 500_000_000, world.sink)
    assert "/proc/stat" in machine.describe()
