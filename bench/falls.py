"""Counters of processes that fall, told apart from those of another process that got the same pid.

The kernel gives a pid out again once it has counted to pid_max, and a new process with the command, group and user of the old one
has its labels too: its counters begin anew in the same series, which Prometheus rightly takes for a reset. The pid with the time of
its start (field 22 of proc_pid_stat(5)) is one process for ever, so its counters must not fall.
"""

import os
import re
import time
from collections.abc import Callable
from typing import Final

LAG_S: Final = 5.0
"""Who was born that long before a page cannot be mistaken for the predecessor that the page may still show."""

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_COUNTER: Final = re.compile(r'^(energyd_\w+_total\{pid="(\d+)"(?:[^"}]|"(?:[^"\\]|\\.)*")*\}) (\S+)', re.MULTILINE)


def started_s(pid: int) -> float | None:
    """Seconds from the boot to the start of a process; None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[19]) / _TICKS_PER_S
    except (OSError, IndexError):
        return None


def since_boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Falls:
    """What was seen on page after page."""

    def __init__(self, started: Callable[[int], float | None] = started_s) -> None:
        self._started = started
        self._last: dict[tuple[str, float], float] = {}
        self._starts: dict[str, float] = {}
        self.compared = 0
        self.reborn = 0  # series that went on with another process
        self.found: list[str] = []

    def look(self, page: str, at_s: float) -> None:
        """Compare the counters of `page`, which was asked for `at_s` after the boot; the processes are asked for now."""
        for series, pid, value in _COUNTER.findall(page):
            start_s = self._started(int(pid))
            if start_s is None or start_s > at_s - LAG_S:
                continue
            self.reborn += self._starts.get(series, start_s) != start_s
            self._starts[series] = start_s
            last = self._last.get((series, start_s))
            self._last[series, start_s] = float(value)
            if last is not None:
                self.compared += 1
                if float(value) < last:
                    self.found.append(f"{series} from {last:g} to {value}")
