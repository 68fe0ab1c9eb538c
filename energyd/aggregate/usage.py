"""The CPU side: usage batches in, intervals of CPU time per process out, each ready to have energy attributed to it.

A process is (pid, start time); the reader's number for it (the labels id) changes when the reader starts anew, the process does
not. What no living process accounts for is the exited: control total minus tracked, as a running maximum, so that a process
clock read a moment before the control total leaves a debt that is carried, not an energy that is invented.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from energyd import samples
from energyd.aggregate.attribute import Int64
from energyd.aggregate.counters import GrowingCounter, process_increment
from energyd.aggregate.processes import ProcessTable
from energyd.units import NS_PER_S

START_TICK_NS = NS_PER_S // 100  # USER_HZ, the unit of starttime in proc(5), is 100 on every 64-bit Linux
BIRTH_SLACK_NS = 3 * START_TICK_NS  # start times are cut to a tick, and stamped before the process gets a pid to be seen by


class Interval(NamedTuple):
    """CPU time used between two scans, waiting for the energy of the same time."""

    begin_ns: int
    end_ns: int
    slots: Int64  # of the ProcessTable, unique
    cpu_ns: Int64  # aligned with slots, >= 0
    exited_ns: int
    busy_ratio: float
    gone: list[int]  # slots that ended within it

    @property
    def elapsed_ns(self) -> int:
        return self.end_ns - self.begin_ns


class UsageBook:
    """Fed with the batches of the `usage` ring; gives out intervals and keeps the totals of the machine's CPU time."""

    def __init__(self, table: ProcessTable) -> None:
        self._table = table
        self._slot_of: dict[int, int] = {}  # labels id -> slot
        self._until_ns: int | None = None  # end of the last batch
        self._control = GrowingCounter()
        self._all_modes = GrowingCounter()
        self.control_ns = 0  # CPU time of all tasks since we started to look
        self.tracked_ns = 0  # of it, what living processes accounted for when it was used
        self.exited_ns = 0
        self.modes_ns: dict[str, int] = {}
        self.memory_bytes: dict[str, int] = {}

    def label(self, identifier: int, entry: dict[str, Any]) -> None:
        if entry.get("kind") == "process":
            self._slot_of[identifier] = self._table.describe(entry)

    def forget_labels(self) -> None:
        """The ring has been rotated: its numbers mean nothing any more; its first batch names everybody anew."""
        self._slot_of.clear()

    def fold(self, records: npt.NDArray[Any]) -> list[Interval]:
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

    def _fold_batch(self, batch: npt.NDArray[Any]) -> Interval | None:
        end = batch[-1]
        end_ns = int(end["mono_ns"])
        members, _, suspended_ns, _ = batch[-1:].view(np.uint64).reshape(8)[3:7].tolist()
        increments, seen, gone = self._fold_processes(batch[batch["kind"] == samples.PROCESS], suspended_ns)
        if int(end["status"]) & samples.KEYFRAME and members == len(batch) - 1:
            gone += [slot for slot in self._table.living() if slot not in seen]
        self._forget(gone)
        control_ns, busy_ratio = self._fold_host(batch)
        self.control_ns += control_ns
        self.tracked_ns += sum(increments.values())
        exited_ns = max(0, self.control_ns - self.tracked_ns - self.exited_ns)
        self.exited_ns += exited_ns
        begin_ns, self._until_ns = self._until_ns, end_ns
        if begin_ns is None or begin_ns >= end_ns:  # the first batch ever is the baseline
            self._table.release(gone)
            return None
        slots = np.fromiter(increments.keys(), np.int64, len(increments))
        cpu_ns = np.fromiter(increments.values(), np.int64, len(increments))
        return Interval(begin_ns, end_ns, slots, cpu_ns, exited_ns, busy_ratio, gone)

    def _fold_processes(self, records: npt.NDArray[Any], suspended_ns: int) -> tuple[dict[int, int], set[int], list[int]]:
        """CPU time by slot, the slots that were named, and those that ended."""
        increments: dict[int, int] = {}
        seen: set[int] = set()
        gone: list[int] = []
        last_ns = self._table.last_cpu_ns
        oldest_birth_ns = None if self._until_ns is None else self._until_ns - BIRTH_SLACK_NS
        columns = [records[name].tolist() for name in ("consumer", "start_ticks", "cpu_ns", "status")]
        for consumer, start_ticks, cpu_ns, status in zip(*columns, strict=True):
            slot = self._slot_of.get(consumer)
            if slot is None:  # named in labels that were overwritten with their ring: the next keyframe names it again
                continue
            born_ns = start_ticks * START_TICK_NS - suspended_ns
            born_within = oldest_birth_ns is not None and born_ns >= oldest_birth_ns
            delta_ns = process_increment(last_ns[slot], cpu_ns, born_within)
            last_ns[slot] = cpu_ns
            seen.add(slot)
            if delta_ns:
                increments[slot] = increments.get(slot, 0) + delta_ns
            if status & samples.GONE:
                gone.append(slot)
        return increments, seen, gone

    def _forget(self, gone: list[int]) -> None:
        if gone:
            ended = set(gone)
            self._table.end(gone)
            self._slot_of = {consumer: slot for consumer, slot in self._slot_of.items() if slot not in ended}

    def _fold_host(self, batch: npt.NDArray[Any]) -> tuple[int, float]:
        """CPU time of all tasks in this interval, and the share of the machine's capacity that it is."""
        control_ns = 0
        for record in batch[(batch["kind"] >= samples.CONTROL) & (batch["kind"] <= samples.HOST_MEMORY)]:
            kind, consumer = int(record["kind"]), int(record["consumer"])
            if kind == samples.CONTROL:
                control_ns = self._control.advance(int(record["cpu_ns"]))
            elif kind == samples.HOST_CPU:
                self.modes_ns[samples.CPU_MODES[consumer]] = int(record["cpu_ns"])
            else:
                self.memory_bytes[samples.MEMORY_FIELDS[consumer]] = int(record["mem_bytes"])
        capacity_ns = self._all_modes.advance(sum(self.modes_ns.values()))
        return control_ns, control_ns / capacity_ns if capacity_ns else 1.0

    def state(self) -> dict[str, Any]:
        return {
            "slot_of": self._slot_of,
            "until_ns": self._until_ns,
            "raw": [self._control.raw, self._all_modes.raw],
            "totals_ns": [self.control_ns, self.tracked_ns, self.exited_ns],
            "modes_ns": self.modes_ns,
            "memory_bytes": self.memory_bytes,
        }

    def restore(self, state: dict[str, Any], same_boot: bool) -> None:
        self.control_ns, self.tracked_ns, self.exited_ns = state["totals_ns"]
        if same_boot:
            self._slot_of = state["slot_of"]
            self._until_ns = state["until_ns"]
            self._control.raw, self._all_modes.raw = state["raw"]
            self.modes_ns, self.memory_bytes = state["modes_ns"], state["memory_bytes"]
