"""The ledger as a whole: what it shows, and that no death and no disk takes anything from it."""

import sqlite3
from datetime import date
from itertools import pairwise

import pytest
from ledgerworld import ADDRESS, NO_HOST, PARIS, World, at, midnight

from energyd.config import Energy, Meter, SimulationClock, Tariff
from energyd.ledger.days import days_between
from energyd.ledger.history import History
from energyd.ledger.ledger import path_of
from energyd.ledger.store import Store
from energyd.ledger.sums import Ledgered

TARIFF = Tariff("flat", "2026-01-01", subscription_eur_per_month=31.0, prices=(("hc", 0.10), ("hp", 0.20)))


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def store_of(world):
    return Store(path_of(world.config), readonly=True)


def test_yesterday_and_today_are_told_from_their_midnights(world):
    world.hours("2026-06-09T23:00", "2026-06-11T12:00")
    shown = world.stretches()
    assert shown["yesterday"] == (24_000, True)
    assert shown["today"] == (12_000, True)
    assert shown["yesterday_so_far"] == (12_000, True)


def test_a_start_in_the_middle_of_a_day_is_said_and_nothing_is_invented(world):
    world.hours("2026-06-10T15:00", "2026-06-10T18:00")
    assert world.stretches()["today"] == (3_000, False)
    world.hours("2026-06-10T19:00", "2026-06-11T01:00", start_wh=1_004_000)
    assert world.stretches()["yesterday"] == (9_000, False)
    assert world.view().meters[0].last_day is None


def test_what_was_confirmed_by_a_later_frame_counts_from_when_it_was_said(world):
    begin_s = midnight("2026-06-09")
    world.frame(begin_s + 1, {})
    world.frame(begin_s + 3, {"HCHP": 1_000_001}, earlier=((begin_s + 1) * 10**9, {"HCHP": 1_000_000}))
    world.hours("2026-06-09T01:00", "2026-06-10T01:00", start_wh=1_001_000)
    assert world.stretches()["yesterday"] == (24_000, False)
    [row] = store_of(world).meters()
    assert store_of(world).first_s(row.id) == begin_s + 1


def test_days_of_23_and_25_hours_have_what_was_used_in_them(world):
    world.hours("2026-03-28T23:00", "2026-03-30T01:00")
    assert world.stretches()["yesterday"] == (23_000, True)
    world.hours("2026-10-24T23:00", "2026-10-26T01:00", start_wh=9_000_000)
    assert world.stretches()["yesterday"] == (25_000, True)


def test_the_energy_of_a_gap_is_kept_whole_and_its_spread_is_marked(world):
    world.hours("2026-06-09T00:00", "2026-06-09T18:00")
    world.frame(at("2026-06-11T06:00"), {"HCHP": 1_018_000 + 36_000})
    ledgered = Ledgered(store_of(world), store_of(world).meters())
    first, second, third = (ledgered.sum(midnight(f"2026-06-{day:02}"), midnight(f"2026-06-{day + 1:02}")) for day in (9, 10, 11))
    assert [part.registers["HCHP"] for part in (first, second)] == [24_000, 24_000]
    assert [part.estimated_wh for part in (first, second)] == [6_000, 24_000]
    assert third.registers["HCHP"] == 6_000
    assert [part.complete for part in (first, second, third)] == [False, False, False]
    whole = ledgered.sum(midnight("2026-06-09"), at("2026-06-11T06:00"))
    assert whole.registers["HCHP"] == 54_000
    assert whole.estimated_wh == 0


def test_a_day_that_ended_while_nobody_listened_is_told_anew_once_the_meter_is_heard(world):
    world.hours("2026-06-09T00:00", "2026-06-09T18:00")
    assert world.stretches(at("2026-06-10T12:00"))["yesterday"] == (18_000, False)
    world.frame(at("2026-06-10T12:00"), {"HCHP": 1_036_000})
    assert world.stretches()["yesterday"] == (24_000, False)
    assert world.stretches()["today"] == (12_000, False)


