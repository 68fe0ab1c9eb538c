"""The scan of all processes: one counter read each, and a record only for those whose counter moved.

Counters are read in chunks by `list(map(...))` and compared by `compress(..., map(ne, ...))`: that is what makes a scan cost a
microsecond a process in Python. The time of a record is the middle of the reading of its chunk, at most 50 us from its own read.

Law: an identity (pid, start_ticks) has a counter that only grows. It ends with a GONE record of its last value when its pid no
longer answers, when the counter falls, or when the start time is found to be another's. Start times are compared for
every pid that the kernel has given out anew (`discovery`), for newborns at the next scan (most exec right after the fork), and
in turn, each within about half a minute, for those that used CPU: neither an exec nor a reuse goes without. A process that then
has another name or control group is the same identity with a new label.
"""

from collections.abc import Callable
from itertools import compress, islice
from operator import ne
from typing import Final, NamedTuple, Protocol

from energyd.procfs.cgroup import Mount
from energyd.procfs.clocks import GONE, CpuReader
from energyd.procfs.discovery import Found
from energyd.procfs.identity import Process, read_process, read_vitals
from energyd.procfs.table import ProcessTable, Tracked
from energyd.samples import GONE as GONE_STATUS
from energyd.samples import PACKAGE_SHIFT, PROCESS

CHUNK: Final = 64

PackageOf = Callable[[int], int]
"""1 + the package of the CPU that process `pid` last ran on; 0 = unknown."""

Sample = tuple[int, int, tuple[int, int, int, int, int], int]
"""kind, mono_ns, payload of the USAGE schema (consumer, pid, start_ticks, cpu_ns, mem_bytes), status."""


class Discovery(Protocol):
    """Finds new processes, given those known."""

    def find(self, known: dict[int, int], listing: bool) -> Found: ...


class Sink(NamedTuple):
    """What a scan needs of its surroundings, which it knows nothing about.

    `label` makes a description known and returns the number that stands for it; `fault` takes a key for the kind of a fault of
    the machine's and a message; `mono_ns` is CLOCK_MONOTONIC.
    """

    label: Callable[[dict[str, object]], int]
    fault: Callable[[str, str], None]
    mono_ns: Callable[[], int]


class Source(NamedTuple):
    """Where CPU times and new processes come from. `handle(pid)` is what `read` takes for a process."""

    read: CpuReader
    handle: Callable[[int], int]
    discovery: Discovery


