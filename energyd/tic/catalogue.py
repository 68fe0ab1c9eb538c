"""What a well-formed group of each label looks like: width, characters, value, horodate.

Widths and characters: Enedis-NOI-CPT_54E 6.1 (historique) and 6.2.2 (standard). Ids, units and roles are those of
`energyd.ticfields`. The checksum never sees bit 6 of a character, so these tables are the second guard: a wrong group that
passes the checksum by chance must still name a known label and fit its width and its characters. Data only.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from energyd.ticfields import BY_LABEL, HISTORIQUE, STANDARD, TicField

CONCENTRATOR_INDEXES: Final = ("BASE", "HCHC", "HCHP", "EJPHN", "EJPHPM")
CONCENTRATOR_WIDTH: Final = 8
"""A "concentrateur de telereport" has a digit less in its indexes than a meter (02E 2.2.2)."""

# how the data becomes a value
NUMBER: Final = "number"
HEX: Final = "hex"
TEXT: Final = "text"  # the value is 0, the bytes are kept
EMPTY: Final = "empty"  # the horodate is the value

# whether a horodate stands before the data
PLAIN: Final = "plain"
DATED: Final = "dated"
BLANK_SEASON: Final = "blank season"  # dated, and its season may be a space

DIGITS: Final = rb"[0-9]"
HEXADECIMAL: Final = rb"[0-9A-F]"
PRINTABLE: Final = rb"[ -~]"
# 54E 6.2.3.20: eleven actions HHMMSSSS, SSSS hexadecimal, the unused ones spelt out
_ACTION: Final = rb"(?:(?:[01][0-9]|2[0-3])[0-5][0-9][0-9A-F]{4}|NONUTILE)"
PROFILE: Final = _ACTION + rb"(?: " + _ACTION + rb"){10}"

_HISTORIQUE: Final = (
    ("ADCO", 12, TEXT, DIGITS, PLAIN),
    ("OPTARIF", 4, TEXT, rb"BASE|HC\.\.|EJP[. ]|BBR[(-?]", PLAIN),
    ("ISOUSC", 2, NUMBER, DIGITS, PLAIN),
    ("BASE", 9, NUMBER, DIGITS, PLAIN),
    ("HCHC", 9, NUMBER, DIGITS, PLAIN),
    ("HCHP", 9, NUMBER, DIGITS, PLAIN),
    ("EJPHN", 9, NUMBER, DIGITS, PLAIN),
    ("EJPHPM", 9, NUMBER, DIGITS, PLAIN),
    ("BBRHCJB", 9, NUMBER, DIGITS, PLAIN),
    ("BBRHPJB", 9, NUMBER, DIGITS, PLAIN),
    ("BBRHCJW", 9, NUMBER, DIGITS, PLAIN),
    ("BBRHPJW", 9, NUMBER, DIGITS, PLAIN),
    ("BBRHCJR", 9, NUMBER, DIGITS, PLAIN),
    ("BBRHPJR", 9, NUMBER, DIGITS, PLAIN),
    ("PEJP", 2, NUMBER, DIGITS, PLAIN),
    ("PTEC", 4, TEXT, rb"(TH|HC|HP|HN|PM)\.\.|H[CP]J[BWR]", PLAIN),
    ("DEMAIN", 4, TEXT, rb"----|BLEU|BLAN|ROUG", PLAIN),
    ("IINST", 3, NUMBER, DIGITS, PLAIN),
    ("ADPS", 3, NUMBER, DIGITS, PLAIN),
    ("IMAX", 3, NUMBER, DIGITS, PLAIN),
    ("IINST1", 3, NUMBER, DIGITS, PLAIN),
    ("IMAX1", 3, NUMBER, DIGITS, PLAIN),
    ("ADIR1", 3, NUMBER, DIGITS, PLAIN),
    ("IINST2", 3, NUMBER, DIGITS, PLAIN),
    ("IMAX2", 3, NUMBER, DIGITS, PLAIN),
    ("ADIR2", 3, NUMBER, DIGITS, PLAIN),
    ("IINST3", 3, NUMBER, DIGITS, PLAIN),
    ("IMAX3", 3, NUMBER, DIGITS, PLAIN),
    ("ADIR3", 3, NUMBER, DIGITS, PLAIN),
    ("PMAX", 5, NUMBER, DIGITS, PLAIN),
    ("PAPP", 5, NUMBER, DIGITS, PLAIN),
    ("HHPHC", 1, TEXT, rb"[ACDEY]", PLAIN),
    ("MOTDETAT", 6, TEXT, HEXADECIMAL, PLAIN),
    ("PPOT", 2, HEX, HEXADECIMAL, PLAIN),
    ("GAZ", 7, NUMBER, DIGITS, PLAIN),
    ("AUTRE", 7, NUMBER, DIGITS, PLAIN),
)

_STANDARD: Final = (
    ("ADSC", 12, TEXT, DIGITS, PLAIN),
    ("VTIC", 2, TEXT, DIGITS, PLAIN),
    ("DATE", 0, EMPTY, DIGITS, DATED),
    ("NGTF", 16, TEXT, PRINTABLE, PLAIN),
    ("LTARF", 16, TEXT, PRINTABLE, PLAIN),
    ("EAST", 9, NUMBER, DIGITS, PLAIN),
    ("EASF01", 9, NUMBER, DIGITS, PLAIN),
    ("EASF02", 9, NUMBER, DIGITS, PLAIN),
    ("EASF03", 9, NUMBER, DIGITS, PLAIN),
    ("EASF04", 9, NUMBER, DIGITS, PLAIN),
    ("EASF05", 9, NUMBER, DIGITS, PLAIN),
    ("EASF06", 9, NUMBER, DIGITS, PLAIN),
    ("EASF07", 9, NUMBER, DIGITS, PLAIN),
    ("EASF08", 9, NUMBER, DIGITS, PLAIN),
    ("EASF09", 9, NUMBER, DIGITS, PLAIN),
    ("EASF10", 9, NUMBER, DIGITS, PLAIN),
    ("EASD01", 9, NUMBER, DIGITS, PLAIN),
    ("EASD02", 9, NUMBER, DIGITS, PLAIN),
    ("EASD03", 9, NUMBER, DIGITS, PLAIN),
    ("EASD04", 9, NUMBER, DIGITS, PLAIN),
    ("EAIT", 9, NUMBER, DIGITS, PLAIN),
    ("ERQ1", 9, NUMBER, DIGITS, PLAIN),
    ("ERQ2", 9, NUMBER, DIGITS, PLAIN),
    ("ERQ3", 9, NUMBER, DIGITS, PLAIN),
    ("ERQ4", 9, NUMBER, DIGITS, PLAIN),
    ("IRMS1", 3, NUMBER, DIGITS, PLAIN),
    ("IRMS2", 3, NUMBER, DIGITS, PLAIN),
    ("IRMS3", 3, NUMBER, DIGITS, PLAIN),
    ("URMS1", 3, NUMBER, DIGITS, PLAIN),
    ("URMS2", 3, NUMBER, DIGITS, PLAIN),
    ("URMS3", 3, NUMBER, DIGITS, PLAIN),
    ("PREF", 2, NUMBER, DIGITS, PLAIN),
    ("PCOUP", 2, NUMBER, DIGITS, PLAIN),
    ("SINSTS", 5, NUMBER, DIGITS, PLAIN),
    ("SINSTS1", 5, NUMBER, DIGITS, PLAIN),
    ("SINSTS2", 5, NUMBER, DIGITS, PLAIN),
    ("SINSTS3", 5, NUMBER, DIGITS, PLAIN),
    ("SMAXSN", 5, NUMBER, DIGITS, DATED),
    ("SMAXSN1", 5, NUMBER, DIGITS, DATED),
    ("SMAXSN2", 5, NUMBER, DIGITS, DATED),
    ("SMAXSN3", 5, NUMBER, DIGITS, DATED),
    ("SMAXSN-1", 5, NUMBER, DIGITS, DATED),
    ("SMAXSN1-1", 5, NUMBER, DIGITS, DATED),
    ("SMAXSN2-1", 5, NUMBER, DIGITS, DATED),
    ("SMAXSN3-1", 5, NUMBER, DIGITS, DATED),
    ("SINSTI", 5, NUMBER, DIGITS, PLAIN),
    ("SMAXIN", 5, NUMBER, DIGITS, DATED),
    ("SMAXIN-1", 5, NUMBER, DIGITS, DATED),
    ("CCASN", 5, NUMBER, DIGITS, DATED),
    ("CCASN-1", 5, NUMBER, DIGITS, DATED),
    ("CCAIN", 5, NUMBER, DIGITS, DATED),
    ("CCAIN-1", 5, NUMBER, DIGITS, DATED),
    ("UMOY1", 3, NUMBER, DIGITS, DATED),
    ("UMOY2", 3, NUMBER, DIGITS, DATED),
    ("UMOY3", 3, NUMBER, DIGITS, DATED),
    ("STGE", 8, HEX, HEXADECIMAL, PLAIN),
    ("DPM1", 2, TEXT, DIGITS, BLANK_SEASON),
    ("FPM1", 2, TEXT, DIGITS, BLANK_SEASON),
    ("DPM2", 2, TEXT, DIGITS, BLANK_SEASON),
    ("FPM2", 2, TEXT, DIGITS, BLANK_SEASON),
    ("DPM3", 2, TEXT, DIGITS, BLANK_SEASON),
    ("FPM3", 2, TEXT, DIGITS, BLANK_SEASON),
    ("MSG1", 32, TEXT, PRINTABLE, PLAIN),
    ("MSG2", 16, TEXT, PRINTABLE, PLAIN),
    ("PRM", 14, TEXT, DIGITS, PLAIN),
    ("RELAIS", 3, NUMBER, rb"[01]\d\d|2[0-4]\d|25[0-5]", PLAIN),
    ("NTARF", 2, NUMBER, DIGITS, PLAIN),
    ("NJOURF", 2, NUMBER, DIGITS, PLAIN),
    ("NJOURF+1", 2, NUMBER, DIGITS, PLAIN),
    ("PJOURF+1", 98, TEXT, PROFILE, PLAIN),
    ("PPOINTE", 98, TEXT, PROFILE, PLAIN),
)


class Entry(NamedTuple):
    """`fits` tells whether data has the width and the characters that the label requires.

    `digits` are the widths of a number that is nothing but digits and bears no date, which is most of what a meter says.
    """

    field: TicField
    width: int
    digits: tuple[int, ...]
    kind: str
    fits: Callable[[bytes], re.Match[bytes] | None]
    dated: str


def _shape(widths: tuple[int, ...], characters: bytes) -> re.Pattern[bytes]:
    """`characters` is a class, to be repeated, or an expression for the whole, which then has the one width."""
    if characters in (DIGITS, HEXADECIMAL, PRINTABLE):
        return re.compile(b"|".join(rb"%b{%d}" % (characters, width) for width in widths))
    return re.compile(rb"(?=.{%d}\Z)(?:%b)" % (widths[0], characters))


def _entries(mode: str, rows: tuple[tuple[str, int, str, bytes, str], ...]) -> dict[bytes, Entry]:
    entries = {}
    for label, width, kind, characters, dated in rows:
        widths = (width, CONCENTRATOR_WIDTH) if label in CONCENTRATOR_INDEXES else (width,)
        plain = kind == NUMBER and characters == DIGITS and dated == PLAIN
        fits = _shape(widths, characters).fullmatch
        entries[label.encode()] = Entry(BY_LABEL[mode, label], width, widths if plain else (), kind, fits, dated)
    return entries


ENTRIES: Final = {HISTORIQUE: _entries(HISTORIQUE, _HISTORIQUE), STANDARD: _entries(STANDARD, _STANDARD)}
"""By mode, then by label as it stands on the line."""
