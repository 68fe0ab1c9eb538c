"""energyd(1) is what the parsers of the commands say."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from energyd import cli, cli_docs

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date(capsys):
    assert cli_docs.main(["--check"]) == 0, capsys.readouterr().err


def test_every_command_and_every_option_is_in_it():
    page = cli_docs.man().replace("\\-", "-")
    for name in cli.COMMANDS:
        assert re.search(rf"^\.SS energyd {name}\b", page, re.MULTILINE), name
    for parser, text in cli_docs.parsers():
        assert text
        for option in (name for action in parser._actions for name in action.option_strings if name not in ("-h", "--help")):
            assert f".B {option}" in page


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_it_is_clean_troff():
    done = subprocess.run(["groff", "-man", "-z", "-ww", ROOT / "packaging/man/energyd.1"], capture_output=True, check=True)
    assert done.stderr == b""
