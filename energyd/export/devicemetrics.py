"""The machine's cores, disks, network interfaces and load as metrics, as the kernel has counted since it was started.

Disks: Documentation/admin-guide/iostats.rst; interfaces: those of the machine's network namespace, without the loopback. They are
read once a second. A disk made of others (dm, md) counts what they count once more, and so do a bridge and its ports: add up one
layer only.
"""

from collections.abc import Iterator
from typing import Final

from energyd.aggregate.snapshot import Host
from energyd.export.metric import NS, Metric, Row, counter, gauge
from energyd.samples import CPU_MODES, FIELDS

MS: Final = 3
_DISK: Final = ("device",)
_INTERFACE: Final = ("device",)

CORE_CPU = counter(
    "energyd_host_core_cpu_seconds_total",
    "seconds",
    "The same CPU time by core, read once a second.",
    ("cpu", "mode"),
    "8 x cores",
    NS,
)
LOAD = gauge(
    "energyd_host_load_average", "", "Tasks that ran or waited, averaged over 1, 5 and 15 minutes.", ("minutes",), "3", decimals=2
)
_MINUTES: Final = ("1", "5", "15")


def _disk(name: str, unit: str, text: str, decimals: int = 0) -> Metric:
    return counter(f"energyd_host_disk_{name}_total", unit, text, _DISK, "disks", decimals)


def _interface(direction: str) -> tuple[Metric, ...]:
    done = {"receive": "received", "transmit": "sent"}[direction]
    texts = {
        "bytes": f"Bytes {done} by an interface.",
        "packets": f"Packets {done} by an interface.",
        "errors": f"Packets with errors among those {done}.",
        "dropped": f"Packets that were not {done} because they were dropped.",
    }
    units = {"bytes": "bytes"}
    return tuple(
        counter(f"energyd_host_network_{direction}_{what}_total", units.get(what, ""), text, _INTERFACE, "interfaces")
        for what, text in texts.items()
    )


DISKS: Final = (
    _disk("reads", "", "Reads that a disk has completed."),
    _disk("read_bytes", "bytes", "Bytes read from a disk."),
    _disk("read_seconds", "seconds", "Time that all reads took, one after another.", MS),
    _disk("writes", "", "Writes that a disk has completed."),
    _disk("written_bytes", "bytes", "Bytes written to a disk."),
    _disk("write_seconds", "seconds", "Time that all writes took, one after another.", MS),
    _disk("busy_seconds", "seconds", "Time in which a disk had something to do: its rate is its utilisation.", MS),
    _disk("queue_seconds", "seconds", "Time in which a disk had something to do, times how many requests waited or ran.", MS),
)
"""In the order of samples.FIELDS."""
INTERFACES: Final = (*_interface("receive"), *_interface("transmit"))
"""In the order of samples.FIELDS."""

METRICS: Final = (CORE_CPU, LOAD, *DISKS, *INTERFACES)

assert len(DISKS) == len(FIELDS["disk"]), "BUG: a figure of disks has no metric, or a metric no figure"
assert len(INTERFACES) == len(FIELDS["interface"]), "BUG: a figure of interfaces has no metric, or a metric no figure"


def rows(host: Host) -> Iterator[Row]:
    """What has not been read has no series."""
    for core in host.cores:
        for mode, cpu_ns in zip(CPU_MODES, core.figures, strict=True):
            yield CORE_CPU, (core.name, mode), cpu_ns
    for minutes, load in zip(_MINUTES, host.load_hundredths, strict=False):
        yield LOAD, (minutes,), load
    for metrics, devices in ((DISKS, host.disks), (INTERFACES, host.interfaces)):
        for device in devices:
            for metric, figure in zip(metrics, device.figures, strict=True):
                yield metric, (device.name,), figure
