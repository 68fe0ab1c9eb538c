"""The registers of a meter: whole watt-hours, each counted once, in the registers of the tariff in force when it was complete.

A meter's metrology gives one pulse for each watt-hour; the pulse increments the total, one supplier register and one distributor
register. So EAST == sum of EASFnn == sum of EASDnn at every instant, to the watt-hour (54E 6.2.2), and the total is the integral
of the power, rounded down. Registers are a function of time: nothing is lost while the simulator is not running.
"""

from typing import Final, NamedTuple

from energyd.simulate.house import NJ_PER_WH, DayPlan, House
from energyd.simulate.tariff import Period

CAPACITY_WH: Final = 10**9  # nine digits
SUPPLIERS: Final = 10
DISTRIBUTORS: Final = 4

Cells = dict[tuple[int, int], int]
"""Watt-hours by (supplier register, distributor register)."""


class Reading(NamedTuple):
    """What the meter displays at `at_ns`: watt-hours, EASF01..10 and EASD01..04, and the tariff period in force.

    `energy_nj` is the exact energy since the origin of the registers; its whole watt-hours are what `total_wh` has grown by.
    """

    at_ns: int
    energy_nj: int
    total_wh: int
    suppliers_wh: tuple[int, ...]
    distributors_wh: tuple[int, ...]
    period: Period


class Registers:
    """Registers that stood at `cells` at `origin_ns`, with `fraction_nj` of the next watt-hour already used."""

    def __init__(self, house: House, origin_ns: int, cells: Cells, fraction_nj: int = 0) -> None:
        assert 0 <= fraction_nj < NJ_PER_WH, "BUG: a whole watt-hour is no fraction"
        self._house = house
        self._origin_ns = origin_ns
        self._closed: Cells = dict(cells)  # up to the begin of the current day
        self._plan = house.plan_at(origin_ns)
        self._base_nj = fraction_nj - self._plan.energy_nj(origin_ns)  # energy since the origin at the begin of the current day
        self._last_ns = origin_ns

    def read(self, at_ns: int) -> Reading:
        """The registers at `at_ns`; a clock that steps back finds them where they were, for a meter never counts down."""
        at_ns = self._last_ns = max(at_ns, self._last_ns)
        while at_ns >= self._plan.day.end_ns:
            self._close_day()
        cells = dict(self._closed)
        self._count(cells, self._plan, at_ns)
        suppliers, distributors = [0] * SUPPLIERS, [0] * DISTRIBUTORS
        for (supplier, distributor), energy_wh in cells.items():
            suppliers[supplier - 1] += energy_wh
            distributors[distributor - 1] += energy_wh
        energy_nj = self._base_nj + self._plan.energy_nj(at_ns)
        return Reading(at_ns, energy_nj, sum(suppliers), tuple(suppliers), tuple(distributors), self._plan.day.period(at_ns))

    def cells(self, at_ns: int) -> tuple[Cells, int]:
        """The registers at `at_ns` as they are kept: the cells and the fraction of a watt-hour, in nanojoules."""
        at_ns = self.read(at_ns).at_ns
        cells = dict(self._closed)
        self._count(cells, self._plan, at_ns)
        return cells, (self._base_nj + self._plan.energy_nj(at_ns)) % NJ_PER_WH

    def _close_day(self) -> None:
        self._count(self._closed, self._plan, self._plan.day.end_ns)
        self._base_nj += self._plan.energy_nj(self._plan.day.end_ns)
        self._plan = self._house.plan_at(self._plan.day.end_ns)

    def _pulses(self, plan: DayPlan, at_ns: int) -> int:
        return (self._base_nj + plan.energy_nj(at_ns)) // NJ_PER_WH if at_ns > self._origin_ns else 0

    def _count(self, cells: Cells, plan: DayPlan, until_ns: int) -> None:
        for period in plan.day.periods:
            if period.begin_ns >= until_ns:
                break
            pulses = self._pulses(plan, min(period.end_ns, until_ns)) - self._pulses(plan, period.begin_ns)
            key = (period.supplier, period.distributor)
            cells[key] = cells.get(key, 0) + pulses
