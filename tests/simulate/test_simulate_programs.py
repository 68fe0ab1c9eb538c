"""The simulators as the processes that they are: they start, are heard, end on a signal, and survive a kill."""

import os
import signal
import subprocess
import sys
import time

import pytest

from energyd.errors import EXIT_CONFIGURATION, EXIT_ENVIRONMENT, EXIT_OK
from energyd.simulate import frames
from energyd.simulate import truth as truths

PATIENCE_S = 20


@pytest.fixture
def start():
    """Starts `python -m energyd.simulate ARGUMENTS`; whatever still runs at the end of the test is killed."""
    running = []

    def run(*arguments):
        command = [sys.executable, "-m", "energyd.simulate", *map(str, arguments)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.wait()
        process.stderr.close()


def wait_for(condition):
    limit = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


def terminate(process, number=signal.SIGTERM):
    process.send_signal(number)
    return process.wait(PATIENCE_S)


def lines(path, event):
    return list(truths.read(path, event)) if path.exists() else []


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_meter_is_heard_and_goes_without_a_trace(start, tmp_path, number):
    """What a reader gets from the link are groups that verify and the registers of the truth file; then the link is gone."""
    link, truth = tmp_path / "meter", tmp_path / "truth"
    meter = start("meter", "--link", link, "--mode", "standard", "--baud", "115200", "--truth", truth, "--power", "constant:1234")
    wait_for(link.is_symlink)
    fd = os.open(link, os.O_RDONLY | os.O_NOCTTY)
    heard = b""
    while heard.count(b"\x03") < 2 and (part := os.read(fd, 4096)):
        heard += part
    os.close(fd)
    frame = bytes(byte & 0x7F for byte in heard).split(b"\x02")[1]
    groups = frames.split_groups(frame)
    assert len(groups) == 38
    assert all(frames.verifies(group, frames.STANDARD) for group in groups)
    shown = dict(group[:-2].split(b"\t", 1) for group in groups)
    assert shown[b"SINSTS"] == b"01234"
    assert int(shown[b"EAST"]) in {line["registers"]["EAST"] for line in truths.read(truth, "frame")}
    assert terminate(meter, number) == EXIT_OK
    assert not link.is_symlink()


@pytest.mark.e2e
def test_a_killed_meter_comes_back_with_its_registers(start, tmp_path):
    """kill -9, then another: the link is taken over, no register has fallen."""
    link, truth, state = tmp_path / "meter", tmp_path / "truth", tmp_path / "state"
    arguments = ("meter", "--link", link, "--truth", truth, "--state", state, "--baud", "115200", "--power", "constant:9000000")
    first = start(*arguments)
    wait_for(lambda: len(lines(truth, "frame")) > 5)
    assert terminate(first, signal.SIGKILL) == -signal.SIGKILL
    told = lines(truth, "frame")
    second = start(*arguments)
    wait_for(lambda: len(lines(truth, "frame")) > len(told) + 5)
    assert terminate(second) == EXIT_OK
    totals = [line["total_wh"] for line in lines(truth, "frame")]
    assert totals == sorted(totals)
    assert totals[-1] > told[0]["total_wh"]


@pytest.mark.e2e
def test_simulated_time_runs_as_fast_as_the_clock_says(start, tmp_path):
    """A thousand times faster: a frame a simulated minute is sixteen a second."""
    link, truth = tmp_path / "meter", tmp_path / "truth"
    clock = f"1000,{time.monotonic_ns()},{1_767_265_200 * 10**9}"
    meter = start("meter", "--link", link, "--truth", truth, "--clock", clock, "--frame-per-minute")
    wait_for(lambda: len(lines(truth, "frame")) >= 10)
    assert terminate(meter) == EXIT_OK
    told = lines(truth, "frame")
    elapsed = (told[-1]["host_real_ns"] - told[0]["host_real_ns"]) * 1000
    assert told[-1]["real_ns"] - told[0]["real_ns"] == pytest.approx(elapsed, abs=60e9)


@pytest.mark.e2e
def test_a_powercap_tree_outlives_a_kill(start, tmp_path):
    """The counter never turns back, its truth goes on, and --remove leaves nothing."""
    root, truth = tmp_path / "sys", tmp_path / "truth"
    arguments = ("powercap", "--root", root, "--power", "constant:100", "--truth", truth, "--seed", 4, "--remove")
    first = start(*arguments)
    wait_for(lambda: len(lines(truth, "energy")) > 3)
    counter = os.open(root / "class/powercap/intel-rapl:0/energy_uj", os.O_RDONLY)
    assert terminate(first, signal.SIGKILL) == -signal.SIGKILL
    left = int(os.pread(counter, 32, 0))
    count = len(lines(truth, "energy"))
    second = start(*arguments)
    wait_for(lambda: len(lines(truth, "energy")) > count + 3)
    start_line = lines(truth, "start")[1]
    assert start_line["raw_uj"]["package-0"] == left
    assert int(os.pread(counter, 32, 0)) > left
    os.close(counter)
    assert terminate(second) == EXIT_OK
    told = [line["energy_uj"]["package-0"] for line in truths.read(truth)]
    assert told == sorted(told)
    assert not (root / "class/powercap").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "usage"),
        (["nonsense"], 2, "usage"),
        (["meter", "--link", "/absent/meter"], EXIT_ENVIRONMENT, "cannot make the link"),
        (["meter", "--link", "x", "--power", "sine"], 2, "whole watts"),
        (["powercap", "--root", "/proc/absent"], EXIT_ENVIRONMENT, "cannot make the powercap tree"),
        (["powercap", "--root", "x", "--power", "sine"], EXIT_CONFIGURATION, "constant:W"),
        (["replay", "/absent", "--link", "x"], EXIT_ENVIRONMENT, "cannot read the capture"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_told_in_one_line(start, arguments, status, said):
    process = start(*arguments)
    _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == status
    assert said in told
    assert "Traceback" not in told
