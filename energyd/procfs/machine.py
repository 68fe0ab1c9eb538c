"""All that the usage reader looks at, put together: processes, control groups, the control total, the host.

The records of one batch are read in this order: processes (most in number), control total and groups right behind them, then the
host. Law: raw counters only; each record bears the time of its own read, or of the 64 reads around it.
"""

import os
import resource
from typing import Final, NamedTuple

from energyd.procfs import clocks
from energyd.procfs.belongings import DiskTraffic, Networks
from energyd.procfs.cgroup import Mount, parse_mounts
from energyd.procfs.children import ChildTime
from energyd.procfs.commands import CommandLabels
from energyd.procfs.control import choose_control
from energyd.procfs.devices import Devices
from energyd.procfs.discovery import CursorDiscovery, ListingDiscovery, tells_newest_pid
from energyd.procfs.exits import Exits
from energyd.procfs.files import CounterFiles
from energyd.procfs.groups import GroupScan
from energyd.procfs.host import Host
from energyd.procfs.identity import read_stat
from energyd.procfs.scan import ProcessScan, Sample, Sink, Source
from energyd.procfs.stat import NS_PER_TICK
from energyd.procfs.taskstats import Silence, listen
from energyd.procfs.topology import package_finder
from energyd.samples import CONTROL, KEYFRAME_NS
from energyd.units import NS_PER_S

MEMORY_NS: Final = NS_PER_S
BELONGINGS_NS: Final = 5 * NS_PER_S
"""Between two readings of what control groups have besides CPU time and memory: several files each."""
_SPARE_DESCRIPTORS: Final = 64
"""Left of the process' limit for the ring, the logs and files read once."""


class Scan(NamedTuple):
    """One batch: `begin_ns` is CLOCK_MONOTONIC before its first read; a keyframe holds every consumer that lives."""

    begin_ns: int
    samples: list[Sample]
    keyframe: bool


