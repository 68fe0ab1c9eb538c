"""What Scaphandre tells of a machine beside its energy, read when somebody asks: memory and disk traffic of processes, load, disks.

Outside truth: proc_pid_statm(5), proc_pid_io(5), proc_pid_stat(5), proc_stat(5), proc_loadavg(5), proc_pid_mounts(5). Who may not
read a file of another user's process (io needs CAP_SYS_PTRACE) leaves its figures out. Law: raw figures; nothing is remembered.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from energyd.units import NS_PER_S

DISK_TYPES: Final = ("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "vfat", "zfs")
_NS_PER_TICK: Final = NS_PER_S // os.sysconf("SC_CLK_TCK")
_UTIME, _STIME = 11, 12  # fields of /proc/PID/stat behind the name


class Memory(NamedTuple):
    virtual_bytes: int
    resident_bytes: int


class Traffic(NamedTuple):
    """What a process had its storage fetch and take, since it was started."""

    read_bytes: int
    written_bytes: int


class Disk(NamedTuple):
    name: str
    file_system: str
    mount_point: str
    total_bytes: int
    available_bytes: int


class Kernel(NamedTuple):
    """`/proc/stat`: how many CPUs work, and counts by the kernel's own names for them."""

    cpus: int
    counts: dict[str, int]


class Files:
    """The procfs at `root`."""

    def __init__(self, root: str, page_bytes: int, statvfs: Callable[[str], os.statvfs_result] = os.statvfs) -> None:
        self._root = Path(root)
        self._page_bytes = page_bytes
        self._statvfs = statvfs

    def memory(self, pid: str) -> Memory | None:
        """None if the process has gone."""
        try:
            virtual, resident = (self._root / pid / "statm").read_text().split()[:2]
        except (OSError, ValueError):
            return None
        return Memory(int(virtual) * self._page_bytes, int(resident) * self._page_bytes)

    def traffic(self, pid: str) -> Traffic | None:
        """None if the process has gone, or is another user's whose files we may not read."""
        try:
            lines = (self._root / pid / "io").read_text().splitlines()
            found = {name: int(value) for name, _, value in (line.partition(": ") for line in lines)}
            return Traffic(found["read_bytes"], found["write_bytes"])
        except (OSError, ValueError, KeyError):
            return None

    def cpu_ns(self, pid: str) -> int:
        """CPU time of a process in ticks; 0 if it has gone."""
        try:
            fields = (self._root / pid / "stat").read_text(errors="replace").rpartition(")")[2].split()
            return (int(fields[_UTIME]) + int(fields[_STIME])) * _NS_PER_TICK
        except (OSError, ValueError, IndexError):
            return 0

    def kernel(self) -> Kernel:
        try:
            lines = [line.split() for line in (self._root / "stat").read_text().splitlines()]
        except OSError:
            lines = []
        cpus = sum(1 for name, *_ in filter(None, lines) if name.startswith("cpu") and name != "cpu")
        return Kernel(cpus, {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()})

    def load_averages(self) -> list[float]:
        """Over 1, 5 and 15 minutes."""
        try:
            return list(map(float, (self._root / "loadavg").read_text().split()[:3]))
        except (OSError, ValueError):
            return []

    def disks(self) -> Iterator[Disk]:
        """Each mounted device once, where it was mounted first."""
        try:
            lines = (self._root / "self/mounts").read_text().splitlines()
        except OSError:
            return
        seen = set()
        for line in lines:
            device, mount_point, kind = line.split(" ")[:3]
            if kind not in DISK_TYPES or device in seen:
                continue
            seen.add(device)
            mount_point = mount_point.replace("\\040", " ")
            try:
                room = self._statvfs(mount_point)
            except OSError:  # a mount of another namespace, or one that hangs by a dead server
                continue
            yield Disk(device, kind, mount_point, room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize)
