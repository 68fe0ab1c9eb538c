"""The sliding windows of the groups that use most: a window takes 200 kB, so only a few groups have any.

A group has its windows from the second on in which it is among the leading; it loses them to one that has used twice as much,
so that two neighbours do not take them from each other in turn. Its power is the mean over each whole second of the samples' time,
by straight lines within an interval; a second that is not covered wholly, and a silence of a minute, are not measured.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from energyd.aggregate.attribute import Int64
from energyd.aggregate.snapshot import Window
from energyd.aggregate.windows import PowerWindows
from energyd.units import NS_PER_S, UJ_PER_J

LEADING: Final = 10
CLING: Final = 2.0
"""A group outside must have used so many times more than the last of the leading to take its place."""
_SILENCE_NS: Final = 60 * NS_PER_S

Leaders = Callable[[int, Iterable[int], float], list[int]]
"""leaders(count, incumbents, bonus) -> numbers of the groups that use most."""


class GroupWindows:
    """By the number of the group; fed with every interval in order."""

    def __init__(self, leaders: Leaders) -> None:
        self._leaders = leaders
        self._windows: dict[int, PowerWindows] = {}
        self._within_uj: npt.NDArray[np.float64] = np.zeros(0)  # in the second that is under way, by number
        self._covered_ns = 0

    def observe(self, begin_ns: int, end_ns: int, energy_uj: Int64) -> None:
        """What every group (by number) used in an interval."""
        if end_ns <= begin_ns:
            return
        if end_ns - begin_ns > _SILENCE_NS:
            self._begin_second(len(energy_uj))
            return
        if len(self._within_uj) < len(energy_uj):
            self._within_uj = np.append(self._within_uj, np.zeros(len(energy_uj) - len(self._within_uj)))
        power = energy_uj / (end_ns - begin_ns)
        while begin_ns < end_ns:
            second = begin_ns // NS_PER_S
            until_ns = min(end_ns, (second + 1) * NS_PER_S)
            self._within_uj[: len(power)] += power * (until_ns - begin_ns)
            self._covered_ns += until_ns - begin_ns
            begin_ns = until_ns
            if until_ns == (second + 1) * NS_PER_S:
                if self._covered_ns == NS_PER_S:
                    self._add(second)
                self._begin_second(len(self._within_uj))

    def _begin_second(self, numbers: int) -> None:
        self._within_uj = np.zeros(numbers)
        self._covered_ns = 0

    def _add(self, second: int) -> None:
        leading = self._leaders(LEADING, self._windows, CLING)
        self._windows = {number: self._windows.get(number) or PowerWindows() for number in leading}
        for number, windows in self._windows.items():
            windows.add(second, float(self._within_uj[number]) / UJ_PER_J)

    def forget(self, numbers: Iterable[int]) -> None:
        """Other groups will have these numbers."""
        for number in numbers:
            self._windows.pop(number, None)
            self._within_uj[number : number + 1] = 0

    def of(self, number: int) -> tuple[Window, ...]:
        """Empty for a group that is not among the leading."""
        windows = self._windows.get(number)
        return windows.windows() if windows is not None else ()

    def state(self) -> dict[int, Any]:
        return {number: windows.state() for number, windows in self._windows.items()}

    def restore(self, state: dict[int, Any]) -> None:
        """By the numbers that the groups have now."""
        for number, saved in state.items():
            self._windows[number] = PowerWindows()
            self._windows[number].restore(saved)
