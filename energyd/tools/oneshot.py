"""`energyd json`: one look at this machine as one JSON object, without a daemon.

The shape is that of Scaphandre's json exporter (host, consumers, sockets with domains; consumption in microwatts, timestamps in
Unix seconds), so that what reads one reads the other; each object also has `power_w`, and the host says its `source`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from energyd import configfile
from energyd.aggregate.snapshot import Process, Snapshot, Zone
from energyd.errors import EXIT_OK
from energyd.service.clock import SYSTEM_CLOCK as CLOCK
from energyd.tools import numbers
from energyd.tools.localhost import Localhost
from energyd.tools.settings import current
from energyd.units import NS_PER_S

UW_PER_W: Final = 1_000_000
SWEEPS_PER_S: Final = 10


def consumption(power_w: float | None) -> dict[str, float | None]:
    return {"consumption": None if power_w is None else round(power_w * UW_PER_W), "power_w": power_w}


def describe(shot: Snapshot, advice: Sequence[str]) -> dict[str, Any]:
    """The Snapshot in Scaphandre's words."""
    at_s = shot.real_ns / NS_PER_S
    measured = shot.host.energy_uj is not None
    processes = sorted(shot.processes.visible, key=lambda process: (-process.power_w, -process.cpu_ns))
    packages = [zone for zone in shot.zones if zone.domain == "package"]
    return {
        "host": {**consumption(shot.host.power_w), "timestamp": at_s, "source": shot.host.source or None, "no_power": list(advice)},
        "consumers": [_consumer(process, at_s, measured) for process in processes],
        "other": consumption(shot.processes.other_power_w if measured else None),
        "sockets": [_socket(number, package, shot.zones, at_s) for number, package in enumerate(packages)],
    }


def _consumer(process: Process, at_s: float, measured: bool) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "exe": process.comm,
        "cmdline": process.cmdline,
        "cgroup": process.cgroup,
        "group": process.group,
        "environment": process.environment,
        "cpu_s": process.cpu_ns / NS_PER_S,
        **consumption(process.power_w if measured else None),
        "timestamp": at_s,
    }


def _socket(number: int, package: Zone, zones: Sequence[Zone], at_s: float) -> dict[str, Any]:
    domains = [
        {"name": zone.domain, **consumption(zone.power_w), "timestamp": at_s} for zone in zones if zone.parent == package.name
    ]
    return {"id": number, "name": package.name, **consumption(package.power_w), "domains": domains, "timestamp": at_s}


def watch(host: Localhost, seconds: float) -> Snapshot:
    """Sample for so long, with a scan of the processes at both ends, and say what was seen."""
    host.sweep(every=True)
    host.scan()
    begin_ns = CLOCK.mono_ns()
    for tick in range(1, max(1, round(seconds * SWEEPS_PER_S)) + 1):
        CLOCK.sleep_until_ns(begin_ns + tick * NS_PER_S // SWEEPS_PER_S)
        host.sweep()
    host.scan()
    host.sweep(every=True)
    return host.snapshot()


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="energyd json", description="One look at this machine as JSON; needs no daemon.")
    configfile.add_flags(result)
    result.add_argument("--seconds", type=numbers.seconds, default=1.0, metavar="S", help="how long to look (default: 1)")
    result.add_argument("--top", type=numbers.at_least(0), default=10, metavar="N", help="how many processes to name (default: 10)")
    return result


def main(argv: Sequence[str]) -> int:
    arguments = parser().parse_args(argv)
    host = Localhost(current(arguments), top=arguments.top)
    try:
        shot = watch(host, arguments.seconds)
        advice = host.why_no_power()
    finally:
        host.close()
    json.dump(describe(shot, advice), sys.stdout)
    print()
    return EXIT_OK
