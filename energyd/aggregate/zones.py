"""The energy side: RAPL batches in, one monotone total per zone out, as a function of time.

A zone is known by its name. Its number (the labels id that its samples carry as kind) changes when it vanishes and comes back,
or when its reader starts anew; the total does not.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from energyd import samples
from energyd.aggregate.counters import EnergyCounter
from energyd.aggregate.idle import IdleBaseline
from energyd.aggregate.timeline import Timeline
from energyd.units import NS_PER_S, UJ_PER_J

POWER_WINDOW_NS = NS_PER_S
STALL_NS = 2 * NS_PER_S  # a zone that misses sweeps for this long no longer holds up the attribution of the others


class ZoneTotals:
    """One zone: what is measured, and what of it has been attributed to whom. All energies in microjoules."""

    PARTS = ("processes_uj", "exited_uj", "idle_uj", "unattributed_uj")

    def __init__(self, name: str) -> None:
        self.name = name
        self.domain = self.parent = self.source = ""
        self.additive = False
        self.readable = False
        self.awake = False  # has been sampled since our start, and not been given up since
        self.counter = EnergyCounter()
        self.timeline = Timeline()
        self.idle = IdleBaseline()
        self.energy_uj = 0
        self.attributed_until_ns: int | None = None  # mono time up to which the parts account for the total
        self.processes_uj = self.exited_uj = self.idle_uj = self.unattributed_uj = 0

    @property
    def attributed_uj(self) -> int:
        return self.processes_uj + self.exited_uj + self.idle_uj + self.unattributed_uj

    def describe(self, entry: dict[str, Any]) -> None:
        """Take over what the reader's label says of the zone."""
        self.domain, self.parent = str(entry.get("domain", "")), str(entry.get("parent", ""))
        self.source = str(entry.get("source", ""))
        self.additive = bool(entry.get("additive", False))
        self.counter.configure(int(entry.get("range_uj", 0)), int(entry.get("max_power_uw", 0)))

    def sample(self, raw_uj: int, mono_ns: int, suspended_ns: int) -> None:
        self.energy_uj += self.counter.advance(raw_uj, mono_ns, suspended_ns)
        self.timeline.append(mono_ns, self.energy_uj)
        self.readable = self.awake = True

    def state(self) -> dict[str, Any]:
        return {
            "label": [self.domain, self.parent, self.source, self.additive],
            "range": [self.counter.range_uj, self.counter.max_power_uw],
            "counter": self.counter.state(),
            "points": [self.timeline.times_ns, self.timeline.energies_uj],
            "energy_uj": self.energy_uj,
            "until_ns": self.attributed_until_ns,
            "awake": self.awake,
            "parts_uj": [self.processes_uj, self.exited_uj, self.idle_uj, self.unattributed_uj],
            "idle": self.idle.state(),
        }

    def restore(self, state: dict[str, Any], same_boot: bool) -> None:
        self.domain, self.parent, self.source, self.additive = state["label"]
        self.counter.range_uj, self.counter.max_power_uw = state["range"]
        self.counter.restore(state["counter"], same_boot)
        self.energy_uj = state["energy_uj"]
        self.processes_uj, self.exited_uj, self.idle_uj, self.unattributed_uj = state["parts_uj"]
        self.idle.restore(state["idle"])
        if same_boot:
            self.attributed_until_ns, self.awake = state["until_ns"], state["awake"]
            self.timeline.times_ns, self.timeline.energies_uj = state["points"]
        else:  # the clock has started anew: what was pending can no longer be given to anybody
            self.unattributed_uj += self.energy_uj - self.attributed_uj


class ZoneBook:
    """All zones of the machine, fed with the batches of the `rapl` ring."""

    def __init__(self) -> None:
        self.zones: dict[str, ZoneTotals] = {}
        self._by_kind: dict[int, ZoneTotals] = {}
        self.swept_until_ns = 0
        self._next_second: int | None = None  # whose mean power has not been given out yet

    def label(self, identifier: int, entry: dict[str, Any]) -> None:
        name = entry.get("zone")
        if name is None or entry.get("dropped"):
            return
        zone = self.zones.setdefault(name, ZoneTotals(name))
        zone.describe(entry)
        self._by_kind[identifier] = zone

    def forget_labels(self) -> None:
        """The ring has been rotated: its numbers mean nothing any more."""
        self._by_kind.clear()

    def fold(self, records: npt.NDArray[Any]) -> None:
        """Closed batches of the `rapl` ring, in order."""
        if not len(records):
            return
        ends = records["kind"] == samples.END
        # the suspended time of a sweep is on its END, behind its samples
        service_c = records.view(np.uint64).reshape(-1, 8)[:, 5]
        suspended_of = dict(zip(records["batch"][ends].tolist(), service_c[ends].tolist(), strict=True))
        kinds, statuses, batches = records["kind"].tolist(), records["status"].tolist(), records["batch"].tolist()
        times_ns, energies_uj = records["mono_ns"].tolist(), records["energy_uj"].tolist()
        for kind, status, batch, mono_ns, energy_uj in zip(kinds, statuses, batches, times_ns, energies_uj, strict=True):
            if kind == samples.END:
                self.swept_until_ns = max(self.swept_until_ns, mono_ns)
                continue
            zone = self._by_kind.get(kind)
            if zone is None:
                continue
            if status & samples.FAILED:
                zone.readable = False
            else:
                zone.sample(energy_uj, mono_ns, suspended_of.get(batch, 0))

    def attributable(self) -> list[ZoneTotals]:
        """The additive zones that count now, in the order of their names: together they are the host."""
        return [zone for _, zone in sorted(self.zones.items()) if zone.additive and zone.awake]

    def seconds(self) -> Iterator[tuple[int, float]]:
        """(second, mean watts of the additive zones in it) for every whole second that has been sampled."""
        zones = [zone for zone in self.attributable() if zone.timeline.frontier_ns + STALL_NS > self.swept_until_ns]
        if not zones:
            return
        until = min(zone.timeline.frontier_ns for zone in zones) // NS_PER_S
        first = max(zone.timeline.times_ns[0] for zone in zones) // NS_PER_S + 1
        begin = first if self._next_second is None else max(first, self._next_second)
        for second in range(begin, until):
            start_ns, end_ns = second * NS_PER_S, (second + 1) * NS_PER_S
            yield second, sum(zone.timeline.at(end_ns) - zone.timeline.at(start_ns) for zone in zones) / UJ_PER_J
        self._next_second = max(begin, until)

    def give_up_waiting(self) -> None:
        """Nobody has swept for long: stop waiting; the next sample wakes a zone again."""
        for zone in self.zones.values():
            zone.awake = False

    def state(self) -> dict[str, Any]:
        names = {id(zone): name for name, zone in self.zones.items()}
        return {
            "zones": {name: zone.state() for name, zone in self.zones.items()},
            "kinds": {kind: names[id(zone)] for kind, zone in self._by_kind.items()},
            "swept_until_ns": self.swept_until_ns,
            "next_second": self._next_second,
        }

    def restore(self, state: dict[str, Any], same_boot: bool) -> None:
        for name, saved in state["zones"].items():
            self.zones[name] = ZoneTotals(name)
            self.zones[name].restore(saved, same_boot)
        if same_boot:
            self._by_kind = {kind: self.zones[name] for kind, name in state["kinds"].items()}
            self.swept_until_ns, self._next_second = state["swept_until_ns"], state["next_second"]
