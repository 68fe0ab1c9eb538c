"""Energy and power that hwmon chips show: amd_energy, ACPI power meters, INA2xx shunts of single-board computers, GPUs.

Documentation/hwmon/sysfs-interface.rst: `energyN_input` is cumulative, in microjoules; `powerN_input` and `powerN_average` are
microwatts, the average being preferred because it misses nothing in between. Chips number their channels and may label them; what
a channel measures is known by the chip alone. So only the chips of HOST may stand for the machine, the first of them that is
there; every other channel is shown beside it.
The law: power is recorded as power; whoever knows the times makes energy of it.
"""

import os
import re
from typing import Final

from energyd.powercap.sysfs import Sysfs
from energyd.powercap.zone import Reader, Zone, file_reader
from energyd.units import NS_PER_S

HOST: Final = (
    (re.compile(r"amd_energy"), re.compile(r"Esocket\d+"), "package"),  # Documentation/hwmon/amd_energy.rst
    (re.compile(r"fam15h_power"), re.compile(r""), "package"),  # fam15h_power.rst: the processor package
    (re.compile(r"power_meter"), re.compile(r""), "system"),  # acpi_power_meter.rst: the machine
    (re.compile(r"ina\d+"), re.compile(r"VDD_IN|POM_5V_IN"), "board"),  # the supply rail of Jetson boards, as their DTBs label it
    (re.compile(r"ina\d+"), re.compile(r""), "board"),
)
"""(chip, label, domain): which channels measure the machine or its processors. One shunt without a label is taken to be in the
supply, several are rails of which nobody knows which holds which."""
GPUS: Final = ("amdgpu", "nouveau", "i915", "xe")
_CHANNEL = re.compile(r"(energy|power)(\d+)_(input|average)")
_ORDER: Final = ("energy_input", "power_average", "power_input")


class Hwmon:
    """The chips of `sysfs_root`/class/hwmon."""

    period_ns = NS_PER_S // 10  # power meters average over a second and more, INA2xx convert within some ms

    def __init__(self, sysfs_root: str, sysfs: Sysfs | None = None) -> None:
        self._root = f"{sysfs_root}/class/hwmon"
        self._sysfs = sysfs or Sysfs()

    def fingerprint(self) -> dict[str, int]:
        return {device: _inode(path) for device, path in self._channels()}

    def discover(self) -> list[Zone]:
        zones: list[Zone] = []
        for device, path in self._channels():
            zone = self._zone(device, path)
            twin = any(zone.name == other.name for other in zones)
            zones.append(zone._replace(name=f"{zone.name}@{device.partition('/')[0]}") if twin else zone)
        return _with_host(zones)

    def open(self, zone: Zone) -> Reader:
        return file_reader(zone, self._sysfs)

    def _channels(self) -> list[tuple[str, str]]:
        """(device, path) of the best file of each channel: `hwmon3/energy1_input`."""
        found = []
        for chip in sorted(_names(self._root)):
            best: dict[str, tuple[int, str]] = {}  # channel number -> (preference, file)
            for name in _names(f"{self._root}/{chip}"):
                if match := _CHANNEL.fullmatch(name):
                    kind = f"{match[1]}_{match[3]}"
                    if kind in _ORDER:
                        number = match[2]
                        best[number] = min(best.get(number, (len(_ORDER), "")), (_ORDER.index(kind), name))
            found += [(f"{chip}/{name}", f"{self._root}/{chip}/{name}") for _, (_, name) in sorted(best.items())]
        return found

    def _zone(self, device: str, path: str) -> Zone:
        directory, file = path.rsplit("/", 1)
        chip = self._sysfs.text(f"{directory}/name") or device.partition("/")[0]
        channel = file.partition("_")[0]
        label = self._sysfs.text(f"{directory}/{channel}_label")
        _, read_errno = self._sysfs.number(path)
        return Zone(
            name=f"{chip}/{label or channel}",
            domain="gpu" if chip in GPUS else "hwmon",
            source="hwmon",
            counter=f"hwmon {chip}",
            device=device,
            path=path,
            power=file.startswith("power"),
            read_errno=read_errno,
        )


def _with_host(zones: list[Zone]) -> list[Zone]:
    """Mark the channels of the first rule of HOST that has any."""
    for chip, label, domain in HOST:
        members = {
            zone.device
            for zone in zones
            if chip.fullmatch(zone.counter.removeprefix("hwmon "))
            and (not label.pattern or label.match(zone.name.partition("/")[2]))
        }
        if members and not (domain == "board" and not label.pattern and len(members) > 1):
            return [zone._replace(domain=domain, additive=True) if zone.device in members else zone for zone in zones]
    return zones


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0
