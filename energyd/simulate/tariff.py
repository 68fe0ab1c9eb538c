"""Days and tariff periods of a French meter in UTC nanoseconds (54E 6.2.2, EDF's published hours).

Off-peak ("heures creuses") is 22:00 to 06:00 local; a Tempo day runs from 06:00 to 06:00. Local midnight, 06:00 and 22:00 are
never ambiguous: the clocks change between 02:00 and 03:00, so a local day has 23, 24 or 25 hours and the sums still close.
"""

import random
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from energyd.errors import EnvironmentFault
from energyd.units import NS_PER_S

CONTRACTS: Final = ("BASE", "HCHP", "TEMPO")
BLUE: Final = 0
WHITE: Final = 1
RED: Final = 2
WHITE_DAYS: Final = 43
RED_DAYS: Final = 22
OFF_PEAK_BEGIN_H: Final = 22
OFF_PEAK_END_H: Final = 6
TOMORROW_KNOWN_H: Final = 20  # the meter learns tomorrow's colour in the evening


class Period(NamedTuple):
    """A stretch of a day with one tariff. `supplier` is 1..10 (EASFnn), `distributor` 1..4 (EASDnn)."""

    begin_ns: int
    end_ns: int
    supplier: int
    distributor: int
    off_peak: bool
    colour: int


class Day(NamedTuple):
    """A local day: its UTC bounds and its tariff periods, which cover it without a gap."""

    date: date
    begin_ns: int
    end_ns: int
    periods: tuple[Period, ...]

    def period(self, at_ns: int) -> Period:
        return next(period for period in self.periods if at_ns < period.end_ns)


class Calendar:
    """The days of a contract. `seed` chooses the white and red days of each season."""

    def __init__(self, contract: str, seed: int, timezone: str = "Europe/Paris") -> None:
        assert contract in CONTRACTS, f"BUG: contract {contract}"
        self.contract = contract
        self._seed = seed
        try:
            self.zone = ZoneInfo(timezone)
        except ZoneInfoNotFoundError:
            raise EnvironmentFault(f"no time zone {timezone} on this machine; install the package tzdata") from None
        self._day = lru_cache(maxsize=8)(self._make_day)
        self._colours = lru_cache(maxsize=4)(self._make_colours)

    def local(self, at_ns: int) -> datetime:
        """Local civil time of `at_ns`, whole seconds."""
        return datetime.fromtimestamp(at_ns // NS_PER_S, UTC).astimezone(self.zone)

    def day(self, day: date) -> Day:
        return self._day(day)

    def day_at(self, at_ns: int) -> Day:
        return self._day(self.local(at_ns).date())

    def colour(self, tempo_day: date) -> int:
        """BLUE, WHITE or RED; always BLUE unless the contract is TEMPO."""
        if self.contract != "TEMPO":
            return BLUE
        return self._colours(tempo_day.year - (tempo_day.month < 9)).get(tempo_day, BLUE)

    def colours_at(self, at_ns: int) -> tuple[int, int | None]:
        """Colour of the running Tempo day and of the next one, None while the next is not announced."""
        local = self.local(at_ns)
        running = local.date() - timedelta(days=local.hour < OFF_PEAK_END_H)
        known = local.hour < OFF_PEAK_END_H or local.hour >= TOMORROW_KNOWN_H
        return self.colour(running), self.colour(running + timedelta(days=1)) if known else None

    def _at(self, day: date, hour: int) -> int:
        return int(datetime(day.year, day.month, day.day, hour, tzinfo=self.zone).timestamp()) * NS_PER_S

    def _make_day(self, day: date) -> Day:
        bounds = [
            self._at(day, 0),
            self._at(day, OFF_PEAK_END_H),
            self._at(day, OFF_PEAK_BEGIN_H),
            self._at(day + timedelta(days=1), 0),
        ]
        yesterday, today = self.colour(day - timedelta(days=1)), self.colour(day)
        high_season = 2 * (day.month in (11, 12, 1, 2, 3))
        periods = []
        for begin_ns, end_ns, off_peak, colour in zip(
            bounds, bounds[1:], (True, False, True), (yesterday, today, today), strict=False
        ):
            supplier = 1 if self.contract == "BASE" else 2 * colour + 2 - off_peak
            periods.append(Period(begin_ns, end_ns, supplier, high_season + 2 - off_peak, off_peak, colour))
        return Day(day, bounds[0], bounds[-1], tuple(periods))

    def _make_colours(self, season: int) -> dict[date, int]:
        """Red days fall on winter's working days, white ones on any day but a Sunday; a season begins in September."""
        rng = random.Random(f"{self._seed}:tempo:{season}")
        days = [date(season, 9, 1) + timedelta(days=n) for n in range(365)]
        winter = [day for day in days if day.month in (11, 12, 1, 2, 3) and day.weekday() < 5]
        red = set(rng.sample(winter, RED_DAYS))
        white = rng.sample([day for day in days if day.weekday() < 6 and day not in red], WHITE_DAYS)
        return dict.fromkeys(red, RED) | dict.fromkeys(white, WHITE)
