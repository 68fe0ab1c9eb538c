"""`energyd reload` against a stand-in for supervisord."""

import json
import socket

import pytest

from energyd import reload, run, unitstates
from energyd.cli import main
from energyd.config import from_json


class Supervisor:
    """Answers as supervisord's XML-RPC interface would, and keeps what it was asked."""

    def __init__(self, added=(), changed=(), removed=(), states=()):
        self.difference = [[list(added), list(changed), list(removed)]]
        self.states = dict(states)
        self.calls = []

    def reloadConfig(self):  # noqa: N802
        return self.difference

    def getAllProcessInfo(self):  # noqa: N802
        return [{"name": name, "state": state} for name, state in self.states.items()]

    def __getattr__(self, method):
        return lambda *arguments: self.calls.append((method, *arguments))


@pytest.fixture
def running(run_dir, tmp_path, monkeypatch):
    """An energyd that `energyd run` has just set up, with its configuration file; yields (file, what calls reload)."""
    file = tmp_path / "energyd.yml"
    file.write_text(f"run_dir: {run_dir}\nstate_dir: {tmp_path}/state\nmetrics: {{enabled: false}}\n")
    run.start(run.Invocation(str(file), (), "none", None, {}), {}, 0, lambda *_: None)
    server = Supervisor()
    monkeypatch.setattr(reload, "supervisor", lambda _: server)
    return file, server


def test_what_has_changed_is_replaced_and_what_was_down_is_started(capsys):
    server = Supervisor(added=["tic-new"], changed=["usage"], removed=["tic-old"], states={"rapl": reload.EXITED, "usage": 20})

    assert reload.apply(server) == ["tic-new added", "usage restarted", "tic-old removed", "rapl started again"]
    assert server.calls == [
        ("stopProcessGroup", "tic-old"),
        ("removeProcessGroup", "tic-old"),
        ("stopProcessGroup", "usage"),
        ("removeProcessGroup", "usage"),
        ("addProcessGroup", "tic-new"),
        ("addProcessGroup", "usage"),
        ("startProcess", "rapl", False),
    ]


def test_a_good_configuration_reaches_the_workers(running, run_dir, capsys):
    file, _ = running
    file.write_text(file.read_text() + "usage: {rate_hz: 5}\nmeters: [{name: garage, device: /dev/ttyS0}]\n")

    assert main(["reload", "--config", str(file)]) == 0
    assert from_json((run_dir / "config.json").read_text()).usage.rate_hz == 5
    assert "[program:tic-garage]" in (run_dir / "supervisord.conf").read_text()
    assert capsys.readouterr().out == "nothing has changed\n"  # says the stand-in


def test_a_broken_configuration_leaves_the_running_one(running, run_dir, capsys):
    file, server = running
    before = (run_dir / "config.json").read_text()
    file.write_text(file.read_text() + "usage: {rate_hz: fast}\n")

    assert main(["reload", "--set", f"run_dir={run_dir}"]) == 100
    assert f"{file}:4" in capsys.readouterr().err
    assert (run_dir / "config.json").read_text() == before
    assert server.calls == []


def test_a_web_configuration_that_is_not_there_leaves_the_running_one(running, run_dir, capsys):
    """The aggregator would end with it, and the metrics with the aggregator."""
    file, server = running
    before = (run_dir / "config.json").read_text()
    file.write_text(f"run_dir: {run_dir}\nmetrics: {{web_config_file: {file.parent}/web.yml}}\n")

    assert main(["reload", "--config", str(file)]) == 100
    assert "web.yml: No such file" in capsys.readouterr().err
    assert ((run_dir / "config.json").read_text(), server.calls) == (before, [])


def test_what_cannot_change_while_it_runs_is_refused(running, run_dir, tmp_path, capsys):
    file, _ = running
    file.write_text(file.read_text().replace("/state", "/elsewhere"))

    assert main(["reload", "--set", f"run_dir={run_dir}"]) == 100
    assert "state_dir cannot change while energyd runs; stop it and start it again" in capsys.readouterr().err


def test_a_new_port_that_is_in_use_leaves_the_running_configuration(running, run_dir, capsys):
    file, server = running
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        file.write_text(file.read_text().replace("enabled: false", f"port: {taken.getsockname()[1]}"))

        assert main(["reload", "--set", f"run_dir={run_dir}"]) == 111
    assert "Address already in use" in capsys.readouterr().err
    assert not from_json((run_dir / "config.json").read_text()).metrics.enabled
    assert server.calls == []


def test_the_flags_and_variables_of_the_run_hold_for_the_reload(run_dir, tmp_path, monkeypatch):
    file = tmp_path / "energyd.yml"
    file.write_text(f"state_dir: {tmp_path}/state\nmetrics: {{enabled: false}}\n")
    flags = (("run_dir", str(run_dir)), ("usage.rate_hz", "4"))
    run.start(run.Invocation(str(file), flags, "meter", None, {"ENERGYD_LOG_LEVEL": "debug"}), {}, 0, lambda *_: None)
    monkeypatch.setattr(reload, "supervisor", lambda _: Supervisor())

    assert main(["reload", "--set", f"run_dir={run_dir}"]) == 0
    config = from_json((run_dir / "config.json").read_text())
    assert (config.usage.rate_hz, config.log.level, config.simulated) == (4.0, "debug", ("meter",))


def test_a_supervisor_that_is_gone_is_one_line(running, run_dir, monkeypatch, capsys):
    monkeypatch.undo()

    assert main(["reload", "--set", f"run_dir={run_dir}"]) == 111
    assert f"the supervisor in {run_dir} does not take it" in capsys.readouterr().err


def test_units_of_systemd_are_reloaded_by_systemd(run_dir, monkeypatch):
    (run_dir / "config.json").write_text(json.dumps({}))
    asked = []
    monkeypatch.setattr(unitstates, "systemctl", asked.append)

    assert main(["reload", "--set", f"run_dir={run_dir}"]) == 0
    assert asked == [["reload-or-restart", "energyd.service"]]
