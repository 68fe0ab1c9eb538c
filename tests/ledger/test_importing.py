"""The past taken in: once, joined to what is known, and behind what was heard."""

import pytest
from ledgerworld import ADDRESS, World, at, midnight
from test_enedis import CURVE, HEAD, INDEXES

from energyd.config import Config, Meter, Tariff
from energyd.errors import EnvironmentFault
from energyd.ledger.importing import import_file
from energyd.ledger.ledger import path_of
from energyd.ledger.store import Store
from energyd.ledger.sums import CURVE as FROM_CURVE
from energyd.ledger.sums import INDEXES as FROM_INDEXES
from energyd.ledger.sums import MEASURED, Ledgered

LINKY = (Meter("linky", "/dev/null"),)


@pytest.fixture
def world(tmp_path):
    (tmp_path / "state").mkdir()
    return World(tmp_path / "state")


def take(world, path, name=None, simulated=False, meters=LINKY):
    store = Store(path_of(world.config))
    try:
        return import_file(store, path, Config(meters=meters), name, simulated)
    finally:
        store.close()


def day_of(world, text, length=1):
    store = Store(path_of(world.config), readonly=True)
    begin_s = midnight(text)
    known = Ledgered(store, store.meters()).sum(begin_s, begin_s + length * 86400)
    store.close()
    return known


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "download.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_downloaded_indexes_fill_the_past_once(world, tmp_path):
    path = write(tmp_path, INDEXES)
    assert [taken.marks for taken in take(world, path)] == [2]
    assert [taken.marks for taken in take(world, path)] == [0]
    known = day_of(world, "2025-02-02")
    assert (dict(known.registers), known.complete, known.origin) == (
        {"EASF01": 100, "EASF02": 300, "EASD01": 100, "EAST": 400}, True, FROM_INDEXES,
    )  # fmt: skip


def test_a_second_download_joins_the_first_whichever_comes_first(world, tmp_path):
    later = INDEXES.replace("2025-02-02", "2025-02-05").replace("2025-02-03", "2025-02-04")
    later = later.replace(";1100;2300;;2600;3400", ";1200;2400;;2700;3600").replace(
        ";1000;2000;;2500;3000", ";1300;2500;;2800;3800"
    )
    take(world, write(tmp_path, later))
    take(world, write(tmp_path, INDEXES))
    assert dict(day_of(world, "2025-02-03").registers)["EAST"] == 200
    assert day_of(world, "2025-02-02", 3).registers["EAST"] == 800


def test_an_index_that_falls_is_another_meter_and_no_energy_is_invented(world, tmp_path):
    take(world, write(tmp_path, INDEXES.replace(";1100;2300;;2600;3400", ";5;7;;12;12")))
    known = day_of(world, "2025-02-02")
    assert sum(known.registers.values()) == 0
    assert not known.complete


def test_a_load_curve_gives_the_days_that_it_covers_wholly(world, tmp_path):
    rows = "\n".join(f"2025-06-0{7 + (n + 1) // 48}T{(n + 1) // 2 % 24:02}:{(n + 1) % 2 * 30:02}:00+02:00;1001" for n in range(60))
    text = CURVE.split("Horodate")[0] + "Horodate;Valeur\n" + rows
    (taken,) = take(world, write(tmp_path, text))
    assert taken.intervals == 60
    assert [again.intervals for again in take(world, write(tmp_path, text))] == [0]
    known = day_of(world, "2025-06-07")
    assert (dict(known.registers), known.complete, known.origin) == ({"CONSUMED": 24_024}, True, FROM_CURVE)
    assert not day_of(world, "2025-06-08").complete


def test_what_was_heard_goes_before_what_was_downloaded(world, tmp_path):
    world.hours("2026-06-09T00:00", "2026-06-10T12:00")
    text = f"{HEAD}\n12345678901234;Consommation quotidienne\nDate;Valeur (en Wh)\n2026-06-08;1\n2026-06-09;2\n2026-06-10;3\n"
    take(world, write(tmp_path, text))
    assert (day_of(world, "2026-06-09").registers["HCHP"], day_of(world, "2026-06-09").origin) == (24_000, MEASURED)
    assert day_of(world, "2026-06-08").registers == {"CONSUMED": 1}
    assert day_of(world, "2026-06-10").registers == {"CONSUMED": 3}, "heard until noon only"


def test_the_aggregator_shows_what_was_taken_in_beside_it(world, tmp_path):
    world.hours("2026-06-09T15:00", "2026-06-10T12:00")
    assert world.stretches()["yesterday"] == (9_000, False)
    take(world, write(tmp_path, f"{HEAD}\n12345678901234;x\nDate;Consommation (kWh)\n2026-06-09;25\n2026-06-08;20\n"))
    assert world.stretches()["yesterday"] == (25_000, True)
    assert world.stretches()["this_month"] == (57_000, False)
    assert world.view().meters[0].measured_days == 3, "the 9th was downloaded, the 10th heard, and none is counted twice"
    world.hours("2026-06-10T13:00", "2026-06-10T14:00", start_wh=1_022_000)
    assert world.stretches()["today"] == (14_000, True)


