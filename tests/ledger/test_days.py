"""Local days, whatever the shell believes."""

import os
import time
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from energyd.ledger.days import Days, days_between, month_before, month_begin, next_month

PARIS = Days("Europe/Paris")
ZONES = ("Europe/Paris", "UTC", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo", "America/Havana", "Pacific/Apia")


def hours(day, days=PARIS):
    return (days.end_s(day) - days.begin_s(day)) / 3600


def test_the_days_of_a_change_of_clocks_have_23_and_25_hours():
    assert hours(date(2026, 3, 29)) == 23
    assert hours(date(2026, 10, 25)) == 25
    assert hours(date(2026, 7, 14)) == 24


def test_a_day_begins_at_midnight_in_paris():
    assert datetime.fromtimestamp(PARIS.begin_s(date(2026, 7, 14)), UTC) == datetime(2026, 7, 13, 22, tzinfo=UTC)
    assert datetime.fromtimestamp(PARIS.begin_s(date(2026, 1, 14)), UTC) == datetime(2026, 1, 13, 23, tzinfo=UTC)


def test_the_time_zone_of_the_shell_changes_nothing(monkeypatch):
    before = PARIS.begin_s(date(2026, 7, 14))
    monkeypatch.setitem(os.environ, "TZ", "Pacific/Honolulu")
    time.tzset()
    try:
        assert Days("Europe/Paris").begin_s(date(2026, 7, 14)) == before
        assert Days("Europe/Paris").day_of(before) == date(2026, 7, 14)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("zone", ZONES)
@given(at_s=st.integers(1_600_000_000, 1_900_000_000))
@example(1_853_940_600)  # half an hour after the clocks of Lord Howe went back by as much
def test_each_second_belongs_to_one_day_and_one_hour(zone, at_s):
    days = Days(zone)
    day = days.day_of(at_s)
    assert days.begin_s(day) <= at_s < days.end_s(day)
    assert days.end_s(day) == days.begin_s(day + timedelta(days=1)) or zone == "Pacific/Apia"
    last, following = days.boundary_until(at_s), days.boundary_after(at_s)
    assert last <= at_s < following <= at_s + 7200
    assert days.boundary_until(last) == last
    assert days.boundary_after(following - 1) == following


@given(at_s=st.integers(1_700_000_000, 1_900_000_000), back=st.integers(1, 40))
def test_the_same_time_of_another_day_is_within_that_day(at_s, back):
    day = PARIS.day_of(at_s) - timedelta(days=back)
    same_s = PARIS.same_time_s(at_s, day)
    assert PARIS.begin_s(day) <= same_s <= PARIS.end_s(day)
    local, then = PARIS.local(at_s), PARIS.local(same_s)
    assert (local.hour, local.minute) == (then.hour, then.minute) or hours(day) != 24


def test_months():
    assert month_begin(date(2026, 2, 14)) == date(2026, 2, 1)
    assert next_month(date(2026, 12, 31)) == date(2027, 1, 1)
    assert month_before(date(2026, 3, 31)) == date(2026, 2, 28)
    assert month_before(date(2026, 1, 15)) == date(2025, 12, 15)
    assert days_between(date(2026, 2, 27), date(2026, 3, 2)) == [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1)]
