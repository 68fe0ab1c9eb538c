"""Every query of the dashboards and of the rules, asked of real servers that scrape a daemon: each has an answer, or a reason."""

import json
import shutil
import subprocess
import sys
import time

import pytest
from daemon import Daemon, Prometheus, free_port, get, wait_for
from expressions import panel_targets, rules

from energyd.dashboards.server import Server

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
    "[1h]": "an hour is asked for at its end",
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


@pytest.fixture(params=["prometheus", "victoria-metrics"])
def url(request, servers):
    if request.param not in servers:
        pytest.skip("needs Debian's victoria-metrics package")
    return f"http://127.0.0.1:{servers[request.param]}"


def checked(url, *files):
    """(exit status, what `energyd dashboards check` says of each query)."""
    command = [sys.executable, "-m", "energyd", "dashboards", "check", "--json", "--scrape-interval", "1s", "--prometheus", url]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_every_panel_has_an_answer(url):
    code, findings = checked(url)
    empty = {
        f"{finding['dashboard']} / {finding['panel']} {finding['ref']}": finding["reason"]
        for finding in findings
        if finding["verdict"] != "ok" and not any(name in finding["expression"] for name in SILENT)
    }

    assert (code, empty) == (1, {})
    assert len(findings) == len(panel_targets())
    assert {finding["kind"] for finding in findings if " offset -2h" in finding["expression"]} == {"later"}


MANY = "energyd_zone_energy_joules_total"
ONE = "energyd_host_power_watts"
QUESTIONS = {
    "energyd_host_powr_watts": ("empty", f"no metric energyd_host_powr_watts there; there is {ONE}"),
    '{__name__="http_requests"}': ("empty", "no metric http_requests there"),
    f'{ONE}{{sauce="x"}}': ("empty", f"{ONE} has no label sauce; it has instance, job, source"),
    f'{ONE}{{source="x"}}': ("empty", f'no {ONE} has source="x"; there source is simulated'),
    f'{ONE}{{source="$source"}}': ("ok", ""),
    f'rate({MANY}{{zone=~"$zone"}}[$__rate_interval])': ("ok", ""),
    f'{MANY}{{zone="package-0",domain="dram"}}': ("empty", "has all of them at once"),
    f"{ONE} / energyd_build_info": ("empty", f"an operator leaves nothing of {ONE}, energyd_build_info"),
    f"{ONE} > 1e6": ("empty", f"a comparison lets nothing of {ONE} through now"),
    f"{ONE} offset 1d": ("empty", f"{ONE} has no sample now offset 1d, and had some before"),
    f"topk(0, {ONE})": ("empty", f"nothing is left of {ONE} in the end"),
    f'{ONE}{{source="$nothing"}}': ("empty", "$nothing has no value: no metric no_such_metric there"),
    f'{ONE}{{source="$colour"}}': ("empty", f"$colour has no value: no series of {ONE} has the label colour"),
    f"rate({ONE}[5m": ("error", ""),
}
OF_PROMETHEUS = {
    f"rate({MANY}[1s])": ("empty", f"{MANY} has less than two samples in 1s"),
    f"0 * {ONE} / 0": ("empty", "every value is NaN"),
}
"""VictoriaMetrics looks beyond the window of a rate, and gives no NaN back."""


def variable(name, metric, label, **more):
    return {"name": name, "type": "query", "query": {"query": f"label_values({metric}, {label})"}, **more}


VARIABLES = [
    variable("source", ONE, "source"),
    variable("zone", MANY, "zone", multi=True, includeAll=True),
    variable("nothing", "no_such_metric", "x"),
    variable("colour", ONE, "colour"),
]


def test_what_has_no_answer_is_told_why(url, servers, tmp_path):
    cases = QUESTIONS | (OF_PROMETHEUS if url.endswith(f":{servers['prometheus']}") else {})
    targets = [{"refId": str(i), "expr": expression} for i, expression in enumerate(cases)]
    file = tmp_path / "asked.json"
    file.write_text(json.dumps({"title": "x", "templating": {"list": VARIABLES}, "panels": [{"title": "p", "targets": targets}]}))

    code, findings = checked(url, file)

    told = dict(zip(cases, findings, strict=True))
    assert code == 2
    assert {asked: finding["verdict"] for asked, finding in told.items()} == {asked: case[0] for asked, case in cases.items()}
    assert {asked: finding["reason"] for asked, finding in told.items() if cases[asked][1] not in finding["reason"]} == {}
    assert told[f"rate({ONE}[5m"]["reason"]


def has_answer(url, expression):
    server = Server(url)
    return server.now(expression, server.now_s() - 1).drawn


def test_what_is_to_be_recorded_is_there(url):
    assert [rule["record"] for rule in rules() if "record" in rule and not has_answer(url, rule["expr"])] == []


def test_no_alert_fires_on_a_machine_that_is_well(url):
    """But for those whose limit is a matter of taste."""
    firing = {rule["alert"] for rule in rules() if "alert" in rule and has_answer(url, rule["expr"])}

    assert firing - TASTE == set()
