"""What each field of the meter means, for those who decode it and for those who count with it.

The decoder writes a field as a number into its samples; the aggregator and the exporter learn here what the number stands for,
without knowing how a meter speaks. Ids are stable for ever: rings and state files hold them, so a field is never renumbered
and a retired number never used again. Historique labels have 1 to 99, standard labels 101 to 199.

Labels and units: Enedis-NOI-CPT_54E 6.1 (historique) and 6.2.2 (standard), concentrator labels Enedis-NOI-CPT_02E.
"""

from typing import Final, NamedTuple

HISTORIQUE: Final = "historique"
STANDARD: Final = "standard"

REGISTER: Final = "register"  # cumulative active energy in watt-hours
COUNTER: Final = "counter"  # cumulative, but not active energy: reactive energy, volumes
QUANTITY: Final = "quantity"  # a number of the moment, in its unit; "bits" are a bit field, "s" is Unix time, "" a plain number
TEXT: Final = "text"  # tariff, calendar, message: bytes as the meter sent them, padding included
IDENTITY: Final = "identity"  # who is speaking: digits, kept as text

CONSUMED: Final = "consumed"
INJECTED: Final = "injected"

TOTAL: Final = "total"  # every watt-hour of its direction
SUPPLIER: Final = "supplier"  # its share in one tariff period of the supplier; together they are the total
DISTRIBUTOR: Final = "distributor"  # the same watt-hours once more, by the periods of the distributor


class TicField(NamedTuple):
    """`direction` and `scope` are those of a REGISTER and empty otherwise; registers of different scopes must never be added."""

    id: int
    label: str
    mode: str
    role: str
    unit: str
    direction: str = ""
    scope: str = ""


