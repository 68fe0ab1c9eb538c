"""The meter's own time stamps (Enedis-NOI-CPT_54E 6.2.1.1): `SAAMMJJhhmmss` in French legal time, to UTC.

S is H in winter (UTC+1) and E in summer (UTC+2); in lower case the meter's clock is degraded; a space where it does not apply
(the begin and end of mobile peaks), and then the calendar of the European Union decides (directive 2000/84/EC: summer time from
the last Sunday of March to the last Sunday of October, 01:00 UTC). Law: what is no date is None, never a guess.
"""

import re
from typing import Final, NamedTuple

_SHAPE: Final = re.compile(rb"([EHeh ])(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)")
_OFFSET_S: Final = {b"H": 3600, b"h": 3600, b"E": 7200, b"e": 7200}
_MONTH_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAY_S: Final = 86400


class Horodate(NamedTuple):
    utc_s: int
    degraded: bool


NONE: Final = Horodate(0, False)
"""What a group without one has."""


def parse(text: bytes, blank_season: bool = False) -> Horodate | None:
    """The instant that 13 characters name, or None; a space for the season is only a date where `blank_season`."""
    match = _SHAPE.fullmatch(text)
    if match is None:
        return None
    season = match[1]
    year, month, day, hour, minute, second = map(int, match.groups()[1:])
    year += 2000
    if not (1 <= month <= 12 and 1 <= day <= _MONTH_DAYS[month - 1] and hour < 24 and minute < 60 and second < 60):
        return None
    if month == 2 and day == 29 and year % 4:
        return None
    local_s = _days(year, month, day) * _DAY_S + hour * 3600 + minute * 60 + second
    if season == b" ":
        return Horodate(local_s - _legal_offset_s(year, local_s), False) if blank_season else None
    return Horodate(local_s - _OFFSET_S[season], season.islower())


def parse_slashed(text: bytes) -> int | None:
    """The instant that `JJ/MM/AA HH:MM:SS` names (or `HH/MM/SS`), as professional meters write it in legal time, as UTC, or None.

    The hour that comes twice in October is its first.
    """
    day, month, year, hour, minute, second = text.replace(b":", b"/").replace(b" ", b"/").split(b"/")
    named = parse(b" " + year + month + day + hour + minute + second, blank_season=True)
    return named.utc_s if named is not None else None


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01; years 2000 to 2099, so every fourth one is a leap year."""
    years = year - 1 if month <= 2 else year
    months = (month + 9) % 12  # March is 0: the leap day comes last
    return years * 365 + years // 4 - 15 + (153 * months + 2) // 5 + day - 1 - 719468


def _legal_offset_s(year: int, local_s: int) -> int:
    changes_s = [_last_sunday(year, month) * _DAY_S + 3600 for month in (3, 10)]
    return 7200 if changes_s[0] <= local_s - 3600 and local_s - 7200 < changes_s[1] else 3600


def _last_sunday(year: int, month: int) -> int:
    last = _days(year, month, 31)
    return last - (last + 4) % 7  # 1970-01-01 was a Thursday
