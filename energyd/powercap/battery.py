"""A laptop on its battery: what the battery gives is what the machine draws, screen and losses included.

Documentation/ABI/testing/sysfs-class-power: `power_now` is microwatts, or `current_now` (microamperes) times `voltage_now`
(microvolts); some drivers show a negative sign while discharging; `status` is Discharging only while the battery feeds the machine;
`scope` is Device for the batteries of mice and headsets. Several batteries take turns and are added.
The law: on mains a battery says nothing, so it is dropped then, and never read as 0 W.
"""

import errno
import os
from functools import partial

from energyd.powercap.sysfs import Sysfs
from energyd.powercap.zone import Reader, Zone
from energyd.units import NS_PER_S

ON_MAINS = "a battery tells what the machine draws only while it discharges"
_UNIT = 1_000_000  # microamperes times microvolts are 10^-12 W


class Battery:
    """The batteries of `sysfs_root`/class/power_supply."""

    period_ns = NS_PER_S  # fuel gauges measure about once a second

    def __init__(self, sysfs_root: str, sysfs: Sysfs | None = None) -> None:
        self._root = f"{sysfs_root}/class/power_supply"
        self._sysfs = sysfs or Sysfs()

    def fingerprint(self) -> dict[str, int]:
        return {f"power_supply/{name}": 1 + self._discharges(name) for name in self._names()}

    def discover(self) -> list[Zone]:
        zones = []
        for name in self._names():
            directory = f"{self._root}/{name}"
            read_errno = 0
            dropped = "" if self._discharges(name) else ON_MAINS
            if not dropped:
                try:
                    self._power_uw(directory)
                except OSError as error:
                    read_errno = error.errno or errno.EIO
            zones.append(
                Zone(
                    name=name,
                    domain="battery",
                    source="battery",
                    counter=f"battery {name}",
                    device=f"power_supply/{name}",
                    path=f"{directory}/{'power_now' if os.path.exists(f'{directory}/power_now') else 'current_now'}",
                    additive=not dropped,
                    power=True,
                    dropped=dropped,
                    read_errno=read_errno,
                )
            )
        return zones

    def open(self, zone: Zone) -> Reader:
        return Reader(partial(self._read_uw, zone.directory, zone.name), _nothing)

    def _names(self) -> list[str]:
        try:
            names = sorted(os.listdir(self._root))
        except OSError:
            return []
        text = self._sysfs.text
        return [
            name
            for name in names
            if text(f"{self._root}/{name}/type") == "Battery" and text(f"{self._root}/{name}/scope") != "Device"
        ]

    def _discharges(self, name: str) -> bool:
        return self._sysfs.text(f"{self._root}/{name}/status") == "Discharging"

    def _read_uw(self, directory: str, name: str) -> int:
        if not self._discharges(name):
            raise OSError(errno.ENODEV, ON_MAINS)
        return self._power_uw(directory)

    def _power_uw(self, directory: str) -> int:
        power_uw = self._number(f"{directory}/power_now")
        if power_uw is not None:
            return power_uw
        current_ua, voltage_uv = self._number(f"{directory}/current_now"), self._number(f"{directory}/voltage_now")
        if current_ua is None or voltage_uv is None:
            raise OSError(errno.ENODATA, "neither power_now nor current_now and voltage_now")
        return current_ua * voltage_uv // _UNIT

    def _number(self, path: str) -> int | None:
        """A quantity without its sign, None where it is not told."""
        digits = self._sysfs.text(path).removeprefix("-")
        return int(digits) if digits.isdecimal() else None


def _nothing() -> None:
    pass
