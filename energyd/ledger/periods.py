"""Which tariff period a register counts, and which register counts now, in both modes of the tele-information.

Historique: the register's own label says it (54E 6.1), and PTEC says which one counts. Standard: NTARF is the number of the EASFnn
that counts and LTARF its name in words, which depends on the supplier's calendar (NGTF); so the name is learned while the register
counts, and until then follows from the calendars that every supplier numbers alike (54E 6.2.3). Others: professional.py.
Law: a register that nobody knows counts as peak energy, so that off-peak and peak always sum to all.
"""

import re
from collections.abc import Mapping
from typing import Final

from energyd import ticfields, ticprofessional
from energyd.ledger import professional

_HISTORIQUE: Final = {
    "BASE": "base",
    "HCHC": "hc",
    "HCHP": "hp",
    "EJPHN": "ejp_normal",
    "EJPHPM": "ejp_peak",
    "BBRHCJB": "tempo_blue_hc",
    "BBRHPJB": "tempo_blue_hp",
    "BBRHCJW": "tempo_white_hc",
    "BBRHPJW": "tempo_white_hp",
    "BBRHCJR": "tempo_red_hc",
    "BBRHPJR": "tempo_red_hp",
}
_PTEC: Final = {
    "TH..": "BASE",
    "HC..": "HCHC",
    "HP..": "HCHP",
    "HN..": "EJPHN",
    "PM..": "EJPHPM",
    **{f"{hours}J{colour}": f"BBR{hours}J{colour}" for hours in ("HC", "HP") for colour in "BWR"},
}
_CALENDARS: Final = {
    "base": ("base",),
    "hc_hp": ("hc", "hp"),
    "tempo": ("tempo_blue_hc", "tempo_blue_hp", "tempo_white_hc", "tempo_white_hp", "tempo_red_hc", "tempo_red_hp"),
    "ejp": ("ejp_normal", "ejp_peak"),
}
_COLOURS: Final = {"BLEU": "blue", "BLANC": "white", "BLAN": "white", "ROUGE": "red", "ROUG": "red"}
_OPTIONS: Final = {"BASE": "base", "HC": "hc_hp", "EJP": "ejp", "BBR": "tempo"}
SUPPLIER_REGISTER: Final = "EASF"
TOTAL_REGISTER: Final = "EAST"
INJECTED_REGISTER: Final = "EAIT"
ALL_CONSUMED: Final = "CONSUMED"
"""No register of a meter: what a download without registers calls consumption."""


_ROLES: Final = {
    ALL_CONSUMED: (ticfields.CONSUMED, ticfields.SUPPLIER),
    "ENERG": (ticfields.CONSUMED, ticfields.SUPPLIER),  # of a CJE, by the period behind a stroke
    **{
        field.label: (field.direction, field.scope)
        for field in (*ticfields.FIELDS, *ticprofessional.FIELDS)
        if field.role == ticfields.REGISTER
    },
}
"""(direction, scope) of every register; what stands behind a stroke is the period of a professional meter."""


def contract_of(texts: Mapping[str, str]) -> str:
    """base, hc_hp, tempo, ejp, weekend or, for a calendar of another name, that name; '' while the meter has not said it."""
    option = texts.get("OPTARIF", "").strip()
    for start, contract in _OPTIONS.items():
        if option.startswith(start):
            return contract
    words = (texts.get("NGTF") or professional.contract_of(texts)).upper().split()
    name = " ".join(words)
    if any(word.startswith(("WEEK", "WE")) for word in words):
        return "weekend"
    if "TEMPO" in words:
        return "tempo"
    if "EJP" in words:
        return "ejp"
    if "CREUSE" in name or words[:1] == ["HC"]:
        return "hc_hp"
    if "BASE" in words:
        return "base"
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def active_register(texts: Mapping[str, str], quantities: Mapping[str, int]) -> str:
    """The register that counts now; '' while the meter has not said it."""
    if "NTARF" in quantities:
        return f"{SUPPLIER_REGISTER}{quantities['NTARF']:02}"
    return _PTEC.get(texts.get("PTEC", "").strip(), "") or professional.active_register(texts)


def period_of_words(words: str) -> str:
    """The period that LTARF names; '' when the words are not known."""
    said = words.upper().split()
    off_peak = "HC" in said or any(word.startswith("CREUSE") for word in said)
    peak = "HP" in said or any(word.startswith("PLEINE") for word in said)
    hours = "hc" if off_peak else "hp" if peak else ""
    colour = next((_COLOURS[word] for word in said if word in _COLOURS), "")
    if colour:
        return f"tempo_{colour}_{hours}" if hours else ""
    if any(word.startswith(("WEEK", "WE")) for word in said):
        return f"weekend_{hours}" if hours else "weekend"
    if any(word.startswith(("POINTE", "MOBILE")) for word in said) or "PM" in said:
        return "ejp_peak"
    if "HN" in said or any(word.startswith("NORMALE") for word in said):
        return "ejp_normal"
    return hours or ("base" if "BASE" in said else "")


def period_of(register: str, contract: str, learned: Mapping[str, str]) -> str:
    """The period that `register` counts; '' for one that nobody has named, `injected` for EAIT."""
    if register in learned:
        return learned[register]
    if is_injected(register):
        return "injected"
    if register == ALL_CONSUMED:
        return "base"
    if register.startswith(SUPPLIER_REGISTER):
        names, number = _CALENDARS.get(contract, ()), int(register.removeprefix(SUPPLIER_REGISTER))
        return names[number - 1] if number <= len(names) else ""
    return _HISTORIQUE.get(register, "") or professional.period_of(register)


def is_supplied(register: str) -> bool:
    """Whether a register counts energy drawn, once: EAST and EASDnn count the same again."""
    return _ROLES.get(register.partition("/")[0]) == (ticfields.CONSUMED, ticfields.SUPPLIER)


def is_injected(register: str) -> bool:
    return _ROLES.get(register.partition("/")[0], ("", ""))[0] == ticfields.INJECTED


def injected_wh(registers: Mapping[str, int]) -> int | None:
    """The energy given back; None for a meter that has no register for it."""
    injected = [energy_wh for register, energy_wh in registers.items() if is_injected(register)]
    return sum(injected) if injected else None


def consumed_wh(registers: Mapping[str, int]) -> int:
    """The energy drawn: the sum of the supplier's registers, EAST where there are none."""
    supplied = [energy_wh for register, energy_wh in registers.items() if is_supplied(register)]
    return sum(supplied) if supplied else registers.get(TOTAL_REGISTER, 0)


def is_off_peak(period: str) -> bool:
    return period == "hc" or period.endswith("_hc") or professional.is_off_peak(period)
