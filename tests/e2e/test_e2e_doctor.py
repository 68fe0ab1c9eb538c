"""Doctor and those who take what energyd has: a real Prometheus that scrapes it, does not, may not, or is asked through Grafana."""

import base64
import json
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import bcrypt
import pytest
from daemon import Prometheus, free_port, wait_for
from grafana import ADMIN, VIEWER, Grafana

from energyd.config import Config, Metrics
from energyd.dashboards import groups, home, host
from energyd.dashboards.server import Server
from energyd.doctor import command, receivers
from energyd.doctor.grafana import grafana

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's prometheus package"),
]
GOLDEN = Path(__file__).parents[1] / "golden/scrape.prom"
NOBODY = "http://127.0.0.1:1"
CONFIG = Config()


class Exporter:
    """A scrape of energyd, which may be switched off, or ask for a password."""

    def __enter__(self):
        exporter = self
        self.code = 200

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(exporter.code)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(GOLDEN.read_bytes() if exporter.code == 200 else b"")

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()
        self.port = self._http.server_port
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture(scope="module")
def scraped():
    """(the exporter, a Prometheus that has scraped it, and was told of a port where nobody is and of one to leave out)"""
    away, left_out = free_port(), free_port()
    drop = f"relabel_configs: [{{source_labels: [__address__], regex: '.*:{left_out}', action: drop}}]"
    jobs = f", {{job_name: away, static_configs: [{{targets: ['127.0.0.1:{away}']}}]}}"
    jobs += f", {{job_name: left_out, static_configs: [{{targets: ['127.0.0.1:{left_out}']}}], {drop}}}"
    with Exporter() as exporter, Prometheus(exporter.port, jobs=jobs) as prometheus:
        exporter.away, exporter.left_out = away, left_out
        wait_for(lambda: prometheus.samples("energyd_snapshot_timestamp_seconds")[2:], 20, "nothing was scraped")
        yield exporter, prometheus


@pytest.fixture
def url(scraped):
    return f"http://127.0.0.1:{scraped[1].port}"


@pytest.fixture
def standing():
    with Grafana() as server:
        yield server


def of_port(port):
    return Config(metrics=Metrics(port=port))


def test_prometheus_scrapes_us_or_fails_or_leaves_us_out_or_does_not_know_us(scraped, url):
    exporter, _ = scraped
    wait_for(lambda: "refused" in of(url, exporter.away).reason, 10, "the job without a target was not tried")
    [up, away, left_out, unknown] = [of(url, port) for port in (exporter.port, exporter.away, exporter.left_out, 1)]

    assert (up.verdict, "is up, scraped in" in up.reason) == ("ok", True)
    assert (away.verdict, "is down: " in away.reason) == ("failure", True)
    assert f"`curl -v http://127.0.0.1:{exporter.away}/metrics`" in away.mend
    assert (left_out.verdict, left_out.reason) == (
        "failure",
        f"127.0.0.1:{exporter.left_out} is taken out by the relabel_configs of its job left_out",
    )
    assert (unknown.verdict, unknown.reason) == ("failure", "none of its 2 targets has our port 1")
    assert "`promtool check config /etc/prometheus/prometheus.yml && sudo systemctl reload prometheus`" in unknown.mend
    nobody = next(receivers.prometheus(NOBODY, Config()))
    assert (nobody.verdict, "does not answer: " in nobody.reason) == ("failure", True)


def of(url, port):
    [check] = receivers.prometheus(url, of_port(port))
    return check


def test_a_scrape_that_is_refused_and_the_age_of_what_was_scraped_before(scraped, url):
    exporter, _ = scraped
    assert age(url).verdict == "ok"
    exporter.code = 401
    try:
        refused = wait_for(lambda: of(url, exporter.port).verdict == "failure" and of(url, exporter.port), 10, "still up")
        wait_for(lambda: not Server(url).now("energyd_build_info", time.time()).series, 10, "the series has not ended")
        ended = age(url)
    finally:
        exporter.code = 200
    assert "`basic_auth` or `authorization`" in refused.mend
    assert "our newest sample in it is" in ended.reason
    wait_for(lambda: of(url, exporter.port).verdict == "ok", 10, "not scraped again")


def age(url, **more):
    return receivers.newest(Server(url), "prometheus", Config(metrics=Metrics(**more)))


