"""The sliding windows of groups: a few groups, whole seconds, the same figures as for the host."""

import numpy as np
import pytest
from worlds import World, new_engine, snapshot

from energyd.aggregate.groupwindows import LEADING, GroupWindows
from energyd.aggregate.ranking import Ranking
from energyd.units import NS_PER_S


class Groups:
    """Groups by number with a power each, booked twice a second."""

    def __init__(self, count: int) -> None:
        self.ranking = Ranking(100)
        self.ranking.make_room(count)
        self.windows = GroupWindows(self.ranking.leaders)
        self.count, self.now_ns = count, 300_000_000

    def run(self, powers_w: list[float], seconds: float, period_ns: int = NS_PER_S // 2) -> None:
        energies = (np.array(powers_w) * period_ns / 1000).astype(np.int64)
        numbers = np.arange(self.count)
        for _ in range(round(seconds * NS_PER_S / period_ns)):
            self.ranking.book(numbers, energies, energies, period_ns, True)
            self.windows.observe(self.now_ns, self.now_ns + period_ns, energies)
            self.now_ns += period_ns

    def minute(self, number: int):
        return next(window for window in self.windows.of(number) if window.name == "1m")


def test_a_group_has_the_quantiles_of_its_own_power():
    groups = Groups(2)
    groups.run([10, 40], 30)
    groups.run([10, 80], 31)
    assert groups.minute(1).seconds == 60
    assert groups.minute(1).max_w == pytest.approx(80, rel=0.006)
    assert groups.minute(1).mean_w == pytest.approx(60, rel=0.02)
    assert dict(groups.minute(1).quantiles_w)[0.9] == pytest.approx(80, rel=0.006)
    assert groups.minute(0).max_w == pytest.approx(10, rel=0.006)


def test_whole_seconds_are_made_of_whatever_intervals_come():
    groups = Groups(1)
    groups.run([50], 7, period_ns=700_000_000)
    assert (groups.minute(0).seconds, groups.minute(0).max_w) == (6, pytest.approx(50, rel=0.006))


def test_a_silence_is_not_measured():
    groups = Groups(1)
    groups.run([50], 5)
    groups.run([50], 100, period_ns=100 * NS_PER_S)
    groups.run([50], 5)
    assert {window.name: window.seconds for window in groups.windows.of(0)}["5m"] == 8
    groups.windows.observe(groups.now_ns, groups.now_ns, np.zeros(1, np.int64))


def test_only_the_leading_have_windows_and_a_neighbour_does_not_take_them():
    groups = Groups(LEADING + 3)
    powers = [20.0] * LEADING + [1.0] * 3
    groups.run(powers, 10)
    assert [bool(groups.windows.of(number)) for number in range(LEADING + 3)] == [True] * LEADING + [False] * 3
    powers[-1] = 25.0
    groups.run(powers, 60)
    assert not groups.windows.of(LEADING + 2), "a little more than the last of the leading is not enough"
    powers[-1] = 400.0
    groups.run(powers, 60)
    assert groups.windows.of(LEADING + 2)
    assert sum(bool(groups.windows.of(number)) for number in range(LEADING + 3)) == LEADING


def test_a_number_that_another_group_gets_starts_without_windows():
    groups = Groups(2)
    groups.run([30, 30], 5)
    groups.ranking.clear([1])
    groups.windows.forget([1, 7])
    assert groups.windows.of(1) == ()
    groups.run([30, 3], 3)
    assert groups.minute(1).max_w == pytest.approx(3, rel=0.006)


def test_an_engine_tells_them_with_its_groups_and_goes_on_after_a_restart():
    world, engine = World(3, faults=False, zones=2), new_engine()
    world.run(20)
    world.feed(engine)
    shown = snapshot(engine, world).groups.visible
    assert any(group.windows for group in shown)
    for group in shown:
        if group.windows:
            [window] = [window for window in group.windows if window.name == "1m"]
            assert window.seconds >= 15
            assert window.max_w <= sum(world.power_w) * 1.01
    again = new_engine()
    again.restore(engine.state(), same_boot=True)
    again.restore_group_windows([*engine.group_windows_state(), [["gone", "gone", "", ""], {}]])
    assert {group.group: group.windows for group in snapshot(again, world).groups.visible} == {
        group.group: group.windows for group in shown
    }
