"""Who used the GPUs: the energy of each between two reports of its driver, shared among the processes that the second one names.

No CPU clock tells who used a GPU, so this is an account beside that of the host: what a GPU used while the driver saw nobody on
it is idle, all else belongs to those it saw, in proportion to the time of its multiprocessors (or in equal parts, where the driver
only tells who is there). A process that the driver names and that no usage batch has told of (another PID namespace's) is unknown.

Law: per GPU, processes + unknown + idle + pending is what it used since it was first told who uses it, in integer microjoules; what
is the processes' increments one sum of the processes and one of the groups. A pid means who has it in the usage batch behind the
report.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from energyd.aggregate.attribute import split
from energyd.aggregate.grouptable import GroupTable
from energyd.aggregate.processes import ProcessTable
from energyd.aggregate.snapshot import GpuProcess, GpuUse, GpuZone
from energyd.aggregate.zones import ZoneBook
from energyd.aggregate.zonetotals import ZoneTotals

_NOBODY_KNOWN: Final = -1


class _Report(NamedTuple):
    """One report of the driver, with those whom it names: `slots` and `groups` are _NOBODY_KNOWN for who is not known to us."""

    until_ns: int  # end of the usage batch in which it was read
    zone: str
    mono_ns: int
    slots: list[int]
    groups: list[int]
    weights: list[int]


class _Account:
    __slots__ = ("begun_uj", "idle_uj", "processes_uj", "unknown_uj")

    def __init__(self, begun_uj: int) -> None:
        self.begun_uj = begun_uj  # of the zone, when it was first told who uses it
        self.processes_uj = self.unknown_uj = self.idle_uj = 0

    @property
    def shared_uj(self) -> int:
        return self.processes_uj + self.unknown_uj + self.idle_uj


class GpuBook:
    """`read` once per usage batch, `settle` when an interval is attributed. Needs the zones, the processes and the groups."""

    def __init__(self, zones: ZoneBook, table: ProcessTable, groups: GroupTable) -> None:
        self._zones = zones
        self._table = table
        self._groups = groups
        self._reports: deque[_Report] = deque()
        self._accounts: dict[str, _Account] = {}

    def read(self, end_ns: int) -> None:
        """Take over the reports that were made before a usage batch ended, while its processes are still known."""
        for use in self._zones.take_uses(end_ns):
            slots = [_known(self._table.slot_of_pid, pid) for pid, _ in use.pids]
            groups = [self._table.group[slot] if slot != _NOBODY_KNOWN else _NOBODY_KNOWN for slot in slots]
            for number in groups:
                if number != _NOBODY_KNOWN:
                    self._groups.hold(number)
            self._reports.append(_Report(end_ns, use.zone, use.mono_ns, slots, groups, [weight for _, weight in use.pids]))

    def settle(self, end_ns: int) -> None:
        """Share what was used until the reports of an interval that ends here."""
        while self._reports and self._reports[0].until_ns <= end_ns:
            report = self._reports.popleft()
            self._settle(report)
            for number in report.groups:
                if number != _NOBODY_KNOWN:
                    self._groups.drop(number)

    def _settle(self, report: _Report) -> None:
        zone = self._zones.zones.get(report.zone)
        if zone is None or not zone.timeline:
            return
        at_uj = _energy_at(zone, report.mono_ns)
        account = self._accounts.get(report.zone)
        if account is None:
            self._accounts[report.zone] = _Account(at_uj)
            return
        energy_uj = max(0, at_uj - account.begun_uj - account.shared_uj)
        weights = np.array(report.weights, np.int64)
        if not weights.any():
            account.idle_uj += energy_uj
            return
        shares = split(energy_uj, weights)
        slots, groups = np.array(report.slots, np.int64), np.array(report.groups, np.int64)
        known = slots != _NOBODY_KNOWN
        account.processes_uj += int(shares[known].sum())
        account.unknown_uj += int(shares[~known].sum())
        self._table.gpu.add(slots[known], shares[known])
        self._groups.gpu.add(groups[known], shares[known])

    def snapshot(self) -> GpuUse:
        """What each GPU has given to whom."""
        zones = []
        for name, each in sorted(self._accounts.items()):
            zone = self._zones.zones[name]
            pending_uj = zone.aside_uj - each.begun_uj - each.shared_uj
            zones.append(GpuZone(name, zone.source, each.processes_uj, each.unknown_uj, each.idle_uj, pending_uj))
        processes, groups = self._table.gpu, self._groups.gpu
        return GpuUse(
            zones=tuple(zones),
            processes=tuple(sorted(self._process(slot, energy_uj) for slot, energy_uj in processes.energy_uj.items())),
            other_process_uj=processes.other_uj,
            gone_process_uj=processes.gone_uj,
            groups=tuple(sorted((*self._groups.key(number), energy_uj) for number, energy_uj in groups.energy_uj.items())),
            other_group_uj=groups.other_uj,
            gone_group_uj=groups.gone_uj,
        )

    def _process(self, slot: int, energy_uj: int) -> GpuProcess:
        label = self._table.label(slot)
        return GpuProcess(label["pid"], label.get("comm", ""), label.get("cgroup", ""), label.get("uid", -1), energy_uj)

    def state(self) -> dict[str, Any]:
        accounts = [[name, *(getattr(each, slot) for slot in _Account.__slots__)] for name, each in self._accounts.items()]
        return {"reports": [list(report) for report in self._reports], "accounts": accounts}

    def restore(self, state: dict[str, Any], same_boot: bool) -> None:
        """Behind the zones, processes and groups. Reports of another boot name nobody that lives."""
        for name, *saved in state["accounts"]:
            self._accounts[name] = account = _Account(0)
            for slot, energy_uj in zip(_Account.__slots__, saved, strict=True):
                setattr(account, slot, energy_uj)
        if same_boot:
            self._reports = deque(_Report(*report) for report in state["reports"])


def _known(slot_of_pid: Callable[[int], int | None], pid: int) -> int:
    slot = slot_of_pid(pid)
    return _NOBODY_KNOWN if slot is None else slot


def _energy_at(zone: ZoneTotals, mono_ns: int) -> int:
    return zone.timeline.at(min(mono_ns, zone.timeline.frontier_ns))
