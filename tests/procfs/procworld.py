"""A procfs of one's own: directories of processes that a test writes, and clocks that it sets by hand."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from energyd.procfs.clocks import GONE
from energyd.procfs.discovery import Found
from energyd.procfs.scan import ProcessScan, Sample, Sink, Source
from energyd.samples import GONE as GONE_STATUS
from energyd.samples import PROCESS

KERNEL_THREAD = 0x00200000


def stat_line(
    pid: int,
    comm: bytes,
    start_ticks: int,
    *,
    ppid: int = 1,
    ticks: tuple[int, int] = (0, 0),
    child_ticks: tuple[int, int] = (7, 7),
    flags: int = 0,
    rss_pages: int = 0,
) -> bytes:
    head = b"%d (%s) S %d 1 1 0 -1 %d 9 9 9 9 %d %d %d %d 20 0 1 0 " % (pid, comm, ppid, flags, *ticks, *child_ticks)
    return head + b"%d 123456 %d 18446744073709551615 1 1 0 0 0 0\n" % (start_ticks, rss_pages)


class ProcWorld:
    """`root` is a fake procfs; `labels` and `faults` what was said; `clocks` the CPU time of each pid in ns."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.labels: dict[int, dict[str, Any]] = {}
        self.faults: list[tuple[str, str]] = []
        self.clocks: dict[int, int] = {}
        self.renewed: list[int] = []
        self.now_ns = 0
        self.sink = Sink(self._label, lambda kind, message: self.faults.append((kind, message)), self._mono_ns)

    def _label(self, entry: dict[str, object]) -> int:
        self.labels[len(self.labels) + 1] = entry
        return len(self.labels)

    def _mono_ns(self) -> int:
        self.now_ns += 1
        return self.now_ns

    def process(
        self, pid: int, comm: bytes = b"work", start_ticks: int = 1, cpu_ns: int = 0, *, cgroup: bytes = b"0::/\n", **stat: Any
    ) -> None:
        """Write what procfs shows of a process; its clock answers from now on."""
        directory = self.root / str(pid)
        directory.mkdir(exist_ok=True)
        (directory / "stat").write_bytes(stat_line(pid, comm, start_ticks, **stat))
        (directory / "status").write_bytes(b"Name:\t" + comm + b"\nUid:\t1000\t0\t0\t0\n")
        (directory / "cmdline").write_bytes(b"/bin/" + comm + b"\0--flag\0")
        (directory / "cgroup").write_bytes(cgroup)
        self.clocks[pid] = cpu_ns

    def end(self, pid: int) -> None:
        for file in (self.root / str(pid)).iterdir():
            file.unlink()
        (self.root / str(pid)).rmdir()
        del self.clocks[pid]

    # the discovery and the clocks that ProcessScan is given
    def find(self, known: dict[int, int], listing: bool) -> Found:
        renewed, self.renewed = self.renewed, []
        return Found([pid for pid in self.clocks if pid not in known], renewed)

    def read(self, pids: list[int]) -> list[int]:
        return [self.clocks.get(pid, GONE) for pid in pids]

    def scanner(self, mounts: dict[str, Any] | None = None, scans_per_round: int = 60) -> ProcessScan:
        return ProcessScan(str(self.root), mounts or {}, Source(self.read, int, self), self.sink, scans_per_round)

    def told(self, samples: list[Sample]) -> list[tuple[str, int, int, bool]]:
        """(comm, pid, cpu_ns, gone) of the processes in a scan."""
        return [
            (self.labels[consumer]["comm"], pid, cpu_ns, bool(status & GONE_STATUS))
            for kind, _, (consumer, pid, _, cpu_ns, _), status in samples
            if kind == PROCESS
        ]


class Children:
    """Real processes, each killed and reaped at the latest when the test ends."""

    def __init__(self) -> None:
        self.pids: list[int] = []

    def fork(self, work: Callable[[], object]) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                work()
            finally:
                os._exit(0)
        self.pids.append(pid)
        return pid

    def end(self, pid: int) -> None:
        self.pids.remove(pid)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
