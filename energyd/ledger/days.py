"""Local days, months and years in UTC seconds: the only place that knows the time zone.

A local day begins at the first instant of its date (PEP 495: an hour that a change of clocks skips has the instant after it), so
a day has 23, 24 or 25 hours and each second belongs to exactly one. Law: nothing here looks at the shell's TZ.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

HOUR_S: Final = 3600


class Days:
    """The calendar of one time zone of the IANA database."""

    def __init__(self, timezone: str) -> None:
        self.timezone = timezone
        self._zone = ZoneInfo(timezone)
        self.begin_s = lru_cache(maxsize=4096)(self._begin_s)

    def local(self, at_s: int) -> datetime:
        return datetime.fromtimestamp(at_s, UTC).astimezone(self._zone)

    def at(self, local: datetime) -> int:
        """UTC seconds of a local time that names no offset; `fold` chooses in the hour that comes twice."""
        return int(local.replace(tzinfo=self._zone).timestamp())

    def day_of(self, at_s: int) -> date:
        return self.local(at_s).date()

    def _begin_s(self, day: date) -> int:
        """The first second of `day`."""
        return int(datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp())

    def end_s(self, day: date) -> int:
        return self.begin_s(day + timedelta(days=1))

    def same_time_s(self, at_s: int, day: date) -> int:
        """The instant of `day` at the local time of day of `at_s`, within that day."""
        local = self.local(at_s)
        wanted = datetime(day.year, day.month, day.day, local.hour, local.minute, local.second, tzinfo=self._zone)
        return min(int(wanted.timestamp()), self.end_s(day))

    def boundary_after(self, at_s: int) -> int:
        """The next begin of a local hour or day; strictly after `at_s`."""
        hour_s = self._hour_after(at_s)
        if (hour_s + self._offset_s(hour_s)) % HOUR_S:  # the clocks changed by half an hour
            hour_s = self._hour_after(hour_s)
        return min(hour_s, self.end_s(self.day_of(at_s)))

    def _hour_after(self, at_s: int) -> int:
        offset_s = self._offset_s(at_s)
        return ((at_s + offset_s) // HOUR_S + 1) * HOUR_S - offset_s

    def boundary_until(self, at_s: int) -> int:
        """The last begin of a local hour or day; `at_s` itself if it is one."""
        hour_s = at_s - (at_s + self._offset_s(at_s)) % HOUR_S
        hour_s -= (hour_s + self._offset_s(hour_s)) % HOUR_S  # the clocks changed by half an hour
        return max(hour_s, self.begin_s(self.day_of(at_s)))

    def _offset_s(self, at_s: int) -> int:
        offset = self.local(at_s).utcoffset()
        assert offset is not None, "BUG: a time zone without an offset"
        return int(offset.total_seconds())


def month_begin(day: date) -> date:
    return day.replace(day=1)


def next_month(day: date) -> date:
    """The first day of the month after that of `day`."""
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def month_before(day: date) -> date:
    """The same day of the month before, or its last day where that month is shorter."""
    last = day.replace(day=1) - timedelta(days=1)
    return last.replace(day=min(day.day, last.day))


def days_between(begin: date, end: date) -> list[date]:
    """The days from `begin` to the one before `end`."""
    return [begin + timedelta(days=n) for n in range((end - begin).days)]
