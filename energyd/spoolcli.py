"""`energyd spool`: what waits for each receiver, what is in a spool, and sending it once more.

It reads beside a running energyd and changes nothing: a replay goes straight to the receiver, and the running energyd's own book of
what was delivered stays as it is. Law: times are Unix seconds or ISO 8601, in the machine's zone where they name none.
"""

import argparse
import asyncio
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from energyd import __version__, configfile, places, rundir
from energyd import config as configuration
from energyd.config import Config, Push
from energyd.errors import EXIT_OK, ConfigError, EnvironmentFault
from energyd.export.resend import resend
from energyd.expressions import expression_flag
from energyd.service.clock import SYSTEM_CLOCK
from energyd.spool import SPOOL_DIR, inspect
from energyd.spool.rows import Row
from energyd.spool.spool import mark_file

EXIT_NOT_ALL: Final = 1


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="energyd spool", description="Show and replay what waits on disk for the receivers; without a command, list it."
    )
    commands = result.add_subparsers(dest="command", required=True)
    for name, text in (
        ("list", "what waits for each receiver"),
        ("show", "the samples in a spool, as lines that can be imported"),
        ("replay", "send the samples in a spool once more; receivers that deduplicate have them once"),
    ):
        command = commands.add_parser(name, help=text)
        configfile.add_flags(command)
        command.add_argument("--simulated", action="store_true", help="the spools of simulated runs, which lie apart")
        if name == "list":
            continue
        command.add_argument("target", metavar="NAME", help="the receiver")
        command.add_argument("--from", dest="first", type=_time_ms, default=0, metavar="TIME", help="the first time")
        command.add_argument("--until", type=_time_ms, metavar="TIME", help="the last time")
        command.add_argument("--match", type=expression_flag, metavar="REGEX", help="only series whose name matches")
        if name == "replay":
            command.add_argument(
                "--to", metavar="URL", help="another address; user, password and headers stay those of the receiver"
            )
    return result


def main(argv: Sequence[str]) -> int:
    named = bool(argv) and (not argv[0].startswith("-") or argv[0] in ("-h", "--help"))
    arguments = parser().parse_args(argv if named else ["list", *argv])
    config = _find(arguments)
    if arguments.command == "list":
        for line in _listed(config):
            print(line)
        return EXIT_OK
    rows = _chosen(config, arguments)
    if arguments.command == "show":
        for row in rows:
            for prefix, value in zip(row.prefixes, row.values.tolist(), strict=True):
                print(f"{prefix.decode()}{value!r} {row.at_ms}")
        return EXIT_OK
    target = next((target for target in config.metrics.push if target.name == arguments.target), None)
    if target is None and arguments.to is None:
        raise ConfigError(f"no receiver {arguments.target} is configured; give the address with --to URL")
    target = target or Push(arguments.target, arguments.to)
    sent = asyncio.run(resend(target._replace(url=arguments.to or target.url), rows, __version__, SYSTEM_CLOCK))
    print(f"{sent.samples} samples of {sent.rows} rows sent, {sent.refused} refused" + (f"; {sent.fault}" if sent.fault else ""))
    return EXIT_NOT_ALL if sent.fault or sent.refused else EXIT_OK


def _listed(config: Config) -> Iterator[str]:
    directory = Path(config.state_dir, SPOOL_DIR)
    names = sorted(entry.name for entry in directory.glob("*/"))
    configured = {target.name for target in config.metrics.push}
    if not names:
        yield f"no spool in {directory}: nothing was pushed from here yet"
    for name in names:
        found = inspect.summary(directory / name, mark_file(Path(config.run_dir), name))
        parts = [
            f"{found.waiting} samples wait",
            f"{found.delivered} delivered",
            *(f"{count} dropped ({reason})" for reason, count in found.dropped.items() if count),
            f"on disk {found.samples} samples in {found.files} files, {found.size_bytes / 1e6:.1f} MB",
        ]
        if found.first_ms is not None and found.last_ms is not None:
            parts.append(f"from {_shown(found.first_ms)} to {_shown(found.last_ms)}")
        if found.damaged_bytes:
            parts.append(f"{found.damaged_bytes} bytes damaged")
        yield f"{name}{'' if name in configured else ' (not configured)'}: {', '.join(parts)}"


def _chosen(config: Config, arguments: argparse.Namespace) -> Iterator[Row]:
    """The rows of a spool that the flags choose."""
    directory = Path(config.state_dir, SPOOL_DIR, arguments.target)
    if not directory.is_dir():
        raise EnvironmentFault(f"{directory} does not exist; `energyd spool list` shows which spools there are")
    wanted = arguments.match.fullmatch if arguments.match else None
    for row in inspect.rows(directory, arguments.first, arguments.until):
        if wanted is None:
            yield row
            continue
        kept = [i for i, prefix in enumerate(row.prefixes) if wanted(re.split(r"[{ ]", prefix.decode(), maxsplit=1)[0])]
        if kept:
            yield Row(row.first, row.at_ms, [row.prefixes[i] for i in kept], row.values[kept])


def _find(arguments: argparse.Namespace) -> Config:
    """The running configuration, else what the flags and the file say."""
    if not any(key == "state_dir" for key, _ in arguments.set):
        try:
            running = places.running(arguments.config, arguments.set, os.environ, os.getuid())
            config = configuration.read(rundir.config_file(running))
            if bool(config.simulated) >= arguments.simulated:
                return config
        except (ConfigError, EnvironmentFault):
            pass
    config = configfile.load(arguments.config, os.environ, arguments.set)
    state_dir = places.state_dir(config, os.environ, os.getuid())
    return config._replace(state_dir=f"{state_dir}/simulated" if arguments.simulated else state_dir)


def _time_ms(text: str) -> int:
    try:
        return round(float(text) * 1000)
    except ValueError:
        pass
    try:
        return round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)
    except ValueError:
        raise argparse.ArgumentTypeError("must be Unix seconds or ISO 8601, for example 2026-11-20T10:00:00") from None


def _shown(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00") + " UTC"
