"""What the machine's cores, disks and network interfaces have done, and how loaded it is: /proc/stat, diskstats, net/dev, loadavg.

Outside truth: proc_stat(5), proc_loadavg(5), Documentation/admin-guide/iostats.rst, net/core/net-procfs.c. Sectors are 512 bytes
whatever the disk's own are; its milliseconds are 32-bit numbers. net/dev is that of a network namespace, and the machine's is its
first process'; it is readable to everybody who may see that process. Law: a device has its own number besides its name (interface
index, sequence number of a disk), so that another one under the same name is seen to be another.
"""

import os
import re
from typing import Final

from energyd.procfs.figures import FigureScan, Values
from energyd.procfs.files import CounterFiles
from energyd.procfs.scan import Sample, Sink
from energyd.procfs.stat import NS_PER_TICK, text
from energyd.samples import CPU_MODES, FIELDS

_SECTOR_BYTES: Final = 512
_LOOPBACK: Final = b"lo"
_NO_DISK: Final = re.compile(rb"(?:ram|loop|fd)\d+|(?:h|s|v|xv)d[a-z]+\d+|(?:nvme\d+n\d+|mmcblk\d+)p\d+|nbd\d+p\d+")
"""Partitions, whose disk counts the same, and what is a file or memory."""


def parse_cores(data: bytes) -> dict[bytes, Values]:
    """CPU time in ns by CPU_MODES of each CPU that is online, from /proc/stat, which may be cut off."""
    cores: dict[bytes, Values] = {}
    end = data.find(b"\nintr")
    for line in data[: end if end >= 0 else max(0, data.rfind(b"\n"))].split(b"\n"):
        name, *fields = line.split() or [b""]
        if name[:3] == b"cpu" and name[3:].isdigit():
            cores[name[3:]] = tuple(int(field) * NS_PER_TICK for field in fields[: len(CPU_MODES)])
    return cores


def parse_load(data: bytes) -> dict[bytes, Values]:
    """The three load averages in hundredths; ValueError when they are not there."""
    averages = data.split()[: len(FIELDS["load"])]
    return {b"": tuple(int(average.replace(b".", b"")) for average in averages)}


def parse_disks(data: bytes) -> dict[bytes, Values]:
    """What /proc/diskstats tells of whole disks, in the order of FIELDS."""
    disks: dict[bytes, Values] = {}
    for line in data.splitlines():
        name, *figures = line.split()[2:]
        if not _NO_DISK.fullmatch(name):
            reads, _, sectors_read, read_ms, writes, _, sectors_written, write_ms, _, busy_ms, weighted_ms = map(int, figures[:11])
            read_bytes, written_bytes = sectors_read * _SECTOR_BYTES, sectors_written * _SECTOR_BYTES
            disks[name] = (reads, read_bytes, read_ms, writes, written_bytes, write_ms, busy_ms, weighted_ms)
    return disks


def parse_interfaces(data: bytes) -> dict[bytes, Values]:
    """What net/dev tells of interfaces other than the loopback, in the order of FIELDS."""
    interfaces: dict[bytes, Values] = {}
    for line in data.splitlines()[2:]:
        name, _, rest = line.rpartition(b":")
        name, figures = name.strip(), rest.split()
        if name != _LOOPBACK:
            interfaces[name] = tuple(map(int, figures[:4] + figures[8:12]))
    return interfaces


class Devices:
    """All of them. What cannot be read is counted, told and left out."""

    def __init__(self, procfs_root: str, sysfs_root: str, files: CounterFiles, sink: Sink) -> None:
        self._sysfs_root = os.fsencode(sysfs_root)
        self._files = files
        self._sink = sink
        root = os.fsencode(procfs_root)
        first = root + b"/1/net/dev"
        net = first if os.path.exists(first) else root + b"/net/dev"  # hidepid= hides it from those without rights
        self._cores = FigureScan(self._core, sink)
        self._scans: Final = (
            (root + b"/loadavg", parse_load, FigureScan(self._load, sink)),
            (root + b"/diskstats", parse_disks, FigureScan(self._disk, sink)),
            (net, parse_interfaces, FigureScan(self._interface, sink)),
        )
        self.read_errors = 0

    def scan(self, keyframe: bool, stat: bytes) -> list[Sample]:
        """`stat` is what has just been read of /proc/stat, the dearest of these files; empty when it could not be."""
        samples = self._cores.scan(parse_cores(stat), keyframe, self._sink.mono_ns()) if stat else []
        for path, parse, figures in self._scans:
            mono_ns = self._sink.mono_ns()
            try:
                found = parse(self._files.read_whole(path))
            except (OSError, ValueError) as error:
                self.read_errors += 1
                self._sink.fault(f"devices {text(os.path.basename(path))}", f"{text(path)}: {error}; what it tells is missing")
                continue
            samples += figures.scan(found, keyframe, mono_ns)
        return samples

    def relabel(self) -> None:
        self._cores.relabel()
        for _, _, figures in self._scans:
            figures.relabel()

    def _core(self, name: bytes) -> dict[str, object]:
        return {"kind": "core", "name": text(name), "identity": ""}

    def _load(self, _name: bytes) -> dict[str, object]:
        return {"kind": "load", "name": "", "identity": ""}

    def _disk(self, name: bytes) -> dict[str, object]:
        place = b"/block/" + name.replace(b"/", b"!")
        return {"kind": "disk", "name": text(name), "identity": self._number(place + b"/diskseq")}

    def _interface(self, name: bytes) -> dict[str, object]:
        return {"kind": "interface", "name": text(name), "identity": self._number(b"/class/net/" + name + b"/ifindex")}

    def _number(self, path: bytes) -> str:
        """'' where the kernel does not tell (diskseq came with Linux 5.15)."""
        try:
            with open(self._sysfs_root + path, "rb") as file:
                return text(file.read().strip())
        except OSError:
            return ""
