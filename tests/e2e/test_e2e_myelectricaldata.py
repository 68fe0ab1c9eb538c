"""Dashboards made for the myelectricaldata client: their queries, asked of a real Prometheus, of a house and its roof.

Both meters speak through pseudo terminals; their past is a ledger that knows each of the last forty days, so every answer has
a truth. In it the registers stand higher than the simulators begin: a fall adds nothing (energyd.aggregate.counters).
"""

import json
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from daemon import Daemon, Prometheus, get, wait_for

sys.path.insert(0, str(Path(__file__).parents[1] / "ledger"))
from ledgerworld import PARIS, World

from energyd.config import Meter
from energyd.ledger.days import days_between, month_before, month_begin

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's prometheus package"),
]
PDL, POWER_W, DAYS = "01234567890123", 4000, 40
HOUSE, ROOF = "021976825763", "021976825764"
METERS = (Meter("house", "/dev/null", pdl=PDL), Meter("roof", "/dev/null", role="production", pdl=PDL))
HIGH_WH = 400_000_000
OFF_PEAK_WH, PEAK_WH, PRODUCED_WH = 8_500, 6_734, 5_001  # a day, the documentation's own example


def day_counts(day):
    """(registers of the house, registers of the roof) at the begin of a day."""
    house = {"EAST": OFF_PEAK_WH + PEAK_WH, "EASF01": OFF_PEAK_WH, "EASF02": PEAK_WH, "EAIT": 77}
    roof = {"EAST": 0, "EASF01": 0, "EAIT": PRODUCED_WH}
    return tuple({register: HIGH_WH + day * energy_wh for register, energy_wh in each.items()} for each in (house, roof))


def past(state_dir, today):
    """Forty days in a ledger, hour by hour."""
    state_dir.mkdir()
    world = World(state_dir, meters=METERS)
    texts = {"NGTF": "H PLEINE/CREUSE "}
    for number, day in enumerate(days_between(today - timedelta(days=DAYS), today + timedelta(days=1))):
        house, roof = day_counts(number)
        said = {"SINSTS": 6_500 if number % 2 else 3_000}
        world.frame(PARIS.begin_s(day), house, meter="house", address=HOUSE, mode="standard", texts=texts, quantities=said)
        world.frame(PARIS.begin_s(day), roof, meter="roof", address=ROOF, mode="standard", texts={"NGTF": "BASE"})
    world.ledger.close()


@pytest.fixture(scope="module")
def asked():
    with Daemon(simulate="rapl") as daemon:
        daemon.stop()
        shutil.rmtree(daemon.state_dir, ignore_errors=True)
        today = PARIS.day_of(int(time.time()))
        daemon.state_dir.mkdir()
        past(daemon.state_dir / "simulated", today)
        meters = [
            {"name": meter.name, "device": str(daemon.home / meter.name), "mode": "standard", "pdl": PDL, "role": meter.role}
            for meter in METERS
        ]
        daemon.arguments += ["--set", f"meters={json.dumps(meters)}"]
        simulators = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "energyd.simulate", "meter", "--link", str(daemon.home / name), "--mode", "standard"),
                    *("--contract", "HCHP", "--serial", serial, "--power", f"constant:{POWER_W}"),
                ],
                stderr=subprocess.DEVNULL,
            )
            for name, serial in (("house", HOUSE), ("roof", ROOF))
        ]
        try:
            daemon.start()
            wait_for(lambda: get(daemon.url).count(b"myelectricaldata_sync_status{") == 1, 20, "the meters were not heard")
            with Prometheus(daemon.port) as prometheus:
                wait_for(lambda: len(prometheus.query("myelectricaldata_sync_status[1m]")[0]["values"]) >= 4, 20, "not scraped")
                yield daemon, prometheus, today
        finally:
            for simulator in simulators:
                simulator.kill()
                simulator.wait()


def ask(prometheus, name, **labels):
    """The answers to a query of one family, by the value of the label that is asked for with None."""
    matchers = ",".join(f'{label}="{text}"' for label, text in labels.items() if text is not None)
    [wanted] = [label for label, text in labels.items() if text is None] or [""]
    answer = prometheus.query(f"myelectricaldata_{name}{{{matchers}}}")
    return {row["metric"].get(wanted, ""): float(row["value"][1]) for row in answer}


def test_the_last_whole_day_is_told_with_the_labels_of_the_documentation(asked):
    _, prometheus, _ = asked
    [row] = prometheus.query("myelectricaldata_consumption_daily_kwh")
    assert (row["metric"]["pdl"], row["metric"]["tariff"], float(row["value"][1])) == (PDL, "hc_hp", 15.234)
    assert ask(prometheus, "consumption_hc_kwh", pdl=None) == {PDL: 8.5}
    assert ask(prometheus, "consumption_hp_kwh", pdl=None) == {PDL: 6.734}
    assert ask(prometheus, "production_daily_kwh", pdl=None) == {PDL: 5.001}
    total = "sum by (pdl) (myelectricaldata_consumption_hc_kwh + myelectricaldata_consumption_hp_kwh)"
    assert prometheus.value(f"{total} - on (pdl) myelectricaldata_consumption_daily_kwh") == pytest.approx(0, abs=1e-9)


