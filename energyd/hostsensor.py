"""The sensor that a configuration asks for: for the reader, and for everybody else who looks at this machine."""

from collections.abc import Callable, Sequence

from energyd.config import Config
from energyd.powercap.advice import explain
from energyd.powercap.sensor import Sensor
from energyd.powercap.sources import Model, Places, sensor, simulated_sensor
from energyd.powercap.zone import Zone


def sensor_of(config: Config, mono_ns: Callable[[], int]) -> Sensor:
    """Before its first `rescan`; `mono_ns` is CLOCK_MONOTONIC."""
    if "rapl" in config.simulated:
        return simulated_sensor(config.powercap_root, mono_ns)
    energy = config.energy
    places = Places(config.sysfs_root, config.procfs_root, config.powercap_root)
    return sensor(energy.sources, places, Model(energy.model_idle_w, energy.model_max_w), mono_ns)


def advice_of(config: Config, zones: Sequence[Zone]) -> list[str]:
    """What is amiss with the zones that it has found, with the commands that mend it; [] when all is well."""
    return explain(zones, config.powercap_root, config.procfs_root, host="meter" not in config.energy.sources)
