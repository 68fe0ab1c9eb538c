"""A serial line made of a pty: bytes at the speed of the line, lost where a line loses them.

A pty passes bytes at once, so they are held back here: a group is handed over when its last bit would have arrived (ten bits a
byte), by absolute deadlines, in pieces of at most 50 ms. While nobody has the terminal open, bytes are dropped, and whoever opens
it hears nothing old; a reader that stalls loses what the terminal's buffer cannot hold. The terminal is raw from the start: Linux
keeps its settings as long as the master side lives (pty(7)), so no slave side stays open here, and a hang-up on the master tells
that nobody listens.
"""

import array
import fcntl
import os
import select
import termios
import tty
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final

from energyd.errors import EnvironmentFault
from energyd.service.clock import Clock
from energyd.simulate.frames import BITS_PER_BYTE, CR
from energyd.units import NS_PER_S

PIECE_NS: Final = 50_000_000
NAP_NS: Final = 200_000_000  # how late a signal may be noticed: time.sleep goes on after one (PEP 475)
_CARRIAGE_RETURNS: Final = (CR, CR | 0x80)


def duration_ns(size: int, baud: float) -> int:
    """How long a line takes for `size` bytes."""
    return round(size * BITS_PER_BYTE * NS_PER_S / baud)


def pieces(data: bytes, baud: float) -> Iterator[bytes]:
    """`data` cut after each carriage return, and so that no piece takes longer than 50 ms (but one byte, if need be)."""
    limit = max(1, int(PIECE_NS * baud / (BITS_PER_BYTE * NS_PER_S)))
    begin = 0
    for end, byte in enumerate(data, 1):
        if byte in _CARRIAGE_RETURNS or end - begin == limit:
            yield data[begin:end]
            begin = end
    if begin < len(data):
        yield data[begin:]


class Pace:
    """Waits and sends by the deadlines of a clock that runs at `rate` times the machine's, until `stop` is true."""

    def __init__(self, clock: Clock, stop: object, rate: float = 1.0) -> None:
        self.clock = clock
        self.stop = stop
        self._nap_ns = round(NAP_NS * rate)

    def until(self, mono_ns: int) -> None:
        """Return at `mono_ns`, or early when told to stop."""
        while not self.stop:
            now_ns = self.clock.mono_ns()
            if now_ns >= mono_ns:
                return
            self.clock.sleep_until_ns(min(mono_ns, now_ns + self._nap_ns))

    def send(self, write: Callable[[bytes], None], data: bytes, begin_ns: int, baud: float) -> int:
        """Write `data` as a line that began at `begin_ns` would deliver it; returns when its last bit has passed."""
        sent = 0
        for piece in pieces(data, baud):
            sent += len(piece)
            self.until(begin_ns + duration_ns(sent, baud))
            if self.stop:
                break
            write(piece)
        return begin_ns + duration_ns(sent, baud)


class Line:
    """A pty whose far side is the symbolic link `link`; as a context manager it removes the link at the end.

    Raises EnvironmentFault when there is no pty to be had or the link cannot be made.
    """

    def __init__(self, link: str) -> None:
        self.link = link
        self.dropped_bytes = 0
        self._listened = False
        try:
            self._master, slave = os.openpty()
        except OSError as error:
            raise EnvironmentFault(f"no pseudo-terminal: {error.strerror}; is /dev/pts mounted?") from error
        tty.setraw(slave)
        self.device = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self._master, False)
        self._poll = select.poll()
        self._poll.register(self._master, 0)
        self._make_link()

    def _make_link(self) -> None:
        if os.path.lexists(self.link) and not os.path.islink(self.link):
            raise EnvironmentFault(f"{self.link} exists and is no symbolic link; name another --link or remove it")
        new = f"{self.link}.{os.getpid()}.new"
        try:
            os.symlink(self.device, new)
            os.replace(new, self.link)
        except OSError as error:
            raise EnvironmentFault(f"cannot make the link {self.link}: {error.strerror}") from error

    def listened(self) -> bool:
        """Whether somebody has the terminal open."""
        return not self._poll.poll(0)

    def write(self, data: bytes) -> None:
        """Hand `data` over, or drop what nobody hears; never blocks."""
        listened = self.listened()
        if listened:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                pass
        elif self._listened:
            self._forget()
        self._listened = listened
        self.dropped_bytes += len(data)

    def unread(self) -> int:
        """Bytes that were handed over and not yet read, as far as the terminal tells (at most 4095)."""
        count = array.array("i", [0])
        slave = os.open(self.device, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            fcntl.ioctl(slave, termios.FIONREAD, count)
        finally:
            os.close(slave)
        return count[0]

    def _forget(self) -> None:
        slave = os.open(self.device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        termios.tcflush(slave, termios.TCIFLUSH)
        os.close(slave)

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        try:
            if os.readlink(self.link) == self.device:  # another simulator may have taken the name over
                os.unlink(self.link)
        except OSError:
            pass
        os.close(self._master)
