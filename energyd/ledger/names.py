"""Which tariff period a register counted on a day that is past.

A meter in standard mode keeps its registers when the contract changes and gives them to other periods: what was base yesterday is
off-peak today. Law: a day is told, and priced, by what its registers counted on it. On the day of the change that is the new one.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import zip_longest

from energyd.ledger.days import Days
from energyd.ledger.periods import period_of
from energyd.ledger.store import CONTRACT, MeterRow, Store


class Names:
    """The names that the registers of a meter have had, of all its addresses."""

    def __init__(self, store: Store, rows: Sequence[MeterRow], days: Days) -> None:
        self._until: dict[str, list[tuple[date, str]]] = {}
        own = [row for row in rows if not row.imported]
        for row, after in zip_longest(own, own[1:]):
            for register, until_s, period in store.former(row.id):
                self._until.setdefault(register, []).append((days.day_of(until_s), period))
            first_s = None if after is None else store.first_s(after.id)
            if first_s is not None:  # another meter came in its place
                for register, period in {**store.periods(row.id), CONTRACT: row.contract}.items():
                    self._until.setdefault(register, []).append((days.day_of(first_s), period))

    def period(self, register: str, day: date, contract: str, learned: Mapping[str, str]) -> str:
        """`contract` and `learned` are those of now."""
        named = self._then(register, day) or learned.get(register)
        return period_of(register, self._then(CONTRACT, day) or contract, {} if named is None else {register: named})

    def _then(self, register: str, day: date) -> str:
        return next((period for until, period in sorted(self._until.get(register, ())) if day < until), "")
