"""What is written when."""

from datetime import date

import pytest

from energyd.ledger import scribe
from energyd.ledger.days import Days
from energyd.ledger.scribe import Reading, Scribe

PARIS = Days("Europe/Paris")
DAY = date(2026, 6, 10)
MIDNIGHT = PARIS.begin_s(DAY)


class Meter:
    """Says one register that grows by a watt-hour a second, so that every value tells when it was read."""

    def __init__(self, days=PARIS):
        self.scribe = Scribe(days)
        self.marks = []

    def at(self, *seconds, tariff="HCHP", mode="historique", **registers):
        marks = []
        for second in seconds:
            marks += self.scribe.heard(Reading(second, mode, tariff, registers or {"HCHP": second}))
        self.marks += marks
        return [(mark.at_s, mark.why) for mark in marks]


def test_the_first_reading_is_a_mark_that_knows_nothing_of_before():
    meter = Meter()
    assert meter.at(MIDNIGHT + 15) == [(MIDNIGHT + 15, scribe.RESTART)]


def test_an_hour_is_marked_with_the_first_reading_from_then_on():
    meter = Meter()
    meter.at(MIDNIGHT + 3590)
    assert meter.at(MIDNIGHT + 3599) == []
    assert meter.at(MIDNIGHT + 3602) == [(MIDNIGHT + 3600, scribe.HOUR)]
    assert meter.marks[-1].registers == {"HCHP": MIDNIGHT + 3602}
    assert meter.marks[-1].read_s == MIDNIGHT + 3602


def test_a_reading_on_the_second_of_midnight_is_that_of_midnight():
    meter = Meter()
    meter.at(MIDNIGHT - 60)
    assert meter.at(MIDNIGHT) == [(MIDNIGHT, scribe.HOUR | scribe.DAY)]
    assert meter.marks[-1].registers == {"HCHP": MIDNIGHT}


def test_a_change_of_tariff_is_marked_when_it_is_heard_and_only_then():
    meter = Meter()
    meter.at(MIDNIGHT + 100)
    assert meter.at(MIDNIGHT + 102, tariff="HCHC") == [(MIDNIGHT + 102, scribe.TARIFF)]
    assert meter.at(MIDNIGHT + 104, tariff="HCHC") == []
    assert meter.at(MIDNIGHT + 106, tariff="") == [], "a frame without its tariff changes nothing"


def test_a_change_of_tariff_on_the_hour_is_one_mark():
    meter = Meter()
    meter.at(MIDNIGHT + 6 * 3600 - 60)
    assert meter.at(MIDNIGHT + 6 * 3600, tariff="HCHC") == [(MIDNIGHT + 6 * 3600, scribe.HOUR | scribe.TARIFF)]
    assert meter.marks[-1].tariff == "HCHC"


def test_a_register_that_is_new_is_marked_at_once():
    meter = Meter()
    meter.at(MIDNIGHT + 100, HCHC=5)
    assert meter.at(MIDNIGHT + 102, HCHC=5, HCHP=7) == [(MIDNIGHT + 102, scribe.REGISTER)]


def test_a_frame_without_registers_neither_zeroes_nor_dates_them():
    meter = Meter()
    meter.at(MIDNIGHT + 3590)
    assert meter.scribe.heard(Reading(MIDNIGHT + 3601, "historique", "HCHP", {})) == []
    assert meter.at(MIDNIGHT + 3660) == [(MIDNIGHT + 3600, scribe.HOUR)]


def test_a_register_that_a_frame_lacks_keeps_its_value():
    meter = Meter()
    meter.at(MIDNIGHT + 3590, HCHC=5, HCHP=7)
    for second in range(3601, 3613, 2):
        meter.at(MIDNIGHT + second, HCHP=8)
    assert meter.marks[-1].registers == {"HCHC": 5, "HCHP": 8}


def test_both_sides_of_a_gap_are_marked_and_what_it_hid_is_not():
    meter = Meter()
    meter.at(MIDNIGHT + 100)
    back = MIDNIGHT + 5 * 3600 + 1800
    assert meter.at(back) == [(back, scribe.GAP_END)]
    meter = Meter()
    meter.at(MIDNIGHT + 100, MIDNIGHT + 200)
    assert meter.at(back) == [(MIDNIGHT + 200, scribe.GAP_BEGIN), (back, scribe.GAP_END)]


def test_a_gap_that_ends_just_after_an_hour_ends_with_that_hour():
    meter = Meter()
    meter.at(MIDNIGHT + 100, MIDNIGHT + 200)
    hour = MIDNIGHT + 5 * 3600
    assert meter.at(hour + 30) == [(MIDNIGHT + 200, scribe.GAP_BEGIN), (hour, scribe.HOUR)]