def test_yesterday_is_whole_as_soon_as_its_last_reading_has_come(world):
    """Midnight passes before the frame that tells it: what was shown in between is not what is kept."""
    world.hours("2026-06-09T00:00", "2026-06-09T23:00")
    assert world.stretches(midnight("2026-06-10") + 1)["yesterday"] == (23_000, False)
    world.frame(midnight("2026-06-10") + 2, {"HCHP": 1_024_000})
    assert world.stretches()["yesterday"] == (24_000, True)


def test_every_register_keeps_its_own_account(world):
    world.frame(midnight("2026-06-09"), {"HCHC": 5, "HCHP": 7})
    world.frame(at("2026-06-09T06:00"), {"HCHC": 105, "HCHP": 7})
    world.frame(at("2026-06-10T00:00"), {"HCHC": 105, "HCHP": 1007})
    world.frame(at("2026-06-10T00:01"), {"HCHC": 106, "HCHP": 1007})
    energies = {e.register: (e.tariff, e.energy_wh) for e in world.view().meters[0].last_day.energies}
    assert energies == {"HCHC": ("hc", 100), "HCHP": ("hp", 1000)}


def test_another_address_begins_its_own_account_and_the_name_goes_on(world):
    world.hours("2026-06-09T00:00", "2026-06-09T12:00")
    world.hours("2026-06-09T13:00", "2026-06-10T13:00", start_wh=77, address="999999999999")
    assert world.stretches()["yesterday"] == (12_000 + 11_000, False)
    assert world.stretches()["today"] == (13_000, True)
    assert {row.address: row.name for row in store_of(world).meters()} == {ADDRESS: "linky", "999999999999": "linky"}


def test_the_old_address_may_come_back(world):
    world.hours("2026-06-09T00:00", "2026-06-09T12:00")
    world.hours("2026-06-09T13:00", "2026-06-09T14:00", start_wh=77, address="999999999999")
    world.hours("2026-06-09T15:00", "2026-06-10T01:00", start_wh=1_015_000)
    assert world.stretches()["yesterday"] == (24_000 + 1_000, False)


def test_a_change_of_mode_counts_no_watt_hour_twice(world):
    world.hours("2026-06-09T00:00", "2026-06-09T12:00")
    world.hours("2026-06-09T12:01", "2026-06-09T20:01", register="EASF02", start_wh=1_012_000, mode="standard", texts={})
    world.hours("2026-06-09T20:02", "2026-06-10T01:02", start_wh=1_020_000)
    used, complete = world.stretches()["yesterday"]
    assert not complete
    assert 12_000 + 8_000 + 3_900 <= used <= 24_000


def test_a_register_that_starts_again_at_zero_goes_on_counting(world):
    world.hours("2026-06-09T00:00", "2026-06-09T12:00", start_wh=10**9 - 12_000 + 1)
    world.hours("2026-06-09T13:00", "2026-06-10T00:00", start_wh=1_001)
    assert world.stretches()["yesterday"] == (24_000, True)


def test_what_a_register_had_counted_before_it_was_set_back_is_kept(world):
    """The same meter, and a fall that is no start after the ninth digit: between two marks, too."""
    world.frame(at("2026-06-09T12:00"), {"HCHP": 5_000})
    world.frame(at("2026-06-09T12:20"), {"HCHP": 5_081})
    world.frame(at("2026-06-09T12:21"), {"HCHP": 4_000})
    world.frame(at("2026-06-09T12:40"), {"HCHP": 4_016})
    assert world.stretches()["today"] == (81 + 16, False)
    world.frame(at("2026-06-09T13:00"), {"HCHP": 4_030})
    assert world.stretches()["today"] == (81 + 30, False)


