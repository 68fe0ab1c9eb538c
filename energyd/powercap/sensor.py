"""Reads the counters: one kept descriptor a zone, one pread a sample, the clock read between any two of them.

A sweep takes the zones one after the other, because their registers are read one after the other: each reading carries its own
time, the middle of the pread, and how long that took, which bounds the error of the time. Zones come and go: the last CPU of a
package that goes offline takes the package's zones with it, modules are reloaded, permission is given late
(Documentation/power/powercap/powercap.rst says when zones are registered). A descriptor of a zone that has gone answers ENODEV
for ever. The law: raw counters, never a difference; a zone fails alone; a zone that comes back is announced as a new one.
"""

import errno
import os
from collections.abc import Callable
from typing import NamedTuple

from energyd.powercap.duplicates import discover
from energyd.powercap.sysfs import NUMBER_SIZE, Sysfs, parse_number
from energyd.powercap.zones import Zone, fingerprint
from energyd.samples import FAILED
from energyd.units import NS_PER_S

RESCAN_NS = 2 * NS_PER_S
LOST_RESCAN_NS = NS_PER_S // 10  # a module that is reloaded has its zones back after some ms
_GONE = (errno.ENODEV, errno.ENOENT, errno.ENXIO)


Reading = tuple[Zone, int, int, int, int]
"""(zone, status, energy_uj, mono_ns, read_ns): one raw counter. status is 0, or FAILED and then energy_uj is the errno; mono_ns is
the middle of the read and read_ns its duration. A plain tuple, because named ones take a quarter of the whole sweep."""


class Change(NamedTuple):
    """What a rescan has found: `appeared` holds new zones and those that differ from what was announced, dropped ones too."""

    appeared: tuple[Zone, ...] = ()
    vanished: tuple[Zone, ...] = ()


NO_CHANGE = Change()


class Sensor:
    """The zones of one powercap tree and their open descriptors; `zones` is what the last rescan has found.

    `vendor` is vendor_id of /proc/cpuinfo, '' for a tree that is not of this machine; `mono_ns` is CLOCK_MONOTONIC.
    """

    def __init__(self, root: str, vendor: str, mono_ns: Callable[[], int], sysfs: Sysfs | None = None) -> None:
        self.zones: tuple[Zone, ...] = ()
        self._root = root
        self._vendor = vendor
        self._mono_ns = mono_ns
        self._sysfs = sysfs or Sysfs()
        self._open: dict[Zone, int] = {}
        self._seen: dict[str, int] = {}  # fingerprint of the tree at the last rescan, less the zones that have gone since
        self._next_rescan_ns = mono_ns()

    def rescan(self) -> Change:
        """Look for zones that came, went or became readable: every RESCAN_NS, sooner after one has gone, and not in between."""
        now_ns = self._mono_ns()
        if now_ns < self._next_rescan_ns:
            return NO_CHANGE
        self._next_rescan_ns = now_ns + RESCAN_NS
        seen = fingerprint(self._root)
        incomplete = any(not zone.dropped and (zone.read_errno or not zone.range_uj) for zone in self.zones)
        if seen == self._seen and not incomplete:
            return NO_CHANGE
        same = {device for device, inode in seen.items() if self._seen.get(device) == inode}
        self._seen = seen
        return self._adopt(tuple(discover(self._root, self._vendor, self._sysfs)), same)

    def _adopt(self, zones: tuple[Zone, ...], same: set[str]) -> Change:
        kept = {zone for zone in self.zones if zone.device in same}.intersection(zones)
        change = Change(
            appeared=tuple(zone for zone in zones if zone not in kept),
            vanished=tuple(zone for zone in self.zones if zone not in kept),
        )
        for zone in change.vanished:
            self._close(zone)
        self.zones = zones
        for zone in change.appeared:
            if zone.used:
                try:
                    self._open[zone] = self._sysfs.open(zone.energy_path)
                except OSError:  # it went between the listing and here
                    self._lose(zone)
        return change

    def sweep(self) -> list[Reading]:
        """Read every open zone once. A zone whose device has gone answers a last time, FAILED, and is left to the next rescan."""
        readings: list[Reading] = []
        mono_ns, pread = self._mono_ns, self._sysfs.pread
        gone = []
        before_ns = mono_ns()
        for zone, fd in self._open.items():
            status = 0
            try:
                energy_uj = parse_number(pread(fd, NUMBER_SIZE, 0))
            except OSError as error:
                status, energy_uj = FAILED, error.errno or errno.EIO
                if energy_uj in _GONE:
                    gone.append(zone)
            after_ns = mono_ns()
            readings.append((zone, status, energy_uj, (before_ns + after_ns) // 2, after_ns - before_ns))
            before_ns = after_ns
        for zone in gone:
            self._lose(zone)
        return readings

    def _lose(self, zone: Zone) -> None:
        self._close(zone)
        self._seen.pop(zone.device, None)
        self._next_rescan_ns = min(self._next_rescan_ns, self._mono_ns() + LOST_RESCAN_NS)

    def _close(self, zone: Zone) -> None:
        fd = self._open.pop(zone, None)
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        for zone in tuple(self._open):
            self._close(zone)
