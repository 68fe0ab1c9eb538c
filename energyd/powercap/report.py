"""`energyd zones`: what this machine counts, which of it is used, and why the rest is not; for people and as JSON."""

import argparse
import errno
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from energyd.errors import EXIT_ENVIRONMENT, EXIT_OK, ConfigError
from energyd.powercap.advice import explain
from energyd.powercap.choice import NAMES
from energyd.powercap.sources import Model, Places, sensor
from energyd.powercap.zone import NO_PACKAGE, Zone
from energyd.units import UJ_PER_J

COLUMNS = ("ZONE", "PACKAGE", "DIE", "SOURCE", "COUNTER", "RANGE", "MAX POWER", "READABLE", "USE")
SHOWN_MODEL = Model(0, 0)
"""Powers play no part in whether the model has a zone."""


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="energyd zones", description="List what this machine measures of its energy and power.")
    result.add_argument("--sysfs-root", default="/sys", metavar="DIR", help="what is mounted as /sys (default: %(default)s)")
    result.add_argument("--procfs-root", default="/proc", metavar="DIR", help="what is mounted as /proc (default: %(default)s)")
    result.add_argument(
        "--sources",
        default="auto",
        metavar="LIST",
        help="energy.sources, in order of preference: auto, or of " + ", ".join(NAMES) + " (default: %(default)s)",
    )
    result.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    return result


def main(argv: Sequence[str]) -> int:
    """`energyd zones [--sysfs-root DIR] [--procfs-root DIR] [--sources LIST] [--json]`; 0, or 111 when there is no zone."""
    options = parser().parse_args(argv)
    sysfs_root = options.sysfs_root.rstrip("/")
    root = f"{sysfs_root}/class/powercap"
    names = options.sources.split(",")
    if unknown := set(names) - {"auto", *NAMES}:
        raise ConfigError(f"--sources: unknown {', '.join(sorted(unknown))}; give auto, or of {', '.join(NAMES)}")
    found = sensor(names, Places(sysfs_root, options.procfs_root, root), SHOWN_MODEL, time.monotonic_ns)
    found.rescan()
    zones = found.zones
    found.close()
    advice = explain(zones, root, options.procfs_root)
    if options.json:
        print(json.dumps({"root": root, "zones": [as_json(zone) for zone in zones], "advice": advice}, indent=1))
    else:
        if zones:
            print(table(zones))
        for line in advice:
            print(line, file=sys.stderr)
    return EXIT_OK if zones else EXIT_ENVIRONMENT


def use_of(zone: Zone) -> str:
    """What becomes of the zone: summed into the host, shown beside it, or dropped and why; what would become of it, unreadable."""
    if zone.dropped:
        return f"dropped: {zone.dropped}"
    role = "summed into the host" if zone.additive else "shown, not summed"
    return f"unreadable; otherwise {role}" if zone.read_errno else role


def _readable(zone: Zone) -> str:
    return errno.errorcode.get(zone.read_errno, str(zone.read_errno)) if zone.read_errno else "yes"


def as_json(zone: Zone) -> dict[str, Any]:
    """The zone under the names of its fields, with `readable` and `used`; package is null where the zone belongs to none."""
    fields = zone._asdict()
    read_errno = fields.pop("read_errno")
    package = None if zone.package == NO_PACKAGE else zone.package
    error = _readable(zone) if read_errno else ""
    return fields | {"package": package, "readable": not read_errno, "error": error, "used": zone.used}


def table(zones: Sequence[Zone]) -> str:
    """One line a zone below a line of COLUMNS."""
    rows = [COLUMNS, *(_row(zone) for zone in zones)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def _row(zone: Zone) -> tuple[str, ...]:
    return (
        zone.name,
        "-" if zone.package == NO_PACKAGE else str(zone.package),
        str(zone.die),
        zone.source,
        zone.device,
        f"{zone.range_uj / UJ_PER_J:.0f} J" if zone.range_uj else "unknown" if zone.rangeless else "-",
        f"{zone.max_power_uw / UJ_PER_J:.0f} W" if zone.max_power_uw else "-",
        _readable(zone),
        use_of(zone),
    )
