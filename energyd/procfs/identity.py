"""Who a process is: read once, at its birth, and again when it has become another program.

Outside truth: proc_pid_stat(5), proc_pid_status(5), proc_pid_cgroup(5), proc_pid_cmdline(5). The directory of the process is held
open meanwhile, so that all files speak of one process: a reused pid answers ESRCH there.

Law: a process is (pid, start_ticks). What could not be read is empty, what is gone is None; neither is an error.
"""

import os
from typing import Final, NamedTuple

from energyd.procfs.cgroup import Membership, Mount, parse_membership
from energyd.procfs.stat import Stat, parse_stat, text

ARGV_BYTES: Final = 8192
"""Longer command lines are cut: they stand in the labels of the ring, in memory. The longest that name a container or a virtual
machine do so within 8 KiB."""
_NOBODY_KNOWS: Final = -1


class Process(NamedTuple):
    """`uid` is the real one (whose process it is; -1 = unreadable); `argv` is empty for kernel threads and zombies."""

    pid: int
    stat: Stat
    argv: list[str]
    uid: int
    membership: Membership

    def entry(self) -> dict[str, object]:
        """What the labels of the ring say about it."""
        return {
            "kind": "process",
            "pid": self.pid,
            "start_ticks": self.stat.start_ticks,
            "comm": text(self.stat.comm),
            "argv": self.argv,
            "uid": self.uid,
            "ppid": self.stat.ppid,
            **self.membership.entry(),
        }


class Vitals(NamedTuple):
    stat: Stat
    membership: Membership


def read_process(procfs_root: str, pid: int, mounts: dict[str, Mount]) -> Process | None:
    """Everything about process `pid`; None when it has gone (or is hidden from us, proc(5) `hidepid`).

    PermissionError or ValueError when not even its stat file can be read: without a start time it has no identity.
    """
    try:
        directory = os.open(f"{procfs_root}/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        return Process(
            pid,
            parse_stat(_read("stat", directory)),
            [text(word) for word in _read_if_allowed("cmdline", directory, ARGV_BYTES).rstrip(b"\0").split(b"\0") if word],
            _real_uid(_read_if_allowed("status", directory)),
            parse_membership(_read_if_allowed("cgroup", directory), mounts),
        )
    except (FileNotFoundError, ProcessLookupError):
        return None
    finally:
        os.close(directory)


def read_stat(procfs_root: str, pid: int) -> Stat | None:
    """Of the process that has the pid now; None when there is none. Raises as `read_process` does."""
    try:
        return parse_stat(_read(f"{procfs_root}/{pid}/stat"))
    except (FileNotFoundError, ProcessLookupError):
        return None


def read_vitals(procfs_root: str, pid: int, mounts: dict[str, Mount]) -> Vitals | None:
    """What can change in a process that keeps its pid; None when there is none. Raises as `read_process` does."""
    try:
        stat = parse_stat(_read(f"{procfs_root}/{pid}/stat"))
        return Vitals(stat, parse_membership(_read_if_allowed(f"{procfs_root}/{pid}/cgroup"), mounts))
    except (FileNotFoundError, ProcessLookupError):
        return None


def _read(path: str, directory: int | None = None, size: int = 4096) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.read(descriptor, size)
    finally:
        os.close(descriptor)


def _read_if_allowed(path: str, directory: int | None = None, size: int = 4096) -> bytes:
    try:
        return _read(path, directory, size)
    except PermissionError:
        return b""


def _real_uid(status: bytes) -> int:
    for line in status.splitlines():
        if line.startswith(b"Uid:"):
            return int(line.split()[1])
    return _NOBODY_KNOWS
