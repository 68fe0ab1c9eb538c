import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd.tools import measure

BURN = "import time\nwhile time.process_time() < 0.6: pass"
FORKING_BURN = f"import os\nif os.fork():\n    os.wait()\n{BURN}"
seconds = st.floats(0, 1e5)


@given(host_j=st.floats(0, 1e9), idle_j=st.floats(0, 1e9), elapsed_s=seconds, cpu_s=seconds, machine_cpu_s=seconds)
def test_a_command_never_gets_more_than_was_measured_above_idle(host_j, idle_j, elapsed_s, cpu_s, machine_cpu_s):
    command_j, bound_j = measure.share_of(host_j, idle_j, elapsed_s, cpu_s, machine_cpu_s)
    assert 0 <= command_j <= max(0.0, host_j - idle_j)
    assert bound_j >= 0


def test_registers_that_did_not_move_during_a_short_command_do_not_make_its_figure_exact():
    command_j, bound_j = measure.share_of(0.0, 0.0, 0.002, 0.001, 0.002, recent_w=50.0)
    assert command_j == 0.0
    assert bound_j == pytest.approx(0.1)  # a millisecond at both ends


def test_a_command_alone_on_a_busy_machine_gets_everything_above_idle():
    assert measure.share_of(100.0, 40.0, 10.0, 5.0, 5.0)[0] == pytest.approx(60.0)


def measured(run, *arguments):
    done = run("measure", "--json", *arguments)
    return done, json.loads(done.stdout or done.stderr)["runs"]


def test_the_joules_of_a_run_are_the_power_times_the_time(tree, run):
    """40 W and 10 W, whatever the machine does meanwhile: the zones' energy follows from the seconds alone."""
    _, [first] = measured(run, "--set", f"sysfs_root={tree}", "--", sys.executable, "-c", BURN)
    assert first["zones_j"]["package-0"] == pytest.approx(40 * first["seconds"], rel=0.1, abs=2)
    assert first["host_j"] == pytest.approx(first["zones_j"]["package-0"] + first["zones_j"]["package-0/dram"])
    assert first["source"] == "rapl"
    assert 0 < first["command_j"] <= first["host_j"]


def test_cpu_seconds_are_those_of_the_whole_tree_within_two_percent_of_the_shells_own_account(tree, run):
    timed = f"TIMEFORMAT='%3U %3S'; time {sys.executable} -c '{FORKING_BURN}'"
    done, [first] = measured(run, "--set", f"sysfs_root={tree}", "--output", "/dev/stdout", "--", "bash", "-c", timed)
    user_s, system_s = map(float, done.stderr.split())

    assert user_s + system_s > 1.2  # two processes of 0.6 s
    assert first["cpu_s"] == pytest.approx(user_s + system_s, rel=0.02)


@pytest.mark.parametrize(
    ("command", "code"),
    [(["true"], 0), (["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], 137), (["sh", "-c", "kill $$"], 143)],
)
def test_the_exit_status_of_the_command_is_ours(tree, run, command, code):
    assert run("measure", "--set", f"sysfs_root={tree}", "--", *command).returncode == code


def test_a_command_that_is_not_there_or_cannot_be_run_is_named(tree, run, tmp_path):
    missing = run("measure", "--", "no-such-command")
    assert (missing.returncode, missing.stderr) == (127, "energyd measure: no-such-command: command not found\n")
    (tmp_path / "data").write_text("")
    assert run("measure", "--", str(tmp_path / "data")).returncode == 126


def test_a_file_that_no_kernel_can_execute_is_named_and_no_traceback(tree, run, tmp_path):
    (tmp_path / "data").write_text("no format")
    (tmp_path / "data").chmod(0o755)
    for command in (str(tmp_path / "data"), str(tmp_path / "data" / "x"), "x" * 300):
        done = run("measure", "--", command)
        assert done.returncode == 126
        assert done.stderr.startswith(f"energyd measure: {command}: ")
        assert done.stderr.count("\n") == 1


def test_who_ends_the_measurement_ends_the_command_and_is_told_its_energy(tree):
    arguments = (
        "measure",
        "--json",
        "--set",
        f"sysfs_root={tree}",
        "--",
        "sh",
        "-c",
        "trap 'exit 9' TERM; echo on; while :; do sleep 0.1; done",
    )
    with subprocess.Popen(
        [sys.executable, "-m", "energyd", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as measuring:
        try:
            assert measuring.stdout is not None
            assert measuring.stdout.readline() == b"on\n"
            measuring.terminate()
            assert measuring.wait(10) == 9
        finally:
            measuring.kill()  # does nothing to one that has ended
        assert measuring.stderr is not None
        assert json.loads(measuring.stderr.readline())["runs"][0]["exit_code"] == 9


def test_runs_are_repeated_until_one_fails(tree, run):
    _, three = measured(run, "--set", f"sysfs_root={tree}", "--repeat", "3", "--", "true")
    done, one = measured(run, "--set", f"sysfs_root={tree}", "--repeat", "3", "--", "false")
    assert (len(three), len(one), done.returncode) == (3, 1, 1)


def test_idle_power_that_was_measured_first_is_kept_apart(tree, run):
    _, [first] = measured(run, "--set", f"sysfs_root={tree}", "--idle", "0.5", "--", sys.executable, "-c", BURN)
    assert first["idle_j"] == pytest.approx(50 * first["seconds"], rel=0.15)
    assert first["command_j"] < 0.2 * first["host_j"]  # a constant 50 W is all idle


def test_without_a_power_source_there_is_cpu_time_and_the_reason(run, tmp_path):
    done = run("measure", "--set", f"sysfs_root={tmp_path}", "--", sys.executable, "-c", BURN)
    assert done.returncode == 0
    assert "CPU, the command" in done.stderr
    assert "no power: " in done.stderr
    assert " J" not in done.stderr


def test_what_the_command_prints_is_left_alone_and_ours_can_go_to_a_file(tree, run, tmp_path):
    done = run("measure", "--set", f"sysfs_root={tree}", "--output", str(tmp_path / "out"), "--", "echo", "hello")
    assert (done.stdout, done.stderr) == ("hello\n", "")
    assert "the command" in (tmp_path / "out").read_text()


def test_a_command_that_is_over_before_a_slow_source_is_due_has_its_joules_too(run):
    model = ("energy.sources=[model]", "energy.model_idle_w=50", "energy.model_max_w=50")
    flags = [part for key in model for part in ("--set", key)]
    [measured] = json.loads(run("measure", "--json", *flags, "--", "true").stderr)["runs"]
    assert measured["host_j"] == pytest.approx(50 * measured["seconds"], rel=0.5, abs=0.2)
    assert measured["host_j"] > 0