FIELDS: Final = (
    TicField(1, "ADCO", HISTORIQUE, IDENTITY, ""),
    TicField(2, "OPTARIF", HISTORIQUE, TEXT, ""),
    TicField(3, "ISOUSC", HISTORIQUE, QUANTITY, "A"),
    TicField(4, "BASE", HISTORIQUE, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(5, "HCHC", HISTORIQUE, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(6, "HCHP", HISTORIQUE, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(7, "EJPHN", HISTORIQUE, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(8, "EJPHPM", HISTORIQUE, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(9, "BBRHCJB", HISTORIQUE, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(10, "BBRHPJB", HISTORIQUE, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(11, "BBRHCJW", HISTORIQUE, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(12, "BBRHPJW", HISTORIQUE, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(13, "BBRHCJR", HISTORIQUE, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(14, "BBRHPJR", HISTORIQUE, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(15, "PEJP", HISTORIQUE, QUANTITY, "min"),
    TicField(16, "PTEC", HISTORIQUE, TEXT, ""),
    TicField(17, "DEMAIN", HISTORIQUE, TEXT, ""),
    TicField(18, "IINST", HISTORIQUE, QUANTITY, "A"),
    TicField(19, "ADPS", HISTORIQUE, QUANTITY, "A"),
    TicField(20, "IMAX", HISTORIQUE, QUANTITY, "A"),
    TicField(21, "IINST1", HISTORIQUE, QUANTITY, "A"),
    TicField(22, "IMAX1", HISTORIQUE, QUANTITY, "A"),
    TicField(23, "ADIR1", HISTORIQUE, QUANTITY, "A"),
    TicField(24, "IINST2", HISTORIQUE, QUANTITY, "A"),
    TicField(25, "IMAX2", HISTORIQUE, QUANTITY, "A"),
    TicField(26, "ADIR2", HISTORIQUE, QUANTITY, "A"),
    TicField(27, "IINST3", HISTORIQUE, QUANTITY, "A"),
    TicField(28, "IMAX3", HISTORIQUE, QUANTITY, "A"),
    TicField(29, "ADIR3", HISTORIQUE, QUANTITY, "A"),
    TicField(30, "PMAX", HISTORIQUE, QUANTITY, "W"),
    TicField(31, "PAPP", HISTORIQUE, QUANTITY, "VA"),
    TicField(32, "HHPHC", HISTORIQUE, TEXT, ""),
    TicField(33, "MOTDETAT", HISTORIQUE, TEXT, ""),
    TicField(34, "PPOT", HISTORIQUE, QUANTITY, "bits"),
    TicField(35, "GAZ", HISTORIQUE, COUNTER, "dal"),
    TicField(36, "AUTRE", HISTORIQUE, COUNTER, "dal"),
    TicField(101, "ADSC", STANDARD, IDENTITY, ""),
    TicField(102, "VTIC", STANDARD, TEXT, ""),
    TicField(103, "DATE", STANDARD, QUANTITY, "s"),
    TicField(104, "NGTF", STANDARD, TEXT, ""),
    TicField(105, "LTARF", STANDARD, TEXT, ""),
    TicField(106, "EAST", STANDARD, REGISTER, "Wh", CONSUMED, TOTAL),
    TicField(107, "EASF01", STANDARD, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(108, "EASF02", STANDARD, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(109, "EASF03", STANDARD, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(110, "EASF04", STANDARD, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(111, "EASF05", STANDARD, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(112, "EASF06", STANDARD, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(113, "EASF07", STANDARD, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(114, "EASF08", STANDARD, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(115, "EASF09", STANDARD, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(116, "EASF10", STANDARD, REGISTER, "Wh", CONSUMED, SUPPLIER),
    TicField(117, "EASD01", STANDARD, REGISTER, "Wh", CONSUMED, DISTRIBUTOR),
    TicField(118, "EASD02", STANDARD, REGISTER, "Wh", CONSUMED, DISTRIBUTOR),
    TicField(119, "EASD03", STANDARD, REGISTER, "Wh", CONSUMED, DISTRIBUTOR),
    TicField(120, "EASD04", STANDARD, REGISTER, "Wh", CONSUMED, DISTRIBUTOR),
    TicField(121, "EAIT", STANDARD, REGISTER, "Wh", INJECTED, TOTAL),
    TicField(122, "ERQ1", STANDARD, COUNTER, "VArh"),
    TicField(123, "ERQ2", STANDARD, COUNTER, "VArh"),
    TicField(124, "ERQ3", STANDARD, COUNTER, "VArh"),
    TicField(125, "ERQ4", STANDARD, COUNTER, "VArh"),
    TicField(126, "IRMS1", STANDARD, QUANTITY, "A"),
    TicField(127, "IRMS2", STANDARD, QUANTITY, "A"),
    TicField(128, "IRMS3", STANDARD, QUANTITY, "A"),
    TicField(129, "URMS1", STANDARD, QUANTITY, "V"),
    TicField(130, "URMS2", STANDARD, QUANTITY, "V"),
    TicField(131, "URMS3", STANDARD, QUANTITY, "V"),
    TicField(132, "PREF", STANDARD, QUANTITY, "kVA"),
    TicField(133, "PCOUP", STANDARD, QUANTITY, "kVA"),
    TicField(134, "SINSTS", STANDARD, QUANTITY, "VA"),
    TicField(135, "SINSTS1", STANDARD, QUANTITY, "VA"),
    TicField(136, "SINSTS2", STANDARD, QUANTITY, "VA"),
    TicField(137, "SINSTS3", STANDARD, QUANTITY, "VA"),
    TicField(138, "SMAXSN", STANDARD, QUANTITY, "VA"),
    TicField(139, "SMAXSN1", STANDARD, QUANTITY, "VA"),
    TicField(140, "SMAXSN2", STANDARD, QUANTITY, "VA"),
    TicField(141, "SMAXSN3", STANDARD, QUANTITY, "VA"),
    TicField(142, "SMAXSN-1", STANDARD, QUANTITY, "VA"),
    TicField(143, "SMAXSN1-1", STANDARD, QUANTITY, "VA"),
    TicField(144, "SMAXSN2-1", STANDARD, QUANTITY, "VA"),
    TicField(145, "SMAXSN3-1", STANDARD, QUANTITY, "VA"),
    TicField(146, "SINSTI", STANDARD, QUANTITY, "VA"),
    TicField(147, "SMAXIN", STANDARD, QUANTITY, "VA"),
    TicField(148, "SMAXIN-1", STANDARD, QUANTITY, "VA"),
    TicField(149, "CCASN", STANDARD, QUANTITY, "W"),
    TicField(150, "CCASN-1", STANDARD, QUANTITY, "W"),
    TicField(151, "CCAIN", STANDARD, QUANTITY, "W"),
    TicField(152, "CCAIN-1", STANDARD, QUANTITY, "W"),
    TicField(153, "UMOY1", STANDARD, QUANTITY, "V"),
    TicField(154, "UMOY2", STANDARD, QUANTITY, "V"),
    TicField(155, "UMOY3", STANDARD, QUANTITY, "V"),
    TicField(156, "STGE", STANDARD, QUANTITY, "bits"),
    TicField(157, "DPM1", STANDARD, TEXT, ""),
    TicField(158, "FPM1", STANDARD, TEXT, ""),
    TicField(159, "DPM2", STANDARD, TEXT, ""),
    TicField(160, "FPM2", STANDARD, TEXT, ""),
    TicField(161, "DPM3", STANDARD, TEXT, ""),
    TicField(162, "FPM3", STANDARD, TEXT, ""),
    TicField(163, "MSG1", STANDARD, TEXT, ""),
    TicField(164, "MSG2", STANDARD, TEXT, ""),
    TicField(165, "PRM", STANDARD, IDENTITY, ""),
    TicField(166, "RELAIS", STANDARD, QUANTITY, "bits"),
    TicField(167, "NTARF", STANDARD, QUANTITY, ""),
    TicField(168, "NJOURF", STANDARD, QUANTITY, ""),
    TicField(169, "NJOURF+1", STANDARD, QUANTITY, ""),
    TicField(170, "PJOURF+1", STANDARD, TEXT, ""),
    TicField(171, "PPOINTE", STANDARD, TEXT, ""),
)

PERIODS: Final = (
    "base",
    "hc",
    "hp",
    "tempo_blue_hc",
    "tempo_blue_hp",
    "tempo_white_hc",
    "tempo_white_hp",
    "tempo_red_hc",
    "tempo_red_hp",
    "ejp_normal",
    "ejp_peak",
    "weekend",
    "weekend_hc",
    "weekend_hp",
    "injected",
)
"""What a register of the supplier counts, in whichever mode the meter speaks; `injected` is no tariff of what is drawn."""

PROFESSIONAL_PERIODS: Final = ("P", "PM", "HCE", "HCH", "HH", "HCD", "HD", "JA", "HPE", "HPH", "HPD", "SCM", "HM", "DSM")
"""The periods of the professional meters by their names (02E 2.7.3); other texts and documents write them in small letters."""

PROFESSIONAL_OFF_PEAK: Final = tuple(period.lower() for period in PROFESSIONAL_PERIODS if period.startswith("HC"))

PRICE_KEYS: Final = (
    *PERIODS,
    *(period.lower() for period in PROFESSIONAL_PERIODS),
    *(field.label for field in FIELDS if field.role == REGISTER and (field.scope == SUPPLIER or field.direction == INJECTED)),
    *(f"{start}{period}" for start in ("EAp", "EAP_s/", "EAP_i/") for period in PROFESSIONAL_PERIODS),
    *(f"EAp{number}{grid}" for grid in ("SF", "ID") for number in range(1, 9)),
    *(f"EApCour/{number}" for number in range(1, 9)),
    *(f"ENERG/{place}" for place in range(1, 7)),
)
"""What may have a price: periods, and registers whose sum counts nothing twice."""

BY_ID: Final = {field.id: field for field in FIELDS}
BY_LABEL: Final = {(field.mode, field.label): field for field in FIELDS}
