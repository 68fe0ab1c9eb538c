"""RAPL through perf_event_open(2): what a machine without the powercap tree, or a reader that may not read it, still has.

The PMU `power` (arch/x86/events/rapl.c) shows its events under /sys/devices/power/events: `energy-pkg` is `event=0x02`, its
`.scale` the joules of one count, 2^-32. `cpumask` names one CPU for each package or die; an event is opened on each of them and
counts from 0 in 64 bits, unwrapped by the kernel. It takes CAP_PERFMON, or kernel.perf_event_paranoid <= 0. Kernels before 5.17
list events that AMD processors do not have, which is why only energy-pkg is taken there. A PMU without energy-pkg is a guest's:
kernels list energy-psys without asking its register, which shows 0 for ever where the hypervisor hands none on.
The law: events stay open as long as this object lives, so a zone that is found again goes on counting.
"""

import errno
import os
import struct
from collections.abc import Callable
from functools import partial
from typing import Final

from energyd.powercap.duplicates import AMD_VENDORS
from energyd.powercap.sysfs import Sysfs
from energyd.powercap.zone import NO_PACKAGE, Reader, Zone
from energyd.units import UJ_PER_J

COUNTER: Final = "perf_event"
DOMAINS: Final = {
    "energy-pkg": "package",
    "energy-ram": "dram",
    "energy-cores": "core",
    "energy-gpu": "uncore",
    "energy-psys": "psys",
}
_SYSCALL: Final = 298  # perf_event_open on x86-64, the only machines with this PMU
_FLAG_FD_CLOEXEC: Final = 8
_ATTRIBUTE_SIZE: Final = 64  # PERF_ATTR_SIZE_VER0; type, size and config are its first fields
_count = struct.Struct("<Q").unpack

OpenEvent = Callable[[int, int, int], int]
"""(type of the PMU, config, CPU) -> file descriptor; OSError."""


def open_event(pmu_type: int, config: int, cpu: int) -> int:
    """perf_event_open for all tasks on `cpu`. ctypes is loaded here, because a reader pays a megabyte for it."""
    import ctypes

    if os.uname().machine != "x86_64":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    attribute = struct.pack("<IIQ", pmu_type, _ATTRIBUTE_SIZE, config).ljust(_ATTRIBUTE_SIZE, b"\0")
    libc = ctypes.CDLL(None, use_errno=True)
    no_group, every_task = -1, -1
    fd: int = libc.syscall(
        ctypes.c_long(_SYSCALL),
        ctypes.c_char_p(attribute),
        ctypes.c_int(every_task),
        ctypes.c_int(cpu),
        ctypes.c_int(no_group),
        ctypes.c_ulong(_FLAG_FD_CLOEXEC),
    )
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return fd


class PerfEvents:
    """The energy events below `sysfs_root`. `vendor` is vendor_id of /proc/cpuinfo, `mono_ns` CLOCK_MONOTONIC."""

    def __init__(
        self,
        sysfs_root: str,
        vendor: str,
        mono_ns: Callable[[], int],
        open_event: OpenEvent = open_event,
        sysfs: Sysfs | None = None,
    ) -> None:
        self._root = f"{sysfs_root}/devices/power"
        self._cpus = f"{sysfs_root}/devices/system/cpu"
        self._domains = {"energy-pkg": "package"} if vendor in AMD_VENDORS else DOMAINS
        self._mono_ns = mono_ns
        self._open_event = open_event
        self._sysfs = sysfs or Sysfs()
        self._open: dict[str, tuple[int, int]] = {}  # device -> descriptor, when it was opened

    def fingerprint(self) -> dict[str, int]:
        """The CPUs that count: another one when a package came, or when its first CPU went."""
        return {f"{COUNTER}@cpu{cpu}": cpu + 1 for cpu in self._counting_cpus()}

    def zones(self) -> list[Zone]:
        """A zone for each event and package; psys on one CPU only. Parents come first."""
        pmu_type, missing = self._sysfs.number(f"{self._root}/type")
        if missing or self._config("energy-pkg") is None:
            return []
        cpus = self._counting_cpus()
        places = {cpu: self._place(cpu) for cpu in cpus}
        packages = [package for package, _ in places.values()]
        result = []
        for event, domain in self._domains.items():
            config = self._config(event)
            if config is None:
                continue
            for cpu in cpus[:1] if domain == "psys" else cpus:
                package, die = places[cpu]
                own = f"package-{package}-die-{die}" if packages.count(package) > 1 else f"package-{package}"
                result.append(self._zone(event, domain, own, (package, die, cpu), (pmu_type, config)))
        return result

    def _zone(self, event: str, domain: str, own: str, place: tuple[int, int, int], kind: tuple[int, int]) -> Zone:
        package, die, cpu = place
        device = f"power/{event}@cpu{cpu}"
        inner = domain not in ("package", "psys")
        zone = Zone(
            name=f"{own}/{domain}" if inner else own if domain == "package" else domain,
            domain=domain,
            source="rapl",
            counter=COUNTER,
            device=device,
            path="",
            parent=own if inner else "",
            package=NO_PACKAGE if domain == "psys" else package,
            die=die,
            additive=domain in ("package", "dram"),
        )
        if device not in self._open:
            try:
                self._open[device] = self._open_event(*kind, cpu), self._mono_ns()
            except OSError as error:
                return zone._replace(read_errno=error.errno or errno.EIO)
        return zone._replace(epoch=self._open[device][1])

    def open(self, zone: Zone) -> Reader:
        """A reader in microjoules. Closing it leaves the event open, so that its count goes on."""
        fd, _ = self._open[zone.device]
        event = zone.device.partition("/")[2].partition("@")[0]
        numerator, denominator = float(self._sysfs.text(f"{self._root}/events/{event}.scale") or 2**-32).as_integer_ratio()
        return Reader(partial(_read_uj, fd, numerator * UJ_PER_J, denominator), _leave_open)

    def close(self) -> None:
        for fd, _ in self._open.values():
            os.close(fd)
        self._open.clear()

    def _config(self, event: str) -> int | None:
        """The code of an event, None when the PMU does not have it."""
        key, _, code = self._sysfs.text(f"{self._root}/events/{event}").partition("=")
        try:
            return int(code, 0) if key == "event" else None
        except ValueError:
            return None

    def _counting_cpus(self) -> list[int]:
        return parse_cpus(self._sysfs.text(f"{self._root}/cpumask"))

    def _place(self, cpu: int) -> tuple[int, int]:
        """(physical package, die) of a CPU."""
        topology = f"{self._cpus}/cpu{cpu}/topology"
        return self._sysfs.number(f"{topology}/physical_package_id")[0], self._sysfs.number(f"{topology}/die_id")[0]


def parse_cpus(text: str) -> list[int]:
    """`0-2,8` as [0, 1, 2, 8] (Documentation/admin-guide/cputopology.rst); [] for what is no such list."""
    cpus: list[int] = []
    try:
        for part in text.split(",") if text else ():
            first, _, last = part.partition("-")
            cpus += range(int(first), int(last or first) + 1)
    except ValueError:
        return []
    return cpus


def _read_uj(fd: int, numerator: int, denominator: int) -> int:
    (count,) = _count(os.read(fd, 8))
    return int(count) * numerator // denominator


def _leave_open() -> None:
    pass
