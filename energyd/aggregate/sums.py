"""Energies by a small number that the caller gives out, for those few that have any, and the sums of all others.

Law: what is added increments exactly one sum, once: that of its number, or `other_uj` when there are as many numbers as may be;
what a number had that is forgotten is in `gone_uj`. So all together are what was ever added.
"""

from collections.abc import Iterable
from typing import Any

from energyd.aggregate.attribute import Int64


class Sums:
    """At most `limit` numbers at a time, first come, first served."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.energy_uj: dict[int, int] = {}
        self.other_uj = self.gone_uj = 0

    def add(self, numbers: Int64, energy_uj: Int64) -> None:
        """A number may come more than once."""
        for number, share_uj in zip(numbers.tolist(), energy_uj.tolist(), strict=True):
            if number in self.energy_uj or len(self.energy_uj) < self._limit:
                self.energy_uj[number] = self.energy_uj.get(number, 0) + share_uj
            else:
                self.other_uj += share_uj

    def forget(self, numbers: Iterable[int]) -> None:
        """Others will have these numbers."""
        for number in numbers:
            self.gone_uj += self.energy_uj.pop(number, 0)

    def state(self) -> list[Any]:
        return [[[*pair] for pair in self.energy_uj.items()], self.other_uj, self.gone_uj]

    def restore(self, state: list[Any]) -> None:
        pairs, self.other_uj, self.gone_uj = state
        self.energy_uj = dict(pairs)
