"""The command `energyd`: finds the sub-command's module and gives it the rest of the line.

Each sub-command is a `main(argv) -> exit code` of its own module, imported only when it is called: `energyd dump` does not pay for
what `energyd run` needs. Every error that is not ours is one line on stderr and the exit code that tells a supervisor what to do.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from energyd import __version__
from energyd.errors import EXIT_OK, EnergydError

EXIT_INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report it."""


class Command(NamedTuple):
    """A sub-command: where its `main` is and what the help says."""

    module: str
    help: str


COMMANDS: Final = {
    "run": Command("energyd.run", "start everything in the foreground"),
    "check-config": Command("energyd.configfile", "check the configuration, write it for the workers with --write"),
    "status": Command("energyd.status", "what each process does, and how fresh it is"),
    "dump": Command("energyd.dumpcli", "show the samples in a ring"),
    "reload": Command("energyd.reload", "make a running energyd take over a changed configuration"),
    "doctor": Command("energyd.doctor.command", "check everything that can be wrong, and say what mends it"),
    "dashboards": Command("energyd.dashboards.command", "ask all that the Grafana dashboards ask, and say why an answer is empty"),
    "push": Command("energyd.pushcli", "try out the receivers of pushed metrics"),
    "spool": Command("energyd.spoolcli", "show and replay what waits on disk for the receivers"),
    "history": Command("energyd.historycli", "energy and cost of the meters by day, month or year"),
    "ledger": Command("energyd.ledgercli", "copy the ledger, or take an earlier one or a download of Enedis into it"),
    "whois": Command("energyd.whois", "to whom a process or a control group belongs"),
    "zones": Command("energyd.powercap.report", "which energy counters this machine has, and who may read them"),
    "top": Command("energyd.tools.top", "who uses the energy now, in the terminal"),
    "json": Command("energyd.tools.oneshot", "one look at this machine as JSON, without a daemon"),
    "measure": Command("energyd.tools.measure", "run a command and tell its energy"),
    "tic": Command("energyd.tic.tool", "decode what a meter sends, or find one on a serial line"),
    "simulate": Command("energyd.simulate.__main__", "a meter behind a pseudo-terminal, or a powercap tree"),
    "units": Command("energyd.systemd", "for the systemd units: put the configuration into force, start what it asks for"),
    "replay": Command("energyd.simulate.replay", "feed a captured meter file at line speed"),
}


def parser() -> argparse.ArgumentParser:
    """The options of `energyd` itself; those of a sub-command are in its module."""
    lines = [f"  {name:<14}{command.help}" for name, command in COMMANDS.items()]
    result = argparse.ArgumentParser(
        prog="energyd",
        description="Tells where every joule goes.",
        epilog="commands:\n" + "\n".join(lines) + "\n\n`energyd COMMAND --help` tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--version", action="version", version=f"energyd {__version__}")
    result.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    result.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="options of the command")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (without the program's name; None: sys.argv) and return the exit code."""
    arguments = parser().parse_args(argv)
    command = COMMANDS[arguments.command]
    try:
        code = importlib.import_module(command.module).main(arguments.arguments)
        sys.stdout.flush()
    except EnergydError as error:
        print(f"energyd: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough; what is still in the buffer has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    assert isinstance(code, int), f"BUG: {command.module}.main must return an exit code"
    return code
