"""The command: runs the checks in the order in which faults follow from each other, and tells the worst by its exit status."""

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from typing import Final

from energyd import config as configuration
from energyd import configfile, namedfiles, places, rundir
from energyd.config import Config
from energyd.dashboards.server import Server
from energyd.doctor import compose, daemon, grafana, machine, meters, receivers
from energyd.doctor.check import FAILURE, SEVERITY, Check, failure, ok, warning
from energyd.errors import ConfigError, EnergydError

SIGNS: Final = {"ok": "ok     ", "warning": "WARNING", "failure": "FAILURE"}


def configured(arguments: argparse.Namespace) -> tuple[list[Check], Config | None]:
    """What is wrong with the configuration, and the configuration if it can be used."""
    try:
        loaded = configfile.load_with_warnings(arguments.config, os.environ, arguments.set)
        configfile.require_outlets(loaded.config)
    except ConfigError as error:
        return [failure("configuration", str(error), "correct that line, then `energyd check-config`")], None
    files = namedfiles.faults(loaded.config)
    checks = [warning("configuration", text, "`energyd check-config` says so until it is changed") for text in loaded.warnings]
    checks += [warning("configuration", text, "`sudo energyd doctor`") for text in files.unreadable]
    checks += [failure("configuration", *text.rsplit("; ", 1)) for text in files.missing]
    return checks or [ok("configuration", "every key and value is known")], loaded.config


def running(arguments: argparse.Namespace) -> Config | None:
    """The configuration of the energyd that runs, None if none does or it may not be seen."""
    try:
        run_dir = places.running(arguments.config, arguments.set, os.environ, os.getuid())
        return configuration.read(rundir.config_file(run_dir))
    except EnergydError:
        return None


def closed(run_dir: str) -> Check | None:
    """That another user's energyd is here, of which we may see nothing: what we ourselves may not do says nothing about it."""
    if not os.path.isdir(run_dir) or os.access(run_dir, os.R_OK | os.X_OK):
        return None
    return warning(
        "energyd", f"{run_dir} is closed to uid {os.getuid()}: what runs there was not looked at", "`sudo energyd doctor`"
    )


def ours(config: Config, live: Config | None) -> Iterator[Check]:
    """What the energyd of this user needs, and how it is if it runs."""
    if live is None:
        uid = os.getuid()
        run_dir, state_dir = places.run_dir(config, os.environ, uid), places.state_dir(config, os.environ, uid)
        config = config._replace(run_dir=run_dir, state_dir=state_dir)
    yield from machine.power(config)
    yield from meters.meters(config)
    yield from machine.directories(config)
    if live is None:
        yield machine.port(config, None)
        yield warning("energyd", "does not run", "`sudo systemctl start energyd`, or `energyd run`")
    else:
        rows = list(daemon.readers(live))
        yield machine.port(live, daemon.aggregator_pid(live))
        yield from rows
        yield from daemon.endpoint(live)


def checks(arguments: argparse.Namespace) -> Iterator[Check]:
    """Every check, as it is made."""
    yield machine.architecture()
    first, config = configured(arguments)
    yield from first
    live = running(arguments)
    config = live or config
    if config is None:
        return
    yield machine.clock()
    yield machine.processes(config)
    yield machine.address(config)
    hidden = closed(config.run_dir) if live is None else None
    if arguments.compose is not None:
        yield from machine.power(config)
        yield from compose.compose(arguments.compose, config.procfs_root)
    elif hidden is None:
        yield from ours(config, live)
    else:
        yield hidden
    if arguments.prometheus is not None:  # an empty one is a variable of a script that has not been set
        yield from receivers.prometheus(arguments.prometheus, config)
        yield receivers.newest(Server(arguments.prometheus), "prometheus", config)
    if arguments.victoriametrics is not None:
        yield receivers.newest(Server(arguments.victoriametrics), "victoriametrics", config)
    if arguments.grafana is not None:
        yield from grafana.grafana(arguments.grafana.rstrip("/"), config)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="energyd doctor", description="Check everything; exit status 0: all is well, 1: warnings, 2: something is broken."
    )
    configfile.add_flags(result)
    result.add_argument(
        "--compose", metavar="FILE", help="energyd runs in this composition of containers, not on the machine itself"
    )
    result.add_argument("--prometheus", metavar="URL", help="ask this Prometheus whether it scrapes us")
    result.add_argument("--victoriametrics", metavar="URL", help="read our newest sample back from this VictoriaMetrics")
    result.add_argument(
        "--grafana", metavar="URL", help="ask all that the dashboards of this Grafana ask of us, http://USER:PASSWORD@HOST:3000"
    )
    result.add_argument("--json", action="store_true", help="one JSON object a line")
    return result


def main(argv: Sequence[str]) -> int:
    arguments = parser().parse_args(argv)
    worst = 0
    for check in checks(arguments):
        worst = max(worst, SEVERITY[check.verdict])
        if arguments.json:
            print(json.dumps(check._asdict()), flush=True)
        else:
            mend = f"\n           mend: {check.mend}" if check.mend else ""
            print(f"{SIGNS[check.verdict]}  {check.subject}: {check.reason}{mend}", flush=True)
    assert worst <= SEVERITY[FAILURE], "BUG: a verdict worse than failure"
    return worst
