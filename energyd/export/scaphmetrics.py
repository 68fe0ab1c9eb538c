"""`scaph_*`: the families of Scaphandre that its own dashboards and those made for it query (source: its metrics reference).

Names, labels and units (microjoules, microwatts) are its own; its faults are not: energies are totals that never wrap, so
`increase` and `rate` are right; the power of the host is that of all its sockets at one time; the load of 15 min is not that of 5;
every disk is shown; label values are escaped, not mutilated; two who ask see the same. Only the visible processes are shown, so a
busy container host is not hundreds of series. What is simulated or modelled has a label `source` besides.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from energyd.aggregate.snapshot import Container, Snapshot, Zone
from energyd.export.metric import FLOAT, GAUGE, INHERITED_COUNTER, Family, LabelValues, Metric
from energyd.export.scaphfiles import Files, Kernel, Memory, Traffic
from energyd.units import NS_PER_S, UW_PER_W

NAME: Final = "scaphandre"
"""Its name in the list `compatibility` of the configuration."""
SOURCE: Final = "source"
MEASURED: Final = ("rapl", "hwmon", "battery", "meter")
VM: Final = "vm"

HOST: Final = ("value_source",)
SOCKET: Final = ("socket_id",)
DOMAIN: Final = ("domain_name", "domain_id", "socket_id")
CONTAINER: Final = ("container_id", "container_names", "container_runtime", "kubernetes_pod_name", "kubernetes_pod_namespace")
PROCESS: Final = ("exe", "cmdline", "pid", "vmname", *CONTAINER)
_NO_CONTAINER: Final = ("",) * len(CONTAINER)  # an empty label is none
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
PROCESS_CPU: Final = _gauge(
    "process_cpu_usage_percentage", "CPU that a process uses, in percent of all CPUs of the machine.", PROCESS, "usage.top", FLOAT
)
PROCESS_READ: Final = _counter(
    "process_disk_total_read_bytes", "Bytes that storage was read for a process, where that may be known.", PROCESS, "usage.top"
)
PROCESS_WRITTEN: Final = _counter(
    "process_disk_total_write_bytes", "Bytes that storage was written for a process, likewise.", PROCESS, "usage.top"
)
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
KERNEL: Final = {
    "processes": _counter("forks_since_boot_total", "Processes and threads that were started since boot.", (), "1"),
    "ctxt": _counter("context_switches_total", "Context switches since boot.", (), "1"),
    "procs_running": _gauge("processes_running_current", "Threads that run or could run.", (), "1"),
    "procs_blocked": _gauge("processes_blocked_current", "Threads that wait for a disk.", (), "1"),
}
SELF_VERSION: Final = _gauge("self_version", "Version of energyd; 1.0.2 is 1.02.", (), "1", FLOAT)
SELF_CPU: Final = _gauge("self_cpu_usage_percent", "CPU of all processes of energyd, in percent of all CPUs.", (), "1", FLOAT)
SELF_MEMORY: Final = _gauge("self_memory_bytes", "Resident memory of all processes of energyd in bytes.", (), "1")
SELF_VIRTUAL: Final = _gauge("self_memory_virtual_bytes", "Virtual memory of all processes of energyd in bytes.", (), "1")
SELF_OLD: Final = _gauge("self_mem_total_program_size", "The same, under its name before Scaphandre 1.0.", (), "1")
SELF_PROCESSES: Final = _gauge("self_topo_procs_nb", "Processes that are followed.", (), "1")

METRICS: Final[tuple[Metric, ...]] = (
    HOST_ENERGY,
    HOST_POWER,
    SOCKET_ENERGY,
    SOCKET_POWER,
    DOMAIN_ENERGY,
    DOMAIN_POWER,
    PROCESS_POWER,
    PROCESS_CPU,
    PROCESS_MEMORY,
    PROCESS_VIRTUAL,
    PROCESS_READ,
    PROCESS_WRITTEN,
    *MEMORY.values(),
    *LOAD,
    DISK_TOTAL,
    DISK_AVAILABLE,
    *KERNEL.values(),
    SELF_VERSION,
    SELF_CPU,
    SELF_MEMORY,
    SELF_VIRTUAL,
    SELF_OLD,
    SELF_PROCESSES,
)


class Row(NamedTuple):
    metric: Metric
    labels: LabelValues
    value: float
    source: str = ""


class Scaphandre:
    """The families of a Snapshot. What the rings do not tell is read from `machine`, the procfs of the configuration; what energyd
    costs from `own`, that of our own PID namespace, for the processes that `own_pids` names."""

    def __init__(self, machine: Files, own: Files, own_pids: Callable[[], Iterable[int]], version: str) -> None:
        self._machine = machine
        self._own = own
        self._own_pids = own_pids
        self._version = _number(version)
        self._looked_ns: int | None = None
        self._details: dict[str, tuple[Memory | None, Traffic | None]] = {}  # of the visible processes, by pid
        self._own_look: tuple[int, int] | None = None  # (mono_ns, cpu_ns) that the usage is counted from
        self._own_percent: float | None = None

    def families(self, snapshot: Snapshot) -> list[Family]:
        self._look(snapshot)
        kernel = self._machine.kernel()
        rows = [
            *_energy(snapshot),
            *self._processes(snapshot, kernel.cpus),
            *self._host(snapshot, kernel),
            *self._self(snapshot, kernel.cpus),
        ]
        estimated = any(row.source and row.source not in MEASURED for row in rows)
        families = []
        for metric in METRICS:
            mine = [row for row in rows if row.metric is metric]
            if not mine:
                continue
            shown = metric._replace(labels=metric.labels[: len(mine[0].labels)])  # those of containers only where there are any
            if estimated and mine[0].source:
                shown = shown._replace(labels=(*shown.labels, SOURCE))
                families.append(Family(shown, [(*row.labels, row.source) for row in mine], [row.value for row in mine]))
            else:
                families.append(Family(shown, [row.labels for row in mine], [row.value for row in mine]))
        return families

    def _look(self, snapshot: Snapshot) -> None:
        """Read what the visible processes hold, at most once a second: two files each."""
        if self._looked_ns is None or snapshot.mono_ns - self._looked_ns >= NS_PER_S:
            self._looked_ns = snapshot.mono_ns
            pids = [str(process.pid) for process in snapshot.processes.visible if process.pid]
            self._details = {pid: (self._machine.memory(pid), self._machine.traffic(pid)) for pid in pids}

    def _processes(self, snapshot: Snapshot, cpus: int) -> Iterator[Row]:
        containers = {each.cgroup: each for each in snapshot.containers}
        for process in snapshot.processes.visible:
            if not process.pid:  # the short-lived of one command together: no process that Scaphandre could name
                continue
            pid = str(process.pid)
            guest = process.group if process.kind == VM else ""
            labels: LabelValues = (process.comm, process.cmdline, pid, guest)
            if containers:
                labels += _container_labels(process.cgroup, containers)
            if snapshot.host.energy_uj is not None:
                yield Row(PROCESS_POWER, labels, round(process.power_w * UW_PER_W), snapshot.host.source)
            if cpus:
                yield Row(PROCESS_CPU, labels, 100 * process.busy_cpus / cpus)
            memory, traffic = self._details.get(pid, (None, None))
            if memory is not None:
                yield Row(PROCESS_VIRTUAL, labels, memory.virtual_bytes)
                yield Row(PROCESS_MEMORY, labels, memory.resident_bytes)
            if traffic is not None:
                yield Row(PROCESS_READ, labels, traffic.read_bytes)
                yield Row(PROCESS_WRITTEN, labels, traffic.written_bytes)

    def _host(self, snapshot: Snapshot, kernel: Kernel) -> Iterator[Row]:
        for field, size_bytes in snapshot.host.memory_bytes:
            if field in MEMORY:
                yield Row(MEMORY[field], (), size_bytes)
        for metric, average in zip(LOAD, self._machine.load_averages(), strict=False):
            yield Row(metric, (), average)
        for name, metric in KERNEL.items():
            if name in kernel.counts:
                yield Row(metric, (), kernel.counts[name])
        for disk in self._machine.disks():
            labels = (disk.name, disk.file_system, disk.mount_point)
            yield Row(DISK_TOTAL, labels, disk.total_bytes)
            yield Row(DISK_AVAILABLE, labels, disk.available_bytes)

    def _self(self, snapshot: Snapshot, cpus: int) -> Iterator[Row]:
        """All processes of energyd together."""
        pids = [str(pid) for pid in self._own_pids() if pid]
        memories = [memory for memory in map(self._own.memory, pids) if memory is not None]
        if not memories:
            return
        yield Row(SELF_VERSION, (), self._version)
        yield Row(SELF_PROCESSES, (), snapshot.processes.alive)
        yield Row(SELF_VIRTUAL, (), sum(memory.virtual_bytes for memory in memories))
        yield Row(SELF_OLD, (), sum(memory.virtual_bytes for memory in memories))
        yield Row(SELF_MEMORY, (), sum(memory.resident_bytes for memory in memories))
        percent = self._percent(snapshot.mono_ns, sum(map(self._own.cpu_ns, pids)), cpus)
        if percent is not None:
            yield Row(SELF_CPU, (), percent)

    def _percent(self, mono_ns: int, cpu_ns: int, cpus: int) -> float | None:
        """Of all CPUs, between two looks at least a second apart, so that several scrapers see the same; None until then."""
        if self._own_look is None:
            self._own_look = mono_ns, cpu_ns
        elapsed_ns, used_ns = mono_ns - self._own_look[0], cpu_ns - self._own_look[1]
        if elapsed_ns >= NS_PER_S and cpus:
            self._own_look = mono_ns, cpu_ns
            self._own_percent = max(0.0, 100 * used_ns / elapsed_ns / cpus)  # less: one of us was started anew
        return self._own_percent


def _container_labels(cgroup: str, containers: Mapping[str, Container]) -> LabelValues:
    """Of the container that a control group is, or is in."""
    while cgroup:
        found = containers.get(cgroup)
        if found is not None:
            return found.id, found.name, found.runtime, found.pod, found.namespace
        cgroup = cgroup.rpartition("/")[0]
    return _NO_CONTAINER


def _number(version: str) -> float:
    """As Scaphandre shows its own: 1.0.2 is 1.02."""
    major, _, rest = version.partition(".")
    digits = "".join(part for part in rest.split(".") if part.isdigit())
    return float(f"{major}.{digits or 0}") if major.isdigit() else 0.0


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
    if zone.measured:
        yield Row(energy, labels, zone.energy_uj, zone.source)
    if zone.power_w is not None:
        yield Row(power, labels, round(zone.power_w * UW_PER_W), zone.source)
