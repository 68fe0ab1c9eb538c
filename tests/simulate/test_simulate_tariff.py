"""Local days and tariff periods in UTC, over both changes of clock."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from energyd.errors import EnvironmentFault
from energyd.simulate.tariff import BLUE, RED, WHITE, Calendar

HOUR_NS = 3600 * 10**9
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)


def utc_ns(*fields):
    return int(datetime(*fields, tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(("day", "hours"), [(SPRING, 23), (AUTUMN, 25), (date(2026, 7, 14), 24)])
def test_days_have_as_many_hours_as_the_law_says(day, hours):
    """The spring change makes a day of 23 h, the autumn change one of 25 h."""
    found = Calendar("HCHP", 1).day(day)
    assert found.end_ns - found.begin_ns == hours * HOUR_NS


@pytest.mark.parametrize(("day", "night_hours"), [(SPRING, 5), (AUTUMN, 7), (date(2026, 1, 1), 6)])
def test_the_change_of_clock_falls_into_the_off_peak_night(day, night_hours):
    """Off-peak ends at 06:00 local, whatever UTC says; peak always lasts 16 h."""
    night, daytime, evening = Calendar("HCHP", 1).day(day).periods
    assert [period.off_peak for period in (night, daytime, evening)] == [True, False, True]
    assert night.end_ns - night.begin_ns == night_hours * HOUR_NS
    assert daytime.end_ns - daytime.begin_ns == 16 * HOUR_NS


def test_switching_instants_are_local_time():
    """22:00 is 21:00 UTC in winter and 20:00 UTC in summer."""
    calendar = Calendar("HCHP", 1)
    assert calendar.day(date(2026, 1, 15)).periods[2].begin_ns == utc_ns(2026, 1, 15, 21)
    assert calendar.day(date(2026, 7, 15)).periods[2].begin_ns == utc_ns(2026, 7, 15, 20)


@pytest.mark.parametrize("contract", ["BASE", "HCHP", "TEMPO"])
def test_a_year_of_periods_has_neither_gap_nor_overlap(contract):
    """Each period begins where the one before ended, from the first of January to the last of December."""
    calendar = Calendar(contract, 3)
    periods = [period for n in range(365) for period in calendar.day(date(2026, 1, 1) + timedelta(days=n)).periods]
    assert all(before.end_ns == after.begin_ns for before, after in pairwise(periods))
    assert periods[-1].end_ns - periods[0].begin_ns == 8760 * HOUR_NS


def test_registers_follow_the_contract():
    """Base knows one supplier register, HC/HP two with HC first, Tempo six: HC and HP of blue, white, red."""
    day = date(2026, 7, 14)
    assert [period.supplier for period in Calendar("BASE", 1).day(day).periods] == [1, 1, 1]
    assert [period.supplier for period in Calendar("HCHP", 1).day(day).periods] == [1, 2, 1]
    tempo = Calendar("TEMPO", 1)
    for n in range(300):
        day = date(2026, 1, 1) + timedelta(days=n)
        yesterday, today = tempo.colour(day - timedelta(days=1)), tempo.colour(day)
        assert [period.supplier for period in tempo.day(day).periods] == [2 * yesterday + 1, 2 * today + 2, 2 * today + 1]


def test_a_tempo_season_has_its_colours():
    """22 red days, on working days from November to March; 43 white ones, never on a Sunday; the rest is blue."""
    calendar = Calendar("TEMPO", 7)
    days = [date(2025, 9, 1) + timedelta(days=n) for n in range(365)]
    assert Counter(map(calendar.colour, days)) == {RED: 22, WHITE: 43, BLUE: 300}
    for day in days:
        if calendar.colour(day) == RED:
            assert day.weekday() < 5
            assert day.month in (11, 12, 1, 2, 3)
        assert calendar.colour(day) != WHITE or day.weekday() < 6


def test_a_tempo_day_runs_from_six_to_six():
    """Before 06:00 the colour is yesterday's; tomorrow's is known from 20:00 until it begins."""
    calendar = Calendar("TEMPO", 7)
    red = next(day for n in range(365) if calendar.colour(day := date(2025, 9, 1) + timedelta(days=n)) == RED)
    colour = {n: calendar.colour(red + timedelta(days=n)) for n in (-1, 1)}
    at = {hour: utc_ns(red.year, red.month, red.day, hour - 1) for hour in (5, 6, 19, 20)}  # winter: local = UTC + 1
    assert calendar.colours_at(at[5]) == (colour[-1], RED)
    assert calendar.colours_at(at[6]) == (RED, None)
    assert calendar.colours_at(at[19]) == (RED, None)
    assert calendar.colours_at(at[20]) == (RED, colour[1])


def test_a_machine_without_time_zones_is_told_what_to_install():
    with pytest.raises(EnvironmentFault, match="tzdata"):
        Calendar("BASE", 1, "Europe/Nowhere")
