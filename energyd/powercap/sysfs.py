"""How attribute files of sysfs are read: one open, one pread, and an errno instead of an exception.

A sysfs attribute is at most a page and is made anew by each read at offset 0 (Documentation/filesystems/sysfs.rst), so a
descriptor can be kept and read again without seeking. Any of these files may fail alone: EACCES (Linux shows energy_uj to root
only since 5.10), EINVAL (the register cannot be read), ENODATA (no such limit), ENODEV (the device has gone, the descriptor is
dead). The law: a failure is a value that belongs to one file, never an exception that ends a sweep.
"""

import errno
import os
import time
from collections.abc import Callable
from typing import NamedTuple

NUMBER_SIZE = 32  # a u64 in decimal and its newline are 21 bytes
TEXT_SIZE = 256
U64_MAX = (1 << 64) - 1


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


class Sysfs(NamedTuple):
    """The system calls that reading takes; tests hand in others."""

    open: Callable[[str], int] = _open
    pread: Callable[[int, int, int], bytes] = os.pread
    sleep: Callable[[float], None] = time.sleep

    def text(self, path: str) -> str:
        """The stripped content of `path`, '' when it cannot be read."""
        try:
            fd = self.open(path)
        except OSError:
            return ""
        try:
            return self.pread(fd, TEXT_SIZE, 0).decode("utf-8", "backslashreplace").strip()
        except OSError:
            return ""
        finally:
            os.close(fd)

    def number(self, path: str) -> tuple[int, int]:
        """(the unsigned number in `path`, 0), or (0, errno) when it cannot be read or is no such number."""
        try:
            fd = self.open(path)
        except OSError as error:
            return 0, error.errno or errno.EIO
        try:
            return parse_number(self.pread(fd, NUMBER_SIZE, 0)), 0
        except OSError as error:
            return 0, error.errno or errno.EIO
        finally:
            os.close(fd)


def parse_number(text: bytes) -> int:
    """An unsigned 64-bit number in decimal; OSError(EBADMSG) for anything else, so that both faults take one path."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number <= U64_MAX:
        raise OSError(errno.EBADMSG, f"not an unsigned 64-bit number: {text!r}")
    return number
