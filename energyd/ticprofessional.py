"""What the fields of the professional meters mean: the second half of `energyd.ticfields`.

CJE ("jaune"), ICE-2Q and ICE-4Q, PME-PMI and SAPHIR: Enedis-NOI-CPT_02E 2.6 to 2.10. Their groups carry units in the data; a value
here is an integer in the unit that the field names, whatever the meter wrote (kWh become Wh). Ids from 201 on, in blocks with room:
a block only ever grows at its end, and no number is used again.

A register of `EACH_PERIOD` counts whichever tariff period is in force: it is one register for each period, and what says which one
is the field given there, heard earlier in the same frame. Active energy of the supplier's grid is SUPPLIER, that of the second
calendar of a PME-PMI or of the distributor's grid of a SAPHIR is the same energy once more: DISTRIBUTOR.
"""

from typing import Final

from energyd.ticfields import (
    CONSUMED,
    COUNTER,
    DISTRIBUTOR,
    IDENTITY,
    INJECTED,
    PROFESSIONAL_PERIODS,
    QUANTITY,
    REGISTER,
    SUPPLIER,
    TEXT,
    TicField,
)

PROFESSIONAL: Final = "professional"
PACKED: Final = "packed"  # a text that holds several values, see energyd.ticjaune
INDEX: Final = "index"  # a cumulative energy as it stood when the last contract period ended: it does not move

ICE_PERIODS: Final = PROFESSIONAL_PERIODS
POINTS: Final = "123456"  # the last means of power, 1 the latest
GRID_PERIODS: Final = "12345678"
INJECTION: Final = "/INJECTION"
"""Behind the label of a field that an ICE-4Q says in the second half of its frame, about what is injected."""


def _block(first: int, labels: tuple[str, ...], role: str, unit: str = "", direction: str = "", scope: str = "") -> list[TicField]:
    return [TicField(first + n, label, PROFESSIONAL, role, unit, direction, scope) for n, label in enumerate(labels)]


def _each(pattern: str, names: tuple[str, ...] | str) -> tuple[str, ...]:
    return tuple(pattern.format(name) for name in names)


_JAUNE: Final = ("JAUNE", "ENERG", "PERCC", "PMAXC", "TDEPA", "PERCP", "PMAXP", "PSOUSC", "PSOUSP", "FCOU")
_TEXTS: Final = (
    *("CONTRAT", "PTCOUR", "PREAVIS", "MODE", "Appli", "PTCOUR/INJECTION", "PREAVIS/INJECTION", "MODE/INJECTION"),
    *("TRAME", "MESURES1", "MESURES2", "PTCOUR1", "PTCOUR2", "TARIFDYN", "CONFIG"),
    *("ETATDYN1", "PREAVIS1", "TDYN1CD", "TDYN1CF", "TDYN1FD", "TDYN1FF"),
    *("ETATDYN2", "PREAVIS2", "TDYN2CD", "TDYN2CF", "TDYN2FD", "TDYN2FF"),
    *("LG_TRM", "MESSAGE", "GRILLE_D", "GRILLE_F", "PTCOURD", "PTCOURF"),
    *("PREAVISD", "PREAVISF", "TDYND", "TDYNF", "ETATDYND", "ETATDYNF"),
    *(f"LIB_p{period}{grid}" for grid in "DF" for period in GRID_PERIODS),
)
_TIMES: Final = (
    *("DATE", "DATECOUR", *_each("DATEPA{}", POINTS)),
    *(
        "DEBUTp",
        "FINp",
        "DEBUTp1",
        "FINp1",
        "DATECOUR/INJECTION",
        *_each("DATEP{}", POINTS),
        "DEBUTp/INJECTION",
        "DEBUTp1/INJECTION",
    ),
    *("DebP", "DebP-1", "FinP-1", "DebP_2", "DebP-1_2", "FinP-1_2", "FINP1"),
)

