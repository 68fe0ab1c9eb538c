"""RAPL as a source: the powercap tree, and perf_event where the tree is missing or may not be read.

Both lead to the same registers of the processor (drivers/powercap/intel_rapl_common.c, arch/x86/events/rapl.c).
"""

from energyd.powercap.duplicates import discover
from energyd.powercap.perf import PerfEvents
from energyd.powercap.sysfs import Sysfs
from energyd.powercap.zone import SIMULATED, Reader, Zone, file_reader
from energyd.powercap.zones import fingerprint


class Rapl:
    """The zones of the tree `root`.

    `vendor` is vendor_id of /proc/cpuinfo, '' for a tree that is not of this machine; `perf` is None where only the tree counts;
    the zones of a `simulated` tree say so.
    """

    period_ns = 0

    def __init__(
        self, root: str, vendor: str, perf: PerfEvents | None = None, sysfs: Sysfs | None = None, *, simulated: bool = False
    ) -> None:
        self._root = root
        self._vendor = vendor
        self._perf = perf
        self._sysfs = sysfs or Sysfs()
        self._simulated = simulated

    def fingerprint(self) -> dict[str, int]:
        seen = fingerprint(self._root)
        return seen if self._perf is None else seen | self._perf.fingerprint()

    def discover(self) -> list[Zone]:
        stand_ins = list[Zone] if self._perf is None else self._perf.zones
        zones = discover(self._root, self._vendor, self._sysfs, stand_ins=stand_ins)
        return [zone._replace(source=SIMULATED) for zone in zones] if self._simulated else zones

    def open(self, zone: Zone) -> Reader:
        if self._perf is not None and not zone.path:
            return self._perf.open(zone)
        return file_reader(zone, self._sysfs)
