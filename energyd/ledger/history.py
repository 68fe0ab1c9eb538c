"""The history of the meters as rows: a day, month or year of one meter each, with all that the ledger knows of it.

Months and years are sums of days, and a row says how well it is known: whole, since when, what share was spread over a gap, what
was downloaded. Self-consumption has rows only where a production meter is configured: it is what was produced and not injected.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any, Final, NamedTuple

from energyd.config import Config
from energyd.ledger.accounts import live_counts
from energyd.ledger.days import Days, days_between, month_begin, next_month
from energyd.ledger.names import Names
from energyd.ledger.periods import consumed_wh, injected_wh, is_injected, is_supplied
from energyd.ledger.prices import PriceBook
from energyd.ledger.reckon import DayAccount, Period, Reckoner, by_tariff, produced_wh, self_consumed, total
from energyd.ledger.scribe import Reading
from energyd.ledger.store import MeterRow, Peak, Store
from energyd.ledger.sums import CURVE, INDEXES, MEASURED, NOTHING, Ledgered, Live

DAY: Final = "day"
MONTH: Final = "month"
YEAR: Final = "year"
_NAMES: Final[dict[str, Callable[[date], str]]] = {
    DAY: lambda day: day.isoformat(),
    MONTH: lambda day: f"{day:%Y-%m}",
    YEAR: lambda day: f"{day.year:04}",
}
_ORIGINS: Final = (MEASURED, INDEXES, CURVE)


class Entry(NamedTuple):
    """A day, month or year of a meter. Energies are watt-hours, money nano-euros; None = not known or not applicable."""

    meter: str
    period: str  # 2026-01-31, 2026-01 or 2026
    consumed_wh: int | None
    registers: dict[str, int]
    tariffs: dict[str, int]  # of what is consumed
    injected_wh: int | None
    produced_wh: int | None
    self_consumed_wh: int | None
    peak: Peak | None
    cost_neur: int | None
    subscription_neur: int | None
    revenue_neur: int | None
    unpriced_wh: int
    complete: bool
    missing_days: int  # between the first and the last of which anything is known
    estimated_wh: int
    since_s: int
    until_s: int
    origins: tuple[str, ...]


class History:
    """Everything that is asked of a ledger file. `now_s` ends the day that has not ended.

    `saved` is what the aggregator last saved of its `Ledger.state`, which knows the time since the last mark.
    """

    def __init__(self, store: Store, config: Config, now_s: int, saved: Mapping[str, Any] | None = None) -> None:
        self._store = store
        self._live = _live(store, saved or {})
        self._days = Days(config.timezone)
        self._prices = PriceBook(config)
        self._now_s = now_s
        self._meters = {meter.name: meter for meter in config.meters}
        self._rows: dict[str, list[MeterRow]] = {}
        for row in store.meters():
            self._rows.setdefault(row.name, []).append(row)

    @property
    def meters(self) -> list[str]:
        """The names that the ledger knows."""
        return sorted(self._rows)

    def span(self) -> tuple[date, date] | None:
        """The first and the last day of which anything is known; None for an empty ledger."""
        first = [begin for rows in self._rows.values() for row in rows if (begin := self._first_s(row)) is not None]
        if not first:
            return None
        return self._days.day_of(min(first)), self._days.day_of(self._now_s)

    def _first_s(self, row: MeterRow) -> int | None:
        known = [first for first in (self._store.first_s(row.id), self._store.first_interval_s(row.id)) if first is not None]
        return min(known, default=None)

    def entries(self, unit: str, first: date, last: date, meter: str | None = None) -> list[Entry]:
        """The rows from `first` to `last`, both included, those without anything known left out, by meter and time."""
        names = self.meters if meter is None else [meter]
        accounts = {name: self._accounts(name, first, last) for name in self.meters}
        houses: dict[str, list[DayAccount]] = {}
        for name, days in accounts.items():
            for account in () if self._produces(name) else days:
                houses.setdefault(_NAMES[unit](account.day), []).append(account)
        entries = []
        for name in names:
            for period, group in groupby(accounts.get(name, ()), key=lambda account: _NAMES[unit](account.day)):
                entries.append(self._entry(name, period, list(group), unit, houses.get(period, [])))
        return entries

    def _accounts(self, name: str, first: date, last: date) -> list[DayAccount]:
        rows = self._rows[name]
        known = [begin for row in rows if (begin := self._first_s(row)) is not None]
        if not known:
            return []
        first_day = self._days.day_of(min(known))
        reckoner = Reckoner(name, Ledgered(self._store, rows, self._live), self._days, self._prices, self._period(name), first_day)
        end = min(last, self._days.day_of(self._now_s))
        wanted = days_between(max(first, first_day), date.fromordinal(end.toordinal() + 1))
        return [account for day in wanted if (account := reckoner.day(day, self._now_s)).sum.origin != NOTHING]

    def _period(self, name: str) -> Period:
        learned: dict[str, str] = {}
        contract = ""
        for row in self._rows[name]:
            learned |= self._store.periods(row.id)
            contract = row.contract or contract
        names = Names(self._store, self._rows[name], self._days)
        return lambda register, day: names.period(register, day, contract, learned)

    def _produces(self, name: str) -> bool:
        meter = self._meters.get(name)
        return meter is not None and meter.role == "production"

    def _entry(self, name: str, period: str, accounts: Sequence[DayAccount], unit: str, houses: Sequence[DayAccount]) -> Entry:
        first_day, last_day = accounts[0].day, accounts[-1].day
        begun, end = _bounds(unit, first_day)
        until = min(end, date.fromordinal(self._days.day_of(self._now_s).toordinal() + 1))
        whole = total(accounts, (until - begun).days)
        known = [account.sum for account in accounts]
        produces = self._produces(name)
        priced = self._prices.has_tables(name)
        return Entry(
            meter=name,
            period=period,
            consumed_wh=consumed_wh(whole.registers) if any(map(is_drawn, whole.registers)) and not produces else None,
            registers=whole.registers,
            tariffs={} if produces else by_tariff(accounts, self._period(name)),
            injected_wh=None if produces else injected_wh(whole.registers),
            produced_wh=produced_wh(whole.registers) if produces else None,
            self_consumed_wh=self_consumed(accounts, houses) if produces else None,
            peak=self._peak(name, first_day, last_day),
            cost_neur=whole.cost_neur if priced else None,
            subscription_neur=whole.subscription_neur if priced else None,
            revenue_neur=whole.revenue_neur if priced and any(map(is_injected, whole.registers)) else None,
            unpriced_wh=whole.unpriced_wh,
            complete=whole.complete,
            missing_days=(last_day - first_day).days + 1 - len(accounts),
            estimated_wh=whole.estimated_wh,
            since_s=min(part.since_s for part in known),
            until_s=max(part.until_s for part in known),
            origins=tuple(origin for origin in _ORIGINS if any(part.origin == origin for part in known)),
        )

    def _peak(self, name: str, first: date, last: date) -> Peak | None:
        peaks: Iterable[Peak] = (
            peak
            for row in self._rows[name]
            for peak in self._store.peaks(row.id, first.isoformat(), last.isoformat())
            if peak.direction == "consumed"
        )
        return max(peaks, key=lambda peak: peak.power_va, default=None)


def _live(store: Store, saved: Mapping[str, Any]) -> dict[int, Live]:
    """The last readings that were saved, of the addresses that the file knows."""
    rows = {row.address: row for row in store.meters()}
    live = {}
    for state in saved.get("meters", {}).values():
        row, latest = rows.get(state["address"]), state["scribe"]["latest"]
        standing = None if row is None else store.standing(row.id)
        if row is not None and standing is not None and latest is not None:
            reading = Reading(*latest)
            if reading.read_s > standing.at_s and reading.mode == standing.mode:
                live[row.id] = Live(reading.read_s, live_counts(standing, reading.registers))
    return live


def _bounds(unit: str, day: date) -> tuple[date, date]:
    """The first day of the unit that `day` lies in, and the one after its last."""
    if unit == YEAR:
        return date(day.year, 1, 1), date(day.year + 1, 1, 1)
    return (day, date.fromordinal(day.toordinal() + 1)) if unit == DAY else (month_begin(day), next_month(day))


def is_drawn(register: str) -> bool:
    return is_supplied(register) or register == "EAST"
