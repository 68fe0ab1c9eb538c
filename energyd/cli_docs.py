"""packaging/man/energyd.1 from the commands' own parsers: `python -m energyd.cli_docs --write | --check`.

Each module that energyd.cli names has a `parser()`; the page is made from the actions in it (docs.python.org/3/library/argparse),
not from its printed help, which is wrapped differently by each version of Python.
"""

import argparse
import importlib
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from energyd.cli import COMMANDS
from energyd.errors import EXIT_CONFIGURATION, EXIT_ENVIRONMENT
from energyd.generated import write_or_check
from energyd.settings_docs import troff

SIMULATORS: Final = ("meter", "powercap")
"""`energyd simulate` passes its line on to these; replay is a command of its own as well."""

_DESCRIPTION: Final = (
    "energyd tells where every joule goes: it listens to electricity meters (tele-information of Linky and older ones), reads the "
    "energy counters of the processor (RAPL) and the CPU clock of every process, shares the measured energy among the processes, "
    "and serves and pushes the result as Prometheus metrics."
)
_EXITS: Final = {
    "0": "All is well, or it was stopped as asked.",
    "1": "Something is not well (status), a warning (doctor), a panel is empty (dashboards check).",
    "2": "The command line is wrong, something is broken (doctor), a query is refused (dashboards check).",
    str(EXIT_CONFIGURATION): "The configuration is wrong; trying again does not help.",
    str(EXIT_ENVIRONMENT): "The machine cannot do it now: a port in use, a full disk, no counter that may be read.",
}


def parsers() -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """Every command and its sub-commands with a line of help, in the order of `energyd --help`."""
    for name, command in COMMANDS.items():
        if name == "simulate":
            for simulator in SIMULATORS:
                parser = importlib.import_module(f"energyd.simulate.{simulator}").parser()
                yield parser, parser.description or ""
            continue
        parser = importlib.import_module(command.module).parser()
        groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        if not groups:
            yield parser, command.help
        for group in groups:
            helps = {choice.dest: choice.help for choice in group._choices_actions}
            for sub_name, sub in group.choices.items():
                yield sub, helps.get(sub_name) or ""


def man() -> str:
    """packaging/man/energyd.1."""
    lines = ['.\\" Made by energyd.cli_docs from the parsers of the commands.', '.TH ENERGYD 1 "" energyd "User commands"']
    lines += [
        ".SH NAME",
        r"energyd \- tells where every joule goes",
        ".SH SYNOPSIS",
        ".B energyd",
        r".I COMMAND",
        r"[\fIOPTION\fR ...]",
    ]
    lines += [".SH DESCRIPTION", troff(_DESCRIPTION), ".SH COMMANDS"]
    for parser, text in parsers():
        lines += [f".SS {troff(_synopsis(parser))}", troff(_sentence(text))]
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                lines += [".TP", f".B {troff(_name(action))}", troff(_help(parser, action))]
    lines += [".SH EXIT STATUS"]
    for code, text in _EXITS.items():
        lines += [".TP", f".B {code}", troff(text)]
    lines += [".SH SEE ALSO", ".BR energyd.yml (5)"]
    return "\n".join(lines) + "\n"


def _synopsis(parser: argparse.ArgumentParser) -> str:
    positionals = [_name(action) for action in parser._actions if not action.option_strings]
    options = ["[OPTION ...]"] if len(parser._actions) > len(positionals) + 1 else []
    return " ".join([parser.prog, *options, *positionals])


def _name(action: argparse.Action) -> str:
    """`--config FILE`, or what a positional argument is called."""
    choices = "{" + ",".join(str(choice) for choice in action.choices) + "}" if action.choices is not None else None
    value = action.metavar if isinstance(action.metavar, str) else choices
    if not action.option_strings:
        name = value or action.dest.upper()
        return {argparse.OPTIONAL: f"[{name}]", argparse.ZERO_OR_MORE: f"[{name} ...]"}.get(str(action.nargs), name)
    return ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {value or action.dest.upper()}")


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = (action.help or "") % {**vars(action), "prog": parser.prog}
    return ("Required: " if action.required and action.option_strings else "") + text


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if not text or text.endswith(".") else text + "."


FILES: Final = {"packaging/man/energyd.1": man}


def main(argv: Sequence[str] | None = None) -> int:
    return write_or_check(FILES, "energyd.cli_docs", argv)


if __name__ == "__main__":
    sys.exit(main())
