"""Every query of the dashboards and of the rules, asked of real servers that scrape a daemon: each has an answer."""

import json
import math
import shutil
import subprocess
import time
import urllib.parse

import pytest
from daemon import Daemon, Prometheus, free_port, get, wait_for
from expressions import as_asked, panel_targets, rules

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's prometheus package"),
]
SCRAPED_S = 15
TARIFF = {
    "name": "test",
    "meter": "house",
    "valid_from": "2020-01-01",
    "subscription_eur_per_month": 12.0,
    "prices": {"hp": 0.2, "hc": 0.1},
}
SILENT = {
    "energyd_meter_colour": "the simulated contract knows no colours",
    "energyd_containers": "there may be no container on this machine",
    "energyd_group_memory_bytes": "needs the memory controller of control groups",
    "energyd_host_disk_": "a machine may have no disk of its own",
    "energyd_host_network_": "a machine may have no network but its loopback",
    " offset -2h": "days and months are asked for two hours after their end",
}
"""What may be empty here, and why."""
TASTE = {
    "HighPowerConsumption",
    "PowerSpike",
    "MeterOverload",
    "HighDailyConsumption",
    "ConsumptionOnCourseToBeHigh",
    "EnergydSlow",
}


class VictoriaMetrics:
    """Debian's VictoriaMetrics, scraping the same target."""

    def __init__(self, target_port, home):
        self.port = free_port()
        self._home = home
        target = f"static_configs: [{{targets: ['127.0.0.1:{target_port}']}}]"
        (home / "scrape.yml").write_text(f"scrape_configs: [{{job_name: energyd, scrape_interval: 1s, {target}}}]")

    def __enter__(self):
        flags = (f"-storageDataPath={self._home}/data", f"-httpListenAddr=127.0.0.1:{self.port}", "-search.latencyOffset=0s")
        self._process = subprocess.Popen(
            ["victoria-metrics", *flags, f"-promscrape.config={self._home}/scrape.yml"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(lambda: get(f"http://127.0.0.1:{self.port}/health"), 20, "VictoriaMetrics is not up")
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """{name: port} of Prometheus, and of VictoriaMetrics if it is installed, after some scrapes."""
    with Daemon(f"tariffs={json.dumps([TARIFF])}") as daemon:
        daemon.wait_ready()
        with Prometheus(daemon.port) as prometheus:
            found = {"prometheus": prometheus.port}
            if shutil.which("victoria-metrics"):
                with VictoriaMetrics(daemon.port, tmp_path_factory.mktemp("vm")) as other:
                    found["victoria-metrics"] = other.port
                    time.sleep(SCRAPED_S)
                    yield found
            else:
                time.sleep(SCRAPED_S)
                yield found


def values(port, expression, instant):
    """Every number of the answer, as Grafana would draw it."""
    now_s = time.time()
    if instant:
        path, query = "query", {"query": expression, "time": now_s - 2}
    else:
        path, query = "query_range", {"query": expression, "start": now_s - 12, "end": now_s - 2, "step": 2}
    answer = json.loads(get(f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(query)}"))
    assert answer["status"] == "success", answer
    rows = answer["data"]["result"]
    found = [float(value) for row in rows for _, value in (row.get("values") or [row["value"]])]
    return [value for value in found if not math.isnan(value)]


@pytest.fixture(params=["prometheus", "victoria-metrics"])
def port(request, servers):
    if request.param not in servers:
        pytest.skip("needs Debian's victoria-metrics package")
    return servers[request.param]


def test_every_panel_has_an_answer(port):
    empty = {
        where: target["expr"]
        for where, target in panel_targets()
        if not values(port, as_asked(target["expr"], "10s", "1m"), target["instant"])
        and not any(name in target["expr"] for name in SILENT)
    }

    assert empty == {}


def test_what_is_to_be_recorded_is_there(port):
    assert [rule["record"] for rule in rules() if "record" in rule and not values(port, rule["expr"], True)] == []


def test_no_alert_fires_on_a_machine_that_is_well(port):
    """But for those whose limit is a matter of taste."""
    firing = {rule["alert"] for rule in rules() if "alert" in rule and values(port, rule["expr"], True)}

    assert firing - TASTE == set()
