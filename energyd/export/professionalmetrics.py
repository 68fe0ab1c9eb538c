"""The numbers of professional meters (Enedis-NOI-CPT_02E 2.6 to 2.10), which have more labels than a household knows families.

What a Linky says too goes into the families of the Linky; all the rest goes into one family for each unit, named by the meter's own
label. Registers are not here: they are registers like any other.
"""

from collections.abc import Iterator
from typing import Final

from energyd import ticjaune, ticprofessional
from energyd.aggregate.snapshot import Meter
from energyd.export.metric import Metric, Row, gauge

_SAYS: Final = ("meter", "label")


def _family(unit: str, what: str, bound: str, decimals: int = 0, name: str = "") -> Metric:
    text = f"{what} that a professional meter says, by its label."
    return gauge(f"energyd_meter_professional_{name or unit}", unit, text, _SAYS, bound, decimals)


ENERGY = _family("watthours", "Active energy since the running interval began or when the last period ended", "55 x meters")
REACTIVE = _family("varhours", "Reactive energy, of the interval, the running or the last period", "157 x meters")
APPARENT = _family("voltamperehours", "Apparent energy since the running interval began", "2 x meters")
POWER = _family("watts", "Power, mean or contracted or highest", "66 x meters")
REACTIVE_POWER = _family("vars", "Reactive power", "28 x meters")
APPARENT_POWER = _family("voltamperes", "Apparent power", "17 x meters")
VOLTAGE = _family("volts", "Voltage between phases", "7 x meters")
CURRENT = _family("amperes", "Current", "6 x meters", 3)
RATIO = _family("ratio", "Tangent phi, or a fraction of the subscribed power", "8 x meters", 2)
DURATION = _family("seconds", "Duration", "6 x meters")
TIME = _family("seconds", "Unix time", "26 x meters", name="timestamp_seconds")
CODE = _family("", "Code", "2 x meters", name="code")

METRICS: Final[tuple[Metric, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

IN_COMMON: Final = frozenset({ticjaune.HEAD, "PSOUSC/1", "PS kVA", "DATE", "DATECOUR"})
"""Labels of what a Linky says too."""

BY_UNIT: Final[dict[str, tuple[Metric, int]]] = {
    # unit of the field: its family, and the factor to the family's unit and decimals
    "Wh": (ENERGY, 1),
    "VArh": (REACTIVE, 1),
    "VAh": (APPARENT, 1),
    "W": (POWER, 1),
    "VAr": (REACTIVE_POWER, 1),
    "VA": (APPARENT_POWER, 1),
    "V": (VOLTAGE, 1),
    "mA": (CURRENT, 1),
    "0.01": (RATIO, 1),
    "%": (RATIO, 1),
    "min": (DURATION, 60),
    "s": (TIME, 1),
    "": (CODE, 1),
}


def rows(meter: Meter) -> Iterator[Row]:
    """The quantities of a professional meter that are not IN_COMMON."""
    for label, value in meter.quantities:
        if label not in IN_COMMON:
            metric, factor = BY_UNIT[unit_of(label)]
            yield metric, (meter.name, label), value * factor


def unit_of(label: str) -> str:
    """The unit of a quantity by the name that it has in a Snapshot."""
    field = ticprofessional.BY_LABEL.get(label)
    return field.unit if field is not None and field.role != ticprofessional.PACKED else ticjaune.unit_of(label)
