"""Completions of bash and zsh, made with shtab from the commands' own parsers: `python3 generate.py DIRECTORY`."""

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

import shtab

from energyd import cli
from energyd.cli_docs import SIMULATORS

COMPLETE = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY, "PATH": shtab.FILE}
MENDS = {
    '"${current_action}_choices"': '"${current_action}_choices[*]"',
    '-W "${current_action_choices}"': "-W \"${current_action_choices// /$'\\n'}\"",
}
"""shtab 1.5, Debian 12's, offers the first of several choices only; what newer ones write does not have these words."""
NAMES = {"bash": "energyd", "zsh": "_energyd"}
"""Under which names the shells look for them."""


def tree() -> argparse.ArgumentParser:
    """One parser that knows all commands and theirs."""
    top = argparse.ArgumentParser(prog="energyd", description="Tells where every joule goes.")
    top.add_argument("--version", action="store_true", help="show the version and end")
    commands = top.add_subparsers(dest="command")
    for name, command in cli.COMMANDS.items():
        if name == "simulate":
            simulators = commands.add_parser(name, help=command.help).add_subparsers(dest="simulator")
            for simulator in SIMULATORS:
                _graft(simulators, simulator, importlib.import_module(f"energyd.simulate.{simulator}").parser())
        else:
            _graft(commands, name, importlib.import_module(command.module).parser(), command.help)
    return top


def _graft(commands: Any, name: str, parser: argparse.ArgumentParser, text: str = "") -> None:
    """Put a finished parser under a name, which argparse has no public way for."""
    commands.add_parser(name, help=text or parser.description)
    commands.choices[name] = parser
    _mark(parser)


def _mark(parser: argparse.ArgumentParser) -> None:
    """Let what is named FILE or DIR be completed as such; sub-commands too."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                _mark(sub)
        elif isinstance(action.metavar, str) and action.metavar in COMPLETE:
            action.complete = COMPLETE[action.metavar]  # type: ignore[attr-defined]


def main(directory: str) -> None:
    for shell, name in NAMES.items():
        path = Path(directory, shell, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = shtab.complete(tree(), shell)
        for wrong, right in MENDS.items() if shell == "bash" else ():
            text = text.replace(wrong, right)
        path.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1])