def test_files_in_the_old_encoding_are_read(world, tmp_path):
    assert take(world, write(tmp_path, INDEXES.lstrip("\ufeff"), "cp1252"))[0].marks == 2


def test_the_meter_is_found_by_its_prm_or_named(world, tmp_path):
    two = (Meter("a", "/dev/a", pdl="12345678901234"), Meter("b", "/dev/b"))
    path = write(tmp_path, INDEXES)
    assert take(world, path, meters=two)[0].meter == "a"
    other = write(tmp_path, INDEXES.replace("12345678901234", "99999999999999"))
    with pytest.raises(EnvironmentFault, match="PRM 99999999999999; say which meter that is with --meter NAME"):
        take(world, other, meters=two)
    assert take(world, other, name="b", meters=two)[0].meter == "b"
    with pytest.raises(EnvironmentFault, match="no meter named 'c' is configured; there are: a, b"):
        take(world, other, name="c", meters=two)


def test_files_that_are_none_of_these_are_refused(world, tmp_path):
    with pytest.raises(EnvironmentFault, match="no table of Enedis in it"):
        take(world, write(tmp_path, "hello"))
    with pytest.raises(EnvironmentFault, match="No such file"):
        take(world, tmp_path / "nowhere.csv")
    (tmp_path / "odd.db").write_bytes(b"SQLite format 3\0" + bytes(2000))
    with pytest.raises(EnvironmentFault, match="not taken"):
        take(world, tmp_path / "odd.db")


def earlier_ledger(tmp_path, **more):
    (tmp_path / "earlier").mkdir()
    earlier = World(tmp_path / "earlier", **more)
    earlier.hours("2026-05-01T00:00", "2026-05-10T06:00", quantities={"PAPP": 4321})
    earlier.ledger.close()
    return path_of(earlier.config)


def test_an_earlier_ledger_is_joined_and_the_energy_between_the_two_is_known(world, tmp_path):
    path = earlier_ledger(tmp_path)
    world.hours("2026-05-12T06:00", "2026-05-14T12:00", start_wh=1_000_000 + 222_000 + 48_000)
    assert day_of(world, "2026-05-12").complete is False
    (taken,) = take(world, path)
    assert (taken.meter, taken.marks > 200, taken.peaks) == ("linky", True, 10)
    assert day_of(world, "2026-05-01", 12).registers["HCHP"] == 24_000 * 12
    gap = day_of(world, "2026-05-11")
    assert (gap.registers["HCHP"], gap.estimated_wh, gap.complete) == (24_000, 24_000, False)
    assert day_of(world, "2026-05-09").complete
    assert [again.marks for again in take(world, path)] == [0]
    world.hours("2026-05-14T13:00", "2026-05-15T01:00", start_wh=1_000_000 + 325_000)
    assert world.stretches()["yesterday"] == (24_000, True)
    assert world.stretches()["this_month"] == (14 * 24_000 + 1000, False)


def test_a_ledger_gives_back_all_that_a_backup_took(world, tmp_path):
    world.hours("2026-05-01T00:00", "2026-05-03T06:00")
    store = Store(path_of(world.config), readonly=True)
    store.backup(tmp_path / "copy.db")
    marks = list(store.marks(1))
    store.close()
    (tmp_path / "fresh").mkdir()
    fresh = World(tmp_path / "fresh")
    take(fresh, tmp_path / "copy.db")
    store = Store(path_of(fresh.config), readonly=True)
    assert list(store.marks(1)) == marks
    assert [row.address for row in store.meters()] == [ADDRESS]
    store.close()


def test_a_backup_that_is_put_back_goes_on_with_what_was_charged(tmp_path):
    tariff = Tariff("flat", "2026-01-01", prices=(("hp", 0.20),))
    for place in ("old", "new"):
        (tmp_path / place).mkdir()
    old, new = World(tmp_path / "old", tariffs=(tariff,)), World(tmp_path / "new", tariffs=(tariff,))
    old.hours("2026-06-09T00:00", "2026-06-10T00:00")
    old.ledger.close()
    for _ in range(2):
        take(new, path_of(old.config))
    new.hours("2026-06-10T01:00", "2026-06-10T02:00", start_wh=1_025_000)
    assert new.view().meters[0].costs_neur == (("HCHP", "hp", 26_000 * 200_000),)


def test_simulated_and_real_history_never_mix(world, tmp_path):
    path = earlier_ledger(tmp_path, meters=(Meter("linky", "/dev/null", simulated=True),))
    with pytest.raises(EnvironmentFault, match="holds what was simulated"):
        take(world, path)
    assert take(world, path, simulated=True)[0].marks


def test_a_change_of_mode_in_an_earlier_ledger_stays_one(world, tmp_path):
    (tmp_path / "earlier").mkdir()
    earlier = World(tmp_path / "earlier")
    earlier.hours("2026-05-01T00:00", "2026-05-02T06:00")
    earlier.hours("2026-05-02T08:00", "2026-05-03T06:00", register="EASF01", start_wh=9_000_000, mode="standard", texts={})
    earlier.ledger.close()
    take(world, path_of(earlier.config))
    assert dict(day_of(world, "2026-05-02").registers) == {"HCHP": 6_000, "EASF01": 16_000}
    assert at("2026-05-02T06:00") < day_of(world, "2026-05-02").until_s
