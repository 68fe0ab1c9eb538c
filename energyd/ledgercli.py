"""`energyd ledger backup FILE` and `energyd ledger import FILE`: the ledger copied while it is in use, and the past taken into it.

Both find the ledger of the running energyd, or that of the configuration when none runs. SQLite lets a second process read and
write beside the aggregator; the aggregator notices and looks everything up anew.
"""

import argparse
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from energyd import config as configuration
from energyd import configfile, places, rundir
from energyd.config import Config
from energyd.errors import EXIT_OK, ConfigError, EnvironmentFault
from energyd.ledger.importing import import_file
from energyd.ledger.ledger import path_of
from energyd.ledger.store import Store


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="energyd ledger", description="Copy the ledger, or take the past into it.")
    commands = result.add_subparsers(dest="action", required=True, metavar="ACTION")
    backup = commands.add_parser("backup", help="copy the ledger to a new file, also while it is in use")
    take = commands.add_parser(
        "import", help="take in an earlier ledger, a backup, or what Enedis lets its customers download (CSV)"
    )
    for command in (backup, take):
        add_place(command)
        command.add_argument("file", metavar="FILE", type=Path, help="the copy to make" if command is backup else "what to take in")
    take.add_argument("--meter", metavar="NAME", help="the meter that a download is of, where its PRM does not tell")
    return result


def add_place(command: argparse.ArgumentParser) -> None:
    """Flags that say which ledger is meant."""
    configfile.add_flags(command)
    command.add_argument("--simulated", action="store_true", help="the ledger of simulated meters, which is a file of its own")


def find(arguments: argparse.Namespace) -> Config:
    """The configuration whose state directory holds the ledger: the running one, else what the flags and the file say."""
    running = None if any(key == "state_dir" for key, _ in arguments.set) else _running(arguments)
    if running is not None and bool(running.simulated) >= arguments.simulated:
        return running
    config = configfile.load(arguments.config, os.environ, arguments.set)
    config = config._replace(state_dir=places.state_dir(config, os.environ, os.getuid()))
    if arguments.simulated:
        return config._replace(state_dir=f"{config.state_dir}/simulated", simulated=("meter",))
    return config


def _running(arguments: argparse.Namespace) -> Config | None:
    """What runs with this configuration; None if nothing does."""
    try:
        run_dir = places.running(arguments.config, arguments.set, os.environ, os.getuid())
        if arguments.config is not None and run_dir != configfile.load(arguments.config, os.environ, arguments.set).run_dir:
            return None
        return configuration.read(rundir.config_file(run_dir))
    except (ConfigError, EnvironmentFault):
        return None


def open_ledger(config: Config, *, readonly: bool) -> Store:
    """Raises EnvironmentFault when there is no ledger yet, or it may not be opened."""
    path = path_of(config)
    if readonly and not path.exists():
        raise EnvironmentFault(
            f"{path} does not exist: no meter has been heard yet, or another --config or --set state_dir=DIR is meant"
        )
    try:
        return Store(path, readonly=readonly)
    except (sqlite3.Error, OSError) as error:
        raise EnvironmentFault(f"{path}: {error}; use the user of energyd or root") from error


def main(argv: Sequence[str]) -> int:
    arguments = parser().parse_args(argv)
    config = find(arguments)
    if arguments.action == "backup":
        backup(open_ledger(config, readonly=True), arguments.file)
        print(f"{path_of(config)} copied to {arguments.file}")
        return EXIT_OK
    store = open_ledger(config, readonly=False)
    try:
        for taken in import_file(store, arguments.file, config, arguments.meter, "meter" in config.simulated):
            added = f"{taken.marks} register values, {taken.intervals} stretches of energy, {taken.peaks} daily maxima"
            print(f"{taken.meter}: {added} added")
    finally:
        store.close()
    return EXIT_OK


def backup(store: Store, path: Path) -> None:
    """Copy to a file that does not exist yet; on failure nothing is left of it."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o640))
    except FileExistsError:
        raise EnvironmentFault(f"{path} exists already; name another file, or remove it") from None
    except OSError as error:
        raise EnvironmentFault(f"{path}: {error.strerror}") from error
    try:
        store.backup(path)
    except sqlite3.Error as error:
        path.unlink(missing_ok=True)
        raise EnvironmentFault(f"{path}: not copied ({error}); free space there, or name another place") from error
    finally:
        store.close()
