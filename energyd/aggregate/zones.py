"""The energy side: RAPL batches in, one monotone total per zone out, as a function of time.

A zone is known by its name. Its number (the labels id that its samples carry as kind) changes when it vanishes and comes back,
or when its reader starts anew; the total does not. What a label says holds from the first sample that carries its number, so
that it does not matter when labels and samples are read.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from energyd import samples
from energyd.aggregate.zonetotals import METER, ZoneTotals
from energyd.units import NS_PER_S, UJ_PER_J, UW_PER_W

_METER_KIND = samples.VOID  # no label has this number


class Use(NamedTuple):
    """A report of a GPU's driver: who has used it since the report before, and the weight of each."""

    zone: str
    mono_ns: int
    pids: list[tuple[int, int]]


class ZoneBook:
    """All zones of the machine, fed with the batches of the `rapl` ring."""

    def __init__(self) -> None:
        self.zones: dict[str, ZoneTotals] = {}
        self._labels: dict[int, dict[str, Any]] = {}
        self.swept_until_ns = 0
        self._uses: list[Use] = []  # reports of who used a GPU, until `take_uses`
        self._next_second: int | None = None  # whose mean power has not been given out yet

    def label(self, identifier: int, entry: dict[str, Any]) -> None:
        name = entry.get("zone")
        if name is None:
            return
        if name not in self.zones:
            if entry.get("dropped"):
                return
            self.zones[name] = ZoneTotals(name)
            self.zones[name].describe(identifier, entry)
        self._labels[identifier] = entry

    def forget_labels(self) -> None:
        """The ring has been rotated: its numbers mean nothing any more."""
        self._labels.clear()
        for zone in self.zones.values():
            zone.forget_label()

    def fold(self, records: npt.NDArray[Any]) -> None:
        """Closed batches of the `rapl` ring, in order."""
        if not len(records):
            return
        ends = records["kind"] == samples.END
        # the suspended time of a sweep is on its END, behind its samples
        service_c = records.view(np.uint64).reshape(-1, 8)[:, 5]
        suspended_of = dict(zip(records["batch"][ends].tolist(), service_c[ends].tolist(), strict=True))
        kinds, statuses, batches = records["kind"].tolist(), records["status"].tolist(), records["batch"].tolist()
        columns = (records[name].tolist() for name in ("mono_ns", "energy_uj", "pid"))
        for kind, status, batch, mono_ns, energy_uj, pid in zip(kinds, statuses, batches, *columns, strict=True):
            if kind == samples.END:
                self.swept_until_ns = max(self.swept_until_ns, mono_ns)
                continue
            label = self._labels.get(kind)
            if label is None:
                continue
            zone = self.zones[label["zone"]]
            zone.describe(kind, label)
            if status & samples.USED:
                self._note_use(zone, mono_ns, pid, energy_uj)
            elif status & samples.FAILED:
                zone.readable = False
            else:
                zone.sample(energy_uj, status, mono_ns, suspended_of.get(batch, 0))
        for zone in self.zones.values():
            zone.forget()

    def _note_use(self, zone: ZoneTotals, mono_ns: int, pid: int, weight: int) -> None:
        if not pid:  # a report begins
            zone.told_of_users = True
            self._uses.append(Use(zone.name, mono_ns, []))
        elif self._uses and self._uses[-1].zone == zone.name:
            self._uses[-1].pids.append((pid, weight))

    def take_uses(self, until_ns: int) -> list[Use]:
        """The reports of who used a GPU that were made before `until_ns`, in order, each once."""
        taken = [use for use in self._uses if use.mono_ns <= until_ns]
        self._uses = [use for use in self._uses if use.mono_ns > until_ns]
        return taken

    def meter_power(self, meter: str, source: str, power_va: int, mono_ns: int) -> None:
        """A meter is the host: what it shows is taken for a power, though volt-amperes are never less than watts."""
        name = f"{METER}/{meter}"
        zone = self.zones.setdefault(name, ZoneTotals(name))
        zone.describe(_METER_KIND, {"domain": METER, "source": source, "baseline": meter, "additive": True})
        zone.sample(power_va * UW_PER_W, samples.POWER, mono_ns, 0)

    def attributable(self) -> list[ZoneTotals]:
        """The additive zones that count now, in the order of their names: together they are the host."""
        return [zone for _, zone in sorted(self.zones.items()) if zone.additive and zone.awake]

    @property
    def host_uj(self) -> int | None:
        """What was measured as the host, whoever measured it; None as long as nothing was."""
        if not any(zone.energy_uj or (zone.additive and zone.readable) for zone in self.zones.values()):
            return None
        return sum(zone.energy_uj for zone in self.zones.values())

    def seconds(self) -> Iterator[tuple[int, float]]:
        """(second, mean watts of the additive zones in it) for every whole second that has been sampled."""
        zones = [zone for zone in self.attributable() if zone.timeline.frontier_ns + zone.stall_ns > self.swept_until_ns]
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
        return {
            "zones": {name: zone.state() for name, zone in self.zones.items()},
            "labels": self._labels,
            "swept_until_ns": self.swept_until_ns,
            "next_second": self._next_second,
            "uses": [list(use) for use in self._uses],
        }

    def restore(self, state: dict[str, Any], same_boot: bool) -> None:
        for name, saved in state["zones"].items():
            self.zones[name] = ZoneTotals(name)
            self.zones[name].restore(saved, same_boot)
        if same_boot:
            self._labels = state["labels"]
            self.swept_until_ns, self._next_second = state["swept_until_ns"], state["next_second"]
            for zone, mono_ns, pids in state.get("uses", ()):
                self._uses.append(Use(zone, mono_ns, [(pid, weight) for pid, weight in pids]))