def test_nothing_is_dated_before_somebody_knows_the_time(world):
    world.frame(1000, {"HCHP": 5})
    assert world.view().meters[0].stretches == ()
    world.clock.offset_s = at("2026-06-10T12:00") - 2000
    world.frame(at("2026-06-10T12:00"), {"HCHP": 7})
    assert world.stretches()["today"] == (0, False)


def test_the_time_of_the_meter_is_taken_where_the_machine_has_none(world):
    now_s = at("2026-06-10T12:00")
    for second, energy_wh in ((0, 5), (60, 9)):
        world.frame(1000 + second, {"EASF01": energy_wh}, mode="standard", quantities={"DATE": (now_s + second, now_s + second)})
    assert world.stretches()["today"] == (4, False)
    assert world.view().meters[0].month == "2026-06"


def test_the_begin_of_a_day_waits_for_a_frame_with_all_registers(world):
    """A group was refused on the line, after hours in which nobody listened: its register must not stand still over midnight."""
    world.frame(midnight("2026-06-09"), {"HCHC": 5, "HCHP": 7})
    world.frame(midnight("2026-06-10") + 2, {"HCHC": 5})
    world.frame(midnight("2026-06-10") + 4, {"HCHC": 5, "HCHP": 24_007})
    assert world.stretches()["yesterday"] == (24_000, True)


def test_the_begin_of_a_day_does_not_wait_long_for_a_register_that_is_no_more(world):
    world.frame(midnight("2026-06-09"), {"HCHC": 5, "HCHP": 7})
    for second in range(0, 20, 2):
        world.frame(midnight("2026-06-10") + second, {"HCHC": 1_005 + second})
    used, complete = world.stretches()["yesterday"]
    assert (used, complete) == (1_010, True)


def test_a_clock_that_is_set_back_stops_the_ledger_and_is_counted(world):
    world.hours("2026-06-10T00:00", "2026-06-10T12:00")
    world.frame(at("2026-06-10T08:00"), {"HCHP": 1_012_100})
    assert world.view().behind == 1
    world.frame(at("2026-06-10T13:00"), {"HCHP": 1_013_000})
    assert world.stretches()["today"] == (13_000, True)


