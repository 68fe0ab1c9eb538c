"""The running daemon, whole and broken; those who take what it has: tests/e2e/test_e2e_doctor.py."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from energyd import address, status
from energyd.config import Config, Metrics
from energyd.doctor import command, daemon


@pytest.fixture
def server():
    """A web server whose answers are a dict {path: (status, body)}."""
    answers = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            code, body = answers.get(self.path.partition("?")[0], (404, ""))
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else body.encode())

        def log_message(self, *_):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}", answers
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def config_of(url):
    return Config(metrics=Metrics(port=int(url.rpartition(":")[2])))


def only(checks):
    [check] = checks
    return check


GOLDEN = Path(__file__).parents[1] / "golden"
GOOD = "# HELP energyd_a_total A.\n# TYPE energyd_a_total counter\nenergyd_a_total 1\n"


def test_an_exposition_that_parses_and_lints_is_well():
    assert {check.verdict for check in daemon.exposition("u", GOOD)} == {"ok"}


@pytest.mark.parametrize("body", ["energyd_a{ 1\n", "# TYPE a gauge\na 1\na 2\n"])
def test_an_exposition_that_is_broken_or_has_a_series_twice_is_a_failure(body):
    check = only(daemon.exposition("u", body))
    assert check.verdict == "failure"
    assert ("has a twice" in check.reason) == body.endswith("a 2\n")


def test_a_series_that_is_there_twice_is_named():
    twice = '# TYPE a gauge\na{b="1"} 1\na{b="1"} 2\n'
    assert only(daemon.exposition("u", twice)).reason == 'u has a{b="1"} twice'


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("*.prom")), ids=lambda path: path.name)
def test_whatever_we_serve_is_well_inherited_families_too(golden):
    """Two of linky_exporter's differ in `_total` alone, which prometheus_client's parser appends to every counter."""
    assert {check.verdict for check in daemon.exposition("u", golden.read_bytes().decode())} == {"ok"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_what_promtool_says_is_passed_on_except_of_inherited_names():
    checks = list(daemon.exposition("u", "# HELP energyd_x_total X.\n# TYPE energyd_x_total gauge\nenergyd_x_total 1\n"))
    assert [check.verdict for check in checks] == ["ok", "warning"]
    inherited = "# HELP linky_x_total X.\n# TYPE linky_x_total gauge\nlinky_x_total 1\n"
    assert {check.verdict for check in daemon.exposition("u", GOOD + inherited)} == {"ok"}


def test_our_own_endpoint_down_broken_or_behind_a_password(server):
    url, answers = server
    config = config_of(url)
    assert only(daemon.endpoint(config)).verdict == "failure"
    answers["/metrics"] = (401, "")
    assert only(daemon.endpoint(config)).verdict == "ok"
    answers["/metrics"] = (200, GOOD)
    assert {check.verdict for check in daemon.endpoint(config)} == {"ok"}
    nobody = Config(metrics=Metrics(port=1))
    assert "does not answer" in only(daemon.endpoint(nobody)).reason


def test_somebody_else_on_our_port_is_told_and_no_traceback(server):
    """Status and doctor ask what has taken the port when energyd was away."""
    url, answers = server
    answers["/metrics"] = (200, b"\xff\xfe")
    assert "cannot be parsed" in only(daemon.endpoint(config_of(url))).reason

    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = Config(metrics=Metrics(port=listener.getsockname()[1]))

        def greet():
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        check, (overruns, silence) = only(daemon.endpoint(config)), status.ask_aggregator(address.request(config))
        thread.join()
    assert (check.verdict, "does not answer: SSH-2.0" in check.reason) == ("failure", True)
    assert (overruns, "does not answer: SSH-2.0" in silence) == ({}, True)


def row(**more):
    return status.Row("rapl", "RUNNING", 1, 0, 0.1, 10.0, 0, "", None, "")._replace(**more)


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "ok"),
        ({"advice": "its process 1 is gone; `sudo systemctl restart energyd`"}, "failure"),
        ({"advice": "http://127.0.0.1:9836/metrics does not answer: timed out"}, "failure"),
        ({"overruns": 5}, "warning"),
        ({"last_error": "package-0 may not be read; chgrp", "error_age_s": 8.0}, "warning"),
    ],
)
def test_a_process_is_judged_by_its_ring(monkeypatch, changed, verdict):
    monkeypatch.setattr(status, "collect", lambda _config: [row(**changed)])
    check = only(daemon.readers(Config()))
    assert check.verdict == verdict
    assert bool(check.mend) == (verdict != "ok")


def call(*arguments):
    return subprocess.run([sys.executable, "-m", "energyd", "doctor", *arguments], capture_output=True, text=True, check=False)


def test_the_command_ends_with_the_worst_verdict_and_speaks_json(tmp_path):
    done = call("--json", "--set", f"run_dir={tmp_path}", "--set", f"state_dir={tmp_path}", "--set", f"sysfs_root={tmp_path}")
    checks = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 2
    assert {"machine", "configuration", "power", "meters", "energyd"} <= {check["subject"] for check in checks}
    assert all(check["mend"] for check in checks if check["verdict"] == "failure")


def test_a_wrong_configuration_is_the_first_thing_that_is_said(tmp_path):
    file = tmp_path / "energyd.yml"
    file.write_text("metrics: {prot: 1}\n")
    done = call("--config", str(file))
    assert done.returncode == 2
    assert "FAILURE  configuration: " in done.stdout
    assert "metrics.port" in done.stdout


def test_a_web_configuration_that_is_not_there_is_a_wrong_configuration(tmp_path):
    done = call("--set", f"metrics.web_config_file={tmp_path}/web.yml", "--set", f"run_dir={tmp_path}")
    assert f"FAILURE  configuration: {tmp_path}/web.yml: No such file" in done.stdout


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_of_an_energyd_that_is_closed_to_the_user_nothing_is_called_broken():
    """The packaged daemon's directories belong to its own user; whoever else asks may do nothing there, and need not."""
    code = (
        "from energyd.doctor.command import closed; import os, sys\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); print(closed(sys.argv[1]))"
    )
    with tempfile.TemporaryDirectory() as run_dir:  # of mode 0700
        told = subprocess.run([sys.executable, "-c", code, run_dir], capture_output=True, text=True, check=True).stdout
        assert command.closed(run_dir) is None
    assert "verdict='warning'" in told
    assert "closed to uid 65534" in told
    assert "`sudo energyd doctor`" in told


def test_what_is_closed_leaves_the_rest_to_be_looked_at(tmp_path, monkeypatch, capsys):
    there = command.warning("energyd", "is closed", "`sudo energyd doctor`")
    monkeypatch.setattr(command, "closed", lambda _run_dir: there)
    assert command.main(["--json", "--config", os.devnull, "--set", f"run_dir={tmp_path}"]) == 1
    subjects = [json.loads(line)["subject"] for line in capsys.readouterr().out.splitlines()]
    assert subjects == ["machine", "configuration", "clock", "processes", "address", "energyd"]


def test_the_order_of_severity_is_that_of_the_exit_status():
    assert command.SEVERITY == {"ok": 0, "warning": 1, "failure": 2}
