"""What the packed groups of a CJE ("compteur jaune electronique") hold: Enedis-NOI-CPT_02E 2.6.3.

Its elements stand between colons: the head of the frame says the time, the tariff period, a notice of overload and the apparent
power (a mean of five minutes, in tens of volt-amperes); the others are lists, one element for each tariff period or threshold, high
before low. Law: what the decoder accepted has a meaning; nothing is raised.
"""

from typing import Final, NamedTuple

HEAD: Final = "JAUNE"
HEAD_WIDTH: Final = 26
ENERGIES: Final = "ENERG"

PERIODS: Final = {"11": "HPE", "12": "HCE", "21": "HPH", "22": "HCH", "23": "P", "44": "PM"}
"""`pt`: season and hours, by the names that the other professional meters use."""

_UNITS: Final = {"ENERG": ("Wh", 1000), "TDEPA": ("min", 1), **dict.fromkeys(("PMAXC", "PMAXP", "PSOUSC", "PSOUSP"), ("VA", 10))}


class Head(NamedTuple):
    """`period` is a name of PERIODS, or the two digits themselves; `notice_percent` of the subscribed power raises the notice."""

    month: int
    day: int
    hour: int
    minute: int
    period: str
    notice: bool
    power_va: int
    notice_percent: int


class Element(NamedTuple):
    """One element of a list; `name` is the label and its place from 1 on, as ENERG/2."""

    name: str
    unit: str
    value: int


def unpack_head(text: str) -> Head | None:
    """The elements of JAUNE; None for a text of which a part was lost."""
    if len(text) != HEAD_WIDTH:
        return None
    hour, minute, day, month, period, notice, power, percent = text.split(":")
    return Head(
        month=int(month),
        day=int(day),
        hour=int(hour),
        minute=int(minute),
        period=PERIODS.get(period, period),
        notice=notice == "DP",
        power_va=int(power) * 10,
        notice_percent=int(percent) or 100,
    )


def unit_of(label: str) -> str:
    """The unit of the power in the head and of the elements of a list, whose names are given."""
    return "VA" if label == HEAD else _UNITS[label.partition("/")[0]][0]


def unpack_list(label: str, text: str) -> tuple[Element, ...]:
    """The elements of ENERG, PMAXC, TDEPA, PMAXP, PSOUSC or PSOUSP; none of the other groups, which are dates."""
    if label not in _UNITS:
        return ()
    unit, factor = _UNITS[label]
    return tuple(Element(f"{label}/{place}", unit, int(each) * factor) for place, each in enumerate(text.split(":"), 1))
