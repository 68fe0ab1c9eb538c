"""The CPU side: usage batches in, intervals of CPU time per process out, each ready to have energy attributed to it.

A process is (pid, start time); the reader's number for it (the labels id) changes when the reader starts anew, the process does
not. What no living process accounts for is the exited: control total minus tracked, as a running maximum, so that a process
clock read a moment before the control total leaves a debt that is carried, not an energy that is invented. Of the exited, the
control groups take what ended in them, and exit records give it a name.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from energyd import samples
from energyd.aggregate.cgroups import CgroupBook, Place, Reading
from energyd.aggregate.containers import ContainerBook
from energyd.aggregate.counters import GrowingCounter, process_increment
from energyd.aggregate.exits import Exits
from energyd.aggregate.figures import FigureBook
from energyd.aggregate.grouptable import GroupTable
from energyd.aggregate.grouptraffic import GroupTraffic
from energyd.aggregate.interval import NO_PACKAGE, Interval
from energyd.aggregate.members import Membership, place_of
from energyd.aggregate.processes import ProcessTable, identity
from energyd.groups.grouper import Grouper, GroupKey
from energyd.units import NS_PER_S

START_TICK_NS = NS_PER_S // 100  # USER_HZ, the unit of starttime in proc(5), is 100 on every 64-bit Linux
BIRTH_SLACK_NS = 3 * START_TICK_NS  # start times are cut to a tick, and stamped before the process gets a pid to be seen by
LABELLED = ("process", "cgroup", "command")

Records = npt.NDArray[Any]


class _Used(NamedTuple):
    """What the PROCESS records of a batch say."""

    cpu_ns: dict[int, int]  # by slot, of those that used CPU
    packages: dict[int, int]
    seen: set[int]
    gone: list[int]


class UsageBook:
    """Fed with the batches of the `usage` ring; gives out intervals and keeps the totals of the machine's CPU time."""

    def __init__(self, table: ProcessTable, groups: GroupTable, grouper: Grouper, *, with_memory: bool = False) -> None:
        """`with_memory`: intervals say how much memory each process holds."""
        self._table = table
        self._groups = groups
        self._membership = Membership(grouper, table, groups)
        self._exits = Exits(self._membership)
        self.figures = FigureBook()
        self.containers = ContainerBook(grouper.container)
        self.traffic = GroupTraffic()
        self._with_memory = with_memory
        self._reclassify = False
        self.before_the_end: Callable[[int], None] = lambda _end_ns: None  # called in each batch while its ended are still known
        self._pending: dict[int, dict[str, Any]] = {}  # labels that no record has used yet
        self._slot_of: dict[int, int] = {}  # labels id of a process -> slot
        self._place_of: dict[int, Place] = {}  # labels id of a control group
        self._until_ns: int | None = None  # end of the last batch
        self._control = GrowingCounter()
        self._all_modes = GrowingCounter()
        self.control_ns = 0  # CPU time of all tasks since we started to look
        self.tracked_ns = 0  # of it, what has a name
        self.exited_ns = 0
        self.modes_ns: dict[str, int] = {}
        self.memory_bytes: dict[str, int] = {}

    @property
    def cgroups(self) -> CgroupBook:
        return self._membership.cgroups

    def label(self, identifier: int, entry: dict[str, Any]) -> None:
        if entry.get("kind") in LABELLED:
            self._pending[identifier] = entry
        self.figures.label(identifier, entry)

    def forget_labels(self) -> None:
        """The ring has been rotated: its numbers mean nothing any more; its first batch names everybody anew."""
        self._pending.clear()
        self._slot_of.clear()
        self._place_of.clear()
        self._exits.forget_labels()
        self.figures.forget_labels()

    def reclassify(self) -> None:
        """The rules are others than when the state was saved: the next batch takes over all labels anew, as they come again."""
        self._reclassify = True
        self._table.member = [None] * len(self._table.member)
        self.cgroups.reclassify()

    def fold(self, records: Records) -> list[Interval]:
        """The intervals that these closed batches of the `usage` ring complete, in order."""
        ends = np.flatnonzero(records["kind"] == samples.END)
        intervals = []
        start = 0
        for end in ends.tolist():
            interval = self._fold_batch(records[start : end + 1])
            if interval is not None:
                intervals.append(interval)
            start = end + 1
        return intervals

    def release(self, interval: Interval) -> None:
        """The interval has been attributed: what ended in it may be forgotten."""
        for number in interval.numbers:
            self._groups.drop(number)
        self._exits.settle(interval)
        self._table.release(list(interval.gone))

    def _fold_batch(self, batch: Records) -> Interval | None:
        end, kinds = batch[-1], batch["kind"]
        begin_ns = self._until_ns  # None in the first batch ever, which is the baseline
        self._until_ns = end_ns = max(int(end["mono_ns"]), begin_ns or 0)
        members, _, suspended_ns, _ = batch[-1:].view(np.uint64).reshape(8)[3:7].tolist()
        whole = bool(int(end["status"]) & samples.KEYFRAME and members == np.count_nonzero(kinds < samples.VOID))
        self._introduce(batch)
        used = self._fold_processes(batch[kinds == samples.PROCESS], suspended_ns, begin_ns)
        if whole:
            used.gone.extend(slot for slot in self._table.living() if slot not in used.seen)
        control_ns, capacity_ns = self._fold_host(batch[(kinds >= samples.CONTROL) & (kinds <= samples.HOST_MEMORY)])
        self.control_ns += control_ns
        self.tracked_ns += sum(used.cpu_ns.values())
        self._fold_cgroups(batch[kinds == samples.CGROUP], used, None if begin_ns is None else capacity_ns, whole)
        self._fold_figures(batch[kinds == samples.FIGURES], whole)
        exited_ns = max(0, self.control_ns - self.tracked_ns - self.exited_ns)
        unnamed: dict[Place | None, int] = dict(self.cgroups.settle(exited_ns, capacity_ns))
        unnamed[None] = exited_ns - sum(unnamed.values())
        interval = self._interval(used, batch[kinds == samples.EXITED], unnamed, end_ns)
        if whole:
            self._forget_unused(batch, end_ns)
        self.before_the_end(end_ns)
        self._end(used.gone)
        for number in interval.numbers:
            self._groups.hold(number)
        busy_ratio = control_ns / capacity_ns if capacity_ns else 1.0
        interval = interval._replace(busy_ratio=busy_ratio, gone=tuple(dict.fromkeys(used.gone)), whole=whole)
        if begin_ns is None:
            self.release(interval)
            return None
        return interval._replace(begin_ns=begin_ns)

    def _introduce(self, batch: Records) -> None:
        """Take over the labels that this batch is the first to use."""
        if self._reclassify:
            self._reclassify = False
            entries = [entry for entry in self._pending.values() if entry["kind"] == "process"]
            self._membership.describe(entry for entry in entries if self._table.slot_of(identity(entry)) is not None)
        if not self._pending:
            return
        for kind in (samples.PROCESS, samples.CGROUP, samples.EXITED):
            consumers = batch["consumer"][batch["kind"] == kind].tolist()
            fresh = {consumer: self._pending.pop(consumer) for consumer in consumers if consumer in self._pending}
            if kind == samples.PROCESS:
                self._slot_of.update(zip(fresh, self._membership.describe(fresh.values()), strict=True))
            elif kind == samples.CGROUP:
                self._place_of.update({consumer: (str(e["controller"]), str(e["path"])) for consumer, e in fresh.items()})
            else:
                for consumer, entry in fresh.items():
                    self._exits.label(consumer, entry)

    def _fold_processes(self, records: Records, suspended_ns: int, begin_ns: int | None) -> _Used:
        increments: dict[int, int] = {}
        packages: dict[int, int] = {}
        seen: set[int] = set()
        gone: list[int] = []
        last_ns, resident = self._table.last_cpu_ns, self._table.resident_bytes
        oldest_birth_ns = None if begin_ns is None else begin_ns - BIRTH_SLACK_NS
        columns = [records[name].tolist() for name in ("consumer", "start_ticks", "cpu_ns", "mem_bytes", "status")]
        for consumer, start_ticks, cpu_ns, mem_bytes, status in zip(*columns, strict=True):
            slot = self._slot_of.get(consumer)
            if slot is None:  # named in labels that were overwritten with their ring: the next keyframe names it again
                continue
            born_ns = start_ticks * START_TICK_NS - suspended_ns
            born_within = oldest_birth_ns is not None and born_ns >= oldest_birth_ns
            delta_ns = process_increment(last_ns[slot], cpu_ns, born_within)
            last_ns[slot], resident[slot] = cpu_ns, mem_bytes
            seen.add(slot)
            if delta_ns:
                increments[slot] = increments.get(slot, 0) + delta_ns
            if status:
                if status & samples.GONE:
                    gone.append(slot)
                if status >> samples.PACKAGE_SHIFT:
                    packages[slot] = (status >> samples.PACKAGE_SHIFT) - 1
        return _Used(increments, packages, seen, gone)

    def _fold_cgroups(self, records: Records, used: _Used, capacity_ns: int | None, whole: bool) -> None:
        living_ns: dict[Place, int] = {}
        for slot, cpu_ns in used.cpu_ns.items():
            place = place_of(self._table.label(slot))
            if place is not None:
                living_ns[place] = living_ns.get(place, 0) + cpu_ns
        readings: dict[Place, Reading] = {}
        ended: dict[Place, Reading] = {}
        columns = [records[name].tolist() for name in ("consumer", "cpu_ns", "mem_bytes", "status")]
        for consumer, cpu_ns, mem_bytes, status in zip(*columns, strict=True):
            place = self._place_of.get(consumer)
            if place is not None:
                gone = bool(status & samples.GONE)
                (ended if gone else readings)[place] = Reading(place, cpu_ns, mem_bytes, gone)
                if gone:
                    del self._place_of[consumer]
        if ended:  # first, because one that was made again under its name is another
            self.cgroups.fold(list(ended.values()), {}, capacity_ns)
        self.cgroups.fold(list(readings.values()), living_ns, capacity_ns)
        self.containers.fold((*ended.values(), *readings.values()), self.cgroups.parent)
        if whole:
            self.cgroups.forget_absent(set(readings))
            self.containers.forget_absent(set(readings))

    def _fold_figures(self, records: Records, whole: bool) -> None:
        def group_of(place: Place) -> GroupKey | None:
            number = self.cgroups.group_of(place)
            return None if number is None else self._groups.key(number)

        self.traffic.fold(self.figures.fold(records, whole), group_of)
        if whole:
            self.traffic.forget_absent(self._groups.__contains__)

    def _interval(self, used: _Used, exit_records: Records, unnamed: dict[Place | None, int], end_ns: int) -> Interval:
        """Put together who used what. `unnamed`: what the exited used, by place; exit records take from it what they name."""
        slots, cpu_ns = list(used.cpu_ns), list(used.cpu_ns.values())
        groups = [self._table.group[slot] for slot in slots]
        for named in self._exits.name(exit_records, unnamed, end_ns):
            slots.append(named.slot)
            groups.append(named.group)
            cpu_ns.append(named.cpu_ns)
            self.tracked_ns += named.cpu_ns
        ungrouped_ns = unnamed.pop(None)
        self.exited_ns += ungrouped_ns + sum(unnamed.values())
        memory = None
        if self._with_memory:
            quiet = [slot for slot in self._table.living() if slot not in used.cpu_ns]
            slots += quiet
            cpu_ns += [0] * len(quiet)
            groups += [self._table.group[slot] for slot in quiet]
            memory = np.array([self._table.resident_bytes[slot] for slot in slots], np.int64)
        return Interval(
            begin_ns=0,
            end_ns=end_ns,
            exited_ns=ungrouped_ns,
            slots=np.array(slots, np.int64),
            cpu_ns=np.array(cpu_ns, np.int64),
            groups=np.array(groups, np.int64),
            exited_cpu_ns=np.array(list(unnamed.values()), np.int64),
            exited_groups=np.array([self.cgroups.group(place) for place in unnamed if place], np.int64),
            packages=np.array([used.packages.get(slot, NO_PACKAGE) for slot in slots], np.int64) if used.packages else None,
            memory_bytes=memory,
        )

    def _end(self, gone: list[int]) -> None:
        if gone:
            ended = set(gone)
            for slot in ended:
                self._membership.leave(slot)
            self._table.end(gone)
            self._slot_of = {consumer: slot for consumer, slot in self._slot_of.items() if slot not in ended}

    def _forget_unused(self, batch: Records, end_ns: int) -> None:
        """At a keyframe: labels of the dead, which nothing will use any more."""
        newest = int(batch["consumer"][batch["kind"] <= samples.CGROUP].max(initial=0))
        self._pending = {consumer: entry for consumer, entry in self._pending.items() if consumer > newest}
        self._exits.forget_silent_labels(end_ns)

    def _fold_host(self, records: Records) -> tuple[int, int]:
        """CPU time of all tasks in this interval, and what the machine's CPUs had to give."""
        control_ns = 0
        columns = [records[name].tolist() for name in ("kind", "consumer", "cpu_ns", "mem_bytes")]
        for kind, consumer, cpu_ns, mem_bytes in zip(*columns, strict=True):
            if kind == samples.CONTROL:
                control_ns = self._control.advance(cpu_ns)
            elif kind == samples.HOST_CPU:
                self.modes_ns[samples.CPU_MODES[consumer]] = cpu_ns
            else:
                self.memory_bytes[samples.MEMORY_FIELDS[consumer]] = mem_bytes
        return control_ns, self._all_modes.advance(sum(self.modes_ns.values()))

    def state(self) -> dict[str, Any]:
        return {
            "pending": self._pending,
            "slot_of": self._slot_of,
            "place_of": {consumer: list(place) for consumer, place in self._place_of.items()},
            "exits": self._exits.state(),
            "cgroups": self.cgroups.state(),
            "figures": self.figures.state(),
            "containers": self.containers.state(),
            "traffic": self.traffic.state(),
            "until_ns": self._until_ns,
            "raw": [self._control.raw, self._all_modes.raw],
            "totals_ns": [self.control_ns, self.tracked_ns, self.exited_ns],
            "modes_ns": self.modes_ns,
            "memory_bytes": self.memory_bytes,
        }

    def restore(self, state: dict[str, Any], same_boot: bool) -> None:
        self.control_ns, self.tracked_ns, self.exited_ns = state["totals_ns"]
        self.traffic.restore(state.get("traffic", []))
        if same_boot:
            self._pending, self._slot_of = state["pending"], state["slot_of"]
            self._place_of = {consumer: (hierarchy, path) for consumer, (hierarchy, path) in state["place_of"].items()}
            self._exits.restore(state["exits"])
            self.cgroups.restore(state["cgroups"])
            if "figures" in state:  # an earlier version did not save them
                self.figures.restore(state["figures"])
                self.containers.restore(state["containers"])
            self._until_ns = state["until_ns"]
            self._control.raw, self._all_modes.raw = state["raw"]
            self.modes_ns, self.memory_bytes = state["modes_ns"], state["memory_bytes"]
