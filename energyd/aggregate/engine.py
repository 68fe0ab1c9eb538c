"""The aggregator's arithmetic as one object: batches in, Snapshot out. No clock, no file, no ring.

Energy and CPU time arrive separately and are joined by time: an interval between two usage batches waits until every zone that
counts has been sampled beyond its end, then each zone's energy in it is shared. So neither when nor how often batches are folded
changes a total or a share, and a replay of the rings after a crash arrives at the same figures.
"""

from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from energyd.aggregate.attribute import share
from energyd.aggregate.efficiency import EfficiencyWindow
from energyd.aggregate.gpus import GpuBook
from energyd.aggregate.grouptable import GroupTable
from energyd.aggregate.interval import Interval
from energyd.aggregate.meters import MeterBook
from energyd.aggregate.processes import ProcessTable
from energyd.aggregate.readers import ReaderBook
from energyd.aggregate.snapshot import Device, Groups, Host, Ring, Snapshot, Zone
from energyd.aggregate.usage import UsageBook
from energyd.aggregate.weights import CPU_TIME, weigh
from energyd.aggregate.windows import PowerWindows
from energyd.aggregate.zones import ZoneBook
from energyd.aggregate.zonetotals import POWER_WINDOW_NS, ZoneTotals
from energyd.groups.grouper import Grouper

Records = npt.NDArray[Any]

MAX_WAITING = 600  # intervals; at 2 Hz five minutes without a sample of any zone before attribution goes on without them


