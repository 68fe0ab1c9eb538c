"""One process at a time writes in a directory: its file `lock`, by flock(2), which the kernel releases whatever the end."""

import errno
import fcntl
import os

from energyd.errors import EnvironmentFault

LOCK = "lock"
NOT_HELD = -1


def hold(directory: str) -> int:
    """A descriptor that holds the directory until it is closed; NOT_HELD where a read-only disk has no such file and takes none.

    EnvironmentFault when another process holds it, OSError when the file cannot be made.
    """
    path = os.path.join(directory, LOCK)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return NOT_HELD
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if not isinstance(error, BlockingIOError):
            raise
        raise EnvironmentFault(
            f"{directory} belongs to another energyd that runs; stop it, or give this one a state_dir of its own"
        ) from None
    return descriptor
