"""Makes the sources that `energy.sources` names, in one place for the reader and for `energyd zones`."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from energyd.powercap.advice import cpu_vendor
from energyd.powercap.battery import Battery
from energyd.powercap.choice import Choice, expand
from energyd.powercap.cpumodel import CpuModel
from energyd.powercap.hwmon import Hwmon
from energyd.powercap.nvidia import Nvidia, find_library
from energyd.powercap.perf import PerfEvents
from energyd.powercap.rapl import Rapl
from energyd.powercap.sensor import Sensor
from energyd.powercap.zone import Source


class Places(NamedTuple):
    """Where the machine is looked at. `powercap_root` is /sys/class/powercap or what stands for it."""

    sysfs_root: str
    procfs_root: str
    powercap_root: str


class Model(NamedTuple):
    """What the CPU-time model goes by; without both there is none."""

    idle_w: float | None
    max_w: float | None


def simulated_sensor(powercap_root: str, mono_ns: Callable[[], int]) -> Sensor:
    """A tree that is not of this machine, and nothing of this machine beside it."""
    return Sensor([Rapl(powercap_root, "", simulated=True)], Choice(("rapl",)), mono_ns)


def sensor(names: Sequence[str], places: Places, model: Model | None, mono_ns: Callable[[], int]) -> Sensor:
    """The sensor of this machine; `names` as in `energy.sources`, in order of preference."""
    vendor = cpu_vendor(places.procfs_root)
    wanted = expand(names)
    sources: list[Source] = []
    if "rapl" in wanted or "psys" in wanted:
        sources.append(Rapl(places.powercap_root, vendor, PerfEvents(places.sysfs_root, vendor, mono_ns)))
    if "hwmon" in wanted:
        sources.append(Hwmon(places.sysfs_root))
    if "battery" in wanted:
        sources.append(Battery(places.sysfs_root))
    if "nvidia" in wanted:
        sources.append(Nvidia(find_library()))
    if "model" in wanted and model is not None and model.idle_w is not None and model.max_w is not None:
        sources.append(CpuModel(places.procfs_root, model.idle_w, model.max_w, mono_ns))
    return Sensor(sources, Choice(wanted), mono_ns)
