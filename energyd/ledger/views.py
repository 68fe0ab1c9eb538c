"""What the Snapshot says of the ledger: stretches of time (today, this month, ...) of one meter, their energy and money.

Days that have ended are reckoned once and kept; what moves is reckoned anew when a frame has come. Every comparison is there as a
pair: `today` beside `yesterday_so_far` (yesterday until the same time of day), `this_month` beside `last_month_so_far`.
"""

from datetime import date, timedelta
from typing import Final

from energyd.aggregate.snapshot import Energy, MeterLedger, PeakPower, Stretch
from energyd.ledger.accounts import costs, live_counts
from energyd.ledger.days import Days, days_between, month_before, month_begin
from energyd.ledger.keeper import Keeper
from energyd.ledger.names import Names
from energyd.ledger.periods import is_injected, is_supplied
from energyd.ledger.prices import PriceBook
from energyd.ledger.reckon import DayAccount, Reckoner, Total, joined, total
from energyd.ledger.store import FOREVER_S, MeterRow, Store
from energyd.ledger.sums import Ledgered, Live

LAST_DAY_WITHIN: Final = 7  # days; an older one is no news
WEEK: Final = timedelta(days=7)

Sums = dict[str, tuple[list[DayAccount], Total]]
"""Days and what they add up to, by stretch."""


