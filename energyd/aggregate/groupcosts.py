"""What the energy of each group has cost: each microjoule at the price in force when it was booked.

Law: as with energy (energyd.aggregate.ranking), what is booked increments exactly one sum, that of the group while it is shown and
else `other`; what a group that is forgotten had cost is `gone`. The sums are exact integers of microjoules times nano-euros per
watt-hour, so no part of a nano-euro is lost; energy that was used while no price was known costs nothing.
"""

from collections.abc import Iterable
from typing import Any

from energyd.units import UJ_PER_WH


class GroupCosts:
    """By the numbers of groups. `price_neur_per_wh` is the price in force, kept up to date by who knows it; None = unknown."""

    def __init__(self) -> None:
        self.price_neur_per_wh: int | None = None
        self._known = False  # there has been a price
        self._of: dict[int, int] = {}
        self._other = self._gone = 0

    def book(self, used: Iterable[tuple[int, int, bool]]) -> None:
        """(number, microjoules, whether it is shown) of each group in one interval."""
        price = self.price_neur_per_wh
        if price is None:
            return
        self._known = True
        for number, energy_uj, shown in used:
            if shown:
                self._of[number] = self._of.get(number, 0) + energy_uj * price
            else:
                self._other += energy_uj * price

    def forget(self, numbers: Iterable[int]) -> None:
        self._gone += sum(self._of.pop(number, 0) for number in numbers)

    def of(self, number: int) -> int | None:
        """Nano-euros of a group; None while no price has been known."""
        return self._neur(self._of.get(number, 0))

    def hidden(self, shown: Iterable[int]) -> int | None:
        """What those out of view had cost while they were in view."""
        return self._neur(sum(self._of.values()) - sum(self._of.get(number, 0) for number in shown))

    @property
    def other(self) -> int | None:
        return self._neur(self._other)

    @property
    def gone(self) -> int | None:
        return self._neur(self._gone)

    def _neur(self, exact: int) -> int | None:
        return exact // UJ_PER_WH if self._known else None

    def state(self) -> dict[str, Any]:
        # msgpack carries 64 bits
        return {
            "of": {str(n): str(cost) for n, cost in self._of.items()},
            "sums": [str(self._other), str(self._gone)],
            "known": self._known,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._of = {int(number): int(cost) for number, cost in state["of"].items()}
        self._other, self._gone = map(int, state["sums"])
        self._known = state["known"]
