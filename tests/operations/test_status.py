"""`energyd status` on rings, workers.json and answers that the test made."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from energyd import address, cli, status
from energyd.config import Config, Metrics
from energyd.ring.writer import RingWriter, capacity_for
from energyd.samples import PROCESS, RAPL, TIC, USAGE
from energyd.service.clock import SYSTEM_CLOCK

RUNNING = {"state": "RUNNING", "pid": 7, "restarts": 2, "last_exit": "", "why": ""}
FRESH = status.Ring(7, True, 0.25, 12.5, "")


def writer_of(run_dir, name, schema):
    writer = RingWriter.open(run_dir, name, schema, capacity_for(1), SYSTEM_CLOCK)
    writer.heartbeat()
    return writer


@pytest.mark.parametrize(
    ("report", "ring", "advice"),
    [
        (RUNNING, FRESH, ""),
        (None, FRESH, ""),
        (
            RUNNING,
            FRESH._replace(heartbeat_age_s=8.0),
            "gives no sign of life; `sudo kill -KILL 7` if its supervisor does not, which starts it anew",
        ),
        (None, FRESH._replace(writer_alive=False), "its process 7 is gone; `sudo systemctl restart energyd`, or `energyd run`"),
        (RUNNING, "has no ring yet", f"has no ring yet; {status.LOG}"),
        (
            RUNNING | {"state": "EXITED", "last_exit": "exit code 100", "why": "energyd.yml:3: no"},
            FRESH,
            "ended with exit code 100 (energyd.yml:3: no); correct the configuration, then `energyd reload`",
        ),
        (
            RUNNING | {"state": "BACKOFF", "last_exit": "exit code 111", "why": "port in use"},
            None,
            "exit code 111 (port in use); it is started again",
        ),
        (
            RUNNING | {"state": "BACKOFF", "last_exit": "exit code 111", "why": "port in use; set metrics.port"},
            None,
            "exit code 111 (port in use); set metrics.port",
        ),
        (
            RUNNING | {"state": "EXITED", "last_exit": "exit code 100", "why": "energyd.yml:3: no; write yes"},
            None,
            "ended with exit code 100 (energyd.yml:3: no); write yes, then `energyd reload`",
        ),
        (RUNNING | {"state": "STOPPED"}, FRESH, "is stopped; `energyd reload` starts it"),
    ],
)
def test_what_is_not_well_comes_with_what_to_do(report, ring, advice):
    assert status.judge("rapl", report, ring, 0, "").advice == advice


def test_an_aggregator_that_does_not_answer_is_not_well():
    row = status.judge("aggregator", RUNNING, None, None, "http://127.0.0.1:9836/metrics does not answer")

    assert row.advice == "http://127.0.0.1:9836/metrics does not answer"
    assert row.heartbeat_age_s is None


def test_the_speed_is_measured_between_two_looks_at_the_head(run_dir):
    writer = writer_of(run_dir, "usage", USAGE)
    now = [SYSTEM_CLOCK.mono_ns()]

    def sleep(seconds):
        for _ in range(10):
            writer.append(PROCESS, 1, (1, 1, 1, 1, 1))
        now[0] += round(seconds * 1e9)

    ring = status.read_rings(str(run_dir), ["usage"], lambda: now[0], sleep)["usage"]
    writer.close()

    assert ring.samples_per_s == pytest.approx(20.0)
    assert ring.writer_pid == os.getpid()
    assert ring.writer_alive
    assert 0.4 < ring.heartbeat_age_s < 5


def test_what_is_wrong_with_a_reader_is_told_with_since_when_until_it_is_cured(run_dir):
    writer = writer_of(run_dir, "rapl", RAPL)
    writer.label({"error": "first"})
    number = writer.label({"error": "second"})
    writer.label({"zone": "package-0"})
    since_ns = SYSTEM_CLOCK.mono_ns()

    def look():
        return status.read_rings(str(run_dir), ["rapl"], lambda: SYSTEM_CLOCK.mono_ns() + 90 * 10**9, lambda _: None)["rapl"]

    before = look()
    writer.set_fault(number, since_ns)
    wrong = look()
    writer.set_fault(0, 0)
    cured = look()
    writer.close()

    assert [ring.last_error for ring in (before, wrong, cured)] == ["", "second", ""]
    assert wrong.error_age_s == pytest.approx(90, abs=5)
    row = status.judge("rapl", None, wrong, 0, "")
    assert f"for {wrong.error_age_s:.0f} s: second" in status.table([row])
    assert status.judge("rapl", None, cured, 0, "").error_age_s is None


def test_a_ring_that_is_missing_or_no_ring_is_said_so(run_dir):
    (run_dir / "rapl.ring").write_text("hello")
    rings = status.read_rings(str(run_dir), ["rapl", "usage"], SYSTEM_CLOCK.mono_ns, lambda _: None)

    assert "is not a ring of energyd" in rings["rapl"]
    assert rings["usage"] == "has no ring yet"


def test_a_writer_that_has_ended_is_seen():
    assert not status._alive(2**22 + 1)
    assert status._alive(os.getpid())


@pytest.fixture
def aggregator():
    """A web server that stands in for the aggregator; returns its port and lets a test choose the answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(self.server.code)
            self.end_headers()
            self.wfile.write(
                b'energyd_up 1\nenergyd_ring_overruns_total{ring="rapl"} 3\nenergyd_ring_overruns_total{ring="usage"} 0\n'
            )

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.code = 200
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def request(aggregator):
    return address.request(Config(metrics=Metrics(port=aggregator.server_port)))


