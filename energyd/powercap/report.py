"""`energyd zones`: what this machine counts, which of it is used, and why the rest is not; for people and as JSON."""

import argparse
import errno
import json
import sys
from collections.abc import Sequence
from typing import Any

from energyd.errors import EXIT_ENVIRONMENT, EXIT_OK
from energyd.powercap.advice import cpu_vendor, explain
from energyd.powercap.duplicates import discover
from energyd.powercap.zones import NO_PACKAGE, Zone
from energyd.units import UJ_PER_J

COLUMNS = ("ZONE", "PACKAGE", "DIE", "SOURCE", "RANGE", "MAX POWER", "READABLE", "USE")


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="energyd zones", description="List the RAPL zones of this machine.")
    result.add_argument("--sysfs-root", default="/sys", metavar="DIR", help="what is mounted as /sys (default: %(default)s)")
    result.add_argument("--procfs-root", default="/proc", metavar="DIR", help="what is mounted as /proc (default: %(default)s)")
    result.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    return result


def main(argv: Sequence[str]) -> int:
    """`energyd zones [--sysfs-root DIR] [--procfs-root DIR] [--json]`; 0, or 111 when there is no zone."""
    options = parser().parse_args(argv)
    root = f"{options.sysfs_root.rstrip('/')}/class/powercap"
    zones = discover(root, cpu_vendor(options.procfs_root))
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
    """What becomes of the zone: summed into the host, shown beside it, or dropped and why."""
    if zone.dropped:
        return f"dropped: {zone.dropped}"
    return "summed into the host" if zone.additive else "shown, not summed"


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
        zone.device,
        f"{zone.range_uj / UJ_PER_J:.0f} J" if zone.range_uj else "unknown",
        f"{zone.max_power_uw / UJ_PER_J:.0f} W" if zone.max_power_uw else "-",
        _readable(zone),
        use_of(zone),
    )
