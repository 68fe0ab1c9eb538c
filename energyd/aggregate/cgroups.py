"""The control groups' own account: what their tasks used that no living process accounts for belongs to those that ended in them.

A group's counter holds the groups below it too, so what it used itself is its increment minus those of the nearest groups below
that are followed. Own minus what its living members used is what its exited used. Clocks and counters are not read at one instant,
so this can come out negative by a few milliseconds: that is carried to the next interval, never clamped.

Of two hierarchies that count (hybrid), only `cpuacct` is believed where it has groups: a task is in both, and must not end twice.
Outside truth: cgroups(7), cgroup-v2.rst, cgroup-v1/cpuacct.rst; law: what is given away is a part of what the machine used.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from energyd.aggregate.attribute import split
from energyd.groups.cgrouppath import CONTAINER, owner_of

CPUACCT: Final = "cpuacct"
V2: Final = "v2"
CARRIED_PART: Final = 8
"""A group carries a claim or a debt of at most the machine's capacity in one interval divided by this. More is no error of reading,
but a process that has moved to another group and is still known under the old one."""
CARRIED_NS: Final = 50_000_000
"""But at least so much: five of the longest ticks."""

Place = tuple[str, str]
"""(hierarchy, path)."""


class Reading(NamedTuple):
    """One CGROUP record."""

    place: Place
    cpu_ns: int
    memory_bytes: int
    gone: bool


class _Followed:
    __slots__ = ("claim_ns", "cpu_ns", "group", "memory_bytes", "parent")

    def __init__(self, cpu_ns: int, parent: Place | None, group: int) -> None:
        self.cpu_ns = cpu_ns
        self.parent = parent
        self.group = group  # of the GroupTable
        self.claim_ns = 0  # what its exited are still owed; negative: what they have been given too early
        self.memory_bytes = 0


class CgroupBook:
    """All control groups that are followed. `fold` once per batch."""

    def __init__(self, group_of: Callable[[str], int], hold: Callable[[int], None], drop: Callable[[int], None]) -> None:
        """`group_of` gives the number of the group that a path belongs to by itself; numbers are held while they are used."""
        self._group_of = group_of
        self._hold, self._drop = hold, drop
        self._followed: dict[Place, _Followed] = {}
        self._members: dict[Place, Counter[int]] = {}  # living processes of each place by their group
        self._changed: set[Place] = set()  # whose members have changed since the last batch
        self._believed = V2

    def enter(self, place: Place, group: int) -> None:
        self._members.setdefault(place, Counter())[group] += 1
        self._changed.add(place)

    def leave(self, place: Place, group: int) -> None:
        members = self._members[place]
        members[group] -= 1
        if not members[group]:
            del members[group]
        if not members:
            del self._members[place]
        self._changed.add(place)

    def group(self, place: Place) -> int:
        """The group of the exited of a place that is followed."""
        return self._followed[place].group

    def group_of(self, place: Place) -> int | None:
        """The group of a place, or of the nearest above it that is followed; None where there is none."""
        counted = self.nearest(place)
        return None if counted is None else self._followed[counted].group

    def _regroup(self) -> None:
        """The exited of a place belong where most of its members do; where these do not agree, where its path says; where there
        are none, where they did."""
        for place in sorted(
            self._changed
        ):  # of a set, each process has an order of its own: a replay would number groups differently
            followed, members = self._followed.get(place), self._members.get(place)
            if followed is None or not members:
                continue
            most = max(members.values())
            leading = [group for group, count in members.items() if count == most]
            if followed.group not in leading:
                by_path = self._group_of(place[1])
                self._assign(followed, by_path if by_path in leading else min(leading))
        self._changed.clear()

    def _assign(self, followed: _Followed, group: int) -> None:
        if group != followed.group:
            self._hold(group)
            self._drop(followed.group)
            followed.group = group

    def reclassify(self) -> None:
        """The rules are others: each place belongs to the group of its path until its members say better."""
        for (_, path), followed in self._followed.items():
            self._assign(followed, self._group_of(path))
        self._changed.update(self._members)

    def fold(self, readings: list[Reading], living_ns: dict[Place, int], capacity_ns: int | None) -> None:
        """Take over one batch: what each place used in all, and what its living members used of it. Each place once in `readings`.

        `capacity_ns` is the CPU time that the machine had in the interval; None in the first batch, which only gives baselines.
        """
        own_ns: dict[Place, int] = {}
        for reading in readings:
            self._read(reading, own_ns, living_ns, capacity_ns)
        for place, used_ns in living_ns.items():
            counted = self.nearest(place)
            if counted is not None:
                own_ns[counted] = own_ns.get(counted, 0) - used_ns
        self._believed = CPUACCT if any(hierarchy == CPUACCT for hierarchy, _ in self._followed) else V2
        for place, unexplained_ns in own_ns.items():
            if place[0] == self._believed and capacity_ns is not None:
                self._followed[place].claim_ns += unexplained_ns
        self._regroup()
        for reading in readings:
            if reading.gone:
                self._forget(reading.place)

    def _read(self, reading: Reading, own_ns: dict[Place, int], living_ns: dict[Place, int], capacity_ns: int | None) -> None:
        place = reading.place
        followed = self._followed.get(place)
        if followed is None:
            followed = self._follow(place, reading.cpu_ns)
            # made since the last scan, all of it counts; else what it used before is others' by now
            new = capacity_ns is not None and reading.cpu_ns <= capacity_ns
            used_ns = reading.cpu_ns if new else living_ns.get(place, 0)
        else:
            used_ns = max(0, reading.cpu_ns - followed.cpu_ns)
        followed.cpu_ns, followed.memory_bytes = reading.cpu_ns, reading.memory_bytes
        own_ns[place] = own_ns.get(place, 0) + used_ns
        if followed.parent is not None:
            own_ns[followed.parent] = own_ns.get(followed.parent, 0) - used_ns

    def _follow(self, place: Place, cpu_ns: int) -> _Followed:
        group = self._group_of(place[1])
        self._hold(group)
        followed = _Followed(cpu_ns, self._nearest_above(place), group)
        below = place[1].rstrip("/") + "/"
        for (hierarchy, path), other in self._followed.items():
            if hierarchy == place[0] and other.parent == followed.parent and path.startswith(below):
                other.parent = place
        self._followed[place] = followed
        self._changed.add(place)
        return followed

    def nearest(self, place: Place | None) -> Place | None:
        """The place itself if it is followed, else the nearest above it that is."""
        return place if place is None or place in self._followed else self._nearest_above(place)

    def _nearest_above(self, place: Place) -> Place | None:
        hierarchy, path = place
        while path not in ("", "/"):
            path = path.rpartition("/")[0]
            if (hierarchy, path or "/") in self._followed:
                return hierarchy, path or "/"
        return None

    def _forget(self, place: Place) -> None:
        followed = self._followed.pop(place, None)
        if followed is None:
            return
        self._drop(followed.group)
        for other in self._followed.values():
            if other.parent == place:
                other.parent = followed.parent

    def forget_absent(self, present: set[Place]) -> None:
        """A keyframe names every control group that is there: the others have gone while nobody looked."""
        for place in self._followed.keys() - present:
            self._forget(place)

    def settle(self, exited_ns: int, capacity_ns: int) -> list[tuple[Place, int]]:
        """Share `exited_ns`, what the machine used and no living process did, among the places that claim it.

        They get no more than they claim, and all that they claim as far as it goes; the rest is nobody's here.
        """
        bound_ns = max(CARRIED_NS, capacity_ns // CARRIED_PART)
        owed = []
        for place, followed in self._followed.items():
            if followed.claim_ns > 0 and place[0] == self._believed:
                owed.append((place, followed))
            elif followed.claim_ns < -bound_ns:
                followed.claim_ns = -bound_ns
        if not owed:
            return []
        claims = np.array([followed.claim_ns for _, followed in owed], np.int64)
        total_ns = int(claims.sum())
        given = claims if total_ns <= exited_ns else split(exited_ns, claims)
        shares = []
        for (place, followed), given_ns in zip(owed, given.tolist(), strict=True):
            followed.claim_ns = min(followed.claim_ns - given_ns, bound_ns)
            if given_ns:
                shares.append((place, given_ns))
        return shares

    def parent(self, place: Place) -> Place | None:
        """The nearest above it that is followed too."""
        followed = self._followed.get(place)
        return followed.parent if followed else None

    def memory_bytes(self) -> dict[int, int]:
        """Memory by group number: each place's own, without the places below it."""
        own: dict[Place, int] = {}
        for place, followed in self._followed.items():
            own[place] = own.get(place, 0) + followed.memory_bytes
            if followed.parent is not None:
                own[followed.parent] = own.get(followed.parent, 0) - followed.memory_bytes
        by_group: dict[int, int] = {}
        for place, memory_bytes in own.items():
            if self._followed[place].memory_bytes:
                group = self.group(place)
                by_group[group] = by_group.get(group, 0) + max(0, memory_bytes)
        return by_group

    def containers(self) -> tuple[tuple[str, int], ...]:
        """How many containers hold processes, by runtime."""
        owners = {owner_of(path) for _, path in self._members}
        running = {(owner.runtime, owner.id) for owner in owners if owner.kind == CONTAINER}
        return tuple(sorted(Counter(runtime for runtime, _ in running).items()))

    def state(self) -> dict[str, Any]:
        return {
            "followed": [
                [list(place), f.cpu_ns, f.parent and list(f.parent), f.group, f.claim_ns, f.memory_bytes]
                for place, f in self._followed.items()
            ],
            "members": [[list(place), list(members.items())] for place, members in self._members.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Within one boot only; the numbers of the groups are held already."""
        for (hierarchy, path), cpu_ns, parent, group, claim_ns, memory_bytes in state["followed"]:
            followed = _Followed(cpu_ns, parent and (parent[0], parent[1]), group)
            followed.claim_ns, followed.memory_bytes = claim_ns, memory_bytes
            self._followed[hierarchy, path] = followed
        for (hierarchy, path), members in state["members"]:
            self._members[hierarchy, path] = Counter(dict(members))
            self._changed.add((hierarchy, path))
