"""Which configuration the tools go by."""

import argparse

import pytest

from energyd import configfile
from energyd.config import Config, Usage
from energyd.tools.settings import current


def asked(*settings: tuple[str, str], config: str | None = None) -> Config:
    return current(argparse.Namespace(config=config, set=list(settings)))


@pytest.fixture
def run_dir(tmp_path) -> str:
    """Of an energyd that runs with 7 processes on top."""
    configfile.write(Config(run_dir=str(tmp_path), usage=Usage(top=7)))
    return str(tmp_path)


def test_a_running_daemon_is_followed(run_dir):
    assert asked(("run_dir", run_dir)).usage.top == 7


def test_who_says_how_the_machine_is_to_be_read_is_taken_at_his_word(run_dir, tmp_path):
    assert asked(("run_dir", run_dir), ("sysfs_root", "/elsewhere")).sysfs_root == "/elsewhere"
    file = tmp_path / "other.yml"
    file.write_text("usage:\n  top: 3\n")
    assert asked(("run_dir", run_dir), config=str(file)).usage.top == 3
