"""Signal handlers that only record; the loop decides. Also the guard against outliving one's supervisor."""

import os
import signal
from types import FrameType

PARENT_VARIABLE = "ENERGYD_PARENT"


class Stop:
    """True once SIGTERM or SIGINT has come, or once the supervisor named in ENERGYD_PARENT is no longer our parent.

    The parent is compared instead of asking the kernel for a death signal: it costs one system call a tick and needs no ctypes.
    A program that is stopped at that moment cannot look; the kernel hangs up on it and continues it, because its process group has
    become an orphan (setpgid(2)), unless who inherits it is of the same session: a shell that is the first process of a container.
    """

    def __init__(self) -> None:
        self._requested = False
        parent = os.environ.get(PARENT_VARIABLE, "")
        self._parent_pid = int(parent) if parent.isdigit() else None

    @classmethod
    def on_signals(cls) -> "Stop":
        stop = cls()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop._handle)
        return stop

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._requested = True

    def request(self) -> None:
        self._requested = True

    def __bool__(self) -> bool:
        if self._parent_pid is not None and os.getppid() != self._parent_pid:
            self._requested = True
        return self._requested
