"""`energyd dashboards check`: which panels have something to show, and why others have not; it needs no Grafana."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from energyd.asking import NoAnswer
from energyd.dashboards import groups, home, host
from energyd.dashboards.check import EMPTY, ERROR, OK, Finding, findings
from energyd.dashboards.questions import is_dashboard, seconds
from energyd.dashboards.server import Server
from energyd.errors import ConfigError, EnvironmentFault

EXIT: Final = {OK: 0, EMPTY: 1, ERROR: 2}


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="energyd dashboards", description="Grafana's dashboards, without Grafana.")
    check = result.add_subparsers(dest="command", required=True).add_parser(
        "check",
        help="ask all that dashboards ask, and say why an answer is empty; "
        "exit status 0: every query has one, 1: some are empty, 2: some are refused",
    )
    check.add_argument(
        "--prometheus",
        metavar="URL",
        required=True,
        help="of Prometheus or VictoriaMetrics, http://USER:PASSWORD@HOST:9090 if it asks",
    )
    check.add_argument(
        "--scrape-interval",
        type=_duration,
        default=15.0,
        metavar="DURATION",
        help="how often it scrapes (default: 15s, as in Grafana)",
    )
    check.add_argument("--json", action="store_true", help="one JSON object a line")
    check.add_argument("files", nargs="*", metavar="FILE", help="dashboards as JSON (default: those of energyd)")
    return result


def main(argv: Sequence[str]) -> int:
    arguments = parser().parse_args(argv)
    models = [_read(path) for path in arguments.files] or [home.model(), host.model(), groups.model()]
    worst = 0
    for finding in _all(models, arguments.prometheus, arguments.scrape_interval):
        worst = max(worst, EXIT[finding.verdict])
        print(json.dumps(finding._asdict()) if arguments.json else _line(finding), flush=True)
    return worst


def _all(models: Sequence[Mapping[str, Any]], url: str, scrape_s: float) -> Iterator[Finding]:
    server = Server(url)
    try:
        at_s = server.now_s()
        for model in models:
            yield from findings(model, server, scrape_s, at_s)
    except NoAnswer as error:
        raise EnvironmentFault(f"{url.rpartition('@')[2]} {error}; is it a Prometheus, and does it run?") from None


def _line(finding: Finding) -> str:
    place = f"{finding.dashboard}: {finding.panel} {finding.ref}".rstrip()
    if finding.verdict == OK:
        return f"ok     {place}: {finding.series} series"
    return f"{finding.verdict:<5}  {place}: {finding.reason}\n           {' '.join(finding.expression.split())}"


def _read(path: str) -> Mapping[str, Any]:
    """A dashboard as Grafana exports it; its API wraps one."""
    try:
        with open(path, encoding="utf-8") as file:
            model = json.load(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}") from None
    if isinstance(model, dict) and "dashboard" in model:
        model = model["dashboard"]
    if not is_dashboard(model):
        raise ConfigError(f"{path}: is no dashboard: it has no list of panels")
    return model  # type: ignore[no-any-return]


def _duration(text: str) -> float:
    if not seconds(text):
        raise argparse.ArgumentTypeError("must be a duration such as 15s")
    return seconds(text)
