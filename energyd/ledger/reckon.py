"""Days, months and years of one meter in watt-hours and nano-euros: what `energyd history` prints and the metrics show.

A month is the sum of its days and a year the sum of its months, in energy and in money, because each is the sum of the same
DayAccounts. Law: what has no price costs nothing and is told as `unpriced_wh`; a day that has not ended is reckoned until now.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from energyd.ledger.days import Days, month_begin, next_month
from energyd.ledger.periods import consumed_wh, injected_wh, is_injected, is_supplied
from energyd.ledger.prices import PriceBook
from energyd.ledger.sums import NOTHING, Ledgered, Sum

Period = Callable[[str, date], str]
"""The tariff period that a register counts on a day."""


class DayAccount(NamedTuple):
    """One local day, or what has passed of it. Costs are by register; what is injected is paid for: `revenue_neur`."""

    day: date
    sum: Sum
    costs_neur: dict[str, int]
    revenue_neur: int
    unpriced_wh: int
    subscription_neur: int

    @property
    def cost_neur(self) -> int:
        return sum(self.costs_neur.values())


class Total(NamedTuple):
    """Several days together; `complete`: all of them, and each measured wholly."""

    registers: dict[str, int]
    costs_neur: dict[str, int]
    revenue_neur: int
    unpriced_wh: int
    subscription_neur: int
    estimated_wh: int
    complete: bool

    @property
    def cost_neur(self) -> int:
        return sum(self.costs_neur.values())


class Reckoner:
    """The accounts of a meter of the configuration. `first_day` is the first that the ledger knows, None while it knows none."""

    def __init__(
        self, meter: str, ledgered: Ledgered, days: Days, prices: PriceBook, period: Period, first_day: date | None
    ) -> None:
        self._meter = meter
        self._ledgered = ledgered
        self._days = days
        self._prices = prices
        self._period = period
        self.first_day = first_day

    def day(self, day: date, until_s: int | None = None) -> DayAccount:
        """`day`, or its part until `until_s`."""
        begin_s, end_s = self._days.begin_s(day), self._days.end_s(day)
        until_s = end_s if until_s is None else max(begin_s, min(until_s, end_s))
        known = self._ledgered.sum(begin_s, until_s)
        costs, revenue, unpriced = {}, 0, 0
        for register, energy_wh in known.registers.items():
            price = self._prices.price(self._meter, day, register, self._period(register, day))
            if is_injected(register):
                revenue += energy_wh * (price or 0)
            elif is_supplied(register):
                unpriced += energy_wh if price is None else 0
                if price is not None:
                    costs[register] = energy_wh * price
        return DayAccount(day, known, costs, revenue, unpriced, self._subscription(day, begin_s, until_s))

    def _subscription(self, day: date, begin_s: int, until_s: int) -> int:
        """The part of a month's subscription that falls on a stretch of a day; the parts of a month are the whole of it."""
        if self.first_day is None or day < self.first_day:
            return 0
        month = month_begin(day)
        month_s, month_end_s = self._days.begin_s(month), self._days.begin_s(next_month(day))
        amount = self._prices.subscription_neur(self._meter, day)
        length_s = month_end_s - month_s
        return amount * (until_s - month_s) // length_s - amount * (begin_s - month_s) // length_s

    def subscriptions(self, first: date, until_s: int) -> int:
        """Nano-euros of subscription from the begin of `first` until `until_s`."""
        last, total, day = self._days.day_of(until_s), 0, first
        while day <= last:
            total += self._subscription(day, self._days.begin_s(day), min(until_s, self._days.end_s(day)))
            day += timedelta(days=1)
        return total


def total(accounts: Sequence[DayAccount], wanted: int) -> Total:
    """Accounts of different days together; `wanted` is how many days there should be."""
    whole = Total({}, {}, 0, 0, 0, 0, len(accounts) == wanted)
    for account in accounts:
        whole = joined(whole, account)
    return whole


def joined(whole: Total, account: DayAccount) -> Total:
    """`whole` and one day more."""
    registers, costs = dict(whole.registers), dict(whole.costs_neur)
    for register, energy_wh in account.sum.registers.items():
        registers[register] = registers.get(register, 0) + energy_wh
    for register, cost_neur in account.costs_neur.items():
        costs[register] = costs.get(register, 0) + cost_neur
    return Total(
        registers,
        costs,
        whole.revenue_neur + account.revenue_neur,
        whole.unpriced_wh + account.unpriced_wh,
        whole.subscription_neur + account.subscription_neur,
        whole.estimated_wh + account.sum.estimated_wh,
        whole.complete and account.sum.complete,
    )


def by_tariff(accounts: Iterable[DayAccount], period: Period) -> dict[str, int]:
    """Energy drawn by tariff period; '' is what no period is known for."""
    result: dict[str, int] = {}
    for account in accounts:
        for register, energy_wh in account.sum.registers.items():
            if is_supplied(register):
                tariff = period(register, account.day)
                result[tariff] = result.get(tariff, 0) + energy_wh
    return result


def produced_wh(registers: Mapping[str, int]) -> int:
    """What a production meter counts: what it injects, or in historique mode its one register."""
    injected = injected_wh(registers)
    return consumed_wh(registers) if injected is None else injected


def self_consumed(produced: Iterable[DayAccount], drawn: Iterable[DayAccount]) -> int | None:
    """What production meters produced and house meters did not inject, day by day; None if no production is known.

    Two meters are not read at the same instant, so a day's difference may fall below zero by some watt-hours; that is none.
    """
    made: dict[date, int] = {}
    for account in produced:
        if account.sum.origin != NOTHING:
            made[account.day] = made.get(account.day, 0) + produced_wh(account.sum.registers)
    given: dict[date, int] = {}
    for account in drawn:
        given[account.day] = given.get(account.day, 0) + (injected_wh(account.sum.registers) or 0)
    return sum(max(0, energy_wh - given.get(day, 0)) for day, energy_wh in made.items()) if made else None
