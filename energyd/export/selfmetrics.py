"""What energyd itself costs: each of its processes, its state, how often it was started again, its CPU time and its memory.

Who they are is told by the supervisor's report (workers.json, or what PID 1 says of the units), where nobody reports by the writers
of the rings; what they use by /proc/PID/stat (proc(5)), fields 14, 15 and 24. That is the /proc of our own PID namespace, never the
`procfs_root` of the configuration, which may be the host's.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from energyd.aggregate.snapshot import Ring
from energyd.export.metric import NS, Family, Metric, counter, gauge
from energyd.service.clock import Clock
from energyd.units import NS_PER_S

AGGREGATOR: Final = "aggregator"
SUPERVISOR: Final = "supervisor"
_STATE, _UTIME, _STIME, _RSS = 0, 11, 12, 21  # fields of /proc/PID/stat behind the name, which ends at the last ')'
_DEAD: Final = "ZX"

_WORKERS: Final = "readers + 4"
WORKER_UP = gauge("energyd_worker_up", "", "1 while the process lives.", ("worker",), _WORKERS)
WORKER_STATE = gauge(
    "energyd_worker_state",
    "",
    "1 for the state that the process is in by its supervisor's word, 0 for the others.",
    ("worker", "state"),
    f"5 x ({_WORKERS})",
)
WORKER_RESTARTS = counter(
    "energyd_worker_restarts_total",
    "",
    "Times that the process was started again, since its supervisor runs.",
    ("worker",),
    _WORKERS,
)
WORKER_CPU = counter(
    "energyd_worker_cpu_seconds_total", "seconds", "CPU time of the process since it was started.", ("worker",), _WORKERS, NS
)
WORKER_MEMORY = gauge(
    "energyd_worker_resident_memory_bytes",
    "bytes",
    "Memory of the process that is in RAM, shared pages included.",
    ("worker",),
    _WORKERS,
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


STATES: Final = ("running", "starting", "backoff", "stopped", "failed")
_STATE_OF: Final = {"RUNNING": "running", "STARTING": "starting", "BACKOFF": "backoff"} | dict.fromkeys(
    ("STOPPED", "STOPPING", "MASKED"), "stopped"
)
"""Of supervisord's words; what is not here has failed: EXITED, FATAL, UNKNOWN."""


class Worker(NamedTuple):
    """`pid` 0: it has none now. `restarts` None, `state` '': nobody has told."""

    name: str
    pid: int
    restarts: int | None = None
    state: str = ""


class Usage(NamedTuple):
    cpu_ns: int
    resident_bytes: int


class SelfMetrics:
    """`report` tells what the supervisor says, None without one; `rings` tells the rings as they are now; `own_pid` is the
    aggregator's; sizes and ticks are those of sysconf(3)."""

    def __init__(
        self,
        report: Callable[[], Mapping[str, Any] | None],
        rings: Callable[[], Sequence[Ring]],
        own_pid: int,
        clock: Clock,
        *,
        ticks_per_s: int,
        page_bytes: int,
        procfs: Path = Path("/proc"),
    ) -> None:
        self._report = report
        self._rings = rings
        self._own_pid = own_pid
        self._clock = clock
        self._tick_ns = NS_PER_S // ticks_per_s
        self._page_bytes = page_bytes
        self._procfs = procfs
        self._pids: dict[str, int] = {}
        self._changes: dict[str, int] = {}
        self._collected: tuple[int, list[Family]] | None = None

    def families(self) -> list[Family]:
        """The families as of now; they are read at most once a second."""
        now_ns = self._clock.mono_ns()
        if self._collected is None or now_ns - self._collected[0] >= NS_PER_S:
            self._collected = now_ns, self._collect()
        return self._collected[1]

    def _collect(self) -> list[Family]:
        workers = self.workers()
        names = [(worker.name,) for worker in workers]
        living = [((worker.name,), usage) for worker in workers if (usage := self._usage(worker.pid)) is not None]
        alive = {name for name, _ in living}
        labels = [name for name, _ in living]
        told = {worker.name: worker.state for worker in workers if worker.state}
        states = [(name, state) for name in told for state in STATES]
        return [
            Family(WORKER_UP, names, [int(name in alive) for name in names]),
            Family(WORKER_STATE, states, [int(told[name] == state) for name, state in states]),
            Family(WORKER_RESTARTS, names, [self._restarts(worker) for worker in workers]),
            Family(WORKER_CPU, labels, [usage.cpu_ns for _, usage in living]),
            Family(WORKER_MEMORY, labels, [usage.resident_bytes for _, usage in living]),
        ]

    def workers(self) -> list[Worker]:
        """Every process that belongs to us, by name."""
        found = {ring.name: Worker(ring.name, ring.writer_pid) for ring in self._rings()}
        found[AGGREGATOR] = Worker(AGGREGATOR, self._own_pid)
        try:
            report = self._report() or {}
            for name, program in report.get("programs", {}).items():
                state = _STATE_OF.get(program["state"], "failed")
                found[name] = Worker(name, int(program["pid"] or 0), int(program["restarts"]), state)
            if "supervisor_pid" in report:
                found[SUPERVISOR] = Worker(SUPERVISOR, int(report["supervisor_pid"]), 0, "running")
        except (ValueError, KeyError, TypeError, AttributeError):  # a supervisor of another version
            pass
        return [found[name] for name in sorted(found)]

    def pids(self) -> list[int]:
        """Of every process that belongs to us and lives."""
        return [worker.pid for worker in self.workers() if worker.pid]

    def _restarts(self, worker: Worker) -> int:
        if worker.restarts is not None:
            return worker.restarts
        if worker.pid and worker.pid != self._pids.setdefault(worker.name, worker.pid):
            self._pids[worker.name] = worker.pid
            self._changes[worker.name] = self._changes.get(worker.name, 0) + 1
        return self._changes.get(worker.name, 0)

    def _usage(self, pid: int) -> Usage | None:
        """None when there is no such process any more."""
        if not pid:
            return None
        try:
            fields = (self._procfs / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
            if fields[_STATE].decode() in _DEAD:
                return None
            ticks = int(fields[_UTIME]) + int(fields[_STIME])
            return Usage(ticks * self._tick_ns, int(fields[_RSS]) * self._page_bytes)
        except (OSError, ValueError, IndexError):
            return None
