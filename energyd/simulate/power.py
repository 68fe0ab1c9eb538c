"""How much energy each simulated zone has used after a time: constant power, steps from a file, or the machine's own CPU load.

Energies are integers and follow from the time since the start alone (for `load`, from that and /proc/stat), so what the counters
should show is known exactly at every instant, however late an update comes.

    constant:40                     40 W a package; its other zones by the shares below
    constant:40,core=25,package-1=80,package-1/dram=9
    steps:FILE                      lines `SECONDS WATTS[,ZONE=WATTS...]`, over and over
    load[:IDLE_W,W_PER_CPU]         a package idles at 8 W, and each busy CPU adds 6 W
"""

import os
from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal, DecimalException
from itertools import accumulate
from typing import Final, NamedTuple, Protocol

from energyd.errors import ConfigError
from energyd.units import NS_PER_S, UW_PER_W

IDLE_W: Final = "8"
W_PER_CPU: Final = "6"
# of a package's power: what its inner zones show, what its memory draws beside it
_SHARES: Final = {"core": Decimal("0.6"), "uncore": Decimal("0.05"), "dram": Decimal("0.12")}
PLATFORM_UW: Final = 5 * UW_PER_W  # psys holds the packages, their memory and this
_BUSY_FIELDS: Final = (1, 2, 3, 6, 7)  # user nice system irq softirq of the first line of /proc/stat (proc(5))


class Zone(NamedTuple):
    """A zone: the directory that the kernel would give it, and its name as energyd shows it (`package-0/dram`)."""

    directory: str
    name: str

    @property
    def domain(self) -> str:
        own = self.name.rpartition("/")[2]
        return "package" if own.startswith("package-") else own

    @property
    def package(self) -> str:
        return self.name.partition("/")[0]


class Profile(Protocol):
    """Energy used by each zone, in the order of the zones."""

    def energies_uj(self, elapsed_ns: int) -> list[int]:
        """Microjoules since the start, `elapsed_ns` after it; never less than for an earlier instant."""

    def highest_uw(self) -> list[int]:
        """The most that each zone ever draws, in microwatts."""


def _number(text: str, scale: int, what: str) -> int:
    """A number of watts or seconds that is not negative, in whole parts of 1/`scale`."""
    try:
        number = int(Decimal(text) * scale)
    except (DecimalException, ValueError, OverflowError):
        number = -1
    if number < 0:
        raise ConfigError(f"{text!r} is no {what}")
    return number


def _microwatts(text: str) -> int:
    return _number(text, UW_PER_W, "power in watts")


def powers_uw(text: str, zones: Sequence[Zone], platform_uw: int = PLATFORM_UW) -> list[int]:
    """`WATTS[,ZONE=WATTS...]` as microwatts by zone: named by its own name, by its domain, or derived. Raises ConfigError."""
    first, *rest = text.split(",")
    named = {"package": _microwatts(first)}
    for item in rest:
        name, equals, watts = item.partition("=")
        if not equals or not any(name in (zone.name, zone.domain) for zone in zones):
            raise ConfigError(f"{item!r}: expected ZONE=WATTS with a zone of {', '.join(zone.name for zone in zones)}")
        named[name] = _microwatts(watts)

    def of(name: str, domain: str, package: str) -> int:
        if name in named or domain in named:
            return named.get(name, named.get(domain, 0))
        if domain in _SHARES:
            return int(of(package, "package", package) * _SHARES[domain])
        packages = sorted({zone.package for zone in zones if zone.domain == "package"})
        parts = sum(of(each, "package", each) + of(f"{each}/dram", "dram", each) for each in packages)
        return parts + platform_uw

    return [of(zone.name, zone.domain, zone.package) for zone in zones]


