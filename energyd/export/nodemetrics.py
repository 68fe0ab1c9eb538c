"""`node_*`: what dashboards ask of node_exporter, under its names, labels and units, so that it need not run besides energyd.

Outside truth: prometheus/node_exporter 1.5, collectors cpu, meminfo, loadavg, diskstats and netdev. Of these, the families that
dashboards of power query, and no others. Off unless `compatibility` names it: where node_exporter runs, they would be there twice.
"""

from collections.abc import Iterator
from typing import Final

from energyd.aggregate.snapshot import Snapshot
from energyd.export.devicemetrics import MS
from energyd.export.metric import NS, Family, Metric, Row, counter, gauge
from energyd.samples import CPU_MODES, MEMORY_FIELDS

NAME: Final = "node_exporter"
"""Its name in the list `compatibility` of the configuration."""
_DEVICE: Final = ("device",)

CPU: Final = counter("node_cpu_seconds_total", "seconds", "CPU time by core and mode.", ("cpu", "mode"), "8 x cores", NS)
MEMORY: Final = {
    field: gauge(f"node_memory_{field}_bytes", "bytes", f"{field} of /proc/meminfo in bytes.", (), "1") for field in MEMORY_FIELDS
}
LOAD: Final = tuple(gauge(f"node_load{n}", "", f"Load average over {n} min.", (), "1", decimals=2) for n in (1, 5, 15))


def _disk(name: str, unit: str, text: str, decimals: int = 0) -> Metric:
    return counter(f"node_disk_{name}_total", unit, text, _DEVICE, "disks", decimals)


def _network(name: str, unit: str, text: str) -> Metric:
    return counter(f"node_network_{name}_total", unit, text, _DEVICE, "interfaces")


DISKS: Final = (
    _disk("reads_completed", "", "Reads that a disk has completed."),
    _disk("read_bytes", "bytes", "Bytes read from a disk."),
    _disk("read_time_seconds", "seconds", "Time that all reads took, one after another.", MS),
    _disk("writes_completed", "", "Writes that a disk has completed."),
    _disk("written_bytes", "bytes", "Bytes written to a disk."),
    _disk("write_time_seconds", "seconds", "Time that all writes took, one after another.", MS),
    _disk("io_time_seconds", "seconds", "Time in which a disk had something to do.", MS),
    _disk("io_time_weighted_seconds", "seconds", "The same time, times how many requests waited or ran.", MS),
)
"""In the order of samples.FIELDS, like INTERFACES."""
INTERFACES: Final = (
    _network("receive_bytes", "bytes", "Bytes received by an interface."),
    _network("receive_packets", "", "Packets received by an interface."),
    _network("receive_errs", "", "Packets with errors among those received."),
    _network("receive_drop", "", "Packets that were not received because they were dropped."),
    _network("transmit_bytes", "bytes", "Bytes sent by an interface."),
    _network("transmit_packets", "", "Packets sent by an interface."),
    _network("transmit_errs", "", "Packets with errors among those sent."),
    _network("transmit_drop", "", "Packets that were not sent because they were dropped."),
)

METRICS: Final[tuple[Metric, ...]] = (CPU, *MEMORY.values(), *LOAD, *DISKS, *INTERFACES)


def families(snapshot: Snapshot) -> list[Family]:
    """Those that have been read."""
    return by_metric(METRICS, _rows(snapshot))


def by_metric(metrics: tuple[Metric, ...], rows: Iterator[Row]) -> list[Family]:
    """The families of `metrics` in their order; those without rows are left out."""
    found: dict[str, tuple[list[tuple[str, ...]], list[float]]] = {metric.name: ([], []) for metric in metrics}
    for metric, labels, value in rows:
        found[metric.name][0].append(labels)
        found[metric.name][1].append(value)
    return [Family(metric, *found[metric.name]) for metric in metrics if found[metric.name][0]]


def _rows(snapshot: Snapshot) -> Iterator[Row]:
    host = snapshot.host
    for core in host.cores:
        for mode, cpu_ns in zip(CPU_MODES, core.figures, strict=True):
            yield CPU, (core.name, mode), cpu_ns
    for field, size_bytes in host.memory_bytes:
        yield MEMORY[field], (), size_bytes
    for metric, load in zip(LOAD, host.load_hundredths, strict=False):
        yield metric, (), load
    for metrics, devices in ((DISKS, host.disks), (INTERFACES, host.interfaces)):
        for device in devices:
            for metric, figure in zip(metrics, device.figures, strict=True):
                yield metric, (device.name,), figure