class MeterView:
    """The MeterLedger of one meter, made anew only when something has changed."""

    def __init__(self, keeper: Keeper, store: Store, days: Days, prices: PriceBook, source: str) -> None:
        self._keeper = keeper
        self._store = store
        self._days = days
        self._prices = prices
        self._source = source
        self._key: tuple[object, ...] = ()
        self._view: MeterLedger | None = None
        self.accounts: dict[str, list[DayAccount]] = {}  # by stretch
        self.forget()

    def forget(self) -> None:
        """The file has changed: look everything up again."""
        name, self._address = self._keeper.meter.name, self._keeper.address
        self._rows = [row for row in self._store.meters() if row.name == name]
        self._names = Names(self._store, self._rows, self._days)
        self._own = next((row for row in self._rows if row.address == self._keeper.address), None)
        self._standing = None if self._own is None else self._store.standing(self._own.id)
        self._closed: dict[date, DayAccount] = {}
        self._closed_until: date | None = None
        self._subscribed: tuple[date, int] | None = None
        self._settled: date | None = None
        self._ended: Sums = {}
        self._begun: Sums = {}  # without the present day
        self._compared_min: tuple[int, date] | None = None
        self._compared: Sums = {}
        self._measured_days = 0
        self._charged_neur = [self._store.charged(row.id) for row in self._rows]
        self._key = ()

    def appended(self) -> None:
        """A mark of this meter has been written; the days before the mark before it stay as they are."""
        before, closed, until, subscribed = self._standing, self._closed, self._closed_until, self._subscribed
        self.forget()
        if before is not None and until is not None:
            settled = min(until, self._days.day_of(before.at_s))
            self._closed = {day: account for day, account in closed.items() if day < settled}
            self._closed_until, self._subscribed = settled, subscribed

    def view(self, mono_ns: int) -> MeterLedger:
        if self._address != self._keeper.address:  # it has spoken for the first time, or another one has
            self.forget()
        now_s, latest = self._keeper.now_s(mono_ns), self._keeper.latest
        key = (None if latest is None else latest.read_s, now_s // 60, self._keeper.active, self._keeper.contract)
        if self._view is None or key != self._key:
            self._view, self._key = self._make(now_s), key
        return self._view._replace(last_frame_ns=self._keeper.last_frame_ns)

    def _make(self, now_s: int) -> MeterLedger:
        live = self._live()
        reckoner = self._reckoner(live)
        at_s = now_s if live is None else min(now_s, live.at_s)
        today = self._days.day_of(now_s)
        self._close_days(reckoner, today)
        stretches = self._stretches(reckoner, today, at_s)
        keeper, name, last_year = self._keeper, self._keeper.meter.name, today.year - 1
        last_day = self._last_day(today)
        registers = sorted({register for stretch in stretches for register, *_ in stretch.energies})
        prices = [(register, keeper.period(register), self._price(today, register)) for register in registers]
        active = self._price(today, keeper.active) if keeper.active else None
        charged = self._charged(live)
        return MeterLedger(
            meter=name,
            source=self._source,
            pdl=keeper.pdl,
            contract=keeper.contract,
            subscribed_va=keeper.subscribed_va,
            month=f"{today:%Y-%m}",
            last_month=f"{month_before(today):%Y-%m}",
            year=f"{today.year:04}",
            last_year=f"{last_year:04}",
            stretches=stretches,
            last_day=None if last_day is None else self._stretch("last_day", total([last_day], 1), last_day.day),
            peaks=self._peaks(today),
            last_day_peak_va=None if last_day is None else self._peak_va(last_day.day),
            costs_neur=tuple(
                (register, keeper.period(register), cost) for register, cost in charged.items() if is_supplied(register)
            ),
            revenue_neur=sum(cost for register, cost in charged.items() if is_injected(register)),
            subscription_neur=self._subscription(reckoner, today, now_s),
            price_neur_per_wh=active,
            prices_neur_per_wh=tuple((register, tariff, price) for register, tariff, price in prices if price is not None),
            measured_days=self._measured_days,
        )

    def _price(self, day: date, register: str) -> int | None:
        return self._prices.price(self._keeper.meter.name, day, register, self._keeper.period(register))

    def _live(self) -> Live | None:
        latest, standing = self._keeper.latest, self._standing
        if latest is None or standing is None or latest.read_s <= standing.at_s or latest.mode != standing.mode:
            return None
        return Live(latest.read_s, live_counts(standing, latest.registers))

    def _reckoner(self, live: Live | None) -> Reckoner:
        lives = {} if live is None or self._own is None else {self._own.id: live}
        ledgered = Ledgered(self._store, self._rows, lives)
        first_s = self.first_s()
        first = None if first_s is None else self._days.day_of(first_s)
        return Reckoner(self._keeper.meter.name, ledgered, self._days, self._prices, self._period, first)

    def _period(self, register: str, day: date) -> str:
        return self._names.period(register, day, self._keeper.contract, self._keeper.learned)

    def first_s(self) -> int | None:
        """The first instant of which the ledger knows anything."""
        known = [first for row in self._rows for first in (self._store.first_s(row.id), self._store.first_interval_s(row.id))]
        return min((first for first in known if first is not None), default=None)

    def _close_days(self, reckoner: Reckoner, today: date) -> None:
        """Reckon the days that have ended since the last time; days before last year are not shown."""
        if reckoner.first_day is None:
            return
        begin = max(reckoner.first_day, date(today.year - 1, 1, 1))
        if self._closed_until is None or not begin <= self._closed_until <= today:
            self._closed, self._closed_until = {}, min(begin, today)
        for day in days_between(self._closed_until, today):
            self._closed[day] = reckoner.day(day)
        self._closed_until = max(self._closed_until, today)

    def _closed_days(self, begin: date, end: date) -> list[DayAccount]:
        return [self._closed[day] for day in days_between(begin, end) if day in self._closed]

    def _settle(self, today: date) -> None:
        """Add up what does not move before the day, or the file, is another."""
        if self._settled == today:
            return
        self._settled = today
        yesterday, monday = today - timedelta(days=1), today - timedelta(days=today.weekday())
        month, year = month_begin(today), date(today.year, 1, 1)
        ended = {
            "yesterday": (yesterday, today),
            "last_week": (monday - WEEK, monday),
            "last_month": (month_begin(month_before(today)), month),
            "last_year": (date(today.year - 1, 1, 1), year),
        }
        begun = {"today": today, "this_week": monday, "this_month": month, "this_year": year}
        spans = {**ended, **{name: (begin, today) for name, begin in begun.items()}}
        accounts = {name: self._closed_days(begin, end) for name, (begin, end) in spans.items()}
        totals = {name: total(accounts[name], (end - begin).days) for name, (begin, end) in spans.items()}
        self._ended = {name: (accounts[name], totals[name]) for name in ended}
        self._begun = {name: (accounts[name], totals[name]) for name in begun}
        self._measured_days = sum(self._store.measured_days(row.id, self._own_s(row)) for row in self._rows)

    def _own_s(self, row: MeterRow) -> int:
        """Until when the days of a row count: those that were heard for ever, downloaded ones until the first that was heard."""
        heard = [first for own in self._rows if not own.imported and (first := self._store.first_s(own.id)) is not None]
        return self._days.end_s(self._days.day_of(min(heard))) if row.imported and heard else FOREVER_S

    def _compare(self, reckoner: Reckoner, today: date, at_s: int) -> None:
        """Add up days and months of the past until this time of day; once a minute."""
        if self._compared_min == (at_s // 60, today):
            return
        self._compared_min = at_s // 60, today
        pairs = {
            "yesterday_so_far": (today - timedelta(days=1),) * 2,
            "same_day_last_week_so_far": (today - WEEK,) * 2,
            "same_day_last_month_so_far": (month_before(today),) * 2,
            "last_month_so_far": (month_begin(month_before(today)), month_before(today)),
        }
        self._compared = {}
        for name, (begin, last) in pairs.items():
            part = reckoner.day(last, self._days.same_time_s(at_s, last))
            accounts = [*self._closed_days(begin, last), part]
            self._compared[name] = accounts, total(accounts, (last - begin).days + 1)

    def _stretches(self, reckoner: Reckoner, today: date, at_s: int) -> tuple[Stretch, ...]:
        if reckoner.first_day is None:
            return ()
        self._settle(today)
        self._compare(reckoner, today, at_s)
        partial = reckoner.day(today, at_s)
        begun = {name: ([*accounts, partial], joined(whole, partial)) for name, (accounts, whole) in self._begun.items()}
        every = {**begun, **self._ended, **self._compared}
        self.accounts = {name: accounts for name, (accounts, _) in every.items()}
        return tuple(
            self._stretch(name, whole, accounts[-1].day if accounts else today) for name, (accounts, whole) in every.items()
        )

    def _stretch(self, name: str, whole: Total, last: date) -> Stretch:
        """`last` is its last day: registers are named as they were then."""
        keeper, latest = self._keeper, self._keeper.latest
        unused = {register for register, shown_wh in latest.registers.items() if not shown_wh} if latest else set()
        energies = tuple(
            Energy(register, self._period(register, last), keeper.direction(register, whole.registers), energy_wh)
            for register, energy_wh in whole.registers.items()
            if (is_supplied(register) or is_injected(register)) and (energy_wh or register not in unused)
        )
        cost = whole.cost_neur if self._prices.has_tables(keeper.meter.name) else None
        return Stretch(name, energies, whole.complete, whole.estimated_wh, cost, whole.revenue_neur, whole.subscription_neur)

    def _last_day(self, today: date) -> DayAccount | None:
        for back in range(1, LAST_DAY_WITHIN + 1):
            account = self._closed.get(today - timedelta(days=back))
            if account is not None and account.sum.complete:
                return account
        return None

    def _peaks(self, today: date) -> tuple[PeakPower, ...]:
        shown = []
        for name, day in (("today", today), ("yesterday", today - timedelta(days=1))):
            for direction in ("consumed", "injected"):
                peak = self._keeper.peaks.get(day.isoformat(), direction)
                if peak is not None:
                    shown.append(PeakPower(name, direction, peak.power_va, peak.at_s, peak.said))
        return tuple(shown)

    def _peak_va(self, day: date) -> int | None:
        peak = self._keeper.peaks.get(day.isoformat(), "consumed")
        if peak is not None:
            return peak.power_va
        text = day.isoformat()
        kept = [kept for row in self._rows for kept in self._store.peaks(row.id, text, text) if kept.direction == "consumed"]
        return max((kept.power_va for kept in kept), default=None)

    def _charged(self, live: Live | None) -> dict[str, int]:
        """Nano-euros by register since the ledger began, of all addresses and until now."""
        charged: dict[str, int] = {}
        for kept in self._charged_neur:
            for register, cost_neur in kept.items():
                charged[register] = charged.get(register, 0) + cost_neur
        if live is not None and self._standing is not None:
            before = {register: value.counted_wh for register, value in self._standing.values.items()}
            for register, cost_neur in costs(
                self._standing.at_s, live.at_s, before, dict(live.counted_wh), self._price, self._days
            ).items():
                charged[register] = charged.get(register, 0) + cost_neur
        return charged

    def _subscription(self, reckoner: Reckoner, today: date, now_s: int) -> int:
        """Nano-euros since the first mark that was heard; what was downloaded had its own bills."""
        heard = [first_s for row in self._rows if not row.imported and (first_s := self._store.first_s(row.id)) is not None]
        if not heard or not self._prices.has_tables(self._keeper.meter.name):
            return 0
        if self._subscribed is None or self._subscribed[0] != today:
            first = self._days.day_of(min(heard))
            self._subscribed = today, reckoner.subscriptions(first, self._days.begin_s(today))
        return self._subscribed[1] + reckoner.subscriptions(today, now_s)
