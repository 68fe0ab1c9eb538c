"""`energyd simulate powercap`: a tree as /sys/class/powercap shows it, whose counters advance with a known power.

The layout is the kernel's (Documentation/power/powercap/powercap.rst, drivers/powercap/intel_rapl_common.c): zones nest below
devices/virtual/powercap/intel-rapl, class/powercap holds links to them, the suffix is hexadecimal, `core`, `uncore` and `dram`
are children of their package, `psys` stands after the packages, and a counter starts again at 0 after `max_energy_range_uj`.

A counter's file always holds one whole number: fifteen digits and a newline are one aligned block of 16 bytes in a shared
mapping, replaced by one store, and never truncated. The tree stays when the simulator ends, and the next one goes on from it.

Truth events: `start` and `energy`, both with mono_ns (CLOCK_MONOTONIC), energy_uj (by zone, unwrapped, since the first start on
this truth file) and raw_uj (by zone, as the file showed it at that instant); `start` adds range_uj. What a killed simulator had
shown but not yet told is told by the next one, as long as a range holds the energy of 100 ms.
"""

import argparse
import mmap
import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from energyd.errors import EnvironmentFault
from energyd.service import log
from energyd.service.clock import SYSTEM_CLOCK, Clock
from energyd.service.files import write_atomically
from energyd.service.loop import run_periodic
from energyd.service.stop import Stop
from energyd.simulate import truth as truths
from energyd.simulate.power import Profile, Zone, profile
from energyd.simulate.truth import Truth
from energyd.units import NS_PER_S

DIGITS: Final = 15
BLOCK: Final = DIGITS + 1
RANGE_UJ: Final = 262143328850  # a counter of 2^32 - 1 units of 61 uJ, as most Intel packages have
CHILDREN: Final = ("core", "uncore", "dram")
LIMIT_UW: Final = 95_000_000
TRUTH_PERIOD_NS: Final = 100_000_000
CONTROL_TYPE: Final = "intel-rapl"


def zones_of(sockets: int, domains: Sequence[str]) -> list[Zone]:
    """The zones of a machine, a parent before its children; `domains` of core, uncore, dram, psys."""
    zones = []
    for socket in range(sockets):
        package = Zone(f"{CONTROL_TYPE}:{socket:x}", f"package-{socket}")
        zones.append(package)
        children = [domain for domain in CHILDREN if domain in domains]
        zones += [Zone(f"{package.directory}:{n:x}", f"{package.name}/{domain}") for n, domain in enumerate(children)]
    return [*zones, Zone(f"{CONTROL_TYPE}:{sockets:x}", "psys")] if "psys" in domains else zones


class Counter:
    """The file `energy_uj` of one zone. A reader that reads at any moment gets one whole number."""

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._block = mmap.mmap(fd, BLOCK)
        finally:
            os.close(fd)

    def show(self, raw_uj: int) -> None:
        self._block[:] = b"%015d\n" % raw_uj

    def shown(self) -> int:
        return int(self._block[:])


class Tree:
    """The directories and files below `root`; the counters of an earlier run with the same zones go on, others begin anywhere."""

    def __init__(self, root: Path, zones: Sequence[Zone], range_uj: int, limits_uw: Sequence[int], seed: int | None) -> None:
        self._shown = root / "class/powercap"
        self._devices = root / "devices/virtual/powercap"
        rng = random.Random(seed)
        try:
            self._remove_other(zones)
            self._fill(self._devices / CONTROL_TYPE, {"enabled": "1"})
            self._show(self._devices / CONTROL_TYPE)
            self.counters = [
                self._zone(zone, range_uj, limit_uw, rng.randrange(range_uj + 1))
                for zone, limit_uw in zip(zones, limits_uw, strict=True)
            ]
        except OSError as error:
            raise EnvironmentFault(f"cannot make the powercap tree {root}: {error.strerror} ({error.filename or root})") from error

    def remove(self) -> None:
        """Remove the tree, as if the driver were unloaded."""
        shutil.rmtree(self._shown, ignore_errors=True)
        shutil.rmtree(self._devices, ignore_errors=True)

    def _remove_other(self, zones: Sequence[Zone]) -> None:
        self._shown.mkdir(parents=True, exist_ok=True)
        found = {entry.name for entry in self._shown.iterdir()}
        if found and found != {CONTROL_TYPE, *(zone.directory for zone in zones)}:
            self.remove()
            self._shown.mkdir(parents=True)

    def _zone(self, zone: Zone, range_uj: int, limit_uw: int, start_uj: int) -> Counter:
        parent, device = zone.directory.rpartition(":")[0], self._devices / CONTROL_TYPE
        directory = device / zone.directory if parent == CONTROL_TYPE else device / parent / zone.directory
        attributes = {
            "name": zone.name.rpartition("/")[2],
            "enabled": "1",
            "max_energy_range_uj": str(range_uj),
            "constraint_0_name": "long_term",
            "constraint_0_power_limit_uw": str(limit_uw),
            "constraint_0_time_window_us": "999424",
            "constraint_0_max_power_uw": str(limit_uw),
        }
        self._fill(directory, attributes)
        energy = directory / "energy_uj"
        if _raw_in(energy, range_uj) is None:
            write_atomically(str(energy), f"{start_uj:0{DIGITS}}\n", 0o644)
        self._show(directory)
        return Counter(energy)

    @staticmethod
    def _fill(directory: Path, attributes: dict[str, str]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in attributes.items():
            write_atomically(str(directory / name), text + "\n", 0o644)

    def _show(self, directory: Path) -> None:
        link = self._shown / directory.name
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(directory, self._shown))


