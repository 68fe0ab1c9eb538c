"""GPUs as metrics: who used the energy of each, as far as its driver tells.

Law: a family of its own, because a GPU is not part of the machine's sum. The parts of a GPU and what is pending are what it used
since its driver first told of users; processes, other and gone are the processes' part of all GPUs, groups likewise.
"""

from typing import Final

from energyd.aggregate.snapshot import Snapshot
from energyd.export.metric import UJ, Family, Metric, counter, gauge

_PROCESS: Final = ("pid", "comm", "cgroup", "uid")
_GROUP: Final = ("group", "kind", "runtime", "environment")
_SOURCE: Final = "nvidia"

GPU_ATTRIBUTED = counter(
    "energyd_gpu_attributed_energy_joules_total",
    "joules",
    "Energy of a GPU by who used it: processes, such as are not known here, nobody.",
    ("zone", "part", "source"),
    "3 x GPUs",
    UJ,
)
GPU_PENDING = gauge(
    "energyd_gpu_attribution_pending_joules",
    "joules",
    "Energy of a GPU that waits for its driver's next report of who used it.",
    ("zone",),
    "GPUs",
    UJ,
)
PROCESS_GPU = counter(
    "energyd_process_gpu_energy_joules_total",
    "joules",
    "Energy of all GPUs that a living process used; comm=other without pid is those for whom there was no room.",
    (*_PROCESS, "source"),
    "usage.top + 1",
    UJ,
)
PROCESS_GPU_GONE = counter(
    "energyd_process_gpu_gone_energy_joules_total", "joules", "The same of processes that have ended.", ("source",), "1", UJ
)
GROUP_GPU = counter(
    "energyd_group_gpu_energy_joules_total",
    "joules",
    "Energy of all GPUs that the processes of a group used; group=other without kind is those for whom there was no room.",
    (*_GROUP, "source"),
    "usage.max_groups + 1",
    UJ,
)
GROUP_GPU_GONE = counter(
    "energyd_group_gpu_gone_energy_joules_total", "joules", "The same of groups that have been forgotten.", ("source",), "1", UJ
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


def families(snapshot: Snapshot) -> dict[str, Family]:
    """The families of this module by name; none where no driver tells who uses a GPU."""
    gpus = snapshot.gpus
    if not gpus.zones:
        return {}
    parts = [
        ((zone.name, part, zone.source), energy_uj)
        for zone in gpus.zones
        for part, energy_uj in (("processes", zone.processes_uj), ("unknown", zone.unknown_uj), ("idle", zone.idle_uj))
    ]
    processes = [((str(each.pid), each.comm, each.cgroup, str(each.uid), _SOURCE), each.energy_uj) for each in gpus.processes]
    processes.append((("", "other", "", "", _SOURCE), gpus.other_process_uj))
    groups = [((name, kind, runtime, environment, _SOURCE), uj) for environment, name, kind, runtime, uj in gpus.groups]
    groups.append((("other", "", "", "", _SOURCE), gpus.other_group_uj))
    found = [
        Family(GPU_PENDING, [(zone.name,) for zone in gpus.zones], [zone.pending_uj for zone in gpus.zones]),
        Family(PROCESS_GPU_GONE, [(_SOURCE,)], [gpus.gone_process_uj]),
        Family(GROUP_GPU_GONE, [(_SOURCE,)], [gpus.gone_group_uj]),
    ]
    for metric, series in ((GPU_ATTRIBUTED, parts), (PROCESS_GPU, processes), (GROUP_GPU, groups)):
        found.append(Family(metric, [labels for labels, _ in series], [energy_uj for _, energy_uj in series]))
    return {family.metric.name: family for family in found}
