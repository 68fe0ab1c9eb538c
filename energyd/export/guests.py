"""Lends each virtual machine its share: a powercap tree of its own, to be mounted into it through virtiofs or 9p.

    DIR/NAME/intel-rapl:0/  name (package-0)  energy_uj  max_energy_range_uj  constraint_0_max_power_uw  origin

NAME is the machine's group. An energyd in the guest reads it with `powercap_root`, a Scaphandre with --vm and
SCAPHANDRE_POWERCAP_PATH; `origin`, which no kernel has, tells an energyd that these joules were shared out and not measured.

A counter is one block of 16 bytes written in place by one system call: a guest that keeps its descriptor reads on, and never half a
number. The law: the counter is the group's total modulo its range; it only falls when it wraps, or when the total is lost.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from energyd.aggregate.snapshot import Group

DIGITS: Final = 15
RANGE_UJ: Final = 10**DIGITS - 1  # eleven days at 1 kW: readers that do not know wraps hardly ever see one
MAX_POWER_UW: Final = 10_000_000_000
"""No limit of the machine's: the counter moves once a second, so a guest that reads more often must not take a step for a leap."""
VM: Final = "vm"


class Guests:
    """The trees below `directory`; `origin` is `lent`, or `simulated` where the host's own energy is."""

    def __init__(self, directory: Path, origin: str) -> None:
        self._directory = directory
        self._origin = origin
        self._counters: dict[str, int] = {}  # directory's name -> descriptor of its energy_uj

    def update(self, groups: Iterable[Group]) -> list[str]:
        """Bring the counter of every machine among `groups` to its total. Returns what went wrong, with the mend."""
        faults = []
        for group in groups:
            if group.kind == VM:
                name = directory_name(group.group)
                try:
                    os.pwrite(self._counter(name), b"%0*d\n" % (DIGITS, group.energy_uj % (RANGE_UJ + 1)), 0)
                except OSError as error:
                    self._forget(name)
                    faults.append(f"{self._directory}/{name}: {error.strerror}; energy.guests_dir must be writable for energyd")
        return faults

    def _counter(self, name: str) -> int:
        if name not in self._counters:
            self._counters[name] = self._create(self._directory / name / "intel-rapl:0")
        return self._counters[name]

    def _create(self, zone: Path) -> int:
        zone.mkdir(mode=0o755, parents=True, exist_ok=True)
        attributes = {
            "name": "package-0",
            "max_energy_range_uj": RANGE_UJ,
            "constraint_0_name": "long_term",
            "constraint_0_max_power_uw": MAX_POWER_UW,
            "origin": self._origin,
        }
        for attribute, value in attributes.items():
            (zone / attribute).write_text(f"{value}\n")
        return os.open(zone / "energy_uj", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)

    def _forget(self, name: str) -> None:
        if name in self._counters:
            os.close(self._counters.pop(name))

    def close(self) -> None:
        """The trees stay: their guests keep them mounted."""
        for name in tuple(self._counters):
            self._forget(name)


def directory_name(group: str) -> str:
    """The group's name as that of a directory: no slash, no dot in front, never empty."""
    name = group.replace("/", "_")
    return f"_{name[1:]}" if name[:1] in ("", ".") else name