class Engine:
    """Feed it labels before the records that use them; `attribute` after feeding; `snapshot` whenever one is wanted."""

    def __init__(
        self,
        *,
        top: int,
        proportional_idle: bool,
        meters: Iterable[MeterBook] = (),
        max_groups: int = 100,
        grouper: Grouper | None = None,
        dram: str = CPU_TIME,
    ) -> None:
        """`dram` says what the energy of memory is shared by: cpu_time or memory. Without a `grouper` the shipped rules hold."""
        self.zones = ZoneBook()
        self.table = ProcessTable(top)
        self.groups = GroupTable(max_groups)
        self._grouper = grouper or Grouper()
        self._dram = dram
        self.usage = UsageBook(self.table, self.groups, self._grouper, with_memory=dram != CPU_TIME)
        self._gpus = GpuBook(self.zones, self.table, self.groups)
        self.usage.before_the_end = self._gpus.read
        self._ungrouped_uj = self._ungrouped_ns = 0  # of the exited that no control group explains
        self.meters = {meter.name: meter for meter in meters}
        self.readers: dict[str, ReaderBook] = {}
        self._proportional = proportional_idle
        self._waiting: deque[Interval] = deque()
        self._windows = PowerWindows()
        self._efficiency = EfficiencyWindow()

    def take_for_host(self, meter: str, source: str) -> None:
        """What this meter shows is the host's power; its clock must be the machine's."""
        self.meters[meter].on_power = partial(self.zones.meter_power, meter, source)

    def feed_energy(self, records: Records) -> None:
        self.zones.fold(records)

    def feed_usage(self, records: Records) -> None:
        self._waiting.extend(self.usage.fold(records))

    def attribute(self) -> None:
        """Give away the energy of every interval that all zones have been sampled beyond."""
        for second, power_w in self.zones.seconds():
            self._windows.add(second, power_w)
        while self._waiting and self._is_covered(self._waiting[0]):
            self._settle(self._waiting.popleft())
        if len(self._waiting) > MAX_WAITING:
            self.zones.give_up_waiting()
            self.attribute()

    def _is_covered(self, interval: Interval) -> bool:
        waited_ns = self.zones.swept_until_ns - interval.end_ns
        return all(zone.covers(interval.end_ns) or waited_ns >= zone.stall_ns for zone in self.zones.attributable())

    def _settle(self, interval: Interval) -> None:
        processes_uj = np.zeros(len(interval.slots), np.int64)
        exited_uj = np.zeros(len(interval.exited_groups), np.int64)
        measuring = [zone for zone in self.zones.attributable() if zone.timeline.frontier_ns >= interval.end_ns]
        before_uj, before_idle_uj = _settled(measuring)
        for zone in measuring:
            parts_uj = self._settle_zone(zone, interval)
            processes_uj += parts_uj[: len(processes_uj)]
            exited_uj += parts_uj[len(processes_uj) :]
        self._ungrouped_ns += interval.exited_ns
        elapsed_ns = interval.elapsed_ns
        after_uj, after_idle_uj = _settled(measuring)
        busy_ns = int(interval.cpu_ns.sum() + interval.exited_cpu_ns.sum()) + interval.exited_ns
        self._efficiency.observe(elapsed_ns, busy_ns, interval.busy_ratio, after_uj - before_uj, after_idle_uj - before_idle_uj)
        self.table.book(interval.slots, processes_uj, interval.cpu_ns, elapsed_ns, bool(measuring))
        self.groups.book(
            np.append(interval.groups, interval.exited_groups),
            np.append(processes_uj, exited_uj),
            np.append(interval.cpu_ns, interval.exited_cpu_ns),
            interval.begin_ns,
            interval.end_ns,
            bool(measuring),
        )
        self._gpus.settle(interval.end_ns)
        self.usage.release(interval)

    def _settle_zone(self, zone: ZoneTotals, interval: Interval) -> npt.NDArray[np.int64]:
        """Share what the zone used in the interval; returns what each consumer, and then the exited of each control group, got."""
        begin_ns = interval.begin_ns
        if zone.attributed_until_ns is None:  # its first interval: measuring began within it, or not yet
            zone.attributed_until_ns = begin_ns = min(max(begin_ns, zone.timeline.times_ns[0]), interval.end_ns)
        if zone.attributed_until_ns < begin_ns:  # it was not sampled for a while: what it used then has no owner any more
            zone.unattributed_uj += zone.timeline.at(begin_ns) - zone.attributed_uj
        energy_uj = zone.timeline.at(interval.end_ns) - zone.attributed_uj
        elapsed_ns = interval.end_ns - begin_ns
        zone.idle.observe(energy_uj, elapsed_ns, interval.busy_ratio)
        weights = weigh(interval, zone.domain, zone.package, self._dram)
        zone.shared_by = weights.policy
        shares = share(energy_uj, elapsed_ns, weights.consumers, weights.ungrouped, zone.idle.power_uw, self._proportional)
        named_uj = int(shares.processes_uj[: len(interval.slots)].sum())
        zone.processes_uj += named_uj
        zone.exited_uj += int(shares.processes_uj.sum()) - named_uj + shares.exited_uj
        self._ungrouped_uj += shares.exited_uj
        zone.idle_uj += shares.idle_uj
        zone.unattributed_uj += shares.unattributed_uj
        zone.attributed_until_ns = interval.end_ns
        zone.timeline.forget_before(min(interval.end_ns, zone.timeline.frontier_ns - 2 * POWER_WINDOW_NS))
        return shares.processes_uj

    def snapshot(self, *, mono_ns: int, real_ns: int, ready: bool, rings: tuple[Ring, ...]) -> Snapshot:
        swept_ns = self.zones.swept_until_ns
        groups = self._groups_view()
        zones = tuple(_zone_view(zone, swept_ns) for _, zone in sorted(self.zones.zones.items()) if not zone.dropped)
        return Snapshot(
            mono_ns=mono_ns,
            real_ns=real_ns,
            ready=ready,
            host=self._host_view(zones),
            zones=zones,
            processes=self.table.snapshot(self.groups.keys()),
            meters=tuple(meter.snapshot(mono_ns) for meter in self.meters.values()),
            rings=rings,
            groups=groups,
            gpus=self._gpus.snapshot(),
            attributed_mono_ns=min((zone.attributed_until_ns or 0 for zone in self.zones.attributable()), default=0),
            containers=self.usage.containers.snapshot(self.usage.figures),
            traffic=self.usage.traffic.snapshot(groups.visible),
        )

    def _devices(self, kind: str) -> tuple[Device, ...]:
        return tuple(Device(thing.name, figures) for thing, figures in self.usage.figures.present(kind))

    def _groups_view(self) -> Groups:
        cgroups = self.usage.cgroups
        return self.groups.snapshot(cgroups.memory_bytes(), (self._ungrouped_uj, self._ungrouped_ns), cgroups.containers())

    def _host_view(self, zones: tuple[Zone, ...]) -> Host:
        additive = [zone for zone in zones if zone.additive]
        powers = [zone.power_w for zone in additive if zone.power_w is not None]
        return Host(
            energy_uj=self.zones.host_uj,
            power_w=sum(powers) if powers else None,
            source=next((zone.source for zone in additive if zone.power_w is not None), additive[0].source if additive else ""),
            cpu_ns=tuple(self.usage.modes_ns.items()),
            busy_cpu_ns=self.usage.control_ns,
            exited_cpu_ns=self.usage.exited_ns,
            memory_bytes=tuple(self.usage.memory_bytes.items()),
            windows=self._windows.windows(),
            efficiency=self._efficiency.efficiency(),
            cores=self._devices("core"),
            disks=self._devices("disk"),
            interfaces=self._devices("interface"),
            load_hundredths=next((device.figures for device in self._devices("load")), ()),
        )

    def state(self) -> dict[str, Any]:
        """Plain data that msgpack can carry: everything that a restart must not forget."""
        return {
            "zones": self.zones.state(),
            "gpus": self._gpus.state(),
            "rules": self._grouper.fingerprint,
            "table": self.table.state(),
            "groups": self.groups.state(),
            "ungrouped": [self._ungrouped_uj, self._ungrouped_ns],
            "usage": self.usage.state(),
            "meters": {name: meter.state() for name, meter in self.meters.items()},
            "readers": {name: reader.state() for name, reader in self.readers.items()},
            "waiting": [interval.state() for interval in self._waiting],
        }

    def windows_state(self) -> dict[str, Any]:
        """The sliding windows, apart from the rest: they are large, and what is lost of them is only detail, no total."""
        return {"host": self._windows.state(), "meters": {name: meter.windows.state() for name, meter in self.meters.items()}}

    def restore_windows(self, state: dict[str, Any]) -> None:
        """Only within one boot: their seconds are those of the monotonic clock."""
        self._windows.restore(state["host"])
        for name, saved in state["meters"].items():
            if name in self.meters:
                self.meters[name].windows.restore(saved)

    def group_windows_state(self) -> list[Any]:
        """Those of the groups: ten times as large as all others together."""
        return self.groups.windows_state()

    def restore_group_windows(self, state: list[Any]) -> None:
        """Behind `restore`, and only within one boot."""
        self.groups.restore_windows(state)

    def restore(self, state: dict[str, Any], same_boot: bool) -> bool:
        """Take up where `state` was saved. After a reboot the totals go on and the baselines start anew.

        Returns whether the labels of the usage ring must be read again from their beginning, because the rules have changed.
        """
        self.zones.restore(state["zones"], same_boot)
        self.table.restore(state["table"], same_boot)
        self.groups.restore(state["groups"], same_boot)
        if "gpus" in state:
            self._gpus.restore(state["gpus"], same_boot)
        self._ungrouped_uj, self._ungrouped_ns = state["ungrouped"]
        self.usage.restore(state["usage"], same_boot)
        for name, saved in state["meters"].items():
            if name in self.meters:
                self.meters[name].restore(saved, same_boot)
        for name, saved in state["readers"].items():
            self.readers[name] = ReaderBook.restored(saved)
        if not same_boot:
            return False
        self._waiting = deque(map(Interval.restored, state["waiting"]))
        if state["rules"] == self._grouper.fingerprint:
            return False
        self.usage.reclassify()
        return True


def _settled(zones: Iterable[ZoneTotals]) -> tuple[int, int]:
    """What has been attributed of these zones so far, and how much of it to idling, in microjoules."""
    zones = list(zones)
    return sum(zone.attributed_uj for zone in zones), sum(zone.idle_uj for zone in zones)


def _zone_view(zone: ZoneTotals, swept_until_ns: int) -> Zone:
    return Zone(
        name=zone.name,
        domain=zone.domain,
        parent=zone.parent,
        source=zone.source,
        additive=zone.additive,
        readable=zone.readable,
        energy_uj=zone.energy_uj if zone.additive else zone.aside_uj,
        power_w=zone.power_w(swept_until_ns),
        processes_uj=zone.processes_uj,
        exited_uj=zone.exited_uj,
        idle_uj=zone.idle_uj,
        unattributed_uj=zone.unattributed_uj,
        pending_uj=zone.pending_uj if zone.additive else 0,
        resets=zone.resets,
        shared_by=zone.shared_by,
    )
