"""What a meter counted between two instants: watt-hours by register, and how well they are known.

Law: nothing is invented. Where a begin or an end lies in a gap, the gap's energy is known and its part before and after is an
estimate, and `estimated_wh` says how much; where nothing was known before or after, the sum holds what was measured and is not
`complete`. Days that were not measured wholly are taken from a download that covers them wholly, if there is one.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from energyd import ticfields
from energyd.ledger.accounts import between
from energyd.ledger.periods import ALL_CONSUMED, INJECTED_REGISTER, consumed_wh
from energyd.ledger.scribe import RESTART
from energyd.ledger.store import MeterRow, Store
from energyd.units import J_PER_WH

MEASURED: Final = "measured"
INDEXES: Final = "indexes"  # from downloaded registers
CURVE: Final = "curve"  # from a downloaded load curve or daily sums: no registers
NOTHING: Final = "nothing"
WHOLE: Final = {ticfields.CONSUMED: ALL_CONSUMED, ticfields.INJECTED: INJECTED_REGISTER}
"""The register under which a download without registers is counted."""


class Live(NamedTuple):
    """What a meter has counted since its last mark: the counts at `at_s`."""

    at_s: int
    counted_wh: Mapping[str, int]


class Sum(NamedTuple):
    """Energy from `begin_s` to `end_s`; of that, `since_s` to `until_s` was measured (both 0: nothing was)."""

    begin_s: int
    end_s: int
    registers: Mapping[str, int]
    complete: bool
    estimated_wh: int
    since_s: int
    until_s: int
    origin: str


class _Point(NamedTuple):
    """The counts at an instant. `known`: they follow from marks on both sides; `exact`: there is a mark at it."""

    counted_wh: Mapping[str, int]
    exact: bool
    known: bool
    gap_begin_s: int
    gap_end_s: int


class Ledgered:
    """All addresses that a configured meter has had, in one ledger."""

    def __init__(self, store: Store, rows: list[MeterRow], live: Mapping[int, Live] | None = None) -> None:
        self._store = store
        self._own = [row for row in rows if not row.imported]
        self._imported = [row for row in rows if row.imported]
        self._live = live or {}

    def sum(self, begin_s: int, end_s: int) -> Sum:
        """The energy between two instants from whatever knows it best."""
        own = self._of(self._own, begin_s, end_s, MEASURED)
        if own.complete or not self._imported:
            return own
        indexes = self._of(self._imported, begin_s, end_s, INDEXES)
        if indexes.complete:
            return indexes
        curve = self._curve(begin_s, end_s)
        if curve is not None:
            return curve
        return max(own, indexes, key=lambda known: known.until_s - known.since_s)

    def _of(self, rows: list[MeterRow], begin_s: int, end_s: int, origin: str) -> Sum:
        parts = [part for row in rows if (part := self._one(row.id, begin_s, end_s, origin)) is not None]
        if not parts:
            return Sum(begin_s, end_s, {}, False, 0, 0, 0, NOTHING)
        registers: dict[str, int] = {}
        for part in parts:
            for register, energy_wh in part.registers.items():
                registers[register] = registers.get(register, 0) + energy_wh
        return Sum(
            begin_s,
            end_s,
            registers,
            len(parts) == 1 and parts[0].complete,
            sum(part.estimated_wh for part in parts),
            min(part.since_s for part in parts),
            max(part.until_s for part in parts),
            origin,
        )

    def _one(self, meter: int, begin_s: int, end_s: int, origin: str) -> Sum | None:
        """One address; None if it was not listened to in that time."""
        first_s, live = self._store.first_s(meter), self._live.get(meter)
        last, _ = self._store.around(meter, end_s)
        if first_s is None or last is None:
            return None
        last_s = max(last.at_s, live.at_s if live is not None and live.at_s <= end_s else 0)
        if live is not None and live.at_s > end_s:
            last_s = end_s
        after = self._point(meter, end_s)
        if first_s >= end_s or (last_s <= begin_s and not after.known):
            return None
        before = self._point(meter, begin_s)
        registers = {register: counted - before.counted_wh.get(register, 0) for register, counted in after.counted_wh.items()}
        complete = before.exact and after.exact and not self._store.restarts(meter, begin_s, end_s)
        since_s = begin_s if before.known else max(first_s, before.gap_end_s, begin_s)
        if last.at_s == end_s and last.why & RESTART:  # it says what follows, not what was before
            earlier, _ = self._store.around(meter, end_s - 1)
            until_s = earlier.at_s if earlier is not None else end_s
        else:
            until_s = end_s if after.known else last_s
        return Sum(
            begin_s, end_s, registers, complete, self._estimated(meter, before, after, begin_s, end_s), since_s, until_s, origin
        )

    def _point(self, meter: int, at_s: int) -> _Point:
        before, after = self._store.around(meter, at_s)
        live = self._live.get(meter)
        if before is None:
            return _Point({}, False, False, 0, 0)
        counted = {register: value.counted_wh for register, value in self._store.values(meter, at_s).items()}
        if before.at_s == at_s:
            return _Point(counted, True, True, at_s, at_s)
        if after is not None:
            later = {register: value.counted_wh for register, value in self._store.values(meter, after.at_s).items()}
            after_s, known = after.at_s, not after.why & RESTART
        elif live is not None and live.at_s > before.at_s:
            later, after_s, known = dict(live.counted_wh), live.at_s, True
        else:
            return _Point(counted, False, False, before.at_s, before.at_s)
        if not known:
            return _Point(counted, False, False, before.at_s, after_s)
        if at_s >= after_s:  # only the live reading can lie behind
            return _Point(later, at_s == after_s, at_s == after_s, after_s, after_s)
        even = {
            register: between(at_s, before.at_s, counted.get(register, energy_wh), after_s, energy_wh)
            for register, energy_wh in later.items()
        }
        return _Point(even, False, True, before.at_s, after_s)

    def _estimated(self, meter: int, before: _Point, after: _Point, begin_s: int, end_s: int) -> int:
        """How many watt-hours of the difference depend on how the energy of a gap was spread."""
        estimated_wh = 0
        if before.known and not before.exact:
            until = after if before.gap_end_s >= end_s else self._point(meter, before.gap_end_s)
            estimated_wh += _grown(before.counted_wh, until.counted_wh)
        if after.known and not after.exact and (after.gap_begin_s > begin_s or before.exact):
            estimated_wh += _grown(self._point(meter, max(after.gap_begin_s, begin_s)).counted_wh, after.counted_wh)
        return estimated_wh

    def _curve(self, begin_s: int, end_s: int) -> Sum | None:
        """Downloaded energies, if they cover the whole of it."""
        registers: dict[str, int] = {}
        for row in self._imported:
            for direction, register in WHOLE.items():
                parts = [part for part in self._store.intervals(row.id, begin_s, end_s) if part.direction == direction]
                if parts and sum(part.end_s - part.begin_s for part in parts) == end_s - begin_s:
                    registers[register] = sum(part.energy_j for part in parts) // J_PER_WH
        if ALL_CONSUMED not in registers:
            return None
        return Sum(begin_s, end_s, registers, True, 0, begin_s, end_s, CURVE)


def _grown(before: Mapping[str, int], after: Mapping[str, int]) -> int:
    """By how much the energy drawn has grown."""
    grown = {register: counted - before.get(register, counted) for register, counted in after.items()}
    return consumed_wh(grown)