class ProcessScan:
    """All processes of the machine. `mem_bytes` of a record is the resident set when the stat file was read last."""

    def __init__(
        self,
        procfs_root: str,
        mounts: dict[str, Mount],
        source: Source,
        sink: Sink,
        scans_per_round: int,
        package_of: PackageOf | None = None,
    ) -> None:
        """Processes that use CPU are visited again once in `scans_per_round` scans. `package_of` where there are several."""
        self._root = procfs_root
        self._mounts = mounts
        self._source = source
        self._sink = sink
        self._scans_per_round = scans_per_round
        self._package_of = package_of
        self._newborn: list[int] = []
        self._due: dict[int, None] = {}  # pids that used CPU since they were visited, in the order of their turns
        self.table = ProcessTable()
        self._finals: dict[int, int] = {}
        self.ended: list[Tracked] = []  # in this scan
        self.born = 0
        self.gone = 0
        self.read_errors = 0

    def scan(self, listing: bool, keyframe: bool, finals: dict[int, int] | None = None) -> list[Sample]:
        """What moved, was born or ended since the last scan; with `keyframe` everything that lives. `listing` looks for the new in
        the whole directory. `finals`: by pid, what is known from elsewhere of the clocks of those that have ended."""
        samples: list[Sample] = []
        self._finals = finals or {}
        self.ended.clear()
        found = self._source.discovery.find(self.table.position, listing)
        for pid in found.renewed:
            self._visit(pid, samples)
        reused = self._sweep(keyframe, samples)
        visits = [*self._newborn, *islice(self._due, 1 + len(self.table) // self._scans_per_round)]
        self._newborn = []
        for pid in visits:
            self._due.pop(pid, None)
            self._visit(pid, samples)
        for pid in (*found.new, *reused):
            self._add(pid, samples)
        return samples

    def relabel(self) -> None:
        """Describe all that lives once more, because the labels given out mean nothing any more. Who cannot be described is dropped
        without a record: the keyframe that has to follow lists it no longer."""
        for pid in list(self.table.position):
            position = self.table.position[pid]
            process = self._identify(pid)
            if process is None or process.stat.start_ticks != self.table.tracked[position].start_ticks:
                self._due.pop(pid, None)
                self.table.remove(position)
                self.gone += 1
            else:
                self.table.describe(position, process, self._sink.label(process.entry()))

    def _sweep(self, keyframe: bool, samples: list[Sample]) -> list[int]:
        """Read every counter and append what it says; returns the pids that have become other processes."""
        values, stamps = self._read_all()
        old, tracked = self.table.values, self.table.tracked
        ended: list[tuple[int, int]] = []
        reused: list[int] = []
        positions = range(len(values))
        for position in positions if keyframe else compress(positions, map(ne, values, old)):
            value, process, mono_ns = values[position], tracked[position], stamps[position // CHUNK]
            if value < old[position]:
                if value != GONE:
                    reused.append(process.pid)
                values[position] = old[position]
                ended.append((position, mono_ns))
                continue
            package = self._package_of(process.pid) << PACKAGE_SHIFT if self._package_of and value != old[position] else 0
            samples.append(
                (PROCESS, mono_ns, (process.consumer, process.pid, process.start_ticks, value, process.rss_bytes), package)
            )
            if value != old[position] and not process.kernel_thread:
                self._due[process.pid] = None
        self.table.values = values
        for position, mono_ns in reversed(ended):  # from the end, because a removal moves the last into the gap
            self._end(position, mono_ns, samples)
        return reused

    def _read_all(self) -> tuple[list[int], list[int]]:
        """The counters of all, and the time of each chunk."""
        read, handles, mono_ns = self._source.read, self.table.handles, self._sink.mono_ns
        values: list[int] = []
        stamps: list[int] = []
        before_ns = mono_ns()
        for start in range(0, len(handles), CHUNK):
            values += read(handles[start : start + CHUNK])
            after_ns = mono_ns()
            stamps.append((before_ns + after_ns) // 2)
            before_ns = after_ns
        return values, stamps

    def _visit(self, pid: int, samples: list[Sample]) -> None:
        """Is it still the same process, and still the same program in the same control group?"""
        position = self.table.position.get(pid)
        if position is None:
            return
        tracked = self.table.tracked[position]
        try:
            vitals = read_vitals(self._root, pid, self._mounts)
        except (OSError, ValueError) as error:
            self._unreadable(pid, error)
            return
        if vitals is None:  # gone in the meantime: the next sweep will tell
            return
        tracked.rss_bytes = vitals.stat.rss_bytes
        if vitals.stat.start_ticks != tracked.start_ticks:
            self._end(position, self._sink.mono_ns(), samples)
            self._add(pid, samples)
        elif vitals.membership != tracked.membership or (vitals.stat.comm != tracked.comm and not tracked.kernel_thread):
            process = self._identify(pid)
            if process is not None and process.stat.start_ticks == tracked.start_ticks:
                self.table.describe(position, process, self._sink.label(process.entry()))

    def _add(self, pid: int, samples: list[Sample]) -> None:
        process = None if pid in self.table.position else self._identify(pid)
        if process is None:
            return
        handle = self._source.handle(pid)
        [value] = self._source.read([handle])
        mono_ns = self._sink.mono_ns()
        if value == GONE:
            return
        tracked = Tracked(process, self._sink.label(process.entry()))
        self.table.add(tracked, handle, value)
        self._newborn.append(pid)
        self.born += 1
        samples.append((PROCESS, mono_ns, (tracked.consumer, pid, tracked.start_ticks, value, tracked.rss_bytes), 0))

    def _end(self, position: int, mono_ns: int, samples: list[Sample]) -> None:
        tracked = self.table.tracked[position]
        value = self.table.values[position] = max(self.table.values[position], self._finals.pop(tracked.pid, 0))
        self.ended.append(tracked)
        samples.append((PROCESS, mono_ns, (tracked.consumer, tracked.pid, tracked.start_ticks, value, 0), GONE_STATUS))
        self._due.pop(tracked.pid, None)
        self.table.remove(position)
        self.gone += 1

    def _identify(self, pid: int) -> Process | None:
        try:
            return read_process(self._root, pid, self._mounts)
        except (OSError, ValueError) as error:
            self._unreadable(pid, error)
            return None

    def _unreadable(self, pid: int, error: OSError | ValueError) -> None:
        self.read_errors += 1
        kind = error.strerror if isinstance(error, OSError) else "malformed"
        self._sink.fault(
            f"process {kind}", f"{self._root}/{pid}: {error}; this process is left out, what it uses counts as unattributed"
        )