class Constant:
    """The same power for ever."""

    def __init__(self, powers: list[int]) -> None:
        self._powers = powers

    def energies_uj(self, elapsed_ns: int) -> list[int]:
        return [power * elapsed_ns // NS_PER_S for power in self._powers]

    def highest_uw(self) -> list[int]:
        return self._powers


class Steps:
    """Powers that hold for some time each, and again from the beginning. `steps`: (duration in ns, microwatts by zone)."""

    def __init__(self, steps: list[tuple[int, list[int]]]) -> None:
        self._powers = [powers for _, powers in steps]
        self._ends_ns = list(accumulate(duration for duration, _ in steps))
        self._used = [[0] * len(steps[0][1])]  # microwatts times nanoseconds until the begin of each step, and after the last
        for duration_ns, powers in steps:
            self._used.append([used + power * duration_ns for used, power in zip(self._used[-1], powers, strict=True)])

    def energies_uj(self, elapsed_ns: int) -> list[int]:
        rounds, within_ns = divmod(elapsed_ns, self._ends_ns[-1])
        step = bisect_right(self._ends_ns, within_ns)
        since_ns = within_ns - (self._ends_ns[step - 1] if step else 0)
        whole, begun, powers = self._used[-1], self._used[step], self._powers[step]
        return [(rounds * a + b + power * since_ns) // NS_PER_S for a, b, power in zip(whole, begun, powers, strict=True)]

    def highest_uw(self) -> list[int]:
        return [max(column) for column in zip(*self._powers, strict=True)]


class Load:
    """What the machine's own CPUs would draw: an idle power, and a power for each CPU that is busy.

    `idle` and `per_cpu` are microwatts of the whole machine by zone; the busy time is that of /proc/stat under `procfs_root`.
    """

    def __init__(self, idle: list[int], per_cpu: list[int], procfs_root: str) -> None:
        self._idle = idle
        self._per_cpu = per_cpu
        self._fd = os.open(f"{procfs_root}/stat", os.O_RDONLY | os.O_CLOEXEC)
        self._tick_ns = NS_PER_S // os.sysconf("SC_CLK_TCK")
        self._begin_ns = self._busy_ns = self._read_ns()

    def _read_ns(self) -> int:
        fields = os.pread(self._fd, 256, 0).split(maxsplit=9)
        return sum(int(fields[index]) for index in _BUSY_FIELDS) * self._tick_ns

    def energies_uj(self, elapsed_ns: int) -> list[int]:
        self._busy_ns = max(self._busy_ns, self._read_ns())
        busy_ns = self._busy_ns - self._begin_ns
        pairs = zip(self._idle, self._per_cpu, strict=True)
        return [(idle * elapsed_ns + per_cpu * busy_ns) // NS_PER_S for idle, per_cpu in pairs]

    def highest_uw(self) -> list[int]:
        cpus = os.cpu_count() or 1
        return [idle + cpus * per_cpu for idle, per_cpu in zip(self._idle, self._per_cpu, strict=True)]


def _read_steps(path: str, zones: Sequence[Zone]) -> Steps:
    steps = []
    try:
        with open(path) as file:
            for number, line in enumerate(file, 1):
                fields = line.partition("#")[0].split()
                if len(fields) not in (0, 2):
                    raise ConfigError(f"{path}:{number}: expected SECONDS WATTS[,ZONE=WATTS...]")
                if fields:
                    steps.append((_number(fields[0], NS_PER_S, "duration in seconds"), powers_uw(fields[1], zones)))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the steps {path}: {error}") from error
    if not sum(duration for duration, _ in steps):
        raise ConfigError(f"{path} holds no step with a duration")
    return Steps([step for step in steps if step[0]])


def profile(text: str, zones: Sequence[Zone], procfs_root: str) -> Profile:
    """The profile that `text` names (see above); ConfigError when it names none."""
    kind, _, rest = text.partition(":")
    if kind == "constant" and rest:
        return Constant(powers_uw(rest, zones))
    if kind == "steps" and rest:
        return _read_steps(rest, zones)
    if kind == "load":
        idle_w, _, cpu_w = (rest or f"{IDLE_W},{W_PER_CPU}").partition(",")
        packages = sum(zone.domain == "package" for zone in zones)
        idle = powers_uw(idle_w, zones)
        busy = [power // packages for power in powers_uw(cpu_w, zones, platform_uw=0)]
        return Load(idle, busy, procfs_root)
    raise ConfigError(f"power is `constant:W`, `load` or `steps:FILE`, not {text!r}")
