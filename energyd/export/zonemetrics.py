"""Zones as metrics: the energy of each, and who used it.

Law: the zones of energyd_zone_energy_joules_total together are the machine; what lies inside or around them is another family. The
four parts of a zone's energy and what is pending are its energy, to the microjoule.
"""

from collections.abc import Iterator
from typing import Final

from energyd.aggregate.snapshot import Zone
from energyd.export.metric import FLOAT, UJ, Metric, Row, counter, gauge

_ZONE: Final = ("zone", "domain", "source")

ZONE_ENERGY = counter(
    "energyd_zone_energy_joules_total",
    "joules",
    "Energy of the zones that together make up the machine: packages and memory.",
    _ZONE,
    "additive zones",
    UJ,
)
ZONE_POWER = gauge(
    "energyd_zone_power_watts", "watts", "Power of the additive zones over the last second.", _ZONE, "additive zones", FLOAT
)
SUBZONE_ENERGY = counter(
    "energyd_subzone_energy_joules_total",
    "joules",
    "Energy of zones that lie inside or around others (core, uncore, psys): never add these to a zone.",
    _ZONE,
    "other zones",
    UJ,
)
SUBZONE_POWER = gauge(
    "energyd_subzone_power_watts",
    "watts",
    "Power over the last second of zones that lie inside or around others.",
    _ZONE,
    "other zones",
    FLOAT,
)
ZONE_READABLE = gauge("energyd_zone_readable", "", "1 while the counter of the zone can be read.", ("zone",), "zones")
ZONE_RESETS = counter(
    "energyd_zone_resets_total", "", "Times that the counter of the zone fell without having wrapped.", ("zone",), "zones"
)

ATTRIBUTED_ENERGY = counter(
    "energyd_attributed_energy_joules_total",
    "joules",
    "Energy of a zone by who used it: living processes, exited tasks, the idle machine, nobody known.",
    ("zone", "part", "source"),
    "4 x additive zones",
    UJ,
)
ATTRIBUTION_PENDING = gauge(
    "energyd_attribution_pending_joules",
    "joules",
    "Energy that is measured but not shared out yet, because the usage samples around it are still to come.",
    ("zone",),
    "additive zones",
    UJ,
)
ATTRIBUTION_ERROR = gauge(
    "energyd_attribution_error_joules",
    "joules",
    "Measured energy minus its parts and what is pending: anything but 0 is a defect of energyd.",
    ("zone",),
    "additive zones",
    UJ,
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


def rows(zone: Zone) -> Iterator[Row]:
    """A zone that was never read has no energy, not even none."""
    yield ZONE_READABLE, (zone.name,), int(zone.readable)
    yield ZONE_RESETS, (zone.name,), zone.resets
    if not zone.measured:
        return
    labels = (zone.name, zone.domain, zone.source)
    energy, power = (ZONE_ENERGY, ZONE_POWER) if zone.additive else (SUBZONE_ENERGY, SUBZONE_POWER)
    yield energy, labels, zone.energy_uj
    if zone.power_w is not None:
        yield power, labels, float(zone.power_w)
    if zone.additive:
        yield from _attribution(zone)


def _attribution(zone: Zone) -> Iterator[Row]:
    parts_uj = {
        "processes": zone.processes_uj,
        "exited": zone.exited_uj,
        "idle": zone.idle_uj,
        "unattributed": zone.unattributed_uj,
    }
    for part, energy_uj in parts_uj.items():
        yield ATTRIBUTED_ENERGY, (zone.name, part, zone.source), energy_uj
    yield ATTRIBUTION_PENDING, (zone.name,), zone.pending_uj
    yield ATTRIBUTION_ERROR, (zone.name,), zone.energy_uj - sum(parts_uj.values()) - zone.pending_uj
