"""A house: its power as a function of simulated time and a seed alone, so that every run and every restart sees the same one.

Power is constant between the steps of a day's plan and energies are integers (watts times nanoseconds), so the energy between
any two instants is exact. The house is resistive (VA = W) and draws from one phase.
"""

import random
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from energyd.simulate.tariff import Calendar, Day
from energyd.units import J_PER_WH, NS_PER_S

NJ_PER_WH: Final = J_PER_WH * NS_PER_S  # a watt for a nanosecond is a nanojoule
QUARTER_NS: Final = 900 * NS_PER_S
VOLTAGE_PERIOD_NS: Final = 600 * NS_PER_S

# share of the swinging load by local hour: night, breakfast, quiet day, dinner
_HOURS: Final = (2, 1, 1, 1, 1, 2, 6, 10, 8, 5, 4, 5, 8, 6, 4, 4, 5, 7, 10, 12, 11, 9, 6, 4)
_BASE_W: Final = 140
_SWING_W: Final = 60
_COLD_MONTHS: Final = (11, 12, 1, 2, 3)
# watts, seconds, probability in percent, first and last local hour of switching on
_APPLIANCES: Final = (
    (2000, 150, 90, 6, 7),  # kettle
    (2000, 180, 60, 15, 17),
    (1100, 240, 70, 7, 8),  # toaster
    (2400, 2700, 55, 18, 19),  # oven
    (1800, 1500, 80, 12, 12),  # hob
    (1800, 1800, 80, 19, 19),
    (2100, 1200, 40, 9, 15),  # washing machine, heating
    (250, 3600, 40, 10, 16),  # washing machine, drum
    (1900, 1500, 50, 20, 21),  # dishwasher
    (2200, 10800, 100, 1, 2),  # water heater, off-peak
    (120, 10800, 95, 19, 20),  # television
)
_FRIDGE_W: Final = 90
_FRIDGE_ON_S: Final = 900
_FRIDGE_CYCLE_S: Final = 2700

Steps = list[tuple[int, int]]
Profile = Callable[[Day, Calendar], Steps]
"""Steps of a day: (begin_ns, watts) in ascending order, the first at the day's begin."""


class DayPlan(NamedTuple):
    """Power over one local day: `powers_w[i]` holds from `starts_ns[i]`, `energies_nj[i]` is the energy from the begin to there."""

    day: Day
    starts_ns: tuple[int, ...]
    powers_w: tuple[int, ...]
    energies_nj: tuple[int, ...]

    def power_w(self, at_ns: int) -> int:
        return self.powers_w[bisect_right(self.starts_ns, at_ns) - 1]

    def energy_nj(self, until_ns: int) -> int:
        """Energy from the begin of the day until `until_ns`, which lies in the day or at its end."""
        assert self.day.begin_ns <= until_ns <= self.day.end_ns, "BUG: instant outside of its day"
        last = bisect_right(self.starts_ns, until_ns) - 1
        return self.energies_nj[last] + self.powers_w[last] * (until_ns - self.starts_ns[last])

    def peak(self, until_ns: int) -> tuple[int, int]:
        """The highest power until `until_ns` and when it began."""
        steps = bisect_right(self.starts_ns, until_ns)
        first = max(range(steps), key=self.powers_w.__getitem__)
        return self.powers_w[first], self.starts_ns[first]


def constant(power_w: int) -> Profile:
    """The same power at all times."""
    return lambda day, _calendar: [(day.begin_ns, power_w)]


def curve(seed: int) -> Profile:
    """A plausible household: night base load, morning and evening peaks, a fridge, appliances as rectangles."""

    def steps(day: Day, calendar: Calendar) -> Steps:
        rng = random.Random(f"{seed}:house:{day.date.isoformat()}")
        changes: dict[int, int] = {}

        def switch(begin_ns: int, duration_s: int, power_w: int) -> None:
            end_ns = min(begin_ns + duration_s * NS_PER_S, day.end_ns)
            changes[begin_ns] = changes.get(begin_ns, 0) + power_w
            changes[end_ns] = changes.get(end_ns, 0) - power_w

        swing_w = _SWING_W * (2 if day.date.month in _COLD_MONTHS else 1)
        for begin_ns in range(day.begin_ns, day.end_ns, QUARTER_NS):
            share = _HOURS[calendar.local(begin_ns).hour]
            switch(begin_ns, 900, _BASE_W + share * swing_w * rng.randrange(70, 131) // 100)
        for begin_ns in range(day.begin_ns + rng.randrange(_FRIDGE_CYCLE_S) * NS_PER_S, day.end_ns, _FRIDGE_CYCLE_S * NS_PER_S):
            switch(begin_ns, _FRIDGE_ON_S, _FRIDGE_W)
        noon_ns = (day.begin_ns + day.end_ns) // 2
        for power_w, duration_s, percent, first_h, last_h in _APPLIANCES:
            second = rng.randrange(first_h * 3600, (last_h + 1) * 3600)
            if rng.randrange(100) < percent:
                switch(noon_ns + (second - 43200) * NS_PER_S, duration_s, power_w)
        power_w, result = 0, []
        for at_ns in sorted(changes):
            power_w += changes[at_ns]
            if at_ns < day.end_ns:
                result.append((at_ns, power_w))
        return result

    return steps


class House:
    """The house behind a meter: power, energy and voltage at any instant."""

    def __init__(self, profile: Profile, calendar: Calendar, seed: int) -> None:
        self.calendar = calendar
        self._profile = profile
        self._plan = lru_cache(maxsize=8)(self._make_plan)
        self._voltage = lru_cache(maxsize=8)(lambda slot: random.Random(f"{seed}:volt:{slot}").randrange(226, 240))

    def plan(self, day: Day) -> DayPlan:
        return self._plan(day)

    def plan_at(self, at_ns: int) -> DayPlan:
        return self._plan(self.calendar.day_at(at_ns))

    def power_w(self, at_ns: int) -> int:
        return self.plan_at(at_ns).power_w(at_ns)

    def voltage_v(self, at_ns: int) -> int:
        """Volts of phase 1, steady over ten minutes."""
        return self._voltage(at_ns // VOLTAGE_PERIOD_NS)

    def energy_nj(self, begin_ns: int, end_ns: int) -> int:
        """Exact energy in nanojoules between two instants, over any number of days."""
        total = 0
        while True:
            plan = self.plan_at(begin_ns)
            until_ns = min(end_ns, plan.day.end_ns)
            total += plan.energy_nj(until_ns) - plan.energy_nj(begin_ns)
            if until_ns == end_ns:
                return total
            begin_ns = until_ns

    def _make_plan(self, day: Day) -> DayPlan:
        steps = self._profile(day, self.calendar)
        starts = tuple(start for start, _ in steps)
        powers = tuple(power for _, power in steps)
        energies = [0]
        for start, end, power in zip(starts, starts[1:], powers, strict=False):
            energies.append(energies[-1] + power * (end - start))
        return DayPlan(day, starts, powers, tuple(energies))
