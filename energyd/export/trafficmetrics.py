"""Disk and network traffic of groups as metrics, of those groups that are visible and had any.

Control groups count what passes through them to disks (`io.stat`, `blkio`); of the network only that of namespaces of their own can
be told apart: containers, pods, units with PrivateNetwork. There is no series of all other groups: of most nobody counts it.
"""

from collections.abc import Iterator
from typing import Final

from energyd.aggregate.snapshot import Traffic
from energyd.export.metric import Metric, Row, counter

_GROUP: Final = ("group", "kind", "runtime", "environment")


def _traffic(name: str, text: str) -> Metric:
    return counter(f"energyd_group_{name}_bytes_total", "bytes", text, _GROUP, "usage.max_groups")


METRICS: Final = (
    _traffic("disk_read", "Bytes that the control groups of a group have read from disks."),
    _traffic("disk_written", "Bytes that the control groups of a group have written to disks."),
    _traffic("network_receive", "Bytes received by all interfaces of the network namespaces of a group."),
    _traffic("network_transmit", "Bytes sent by all interfaces of the network namespaces of a group."),
)
"""In the order of Traffic.bytes."""


def rows(traffic: tuple[Traffic, ...]) -> Iterator[Row]:
    for each in traffic:
        labels = (each.group, each.kind, each.runtime, each.environment)
        for metric, size_bytes in zip(METRICS, each.bytes, strict=True):
            yield metric, labels, size_bytes