def test_a_server_that_is_away_or_has_nothing_of_us_or_only_what_is_old(url, monkeypatch):
    away, nothing = age(NOBODY), age(url, rename=((receivers.PROBE, "of_another_name"),))
    hidden = age(url, families=((receivers.PROBE, False),))
    monkeypatch.setattr(receivers, "FRESH_S", -1.0)
    old = age(url)

    assert [check.verdict for check in (away, nothing, old)] == ["failure"] * 3
    assert ("does not answer" in away.reason, nothing.reason) == (True, "it has had no of_another_name for a day")
    assert "our newest sample in it is " in old.reason
    assert all(check.mend for check in (away, nothing, old))
    assert (hidden.verdict, f"leaves {receivers.PROBE} out" in hidden.reason) == ("ok", True)


def board(*expressions, variables=(), **panel):
    """A dashboard of one panel."""
    targets = [{"refId": str(i), "expr": expression, "instant": True} for i, expression in enumerate(expressions)]
    return {
        "uid": "x",
        "title": "Mine",
        "panels": [{"title": "p", "type": "stat", "targets": targets, **panel}],
        "templating": {"list": list(variables)},
    }


def only(server, user=ADMIN, config=CONFIG):
    [check] = [check for check in grafana(server.url(user), config) if check.verdict != "ok"]
    return check


def test_the_dashboards_of_energyd_are_asked_through_grafana(standing, url):
    standing.has(url, home.model(), host.model(), groups.model(), board("node_load1", "nonsense("))

    checks = list(grafana(standing.url(), CONFIG))

    well = {check.subject: check.reason for check in checks if check.verdict == "ok"}
    assert well["grafana"] == "version 11.5.1, database ok"
    assert "our newest sample in it is" in well["grafana data source energyd"]
    titles = [f"grafana dashboard energyd / {title}" for title in ("Home", "Host power", "Processes and groups")]
    assert [title for title in titles if " queries have an answer" not in well[title]] == []
    assert "grafana dashboard Mine" not in {check.subject for check in checks}  # it shows nothing of ours
    assert {check.verdict for check in checks} <= {"ok", "warning"}
    assert all(check.mend for check in checks if check.verdict == "warning")


def test_panels_that_are_empty_are_told_with_the_reason_and_what_mends_it(standing, url):
    standing.has(
        url,
        board(
            "energyd_build_info",
            "energyd_nothing",
            'energyd_host_power_watts{sauce="x"}',
            "energyd_host_power_watts / energyd_build_info",
            "energyd_host_power_watts > 1e9",
            "sum(energyd_build_info",
        ),
    )

    found = {check.reason: check for check in grafana(standing.url(), CONFIG) if check.subject == "grafana dashboard Mine"}

    assert found.pop("1 of 6 queries have an answer, 1 have nothing to show now").verdict == "ok"
    [absent, label, unmatched, wrong] = found.values()
    assert [check.verdict for check in found.values()] == ["warning", "warning", "warning", "failure"]
    assert (absent.reason, "METRICS.md" in absent.mend) == ("p: no metric energyd_nothing there", True)
    assert ("has no label sauce" in label.reason, "correct the label" in label.mend) == (True, True)
    assert ("an operator leaves nothing" in unmatched.reason, "Explore" in unmatched.mend) == (True, True)
    assert ("parse error" in wrong.reason, "correct the query" in wrong.mend) == (True, True)


def test_a_data_source_that_a_panel_names_and_grafana_has_not(standing, url):
    standing.has(url, board("energyd_build_info", datasource={"type": "prometheus", "uid": "gone"}))
    missing = only(standing)
    standing.has(url, board("energyd_build_info", datasource="${DS_PROMETHEUS}"))
    unbound = only(standing)

    assert (missing.verdict, missing.reason) == ("failure", "p: the data source gone does not exist")
    assert "there are: energyd (energyd)" in missing.mend
    assert unbound.reason == "p: the data source ${DS_PROMETHEUS} does not exist"


