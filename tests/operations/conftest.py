"""A run directory in memory, and configurations that use it."""

import shutil
import tempfile
from pathlib import Path

import pytest

from energyd.config import Config, Meter, Metrics


@pytest.fixture
def run_dir():
    """A directory on a tmpfs, as `energyd run` wants one; gone after the test."""
    path = Path(tempfile.mkdtemp(prefix="energyd-test-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def config(run_dir, tmp_path):
    """One real meter, no RAPL."""
    return Config(
        run_dir=str(run_dir),
        state_dir=str(tmp_path / "state"),
        meters=(Meter("linky", "/dev/ttyUSB0"),),
        powercap_root=str(tmp_path / "powercap"),
        metrics=Metrics(port=0),
    )
