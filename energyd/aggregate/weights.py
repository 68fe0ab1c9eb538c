"""By what the energy of a zone is shared: CPU time, CPU time on the zone's own package, or memory.

On a machine with several packages a process' share of each is an estimate: the whole of an interval is counted where the process
was last seen running, which is right on the average. What has no such sighting (tasks that ended) is spread as the others are.
The energy of DRAM zones goes by CPU time, because traffic costs more than contents and few machines can count traffic; or, if so
configured, by resident memory, which suits machines whose memory is full and whose CPUs are not.
"""

from typing import Final, NamedTuple

import numpy as np

from energyd.aggregate.attribute import Int64
from energyd.aggregate.interval import NO_PACKAGE, Interval

CPU_TIME: Final = "cpu_time"
LAST_CPU: Final = "cpu_time_by_last_cpu"
MEMORY: Final = "memory"
_DRAM: Final = "dram"


class Weights(NamedTuple):
    """`consumers`: those of the interval and then its control groups' exited; `ungrouped`: the exited of no control group."""

    consumers: Int64
    ungrouped: int
    policy: str


def weigh(interval: Interval, domain: str, package: int | None, dram: str) -> Weights:
    """What counts in this interval for a zone of this domain and package (None = unknown)."""
    if domain == _DRAM and dram == MEMORY and interval.memory_bytes is not None and interval.memory_bytes.any():
        exited = np.zeros(len(interval.exited_cpu_ns), np.int64)
        return Weights(np.append(interval.memory_bytes, exited), 0, MEMORY)
    if interval.packages is None or package is None:
        return Weights(np.append(interval.cpu_ns, interval.exited_cpu_ns), interval.exited_ns, CPU_TIME)
    return _by_package(interval, interval.packages, package)


def _by_package(interval: Interval, packages: Int64, package: int) -> Weights:
    known = packages != NO_PACKAGE
    here = packages == package
    known_ns, here_ns = int(interval.cpu_ns[known].sum()), int(interval.cpu_ns[here].sum())
    if not here_ns:  # nobody was seen here: what it used, it used for all
        return Weights(np.append(interval.cpu_ns, interval.exited_cpu_ns), interval.exited_ns, CPU_TIME)
    part = here_ns / known_ns
    consumers = np.where(known, np.where(here, interval.cpu_ns, 0), (interval.cpu_ns * part).astype(np.int64))
    exited = (interval.exited_cpu_ns * part).astype(np.int64)
    return Weights(np.append(consumers, exited), int(interval.exited_ns * part), LAST_CPU)