def test_months_and_years_are_the_present_one_and_the_one_before(asked):
    _, prometheus, today = asked
    first = today - timedelta(days=DAYS)
    begin, before = month_begin(today), month_begin(month_before(today))
    days = {f"{today:%Y-%m}": (today - max(begin, first)).days, f"{before:%Y-%m}": (begin - max(before, first)).days}
    years = {f"{today:%Y}": (today - max(today.replace(month=1, day=1), first)).days}
    years[f"{today.year - 1}"] = DAYS - years[f"{today:%Y}"]

    for name, day_kwh, slack in (("consumption", 15.234, 0.1), ("production", 5.001, 0.1)):
        monthly = ask(prometheus, f"{name}_monthly_kwh", pdl=PDL, month=None)
        yearly = ask(prometheus, f"{name}_yearly_kwh", pdl=PDL, year=None)
        assert monthly == {
            month: pytest.approx(count * day_kwh, abs=slack) for month, count in days.items() if count or month in monthly
        }
        assert yearly == {
            year: pytest.approx(count * day_kwh, abs=slack) for year, count in years.items() if count or year in yearly
        }


def test_who_the_meter_is_and_its_highest_power(asked):
    daemon, prometheus, _ = asked
    [info] = prometheus.query("myelectricaldata_pdl_info")
    assert {key: info["metric"][key] for key in ("pdl", "tariff", "power")} == {"pdl": PDL, "tariff": "hc_hp", "power": "9"}
    said_va = daemon.value(
        "energyd_meter_day_peak_apparent_power_voltamperes", meter="house", direction="consumed", day="yesterday"
    )
    assert ask(prometheus, "max_power_kva", pdl=None) == {PDL: said_va / 1000}
    assert prometheus.value("max_over_time(myelectricaldata_max_power_kva[7d])") == said_va / 1000


def test_a_synchronisation_is_a_frame(asked):
    _, prometheus, _ = asked
    assert ask(prometheus, "sync_status", pdl=None) == {PDL: 1}
    assert 0 <= prometheus.value("time() - myelectricaldata_last_sync_timestamp") < 10
    assert ask(prometheus, "synced_days_total", pdl=None) == {PDL: DAYS}
    syncs = ask(prometheus, "sync_total", status=None)
    assert (syncs["success"] >= 8, set(syncs)) == (True, {"success", "error"})
    durations = ask(prometheus, "sync_duration_seconds", quantile=None)
    assert set(durations) == {"0.5", "0.9"}
    assert 0.5 < durations["0.5"] <= durations["0.9"] < 3
    assert ask(prometheus, "api_requests_total", endpoint=None)["/metrics"] >= 4


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("avg_over_time(myelectricaldata_consumption_daily_kwh[30d])", 15.234),
        ("myelectricaldata_production_daily_kwh / myelectricaldata_consumption_daily_kwh * 100", 5.001 / 15.234 * 100),
        ("sum by (tariff) (myelectricaldata_consumption_daily_kwh)", 15.234),
        ('energyd_meter_period_energy_watthours{meter="house",register="EASF01",period="yesterday"}', OFF_PEAK_WH),
        ('energyd_meter_period_energy_watthours{meter="house",register="EASF02",period="last_week"}', 7 * PEAK_WH),
        ('energyd_self_consumed_period_energy_watthours{period="yesterday"}', PRODUCED_WH - 77),
        ('energyd_meter_window_apparent_power_quantile_voltamperes{meter="house",window="5m",fraction="0.95"}', POWER_W),
    ],
)
def test_the_queries_of_the_documentation_and_what_energyd_has_in_their_place(asked, query, answer):
    _, prometheus, _ = asked
    assert prometheus.value(query) == pytest.approx(answer, rel=0.005)


def test_today_can_be_compared_with_the_same_part_of_other_days(asked):
    """Yesterday, the same day of the week before and of the month before, each until this time of day."""
    _, prometheus, _ = asked
    family = 'sum by (period) (energyd_meter_period_energy_watthours{meter="house",direction="consumed"})'
    answer = {row["metric"]["period"]: float(row["value"][1]) for row in prometheus.query(family)}

    assert answer["yesterday_so_far"] == answer["same_day_last_week_so_far"] == answer["same_day_last_month_so_far"]
    assert 0 <= answer["yesterday_so_far"] <= answer["yesterday"] == OFF_PEAK_WH + PEAK_WH
    assert answer["last_month_so_far"] <= answer["last_month"]


def test_prometheus_has_nothing_to_complain_about(asked):
    _, prometheus, _ = asked
    assert prometheus.complaints() == []
