"""The idle baseline of a zone: the least mean power over 10 s seen while the machine was below 5 % busy. None until seen."""

from typing import Any

from energyd.units import NS_PER_S


class IdleBaseline:
    """Collects quiet intervals into windows of 10 s and keeps the lowest mean, in microwatts."""

    WINDOW_NS = 10 * NS_PER_S
    BUSY_LIMIT = 0.05

    def __init__(self) -> None:
        self.power_uw: int | None = None
        self._elapsed_ns = 0
        self._energy_uj = 0

    def observe(self, energy_uj: int, elapsed_ns: int, busy_ratio: float) -> None:
        """An attributed interval: what the zone used in it, and how busy the machine was (0 to 1)."""
        if busy_ratio >= self.BUSY_LIMIT:
            self._elapsed_ns = self._energy_uj = 0
            return
        self._elapsed_ns += elapsed_ns
        self._energy_uj += energy_uj
        if self._elapsed_ns < self.WINDOW_NS:
            return
        power_uw = self._energy_uj * NS_PER_S // self._elapsed_ns
        # a zone that shows no energy at all over 10 s is off or stuck, which says nothing about idling
        if power_uw > 0 and (self.power_uw is None or power_uw < self.power_uw):
            self.power_uw = power_uw
        self._elapsed_ns = self._energy_uj = 0

    def state(self) -> list[int | None]:
        return [self.power_uw, self._elapsed_ns, self._energy_uj]

    def restore(self, state: list[Any]) -> None:
        self.power_uw, self._elapsed_ns, self._energy_uj = state
