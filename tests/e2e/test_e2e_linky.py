"""Dashboards made for linky-exporter: their queries, asked of a real Prometheus, on meters behind real pseudo terminals."""

import json
import shutil
import subprocess
import sys

import pytest
from daemon import Daemon, Prometheus, get, wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's prometheus package"),
]
POWER_W = 9000
METERS = {
    # name: mode, contract, serial number
    "old": ("historique", "BASE", "021861348497"),
    "new": ("standard", "HCHP", "021976825763"),
}


@pytest.fixture(scope="module")
def scraped():
    """Two meters that draw 9 kW, energyd, and 20 s of Prometheus."""
    meters = [{"name": name, "device": f"/dev/shm/{name}-linky", "mode": mode} for name, (mode, _, _) in METERS.items()]
    with Daemon("metrics.linky_exporter_name=maison", simulate="rapl") as nothing:
        nothing.stop()
        for meter in meters:
            meter["device"] = str(nothing.home / meter["name"])
        nothing.arguments += ["--set", f"meters={json.dumps(meters)}"]
        simulators = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "energyd.simulate", "meter", "--link", str(nothing.home / name)),
                    *("--mode", mode, "--contract", contract, "--serial", serial, "--power", f"constant:{POWER_W}"),
                    *("--truth", str(nothing.truth / f"{name}.jsonl")),
                ],
                stderr=subprocess.DEVNULL,
            )
            for name, (mode, contract, serial) in METERS.items()
        ]
        try:
            nothing.start()
            wait_for(lambda: b"linky_base{" in get(nothing.url) and b"linky_hchp{" in get(nothing.url), 30, nothing.log.read_text())
            with Prometheus(nothing.port) as prometheus:
                wait_for(lambda: len(prometheus.query("linky_base[1m]")[0]["values"]) >= 20, 40, "not scraped")
                yield nothing, prometheus
        finally:
            for simulator in simulators:
                simulator.kill()
                simulator.wait()


def test_the_consumption_of_a_period_is_what_delta_says(scraped):
    """delta(linky_base[$__range]) and its cost, as the original's panels ask."""
    _, prometheus = scraped
    expected_wh = POWER_W * 15 / 3600

    assert prometheus.value("delta(linky_base[15s])") == pytest.approx(expected_wh, abs=0.15 * expected_wh)
    cost = prometheus.value("(delta(linky_base[15s])/1000)*0.1582")
    assert cost == pytest.approx(expected_wh / 1000 * 0.1582, rel=0.15)


@pytest.mark.parametrize("name", METERS)
def test_the_subscribed_power_follows_from_the_subscribed_current(scraped, name):
    _, prometheus = scraped
    adco = METERS[name][2]

    assert prometheus.value(f'(linky_isousc{{adco="{adco}"}}*200)/1000') == 9


def test_a_meter_in_standard_mode_answers_the_same_queries(scraped):
    _, prometheus = scraped
    adco = METERS["new"][2]
    [power] = prometheus.query(f'linky_papp{{adco="{adco}"}}')
    [current] = prometheus.query(f'linky_iinst{{adco="{adco}"}}')
    counted = "sum(delta(linky_hchc[15s])) + sum(delta(linky_hchp[15s]))"
    expected_wh = POWER_W * 15 / 3600

    assert float(power["value"][1]) == POWER_W
    assert 35 <= float(current["value"][1]) <= 42
    assert prometheus.value(counted) == pytest.approx(expected_wh, abs=0.15 * expected_wh)
    assert power["metric"]["optarif"] == "HC.."
    assert power["metric"]["ptec"] in ("HC..", "HP..")


def test_the_labels_are_those_of_the_original_and_job_is_exported(scraped):
    _, prometheus = scraped
    [base] = prometheus.query("linky_base")
    labels = {key: text for key, text in base["metric"].items() if key not in ("__name__", "instance")}

    assert labels == {
        "adco": METERS["old"][2],
        "exported_job": "maison",
        "hhphc": "A",
        "imax": "090",
        "job": "energyd",
        "motdetat": "000000",
        "optarif": "BASE",
        "ptec": "TH..",
    }


def test_the_registers_are_exactly_those_that_the_meter_sent(scraped):
    daemon, _ = scraped
    lines = [line for line in get(daemon.url).splitlines() if line.startswith(b"linky_b")]
    shown = {line.split(b"{")[0]: int(line.rsplit(b" ", 1)[1]) for line in lines}
    sent = [frame["registers"]["BASE"] for frame in daemon.truths("old.jsonl") if frame["event"] == "frame"][-4:]

    assert shown[b"linky_base"] == shown[b"linky_base_total"]
    assert shown[b"linky_base"] in sent


def test_prometheus_has_nothing_to_complain_about(scraped):
    _, prometheus = scraped
    assert prometheus.complaints() == []
