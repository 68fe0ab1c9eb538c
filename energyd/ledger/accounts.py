"""From marks to counted energy: each register has a count that begins at zero with its first reading and only grows.

All sums are differences of that count, so days add up to months and to the difference of the registers, to the watt-hour, across
a register that starts again at zero and across a change of mode, where the same energy goes on in registers of other names.
Between two marks a count is taken to grow evenly; that only matters inside a gap, and whoever asks is told.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import NamedTuple

from energyd.aggregate.counters import register_increment
from energyd.ledger.days import Days
from energyd.ledger.scribe import RESTART, Mark

Price = Callable[[date, str], int | None]
"""Nano-euros per watt-hour of a register on a day; None = no price is known."""


class Value(NamedTuple):
    """A register as it is kept: what it showed, and what has been counted with it."""

    energy_wh: int
    counted_wh: int


class Standing(NamedTuple):
    """All registers of a meter at its last mark."""

    at_s: int
    why: int
    mode: str
    values: dict[str, Value]


def values_at(before: Standing | None, mark: Mark) -> dict[str, Value]:
    """What each register of `mark` has counted; a register that is new begins at zero."""
    connected = before is not None and before.mode == mark.mode and not mark.why & RESTART
    values = {}
    for register, energy_wh in mark.registers.items():
        known = before.values.get(register) if before is not None else None
        counted_wh = 0 if known is None else known.counted_wh
        if known is not None and connected:
            counted_wh += register_increment(known.energy_wh, energy_wh)
        values[register] = Value(energy_wh, counted_wh)
    return values


def live_counts(standing: Standing, registers: Mapping[str, int]) -> dict[str, int]:
    """What each register has counted at a reading after the last mark, of the same mode."""
    mark = Mark(standing.at_s, standing.at_s, 0, standing.mode, "", dict(registers))
    before = {register: value.counted_wh for register, value in standing.values.items()}
    return {**before, **{register: value.counted_wh for register, value in values_at(standing, mark).items()}}


def between(at_s: int, begin_s: int, begin_wh: int, end_s: int, end_wh: int) -> int:
    """An even growth from `begin_wh` to `end_wh`, in whole watt-hours at `at_s`."""
    return begin_wh + (end_wh - begin_wh) * (at_s - begin_s) // (end_s - begin_s)


def split_by_day(begin_s: int, end_s: int, energy_wh: int, days: Days) -> Iterable[tuple[date, int]]:
    """An increment from `begin_s` to `end_s` by local day; usually that is one."""
    until_s, before_wh = begin_s, 0
    while until_s < end_s:
        day = days.day_of(until_s)
        until_s = min(days.end_s(day), end_s)
        upto_wh = between(until_s, begin_s, 0, end_s, energy_wh)
        yield day, upto_wh - before_wh
        before_wh = upto_wh


def costs(
    begin_s: int, end_s: int, before: Mapping[str, int], after: Mapping[str, int], price: Price, days: Days
) -> dict[str, int]:
    """Nano-euros by register for what was counted from `begin_s` to `end_s`; what has no price costs nothing."""
    result = {}
    for register, counted_wh in after.items():
        increment_wh = counted_wh - before.get(register, counted_wh)
        if increment_wh:
            parts = split_by_day(begin_s, end_s, increment_wh, days)
            result[register] = sum(energy_wh * (price(day, register) or 0) for day, energy_wh in parts)
    return result
