"""Processes as metrics: those that use most one by one, all others together, and what has ended.

Law: the energy of a process that leaves the view or ends goes on being counted, in the hidden or the gone.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import repeat
from typing import Final

from energyd.aggregate.snapshot import Host, Process, Processes
from energyd.export.metric import FLOAT, NS, UJ, Family, Labels, LabelValues, Metric, Row, counter, gauge

_PROCESS: Final = ("pid", "comm", "cgroup", "uid")
_PROCESSES: Final = "usage.top + 1"

PROCESS_ENERGY = counter(
    "energyd_process_energy_joules_total",
    "joules",
    "Energy of the processes that use most, each since it became visible; comm=other without pid is everybody else, any other "
    "comm without pid all the tasks of that name that lived too shortly to be seen.",
    (*_PROCESS, "source"),
    _PROCESSES,
    UJ,
)
PROCESS_POWER = gauge(
    "energyd_process_power_watts", "watts", "Power of the processes that use most.", (*_PROCESS, "source"), _PROCESSES, FLOAT
)
PROCESS_CPU = counter(
    "energyd_process_cpu_seconds_total",
    "seconds",
    "CPU time of the same processes, all threads, each since it became visible.",
    _PROCESS,
    _PROCESSES,
    NS,
)
PROCESS_GONE_ENERGY = counter(
    "energyd_process_gone_energy_joules_total",
    "joules",
    "Energy of processes that were visible and have ended: what their vanished series had counted.",
    ("source",),
    "1",
    UJ,
)
PROCESS_GONE_CPU = counter(
    "energyd_process_gone_cpu_seconds_total", "seconds", "CPU time of processes that were visible and have ended.", (), "1", NS
)
PROCESS_HIDDEN_ENERGY = gauge(
    "energyd_process_hidden_energy_joules",
    "joules",
    "Energy that living processes out of view had counted while they were visible; they go on from it when they come back.",
    ("source",),
    "1",
    UJ,
)
PROCESS_HIDDEN_CPU = gauge(
    "energyd_process_hidden_cpu_seconds", "seconds", "CPU time of the same processes, likewise.", (), "1", NS
)
PROCESSES = gauge("energyd_processes", "", "Processes alive.", (), "1")

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
_NONE: Final[tuple[tuple[()], ...]] = ((),) * len(Process._fields)  # the columns of no process
_OTHER: Final = (0, "other", "", "")
_Row = tuple[int, str, str, int | str, str]


def rows(processes: Processes, host: Host) -> Iterator[Row]:
    """The families with one series each; energy only where there is some to share out."""
    yield PROCESSES, (), processes.alive
    yield PROCESS_GONE_CPU, (), processes.gone_cpu_ns
    yield PROCESS_HIDDEN_CPU, (), processes.hidden_cpu_ns
    if host.energy_uj is not None:
        yield PROCESS_GONE_ENERGY, (host.source,), processes.gone_energy_uj
        yield PROCESS_HIDDEN_ENERGY, (host.source,), processes.hidden_energy_uj


def families(processes: Processes, host: Host) -> dict[str, Family]:
    """The families with a series for each visible process and one for all others."""
    # column by column: at thousands of processes four times faster than one by one
    pids, comms, cgroups, uids, energies_uj, powers_w, cpus_ns, *_ = (
        zip(*processes.visible, strict=True) if processes.visible else _NONE
    )
    rows = _rows(pids, comms, cgroups, uids, host.source)
    columns = [Family(PROCESS_CPU, Labels(rows, _labels), [*cpus_ns, processes.other_cpu_ns])]
    if host.energy_uj is not None:
        labels = Labels(rows, _labels_with_source)
        columns.append(Family(PROCESS_ENERGY, labels, [*energies_uj, processes.other_energy_uj]))
        columns.append(Family(PROCESS_POWER, labels, list(map(float, (*powers_w, processes.other_power_w)))))
    return {family.metric.name: family for family in columns}


@lru_cache(maxsize=1)  # as long as the same processes are visible, the very same list: the renderer sees it at once
def _rows(
    pids: tuple[int, ...], comms: tuple[str, ...], cgroups: tuple[str, ...], uids: tuple[int, ...], source: str
) -> list[_Row]:
    return [*zip(pids, comms, cgroups, uids, repeat(source)), (*_OTHER, source)]


def _labels(row: _Row) -> LabelValues:
    pid, comm, cgroup, uid, _ = row
    return str(pid) if pid else "", comm, cgroup, str(uid)


def _labels_with_source(row: _Row) -> LabelValues:
    return *_labels(row), row[-1]
