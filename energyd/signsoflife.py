"""Signs of life of the supervised programs, and how long each has given none.

A reader stamps the header of its ring. The aggregator, which has no ring, sends the datagrams of sd_notify(3) from its loop to a
socket of ours, as it sends them to systemd under systemd. Law: silence is counted in time in which the supervisor itself ran: that
a machine was paused, or the supervisor stopped, is no program's fault.
"""

import os
import socket
from pathlib import Path
from typing import Final, NamedTuple

from energyd import rundir
from energyd.units import NS_PER_S

LONGEST_LOOK_NS: Final = 2 * NS_PER_S
"""Looks are a second apart. Of a longer gap no more than this counts: we were not there."""


class Patience(NamedTuple):
    """How many seconds of silence are too many: before the first sign of life, and after it."""

    start_s: int
    silence_s: int


READER: Final = Patience(10, 10)
NOTIFIER: Final = Patience(90, 30)
"""It first replays what the rings hold, for which systemd waits as long; and its loop writes to a disk, which may be slow."""


class NotifySocket:
    """Where the aggregator's notifications arrive."""

    def __init__(self, run_dir: str) -> None:
        """Raises OSError when `run_dir` cannot be written, or its path is too long for a socket (107 bytes)."""
        path = rundir.notify_socket(run_dir)
        Path(path).unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(path)
        os.chmod(path, 0o600)
        self._count = 0

    def count(self) -> int:
        """How many notifications have ever arrived."""
        while True:
            try:
                self._socket.recv(4096)
            except BlockingIOError:
                return self._count
            self._count += 1

    def close(self) -> None:
        self._socket.close()


class Silence:
    """Of one start of one program. A sign is a number that changes as long as it lives; None: there is nothing to judge it by."""

    def __init__(self, sign: int | None, patience: Patience) -> None:
        """`sign`: as its predecessor left it."""
        self._sign = sign
        self._patience_s = patience.start_s
        self._patience = patience
        self._silent_ns = 0

    def look(self, sign: int | None, elapsed_ns: int) -> float | None:
        """The seconds of silence once they are too many, else None. `elapsed_ns`: since the last look at all programs."""
        if sign is None or sign != self._sign:
            self._sign = sign
            self._patience_s = self._patience.silence_s
            self._silent_ns = 0
            return None
        self._silent_ns += min(elapsed_ns, LONGEST_LOOK_NS)
        if self._silent_ns <= self._patience_s * NS_PER_S:
            return None
        silent_s, self._silent_ns = self._silent_ns / NS_PER_S, 0
        return silent_s
