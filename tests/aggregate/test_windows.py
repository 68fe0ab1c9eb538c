import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import World, new_engine, snapshot

from energyd.aggregate.windows import WINDOWS_S, PowerWindows

powers = st.lists(st.floats(0.02, 1e6), min_size=1, max_size=400)


def shown(windows):
    return {window.name: window for window in windows.windows()}


@settings(deadline=None)
@given(powers)
def test_quantiles_are_within_half_a_percent_of_the_sorted_values(values):
    windows = PowerWindows()
    for second, power_w in enumerate(values):
        windows.add(second, power_w)
    for name, length_s in WINDOWS_S.items():
        window = shown(windows)[name]
        ordered = np.sort(values[-length_s:])
        assert window.seconds == len(ordered)
        assert window.max_w == pytest.approx(ordered[-1], rel=0.0051)
        assert window.mean_w == pytest.approx(np.mean(ordered), rel=0.0051)
        for quantile, power_w in window.quantiles_w:
            exact = ordered[int(np.ceil(quantile * len(ordered))) - 1]
            assert power_w == pytest.approx(exact, rel=0.0051)


def test_what_is_older_than_the_window_falls_out():
    windows = PowerWindows()
    for second in range(60):
        windows.add(second, 1000)
    for second in range(60, 120):
        windows.add(second, 10)
    assert shown(windows)["1m"].max_w == pytest.approx(10, rel=0.01)
    assert shown(windows)["5m"].max_w == pytest.approx(1000, rel=0.01)


def test_seconds_without_a_measurement_are_not_zeros():
    windows = PowerWindows()
    windows.add(0, 500)
    windows.add(50, 500)
    window = shown(windows)["1m"]
    assert (window.seconds, window.quantiles_w[0][1]) == (2, pytest.approx(500, rel=0.01))


def test_a_gap_of_days_leaves_nothing_of_what_was_before():
    windows = PowerWindows()
    windows.add(0, 500)
    windows.add(200_000, 20)
    assert shown(windows)["24h"].seconds == 1


def test_a_second_is_counted_once():
    windows = PowerWindows()
    for _ in range(3):
        windows.add(7, 100)
    assert shown(windows)["1m"].seconds == 1


def test_a_saved_window_goes_on_where_it_was():
    before, after = PowerWindows(), PowerWindows()
    for second in range(100):
        before.add(second, second)
    after.restore(before.state())
    for second in range(100, 130):
        before.add(second, second)
        after.add(second, second)
    assert before.windows() == after.windows()


def test_the_host_has_the_quantiles_of_its_own_power():
    world, engine = World(2, faults=False, zones=2), new_engine()
    world.run(20)
    world.feed(engine)
    [window] = [window for window in snapshot(engine, world).host.windows if window.name == "1m"]
    assert window.seconds >= 18
    assert window.mean_w == pytest.approx(sum(world.power_w), rel=0.01)
