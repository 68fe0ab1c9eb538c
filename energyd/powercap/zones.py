"""Which energy counters this machine has: a powercap tree, walked by name and parent, as a list of zones.

The tree (Documentation/power/powercap/powercap.rst) is read as /sys/class/powercap shows it, flat, or nested as below
/sys/devices/virtual/powercap:

    intel-rapl                  control type
    intel-rapl:0                name: package-0     energy_uj  max_energy_range_uj  constraint_0_max_power_uw ...
    intel-rapl:0:1              name: dram          child of the directory whose name is a prefix of its own
    intel-rapl:a                name: package-10    the suffix is hexadecimal and no package number
    intel-rapl:1                name: psys          anywhere between the packages
    intel-rapl-mmio:0           name: package-0     the same package, counted once more

A host that lends its guests their share writes such a tree for each, with a file `origin` beside the counter.

The law: what a zone is follows from its `name` and its parent's, never from an index. drivers/powercap/intel_rapl_common.c names
`package-%d`, `package-%d-die-%d`, `core`, `uncore`, `dram`, `psys` and `psys-%d`; any other name is listed and never summed.
"""

import os
import re

from energyd.powercap.sysfs import Sysfs
from energyd.powercap.zone import LENT, NO_PACKAGE, SIMULATED, Zone

_PACKAGE = re.compile(r"package-(\d+)(?:-die-(\d+))?")
_PSYS = re.compile(r"psys(?:-(\d+))?")
_MAX_POWER = re.compile(r"constraint_\d+_max_power_uw")


def directories(root: str) -> dict[str, str]:
    """{name: path} of every zone directory under `root`, a parent before its children.

    Below a directory only names that go on from its own are followed, so links back up the tree end by themselves, and a tree
    that is both nested and flat shows each zone once.
    """
    found: dict[str, str] = {}
    pending = [(root, "")]
    while pending:
        path, prefix = pending.pop()
        try:
            names = os.listdir(path)
        except OSError:
            continue
        for name in sorted(names):
            if name in found or not name.startswith(prefix):
                continue
            inner = f"{path}/{name}"
            if ":" in name and os.path.isdir(inner):
                found[name] = inner
            pending.append((inner, f"{name}:"))
    return dict(sorted(found.items(), key=lambda item: _natural(item[0])))


def _natural(directory: str) -> tuple[str, tuple[tuple[int, str], ...]]:
    control_type, *indices = directory.split(":")
    return control_type, tuple((len(index), index) for index in indices)


def fingerprint(root: str) -> dict[str, int]:
    """{zone directory: inode of its energy_uj, 0 = none}: differs when zones come, go or are made anew, and costs a stat each."""
    return {device: _inode(f"{path}/energy_uj") for device, path in directories(root).items()}


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def read_tree(root: str, sysfs: Sysfs) -> list[Zone]:
    """Every named zone under `root`, none dropped yet. `name` is the path of names (package-0/dram) and need not be unique."""
    zones: dict[str, Zone] = {}
    for directory, path in directories(root).items():
        text = sysfs.text(f"{path}/name")
        if text:
            zones[directory] = _zone(text, path, directory.partition(":")[0], zones.get(directory.rpartition(":")[0]), sysfs)
    return list(zones.values())


def _zone(text: str, path: str, control_type: str, parent: Zone | None, sysfs: Sysfs) -> Zone:
    domain, package, die = _classify(text)
    if parent is not None:
        package, die = parent.package, parent.die
    range_uj, _ = sysfs.number(f"{path}/max_energy_range_uj")
    energy_path = f"{path}/energy_uj"
    _, read_errno = sysfs.number(energy_path)
    return Zone(
        name=f"{parent.name}/{text}" if parent else text,
        domain=domain,
        source=_source(sysfs.text(f"{path}/origin")),
        counter=control_type,
        device=path.rpartition("/")[2],
        path=energy_path,
        parent=parent.name if parent else "",
        package=package,
        die=die,
        range_uj=range_uj,
        max_power_uw=_max_power_uw(path, sysfs),
        additive=control_type.startswith("intel-rapl") and (domain == "package" or (domain == "dram" and parent is not None)),
        read_errno=read_errno,
    )


def _source(origin: str) -> str:
    return "rapl" if not origin else SIMULATED if origin == SIMULATED else LENT


def _max_power_uw(path: str, sysfs: Sysfs) -> int:
    try:
        constraints = [name for name in os.listdir(path) if _MAX_POWER.fullmatch(name)]
    except OSError:
        return 0
    return max((sysfs.number(f"{path}/{name}")[0] for name in constraints), default=0)


def _classify(text: str) -> tuple[str, int, int]:
    """(domain, package, die) of a zone's own name."""
    if package := _PACKAGE.fullmatch(text):
        return "package", int(package[1]), int(package[2] or 0)
    if psys := _PSYS.fullmatch(text):
        return "psys", int(psys[1]) if psys[1] else NO_PACKAGE, 0
    return text, NO_PACKAGE, 0
