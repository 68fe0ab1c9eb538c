"""Finds the directory for rings: they must lie in memory, for a disk would be written ten times a second and wear out.

Outside truth: proc_pid_mountinfo(5), whose third field is the st_dev of every file of that mount.
"""

import os
import stat
from pathlib import Path
from typing import Final

from energyd.errors import EnvironmentFault

DIRECTORY_MODE: Final = 0o750


def resolve_run_dir(
    wanted: str | Path,
    *,
    shared_memory: Path = Path("/dev/shm"),
    mountinfo_path: Path = Path("/proc/self/mountinfo"),
) -> tuple[Path, str | None]:
    """The directory that rings go to, made if need be, and a message for the user when it is not the one that was `wanted`.

    Falls back to /dev/shm/energyd-UID. Raises EnvironmentFault when neither is a tmpfs directory that we can write.
    """
    wanted = Path(wanted)
    try:
        mountinfo = mountinfo_path.read_text("utf-8", "backslashreplace")
    except OSError as fault:
        raise EnvironmentFault(
            f"{mountinfo_path}: {fault.strerror}; mount /proc, it tells which directories are on a tmpfs"
        ) from fault
    objection = _prepare(wanted, mountinfo)
    if objection is None:
        return wanted, None
    fallback = shared_memory / f"energyd-{os.geteuid()}"
    second_objection = _prepare(fallback, mountinfo) or _make_ours(fallback)
    if second_objection is not None:
        raise EnvironmentFault(
            f"no place for rings: run_dir {wanted} {objection}, {fallback} {second_objection}; "
            f"mount one (mount -t tmpfs -o size=64m,mode=0750 tmpfs {wanted}) or set run_dir to a directory on a tmpfs"
        )
    return fallback, f"run_dir {wanted} {objection}: rings are in {fallback}"


def filesystem_of(device: int, mountinfo: str) -> str | None:
    """The type of the mounted file system whose files have st_dev `device`; None when no mount is listed for it."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in mountinfo.splitlines():
        mount, _, filesystem = line.partition(" - ")
        if mount.split(" ", 3)[2:3] == [wanted]:
            return filesystem.split(" ", 1)[0]
    return None


def _filesystem_at(directory: Path, mountinfo: str) -> str | None:
    existing = directory.absolute()
    while not existing.exists():
        existing = existing.parent
    return filesystem_of(existing.stat().st_dev, mountinfo)


def _prepare(directory: Path, mountinfo: str) -> str | None:
    """Make `directory` unless it exists; what speaks against it, to stand after its name, or None."""
    try:
        filesystem = _filesystem_at(directory, mountinfo)
        if filesystem != "tmpfs":
            return f"is not on a tmpfs ({filesystem or 'of unknown type'})"
        if not os.path.lexists(directory):
            directory.mkdir(DIRECTORY_MODE, parents=True)
            directory.chmod(DIRECTORY_MODE)
    except OSError as fault:
        return f"cannot be used ({fault.strerror})"
    if not directory.is_dir():
        return "is not a directory"
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"cannot be written by uid {os.geteuid()}"
    return None


def _make_ours(directory: Path) -> str | None:
    """In /dev/shm anybody can make a directory of that name: it must be a real one, our own, and closed to others."""
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        return "is a link or belongs to another user"
    directory.chmod(DIRECTORY_MODE)
    return None
