"""Efficiency of the host as metrics: what a busy CPU costs, and what part of the house the host is."""

from typing import Final

from energyd.aggregate.snapshot import Snapshot
from energyd.export.metric import FLOAT, Family, Metric, gauge

BUSY: Final = gauge(
    "energyd_host_busy_ratio", "ratio", "Share of the machine's CPU time that was used over the last minute.", (), "1", FLOAT
)
WATTS_PER_PERCENT: Final = gauge(
    "energyd_host_power_per_busy_percent_watts",
    "watts",
    "Mean power over the last minute by the percentage of CPU that was busy: lower is better, without meaning on an idle machine.",
    ("source",),
    "1",
    FLOAT,
)
JOULES_PER_CPU_SECOND: Final = gauge(
    "energyd_host_active_energy_per_cpu_second_joules",
    "joules",
    "Energy above idle of one second of CPU time, over the last minute; absent until the machine has been seen idle.",
    ("source",),
    "1",
    FLOAT,
)
SHARE_OF_HOUSE: Final = gauge(
    "energyd_host_share_of_house_ratio",
    "ratio",
    "Power of the host by the apparent power that the meter shows: a lower bound of its share, since VA are not less than W.",
    ("meter", "source"),
    "meters",
    FLOAT,
)
METRICS: Final[tuple[Metric, ...]] = (BUSY, WATTS_PER_PERCENT, JOULES_PER_CPU_SECOND, SHARE_OF_HOUSE)
HOUSE_POWER: Final = ("PAPP", "SINSTS")


def families(snapshot: Snapshot) -> list[Family]:
    """The families of a Snapshot; none where there is nothing to compare."""
    host, shown = snapshot.host, []
    efficiency = host.efficiency
    if efficiency is not None:
        shown.append(Family(BUSY, [()], [efficiency.busy_ratio]))
        shown.append(Family(WATTS_PER_PERCENT, [(host.source,)], [efficiency.watts_per_percent]))
        if efficiency.active_j_per_cpu_s is not None:
            shown.append(Family(JOULES_PER_CPU_SECOND, [(host.source,)], [efficiency.active_j_per_cpu_s]))
    shares = {}
    for meter in snapshot.meters:
        power_va = next((value for label, value in meter.quantities if label in HOUSE_POWER), 0)
        if power_va and host.power_w is not None:
            source = "simulated" if "simulated" in (meter.source, host.source) else host.source
            shares[meter.name, source] = host.power_w / power_va
    if shares:
        shown.append(Family(SHARE_OF_HOUSE, list(shares), list(shares.values())))
    return shown
