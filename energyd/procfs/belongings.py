"""What control groups have besides CPU time and memory: disk traffic, and the network interfaces of a namespace of their own.

Outside truth: cgroup-v2.rst (`io.stat`), cgroup-v1/blkio-controller.rst (`blkio.throttle.io_service_bytes`, which the groups below
do not count in), network_namespaces(7). /proc/PID/net/dev is that of the namespace of PID, and each namespace has an inode of its
own for it: readlink of ns/net would say the same but asks for CAP_SYS_PTRACE, this only for the right to see the process
(no hidepid=). The file is closed at once, because an open one keeps the namespace alive.

Law: a namespace belongs to the control group in which it was first seen, as long as a process of it is there.
"""

import os
from collections.abc import Iterable
from typing import Final

from energyd.procfs.cgroup import CPUACCT, V2, Mount
from energyd.procfs.devices import parse_interfaces
from energyd.procfs.figures import FigureScan, Values
from energyd.procfs.files import CounterFiles, read_once
from energyd.procfs.scan import Sample, Sink
from energyd.procfs.stat import text
from energyd.procfs.table import ProcessTable

Group = tuple[str, bytes]

MAX_NAMESPACES: Final = 512
_V1_OPERATIONS: Final = (b"Read", b"Write")


def parse_io(hierarchy: str, data: bytes) -> Values:
    """Bytes read and written on all devices together; ValueError when it is no such file."""
    read_bytes = written_bytes = 0
    for line in data.splitlines():
        _, *figures = line.split()
        if hierarchy == V2:
            told = dict(figure.split(b"=", 1) for figure in figures if b"=" in figure)
            read_bytes += int(told.get(b"rbytes", 0))
            written_bytes += int(told.get(b"wbytes", 0))
        elif figures and figures[0] in _V1_OPERATIONS:
            read_bytes += int(figures[1]) if figures[0] == b"Read" else 0
            written_bytes += int(figures[1]) if figures[0] == b"Write" else 0
    return read_bytes, written_bytes


class DiskTraffic:
    """By control group; those that never had any are left out."""

    def __init__(self, mounts: dict[str, Mount], files: CounterFiles, sink: Sink) -> None:
        self._mounts = {V2: (mounts.get(V2), b"/io.stat"), CPUACCT: (mounts.get("blkio"), b"/blkio.throttle.io_service_bytes")}
        self._files = files
        self._sink = sink
        self._paths: dict[Group, bytes | None] = {}  # None: no controller there
        self._figures = FigureScan(_disk_entry, sink)

    def scan(self, groups: Iterable[Group], keyframe: bool) -> list[Sample]:
        if keyframe:  # a controller may have been switched on meanwhile
            self._paths = {group: path for group, path in self._paths.items() if path is not None}
        wanted = set(groups)
        for group in self._paths.keys() - wanted:
            self._forget(group)
        mono_ns = self._sink.mono_ns()
        found: dict[Group, Values] = {}
        for group in wanted:
            values = self._read(group)
            if values is not None and any(values):
                found[group] = values
        return self._figures.scan(found, keyframe, mono_ns)

    def relabel(self) -> None:
        self._figures.relabel()

    def _read(self, group: Group) -> Values | None:
        if group not in self._paths:
            mount, name = self._mounts[group[0]]
            directory = mount.directory(group[1]) if mount else None
            self._paths[group] = None if directory is None else directory + name
        path = self._paths[group]
        if path is None:
            return None
        try:
            return parse_io(group[0], self._files.read_whole(path))
        except (OSError, ValueError):  # removed, or without the controller, which is no fault
            self._forget(group)
            self._paths[group] = None
            return None

    def _forget(self, group: Group) -> None:
        path = self._paths.pop(group)
        if path is not None:
            self._files.forget(path)


class Networks:
    """The namespaces other than the machine's, each read through one of its processes."""

    def __init__(self, procfs_root: str, table: ProcessTable, sink: Sink) -> None:
        self._root = os.fsencode(procfs_root)
        self._table = table
        self._sink = sink
        self._speakers: dict[Group, int] = {}  # the pid that is asked for the namespace of its group
        self._inodes: dict[Group, int] = {}
        self._figures = FigureScan(_interface_entry, sink)
        self._owner: dict[int, Group] = {}  # of a namespace
        self.read_errors = 0

    def scan(self, keyframe: bool) -> list[Sample]:
        """All of them. With `keyframe` every group is asked anew, because processes can change their namespace."""
        self._choose_speakers()
        if keyframe:
            self._inodes.clear()
        for group, pid in self._speakers.items():
            inode = self._inode(pid) if group not in self._inodes else None
            if inode is not None:
                self._inodes[group] = inode
        found: dict[tuple[Group, int, bytes], Values] = {}
        mono_ns = self._sink.mono_ns()
        for inode, group in self._own().items():
            for name, values in self._read(self._speakers[group]).items():
                found[group, inode, name] = values
        return self._figures.scan(found, keyframe, mono_ns)

    def relabel(self) -> None:
        self._figures.relabel()

    def _choose_speakers(self) -> None:
        position, tracked = self._table.position, self._table.tracked
        for group, pid in list(self._speakers.items()):
            if pid not in position or tracked[position[pid]].membership.counted != group:
                del self._speakers[group]
                self._inodes.pop(group, None)
        if len(self._speakers) == len(self._table.groups):
            return
        for process in tracked:
            group_of = process.membership.counted
            if group_of is not None and group_of not in self._speakers:
                self._speakers[group_of] = process.pid

    def _own(self) -> dict[int, Group]:
        """Whose each namespace is, without the machine's."""
        machine = {self._inode(1), self._inode("self")}
        owner: dict[int, Group] = {}
        for group, inode in self._inodes.items():
            if inode not in machine and (inode not in owner or self._owner.get(inode) == group):
                owner[inode] = group
        if len(owner) > MAX_NAMESPACES:
            self._sink.fault("namespaces", f"more than {MAX_NAMESPACES} network namespaces: the rest is left out")
            owner = dict(list(owner.items())[:MAX_NAMESPACES])
        self._owner = owner
        return owner

    def _inode(self, process: int | str) -> int | None:
        try:
            return os.stat(self._root + b"/%b/net/dev" % str(process).encode()).st_ino
        except OSError as error:
            self._fault(error)
            return None

    def _read(self, pid: int) -> dict[bytes, Values]:
        try:
            return parse_interfaces(read_once(self._root + b"/%d/net/dev" % pid))
        except (OSError, ValueError) as error:
            self._fault(error)
            return {}

    def _fault(self, error: OSError | ValueError) -> None:
        if isinstance(error, FileNotFoundError | ProcessLookupError):  # it has ended
            return
        self.read_errors += 1
        self._sink.fault("network", f"{error}; the network traffic of containers is incomplete")


def _disk_entry(group: Group) -> dict[str, object]:
    hierarchy, path = group
    return {"kind": "cgroup_io", "name": "", "identity": "", "cgroup": text(path), "hierarchy": hierarchy}


def _interface_entry(key: tuple[Group, int, bytes]) -> dict[str, object]:
    (hierarchy, path), inode, name = key
    return {
        "kind": "container_interface",
        "name": text(name),
        "identity": str(inode),
        "cgroup": text(path),
        "hierarchy": hierarchy,
    }
