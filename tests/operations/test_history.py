"""`energyd history` and `energyd ledger`: what they print, and what they say when there is nothing to print."""

import csv
import io
import json
import sys
import time
from pathlib import Path

import pytest

from energyd import cli, historycli, ledgercli
from energyd.service import statefile

sys.path.insert(0, str(Path(__file__).parents[1] / "ledger"))
from ledgerworld import World, at

from energyd.config import Meter, Tariff

CONFIG = """
run_dir: {0}/run
state_dir: {0}/state
meters: [{{name: linky, device: /dev/null}}, {{name: roof, device: /dev/zero, role: production}}]
tariffs: [{{name: a, valid_from: 2026-01-01, subscription_eur_per_month: 31, prices: {{hc: 0.1, hp: 0.2, injected: 0.05}}}}]
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nothing"))
    (tmp_path / "state").mkdir()
    path = tmp_path / "energyd.yml"
    path.write_text(CONFIG.format(tmp_path))
    return path


@pytest.fixture
def ledger(tmp_path, config):
    """Three days in May and June, two registers, a production meter, a gap."""
    meters = (Meter("linky", "/dev/null"), Meter("roof", "/dev/null", role="production"))
    tariff = Tariff("a", "2026-01-01", None, None, 31.0, (("hc", 0.1), ("hp", 0.2), ("injected", 0.05)))
    world = World(tmp_path / "state", meters=meters, tariffs=(tariff,))
    begin_s = at("2026-05-31T00:00")
    for hour in range(49):
        registers = {"EASF01": hour * 250, "EASF02": hour * 750, "EAIT": hour * 100}
        texts = {"NGTF": "H PLEINE/CREUSE"}
        said = {"SINSTS": 4000 if hour == 30 else 1000}
        world.frame(begin_s + hour * 3600, registers, meter="linky", mode="standard", texts=texts, quantities=said)
        world.frame(begin_s + hour * 3600, {"EAIT": hour * 300}, meter="roof", address="5" * 12, mode="standard", texts={})
    world.frame(begin_s + 72 * 3600, {"EASF01": 72 * 250, "EASF02": 72 * 750, "EAIT": 7200}, mode="standard", texts=texts)
    world.ledger.close()
    return config


def run(capsys, *arguments):
    assert historycli.main(["--config", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_days_as_a_table(ledger, capsys):
    lines = run(capsys, ledger, "--from", "2026-05-31", "--to", "2026-06-01").splitlines()
    assert " ".join(lines[0].split()) == "meter kWh hc hp injected produced self-used max VA at EUR subscr. paid"
    linky = lines[2].split()
    assert linky == ["linky", "2026-06-01", "24.000", "6.000", "18.000", "2.400", "4000", "06-01", "06:00", "4.20", "1.03", "0.12"]
    assert lines[3].split()[:4] == ["roof", "2026-05-31", "7.200", "4.800"]


def test_a_gap_and_an_unfinished_month_are_said(ledger, capsys):
    out = run(capsys, ledger, "--meter", "linky", "--month")
    assert "2026-05" in out
    assert "known from 2026-05-31 00:00 to 2026-06-01 00:00" in out
    assert "known from 2026-06-01 00:00 to 2026-06-03 00:00" in out


def test_months_and_years_are_the_sums_of_their_days(ledger, capsys):
    whole = ("--json", "--from", "2026-01-01")
    rows = {unit: json.loads(run(capsys, ledger, *whole, f"--{unit}")) for unit in ("day", "month", "year")}
    for unit, length in (("month", 7), ("year", 4)):
        for row in rows[unit]:
            days = [day for day in rows["day"] if day["meter"] == row["meter"] and day["period"][:length] == row["period"]]
            for field in ("consumed_wh", "injected_wh", "produced_wh", "self_consumed_wh"):
                values = [day[field] for day in days if day[field] is not None]
                assert row[field] == (sum(values) if values else None)
            assert row["cost_eur"] == pytest.approx(sum(day["cost_eur"] for day in days), abs=1e-9)


def test_csv_has_a_column_for_each_tariff_and_register(ledger, capsys):
    rows = list(csv.DictReader(io.StringIO(run(capsys, ledger, "--csv", "--from", "2026-05-31", "--to", "2026-05-31"))))
    linky, roof = rows
    assert (linky["tariff_hc_wh"], linky["tariff_hp_wh"], linky["register_EASF02_wh"]) == ("6000", "18000", "18000")
    assert (linky["complete"], linky["estimated_wh"], linky["origin"]) == ("True", "0", "measured")
    assert (roof["produced_wh"], roof["self_consumed_wh"], roof["tariff_hc_wh"]) == ("7200", "4800", "")


def test_json_tells_everything_with_its_time(ledger, capsys):
    (row,) = json.loads(run(capsys, ledger, "--json", "--meter", "linky", "--from", "2026-06-01", "--to", "2026-06-01"))
    assert row["peak_at"] == "2026-06-01T06:00:00+02:00"
    assert row["since"] == "2026-06-01T00:00:00+02:00"
    assert row["registers_wh"] == {"EAIT": 2400, "EASF01": 6000, "EASF02": 18000}
    assert row["complete"] is True


def test_a_time_of_which_nothing_is_known(ledger, capsys):
    assert historycli.main(["--config", str(ledger), "--from", "2020-01-01", "--to", "2020-02-01"]) == 0
    assert "nothing is known of that time" in capsys.readouterr().err
    assert json.loads(run(capsys, ledger, "--json", "--from", "2020-01-01", "--to", "2020-02-01")) == []


def test_days_that_are_missing_in_between_are_counted(config, capsys, tmp_path):
    head = "Identifiant PRM;Type de donnees;Unite\n12345678901234;Energie;Wh\nHorodate;Valeur\n"
    days = "2024-02-28T00:00:00+01:00;1000\n2024-03-01T00:00:00+01:00;2000\n2024-03-31T00:00:00+01:00;3000\n"
    (tmp_path / "download.csv").write_text(head.replace("Energie;Wh", "Energie quotidienne;Wh") + days)
    ledgercli.main(["import", "--config", str(config), "--meter", "linky", str(tmp_path / "download.csv")])
    capsys.readouterr()
    assert "known from 2024-03-01 00:00 to 2024-04-01 00:00; nothing of 29 days between" in run(capsys, config, "--month")


def test_a_day_that_the_calendar_has_not_is_refused(ledger, capsys):
    with pytest.raises(SystemExit):
        run(capsys, ledger, "--from", "2026-02-29")
    assert "must be a day that the calendar has, YYYY-MM-DD, not '2026-02-29'" in capsys.readouterr().err


def test_an_unknown_meter_is_said_with_those_that_there_are(ledger, capsys):
    assert cli.main(["history", "--config", str(ledger), "--meter", "garage"]) == 111
    assert "no meter 'garage'; it knows linky, roof" in capsys.readouterr().err


def test_without_a_ledger_it_says_where_it_looked(config, capsys, tmp_path):
    assert cli.main(["history", "--config", str(config)]) == 111
    assert f"{tmp_path}/state/ledger.db does not exist" in capsys.readouterr().err
    assert cli.main(["ledger", "backup", "--config", str(config), str(tmp_path / "copy")]) == 111


def test_a_backup_can_be_printed_and_is_never_overwritten(ledger, capsys, tmp_path):
    copy = tmp_path / "copy.db"
    assert ledgercli.main(["backup", "--config", str(ledger), str(copy)]) == 0
    assert str(copy) in capsys.readouterr().out
    assert cli.main(["ledger", "backup", "--config", str(ledger), str(copy)]) == 111
    assert "exists already" in capsys.readouterr().err
    assert cli.main(["ledger", "backup", "--config", str(ledger), str(tmp_path / "no" / "where")]) == 111
    assert "No such file or directory" in capsys.readouterr().err


def test_a_backup_is_taken_into_a_new_ledger(ledger, capsys, tmp_path):
    ledgercli.main(["backup", "--config", str(ledger), str(tmp_path / "copy.db")])
    before = run(capsys, ledger, "--json", "--from", "2026-05-31", "--to", "2026-06-02")
    before = before[before.index("[") :]
    (tmp_path / "other").mkdir()
    there = ["--set", f"state_dir={tmp_path}/other"]
    assert ledgercli.main(["import", "--config", str(ledger), *there, str(tmp_path / "copy.db")]) == 0
    assert "linky: " in capsys.readouterr().out
    after = run(capsys, ledger, *there, "--json", "--from", "2026-05-31", "--to", "2026-06-02")
    assert json.loads(after) == json.loads(before)


def test_a_download_is_taken_in(ledger, capsys, tmp_path):
    download = tmp_path / "jour.csv"
    download.write_text("Date;Valeur (en Wh)\n2026-05-01;12571\n")
    arguments = ["ledger", "import", "--config", str(ledger), str(download)]
    assert cli.main(arguments) == 111
    assert "say which meter that is with --meter NAME" in capsys.readouterr().err
    assert cli.main([*arguments, "--meter", "linky"]) == 0
    assert "linky: 0 register values, 1 stretches of energy, 0 daily maxima added" in capsys.readouterr().out
    out = run(capsys, ledger, "--meter", "linky", "--from", "2026-05-01", "--to", "2026-05-01")
    assert "12.571" in out
    assert "from downloaded curve" in out


def test_the_present_hour_is_told_from_what_the_aggregator_has_saved(config, capsys, tmp_path):
    now_s = int(time.time())
    world = World(tmp_path / "state", meters=(Meter("linky", "/dev/null"),))
    world.frame(now_s - 60, {"HCHP": 1000})
    world.frame(now_s - 5, {"HCHP": 1500})
    statefile.save(tmp_path / "state" / "totals.state", {"ledger": world.ledger.state()})
    assert sum(row["consumed_wh"] for row in json.loads(run(capsys, config, "--json"))) == 500
    (tmp_path / "state" / "totals.state").write_bytes(b"damaged")
    run(capsys, config, "--json")
    assert (tmp_path / "state" / "totals.state").read_bytes() == b"damaged", "who only looks moves nothing"


def test_the_simulated_ledger_is_another_file(ledger, capsys, tmp_path):
    assert cli.main(["history", "--config", str(ledger), "--simulated"]) == 111
    assert f"{tmp_path}/state/simulated/ledger.db does not exist" in capsys.readouterr().err


def test_what_runs_tells_where_its_ledger_is(ledger, capsys, tmp_path):
    """A simulation that runs with this configuration has a state directory of its own."""
    from energyd import configfile

    running = configfile.load(str(ledger), {})._replace(state_dir=f"{tmp_path}/state/simulated", simulated=("meter",))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(running.to_json())
    assert cli.main(["history", "--config", str(ledger)]) == 111
    assert "state/simulated/ledger.db does not exist" in capsys.readouterr().err