def test_overruns_come_from_the_aggregator(aggregator):
    assert status.ask_aggregator(request(aggregator)) == ({"rapl": 3, "usage": 0}, "")


def test_an_aggregator_that_is_not_ready_says_so_itself(aggregator):
    aggregator.code = 503
    _, silence = status.ask_aggregator(request(aggregator))

    assert "answers 503 Service Unavailable" in silence


def test_an_aggregator_that_wants_to_know_who_asks_does_answer(aggregator):
    aggregator.code = 401

    assert status.ask_aggregator(request(aggregator)) == ({}, "")


def test_an_address_for_all_is_asked_on_this_machine():
    assert address.local_url(Config(metrics=Metrics(listen="0.0.0.0"))) == "http://127.0.0.1:9836/metrics"
    assert address.local_url(Config(metrics=Metrics(listen="::"))) == "http://[::1]:9836/metrics"


def run_status(run_dir, capsys, *flags):
    code = cli.main(["status", "--set", f"run_dir={run_dir}", *flags])
    return code, capsys.readouterr()


def test_the_whole_command_reports_and_exits_by_what_it_found(run_dir, config, capsys, monkeypatch, aggregator):
    monkeypatch.setattr(status, "MEASURE_S", 0.01)
    config = config._replace(metrics=Metrics(port=aggregator.server_port))
    (run_dir / "config.json").write_text(config.to_json())
    names = {"tic-linky": TIC, "rapl": RAPL, "usage": USAGE}
    (run_dir / "workers.json").write_text(json.dumps({"programs": dict.fromkeys((*names, "aggregator"), RUNNING)}))
    writers = [writer_of(run_dir, name, schema) for name, schema in names.items()]

    code, said = run_status(run_dir, capsys)
    assert code == 0
    assert [line.split()[0] for line in said.out.splitlines()] == ["process", "tic-linky", "rapl", "usage", "aggregator"]

    for writer in writers:
        writer.close()
    (run_dir / "usage.ring").unlink()
    code, said = run_status(run_dir, capsys, "--json")
    processes = {row["name"]: row for row in json.loads(said.out)["processes"]}
    assert code == 1
    assert processes["usage"]["advice"] == f"has no ring yet; {status.LOG}"
    assert processes["rapl"]["overruns"] == 3


def test_without_a_running_energyd_it_says_where_it_looked(run_dir, capsys):
    code, said = run_status(run_dir, capsys)

    assert code == 111
    assert f"energyd does not run: no config.json in {run_dir}" in said.err