class Machine:
    """`scan` at every tick. Roots may be another machine's trees; `period_ns` is how often `scan` will be called."""

    def __init__(self, procfs_root: str, sysfs_root: str, period_ns: int, sink: Sink) -> None:
        self._sink = sink
        self._period_ns = period_ns
        soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._files = CounterFiles(max(0, soft_limit - _SPARE_DESCRIPTORS))
        mounts = read_mounts(procfs_root, sysfs_root)
        self.by_clocks = clocks.clocks_reach(procfs_root)
        source = clock_source(procfs_root, self._files) if self.by_clocks else stat_source(procfs_root)
        packages = package_finder(procfs_root, sysfs_root)
        self.processes = ProcessScan(procfs_root, mounts, source, sink, max(1, KEYFRAME_NS // period_ns), packages)
        listener, self._listening = listen(sysfs_root) if self.by_clocks else (Silence(), "short-lived processes without names")
        self._commands = CommandLabels(sink)
        self.exits = Exits(listener, self.processes.table, self._commands, sink)
        silent = isinstance(listener, Silence)
        self._children = ChildTime(procfs_root, self.processes.table, source, self._commands, sink) if silent else None
        self._groups = GroupScan(mounts, self._files, sink)
        self._host = Host(procfs_root, self._files, sink)
        self._devices = Devices(procfs_root, sysfs_root, self._files, sink)
        self._disk_traffic = DiskTraffic(mounts, self._files, sink)
        self._networks = Networks(procfs_root, self.processes.table, sink)
        self._control = choose_control(mounts, self._files, self.processes.table.root_group_ns)
        self._control_consumer = self._label_control()
        self._control_errors = 0
        self._keyframe_ns: int | None = None  # of the last one
        self._memory_ns: int | None = None
        self._belongings_ns: int | None = None

    def describe(self) -> str:
        """One line on where the figures come from."""
        source = (
            "POSIX CPU clocks" if self.by_clocks else f"stat files in steps of {NS_PER_TICK // 1_000_000} ms (other PID namespace)"
        )
        return f"processes by {source}, control total by {self._control.source}, {self._listening}"

    @property
    def read_errors(self) -> int:
        parts = (self.processes, self._groups, self._host, self._devices, self._networks)
        return sum(part.read_errors for part in parts) + self._control_errors

    def counters(self) -> tuple[int, ...]:
        """In the order of samples.COUNTERS, without the first two, which are the loop's."""
        processes, exits = self.processes, self.exits
        return self.read_errors, processes.born, processes.gone, exits.records, exits.lost

    def scan(self) -> Scan:
        """What moved since the last scan. The first is a keyframe, and then one every 30 s."""
        begin_ns = self._sink.mono_ns()
        keyframe = self._is_due(self._keyframe_ns, KEYFRAME_NS, begin_ns)
        memory = keyframe or self._is_due(self._memory_ns, MEMORY_NS, begin_ns)
        finals = self.exits.before()
        samples = self.processes.scan(listing=keyframe, keyframe=keyframe, finals=finals)
        for tracked in self.processes.ended:
            self.exits.note(tracked)
        if self._children is not None:
            samples += self._children.after(samples, keyframe)
        cpu_ns = self._host.cpu_ns()
        samples += self._read_control(cpu_ns)
        samples += self._groups.scan(self.processes.table.groups, keyframe, memory)
        samples += self.exits.after()
        samples += self._host.cpu(cpu_ns)
        if memory:
            samples += self._host.memory()
            samples += self._devices.scan(keyframe, self._host.stat)
            self._memory_ns = begin_ns
        if keyframe or self._is_due(self._belongings_ns, BELONGINGS_NS, begin_ns):
            samples += self._disk_traffic.scan(self._groups.followed(), keyframe)
            samples += self._networks.scan(keyframe)
            self._belongings_ns = begin_ns
        if keyframe:
            self._commands.forget_silent()
            self._keyframe_ns = begin_ns
        return Scan(begin_ns, samples, keyframe)

    def relabel(self) -> None:
        """The labels given out mean nothing any more: give new ones to all that lives, and make the next scan a keyframe."""
        self.processes.relabel()
        self._groups.relabel()
        for labelled in (self._devices, self._disk_traffic, self._networks):
            labelled.relabel()
        self._commands.relabel()
        self._control_consumer = self._label_control()
        self._keyframe_ns = None

    def close(self) -> None:
        self.exits.close()
        self._files.close()

    def _is_due(self, last_ns: int | None, every_ns: int, now_ns: int) -> bool:
        """Ticks come a little early or late: the one nearest to the due time counts."""
        return last_ns is None or now_ns - last_ns >= every_ns - self._period_ns // 2

    def _label_control(self) -> int:
        return self._sink.label({"kind": "control", "source": self._control.source})

    def control_ns(self) -> int:
        """CPU time of all tasks as of now, between two scans; 0 when it cannot be read."""
        return sum(total_ns for _, _, (_, _, _, total_ns, _), _ in self._read_control(self._host.cpu_ns()))

    def _read_control(self, host_cpu_ns: list[int]) -> list[Sample]:
        try:
            total_ns = self._control.total_ns(host_cpu_ns)
        except (OSError, ValueError, IndexError) as error:
            self._control_errors += 1
            self._sink.fault(
                "control total", f"control total ({self._control.source}): {error}; processes that ended are not accounted"
            )
            return []
        return [(CONTROL, self._sink.mono_ns(), (self._control_consumer, 0, 0, total_ns, 0), 0)]


def read_mounts(procfs_root: str, sysfs_root: str) -> dict[str, Mount]:
    """Where control groups are mounted; empty where that cannot be read."""
    try:
        with open(f"{procfs_root}/self/mountinfo", "rb") as file:
            return parse_mounts(file.read(), os.fsencode(sysfs_root))
    except OSError:
        return {}


def clock_source(procfs_root: str, files: CounterFiles) -> Source:
    """For a procfs of our own PID namespace. Without a newest pid to go by, /proc is listed at every scan."""
    if not tells_newest_pid(procfs_root):
        return Source(clocks.read_clocks, clocks.clock_id, ListingDiscovery(procfs_root))
    loadavg = os.fsencode(f"{procfs_root}/loadavg")
    return Source(clocks.read_clocks, clocks.clock_id, CursorDiscovery(procfs_root, lambda: files.read(loadavg)))


def stat_source(procfs_root: str) -> Source:
    """For any other: 10 to 15 us a process instead of one, and ticks instead of nanoseconds."""

    def read_one(pid: int) -> int:
        try:
            stat = read_stat(procfs_root, pid)
        except (OSError, ValueError):
            return clocks.GONE
        return clocks.GONE if stat is None else stat.cpu_ns

    def read(pids: list[int]) -> list[int]:
        return list(map(read_one, pids))

    return Source(read, int, ListingDiscovery(procfs_root))
