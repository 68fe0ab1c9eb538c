"""What the host's energy has cost: each microjoule at the price that was in force when it was counted.

The price of the moment is that of the house meter's active register by the tariff tables, else `energy.price_eur_per_kwh`. Law: the
cost only grows, and energy that was used while no price was known stays without one. Nothing is saved before the first half minute
has passed; after a death in that time the rings tell the energy again from zero, and so it is charged from zero.
"""

from typing import Any

from energyd.units import UJ_PER_WH


class HostCost:
    """Charges a counter in microjoules; kept as an exact integer of microjoules times nano-euros per watt-hour."""

    def __init__(self) -> None:
        self._energy_uj = 0
        self._charged: int | None = None

    def charge(self, energy_uj: int | None, price_neur_per_wh: int | None) -> None:
        """The counter stands at `energy_uj`, and a watt-hour costs that much now."""
        if energy_uj is None:
            return
        before_uj, self._energy_uj = self._energy_uj, energy_uj
        if price_neur_per_wh is not None:
            self._charged = (self._charged or 0) + max(0, energy_uj - before_uj) * price_neur_per_wh

    @property
    def cost_neur(self) -> int | None:
        """Nano-euros; None while no price has been known."""
        return None if self._charged is None else self._charged // UJ_PER_WH

    def state(self) -> list[Any]:
        # msgpack carries 64 bits
        return [self._energy_uj, None if self._charged is None else str(self._charged)]

    def restore(self, state: list[Any]) -> None:
        self._energy_uj = state[0]
        self._charged = None if state[1] is None else int(state[1])
