"""Which processes are new: the pid given out last tells where to look, so /proc is listed only now and then.

Outside truth: the kernel gives out pids in a circle, processes and threads alike, and the last field of /proc/loadavg is the
newest (proc_loadavg(5), alloc_pid() in kernel/pid.c); one that is being forked has its pid some microseconds before it can
be found. Measured: the file costs 1.5 us, a probe 0.5 to 1.7 us, a listing 1.2 to 2 us a process.

Law: every process that lives longer than a scan is found, except within the fork: those are looked for once more in the next
scan, and the listing finds whatever went by, such as pids chosen by clone3(2) set_tid.
"""

import os
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from energyd.errors import ConfigError
from energyd.procfs.clocks import GONE, clock_id, read_clock
from energyd.procfs.stat import parse_last_pid

IN_FLIGHT: Final = 16
"""Of the pids that did not answer, so many of the newest are probed again in the next scan: each CPU can be within one fork."""


class Found(NamedTuple):
    """`new`: pids that may be new processes. `renewed`: known pids that were given out since the last call, that is, reused."""

    new: list[int]
    renewed: list[int]


def list_pids(procfs_root: str) -> list[int]:
    """Every process that has a directory."""
    return [int(name) for name in os.listdir(procfs_root) if name.isdigit()]


def count_processes(procfs_root: str) -> int:
    """How many there are; ConfigError where there is no procfs."""
    try:
        return len(list_pids(procfs_root))
    except OSError as error:
        raise ConfigError(f"procfs_root {procfs_root}: {error.strerror}; mount a procfs there or correct the key") from error


def tells_newest_pid(procfs_root: str) -> bool:
    """Whether /proc/loadavg is the kernel's own: lxcfs puts a file of its own over it, which lies on another device."""
    path = f"{procfs_root}/loadavg"
    try:
        with open(path, "rb") as file:
            return parse_last_pid(file.read()) > 0 and os.stat(path).st_dev == os.stat(procfs_root).st_dev
    except (OSError, ValueError, IndexError):
        return False


class ListingDiscovery:
    """Lists the directory at every scan: where the newest pid is not told, as by the procfs of another PID namespace."""

    def __init__(self, procfs_root: str) -> None:
        self._root = procfs_root

    def find(self, known: Collection[int], _listing: bool) -> Found:
        return Found([pid for pid in list_pids(self._root) if pid not in known], [])


class CursorDiscovery:
    """Probes the pids that were given out since the last scan. `read_loadavg` returns the content of /proc/loadavg."""

    def __init__(self, procfs_root: str, read_loadavg: Callable[[], bytes]) -> None:
        self._root = procfs_root
        self._read_loadavg = read_loadavg
        self._last = 0
        self._unanswered: list[int] = []

    def find(self, known: Collection[int], listing: bool) -> Found:
        """What is new to the `known` pids. Lists /proc when told to, after a wrap, or where that is cheaper than probing."""
        last, newest = self._last, parse_last_pid(self._read_loadavg())
        self._last = newest
        if newest == last and not self._unanswered and not listing:
            return Found([], [])
        if listing or newest < last or newest - last > max(IN_FLIGHT, len(known)):
            self._unanswered = []
            listed = list_pids(self._root)
            new = [pid for pid in listed if pid not in known]
            return Found(new, [pid for pid in listed if pid in known and _given_out(pid, last, newest)] if last else [])
        fresh = range(last + 1, newest + 1)
        probed = [pid for pid in (*self._unanswered, *fresh) if pid not in known]
        new = [pid for pid in probed if read_clock(clock_id(pid)) != GONE]
        self._unanswered = sorted(set(fresh).difference(known, new))[-IN_FLIGHT:]
        return Found(new, [pid for pid in fresh if pid in known])


def _given_out(pid: int, last: int, newest: int) -> bool:
    """Whether `pid` was given out after `last` and not after `newest`, on the circle of pids."""
    return last < pid <= newest if last <= newest else pid > last or pid <= newest
