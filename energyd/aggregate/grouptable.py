"""The groups: what the processes in them and the exited of their control groups have used, for ever.

A group is its key (environment, name, kind, runtime). It stays when its last member has gone, because a finished job's joules are
worth seeing and a container of the same name goes on where it was; when there are more than may be remembered, those without
members that have used least lately are forgotten, and their totals are added to `gone`.
"""

from typing import Any, Final

import numpy as np

from energyd.aggregate.attribute import Int64
from energyd.aggregate.groupcosts import GroupCosts
from energyd.aggregate.groupwindows import GroupWindows
from energyd.aggregate.ranking import Ranking
from energyd.aggregate.snapshot import Group, Groups
from energyd.aggregate.sums import Sums
from energyd.groups.grouper import GroupKey

REMEMBERED: Final = 4
"""Times as many groups as are shown are remembered with their rank, members or not."""


class GroupTable:
    """Groups by number. A number is held (`hold`, `drop`) by each living process and each interval that refers to it."""

    def __init__(self, top: int) -> None:
        self._ranking = Ranking(top)
        self.windows = GroupWindows(self._ranking.leaders)
        self.gpu = Sums(top)
        self.costs = GroupCosts()
        self._limit = REMEMBERED * max(top, 16)
        self._number_of: dict[GroupKey, int] = {}
        self._keys: list[GroupKey | None] = []
        self._held: list[int] = []
        self._free: list[int] = []
        self.processes: list[int] = []  # living ones by number

    def __len__(self) -> int:
        return len(self._number_of)

    def __contains__(self, key: GroupKey) -> bool:
        return key in self._number_of

    def number(self, key: GroupKey) -> int:
        """The number of a group, which may be new."""
        number = self._number_of.get(key)
        if number is None:
            if len(self._number_of) >= self._limit:
                self._forget_some()
            if self._free:
                number = self._free.pop()
                self._keys[number] = key
            else:
                number = len(self._keys)
                self._keys.append(key)
                self._held.append(0)
                self.processes.append(0)
                self._ranking.make_room(number + 1)
            self._number_of[key] = number
        return number

    def key(self, number: int) -> GroupKey:
        key = self._keys[number]
        assert key is not None, "BUG: a group was forgotten while something referred to it"
        return key

    def hold(self, number: int) -> None:
        self._held[number] += 1

    def drop(self, number: int) -> None:
        self._held[number] -= 1
        assert self._held[number] >= 0, "BUG: a group was dropped more often than held"

    def _forget_some(self) -> None:
        """An eighth of those that nobody holds, least used first."""
        idle = [number for number in self._number_of.values() if not self._held[number]]
        ranked = sorted(zip(self._ranking.ranks(idle), idle, strict=True))
        forgotten = [number for _, number in ranked[: max(1, self._limit // 8)]]
        self._ranking.clear(forgotten)
        self.windows.forget(forgotten)
        self.gpu.forget(forgotten)
        self.costs.forget(forgotten)
        for number in forgotten:
            key = self.key(number)
            del self._number_of[key]
            self._keys[number] = None
            self._free.append(number)

    def book(self, numbers: Int64, energy_uj: Int64, cpu_ns: Int64, begin_ns: int, end_ns: int, measured: bool) -> None:
        """Add up what consumers used in an interval, each under the number of its group; a number may come more than once."""
        energies, times = np.zeros(len(self._keys), np.int64), np.zeros(len(self._keys), np.int64)
        np.add.at(energies, numbers, energy_uj)
        np.add.at(times, numbers, cpu_ns)
        present = np.flatnonzero(np.bincount(numbers, minlength=len(self._keys)))
        self._ranking.show(np.fromiter(self._number_of.values(), np.int64, len(self._number_of)))
        self._ranking.book(present, energies[present], times[present], end_ns - begin_ns, measured)
        used = energies[present] > 0
        spent = present[used]
        self.costs.book(zip(spent.tolist(), energies[spent].tolist(), self._ranking.shown[spent].tolist(), strict=True))
        if measured:
            self.windows.observe(begin_ns, end_ns, energies)

    def keys(self) -> dict[int, GroupKey]:
        """Of all groups, by number."""
        return {number: key for key, number in self._number_of.items()}

    def snapshot(self, memory_bytes: dict[int, int], ungrouped: tuple[int, int], containers: tuple[tuple[str, int], ...]) -> Groups:
        """`memory_bytes` by number; `ungrouped`: energy and CPU time of the exited that no control group explains."""
        ranking = self._ranking
        powers_w, other_power_w = ranking.powers_w()
        busy_cpus = ranking.busy_cpus()
        hidden_energy_uj, hidden_cpu_ns = ranking.hidden()
        visible, shown = [], ranking.shown.nonzero()[0].tolist()
        for number in shown:
            key = self.key(number)
            visible.append(
                Group(
                    *key,
                    energy_uj=int(ranking.energy_uj[number]),
                    power_w=powers_w.get(number, 0.0),
                    cpu_ns=int(ranking.cpu_ns[number]),
                    processes=self.processes[number],
                    memory_bytes=memory_bytes.get(number),
                    windows=self.windows.of(number),
                    busy_cpus=busy_cpus.get(number, 0.0),
                    cost_neur=self.costs.of(number),
                )
            )
        return Groups(
            visible=tuple(sorted(visible, key=lambda group: group[:4])),
            other_energy_uj=ranking.other_energy_uj,
            other_power_w=other_power_w,
            other_cpu_ns=ranking.other_cpu_ns,
            gone_energy_uj=ranking.gone_energy_uj,
            gone_cpu_ns=ranking.gone_cpu_ns,
            hidden_energy_uj=hidden_energy_uj,
            hidden_cpu_ns=hidden_cpu_ns,
            ungrouped_energy_uj=ungrouped[0],
            ungrouped_cpu_ns=ungrouped[1],
            known=len(self._number_of),
            containers=containers,
            other_cost_neur=self.costs.other,
            gone_cost_neur=self.costs.gone,
            hidden_cost_neur=self.costs.hidden(shown),
        )

    def state(self) -> dict[str, Any]:
        return {
            "keys": [key and list(key) for key in self._keys],
            "held": self._held,
            "processes": self.processes,
            "ranking": self._ranking.state(len(self._keys)),
            "costs": self.costs.state(),
            "gpu": self.gpu.state(),
        }

    def windows_state(self) -> list[Any]:
        """[key of a group, its windows] of all that have any: apart from the rest, because they are large."""
        return [[list(self.key(number)), saved] for number, saved in self.windows.state().items()]

    def restore_windows(self, state: list[Any]) -> None:
        """Behind `restore`, within one boot only."""
        saved = {self._number_of.get(GroupKey(*key)): windows for key, windows in state}
        self.windows.restore({number: windows for number, windows in saved.items() if number is not None})

    def restore(self, state: dict[str, Any], same_boot: bool) -> None:
        """Groups outlive a reboot: a container or unit of the same name goes on where it was; only its members are others."""
        self._keys = [key and GroupKey(*key) for key in state["keys"]]
        self._number_of = {key: number for number, key in enumerate(self._keys) if key}
        self._free = [number for number, key in enumerate(self._keys) if not key]
        self._held, self.processes = (
            (state["held"], state["processes"]) if same_boot else ([0] * len(self._keys), [0] * len(self._keys))
        )
        self._ranking.restore(state["ranking"])
        if "gpu" in state:
            self.gpu.restore(state["gpu"])
        if "costs" in state:
            self.costs.restore(state["costs"])
