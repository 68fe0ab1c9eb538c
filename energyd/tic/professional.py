"""What a well-formed group of a professional meter looks like: its characters, its unit, its value.

CJE, ICE-2Q, ICE-4Q, PME-PMI and SAPHIR, Enedis-NOI-CPT_02E 2.6 to 2.10. Numbers have no leading zeros and carry their unit, so a
shape is an expression and a factor; a label that comes in two units has a shape, and a field, for each.

What was checked against a meter: PME-PMI, on 20 kB of a published recording of one in service (consumer, contract BT 4 SUP36; all
987 groups that verify are read, 44 labels). It writes `EAP-1_s` and `EAP_s2` where the specification prints `EaP-1_s` and `EaP_s2`,
and `DebP` for `DébP`: all are read. CJE, ICE, SAPHIR, and the injection of a PME-PMI are read as the specification says, no more;
it leaves open whether their clocks follow summer time, and legal time is taken.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from energyd.tic import horodate
from energyd.ticfields import QUANTITY, TEXT, TicField
from energyd.ticprofessional import BY_LABEL, FIELDS

_PERIOD: Final = rb"[A-Z0-9]{1,3} {0,2}"
_DATE: Final = rb"\d\d/\d\d/\d\d \d\d[:/]\d\d[:/]\d\d"
_MARK: Final = rb"(?P<mark>T|[HCM]\.)?"  # a mean that an event has cut short, and which

# what a number is written with: the unit of the field, what follows the digits, and its size in the field's unit
_LARGE: Final = {"Wh": (rb"kWh", 1000), "VArh": (rb"kvarh", 1000)}  # what a meter has counted
_SMALL: Final = {  # what it says of the moment
    "Wh": (rb"Wh", 1),
    "VArh": (rb"varh", 1),
    "VAh": (rb"VAh", 1),
    "W": (_MARK + rb"kW", 1000),
    "VAr": (_MARK + rb"kvar", 1000),
    "VA": (rb"kVA", 1000),
    "V": (_MARK + rb"V", 1),
    "%": (rb"%", 1),
    "min": (rb"", 1),
    "": (rb"", 1),
}
_DECIMALS: Final = {"0.01": rb"(-?\d{1,5})[,.](\d\d)", "mA": rb"(\d{1,2})[,.](\d{3})A"}
_SIGNED: Final = ("PREA1MN", "PREA10MN", "IPREA1MN", "IPREATMN")
_TEXTS: Final = {
    "JAUNE": rb"(?:[01]\d|2[0-3]):[0-5]\d:(?:0[1-9]|[12]\d|3[01]):(?:0[1-9]|1[0-2]):[124][1-4]:(?:DP|  ):\d{5}:\d\d",
    "ENERG": rb"\d{6}(?::\d{6}){3,5}",
    **dict.fromkeys(("PERCC", "PERCP"), rb"\d\d:\d\d:\d\d:\d\d"),
    **dict.fromkeys(("PMAXC", "TDEPA", "PMAXP", "PSOUSC", "PSOUSP"), rb"\d{5}(?::\d{5}){0,3}"),
    "FCOU": rb"(?:[01]\d|2[0-3]):[0-5]\d:\d\d",
    "ADS": rb"[0-9A-Z]{12}",
    "CONTRAT": rb"(?:BASE|EJP)_A[58]|MOD",
    "PTCOUR": rb"[A-Z]{1,3}",
    "PTCOUR/INJECTION": rb"[1-8]",
    **dict.fromkeys(("PREAVIS", "PREAVIS/INJECTION"), rb"DEP ?|EJP|HM|DSM|SCM"),
    **dict.fromkeys(("MODE", "MODE/INJECTION"), rb"CONTROLE"),
    "Appli": rb"INJECTION",
    "TRAME": rb"TEST",
    **dict.fromkeys(("MESURES1", "MESURES2"), rb"[A-Z][A-Z0-9 -]{4,9}"),
    "TARIFDYN": rb"ACTIF|INACTIF",
    "CONFIG": rb"CONSO|PROD",
    **dict.fromkeys(("PREAVIS1", "PREAVIS2"), rb"TD-(?:" + _PERIOD + rb"| \? )"),
    "LG_TRM": rb"TRM_(?:COURTE|LONGUE)",
    "MESSAGE": rb"[ -~]{1,80}",
    **dict.fromkeys(("GRILLE_D", "GRILLE_F"), rb"[ -~]{1,8}"),
    **dict.fromkeys(("PREAVISD", "PREAVISF"), rb"TD-[1-3]"),
    **dict.fromkeys(("ETATDYND", "ETATDYNF"), rb"[0-3]"),
}
_DATED_TEXTS: Final = {
    **{f"TDYN{calendar}{which}": rb"(" + _DATE + rb")-" + _PERIOD for calendar in "12" for which in ("CD", "CF", "FD", "FF")},
    **dict.fromkeys(("TDYND", "TDYNF"), rb"[df]-(" + _DATE + rb")-[1-3]"),
}
_ALIASES: Final = {
    "EaP-1_s": "EAP-1_s",
    "EaP-1_i": "EAP-1_i",
    "EaP_s2": "EAP_s2",
    "EaP-1_s2": "EAP-1_s2",
    "PRapCour": "PrapCour",
}


class Reading(NamedTuple):
    """`text` is the data of a TEXT or PACKED field, and the mark of a mean that was cut short; `utc_s` is 0 where there is none."""

    field: TicField
    value: int
    text: bytes
    utc_s: int


class _Shape(NamedTuple):
    field: TicField
    pattern: re.Pattern[bytes]
    reading: Callable[["_Shape", re.Match[bytes]], Reading | None]
    factor: int = 1


def _number(shape: _Shape, match: re.Match[bytes]) -> Reading:
    return Reading(shape.field, int(match[1]) * shape.factor, match["mark"] or b"" if "mark" in match.re.groupindex else b"", 0)


def _decimal(shape: _Shape, match: re.Match[bytes]) -> Reading:
    return Reading(shape.field, int(match[1] + match[2]), b"", 0)


def _time(shape: _Shape, match: re.Match[bytes]) -> Reading | None:
    utc_s = horodate.parse_slashed(match[0])
    return None if utc_s is None else Reading(shape.field, utc_s, b"", utc_s)


def _text(shape: _Shape, match: re.Match[bytes]) -> Reading:
    return Reading(shape.field, 0, match[0], 0)


def _dated_text(shape: _Shape, match: re.Match[bytes]) -> Reading | None:
    utc_s = horodate.parse_slashed(match[1])
    return None if utc_s is None else Reading(shape.field, 0, match[0], utc_s)


def _shape(field: TicField) -> _Shape:
    name, unit = field.label, field.unit
    if unit == "s":
        return _Shape(field, re.compile(_DATE), _time)
    if unit in _DECIMALS:
        return _Shape(field, re.compile(_DECIMALS[unit]), _decimal)
    if name in _DATED_TEXTS:
        return _Shape(field, re.compile(_DATED_TEXTS[name]), _dated_text)
    if name in _TEXTS or field.role == TEXT:
        return _Shape(field, re.compile(_TEXTS.get(name, _PERIOD)), _text)
    suffix, factor = (_SMALL if field.role == QUANTITY else _LARGE)[unit]
    sign = rb"-?" if name in _SIGNED else rb""
    return _Shape(field, re.compile(rb"(%b\d{1,9})%b" % (sign, suffix)), _number, factor)


def _tables() -> tuple[dict[bytes, tuple[_Shape, ...]], dict[bytes, tuple[_Shape, ...]]]:
    """By what stands on the line: in any frame, and in the second half of one of an ICE-4Q."""
    usual: dict[bytes, tuple[_Shape, ...]] = {}
    injection: dict[bytes, tuple[_Shape, ...]] = {}
    for field in FIELDS:
        name, _, half = field.label.partition("/")
        label = name.removesuffix(" kW").removesuffix(" kVA").encode()
        table = injection if half else usual
        table[label] = (*table.get(label, ()), _shape(field))
    for alias, name in _ALIASES.items():
        usual[alias.encode()] = (_shape(BY_LABEL[name]),)
    return usual, usual | injection


LABELS, LABELS_OF_INJECTION = _tables()


def read(label: bytes, data: bytes, injection: bool) -> Reading | None:
    """What a group says, None if `data` has none of the shapes that `label`, one of LABELS, can have."""
    for shape in (LABELS_OF_INJECTION if injection else LABELS)[label]:
        match = shape.pattern.fullmatch(data)
        if match is not None:
            return shape.reading(shape, match)
    return None
