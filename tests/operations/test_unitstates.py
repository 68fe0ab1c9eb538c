"""What PID 1 says of the units, told as supervisord's plugin tells of its programs."""

import json
import time

import pytest

from clocks import TurnedClock
from energyd import unitstates
from energyd.errors import EnvironmentFault
from energyd.service.clock import SYSTEM_CLOCK
from energyd.supervisorreport import ASK_S, SupervisorReport

BLOCK = {
    "MainPID": "7",
    "NRestarts": "2",
    "ExecMainCode": "0",
    "ExecMainStatus": "0",
    "Id": "energyd-rapl.service",
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
}


def told(run_dir, *changes):
    """The report when systemctl shows these units."""
    (run_dir / "units.json").write_text(json.dumps({"energyd-rapl.service": {}}))
    blocks = ["\n".join(f"{key}={value}" for key, value in (BLOCK | change).items()) for change in changes]
    return unitstates.report(str(run_dir), lambda _: "\n\n".join(blocks) + "\n")["programs"]


def test_a_program_has_the_unit_that_is_named_after_it():
    for program, unit in {
        "rapl": "energyd-rapl.service",
        "aggregator": "energyd-aggregator.service",
        "tic-my-house": "energyd-tic@my-house.service",
    }.items():
        assert (unitstates.unit_of(program), unitstates.program_of(unit)) == (unit, program)


def test_a_running_unit_has_its_process_and_its_restarts(run_dir):
    assert told(run_dir, {}, {"Id": "energyd-tic@house.service", "MainPID": "8", "NRestarts": "0"}) == {
        "rapl": {"state": "RUNNING", "pid": 7, "restarts": 2, "last_exit": "", "why": ""},
        "tic-house": {"state": "RUNNING", "pid": 8, "restarts": 0, "last_exit": "", "why": ""},
    }


@pytest.mark.parametrize(
    ("change", "state", "last_exit"),
    [
        ({"ActiveState": "activating", "SubState": "start"}, "STARTING", ""),
        (
            {"ActiveState": "activating", "SubState": "auto-restart", "ExecMainCode": "1", "ExecMainStatus": "111"},
            "BACKOFF",
            "exit code 111",
        ),
        (
            {"ActiveState": "activating", "SubState": "auto-restart", "ExecMainCode": "2", "ExecMainStatus": "9"},
            "BACKOFF",
            "killed by a signal",
        ),
        ({"ActiveState": "failed", "SubState": "failed", "ExecMainCode": "1", "ExecMainStatus": "100"}, "EXITED", "exit code 100"),
        ({"ActiveState": "failed", "SubState": "failed", "ExecMainCode": "1", "ExecMainStatus": "1"}, "FATAL", "exit code 1"),
        ({"ActiveState": "inactive", "SubState": "dead"}, "STOPPED", ""),
        ({"ActiveState": "deactivating", "SubState": "stop-sigterm"}, "STOPPING", ""),
        ({"ActiveState": "inactive", "LoadState": "masked"}, "MASKED", ""),
    ],
)
def test_states_have_the_words_of_supervisord(run_dir, change, state, last_exit):
    program = told(run_dir, change)["rapl"]
    assert (program["state"], program["last_exit"]) == (state, last_exit)
    assert program["why"] == ("`journalctl -u energyd-rapl.service` says why" if last_exit else "")


def test_where_no_units_run_us_or_nobody_answers_there_is_no_report(run_dir):
    def silent(_):
        raise EnvironmentFault("no bus")

    assert unitstates.report(str(run_dir), silent) is None
    (run_dir / "units.json").write_text(json.dumps({"energyd-rapl.service": {}}))
    assert unitstates.report(str(run_dir), silent) is None


def test_a_pid_1_that_takes_its_time_is_not_waited_for(monkeypatch, tmp_path):
    slow = tmp_path / "systemctl"
    slow.write_text("#!/bin/sh\nexec sleep 10\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(unitstates, "REPORT_S", 0.1)
    with pytest.raises(EnvironmentFault, match="timed out after"):
        unitstates.brief_systemctl(["show"])


def wait_until(report, value):
    deadline_s = time.monotonic() + 5
    while report() != value:
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


def test_the_file_of_the_plugin_comes_first_and_is_read_each_time(run_dir):
    report = SupervisorReport(str(run_dir), SYSTEM_CLOCK, lambda _: {"programs": {}})
    for pid in (1, 2):
        (run_dir / "workers.json").write_text(json.dumps({"supervisor_pid": pid}))
        assert report() == {"supervisor_pid": pid}


def test_pid_1_is_asked_beside_the_answer_and_not_again_too_soon(run_dir):
    asked, clock = [], TurnedClock()

    def ask(run_dir):
        asked.append(run_dir)
        return {"programs": {"asked": len(asked)}}

    report = SupervisorReport(str(run_dir), clock, ask)
    report()
    wait_until(report, {"programs": {"asked": 1}})
    clock.now_ns += ASK_S * 10**9 - 1
    report()
    assert len(asked) == 1
    clock.now_ns += 1
    wait_until(report, {"programs": {"asked": 2}})
