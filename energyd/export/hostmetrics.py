"""The machine as metrics: its energy, power, CPU time and memory."""

from collections.abc import Iterator
from typing import Final

from energyd.aggregate.snapshot import Host
from energyd.export import windows
from energyd.export.metric import FLOAT, NS, UJ, Metric, Row, counter, gauge

HOST_ENERGY = counter(
    "energyd_host_energy_joules_total", "joules", "Energy that the machine has used, as its source sees it.", ("source",), "1", UJ
)
HOST_POWER = gauge("energyd_host_power_watts", "watts", "Power of the machine over the last second.", ("source",), "1", FLOAT)
HOST_WINDOW_QUANTILE = gauge(
    "energyd_host_window_power_quantile_watts",
    "watts",
    "Power that the machine did not exceed in this fraction of the seconds of a sliding window.",
    ("window", "fraction", "source"),
    "20",
    FLOAT,
)
HOST_WINDOW_MEAN = gauge(
    "energyd_host_window_power_mean_watts", "watts", "Mean power of the machine over the window.", ("window", "source"), "5", FLOAT
)
HOST_WINDOW_MAX = gauge(
    "energyd_host_window_power_max_watts",
    "watts",
    "Highest power of the machine in a second of the window.",
    ("window", "source"),
    "5",
    FLOAT,
)
HOST_WINDOW_MEASURED = gauge(
    "energyd_host_window_measured_seconds", "seconds", "How much of the window has been measured.", ("window",), "5"
)
HOST_CPU = counter(
    "energyd_host_cpu_seconds_total", "seconds", "CPU time of the machine by mode, from /proc/stat.", ("mode",), "8", NS
)
HOST_BUSY_CPU = counter(
    "energyd_host_busy_cpu_seconds_total", "seconds", "CPU time of all tasks, those that have ended included.", (), "1", NS
)
EXITED_CPU = counter(
    "energyd_exited_cpu_seconds_total", "seconds", "CPU time of tasks that ended before a sample could name them.", (), "1", NS
)
HOST_MEMORY = gauge("energyd_host_memory_bytes", "bytes", "Memory of the machine by field of /proc/meminfo.", ("field",), "7")

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


def rows(host: Host) -> Iterator[Row]:
    """What has not been measured has no series."""
    if host.energy_uj is not None:
        yield HOST_ENERGY, (host.source,), host.energy_uj
    if host.power_w is not None:
        yield HOST_POWER, (host.source,), float(host.power_w)
    for window in host.windows:
        yield HOST_WINDOW_MEASURED, (window.name,), window.seconds
        yield from windows.rows(window, HOST_WINDOW_QUANTILE, HOST_WINDOW_MEAN, HOST_WINDOW_MAX, (), host.source)
    for mode, cpu_ns in host.cpu_ns:
        yield HOST_CPU, (mode,), cpu_ns
    yield HOST_BUSY_CPU, (), host.busy_cpu_ns
    yield EXITED_CPU, (), host.exited_cpu_ns
    for field, memory_bytes in host.memory_bytes:
        yield HOST_MEMORY, (field,), memory_bytes
