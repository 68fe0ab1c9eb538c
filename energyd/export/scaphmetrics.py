"""`scaph_*`: the families of Scaphandre that its own dashboards and those made for it query (source: its metrics reference).

Names, labels and units (microjoules, microwatts) are its own; its faults are not: energies are totals that never wrap, so
`increase` and `rate` are right; the power of the host is that of all its sockets at one time; label values are escaped, not
mutilated. Only the visible processes are shown, so that a busy container host is not hundreds of series. What is simulated or
modelled has a label `source` besides.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from energyd.aggregate.snapshot import Snapshot, Zone
from energyd.export.metric import FLOAT, GAUGE, INHERITED_COUNTER, Family, LabelValues, Metric

NAME: Final = "scaphandre"
"""Its name in the list `compatibility` of the configuration."""
SOURCE: Final = "source"
MEASURED: Final = ("rapl", "hwmon", "battery", "meter")
UW_PER_W: Final = 1_000_000
DISK_TYPES: Final = ("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "vfat", "zfs")

HOST: Final = ("value_source",)
SOCKET: Final = ("socket_id",)
DOMAIN: Final = ("domain_name", "domain_id", "socket_id")
PROCESS: Final = ("exe", "cmdline", "pid")
DISK: Final = ("disk_name", "disk_file_system", "disk_mount_point")


def _gauge(name: str, text: str, labels: tuple[str, ...], bound: str, decimals: int = 0) -> Metric:
    return Metric(f"scaph_{name}", GAUGE, "", text, labels, bound, decimals)


def _counter(name: str, text: str, labels: tuple[str, ...], bound: str) -> Metric:
    return Metric(f"scaph_{name}", INHERITED_COUNTER, "", text, labels, bound)


HOST_ENERGY: Final = _counter("host_energy_microjoules", "Energy of the machine in microjoules.", HOST, "1")
HOST_POWER: Final = _gauge("host_power_microwatts", "Power of the machine in microwatts.", HOST, "1")
SOCKET_ENERGY: Final = _counter("socket_energy_microjoules", "Energy of a CPU socket in microjoules.", SOCKET, "sockets")
SOCKET_POWER: Final = _gauge("socket_power_microwatts", "Power of a CPU socket in microwatts.", SOCKET, "sockets")
DOMAIN_ENERGY: Final = _counter("domain_energy_microjoules", "Energy of a RAPL domain in microjoules.", DOMAIN, "zones")
DOMAIN_POWER: Final = _gauge("domain_power_microwatts", "Power of a RAPL domain in microwatts.", DOMAIN, "zones")
PROCESS_POWER: Final = _gauge(
    "process_power_consumption_microwatts", "Power that a process is given, in microwatts.", PROCESS, "usage.top"
)
PROCESS_MEMORY: Final = _gauge("process_memory_bytes", "Resident memory of a process in bytes.", PROCESS, "usage.top")
PROCESS_VIRTUAL: Final = _gauge("process_memory_virtual_bytes", "Virtual memory of a process in bytes.", PROCESS, "usage.top")
MEMORY: Final = {
    "MemTotal": _gauge("host_memory_total_bytes", "Memory of the machine in bytes.", (), "1"),
    "MemAvailable": _gauge("host_memory_available_bytes", "Memory that can be had without swapping, in bytes.", (), "1"),
    "MemFree": _gauge("host_memory_free_bytes", "Memory that nothing uses, in bytes.", (), "1"),
    "SwapTotal": _gauge("host_swap_total_bytes", "Swap space in bytes.", (), "1"),
    "SwapFree": _gauge("host_swap_free_bytes", "Swap space that nothing uses, in bytes.", (), "1"),
}
LOAD: Final = tuple(
    _gauge(f"host_load_avg_{name}", f"Load average over {minutes} min.", (), "1", FLOAT)
    for name, minutes in (("one", 1), ("five", 5), ("fifteen", 15))
)
DISK_TOTAL: Final = _gauge("host_disk_total_bytes", "Size of a file system in bytes.", DISK, "file systems")
DISK_AVAILABLE: Final = _gauge("host_disk_available_bytes", "Room left in a file system in bytes.", DISK, "file systems")
SELF_MEMORY: Final = _gauge("self_memory_bytes", "Resident memory of the exporting process in bytes.", (), "1")
SELF_VIRTUAL: Final = _gauge("self_memory_virtual_bytes", "Virtual memory of the exporting process in bytes.", (), "1")
SELF_OLD: Final = _gauge(
    "self_mem_total_program_size", "Virtual memory of the exporting process, under its name before 1.0.", (), "1"
)

METRICS: Final[tuple[Metric, ...]] = (
    HOST_ENERGY,
    HOST_POWER,
    SOCKET_ENERGY,
    SOCKET_POWER,
    DOMAIN_ENERGY,
    DOMAIN_POWER,
    PROCESS_POWER,
    PROCESS_MEMORY,
    PROCESS_VIRTUAL,
    *MEMORY.values(),
    *LOAD,
    DISK_TOTAL,
    DISK_AVAILABLE,
    SELF_MEMORY,
    SELF_VIRTUAL,
    SELF_OLD,
)


class Row(NamedTuple):
    metric: Metric
    labels: LabelValues
    value: float
    source: str = ""


class Scaphandre:
    """The families of a Snapshot; memory of processes, load and disks are read below `procfs_root`."""

    def __init__(self, procfs_root: str, statvfs: Callable[[str], os.statvfs_result] = os.statvfs, page_bytes: int = 4096) -> None:
        self._procfs = Path(procfs_root)
        self._statvfs = statvfs
        self._page_bytes = page_bytes

    def families(self, snapshot: Snapshot) -> list[Family]:
        rows = [*_energy(snapshot), *self._processes(snapshot), *self._machine(snapshot)]
        estimated = any(row.source and row.source not in MEASURED for row in rows)
        families = []
        for metric in METRICS:
            mine = [row for row in rows if row.metric is metric]
            if not mine:
                continue
            if estimated and mine[0].source:
                shown = metric._replace(labels=(*metric.labels, SOURCE))
                families.append(Family(shown, [(*row.labels, row.source) for row in mine], [row.value for row in mine]))
            else:
                families.append(Family(metric, [row.labels for row in mine], [row.value for row in mine]))
        return families

    def _processes(self, snapshot: Snapshot) -> Iterator[Row]:
        for process in snapshot.processes.visible:
            if not process.pid:  # the short-lived of one command together: no process that Scaphandre could name
                continue
            labels = (process.comm, process.cmdline, str(process.pid))
            if snapshot.host.energy_uj is not None:
                yield Row(PROCESS_POWER, labels, round(process.power_w * UW_PER_W), snapshot.host.source)
            memory = self._memory(str(process.pid))
            if memory is not None:
                yield Row(PROCESS_VIRTUAL, labels, memory[0])
                yield Row(PROCESS_MEMORY, labels, memory[1])

    def _memory(self, pid: str) -> tuple[int, int] | None:
        """(virtual, resident) bytes by statm of proc(5), None if the process has gone."""
        try:
            virtual, resident = (self._procfs / pid / "statm").read_text().split()[:2]
        except (OSError, ValueError):
            return None
        return int(virtual) * self._page_bytes, int(resident) * self._page_bytes

    def _machine(self, snapshot: Snapshot) -> Iterator[Row]:
        for field, size_bytes in snapshot.host.memory_bytes:
            if field in MEMORY:
                yield Row(MEMORY[field], (), size_bytes)
        try:
            averages = (self._procfs / "loadavg").read_text().split()[: len(LOAD)]
        except OSError:
            averages = []
        for metric, average in zip(LOAD, averages, strict=False):
            yield Row(metric, (), float(average))
        yield from self._disks()
        own = self._memory("self")
        if own is not None:
            yield from (Row(SELF_VIRTUAL, (), own[0]), Row(SELF_OLD, (), own[0]), Row(SELF_MEMORY, (), own[1]))

    def _disks(self) -> Iterator[Row]:
        try:
            lines = (self._procfs / "self/mounts").read_text().splitlines()
        except OSError:
            return
        seen = set()
        for line in lines:
            device, mount_point, kind = line.split(" ")[:3]
            if kind not in DISK_TYPES or device in seen:
                continue
            seen.add(device)
            labels = (device, kind, mount_point.replace("\\040", " "))
            try:
                room = self._statvfs(labels[2])
            except OSError:  # a mount of another namespace, or one that hangs by a dead server
                continue
            yield Row(DISK_TOTAL, labels, room.f_blocks * room.f_frsize)
            yield Row(DISK_AVAILABLE, labels, room.f_bavail * room.f_frsize)


def _energy(snapshot: Snapshot) -> Iterator[Row]:
    host = snapshot.host
    value_source = "powercap_rapl_psys" if any(z.domain == "psys" and z.additive for z in snapshot.zones) else "powercap_rapl_pkg"
    if host.energy_uj is not None:
        yield Row(HOST_ENERGY, (value_source,), host.energy_uj, host.source)
    if host.power_w is not None:
        yield Row(HOST_POWER, (value_source,), round(host.power_w * UW_PER_W), host.source)
    sockets = {zone.name: str(number) for number, zone in enumerate(z for z in snapshot.zones if z.domain == "package")}
    for zone in snapshot.zones:
        if zone.name in sockets:
            yield from _pair(SOCKET_ENERGY, SOCKET_POWER, (sockets[zone.name],), zone)
    children: dict[str, int] = {}
    for zone in snapshot.zones:
        if zone.parent in sockets:
            number = children.setdefault(zone.parent, 0)
            children[zone.parent] += 1
            yield from _pair(DOMAIN_ENERGY, DOMAIN_POWER, (zone.domain, str(number), sockets[zone.parent]), zone)


def _pair(energy: Metric, power: Metric, labels: LabelValues, zone: Zone) -> Iterator[Row]:
    yield Row(energy, labels, zone.energy_uj, zone.source)
    if zone.power_w is not None:
        yield Row(power, labels, round(zone.power_w * UW_PER_W), zone.source)
