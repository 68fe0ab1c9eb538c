"""A run directory in memory, as the units have one."""

import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def run_dir():
    path = Path(tempfile.mkdtemp(prefix="energyd-test-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
