"""What every power source is made of: zones, each with one counter that can be read. The vocabulary of this package."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

from energyd.powercap.sysfs import NUMBER_SIZE, Sysfs

NO_PACKAGE = -1
LENT = "lent"  # source of a zone whose joules a host has shared out to its guests
SIMULATED = "simulated"


class Zone(NamedTuple):
    """One counter of energy, or one indicator of power, as its source declares it.

    The additive zones partition the energy of the host (packages or their dies, and their DRAM); the others lie inside or around
    those. range_uj is the last value before the counter starts again at 0; 0 = unknown or none, and a fall is a reset.
    """

    name: str  # unique: package-0, package-0/dram, package-0-die-1, psys
    domain: str  # package, dram, core, uncore, psys, gpu, ..., or the name as it stands
    source: str  # rapl, hwmon, battery, model, nvidia; lent or simulated where a powercap tree is another energyd's
    counter: str  # who counts: intel-rapl, intel-rapl-mmio, perf_event, a chip; another one has another baseline
    device: str  # the kernel's name of the zone, unique: intel-rapl:0:1
    path: str  # of the file that is read, '' where it is none
    parent: str = ""  # name of the enclosing zone, '' at the top
    package: int = NO_PACKAGE  # physical package, NO_PACKAGE when the zone belongs to none
    die: int = 0
    range_uj: int = 0
    max_power_uw: int = 0  # highest of the constraints' maxima, 0 = not told
    additive: bool = False
    power: bool = False  # shows microwatts, not microjoules
    epoch: int = 0  # differs when the counter has started anew, where it does not tell so itself
    dropped: str = ""  # why the zone is not read, '' when it is
    read_errno: int = 0  # why its counter cannot be read, 0 when it can

    @property
    def used(self) -> bool:
        """Is the zone read?"""
        return not self.dropped and not self.read_errno

    @property
    def rangeless(self) -> bool:
        """Should the zone have a range and tells none?"""
        return self.path.endswith("/energy_uj") and not self.range_uj

    @property
    def directory(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def parent_device(self) -> str:
        return self.device.rpartition(":")[0]

    @property
    def baseline(self) -> str:
        """Names the register behind the zone: readings of two different ones have no difference."""
        return f"{self.counter}@{self.epoch}" if self.epoch else self.counter

    def label(self) -> dict[str, Any]:
        """What whoever gets the readings must know of the zone."""
        return {
            "zone": self.name,
            "domain": self.domain,
            "parent": self.parent,
            "package": self.package,
            "die": self.die,
            "source": self.source,
            "baseline": self.baseline,
            "range_uj": self.range_uj,
            "max_power_uw": self.max_power_uw,
            "additive": self.additive,
            "dropped": self.dropped,
        }


class Reader(NamedTuple):
    """An open zone. `read` gives the raw value, a number or its decimal digits; OSError when it cannot. `users`, where somebody
    knows: (pid, weight) of who has used the zone since it was asked last; OSError when that cannot be told."""

    read: Callable[[], int | bytes]
    close: Callable[[], None]
    users: Callable[[], list[tuple[int, int]]] | None = None


class Source(Protocol):
    """One kind of hardware or estimate. A source that is not there has no zones; one that fails says so in read_errno."""

    period_ns: int  # how often a reading says something new; 0 = as often as asked

    def fingerprint(self) -> dict[str, int]:
        """{device: a number}: cheap, and different when zones have come, gone, changed or been made anew."""

    def discover(self) -> list[Zone]:
        """All zones, also those that must not or cannot be read."""

    def open(self, zone: Zone) -> Reader:
        """Begin to read a zone that `discover` has found; OSError when it is gone."""


def file_reader(zone: Zone, sysfs: Sysfs) -> Reader:
    """One kept descriptor, one pread a reading."""
    fd = sysfs.open(zone.path)
    return Reader(partial(sysfs.pread, fd, NUMBER_SIZE, 0), partial(os.close, fd))