def test_a_data_source_is_found_by_uid_by_name_by_default_and_by_variable(standing, url):
    variable = {"name": "datasource", "type": "datasource", "query": "prometheus"}
    chosen = variable | {"current": {"value": "energyd"}}
    stale = variable | {"current": {"value": "of another Grafana"}}
    for reference, variables in (
        ({"type": "prometheus", "uid": "energyd"}, []),
        ("named", []),
        (None, []),
        ({"type": "prometheus", "uid": "${datasource}"}, [variable]),
        ("$datasource", [chosen]),
        ("$datasource", [stale]),
    ):
        standing.has(url, board("energyd_build_info", datasource=reference, variables=variables), name="named")
        assert "1 of 1 queries have an answer" in [check.reason for check in grafana(standing.url(), CONFIG)], reference


def test_a_prometheus_that_grafana_does_not_reach_is_told_once(standing):
    standing.has(NOBODY, host.model(), groups.model())
    check = only(standing)

    assert (check.verdict, check.subject) == ("failure", "grafana data source energyd")
    assert check.reason == f"Grafana does not get through to {NOBODY}: it answers 502 Bad Gateway"
    assert f"`curl '{NOBODY}/api/v1/query?query=1'` where Grafana runs" in check.mend


def test_a_prometheus_that_asks_grafana_for_a_password(standing, scraped, tmp_path):
    secret = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{reader: '{secret}'}}\n")
    key = {"Authorization": "Basic " + base64.b64encode(b"reader:secret").decode()}
    with Prometheus(scraped[0].port, flags=(f"--web.config.file={tmp_path}/web.yml",), headers=key) as closed:
        standing.has(f"http://127.0.0.1:{closed.port}", host.model())
        check = only(standing)

        assert (check.verdict, check.reason) == ("failure", f"http://127.0.0.1:{closed.port} asks Grafana for a password")
        assert "Basic auth" in check.mend
        assert Server(f"http://reader:secret@127.0.0.1:{closed.port}").now_s() > 0


def test_a_query_that_takes_too_long_is_a_failure_of_its_panel_alone(standing, url):
    standing.has(url, board("energyd_build_info", "energyd_host_power_watts"))
    standing.slow = "energyd_host_power_watts"
    slow = only(standing)
    assert (slow.verdict, slow.reason) == ("failure", "p: it answers 504 Gateway Timeout")
    assert "show less time" in slow.mend


def test_a_data_source_that_holds_nothing_of_us_is_no_use(standing, url):
    standing.has(url, board("energyd_build_info"))
    renamed = Config(metrics=Metrics(rename=((receivers.PROBE, "of_another_name"),)))
    assert only(standing, config=renamed).reason == "it has had no of_another_name for a day"


def test_the_command_asks_everybody_whose_url_it_is_given(standing, scraped, url, tmp_path, capsys):
    standing.has(url, board("energyd_build_info"))
    settings = [f"run_dir={tmp_path}", f"state_dir={tmp_path}", f"metrics.port={scraped[0].port}"]
    flags = ["--json", *(part for text in settings for part in ("--set", text))]
    command.main([*flags, "--prometheus", f"{url}/", "--victoriametrics", url, "--grafana", f"{standing.url()}/"])
    well = [check["subject"] for check in map(json.loads, capsys.readouterr().out.splitlines()) if check["verdict"] == "ok"]

    asked = ["prometheus", "prometheus", "victoriametrics", "grafana", "grafana data source energyd", "grafana dashboard Mine"]
    assert well[-len(asked) :] == asked


def test_grafana_without_data_source_or_dashboard(standing, url):
    standing.has(url)
    assert (only(standing).verdict, only(standing).subject) == ("warning", "grafana dashboards")
    assert "/usr/share/doc/energyd/examples/grafana/dashboards" in only(standing).mend
    standing.has(url, board("energyd_build_info"), type="loki")
    assert (only(standing).verdict, only(standing).reason) == ("failure", "none of type prometheus")


def test_grafana_that_is_away_or_ill_or_does_not_let_us_in(standing, url):
    standing.has(url, board("energyd_build_info"))
    unknown, viewer = only(standing, "admin:wrong"), only(standing, VIEWER)
    assert ("401" in unknown.reason, "http://USER:PASSWORD@HOST:3000" in unknown.mend) == (True, True)
    assert ("datasources:read" in viewer.reason, "role Admin" in viewer.mend) == (True, True)
    standing.database = "failing"
    assert "`journalctl -u grafana-server -n 50`" in only(standing).mend
    [away] = grafana(NOBODY, CONFIG)
    assert (away.verdict, "`systemctl status grafana-server`" in away.mend) == ("failure", True)