@pytest.mark.parametrize(("late_s", "why"), [(120, scribe.HOUR), (121, scribe.GAP_END)])
def test_a_reading_of_two_minutes_later_still_stands_for_the_hour_and_a_later_one_does_not(late_s, why):
    meter = Meter()
    hour = MIDNIGHT + 3600
    meter.at(hour - 10)
    assert meter.at(hour + late_s) == [(hour if why == scribe.HOUR else hour + late_s, why)]


def test_a_silence_within_an_hour_is_no_gap():
    meter = Meter()
    meter.at(MIDNIGHT + 100)
    assert meter.at(MIDNIGHT + 3500) == []


def test_an_old_reading_changes_nothing_and_one_that_is_too_old_is_counted():
    meter = Meter()
    meter.at(MIDNIGHT + 500)
    assert meter.at(MIDNIGHT + 400) == []
    assert meter.scribe.behind == 0, "the rings tell the last minute again after a crash"
    assert meter.at(MIDNIGHT - 500) == []
    assert meter.scribe.behind == 1
    assert meter.scribe.latest.read_s == MIDNIGHT + 500


def test_another_mode_begins_anew_and_keeps_the_last_reading_of_the_old_one():
    meter = Meter()
    meter.at(MIDNIGHT + 100, MIDNIGHT + 200)
    marks = meter.at(MIDNIGHT + 300, mode="standard", EASF01=1)
    assert marks == [(MIDNIGHT + 200, scribe.GAP_BEGIN), (MIDNIGHT + 300, scribe.RESTART)]
    assert meter.marks[-1].registers == {"EASF01": 1}


def test_another_contract_says_other_registers_and_begins_anew():
    """What was used between the last reading of the old registers and the first of the new ones is in neither."""
    meter = Meter()
    meter.at(MIDNIGHT - 100, MIDNIGHT - 60, HCHC=5, HCHP=7)
    assert meter.at(MIDNIGHT, BBRHCJB=5, BBRHPJB=7) == [(MIDNIGHT - 60, scribe.GAP_BEGIN), (MIDNIGHT, scribe.RESTART)]
    assert meter.marks[-1].registers == {"BBRHCJB": 5, "BBRHPJB": 7}


def test_closing_marks_the_last_reading_once():
    meter = Meter()
    meter.at(MIDNIGHT + 100, MIDNIGHT + 200)
    assert [mark.at_s for mark in meter.scribe.close()] == [MIDNIGHT + 200]
    assert meter.scribe.close() == []
    assert Scribe(PARIS).close() == []


@pytest.mark.parametrize("saved_at", [MIDNIGHT + 100, MIDNIGHT + 3601, MIDNIGHT + 3700])
def test_what_is_saved_and_told_again_gives_the_same_marks(saved_at):
    """A crash: the state of an earlier moment, then every reading since once more."""
    readings = range(MIDNIGHT + 50, MIDNIGHT + 7400, 10)
    whole = Meter()
    whole.at(*readings)

    crashed = Meter()
    crashed.at(*[second for second in readings if second <= saved_at])
    resumed = Meter()
    resumed.scribe.restore(crashed.scribe.state())
    resumed.marks = list(crashed.marks)
    resumed.at(*[second for second in readings if second > saved_at - 60])

    assert resumed.marks == whole.marks


def test_a_mark_of_the_file_that_is_newer_than_the_saved_state_is_where_it_goes_on():
    whole = Meter()
    whole.at(MIDNIGHT + 100, MIDNIGHT + 3601)
    resumed = Meter()
    resumed.at(MIDNIGHT + 100)
    resumed.scribe.resume(whole.marks[-1])
    assert resumed.at(MIDNIGHT + 3601, MIDNIGHT + 3603) == []
    assert resumed.at(MIDNIGHT + 7201) == [(MIDNIGHT + 7200, scribe.HOUR)]


def test_an_empty_state_restores_nothing():
    fresh = Scribe(PARIS)
    fresh.restore(Scribe(PARIS).state())
    assert fresh.latest is None


@pytest.mark.parametrize("zone", ["Europe/Paris", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana", "UTC"])
def test_every_local_midnight_of_a_year_is_marked_in_any_time_zone(zone):
    days = Days(zone)
    meter = Meter(days)
    first, last = date(2026, 1, 1), date(2027, 1, 1)
    meter.at(*range(days.begin_s(first) - 600, days.begin_s(last) + 600, 600))
    midnights = {mark.at_s for mark in meter.marks if mark.why & scribe.DAY}
    assert midnights == {days.begin_s(date.fromordinal(n)) for n in range(first.toordinal(), last.toordinal() + 1)}
    assert not any(mark.why & (scribe.GAP_BEGIN | scribe.GAP_END) for mark in meter.marks)
