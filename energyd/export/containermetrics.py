"""Containers as metrics: what their own control groups and network namespaces have counted since they were started.

Energy and power of containers are those of their groups (`energyd.export.groupmetrics`). Containers of one pod share its network,
which is told of one of them, its first.
"""

from collections.abc import Iterator
from typing import Final

from energyd.aggregate.snapshot import Container
from energyd.export.metric import NS, LabelValues, Metric, Row, counter, gauge

_CONTAINER: Final = ("container", "id", "runtime")
_DEVICE: Final = (*_CONTAINER, "device")
_BOUND: Final = "500"
MAX_SHOWN: Final = 500
"""Containers with series of their own: those known longest. Their groups count the others."""

CPU = counter(
    "energyd_container_cpu_seconds_total", "seconds", "CPU time of a container since it was started.", _CONTAINER, _BOUND, NS
)
MEMORY = gauge("energyd_container_memory_bytes", "bytes", "Memory of a container, page cache included.", _CONTAINER, _BOUND)
DISK_READ = counter(
    "energyd_container_disk_read_bytes_total", "bytes", "Bytes that a container has read from disks.", _CONTAINER, _BOUND
)
DISK_WRITTEN = counter(
    "energyd_container_disk_written_bytes_total", "bytes", "Bytes that a container has written to disks.", _CONTAINER, _BOUND
)


def _network(direction: str, what: str, text: str) -> Metric:
    name = f"energyd_container_network_{direction}_{what}_total"
    return counter(name, "bytes" if what == "bytes" else "", text, _DEVICE, "500 x interfaces")


NETWORK: Final = (
    _network("receive", "bytes", "Bytes received by an interface of a container."),
    _network("receive", "packets", "Packets received by an interface of a container."),
    _network("receive", "errors", "Packets with errors among those received."),
    _network("receive", "dropped", "Packets that were not received because they were dropped."),
    _network("transmit", "bytes", "Bytes sent by an interface of a container."),
    _network("transmit", "packets", "Packets sent by an interface of a container."),
    _network("transmit", "errors", "Packets with errors among those sent."),
    _network("transmit", "dropped", "Packets that were not sent because they were dropped."),
)
"""In the order of samples.FIELDS."""

METRICS: Final = (CPU, MEMORY, DISK_READ, DISK_WRITTEN, *NETWORK)


def rows(containers: tuple[Container, ...]) -> Iterator[Row]:
    """What is not told has no series."""
    for container in containers[:MAX_SHOWN]:
        labels = (container.name or container.id, container.id, container.runtime)
        yield CPU, labels, container.cpu_ns
        if container.memory_bytes is not None:
            yield MEMORY, labels, container.memory_bytes
        if container.disk_bytes is not None:
            read_bytes, written_bytes = container.disk_bytes
            yield DISK_READ, labels, read_bytes
            yield DISK_WRITTEN, labels, written_bytes
        for interface in container.interfaces:
            yield from _interface_rows((*labels, interface.name), interface.figures)


def _interface_rows(labels: LabelValues, figures: tuple[int, ...]) -> Iterator[Row]:
    for metric, figure in zip(NETWORK, figures, strict=True):
        yield metric, labels, figure
