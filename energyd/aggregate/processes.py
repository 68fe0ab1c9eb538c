"""The processes that are or were alive, and the visible few among them whose energy is shown under their own name.

Law: every microjoule and CPU nanosecond increments exactly one series, once: the process' own if it is visible at that moment,
`other` if it is not. A process that becomes visible starts at zero, `other` keeps what it had; one that is hidden again and shown
again goes on from where it was. Who is visible is decided once an interval from the samples alone, so a replay decides alike.
"""

from collections import deque
from typing import Any

import numpy as np

from energyd.aggregate.attribute import Int64
from energyd.aggregate.snapshot import Process, Processes
from energyd.units import NS_PER_S

HALF_LIFE_S = 300.0  # of a process' rank: long enough to stay put, short enough that a new hog shows within seconds
KEPT = ("pid", "start_ticks", "comm", "cgroup", "uid")  # of a label: the rest is for those who group, and is not worth saving
INCUMBENT_BONUS = 1.25  # a hidden process must use this much more than a visible one to take its place
POWER_WINDOW_NS = NS_PER_S


class ProcessTable:
    """Processes in numbered slots. A slot is used anew only when nothing refers to it any more (`release`)."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._slot_of_identity: dict[tuple[int, int], int] = {}
        self._labels: list[dict[str, Any]] = []
        self._free: list[int] = []
        self.last_cpu_ns: list[int] = []  # by slot, -1 = never read
        self._energy_uj = np.zeros(0, np.int64)  # while visible
        self._cpu_ns = np.zeros(0, np.int64)  # while visible
        self._rank = np.zeros(0)
        self._visible = np.zeros(0, bool)
        self._recent: deque[tuple[int, Int64]] = deque()  # (elapsed_ns, energy_uj by slot) of the last intervals
        self.other_energy_uj = self.other_cpu_ns = 0
        self.gone_energy_uj = self.gone_cpu_ns = 0

    def describe(self, entry: dict[str, Any]) -> int:
        """The slot of the process that a label names; a later label of the same process (exec) takes the place of the earlier."""
        identity = (int(entry["pid"]), int(entry["start_ticks"]))
        slot = self._slot_of_identity.get(identity)
        if slot is None:
            slot = self._free.pop() if self._free else self._grow()
            self._slot_of_identity[identity] = slot
            self.last_cpu_ns[slot] = -1
        self._labels[slot] = {key: entry[key] for key in KEPT if key in entry}
        return slot

    def _grow(self) -> int:
        slot = len(self._labels)
        self._labels.append({})
        self.last_cpu_ns.append(-1)
        if slot >= len(self._rank):
            room = max(64, slot)
            self._energy_uj = np.append(self._energy_uj, np.zeros(room, np.int64))
            self._cpu_ns = np.append(self._cpu_ns, np.zeros(room, np.int64))
            self._rank = np.append(self._rank, np.zeros(room))
            self._visible = np.append(self._visible, np.zeros(room, bool))
            self._recent = deque((ns, np.append(energy_uj, np.zeros(room, np.int64))) for ns, energy_uj in self._recent)
        return slot

    def living(self) -> list[int]:
        return list(self._slot_of_identity.values())

    def end(self, slots: list[int]) -> None:
        """These processes have ended; their slots stay theirs until their last interval is attributed."""
        for slot in slots:
            entry = self._labels[slot]
            self._slot_of_identity.pop((int(entry["pid"]), int(entry["start_ticks"])), None)

    def release(self, slots: list[int]) -> None:
        """Nothing refers to these ended processes any more: their totals are booked as gone, their slots are free."""
        for slot in slots:
            self.gone_energy_uj += int(self._energy_uj[slot])
            self.gone_cpu_ns += int(self._cpu_ns[slot])
            self._energy_uj[slot] = self._cpu_ns[slot] = 0
            self._rank[slot] = 0.0
            self._visible[slot] = False
            for _, energy_uj in self._recent:
                energy_uj[slot] = 0
            self._labels[slot] = {}
            self._free.append(slot)

    def book(self, slots: Int64, energy_uj: Int64, cpu_ns: Int64, elapsed_ns: int, measured: bool) -> None:
        """Add what these processes used in one interval to their own series or to `other`, then choose the visible anew.

        Without a power source (`measured` false) processes are ranked by CPU time.
        """
        visible = self._visible[slots]
        shown, hidden = slots[visible], ~visible
        self._energy_uj[shown] += energy_uj[visible]
        self._cpu_ns[shown] += cpu_ns[visible]
        self.other_energy_uj += int(energy_uj[hidden].sum())
        self.other_cpu_ns += int(cpu_ns[hidden].sum())
        self._remember(slots, energy_uj, elapsed_ns)
        self._rank *= 0.5 ** (elapsed_ns / (HALF_LIFE_S * NS_PER_S))
        self._rank[slots] += energy_uj if measured else cpu_ns
        self._choose_visible()

    def _remember(self, slots: Int64, energy_uj: Int64, elapsed_ns: int) -> None:
        by_slot = np.zeros(len(self._rank), np.int64)
        by_slot[slots] = energy_uj
        self._recent.append((elapsed_ns, by_slot))
        while len(self._recent) > 1 and sum(ns for ns, _ in self._recent) - self._recent[0][0] >= POWER_WINDOW_NS:
            self._recent.popleft()

    def _choose_visible(self) -> None:
        weighed = np.where(self._visible, self._rank * INCUMBENT_BONUS, self._rank)
        candidates = np.flatnonzero(weighed)
        if len(candidates) > self._top:
            best = np.argpartition(weighed[candidates], -self._top)[-self._top :]
            candidates = candidates[best]
        self._visible[:] = False
        self._visible[candidates] = True

    def snapshot(self) -> Processes:
        """What to show now: the visible, and the sums of everybody else."""
        window_ns = sum(ns for ns, _ in self._recent)
        recent_uj = sum((energy_uj for _, energy_uj in self._recent), np.zeros(len(self._rank), np.int64))
        visible = []
        living = set(self._slot_of_identity.values())  # an ended process may wait for its last interval beside its pid's next owner
        for slot in np.flatnonzero(self._visible).tolist():
            if slot not in living:
                continue
            entry = self._labels[slot]
            power_w = int(recent_uj[slot]) * 1000 / window_ns if window_ns else 0.0
            visible.append(
                Process(
                    pid=entry["pid"],
                    comm=entry.get("comm", ""),
                    cgroup=entry.get("cgroup", ""),
                    uid=entry.get("uid", -1),
                    energy_uj=int(self._energy_uj[slot]),
                    power_w=power_w,
                    cpu_ns=int(self._cpu_ns[slot]),
                )
            )
        hidden_uj = int(recent_uj.sum()) - int(recent_uj[self._visible].sum())
        return Processes(
            visible=tuple(visible),
            other_energy_uj=self.other_energy_uj,
            other_power_w=hidden_uj * 1000 / window_ns if window_ns else 0.0,
            other_cpu_ns=self.other_cpu_ns,
            gone_energy_uj=self.gone_energy_uj,
            gone_cpu_ns=self.gone_cpu_ns,
            alive=len(self._slot_of_identity),
        )

    def state(self) -> dict[str, Any]:
        used = len(self._labels)
        return {
            "identities": [[*identity, slot] for identity, slot in self._slot_of_identity.items()],
            "labels": self._labels,
            "free": self._free,
            "last_cpu_ns": self.last_cpu_ns,
            "energy_uj": self._energy_uj[:used].tolist(),
            "cpu_ns": self._cpu_ns[:used].tolist(),
            "rank": self._rank[:used].tolist(),
            "visible": self._visible[:used].tolist(),
            "sums": [self.other_energy_uj, self.other_cpu_ns, self.gone_energy_uj, self.gone_cpu_ns],
        }

    def restore(self, state: dict[str, Any], same_boot: bool) -> None:
        self.other_energy_uj, self.other_cpu_ns, self.gone_energy_uj, self.gone_cpu_ns = state["sums"]
        if not same_boot:  # other processes behind the same numbers: their predecessors' totals are gone with them
            self.gone_energy_uj += sum(state["energy_uj"])
            self.gone_cpu_ns += sum(state["cpu_ns"])
            return
        self._slot_of_identity = {(pid, start_ticks): slot for pid, start_ticks, slot in state["identities"]}
        self._labels, self._free, self.last_cpu_ns = state["labels"], state["free"], state["last_cpu_ns"]
        self._energy_uj = np.array(state["energy_uj"], np.int64)
        self._cpu_ns = np.array(state["cpu_ns"], np.int64)
        self._rank = np.array(state["rank"], np.float64)
        self._visible = np.array(state["visible"], bool)
