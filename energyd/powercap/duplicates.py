"""Which RAPL zones must not be read, because another one counts the same joules or because they count something else than they say.

* Twins. The same package is offered by several control types: intel-rapl (registers of the processor), intel-rapl-mmio (the same
  through memory-mapped registers) and intel-rapl-tpmi; perf_event is one more way to the same registers. Their counters differ,
  their joules do not. The first of PREFERENCE that can be read stays.
* Mirrors. Kernels that take Zen 1 and Zen 2 for multi-die show package-0-die-0, package-0-die-1, ...: one register under several
  names. A die is dropped when every value read from it lies between two readings of another die taken around it, at least twice and
  over an interval in which the counter moved: two 32-bit counters of their own do not meet within a microsecond's worth of energy.
  A counter that stands still for PATIENCE rounds is judged by its value alone: equal and not 0 is a mirror. The dies of Intel
  (Cascade Lake-AP) differ at the first reading and stay.
* `core` of AMD and Hygon is the register of one core, not of all: off unless asked for.

The law: a joule is counted once; a zone that is dropped stays in the list and says why.
"""

from collections.abc import Callable

from energyd.powercap.sysfs import Sysfs
from energyd.powercap.zone import Zone
from energyd.powercap.zones import read_tree

PREFERENCE = ("intel-rapl", "intel-rapl-tpmi", "intel-rapl-mmio", "perf_event")
AMD_VENDORS = frozenset(("AuthenticAMD", "HygonGenuine"))
PATIENCE = 25  # rounds; the register moves about once a millisecond
ROUND_S = 0.010


def discover(
    root: str,
    vendor: str,
    sysfs: Sysfs | None = None,
    *,
    amd_core: bool = False,
    stand_ins: Callable[[], list[Zone]] = list,
) -> list[Zone]:
    """The zones under the powercap tree `root`, uniquely named, those that must not be read marked as dropped.

    `vendor` is vendor_id of /proc/cpuinfo, '' for a tree that is not of this machine. Unreadable zones are in the list with their
    errno; a missing tree is an empty list (`energyd.powercap.advice.explain_absence` says why). `stand_ins` gives zones of another
    way to the same registers; it is asked when the tree does not let everything be read.
    """
    sysfs = sysfs or Sysfs()
    zones = read_tree(root, sysfs)
    if not zones or any(zone.read_errno for zone in zones):
        zones += stand_ins()
    zones = drop_mirrors(drop_twins(zones), sysfs)
    if vendor in AMD_VENDORS and not amd_core:
        zones = [_drop(zone, "AMD counts a single core in it") if zone.domain == "core" else zone for zone in zones]
    return unique_names(zones)


def _drop(zone: Zone, why: str) -> Zone:
    return zone if zone.dropped else zone._replace(additive=False, dropped=why)


def drop_twins(zones: list[Zone]) -> list[Zone]:
    """Of zones with one name in several control types, keep the preferred one that can be read."""
    kept: dict[str, Zone] = {}
    for zone in sorted(zones, key=_rank):
        kept.setdefault(zone.name, zone)
    return [zone if zone.counter == kept[zone.name].counter else _drop(zone, f"twin of {kept[zone.name].device}") for zone in zones]


def _rank(zone: Zone) -> tuple[bool, int]:
    preference = PREFERENCE.index(zone.counter) if zone.counter in PREFERENCE else len(PREFERENCE)
    return zone.read_errno != 0, preference


def drop_mirrors(zones: list[Zone], sysfs: Sysfs) -> list[Zone]:
    """Of the dies of a package, keep those that have a counter of their own, and drop what lies inside the others."""
    originals: dict[int, list[Zone]] = {}
    why: dict[str, str] = {}
    for zone in zones:  # a parent comes before its children
        if zone.parent_device in why:
            why[zone.device] = f"inside {zone.parent_device}, which is a mirror"
        elif zone.domain == "package" and zone.used and zone.path:
            others = originals.setdefault(zone.package, [])
            original = next((other for other in others if is_mirror(other.path, zone.path, sysfs)), None)
            if original is None:
                others.append(zone)
            else:
                why[zone.device] = f"mirror of {original.device}"
    return [_drop(zone, why[zone.device]) if zone.device in why else zone for zone in zones]


def is_mirror(first: str, second: str, sysfs: Sysfs) -> bool:
    """Are `first` and `second`, two energy_uj files, one register? Three reads when they are not, some rounds when they are."""
    start = None
    for _ in range(PATIENCE):
        (before, e1), (between, e2), (after, e3) = sysfs.number(first), sysfs.number(second), sysfs.number(first)
        if e1 or e2 or e3:
            return False
        if before <= after:  # otherwise it has wrapped just here, and this round proves nothing
            if not before <= between <= after:
                return False
            if start is not None and before != start:
                return True
            start = before if start is None else start
        sysfs.sleep(ROUND_S)
    return bool(start)


def unique_names(zones: list[Zone]) -> list[Zone]:
    """The zones that are read keep their plain name; a name that is taken gets the directory behind an @."""
    named: dict[str, str] = {}
    for zone in sorted(zones, key=lambda zone: bool(zone.dropped)):
        named[zone.device] = f"{zone.name}@{zone.device}" if zone.name in named.values() else zone.name
    dropped = {zone.device for zone in zones if zone.dropped}
    return [
        zone._replace(
            name=named[zone.device],
            parent=zone.parent if zone.parent_device in dropped else named.get(zone.parent_device, zone.parent),
        )
        for zone in zones
    ]
