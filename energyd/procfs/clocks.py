"""The CPU clock of another process: nanoseconds of all its threads, dead ones too, without opening a file.

Outside truth: a POSIX clock id holds the complemented process id in its upper 29 bits, and 2 (CPUCLOCK_SCHED, per process) in
the lower three (include/linux/posix-timers.h; clock_getcpuclockid(3) makes the same number). The kernel checks no credentials,
but asks that the pid leads a thread group: other thread ids, and processes that are reaped, answer EINVAL. The only exception
is the caller's own thread id, and the reader has one thread. A pid means what it means in the caller's own PID namespace.

Law: a reading is a raw counter or GONE; nothing here remembers anything.
"""

import os
import time
from collections.abc import Callable
from typing import Final

GONE: Final = -1
"""Instead of a reading: no process has this pid. Less than any reading, so a death is also a counter that fell."""

CpuReader = Callable[[list[int]], list[int]]
"""Takes handles of processes, returns for each its cumulative CPU time in ns, or GONE."""


def clock_id(pid: int) -> int:
    """The id of the CPU-time clock of process `pid`."""
    return (~pid << 3) | 2


def read_clock(clock: int) -> int:
    """Cumulative CPU time of one process in ns, or GONE."""
    try:
        return time.clock_gettime_ns(clock)
    except OSError:
        return GONE


def read_clocks(clocks: list[int]) -> list[int]:
    """Cumulative CPU time in ns, or GONE, for each clock id. 0.5 to 1 us each while all live; one death costs a second pass."""
    try:
        return list(map(time.clock_gettime_ns, clocks))
    except OSError:
        return list(map(read_clock, clocks))


def clocks_reach(procfs_root: str) -> bool:
    """Whether the pids under `procfs_root` are those that our clocks mean: a procfs of our own PID namespace.

    NSpid in `self/status` has one pid for each namespace from the mount's down to our own (proc_pid_status(5)): a single one, ours,
    is the same namespace. A tree without `self` is not a procfs that knows us. Pid 1 must answer: sandboxes may lack such clocks.
    """
    try:
        with open(f"{procfs_root}/self/status", "rb") as file:
            nspids = next((line.split()[1:] for line in file if line.startswith(b"NSpid:")), None)
        if nspids is None:  # before Linux 4.1
            nspids = [os.fsencode(os.readlink(f"{procfs_root}/self"))]
    except OSError:
        return False
    return nspids == [b"%d" % os.getpid()] and read_clock(clock_id(1)) != GONE
