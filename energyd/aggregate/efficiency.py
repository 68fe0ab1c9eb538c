"""What a second of CPU costs, over the last minute: the figures by which machines and loads are compared.

`watts_per_percent` is the mean power by the share of the machine's CPU that was busy: the lower the better, and on an idle machine
without meaning, so it is not told below MIN_BUSY. `active_j_per_cpu_s` leaves out what the machine draws when idle, which makes
it the better figure as soon as that is known.
"""

from collections import deque
from typing import Final

from energyd.aggregate.snapshot import Efficiency
from energyd.units import NS_PER_S

WINDOW_NS: Final = 60 * NS_PER_S
MIN_BUSY: Final = 0.001


class EfficiencyWindow:
    """Sums over the settled intervals of the last minute."""

    def __init__(self) -> None:
        self._intervals: deque[tuple[int, int, float, int, int]] = deque()
        self._elapsed_ns = 0

    def observe(self, elapsed_ns: int, busy_ns: int, busy_ratio: float, energy_uj: int, idle_uj: int) -> None:
        """An interval in which all tasks used `busy_ns` of CPU, and the host `energy_uj`, `idle_uj` of it for being on."""
        self._intervals.append((elapsed_ns, busy_ns, busy_ratio, energy_uj, idle_uj))
        self._elapsed_ns += elapsed_ns
        while self._elapsed_ns - self._intervals[0][0] >= WINDOW_NS:
            self._elapsed_ns -= self._intervals.popleft()[0]

    def efficiency(self) -> Efficiency | None:
        """None while nothing was measured, or the machine was as good as idle."""
        busy_ns = sum(busy for _, busy, _, _, _ in self._intervals)
        capacity_ns = sum(busy / ratio for _, busy, ratio, _, _ in self._intervals if ratio > 0)
        energy_uj = sum(energy for _, _, _, energy, _ in self._intervals)
        idle_uj = sum(idle for _, _, _, _, idle in self._intervals)
        if not energy_uj or not capacity_ns or busy_ns / capacity_ns < MIN_BUSY:
            return None
        power_w = energy_uj * 1000 / self._elapsed_ns
        return Efficiency(
            busy_ratio=busy_ns / capacity_ns,
            watts_per_percent=power_w / (100 * busy_ns / capacity_ns),
            active_j_per_cpu_s=(energy_uj - idle_uj) * 1000 / busy_ns if idle_uj else None,
        )
