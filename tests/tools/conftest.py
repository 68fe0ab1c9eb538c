"""A simulated powercap tree whose power is known, advancing behind the test."""

import subprocess
import sys
import time

import pytest


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A sysfs root whose package draws 40 W and whose DRAM draws 10 W, exactly."""
    root = tmp_path_factory.mktemp("sys")
    program = [sys.executable, "-m", "energyd", "simulate", "powercap", "--root", str(root)]
    simulator = subprocess.Popen([*program, "--power", "constant:40,package-0/dram=10"], stderr=subprocess.DEVNULL)
    counter = root / "class/powercap/intel-rapl:0/energy_uj"
    deadline = time.monotonic() + 10
    while not counter.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        yield root
    finally:
        simulator.terminate()
        simulator.wait(5)


@pytest.fixture
def run():
    """Calls `energyd` as a user does."""

    def call(*arguments, timeout=60):
        return subprocess.run(
            [sys.executable, "-m", "energyd", *arguments], capture_output=True, text=True, timeout=timeout, check=False
        )

    return call
