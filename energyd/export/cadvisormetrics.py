"""`container_*`: what dashboards ask of cAdvisor, under its names, labels and units, so that it need not run besides energyd.

Outside truth: google/cadvisor, metrics/prometheus.go. Of its families those that are told by control groups and network namespaces;
of its series those of containers alone: cAdvisor counts the root and every slice as a container too. Off unless `compatibility`
names it.
"""

from collections.abc import Iterator
from typing import Final

from energyd.aggregate.snapshot import Snapshot
from energyd.export.containermetrics import MAX_SHOWN
from energyd.export.metric import NS, Family, Metric, Row, counter, gauge
from energyd.export.nodemetrics import by_metric

NAME: Final = "cadvisor"
"""Its name in the list `compatibility` of the configuration."""
_CONTAINER: Final = ("id", "image", "name", "namespace", "pod")
_BOUND: Final = "500"

CPU: Final = counter(
    "container_cpu_usage_seconds_total", "seconds", "CPU time of a container, all cores together.", (*_CONTAINER, "cpu"), _BOUND, NS
)
MEMORY: Final = gauge("container_memory_usage_bytes", "bytes", "Memory of a container, page cache included.", _CONTAINER, _BOUND)
DISK_READ: Final = counter(
    "container_fs_reads_bytes_total", "bytes", "Bytes that a container has read from disks.", (*_CONTAINER, "device"), _BOUND
)
DISK_WRITTEN: Final = counter(
    "container_fs_writes_bytes_total", "bytes", "Bytes that a container has written to disks.", (*_CONTAINER, "device"), _BOUND
)


def _network(name: str, unit: str, text: str) -> Metric:
    return counter(f"container_network_{name}_total", unit, text, (*_CONTAINER, "interface"), "500 x interfaces")


NETWORK: Final = (
    _network("receive_bytes", "bytes", "Bytes received by an interface of a container."),
    _network("receive_packets", "", "Packets received by an interface of a container."),
    _network("receive_errors", "", "Packets with errors among those received."),
    _network("receive_packets_dropped", "", "Packets that were not received because they were dropped."),
    _network("transmit_bytes", "bytes", "Bytes sent by an interface of a container."),
    _network("transmit_packets", "", "Packets sent by an interface of a container."),
    _network("transmit_errors", "", "Packets with errors among those sent."),
    _network("transmit_packets_dropped", "", "Packets that were not sent because they were dropped."),
)
"""In the order of samples.FIELDS."""

METRICS: Final[tuple[Metric, ...]] = (CPU, MEMORY, DISK_READ, DISK_WRITTEN, *NETWORK)


def families(snapshot: Snapshot) -> list[Family]:
    """Those of which something is told."""
    return by_metric(METRICS, _rows(snapshot))


def _rows(snapshot: Snapshot) -> Iterator[Row]:
    for container in snapshot.containers[:MAX_SHOWN]:
        name = container.name or container.id
        labels = (container.cgroup, container.image, name, container.namespace, container.pod)
        yield CPU, (*labels, "total"), container.cpu_ns
        if container.memory_bytes is not None:
            yield MEMORY, labels, container.memory_bytes
        if container.disk_bytes is not None:
            for metric, size_bytes in zip((DISK_READ, DISK_WRITTEN), container.disk_bytes, strict=True):
                yield metric, (*labels, ""), size_bytes
        for interface in container.interfaces:
            for metric, figure in zip(NETWORK, interface.figures, strict=True):
                yield metric, (*labels, interface.name), figure