def test_a_kill_loses_nothing_that_was_saved_with_the_cursors(world, tmp_path):
    """State saved at noon, killed at 15:30; the rings tell everything since noon again."""
    told_again = []
    for minute in range(0, 36 * 60, 10):
        at_s = midnight("2026-06-09") + minute * 60
        if at_s == at("2026-06-09T12:00"):
            state = world.ledger.state()
        if at_s >= at("2026-06-09T12:00"):
            told_again.append(at_s)
        world.frame(at_s, {"HCHP": 1_000_000 + minute * 1000 // 60})
        if at_s == at("2026-06-09T15:30"):
            world.restart(state)
            for again_s in told_again:
                world.frame(again_s, {"HCHP": 1_000_000 + (again_s - midnight("2026-06-09")) * 1000 // 3600})
    assert world.stretches()["yesterday"] == (24_000, True)
    assert world.view().behind == 0


def test_without_a_saved_state_it_goes_on_from_its_last_mark(world):
    world.hours("2026-06-09T00:00", "2026-06-09T12:30", step_s=600)
    world.restart()
    world.hours("2026-06-09T12:40", "2026-06-10T00:00", start_wh=1_012_666, step_s=600)
    used, complete = world.stretches(at("2026-06-10T00:10"))["yesterday"]
    assert complete
    assert abs(used - 24_000) <= 1


def test_a_kill_before_anything_was_saved_shows_the_same_as_before(tmp_path):
    """The rings tell everything from the begin; the ledger has only its first mark."""
    world = World(tmp_path, tariffs=(TARIFF,))
    told = [(at("2026-06-09T12:00") + second, {"HCHP": 1_000_000 + second}) for second in range(1, 40)]
    for at_s, registers in told:
        world.frame(at_s, registers)
        before = world.view(host=NO_HOST._replace(energy_uj=at_s * 1_000_000))
    world.restart()
    for at_s, registers in told:
        world.frame(at_s, registers)
    after = world.view(host=NO_HOST._replace(energy_uj=at_s * 1_000_000))
    assert after.meters[0].stretches == before.meters[0].stretches
    assert after.meters[0].costs_neur == before.meters[0].costs_neur == (("HCHP", "hp", 38 * 200_000),)
    assert after.host_cost_neur == before.host_cost_neur


def test_an_orderly_end_writes_what_is_known(world):
    world.hours("2026-06-09T00:00", "2026-06-09T12:30", step_s=600)
    world.ledger.close()
    world.start()
    assert world.stretches(at("2026-06-09T12:31"))["today"] == (12_500, False)


def fill_the_disk(world):
    pages = world.ledger._store._db.execute("PRAGMA page_count").fetchone()[0]
    world.ledger._store._db.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_costs_nothing_but_time(world):
    world.hours("2026-06-09T00:00", "2026-06-09T06:00")
    fill_the_disk(world)
    world.hours("2026-06-09T07:00", "2026-07-12T12:00", start_wh=1_007_000)
    view = world.view()
    assert view.write_failures > 0
    assert view.waiting > 0
    assert any("full" in text for _, text in world.faults)
    assert world.stretches()["today"][0] > 0, "serving goes on"

    world.ledger._store._db.execute("PRAGMA max_page_count = 100000")
    world.hours("2026-07-12T13:00", "2026-07-12T14:00", start_wh=1_805_000)
    assert world.view().waiting == 0
    assert world.stretches()["yesterday"] == (24_000, True)
    assert world.stretches()["this_month"] == (11 * 24_000 + 14_000, True)
    assert world.stretches()["last_month"] == (22 * 24_000, False)


def test_marks_that_wait_survive_a_restart(world):
    world.hours("2026-06-09T00:00", "2026-06-09T06:00")
    fill_the_disk(world)
    world.hours("2026-06-09T07:00", "2026-07-12T12:00", start_wh=1_007_000)
    assert world.view().waiting
    world.restart(world.ledger.state())
    world.hours("2026-07-12T13:00", "2026-07-12T13:00", start_wh=1_805_000)
    assert world.view().waiting == 0
    assert world.stretches()["this_month"] == (11 * 24_000 + 13_000, True)


def test_a_damaged_file_is_set_aside_and_said(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 4000)
    world = World(tmp_path)
    assert [kind for kind, _ in world.faults] == ["damaged ledger"]
    assert (tmp_path / "ledger.db.damaged-1").exists()
    world.hours("2026-06-09T00:00", "2026-06-09T06:00")
    assert world.stretches()["today"] == (6_000, True)


def test_a_file_of_a_newer_energyd_is_not_touched(tmp_path):
    newer = sqlite3.connect(tmp_path / "ledger.db")
    newer.execute("PRAGMA user_version = 99")
    newer.commit()
    newer.close()
    before = (tmp_path / "ledger.db").read_bytes()
    world = World(tmp_path)
    world.hours("2026-06-09T00:00", "2026-06-09T06:00")
    assert "newer energyd" in world.faults[0][1]
    assert world.view().meters == ()
    assert (tmp_path / "ledger.db").read_bytes() == before


def test_what_cannot_be_opened_is_tried_again(tmp_path):
    (tmp_path / "ledger.db").mkdir()
    world = World(tmp_path)
    world.hours("2026-06-09T00:00", "2026-06-09T01:00")
    assert world.view().write_failures
    (tmp_path / "ledger.db").rmdir()
    world.hours("2026-06-09T02:00", "2026-06-09T05:00")
    assert world.stretches()["today"] == (2_000, False), "the reading that opened it came before it listened"


def test_at_most_a_few_writes_a_day(world):
    world.hours("2026-06-09T00:00", "2026-06-10T00:00", step_s=60)
    marks = store_of(world)._db.execute("SELECT count(*) FROM mark").fetchone()[0]
    assert marks == 25


def test_costs_add_up_by_register_day_month_and_in_all(tmp_path):
    world = World(tmp_path, tariffs=(TARIFF,))
    for day in days_between(PARIS.day_of(midnight("2026-05-20")), PARIS.day_of(midnight("2026-06-11"))):
        begin_s = PARIS.begin_s(day)
        done = (begin_s - midnight("2026-05-20")) // 3600 * 1000
        world.frame(begin_s, {"HCHC": done // 4, "HCHP": done - done // 4})
    world.frame(at("2026-06-11T00:00"), {"HCHC": 528_000 // 4, "HCHP": 528_000 * 3 // 4})
    meter = world.view().meters[0]
    costs = {stretch.name: (stretch.cost_neur, stretch.subscription_neur) for stretch in meter.stretches}
    day_neur = 6_000 * 100_000 + 18_000 * 200_000
    assert costs["yesterday"] == (day_neur, 31 * 10**9 // 30)
    assert costs["this_month"][0] == 10 * day_neur
    assert costs["last_month"] == (12 * day_neur, 12 * 10**9)
    assert sum(cost for _, _, cost in meter.costs_neur) == 22 * day_neur
    assert {register: cost for register, _, cost in meter.costs_neur} == {
        "HCHC": 22 * 6_000 * 100_000,
        "HCHP": 22 * 18_000 * 200_000,
    }


def test_each_watt_hour_is_charged_once_whatever_dies_and_whenever(tmp_path):
    world = World(tmp_path, tariffs=(TARIFF,))
    state, told_again = world.ledger.state(), []
    shown = []
    for minute in range(0, 3 * 1440, 20):
        at_s = midnight("2026-06-09") + minute * 60
        told_again.append((at_s, {"HCHP": minute * 1000 // 60}))
        world.frame(*told_again[-1])
        shown.append(sum(cost for _, _, cost in world.view().meters[0].costs_neur))
        if minute % 100 == 0:
            state, told_again = world.ledger.state(), []
        if minute % 340 == 0:
            world.restart(state)
            for frame in told_again:
                world.frame(*frame)
    assert shown == [minute * 1000 // 60 * 200_000 for minute in range(0, 3 * 1440, 20)]


def test_a_price_changes_on_its_day_and_not_before(tmp_path):
    tables = (
        Tariff("old", "2026-01-01", "2026-06-09", prices=(("hp", 0.20),)),
        Tariff("new", "2026-06-10", prices=(("hp", 0.30),)),
    )
    world = World(tmp_path, tariffs=tables)
    world.hours("2026-06-09T00:00", "2026-06-10T12:00")
    meter = world.view().meters[0]
    assert meter.price_neur_per_wh == 300_000
    costs = {stretch.name: stretch.cost_neur for stretch in meter.stretches}
    assert (costs["yesterday"], costs["today"]) == (24_000 * 200_000, 12_000 * 300_000)
    assert meter.costs_neur == (("HCHP", "hp", 24_000 * 200_000 + 12_000 * 300_000),)


def test_what_no_table_has_a_price_for_is_told(tmp_path):
    tables = (
        Tariff("old", "2026-01-01", "2026-06-09", prices=(("hp", 0.20),)),
        Tariff("new", "2026-06-11", prices=(("hp", 0.30),)),
    )
    world = World(tmp_path, tariffs=tables)
    world.hours("2026-06-09T00:00", "2026-06-12T00:00")
    store = store_of(world)
    (month,) = History(store, world.config, world.clock.now_s).entries("month", date(2026, 6, 1), date(2026, 6, 30))
    store.close()
    assert (month.unpriced_wh, month.cost_neur) == (24_000, 24_000 * 200_000 + 24_000 * 300_000)


def test_the_night_after_a_red_day_is_red_until_six(tmp_path):
    """Tempo days run from 06:00 to 06:00: the meter says so, and the register that counts has its own price."""
    prices = (("tempo_red_hc", 0.15), ("tempo_red_hp", 0.70), ("tempo_blue_hc", 0.10), ("tempo_blue_hp", 0.13))
    world = World(tmp_path, tariffs=(Tariff("tempo", "2026-01-01", prices=prices),))
    registers = {"BBRHCJB": 10, "BBRHPJB": 10, "BBRHCJR": 10, "BBRHPJR": 10}
    periods = [("2026-01-14T06:00", "HPJR", "BBRHPJR"), ("2026-01-14T22:00", "HCJR", "BBRHCJR")]
    periods += [("2026-01-15T06:00", "HPJB", "BBRHPJB"), ("2026-01-15T12:00", "HPJB", "BBRHPJB")]
    prices_seen = []
    for (begin, ptec, register), (end, *_) in pairwise(periods):
        for at_s in range(at(begin), at(end), 600):
            world.frame(at_s, registers, texts={"OPTARIF": "BBR(", "PTEC": ptec})
            registers = {**registers, register: registers[register] + 100}
        prices_seen.append(world.view().meters[0].price_neur_per_wh)
    world.frame(at("2026-01-15T12:00"), registers, texts={"OPTARIF": "BBR(", "PTEC": "HPJB"})
    assert prices_seen == [700_000, 150_000, 130_000]
    today = next(stretch for stretch in world.view().meters[0].stretches if stretch.name == "today")
    energies = {energy.tariff: energy.energy_wh for energy in today.energies}
    assert energies == {"tempo_red_hc": 3600, "tempo_red_hp": 0, "tempo_blue_hc": 0, "tempo_blue_hp": 3600}
    assert today.cost_neur == 3600 * 150_000 + 3600 * 130_000


def test_the_host_pays_the_price_of_the_moment(tmp_path):
    world = World(tmp_path, tariffs=(TARIFF,), energy=Energy(price_eur_per_kwh=0.5))
    kwh_uj = 3_600_000_000_000
    assert world.view(host=NO_HOST._replace(energy_uj=0)).price_neur_per_wh == 500_000, "no meter has spoken yet"
    world.view(host=NO_HOST._replace(energy_uj=kwh_uj))
    world.frame(at("2026-06-09T12:00"), {"HCHP": 5})
    world.view(host=NO_HOST._replace(energy_uj=2 * kwh_uj))
    world.frame(at("2026-06-09T23:00"), {"HCHP": 5}, texts={"OPTARIF": "HC..", "PTEC": "HC.."})
    assert world.view(host=NO_HOST._replace(energy_uj=3 * kwh_uj)).host_cost_neur == (500 + 200 + 100) * 10**6
    state = world.ledger.state()
    world.restart(state)
    world.frame(at("2026-06-09T23:01"), {"HCHP": 5}, texts={"OPTARIF": "HC..", "PTEC": "HC.."})
    assert world.view(host=NO_HOST._replace(energy_uj=4 * kwh_uj)).host_cost_neur == 900 * 10**6


def test_without_any_price_nothing_is_charged(world):
    world.frame(at("2026-06-09T12:00"), {"HCHP": 5})
    view = world.view(host=NO_HOST._replace(energy_uj=5))
    assert view.host_cost_neur is None
    assert view.meters[0].price_neur_per_wh is None
    assert all(stretch.cost_neur is None for stretch in view.meters[0].stretches)


def test_what_is_injected_is_paid_and_what_is_produced_and_not_injected_was_used(tmp_path):
    meters = (Meter("house", "/dev/a"), Meter("roof", "/dev/b", role="production"))
    world = World(tmp_path, meters=meters, tariffs=(Tariff("t", "2026-01-01", prices=(("hp", 0.2), ("injected", 0.1))),))
    for hour in range(25):
        at_s = midnight("2026-06-09") + hour * 3600
        world.frame(at_s, {"EASF02": hour * 100, "EAIT": hour * 300}, meter="house", mode="standard", texts={"NGTF": "HC"})
        world.frame(at_s, {"EAIT": hour * 500, "EASF01": 0}, meter="roof", address="5" * 12, mode="standard", texts={})
    view = world.view()
    assert dict(view.self_consumed)["yesterday"] == 24 * 200
    house, roof = view.meters
    assert {e.direction for s in roof.stretches for e in s.energies} == {"produced"}
    assert house.revenue_neur == 24 * 300 * 100_000
    assert {e.register: e.direction for s in house.stretches for e in s.energies} == {"EASF02": "consumed", "EAIT": "injected"}


def test_a_production_meter_in_historique_mode_has_one_register(tmp_path):
    world = World(tmp_path, meters=(Meter("roof", "/dev/b", role="production"),))
    world.hours("2026-06-09T00:00", "2026-06-10T00:00", register="BASE", meter="roof", texts={"OPTARIF": "BASE", "PTEC": "TH.."})
    assert dict(world.view().self_consumed)["yesterday"] == 24_000


def test_no_self_consumption_is_told_without_a_production_meter(world):
    world.frame(at("2026-06-09T12:00"), {"EASF01": 5, "EAIT": 5}, mode="standard", texts={})
    assert world.view().self_consumed == ()


def test_the_peak_of_the_day_is_what_the_meter_says_or_the_highest_that_was_heard(world):
    world.frame(at("2026-06-09T12:00"), {"HCHP": 5}, quantities={"PAPP": 3000})
    world.frame(at("2026-06-09T12:01"), {"HCHP": 5}, quantities={"PAPP": 2000})
    world.frame(at("2026-06-10T12:00"), {"HCHP": 6}, quantities={"PAPP": 500})
    peaks = {(peak.day, peak.power_va): (peak.at_s, peak.said) for peak in world.view().meters[0].peaks}
    assert peaks == {
        ("yesterday", 3000): (at("2026-06-09T12:00"), False),
        ("today", 500): (at("2026-06-10T12:00"), False),
    }
    said = {"SINSTS": 700, "SMAXSN": (4000, at("2026-06-10T11:00")), "SMAXSN-1": (6000, at("2026-06-09T19:30"))}
    world.frame(at("2026-06-10T12:01"), {"EASF01": 6}, mode="standard", texts={}, quantities=said)
    peaks = {(peak.day, peak.power_va): (peak.at_s, peak.said) for peak in world.view().meters[0].peaks}
    assert peaks == {
        ("yesterday", 6000): (at("2026-06-09T19:30"), True),
        ("today", 4000): (at("2026-06-10T11:00"), True),
    }


def test_what_the_meter_says_of_its_peak_goes_before_a_higher_power_that_was_heard(world):
    said = at("2026-06-10T08:30:00")
    for second, quantities in enumerate(({"SINSTS": 6000}, {"SMAXSN": (5500, said)}, {"SINSTS": 7000})):
        world.frame(at("2026-06-10T09:00:00") + second, {"EASF01": 5}, mode="standard", texts={}, quantities=quantities)
    (peak,) = world.view().meters[0].peaks
    assert (peak.power_va, peak.at_s, peak.said) == (5500, said, True)


def test_a_peak_outlives_a_restart_and_is_kept_for_good(world):
    world.hours("2026-06-09T00:00", "2026-06-09T12:00", quantities={"PAPP": 1000})
    world.frame(at("2026-06-09T12:10"), {"HCHP": 1_012_000}, quantities={"PAPP": 5000})
    state = world.ledger.state()
    world.restart(state)
    world.hours("2026-06-09T13:00", "2026-06-11T01:00", start_wh=1_013_000, quantities={"PAPP": 1000})
    kept = store_of(world).peaks(1, "2026-06-09", "2026-06-10")
    assert [(peak.day, peak.power_va) for peak in kept] == [("2026-06-09", 5000), ("2026-06-10", 1000)]


def test_registers_are_named_by_what_the_meter_calls_them(world):
    """A calendar of the supplier's own: the name is heard while the register counts."""
    texts = {"NGTF": "ZEN WEEK-END", "LTARF": "HC WEEK-END"}
    world.frame(at("2026-06-06T12:00"), {"EASF03": 5}, mode="standard", texts=texts, quantities={"NTARF": 3})
    world.frame(at("2026-06-06T13:00"), {"EASF03": 9}, mode="standard", texts=texts, quantities={"NTARF": 3})
    meter = world.view().meters[0]
    assert meter.contract == "weekend"
    assert {energy.tariff for energy in meter.stretches[0].energies} == {"weekend_hc"}
    world.restart()
    world.frame(at("2026-06-06T14:00"), {"EASF03": 9}, mode="standard", texts={"NGTF": "ZEN WEEK-END"})
    assert {energy.tariff for energy in world.view().meters[0].stretches[0].energies} == {"weekend_hc"}


def test_subscribed_power_and_point_of_delivery(tmp_path):
    world = World(tmp_path, meters=(Meter("linky", "/dev/null", pdl="01234567890123"),))
    world.frame(at("2026-06-09T12:00"), {"HCHP": 5}, quantities={"ISOUSC": 30})
    assert (world.view().meters[0].pdl, world.view().meters[0].subscribed_va) == ("01234567890123", 6000)
    world.frame(at("2026-06-09T12:01"), {"HCHP": 6}, quantities={"ISOUSC": 15, "IINST1": 2})
    assert world.view().meters[0].subscribed_va == 9000
    world.frame(at("2026-06-09T12:02"), {"EASF01": 6}, mode="standard", quantities={"PREF": 12}, texts={"PRM": "98765432109876"})
    assert (world.view().meters[0].pdl, world.view().meters[0].subscribed_va) == ("01234567890123", 12_000)


def test_simulated_meters_live_in_the_time_of_their_clock(tmp_path):
    began_s = at("2030-01-01T00:00")
    meters = (Meter("linky", "/dev/null", simulated=True),)
    world = World(tmp_path, meters=meters, clock=SimulationClock(1000.0, 0, began_s * 10**9))
    for hour in range(30):
        world.frame(hour * 3600, {"HCHP": hour * 1000})
    world.clock.now_s = 29 * 3600 // 1000 + 1
    meter = world.view().meters[0]
    assert meter.month == "2030-01"
    assert {s.name: sum(e.energy_wh for e in s.energies) for s in meter.stretches}["yesterday"] == 24_000
    assert meter.source == "simulated"


def test_comparisons_have_the_same_length(world):
    """Today beside yesterday, the same day last week and last month; this month beside the last one."""
    for day in days_between(PARIS.day_of(midnight("2026-04-30")), PARIS.day_of(midnight("2026-06-11"))):
        for hour in range(0, 24, 6):
            at_s = PARIS.begin_s(day) + hour * 3600
            world.frame(at_s, {"HCHP": (at_s - midnight("2026-04-30")) // 3600 * 1000})
    world.frame(at("2026-06-11T12:00"), {"HCHP": (at("2026-06-11T12:00") - midnight("2026-04-30")) // 3600 * 1000})
    shown = {name: used for name, (used, _) in world.stretches().items()}
    assert shown["today"] == shown["yesterday_so_far"] == shown["same_day_last_week_so_far"] == 12_000
    assert shown["same_day_last_month_so_far"] == 12_000
    assert shown["this_month"] == shown["last_month_so_far"] == 10 * 24_000 + 12_000
    assert shown["last_month"] == 31 * 24_000
    assert shown["last_week"] == 7 * 24_000
    assert shown["this_week"] == 3 * 24_000 + 12_000
