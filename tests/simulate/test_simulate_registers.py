"""Energy is the integral of power, and each watt-hour is in one register of each kind."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energyd.simulate.house import NJ_PER_WH, House, constant, curve
from energyd.simulate.registers import Registers
from energyd.simulate.tariff import Calendar

S = 10**9
PARIS = ZoneInfo("Europe/Paris")
NEW_YEAR = int(datetime(2026, 1, 1, tzinfo=PARIS).timestamp()) * S
NEXT_YEAR = int(datetime(2027, 1, 1, tzinfo=PARIS).timestamp()) * S


def house(contract="HCHP", profile=None, seed=5):
    return House(profile or curve(seed), Calendar(contract, seed), seed)


def test_a_year_of_constant_power_splits_into_eight_and_sixteen_hours():
    """1 kW for a year: 8760 kWh, a third of them off-peak, although two days have 23 and 25 hours."""
    registers = Registers(house(profile=constant(1000)), NEW_YEAR, {})
    reading = registers.read(NEXT_YEAR)
    assert reading.total_wh == 8_760_000
    assert reading.suppliers_wh[:2] == (365 * 8 * 1000, 365 * 16 * 1000)


def test_a_year_of_the_day_curve_equals_an_independent_sum():
    """Every step of power, cut at 06:00 and 22:00 local time and added up by other means, gives the same registers."""
    dwelling = house()
    registers = Registers(dwelling, NEW_YEAR, {})
    total_nj, expected, at = 0, [0, 0], NEW_YEAR
    while at < NEXT_YEAR:
        plan = dwelling.plan_at(at)
        steps = [*plan.starts_ns, plan.day.end_ns]
        cuts = set(range(plan.day.begin_ns, plan.day.end_ns, 1800 * S))
        bounds = sorted({*steps, *cuts, plan.day.end_ns})
        for begin, end in pairwise(bounds):
            hour = datetime.fromtimestamp(begin // S, UTC).astimezone(PARIS).hour
            before = total_nj // NJ_PER_WH
            total_nj += dwelling.power_w(begin) * (end - begin)
            expected[6 <= hour < 22] += total_nj // NJ_PER_WH - before
        at = plan.day.end_ns
    reading = registers.read(NEXT_YEAR)
    assert reading.energy_nj == total_nj
    assert reading.total_wh == total_nj // NJ_PER_WH
    assert list(reading.suppliers_wh[:2]) == expected
    assert 2_000_000 < reading.total_wh < 12_000_000  # a household's year, water heating included


@pytest.mark.parametrize("contract", ["BASE", "HCHP", "TEMPO"])
def test_all_kinds_of_registers_show_the_same_sum_at_every_instant(contract):
    """EAST == sum of EASFnn == sum of EASDnn, and nothing ever falls; read about hourly for four months, both seasons."""
    registers = Registers(house(contract), NEW_YEAR, {(1, 1): 5, (1, 4): 7}, fraction_nj=NJ_PER_WH - 1)
    before = registers.read(NEW_YEAR)
    assert before.total_wh == 12
    for hour in range(0, 24 * 120, 5):
        reading = registers.read(NEW_YEAR + hour * 3601 * S)
        assert reading.total_wh == sum(reading.suppliers_wh) == sum(reading.distributors_wh)
        assert reading.total_wh == 12 + reading.energy_nj // NJ_PER_WH
        for kind in ("suppliers_wh", "distributors_wh"):
            assert all(now >= then for now, then in zip(getattr(reading, kind), getattr(before, kind), strict=True))
        before = reading
    assert all(before.distributors_wh)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 20 * 86400 * S), min_size=1, max_size=12))
def test_how_often_registers_are_read_changes_nothing(offsets):
    """A reader of every instant and one of the last instant alone see the same."""
    dwelling, begin = house("TEMPO"), NEW_YEAR + 12345678901
    often = Registers(dwelling, begin, {})
    for offset in sorted(offsets):
        seen = often.read(begin + offset)
    assert seen == Registers(dwelling, begin, {}).read(begin + max(offsets))


@settings(max_examples=30)
@given(st.integers(0, 400 * 86400 * S), st.integers(0, 3 * 86400 * S), st.integers(0, 3 * 86400 * S))
def test_energy_is_additive_to_the_nanojoule(begin, first, second):
    dwelling, begin = house(), NEW_YEAR + begin
    middle, end = begin + first, begin + first + second
    assert dwelling.energy_nj(begin, end) == dwelling.energy_nj(begin, middle) + dwelling.energy_nj(middle, end)


def test_kept_registers_go_on_without_losing_a_fraction():
    """What `cells` keeps and another Registers goes on with equals one that was never interrupted, to the nanojoule."""
    dwelling = house()
    whole = Registers(dwelling, NEW_YEAR, {})
    middle, end = NEW_YEAR + 40 * 86400 * S + 777, NEW_YEAR + 80 * 86400 * S + 999
    resumed = Registers(dwelling, middle, *Registers(dwelling, NEW_YEAR, {}).cells(middle))
    assert resumed.read(end)[2:] == whole.read(end)[2:]
    assert resumed.cells(end) == whole.cells(end)


def test_a_clock_that_steps_back_finds_the_registers_where_they_were():
    registers = Registers(house(), NEW_YEAR, {})
    seen = registers.read(NEW_YEAR + 86400 * S)
    assert registers.read(NEW_YEAR) == seen


def test_the_house_depends_on_time_and_seed_alone():
    """Asked in any order, by any instance, the same instant has the same power; another seed is another house."""
    instants = [NEW_YEAR + n * 7919 * S for n in range(300)]
    forward = [house().power_w(at) for at in instants]
    other = house()
    assert [other.power_w(at) for at in reversed(instants)] == forward[::-1]
    assert [house(seed=6).power_w(at) for at in instants] != forward
    assert min(forward) > 0


def test_the_day_curve_has_a_night_and_an_evening():
    """Over a winter month, the hour after midnight draws less than half of what 19:00 to 20:00 does."""
    dwelling = house()
    month = range(NEW_YEAR, NEW_YEAR + 30 * 86400 * S, 86400 * S)
    night = sum(dwelling.energy_nj(day, day + 3600 * S) for day in month)
    evening = sum(dwelling.energy_nj(day + 68400 * S, day + 72000 * S) for day in month)
    assert night * 2 < evening


def test_the_peak_of_a_day_is_its_highest_step_and_when_it_began():
    plan = house().plan_at(NEW_YEAR)
    power_w, at_ns = plan.peak(plan.day.end_ns - 1)
    assert power_w == max(plan.powers_w)
    assert plan.power_w(at_ns) == power_w
    assert plan.peak(plan.day.begin_ns) == (plan.powers_w[0], plan.day.begin_ns)
