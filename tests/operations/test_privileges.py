"""What each program keeps of root's rights."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from energyd import privileges, programs
from energyd.config import Config
from energyd.privileges import NUMBERS, Rights

ALL = (1 << 41) - 1
ROOT = pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")


def test_who_has_no_rights_starts_programs_as_they_are():
    assert Rights(uid=1000).command(("perfmon",)) == ()


def test_of_root_the_bounding_set_is_narrowed_to_what_is_kept():
    command = Rights(0, ALL, droppable=True).command(("net_admin", "perfmon"))
    assert command[:2] == ("setpriv", "--bounding-set=-all,+net_admin,+perfmon")
    assert "--no-new-privs" in command


def test_of_any_other_the_ambient_set_is_narrowed():
    """Whatever a unit gives to `energyd run` by AmbientCapabilities= would be inherited by every program."""
    command = Rights(1000, ALL, droppable=True).command(("perfmon",))
    assert command == ("setpriv", "--inh-caps=-all,+perfmon", "--ambient-caps=-all,+perfmon", "--no-new-privs", "--")


def test_what_is_not_there_is_not_asked_for():
    held = 1 << NUMBERS["perfmon"]
    assert Rights(0, held, droppable=True).command(("net_admin", "perfmon"))[1] == "--bounding-set=-all,+perfmon"


def test_the_rights_of_this_process_are_read():
    assert bool(privileges.permitted(privileges.OWN_STATUS.read_text())) == (os.geteuid() == 0)
    assert privileges.permitted("") == 0


def test_without_the_tool_nothing_is_dropped(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert not privileges.rights(0).droppable


@pytest.mark.parametrize("program", programs.programs(Config()), ids=lambda program: program.name)
def test_every_program_keeps_only_what_is_known(program):
    assert set(program.capabilities) <= NUMBERS.keys()


def effective(*command):
    """CapEff of a program that is started so by root."""
    done = subprocess.run(
        [*command, "grep", "-E", "CapEff|NoNewPrivs", "/proc/self/status"], capture_output=True, text=True, check=True
    )
    caps, new = (line.split()[1] for line in done.stdout.splitlines())
    assert new == "1"
    return int(caps, 16)


@ROOT
@pytest.mark.parametrize("kept", [(), ("perfmon",), ("net_admin", "sys_ptrace")])
def test_the_kernel_sees_nothing_else(kept):
    rights = privileges.rights(0)
    assert rights.droppable
    assert effective(*rights.command(kept)) == sum(1 << NUMBERS[name] for name in kept)


@ROOT
def test_the_kernel_sees_nothing_else_of_a_user_with_ambient_capabilities():
    given = [
        "setpriv",
        "--reuid=65534",
        "--clear-groups",
        "--inh-caps=-all,+net_admin,+perfmon",
        "--ambient-caps=-all,+net_admin,+perfmon",
    ]
    narrowed = Rights(65534, ALL, droppable=True).command(("perfmon",))
    assert effective(*given, "--", *narrowed) == 1 << NUMBERS["perfmon"]


@ROOT
def test_where_root_may_not_take_rights_away_the_programs_are_started_all_the_same(tmp_path):
    """As in a container that was started with --cap-drop=ALL --cap-add=PERFMON."""
    code = "from energyd import privileges; print(privileges.rights(0).droppable)"
    command = ["setpriv", "--bounding-set=-all,+perfmon", "--", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout == "False\n"
