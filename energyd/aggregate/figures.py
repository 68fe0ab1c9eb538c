"""Counters of things that come and go: cores, disks, network interfaces, as totals since the machine was started.

A thing is known by kind, name and the control group around it; its identity says whether it is still the same. One that was renamed
takes its totals along. Another one under a name that is known goes on from the totals of the name, so that a series falls only with
the machine's next start. Law: totals only grow; what is not there is not shown, and is remembered.
"""

from typing import Any, Final, NamedTuple

import numpy.typing as npt

from energyd import samples
from energyd.aggregate.counters import DeviceCounter, TickCounter

GAUGES: Final = ("load",)
FORGOTTEN_AFTER: Final = 10
"""Keyframes: five minutes."""


class Thing(NamedTuple):
    """`hierarchy` and `cgroup` are those of a container's; '' = the machine's."""

    kind: str
    name: str
    hierarchy: str = ""
    cgroup: str = ""


Growth = tuple[Thing, int, int]
"""A thing, the index of a figure of it, and by how much that has grown."""


class _Followed:
    __slots__ = ("counters", "gauges", "identity", "missed", "present")

    def __init__(self, kind: str, identity: str) -> None:
        counter: type[TickCounter | DeviceCounter] = TickCounter if kind == "core" else DeviceCounter
        self.identity = identity
        self.counters = [counter() for _ in samples.FIELDS[kind]]
        self.gauges = [0] * len(self.counters) if kind in GAUGES else None
        self.present = False
        self.missed = 0  # keyframes in a row


class FigureBook:
    """Fed with the labels and FIGURES records of the `usage` ring."""

    def __init__(self) -> None:
        self._pending: dict[int, dict[str, Any]] = {}  # labels that no record has used yet
        self._thing_of: dict[int, Thing] = {}
        self._followed: dict[Thing, _Followed] = {}

    def label(self, identifier: int, entry: dict[str, Any]) -> None:
        if entry.get("kind") in samples.FIELDS:
            self._pending[identifier] = entry

    def forget_labels(self) -> None:
        self._pending.clear()
        self._thing_of.clear()

    def fold(self, records: npt.NDArray[Any], whole: bool) -> list[Growth]:
        """The FIGURES records of one batch; a `whole` one names everything there is. Returns what containers' counters grew by."""
        growths: list[Growth] = []
        seen: dict[int, Thing] = {}
        names = ("consumer", "pid", "start_ticks", "cpu_ns", "mem_bytes", "status")
        for consumer, first, *figures, status in zip(*[records[name].tolist() for name in names], strict=True):
            thing = self._thing(consumer)
            if thing is None:
                continue
            followed = self._followed[thing]
            for index, figure in enumerate(figures, first):
                if index < len(followed.counters):
                    if followed.gauges is not None:
                        followed.gauges[index] = figure
                    else:
                        grown = followed.counters[index].advance(figure)
                        if thing.cgroup:
                            growths.append((thing, index, grown))
            followed.present = not status & samples.GONE
            if followed.present:
                seen[consumer] = thing
            else:
                del self._thing_of[consumer]
        if whole:
            self._forget_absent(seen)
        return growths

    def _thing(self, consumer: int) -> Thing | None:
        entry = self._pending.pop(consumer, None)
        if entry is not None:
            self._thing_of[consumer] = self._introduce(entry)
        return self._thing_of.get(consumer)

    def _introduce(self, entry: dict[str, Any]) -> Thing:
        thing = Thing(str(entry["kind"]), str(entry["name"]), str(entry.get("hierarchy", "")), str(entry.get("cgroup", "")))
        identity = str(entry["identity"])
        followed = self._followed.get(thing)
        if followed is None:
            before = self._under_another_name(thing, identity)
            self._followed[thing] = self._followed.pop(before) if before else _Followed(thing.kind, identity)
        elif followed.identity != identity:  # another device, whose counters began at zero or were counted under its last name
            before = self._under_another_name(thing, identity)
            counted = [counter.raw for counter in self._followed[before].counters] if before else [0] * len(followed.counters)
            followed.identity = identity
            for counter, raw in zip(followed.counters, counted, strict=True):
                counter.raw = raw
        return thing

    def _under_another_name(self, thing: Thing, identity: str) -> Thing | None:
        if not identity or thing.cgroup:
            return None
        for other, followed in self._followed.items():
            if other.kind == thing.kind and followed.identity == identity and not followed.present and not other.cgroup:
                return other
        return None

    def _forget_absent(self, seen: dict[int, Thing]) -> None:
        """A keyframe names everything there is: what it does not has gone while nobody looked. What is a container's is forgotten
        after a while, but not at once: a process that was asked for it may just have ended."""
        newest = max(seen, default=0)
        self._pending = {consumer: entry for consumer, entry in self._pending.items() if consumer > newest}
        self._thing_of = seen
        there = set(seen.values())
        for thing, followed in list(self._followed.items()):
            followed.present = thing in there
            followed.missed = 0 if followed.present else followed.missed + 1
            if thing.cgroup and followed.missed >= FORGOTTEN_AFTER:
                del self._followed[thing]

    def present(self, kind: str) -> list[tuple[Thing, tuple[int, ...]]]:
        """What there is of a kind, with its figures in the order of samples.FIELDS."""
        found = []
        for thing, followed in self._followed.items():
            if thing.kind == kind and followed.present:
                found.append((thing, tuple(followed.gauges or [counter.total for counter in followed.counters])))
        return sorted(found)

    def state(self) -> dict[str, Any]:
        return {
            "pending": self._pending,
            "thing_of": {consumer: list(thing) for consumer, thing in self._thing_of.items()},
            "followed": [
                [list(thing), f.identity, [[counter.raw, counter.total] for counter in f.counters], f.gauges, f.present]
                for thing, f in self._followed.items()
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Within one boot only."""
        self._pending = state["pending"]
        self._thing_of = {consumer: Thing(*thing) for consumer, thing in state["thing_of"].items()}
        for saved, identity, counters, gauges, present in state["followed"]:
            thing = Thing(*saved)
            followed = self._followed[thing] = _Followed(thing.kind, identity)
            followed.gauges, followed.present = gauges, present
            for counter, (raw, total) in zip(followed.counters, counters, strict=False):
                counter.raw, counter.total = raw, total
