"""`energyd units`: the configuration in force under systemd, and the units that it asks for.

`write`, as the daemon's own user, checks the configuration and leaves config.json for the workers; units.json beside it says for
each unit since when its part of the configuration has been what it is. `sync`, as uid 0 because PID 1 obeys nobody else, compares
that with the moment at which each unit was started: what does not run is started, what is older than its part restarted, the
reader of a meter that is no longer configured stopped. `wake` tells the readers that wait for their device to look again.

Outside truth: ExecMainStartTimestampMonotonic is CLOCK_MONOTONIC in microseconds (org.freedesktop.systemd1(5)). Law: `sync` needs
no memory of its own, so it may be called at any time, be cut off, or be called fifty times; with nothing changed it does nothing.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from energyd import configfile, programs, rundir, unitstates
from energyd.config import Config
from energyd.errors import EXIT_OK, ConfigError, EnergydError, EnvironmentFault
from energyd.ring import layout
from energyd.service.files import write_atomically
from energyd.units import NS_PER_US
from energyd.unitstates import UNITS_FILE, Systemctl, systemctl, unit_of

UNIT: Final = re.compile(r"energyd-(?:rapl|usage|aggregator|tic@[a-z0-9_-]{1,32})\.service", re.ASCII)
"""The only units that `sync` touches, whatever units.json says: the user who writes that file is not the one who obeys it."""
METER_UNITS: Final = "energyd-tic@*.service"
PROPERTIES: Final = ("Id", "LoadState", "ActiveState", "ExecMainStartTimestampMonotonic")
UP: Final = ("active", "activating", "reloading")


class State(NamedTuple):
    """What PID 1 says of a unit. `started_ns`: CLOCK_MONOTONIC of the last start of its process, 0 = never."""

    load: str
    active: str
    started_ns: int


class Plan(NamedTuple):
    """What is asked of PID 1."""

    stop: tuple[str, ...] = ()
    forget: tuple[str, ...] = ()  # failed, and no longer wanted
    restart: tuple[str, ...] = ()
    start: tuple[str, ...] = ()


def parts(config: Config, before: Mapping[str, Any], mono_ns: int) -> dict[str, Any]:
    """{unit: {digest, since_mono_ns}}; who is in `before` with the same digest keeps its time."""
    result = {}
    for program in programs.programs(config):
        digest = hashlib.sha256(json.dumps(program.part, sort_keys=True).encode()).hexdigest()
        unit = unit_of(program.name)
        known = before.get(unit)
        since = known["since_mono_ns"] if known is not None and known["digest"] == digest else mono_ns
        result[unit] = {"digest": digest, "since_mono_ns": since}
    return result


def plan(wanted: Mapping[str, int], states: Mapping[str, State]) -> Plan:
    """`wanted`: {unit: since_mono_ns}; `states`: those units and every loaded reader of a meter. A masked unit is left alone."""
    stop, forget, restart, start = [], [], [], []
    for unit, state in sorted(states.items()):
        if unit not in wanted:
            if state.active in UP:
                stop.append(unit)
            elif state.active == "failed":
                forget.append(unit)
        elif state.load != "masked":
            if state.active not in UP:
                start.append(unit)
            elif 0 < state.started_ns < wanted[unit]:
                restart.append(unit)
    return Plan(tuple(stop), tuple(forget), tuple(restart), tuple(start))


def states(answer: str) -> dict[str, State]:
    """The answer of `systemctl show` about several units."""
    result = {}
    for block in unitstates.shown(answer):
        started_us = int(block["ExecMainStartTimestampMonotonic"] or 0)
        result[block["Id"]] = State(block["LoadState"], block["ActiveState"], started_us * NS_PER_US)
    return result


def write(config_path: str | None, environ: Mapping[str, str], mono_ns: Callable[[], int]) -> list[str]:
    """Put the configuration into force; returns sentences for the journal. ConfigError leaves everything as it was."""
    layout.require_supported_machine()
    loaded = configfile.load_with_warnings(config_path, environ)
    config = loaded.config
    for key, variable in (("run_dir", "RUNTIME_DIRECTORY"), ("state_dir", "STATE_DIRECTORY")):
        given = environ.get(variable)
        if given is not None and given != getattr(config, key):
            raise ConfigError(f"{key}: {getattr(config, key)} is not {given}, the one that the units make and may write; remove it")
    configfile.require_outlets(config)
    before = rundir.read_json(f"{config.run_dir}/{UNITS_FILE}") or {}
    configfile.write(config)
    after = parts(config, before, mono_ns())
    try:
        write_atomically(f"{config.run_dir}/{UNITS_FILE}", json.dumps(after, indent=1))
    except OSError as error:
        raise EnvironmentFault(f"{config.run_dir}/{UNITS_FILE}: {error.strerror}; free some space there") from error
    return [f"warning: {warning}" for warning in loaded.warnings]


def sync(run_dir: str, systemctl: Systemctl) -> list[str]:
    """Ask for what is wanted; returns a word about each unit that changes. Does not wait for PID 1 to have done it."""
    saved = rundir.read_json(f"{run_dir}/{UNITS_FILE}")
    if saved is None:
        raise EnvironmentFault(f"{run_dir}/{UNITS_FILE} cannot be read; `systemctl restart energyd` makes it")
    foreign = [unit for unit in saved if not UNIT.fullmatch(unit)]
    if foreign:
        raise EnvironmentFault(f"{run_dir}/{UNITS_FILE} names {foreign[0]!r}, which is no unit of energyd's; nothing was done")
    wanted = {unit: int(part["since_mono_ns"]) for unit, part in saved.items()}
    listed = systemctl(["list-units", "--all", "--plain", "--no-legend", "--full", METER_UNITS])
    units = {*wanted, *(line.split()[0] for line in listed.splitlines() if line.split())}
    asked = plan(wanted, states(systemctl(["show", "--property", ",".join(PROPERTIES), "--", *sorted(units)])))
    verbs = {"stop": "removed", "reset-failed": "removed", "restart": "restarted", "start": "started"}
    said = []
    for (verb, word), units_of_verb in zip(verbs.items(), asked, strict=True):
        if units_of_verb:
            # This runs inside a job of energyd.service, which theirs wait for: to wait for them would be a deadlock.
            systemctl([verb, *(["--no-block"] if verb != "reset-failed" else []), "--", *units_of_verb])
            said += [f"{unit} {word}" for unit in units_of_verb]
    return said


def wake(run_dir: str, kill: Callable[[int, int], None] = os.kill) -> list[str]:
    """SIGCONT, which harms nobody, to every reader of a meter; returns their names."""
    woken = []
    for path in sorted(Path(run_dir).glob("tic-*.lock")):
        with open(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # held: the pid in it is that of a living reader
                kill(int(file.read()), signal.SIGCONT)
                woken.append(path.stem)
    return woken


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="energyd units", description="For the systemd units: `systemctl reload energyd` calls it."
    )
    result.add_argument(
        "what",
        choices=("write", "sync", "wake"),
        help="write: check the configuration and put it into force; sync: start, restart and stop units as it asks (needs uid 0); "
        "wake: let readers that wait for their device look for it at once",
    )
    result.add_argument("--config", metavar="FILE", help=f"the configuration (default: {configfile.DEFAULT_PATH} if it exists)")
    result.add_argument("--run-dir", metavar="DIR", default=Config().run_dir, help="where the rings are (default: %(default)s)")
    return result


def main(argv: Sequence[str]) -> int:
    arguments = parser().parse_args(argv)
    error_mark = "<3>" if "JOURNAL_STREAM" in os.environ else ""  # sd-daemon(3)
    try:
        if arguments.what == "write":
            said = write(arguments.config, os.environ, time.monotonic_ns)
        elif arguments.what == "sync":
            said = sync(arguments.run_dir, systemctl) or ["nothing to start or stop"]
        else:
            said = [f"{name} looks again" for name in wake(arguments.run_dir)]
    except EnergydError as error:
        print(f"{error_mark}energyd: {error}", file=sys.stderr)
        return error.exit_code
    if said:
        print("\n".join(said))
    return EXIT_OK