def _raw_in(path: Path, range_uj: int) -> int | None:
    """The raw value that an earlier run left at `path`, None when there is none within the range."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    return int(text) if len(text) == BLOCK and text[:DIGITS].isdigit() and int(text) <= range_uj else None


class Host:
    """The counters, what they should show, and what has been told of it."""

    def __init__(
        self, zones: Sequence[Zone], counters: Sequence[Counter], source: Profile, range_uj: int, truth: Truth, clock: Clock
    ) -> None:
        self._zones = zones
        self._counters = counters
        self._source = source
        self._modulus_uj = range_uj + 1
        self._truth = truth
        self._clock = clock
        self._starts_uj = [counter.shown() for counter in counters]
        self._before_uj = [0] * len(zones)
        self._begin_ns = clock.mono_ns()
        self._tell_ns = self._begin_ns

    def begin(self, last: dict[str, dict[str, int]] | None) -> None:
        """Go on from the last truth line of an earlier run, which may be older than what the counters show."""
        if last is not None:
            for place, zone in enumerate(self._zones):
                if zone.name in last["raw_uj"]:
                    after_uj = (self._starts_uj[place] - last["raw_uj"][zone.name]) % self._modulus_uj
                    self._before_uj[place] = last["energy_uj"][zone.name] + after_uj
        self._tell("start", self._begin_ns, self._source.energies_uj(0), range_uj=self._modulus_uj - 1)

    def update(self, *, final: bool = False) -> None:
        """Bring every counter to what it should show now; a truth line is due each 100 ms, and for the final state."""
        now_ns = self._clock.mono_ns()
        energies = self._source.energies_uj(now_ns - self._begin_ns)
        for counter, start_uj, energy_uj in zip(self._counters, self._starts_uj, energies, strict=True):
            counter.show((start_uj + energy_uj) % self._modulus_uj)
        if now_ns >= self._tell_ns or final:
            self._tell("energy", now_ns, energies)
            self._tell_ns = now_ns + TRUTH_PERIOD_NS

    def _tell(self, event: str, mono_ns: int, energies: list[int], **more: int) -> None:
        rows = list(zip(self._zones, self._starts_uj, self._before_uj, energies, strict=True))
        energy_uj = {zone.name: before + energy for zone, _, before, energy in rows}
        raw_uj = {zone.name: (start + energy) % self._modulus_uj for zone, start, _, energy in rows}
        self._truth.write(event, mono_ns=mono_ns, energy_uj=energy_uj, raw_uj=raw_uj, **more)


def _positive(text: str) -> int:
    number = int(text)
    if number <= 0:
        raise ValueError(text)
    return number


def _range(text: str) -> int:
    number = _positive(text)
    if number >= 10**DIGITS:
        raise ValueError(text)
    return number


def _rate(text: str) -> float:
    rate_hz = float(text)
    if not 1 <= rate_hz <= 1000:
        raise ValueError(text)
    return rate_hz


def _domains(text: str) -> tuple[str, ...]:
    names = tuple(name for name in text.split(",") if name)
    if not set(names) <= {*CHILDREN, "psys"}:
        raise ValueError(text)
    return names


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(
        prog="energyd simulate powercap", description="a powercap tree whose counters advance with a known power"
    )
    add = arguments.add_argument
    add("--root", type=Path, required=True, help="makes ROOT/class/powercap, as /sys has it")
    add("--power", default="load", help="constant:W[,ZONE=W...], steps:FILE or load[:IDLE_W,W_PER_CPU]; default %(default)s")
    add("--sockets", type=_positive, default=1)
    add("--domains", type=_domains, default=(*CHILDREN, "psys"), help="zones beside the packages; default core,uncore,dram,psys")
    add("--range-uj", type=_range, default=RANGE_UJ, help="max_energy_range_uj; small values wrap often")
    add("--rate-hz", type=_rate, default=100.0, help="updates a second; default %(default)g")
    add("--seed", type=int, help="of the values at which new counters begin; default: random")
    add("--truth", metavar="FILE", help="append what the counters should show, JSON lines")
    add("--procfs-root", default="/proc", help="where `load` reads the CPUs' busy time")
    add("--remove", action="store_true", help="remove the tree at the end")
    return arguments


def main(argv: list[str]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status, raises EnergydError."""
    options = parser().parse_args(argv)
    logger = log.Log("simulate.powercap", "info", "text")
    stop = Stop.on_signals()
    zones = zones_of(options.sockets, options.domains)
    source = profile(options.power, zones, options.procfs_root)
    limits_uw = [max(LIMIT_UW, 2 * highest_uw) for highest_uw in source.highest_uw()]
    tree = Tree(options.root, zones, options.range_uj, limits_uw, options.seed)
    last = truths.last(options.truth, ("start", "energy")) if options.truth else None
    with Truth(options.truth) as truth:
        host = Host(zones, tree.counters, source, options.range_uj, truth, SYSTEM_CLOCK)
        host.begin(last)
        logger.info(f"{options.root}: {', '.join(zone.name for zone in zones)}, {options.power}")
        run_periodic(lambda _missed: host.update(), round(NS_PER_S / options.rate_hz), stop, SYSTEM_CLOCK)
        host.update(final=True)
    if options.remove:
        tree.remove()
    return 0
