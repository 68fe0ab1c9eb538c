"""A new contract gives the registers of a standard-mode meter to other periods; days before it keep their names and their price."""

from datetime import date

import pytest
from ledgerworld import World, at

from energyd.config import Config, Tariff
from energyd.ledger.history import History
from energyd.ledger.importing import import_file
from energyd.ledger.ledger import path_of
from energyd.ledger.schema import VERSIONS
from energyd.ledger.scribe import RESTART, Mark
from energyd.ledger.store import CONTRACT, Former, Store

BASE = {"NGTF": "      BASE      ", "LTARF": "      BASE      "}
OFF_PEAK = {"NGTF": "H PLEINE/CREUSE ", "LTARF": "  HEURE  CREUSE "}
PEAK = {"NGTF": "H PLEINE/CREUSE ", "LTARF": "  HEURE  PLEINE "}
TABLES = (
    Tariff("old", "2026-01-01", "2026-01-11", prices=(("base", 0.20),)),
    Tariff("new", "2026-01-12", prices=(("hc", 0.10), ("hp", 0.30))),
)
BEFORE = ({"base": 24_000}, 24_000 * 200_000)
AFTER = ({"hc": 8_000, "hp": 16_000}, 8_000 * 100_000 + 16_000 * 300_000)


def live(world, begin, end, new_from, address="041876097514", shown=0):
    """1 kW from one local time to another: BASE until `new_from`, then off-peak before 08:00."""
    off_peak, peak = shown, 0
    for at_s in range(at(begin), at(end) + 1, 3600):
        is_peak = at_s > at(new_from) and (at_s - 1 - at(new_from)) // 3600 % 24 >= 8
        texts = BASE if at_s <= at(new_from) - 3600 else PEAK if is_peak else OFF_PEAK
        said = {"EASF01": off_peak, "EASF02": peak}
        world.frame(at_s, said, mode="standard", texts=texts, address=address, quantities={"NTARF": 2 if is_peak else 1})
        is_next_peak = at_s >= at(new_from) and (at_s - at(new_from)) // 3600 % 24 >= 8
        off_peak, peak = off_peak + 1000 * (not is_next_peak), peak + 1000 * is_next_peak


def told(world, day):
    """What the history says of a day: watt-hours by period that were used, and nano-euros."""
    store = Store(path_of(world.config), readonly=True)
    try:
        (entry,) = History(store, world.config, world.clock.now_s).entries("day", day, day)
        return {tariff: energy_wh for tariff, energy_wh in entry.tariffs.items() if energy_wh}, entry.cost_neur
    finally:
        store.close()


@pytest.mark.parametrize("killed", [False, True])
def test_days_before_a_new_contract_keep_their_periods_and_their_price(tmp_path, killed):
    world = World(tmp_path, tariffs=TABLES)
    live(world, "2026-01-10T00:00", "2026-01-13T12:00", "2026-01-12T00:00")
    if killed:
        world.restart()
        world.frame(at("2026-01-13T12:00:10"), {"EASF01": 64_000, "EASF02": 20_000}, mode="standard", texts=PEAK)
    assert told(world, date(2026, 1, 10)) == BEFORE
    assert told(world, date(2026, 1, 11)) == BEFORE
    assert told(world, date(2026, 1, 12)) == AFTER
    costs = {stretch.name: stretch.cost_neur for stretch in world.view().meters[0].stretches}
    assert costs["yesterday"] == AFTER[1]
    assert costs["this_month"] - costs["today"] == 2 * BEFORE[1] + AFTER[1]


def test_a_meter_that_names_only_its_calendar_keeps_the_old_one_for_the_days_before(tmp_path):
    """Nothing is learned of its registers: they are those of the calendar of the day."""
    world = World(tmp_path, tariffs=TABLES)
    for hour in range(72):
        calendar = "BASE" if hour < 48 else "H PLEINE/CREUSE"
        world.frame(at("2026-01-10T00:00") + hour * 3600, {"EASF01": hour * 1000}, mode="standard", texts={"NGTF": calendar})
    assert told(world, date(2026, 1, 10)) == BEFORE
    assert told(world, date(2026, 1, 12))[0] == {"hc": 23_000}


def test_the_last_day_of_a_contract_is_shown_on_the_day_after_as_what_it_was(tmp_path):
    world = World(tmp_path, tariffs=TABLES)
    live(world, "2026-01-10T00:00", "2026-01-12T12:00", "2026-01-12T00:00")
    meter = world.view().meters[0]
    assert meter.contract == "hc_hp"
    assert {energy.tariff: energy.energy_wh for energy in meter.last_day.energies if energy.energy_wh} == BEFORE[0]


def test_another_meter_of_another_contract_leaves_the_days_of_the_old_one(tmp_path):
    world = World(tmp_path, tariffs=TABLES)
    live(world, "2026-01-10T00:00", "2026-01-11T23:00", "2026-01-12T00:00")
    live(world, "2026-01-12T00:00", "2026-01-13T12:00", "2026-01-12T00:00", address="041876099999")
    assert told(world, date(2026, 1, 10)) == BEFORE
    assert told(world, date(2026, 1, 12)) == AFTER


def test_a_backup_that_is_put_back_keeps_them(tmp_path):
    world = World(tmp_path, tariffs=TABLES)
    live(world, "2026-01-10T00:00", "2026-01-13T12:00", "2026-01-12T00:00")
    store = Store(path_of(world.config), readonly=True)
    store.backup(tmp_path / "copy.db")
    store.close()
    (tmp_path / "fresh").mkdir()
    fresh = World(tmp_path / "fresh", tariffs=TABLES)
    store = Store(path_of(fresh.config))
    for _ in range(2):
        import_file(store, tmp_path / "copy.db", Config(), None, simulated=False)
    assert store.former(1) == [Former(CONTRACT, at("2026-01-12T00:00"), "base"), Former("EASF01", at("2026-01-12T00:00"), "base")]
    store.close()
    fresh.clock.now_s = world.clock.now_s
    assert told(fresh, date(2026, 1, 11)) == BEFORE


def test_a_ledger_of_the_first_schema_is_read_as_it_is_and_brought_to_this_one(tmp_path):
    path = tmp_path / "ledger.db"
    store = Store(path, versions=VERSIONS[:1])
    with store.transaction():
        meter = store.meter("041876097514", "linky", "meter")
        store.append(meter, Mark(3600, 3600, RESTART, "standard", "EASF01", {"EASF01": 5}), lambda _day, _register: None, None)
    store.close()
    reading = Store(path, readonly=True)
    assert reading.former(meter) == []
    reading.close()
    store = Store(path)
    store.learn(meter, "EASF01", "base", 3600)
    store.learn(meter, "EASF01", "hc", 7200)
    assert store.former(meter) == [Former("EASF01", 7200, "base")]
    assert store.standing(meter).values["EASF01"].energy_wh == 5
    store.close()
