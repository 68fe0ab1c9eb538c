"""`energyd top`: who uses the energy now, in the terminal, every second; needs no daemon.

Keys while it runs: `w` sort by watts, `j` by joules, `c` by CPU, `q` quit. Without a terminal it prints each table once after the
other, so that it can be piped.
"""

import argparse
import os
import re
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from energyd import configfile
from energyd.aggregate.snapshot import Process, Snapshot
from energyd.errors import EXIT_OK
from energyd.expressions import expression_flag
from energyd.service.clock import SYSTEM_CLOCK as CLOCK
from energyd.terminal import plain
from energyd.tools.localhost import Localhost
from energyd.tools.numbers import at_least, seconds
from energyd.tools.settings import current
from energyd.units import NS_PER_S, UJ_PER_J

EVERYBODY: Final = 100_000
"""More processes than a machine has: each is followed by its own name."""
SWEEPS: Final = 4  # of the energy counters between two tables
HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
ORDERS: Final[dict[str, Callable[["Row"], tuple[float, float]]]] = {  # without a power source, CPU time tells them apart
    "w": lambda row: (row.power_w, row.cpu_percent),
    "j": lambda row: (row.energy_j, row.cpu_percent),
    "c": lambda row: (row.cpu_percent, row.power_w),
}


class Row(NamedTuple):
    """One line of the table. `cpu_percent` is of one CPU, over the last second or more; joules are since the start."""

    name: str
    pid: str
    uid: str
    group: str
    power_w: float
    energy_j: float
    cpu_percent: float


def rows_of(shot: Snapshot, by: str, matching: re.Pattern[str], user: Callable[[int], str]) -> list[Row]:
    """Rows of everybody who matches, by `process`, `group`, `user` or `cgroup`, in no order. `user` names a uid."""
    if by == "group":
        told = [
            Row(group.group, "", "", group.environment, group.power_w, group.energy_uj / UJ_PER_J, 100 * group.busy_cpus)
            for group in shot.groups.visible
        ]
    else:
        told = [_row(process, by, user) for process in shot.processes.visible]
    summed: dict[tuple[str, str, str], Row] = {}
    for row in told:
        if matching.search(row.name):
            key = row.name, row.pid, row.group
            summed[key] = _sum(summed[key], row) if key in summed else row
    return list(summed.values())


def _row(process: Process, by: str, user: Callable[[int], str]) -> Row:
    figures = process.power_w, process.energy_uj / UJ_PER_J, 100 * process.busy_cpus
    if by == "cgroup":
        return Row(process.cgroup or "/", "", "", "", *figures)
    if by == "user":
        return Row(user(process.uid) or f"uid {process.uid}", "", "", "", *figures)
    return Row(process.comm, str(process.pid or ""), str(process.uid), process.group, *figures)


def _sum(one: Row, other: Row) -> Row:
    return one._replace(
        power_w=one.power_w + other.power_w,
        energy_j=one.energy_j + other.energy_j,
        cpu_percent=one.cpu_percent + other.cpu_percent,
    )


def table(
    shot: Snapshot, rows: Sequence[Row], order: str, size: tuple[int, int], advice: Sequence[str], last: str = "GROUP"
) -> list[str]:
    """The lines of one screen of `size` (columns, lines); `last` is the head of the last column."""
    columns, lines = size
    host = shot.host
    power = "no power source" if host.power_w is None else f"{host.power_w:.1f} W ({host.source})"
    zones = "  ".join(f"{zone.name} {zone.power_w:.1f} W" for zone in shot.zones if zone.power_w is not None)
    head = [f"energyd top: host {power}, {shot.processes.alive} processes", zones or (advice[0] if advice else ""), ""]
    head.append(f"{'W':>8} {'J':>10} {'CPU %':>6} {'PID':>7} {'UID':>6}  {'NAME':<15}  {last}")
    ordered = sorted(rows, key=ORDERS[order], reverse=True)[: max(1, lines - len(head) - 1)]
    measured = host.energy_uj is not None
    return [line[:columns] for line in [*head, *(_line(row, measured) for row in ordered)]]


def _line(row: Row, measured: bool) -> str:
    energy = f"{row.power_w:>8.2f} {row.energy_j:>10.2f}" if measured else f"{'-':>8} {'-':>10}"
    figures = f"{energy} {row.cpu_percent:>6.1f} {row.pid:>7} {row.uid:>6}"
    return f"{figures}  {plain(row.name):<15}  {plain(row.group)}".rstrip()


@contextmanager
def keys(interactive: bool) -> Iterator[Callable[[float], str]]:
    """A function that waits so many seconds for a key; '' when none came."""
    if not interactive:
        yield lambda seconds: CLOCK.sleep_until_ns(CLOCK.mono_ns() + round(seconds * NS_PER_S)) or ""
        return
    descriptor = sys.stdin.fileno()
    saved = termios.tcgetattr(descriptor)

    def key(seconds: float) -> str:
        return os.read(descriptor, 1).decode("ascii", "replace") if select.select([descriptor], [], [], seconds)[0] else ""

    try:
        tty.setcbreak(descriptor)
        yield key
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, saved)
        print()


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="energyd top", description="Who uses the energy now; keys: w, j, c sort; q quits.")
    configfile.add_flags(result)
    result.add_argument(
        "--by", choices=("process", "group", "user", "cgroup"), default="process", help="what a line is (default: process)"
    )
    result.add_argument("--sort", choices=tuple(ORDERS), default="w", help="w: watts, j: joules, c: CPU (default: w)")
    result.add_argument("--filter", type=expression_flag, default="", metavar="REGEX", help="only names that match")
    result.add_argument("--interval", type=seconds, default=1.0, metavar="S", help="seconds between tables (default: 1)")
    result.add_argument("--count", type=at_least(1), metavar="N", help="stop after N tables")
    return result


def main(argv: Sequence[str]) -> int:
    arguments = parser().parse_args(argv)
    host = Localhost(current(arguments), top=EVERYBODY)
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    try:
        with keys(interactive) as key:
            _show(host, arguments, arguments.filter, key, interactive)
    finally:
        host.close()
    return EXIT_OK


def _show(
    host: Localhost, arguments: argparse.Namespace, matching: re.Pattern[str], key: Callable[[float], str], interactive: bool
) -> None:
    order, shown = arguments.sort, 0
    host.sweep(every=True)
    host.scan()
    while arguments.count is None or shown < arguments.count:
        for _ in range(SWEEPS):
            pressed = key(arguments.interval / SWEEPS)
            order = pressed if pressed in ORDERS else order
            if pressed == "q":
                return
            host.sweep()
        host.scan()
        host.sweep(every=True)  # what was scanned is settled only when every zone has been read after it
        shot = host.snapshot()
        columns, height = os.get_terminal_size() if interactive else (200, 40)
        rows = rows_of(shot, arguments.by, matching, host.user)
        last = "ENVIRONMENT" if arguments.by == "group" else "GROUP"
        lines = table(shot, rows, order, (columns, height), host.why_no_power(), last)
        if interactive:
            print(HOME + "".join(line + CLEAR_LINE + "\n" for line in lines) + CLEAR_BELOW, end="", flush=True)
        else:
            print("\n".join(lines), flush=True)
        shown += 1
