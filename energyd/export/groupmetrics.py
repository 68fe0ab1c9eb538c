"""Groups as metrics: containers, virtual machines, jobs, units, users, and what the rules of the configuration make of them.

Law: each microjoule that went to processes or to those that ended increments exactly one of energyd_group_energy_joules_total,
energyd_group_gone_energy_joules_total and energyd_ungrouped_energy_joules_total, so that with the idle, unattributed and pending
energy of the zones their sum is the host's.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from energyd.aggregate.snapshot import Group, Process, Snapshot
from energyd.export import windows
from energyd.export.metric import FLOAT, INFO, NS, UJ, Family, Labels, LabelValues, Metric, counter, gauge

_GROUP: Final = ("group", "kind", "runtime", "environment")
_GROUPS: Final = "usage.max_groups + 1"
_OTHER: Final = ("other", "", "", "")
NEUR: Final = 9  # nano-euros are billionths of a euro
_LEADING: Final = 10

GROUP_ENERGY = counter(
    "energyd_group_energy_joules_total",
    "joules",
    "Energy of a group: its processes, and those that ended in its control groups; group=other without kind is all other groups.",
    (*_GROUP, "source"),
    _GROUPS,
    UJ,
)
GROUP_POWER = gauge(
    "energyd_group_power_watts", "watts", "Power of a group over the last second.", (*_GROUP, "source"), _GROUPS, FLOAT
)
GROUP_CPU = counter(
    "energyd_group_cpu_seconds_total", "seconds", "CPU time of the same groups, ended processes included.", _GROUP, _GROUPS, NS
)
GROUP_MEMORY = gauge(
    "energyd_group_memory_bytes",
    "bytes",
    "Memory of the control groups that belong to a group, page cache included.",
    _GROUP,
    "usage.max_groups",
)
GROUP_PROCESSES = gauge("energyd_group_processes", "", "Processes alive in a group.", _GROUP, "usage.max_groups")
GROUP_WINDOW_QUANTILE = gauge(
    "energyd_group_window_power_quantile_watts",
    "watts",
    "Power that a group did not exceed in this fraction of the seconds of a sliding window; of the ten groups that use most.",
    (*_GROUP, "window", "fraction", "source"),
    f"{20 * _LEADING}",
    FLOAT,
)
GROUP_WINDOW_MEAN = gauge(
    "energyd_group_window_power_mean_watts",
    "watts",
    "Mean power of the same groups over the window.",
    (*_GROUP, "window", "source"),
    f"{5 * _LEADING}",
    FLOAT,
)
GROUP_WINDOW_MAX = gauge(
    "energyd_group_window_power_max_watts",
    "watts",
    "Highest power of the same groups in a second of the window.",
    (*_GROUP, "window", "source"),
    f"{5 * _LEADING}",
    FLOAT,
)
GROUP_WINDOW_MEASURED = gauge(
    "energyd_group_window_measured_seconds",
    "seconds",
    "How much of the window has been measured since the group is one of the ten.",
    (*_GROUP, "window"),
    f"{5 * _LEADING}",
)
GROUP_GONE_ENERGY = counter(
    "energyd_group_gone_energy_joules_total",
    "joules",
    "Energy of groups that were visible and have been forgotten: what their vanished series had counted.",
    ("source",),
    "1",
    UJ,
)
GROUP_GONE_CPU = counter(
    "energyd_group_gone_cpu_seconds_total", "seconds", "CPU time of groups that were visible and have been forgotten.", (), "1", NS
)
GROUP_HIDDEN_ENERGY = gauge(
    "energyd_group_hidden_energy_joules",
    "joules",
    "Energy that groups out of view had counted while they were visible; they go on from it when they come back.",
    ("source",),
    "1",
    UJ,
)
GROUP_HIDDEN_CPU = gauge("energyd_group_hidden_cpu_seconds", "seconds", "CPU time of the same groups, likewise.", (), "1", NS)
UNGROUPED_ENERGY = counter(
    "energyd_ungrouped_energy_joules_total",
    "joules",
    "Energy of tasks that ended where no control group explains them: the part of the exited that belongs to no group.",
    ("source",),
    "1",
    UJ,
)
UNGROUPED_CPU = counter("energyd_ungrouped_cpu_seconds_total", "seconds", "CPU time of the same tasks.", (), "1", NS)
GROUP_COST = counter(
    "energyd_group_cost_euros_total",
    "euros",
    "Cost of the energy of the same groups, each joule at the price in force when it was used.",
    (*_GROUP, "source"),
    _GROUPS,
    NEUR,
)
GROUP_GONE_COST = counter(
    "energyd_group_gone_cost_euros_total",
    "euros",
    "Cost of groups that were visible and have been forgotten: what their vanished series had counted.",
    ("source",),
    "1",
    NEUR,
)
GROUP_HIDDEN_COST = gauge(
    "energyd_group_hidden_cost_euros",
    "euros",
    "Cost that groups out of view had counted while they were visible; they go on from it when they come back.",
    ("source",),
    "1",
    NEUR,
)
GROUPS = gauge("energyd_groups", "", "Groups that are known, visible or not.", (), "1")
CONTAINERS = gauge("energyd_containers", "", "Containers that hold processes.", ("runtime",), "17")
PROCESS_INFO = Metric(
    "energyd_process_info",
    INFO,
    "",
    "Command line, group and environment of the visible processes; secret values are masked, and it is cut to 512 characters.",
    ("pid", "comm", "group", "environment", "cmdline"),
    "usage.top",
)
ATTRIBUTION_INFO = Metric(
    "energyd_attribution_info",
    INFO,
    "",
    "What the energy of a zone is shared by: cpu_time; cpu_time_by_last_cpu, an estimate of who ran on which of several packages; "
    "memory, by energy.dram.",
    ("zone", "policy"),
    "additive zones",
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


def families(snapshot: Snapshot) -> dict[str, Family]:
    """The families of this module by name."""
    groups, source = snapshot.groups, snapshot.host.source
    visible = groups.visible
    labels = _labels(tuple((group.group, group.kind, group.runtime, group.environment) for group in visible))
    found = [
        Family(GROUP_CPU, labels, [*(group.cpu_ns for group in visible), groups.other_cpu_ns]),
        Family(GROUP_GONE_CPU, [()], [groups.gone_cpu_ns]),
        Family(GROUP_HIDDEN_CPU, [()], [groups.hidden_cpu_ns]),
        Family(UNGROUPED_CPU, [()], [groups.ungrouped_cpu_ns]),
        Family(GROUP_PROCESSES, labels[:-1], [group.processes for group in visible]),
        Family(GROUPS, [()], [groups.known]),
        Family(CONTAINERS, [(runtime,) for runtime, _ in groups.containers], [count for _, count in groups.containers]),
        _process_info(snapshot),
        _attribution_info(snapshot),
    ]
    remembering = [(row, group.memory_bytes) for row, group in zip(labels, visible, strict=False) if group.memory_bytes is not None]
    found.append(Family(GROUP_MEMORY, [row for row, _ in remembering], [memory for _, memory in remembering]))
    if snapshot.host.energy_uj is not None:
        sourced = _labels_with_source(tuple(labels), source)
        found += [
            Family(GROUP_ENERGY, sourced, [*(group.energy_uj for group in visible), groups.other_energy_uj]),
            Family(GROUP_POWER, sourced, [*(float(group.power_w) for group in visible), float(groups.other_power_w)]),
            Family(GROUP_GONE_ENERGY, [(source,)], [groups.gone_energy_uj]),
            Family(GROUP_HIDDEN_ENERGY, [(source,)], [groups.hidden_energy_uj]),
            Family(UNGROUPED_ENERGY, [(source,)], [groups.ungrouped_energy_uj]),
            *_windows(visible, source),
        ]
        if groups.other_cost_neur is not None:  # a price has been known
            found += [
                Family(GROUP_COST, sourced, [*(group.cost_neur or 0 for group in visible), groups.other_cost_neur]),
                Family(GROUP_GONE_COST, [(source,)], [groups.gone_cost_neur or 0]),
                Family(GROUP_HIDDEN_COST, [(source,)], [groups.hidden_cost_neur or 0]),
            ]
    return {family.metric.name: family for family in found if family.labels}


def _windows(visible: tuple[Group, ...], source: str) -> Iterator[Family]:
    rows: dict[Metric, tuple[list[LabelValues], list[float]]] = {}
    for group in visible:
        names = group.group, group.kind, group.runtime, group.environment
        for window in group.windows:
            measured = GROUP_WINDOW_MEASURED, (*names, window.name), window.seconds
            found = windows.rows(window, GROUP_WINDOW_QUANTILE, GROUP_WINDOW_MEAN, GROUP_WINDOW_MAX, names, source)
            for metric, labels, value in (measured, *found):
                columns = rows.setdefault(metric, ([], []))
                columns[0].append(labels)
                columns[1].append(value)
    return (Family(metric, *columns) for metric, columns in rows.items())


@lru_cache(maxsize=4)  # the very same list as long as the same groups are visible: the renderer sees it at once
def _labels(rows: tuple[LabelValues, ...]) -> list[LabelValues]:
    return [*rows, _OTHER]


@lru_cache(maxsize=4)
def _labels_with_source(rows: tuple[LabelValues, ...], source: str) -> list[LabelValues]:
    return [(*row, source) for row in rows]


def _process_info(snapshot: Snapshot) -> Family:
    columns = dict(zip(Process._fields, zip(*snapshot.processes.visible, strict=True), strict=False))
    rows = _process_rows(*(columns.get(name, ()) for name in ("pid", "comm", "group", "environment", "cmdline")))
    return Family(PROCESS_INFO, Labels(rows, _process_labels), [1] * len(rows))


@lru_cache(maxsize=1)
def _process_rows(pids: tuple[int, ...], *texts: tuple[str, ...]) -> list[tuple[int | str, ...]]:
    return [row for row in zip(pids, *texts, strict=True) if row[0]]


def _process_labels(row: tuple[int | str, ...]) -> LabelValues:
    return tuple(map(str, row))


def _attribution_info(snapshot: Snapshot) -> Family:
    rows = [(zone.name, zone.shared_by) for zone in snapshot.zones if zone.shared_by]
    return Family(ATTRIBUTION_INFO, rows, [1] * len(rows))