FIELDS: Final = (
    *_block(201, _JAUNE, PACKED),
    *_block(220, ("ADS",), IDENTITY),
    *_block(221, _TEXTS, TEXT),
    *_block(300, _TIMES, QUANTITY, "s"),
    *_block(350, ("CAFp", "CAFp1"), QUANTITY),
    *_block(355, ("KDC", "KDCD"), QUANTITY, "%"),
    *_block(360, ("TD", "TC"), QUANTITY, "min"),
    *_block(365, ("TGPHI", "TGPHI/INJECTION", "TGPHI_s", "TGPHI_i", "TGPHIS", "TGPHII"), QUANTITY, "0.01"),
    *_block(375, ("I1", "I2", "I3", "I1I", "I2I", "I3I"), QUANTITY, "mA"),
    *_block(385, ("U10MN", *_each("UMOY{}", POINTS)), QUANTITY, "V"),
    # since the running interval (of ten minutes) began
    *_block(400, ("EA", "EA_s", "EAS", "EA/INJECTION", "EA_i", "EAI"), QUANTITY, "Wh"),
    *_block(
        410,
        (
            *("ERP", "ER+_s", "ER-_s", "ER+S", "ER-S"),
            *("ERP/INJECTION", "ERN/INJECTION", "ER+_i", "ER-_i", "ER+I", "ER-I"),
        ),
        QUANTITY,
        "VArh",
    ),
    *_block(425, ("EAPP_s", "EAPP_i"), QUANTITY, "VAh"),
    # means of power
    *_block(430, ("PA1MN", "PA10MN", "IPA1MN", "IPATMN"), QUANTITY, "W"),
    *_block(440, ("PREA1MN", "PREA10MN", "IPREA1MN", "IPREATMN"), QUANTITY, "VAr"),
    *_block(450, _each("PA{}", POINTS) + _each("PA{}_s", POINTS) + _each("PA{}S", POINTS), QUANTITY, "W"),
    *_block(470, _each("P{}", POINTS) + _each("PA{}_i", POINTS) + _each("PA{}I", POINTS), QUANTITY, "W"),
    *_block(490, _each("PR+{}S", POINTS) + _each("PR-{}S", POINTS), QUANTITY, "VAr"),
    *_block(505, _each("PR+{}I", POINTS) + _each("PR-{}I", POINTS), QUANTITY, "VAr"),
    # what is contracted, and the highest power in the tariff period
    *_block(520, (*_each("PS{}", ICE_PERIODS), "PrapCour", *_each("PSp{}", GRID_PERIODS), "PS kW"), QUANTITY, "W"),
    *_block(550, ("PS kVA",), QUANTITY, "VA"),
    *_block(555, ("PMAX_s kW", "PMAX_i kW"), QUANTITY, "W"),
    *_block(560, ("PMAX_s kVA", "PMAX_i kVA"), QUANTITY, "VA"),
    # active energy
    *_block(600, _each("EAp{}", ICE_PERIODS), REGISTER, "Wh", CONSUMED, SUPPLIER),
    *_block(620, ("EApCour",), REGISTER, "Wh", INJECTED, SUPPLIER),
    *_block(621, ("EAP_s",), REGISTER, "Wh", CONSUMED, SUPPLIER),
    *_block(622, ("EAP_i",), REGISTER, "Wh", INJECTED, SUPPLIER),
    *_block(623, ("EAP_s2",), REGISTER, "Wh", CONSUMED, DISTRIBUTOR),
    *_block(630, _each("EAp{}SF", GRID_PERIODS), REGISTER, "Wh", CONSUMED, SUPPLIER),
    *_block(640, _each("EAp{}SD", GRID_PERIODS), REGISTER, "Wh", CONSUMED, DISTRIBUTOR),
    *_block(650, _each("EAp{}ID", GRID_PERIODS), REGISTER, "Wh", INJECTED, SUPPLIER),
    # reactive energy
    *_block(660, _each("ERPp{}", ICE_PERIODS), COUNTER, "VArh"),
    *_block(680, _each("ERNp{}", ICE_PERIODS), COUNTER, "VArh"),
    *_block(700, ("ERPpCour", "ERNpCour", "ER+P_s", "ER-P_s", "ER+P_i", "ER-P_i"), COUNTER, "VArh"),
    *_block(710, _each("ER+p{}SD", GRID_PERIODS) + _each("ER-p{}SD", GRID_PERIODS), COUNTER, "VArh"),
    *_block(730, _each("ER+p{}ID", GRID_PERIODS) + _each("ER-p{}ID", GRID_PERIODS), COUNTER, "VArh"),
    # as they stood when the last contract period ended
    *_block(750, _each("EAp1{}", ICE_PERIODS) + _each("EAp1P{}", GRID_PERIODS), INDEX, "Wh"),
    *_block(780, ("EAP-1_s", "EAP-1_i", "EAP-1_s2"), INDEX, "Wh"),
    *_block(790, _each("EAp{}SF1", GRID_PERIODS) + _each("EAp{}SD1", GRID_PERIODS) + _each("EAp{}ID1", GRID_PERIODS), INDEX, "Wh"),
    *_block(820, _each("ERPp1{}", ICE_PERIODS) + _each("ERPp1P{}", GRID_PERIODS), INDEX, "VArh"),
    *_block(850, _each("ERNp1{}", ICE_PERIODS) + _each("ERNp1P{}", GRID_PERIODS), INDEX, "VArh"),
    *_block(880, ("ER+P-1_s", "ER-P-1_s", "ER+P-1_i", "ER-P-1_i"), INDEX, "VArh"),
    *_block(890, _each("ER+p{}SD1", GRID_PERIODS) + _each("ER-p{}SD1", GRID_PERIODS), INDEX, "VArh"),
    *_block(910, _each("ER+p{}ID1", GRID_PERIODS) + _each("ER-p{}ID1", GRID_PERIODS), INDEX, "VArh"),
)

EACH_PERIOD: Final = {
    **dict.fromkeys(("EAP_s", "EAP_i", "ER+P_s", "ER-P_s", "ER+P_i", "ER-P_i"), "PTCOUR1"),
    "EAP_s2": "PTCOUR2",
    **dict.fromkeys(("EApCour", "ERPpCour", "ERNpCour"), "PTCOUR/INJECTION"),
}

BY_ID: Final = {field.id: field for field in FIELDS}
BY_LABEL: Final = {field.label: field for field in FIELDS}
