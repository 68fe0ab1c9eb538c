"""The processes that are or were alive, the commands of those that lived too shortly to be seen, and who of them is shown.

A process is (pid, start time). A command is what taskstats tells of tasks that no scan saw: their name, user and control group; all
of these together are one consumer without a pid, which goes out of view a minute after it was last heard of. What its series had
counted then waits for it; of those that wait, the longest silent are forgotten when they become too many.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from energyd.aggregate.attribute import Int64
from energyd.aggregate.ranking import Ranking
from energyd.aggregate.snapshot import Process, Processes
from energyd.aggregate.sums import Sums
from energyd.groups.grouper import GroupKey, Member
from energyd.redact import redact

KEPT: Final[tuple[str, ...]] = ("pid", "start_ticks", "comm", "cgroup", "uid", "hierarchy")
"""Of a label: the rest is for those who group, and is not worth saving."""
CMDLINE_CHARS: Final = 512

Command = tuple[str, str, int]
"""comm, control group, uid."""
COMMANDS_KEPT: Final = 256
"""Out of view, with a sum to go on from: 100 bytes each of what is saved."""
NO_GROUP: Final = -1
_NO_KEY: Final = GroupKey("", "", "", "")


class ProcessTable:
    """Consumers in numbered slots. A slot is used anew only when nothing refers to it any more (`release`)."""

    def __init__(self, top: int) -> None:
        self._ranking = Ranking(top)
        self.gpu = Sums(top)
        self._slot_of_identity: dict[tuple[int, int], int] = {}
        self._slot_of_pid: dict[int, int] = {}
        self._slot_of_command: dict[Command, int] = {}
        self._labels: list[dict[str, Any]] = []
        self._free: list[int] = []
        self.last_cpu_ns: list[int] = []  # by slot, -1 = never read
        self.resident_bytes: list[int] = []
        self.member: list[Member | None] = []
        self.group: list[int] = []  # of the GroupTable

    def describe(self, entry: dict[str, Any]) -> int:
        """The slot of the process that a label names; a later label of the same process (exec) takes the place of the earlier."""
        who = identity(entry)
        slot = self._slot_of_identity.get(who)
        if slot is None:
            slot = self._slot_of_identity[who] = self._take_slot()
        self._slot_of_pid[who[0]] = slot
        self._label(slot, entry)
        return slot

    def describe_command(self, entry: dict[str, Any]) -> int:
        """The slot of a command: comm, cgroup, uid."""
        command = _command(entry)
        slot = self._slot_of_command.get(command)
        if slot is None:
            slot = self._slot_of_command[command] = self._take_slot()
        self._label(slot, {"pid": 0, "start_ticks": 0, **entry})
        return slot

    def _label(self, slot: int, entry: dict[str, Any]) -> None:
        label = {key: entry[key] for key in KEPT if key in entry}
        if argv := entry.get("argv"):
            label["cmdline"] = redact(argv, CMDLINE_CHARS)
        self._labels[slot] = label

    def label(self, slot: int) -> dict[str, Any]:
        return self._labels[slot]

    def _take_slot(self) -> int:
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self._labels)
            self._labels.append({})
            self.last_cpu_ns.append(-1)
            self.resident_bytes.append(0)
            self.member.append(None)
            self.group.append(NO_GROUP)
            self._ranking.make_room(slot + 1)
        return slot

    def living(self) -> list[int]:
        return list(self._slot_of_identity.values())

    def slot_of(self, who: tuple[int, int]) -> int | None:
        """Of the living process (pid, start_ticks)."""
        return self._slot_of_identity.get(who)

    def slot_of_pid(self, pid: int) -> int | None:
        """Of the living process that has this pid."""
        return self._slot_of_pid.get(pid)

    def end(self, slots: list[int]) -> None:
        """These have ended; their slots stay theirs until their last interval is attributed."""
        for slot in slots:
            entry = self._labels[slot]
            pid, _ = who = identity(entry)
            if not pid:
                self._slot_of_command.pop(_command(entry), None)
                continue
            self._slot_of_identity.pop(who, None)
            if self._slot_of_pid.get(pid) == slot:
                del self._slot_of_pid[pid]

    def put_aside(self, slots: list[int]) -> list[int]:
        """Commands that are not heard of any more, the longest silent first, go out of view. Returns those to be forgotten."""
        waiting = [slot for slot in slots if self._ranking.energy_uj[slot] or self._ranking.cpu_ns[slot]]
        self._ranking.hide(waiting)
        kept = set(waiting[-COMMANDS_KEPT:])
        return [slot for slot in slots if slot not in kept]

    def clear(self, slots: list[int]) -> None:
        """Their totals are booked as gone."""
        self._ranking.clear(slots)
        self.gpu.forget(slots)

    def release(self, slots: list[int]) -> None:
        """Nothing refers to these any more: their totals are booked as gone, their slots are free."""
        if not slots:
            return
        self.clear(slots)
        for slot in slots:
            self._labels[slot] = {}
            self.last_cpu_ns[slot] = -1
            self.resident_bytes[slot] = 0
            self.member[slot], self.group[slot] = None, NO_GROUP
            self._free.append(slot)

    def book(self, slots: Int64, energy_uj: Int64, cpu_ns: Int64, elapsed_ns: int, measured: bool) -> None:
        """Add what these used in one interval to their own series or to `other`. A command can be there once for each of its
        groups."""
        if self._slot_of_command:
            unique, places = np.unique(slots, return_inverse=True)
            if len(unique) < len(slots):
                energies, times = np.zeros(len(unique), np.int64), np.zeros(len(unique), np.int64)
                np.add.at(energies, places, energy_uj)
                np.add.at(times, places, cpu_ns)
                slots, energy_uj, cpu_ns = unique, energies, times
        self._ranking.book(slots, energy_uj, cpu_ns, elapsed_ns, measured)

    def snapshot(self, groups: Mapping[int, GroupKey]) -> Processes:
        """What to show now: the visible, and the sums of everybody else. `groups` by number."""
        ranking = self._ranking
        powers_w, other_power_w = ranking.powers_w()
        busy_cpus = ranking.busy_cpus()
        visible = []
        gone_energy_uj, gone_cpu_ns = ranking.gone_energy_uj, ranking.gone_cpu_ns
        hidden_energy_uj, hidden_cpu_ns = ranking.hidden()
        present = {*self._slot_of_identity.values(), *self._slot_of_command.values()}
        for slot in ranking.shown.nonzero()[0].tolist():
            if slot not in present:  # ended, and waits for its last interval, maybe beside its pid's next owner
                gone_energy_uj += int(ranking.energy_uj[slot])
                gone_cpu_ns += int(ranking.cpu_ns[slot])
                continue
            entry = self._labels[slot]
            group = groups.get(self.group[slot], _NO_KEY)
            visible.append(
                Process(
                    pid=entry["pid"],
                    comm=entry.get("comm", ""),
                    cgroup=entry.get("cgroup", ""),
                    uid=entry.get("uid", -1),
                    energy_uj=int(ranking.energy_uj[slot]),
                    power_w=powers_w.get(slot, 0.0),
                    cpu_ns=int(ranking.cpu_ns[slot]),
                    cmdline=entry.get("cmdline", ""),
                    group=group.name,
                    environment=group.environment,
                    kind=group.kind,
                    busy_cpus=busy_cpus.get(slot, 0.0),
                )
            )
        return Processes(
            visible=tuple(sorted(visible)),
            other_energy_uj=ranking.other_energy_uj,
            other_power_w=other_power_w,
            other_cpu_ns=ranking.other_cpu_ns,
            gone_energy_uj=gone_energy_uj,
            gone_cpu_ns=gone_cpu_ns,
            alive=len(self._slot_of_identity),
            hidden_energy_uj=hidden_energy_uj,
            hidden_cpu_ns=hidden_cpu_ns,
        )

    def state(self) -> dict[str, Any]:
        return {
            "identities": [[*identity, slot] for identity, slot in self._slot_of_identity.items()],
            "commands": [[*command, slot] for command, slot in self._slot_of_command.items()],
            "labels": self._labels,
            "free": self._free,
            "last_cpu_ns": self.last_cpu_ns,
            "resident_bytes": self.resident_bytes,
            "members": [member and [list(member.group), *member[1:]] for member in self.member],
            "groups": self.group,
            "ranking": self._ranking.state(len(self._labels)),
            "gpu": self.gpu.state(),
        }

    def restore(self, state: dict[str, Any], same_boot: bool) -> None:
        if "gpu" in state:
            self.gpu.restore(state["gpu"])
        if not same_boot:  # other processes behind the same numbers: their predecessors' totals are gone with them
            self._ranking.restore_sums(state["ranking"])
            self.gpu.forget(list(self.gpu.energy_uj))
            return
        self._ranking.restore(state["ranking"])
        self._slot_of_identity = {(pid, start_ticks): slot for pid, start_ticks, slot in state["identities"]}
        self._slot_of_pid = {pid: slot for pid, _, slot in state["identities"]}
        self._slot_of_command = {(comm, cgroup, uid): slot for comm, cgroup, uid, slot in state["commands"]}
        self._labels, self._free, self.last_cpu_ns = state["labels"], state["free"], state["last_cpu_ns"]
        self.resident_bytes, self.group = state["resident_bytes"], state["groups"]
        self.member = [saved and Member.restored(saved) for saved in state["members"]]


def identity(entry: dict[str, Any]) -> tuple[int, int]:
    """(pid, start_ticks) of a label."""
    return int(entry["pid"]), int(entry["start_ticks"])


def _command(entry: dict[str, Any]) -> Command:
    return str(entry.get("comm", "")), str(entry.get("cgroup", "")), int(entry.get("uid", -1))
