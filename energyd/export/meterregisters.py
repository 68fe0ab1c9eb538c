"""Who a meter is and what its registers of active energy count, as metrics.

The labels of the meter are those of Enedis-NOI-CPT_54E and CPT_02E. Law: a watt-hour that several registers count (in all and by
tariff, of the supplier and of the distributor) is in as many families, so that none counts it twice.
"""

from collections.abc import Iterator
from typing import Final

from energyd.aggregate.snapshot import Meter, Register
from energyd.export.metric import INFO, Metric, Row, counter

METER_INFO = Metric(
    "energyd_meter_info",
    INFO,
    "",
    "Who the meter is: address, mode, contract and version as it says them.",
    ("meter", "address", "prm", "mode", "contract", "version", "source"),
    "meters",
)
METER_TARIFF_INFO = Metric(
    "energyd_meter_tariff_info",
    INFO,
    "",
    "The tariff period of the moment, and the colour of tomorrow where the contract has one.",
    ("meter", "tariff", "tomorrow"),
    "meters",
)
_REGISTER: Final = ("meter", "register", "direction", "period", "source")
METER_ENERGY = counter(
    "energyd_meter_energy_watthours_total",
    "watthours",
    "Active energy by register of the supplier's tariff, and what was injected: their sum per direction is the meter's total.",
    _REGISTER,
    "11 x meters, professional ones 24",
)
METER_ALL_TARIFFS_ENERGY = counter(
    "energyd_meter_all_tariffs_energy_watthours_total",
    "watthours",
    "Active energy drawn in all tariffs together, where the meter says it (EAST).",
    _REGISTER,
    "meters",
)
METER_DISTRIBUTOR_ENERGY = counter(
    "energyd_meter_distributor_energy_watthours_total",
    "watthours",
    "The same energy by register of the distributor's tariff.",
    _REGISTER,
    "4 x meters, professional ones 12",
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

TEXTS: Final = {
    "OPTARIF": "contract",
    "NGTF": "contract",
    "VTIC": "version",
    "PRM": "prm",
    **dict.fromkeys(("CONTRAT", "MESURES1", "GRILLE_F"), "contract"),
}
TARIFF_TEXTS: Final = {
    "PTEC": "tariff",
    "LTARF": "tariff",
    "DEMAIN": "tomorrow",
    **dict.fromkeys(("PTCOUR", "PTCOUR1", "PTCOURF"), "tariff"),
}


def rows(meter: Meter) -> Iterator[Row]:
    """What the meter is and what its registers have counted."""
    said = dict.fromkeys((*TEXTS.values(), *TARIFF_TEXTS.values()), "")
    for label, text in meter.texts:
        if label in TEXTS or label in TARIFF_TEXTS:
            said[TEXTS.get(label) or TARIFF_TEXTS[label]] = text.strip()
    yield METER_INFO, (meter.name, meter.address, said["prm"], meter.mode, said["contract"], said["version"], meter.source), 1
    if said["tariff"]:
        yield METER_TARIFF_INFO, (meter.name, said["tariff"], said["tomorrow"]), 1
    for register in meter.registers:
        labels = (meter.name, register.name, register.direction, register.period, meter.source)
        yield _family_of(register), labels, register.energy_wh


def _family_of(register: Register) -> Metric:
    if register.scope == "distributor":
        return METER_DISTRIBUTOR_ENERGY
    # what is drawn is told twice, in all and by tariff; what is injected only in all
    in_all = register.scope == "total" and register.direction == "consumed"
    return METER_ALL_TARIFFS_ENERGY if in_all else METER_ENERGY
