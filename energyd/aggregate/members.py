"""Who belongs where: processes join their groups when they are born or have become another program, and leave them at their end.

Law: where a process belongs is decided when the first record under its label is folded, from labels and samples alone, so when and
how often the rings are read changes nothing. Parents are placed before their children, however the batch is ordered.
"""

from collections.abc import Iterable
from typing import Any

from energyd.aggregate.cgroups import CgroupBook, Place
from energyd.aggregate.grouptable import GroupTable
from energyd.aggregate.processes import NO_GROUP, ProcessTable, identity
from energyd.groups.grouper import Grouper, Member, served_pid


def place_of(label: dict[str, Any]) -> Place | None:
    """Where the CPU time of a consumer with this label is counted; None: in no control group, or the label does not say."""
    hierarchy = label.get("hierarchy")
    return (hierarchy, label["cgroup"]) if hierarchy else None


class Membership:
    """Keeps the table of processes, the groups and the control groups in step."""

    def __init__(self, grouper: Grouper, table: ProcessTable, groups: GroupTable) -> None:
        self._grouper = grouper
        self._table = table
        self.groups = groups
        self.cgroups = CgroupBook(self._group_of_path, groups.hold, groups.drop)

    def _group_of_path(self, path: str) -> int:
        return self.groups.number(self._grouper.of_cgroup(path))

    def describe(self, entries: Iterable[dict[str, Any]]) -> list[int]:
        """Take over the labels of processes; their slots, in the same order."""
        slots = []
        unplaced: dict[int, dict[str, Any]] = {}
        for entry in entries:
            slot = self._table.slot_of(identity(entry))
            previous = None if slot is None else self._table.member[slot]
            if slot is not None:
                self.leave(slot)  # by its old label
            slot = self._table.describe(entry)
            self._table.member[slot] = previous
            unplaced[slot] = entry
            slots.append(slot)
        while unplaced:
            self._place_line(next(iter(unplaced)), unplaced)
        return slots

    def _place_line(self, slot: int, unplaced: dict[int, dict[str, Any]]) -> None:
        """Place a process after all its ancestors that still wait for theirs."""
        line = [slot]
        seen = {slot}
        while True:
            above = self._parent_of(unplaced[line[-1]])
            if above is None or above in seen or above not in unplaced:
                break
            line.append(above)
            seen.add(above)
        for each in reversed(line):
            self._place(each, unplaced.pop(each))

    def _parent_of(self, entry: dict[str, Any]) -> int | None:
        return self._table.slot_of_pid(served_pid(entry) or int(entry.get("ppid", 0)))

    def _place(self, slot: int, entry: dict[str, Any]) -> None:
        above = self._parent_of(entry)
        parent = self._table.member[above] if above is not None and above != slot else None
        if parent is not None and served_pid(entry):
            member = parent
        else:
            facts = self._grouper.facts(entry)
            heirs = [heir for heir in (parent, self._table.member[slot]) if heir is not None and heir.heritable]
            member = self._grouper.member(facts, min(heirs, key=lambda heir: heir.rule, default=None))
        self._join(slot, member)

    def describe_command(self, entry: dict[str, Any], ancestor_pid: int) -> tuple[int, int]:
        """Slot and group of a command that lived too shortly to be seen; it belongs where its living ancestor makes it belong."""
        slot = self._table.describe_command(entry)
        above = self._table.slot_of_pid(ancestor_pid)
        parent = self._table.member[above] if above is not None else None
        member = self._grouper.member(self._grouper.facts(entry), parent)
        if member != self._table.member[slot]:
            self.leave(slot)
            self._join(slot, member)
        return slot, self._table.group[slot]

    def put_aside(self, slots: list[int]) -> list[int]:
        """Of commands that are not heard of any more, the longest silent first: those to be forgotten."""
        return self._table.put_aside(slots)

    def forget(self, slot: int, *, still_used: bool) -> None:
        """What this command's series had counted is gone with it; its slot is free, or it begins anew there if `still_used`."""
        if still_used:
            self._table.clear([slot])
            return
        self.leave(slot)
        self._table.end([slot])
        self._table.release([slot])

    def _join(self, slot: int, member: Member) -> None:
        number = self.groups.number(member.group)
        self.groups.hold(number)
        self._table.member[slot], self._table.group[slot] = member, number
        label = self._table.label(slot)
        if label["pid"]:
            self.groups.processes[number] += 1
            if place := place_of(label):
                self.cgroups.enter(place, number)

    def leave(self, slot: int) -> None:
        """The process has ended, or is about to be described anew. Its group stays known as long as its last interval needs it."""
        number = self._table.group[slot]
        if number == NO_GROUP:
            return
        self.groups.drop(number)
        label = self._table.label(slot)
        if label["pid"]:
            self.groups.processes[number] -= 1
            if place := place_of(label):
                self.cgroups.leave(place, number)
        self._table.group[slot] = NO_GROUP
