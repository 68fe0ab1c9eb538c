"""Which tariff period a register of a professional meter counts, and which register counts now (Enedis-NOI-CPT_02E 2.6 to 2.10).

An ICE has a register for each period (EApHPE), a PME-PMI says the period beside one register (EAP_s and PTCOUR1), a SAPHIR numbers
the periods of its grid and names them (EAp1SF, LIB_p1F), a CJE sends a list without names (ENERG). Law: a period is called as the
meter calls it, in small letters; where it only has a number in a calendar it is that number.
"""

from collections.abc import Mapping
from typing import Final

from energyd import ticfields, ticprofessional

_CONTRACTS: Final = ("CONTRAT", "MESURES1", "GRILLE_F")
_SUPPLIED: Final = ("EAP_s", "EAP_i", "EApCour", "ENERG")  # with the period, or a number, behind a stroke
_PERIODS: Final = {
    **{f"EAp{period}": period.lower() for period in ticprofessional.ICE_PERIODS},
    **{f"EAp{number}SF": number for number in ticprofessional.GRID_PERIODS},
}


def contract_of(texts: Mapping[str, str]) -> str:
    """The contract in the meter's own words; '' while it has not said it."""
    return next((texts[label] for label in _CONTRACTS if texts.get(label)), "")


def active_register(texts: Mapping[str, str]) -> str:
    """The register that counts what is drawn now; '' while the meter has not said it, or cannot."""
    if period := texts.get("PTCOUR1", "").strip():
        return f"EAP_s/{period}"
    if period := texts.get("PTCOURF", "").strip():
        named = (n for n in ticprofessional.GRID_PERIODS if texts.get(f"LIB_p{n}F", "").strip() == period)
        return f"EAp{number}SF" if (number := next(named, "")) else ""
    period = texts.get("PTCOUR", "").strip()
    return f"EAp{period}" if period in ticprofessional.ICE_PERIODS else ""


def period_of(register: str) -> str:
    """The period that a register counts; '' for one of a household."""
    label, _, period = register.partition("/")
    return period.lower() if label in _SUPPLIED else _PERIODS.get(register, "")


def is_off_peak(period: str) -> bool:
    """HCE, HCH, HCD: off-peak hours of summer, winter and the half season."""
    return period in ticfields.PROFESSIONAL_OFF_PEAK
