"""What each container has used, as its own control groups tell: CPU time since it was started, memory, disk and network traffic.

A container has one control group, or several below one that holds no process (systemd within it). Only the outermost that are
followed count, because a group's counter holds the groups below it. Law: totals of a container only grow while it is there; a
container without control groups is no more.
"""

from collections.abc import Callable, Iterable
from typing import Any

from energyd.aggregate.cgroups import Place, Reading
from energyd.aggregate.counters import RestartingCounter
from energyd.aggregate.figures import FigureBook
from energyd.aggregate.snapshot import Container, Device
from energyd.groups.cgrouppath import CONTAINER, Owner, owner_of
from energyd.groups.rules import Container as Described

Describe = Callable[[Owner], Described]


class _Part:
    __slots__ = ("counter", "memory_bytes")

    def __init__(self) -> None:
        self.counter = RestartingCounter()
        self.memory_bytes = 0


class _Running:
    __slots__ = ("cpu_ns", "parts")

    def __init__(self) -> None:
        self.cpu_ns = 0
        self.parts: dict[Place, _Part] = {}  # its outermost control groups


class ContainerBook:
    """`describe` gives the names of a container, as far as they are known."""

    def __init__(self, describe: Describe) -> None:
        self._describe = describe
        self._running: dict[Owner, _Running] = {}

    def fold(self, readings: Iterable[Reading], parent_of: Callable[[Place], Place | None]) -> None:
        """One batch; `parent_of` gives the nearest control group above one that is followed."""
        for reading in readings:
            owner = owner_of(reading.place[1])
            if owner.kind != CONTAINER:
                continue
            key = identity(owner)
            parent = parent_of(reading.place)
            within = parent is not None and identity(owner_of(parent[1])) == key
            if reading.gone or within:
                self._leave(key, reading.place)
                continue
            running = self._running.setdefault(key, _Running())
            part = running.parts.get(reading.place)
            if part is None:
                part = running.parts[reading.place] = _Part()
                if any(place[1].startswith(reading.place[1] + "/") for place in running.parts):
                    part.counter.raw = reading.cpu_ns  # those below it have been counted
            running.cpu_ns += part.counter.advance(reading.cpu_ns)
            part.memory_bytes = reading.memory_bytes

    def forget_absent(self, present: set[Place]) -> None:
        """A keyframe names every control group that is there."""
        for key, running in list(self._running.items()):
            for place in running.parts.keys() - present:
                self._leave(key, place)

    def _leave(self, key: Owner, place: Place) -> None:
        running = self._running.get(key)
        if running is None:
            return
        running.parts.pop(place, None)
        if not running.parts:
            del self._running[key]

    def snapshot(self, figures: FigureBook) -> tuple[Container, ...]:
        interfaces: dict[Owner, list[Device]] = {}
        for thing, values in figures.present("container_interface"):
            interfaces.setdefault(identity(owner_of(thing.cgroup)), []).append(Device(thing.name, values))
        disks: dict[Place, tuple[int, ...]] = {(thing.hierarchy, thing.cgroup): v for thing, v in figures.present("cgroup_io")}
        return tuple(self._view(key, running, disks, tuple(interfaces.get(key, ()))) for key, running in self._running.items())

    def _view(
        self, key: Owner, running: _Running, disks: dict[Place, tuple[int, ...]], interfaces: tuple[Device, ...]
    ) -> Container:
        described = self._describe(key)
        told = [disks[place] for place in running.parts if place in disks]
        memory_bytes = sum(part.memory_bytes for part in running.parts.values())
        return Container(
            cgroup=outermost(next(iter(running.parts))[1], key.id),
            runtime=key.runtime,
            id=key.id,
            name=described.name,
            image=described.image,
            pod=described.pod,
            namespace=described.namespace,
            cpu_ns=running.cpu_ns,
            memory_bytes=memory_bytes or None,
            disk_bytes=(sum(read for read, _ in told), sum(written for _, written in told)) if told else None,
            interfaces=interfaces,
        )

    def state(self) -> list[Any]:
        return [
            [
                list(key),
                running.cpu_ns,
                [[list(place), part.counter.raw, part.memory_bytes] for place, part in running.parts.items()],
            ]
            for key, running in self._running.items()
        ]

    def restore(self, state: list[Any]) -> None:
        """Within one boot only."""
        for key, cpu_ns, parts in state:
            running = self._running[Owner(*key)] = _Running()
            running.cpu_ns = cpu_ns
            for (hierarchy, path), raw, memory_bytes in parts:
                part = running.parts[hierarchy, path] = _Part()
                part.counter.raw, part.memory_bytes = raw, memory_bytes


def identity(owner: Owner) -> Owner:
    """The container alone, whatever of it a path names besides."""
    return Owner(owner.kind, owner.runtime, owner.id)


def outermost(path: str, identifier: str) -> str:
    """The part of a path that is the container's own, without what is below it."""
    found = path.find(identifier)
    end = path.find("/", found) if found >= 0 else -1
    return path if end < 0 else path[:end]
