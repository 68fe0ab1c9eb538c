"""What the control groups of each group have read from and written to disks, and received and sent through networks of their own.

Totals begin with the first control group of a group that energyd saw, and what that had counted by then, and go on when it is gone.
Law: totals only grow; a group that is known no more is forgotten here too.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from energyd import samples
from energyd.aggregate.figures import Growth
from energyd.aggregate.snapshot import Group, Traffic
from energyd.groups.grouper import GroupKey

_INTERFACE: Final = samples.FIELDS["container_interface"]
_PLACES: Final = {
    ("cgroup_io", samples.FIELDS["cgroup_io"].index("read_bytes")): 0,
    ("cgroup_io", samples.FIELDS["cgroup_io"].index("written_bytes")): 1,
    ("container_interface", _INTERFACE.index("receive_bytes")): 2,
    ("container_interface", _INTERFACE.index("transmit_bytes")): 3,
}
"""(kind of thing, index of the figure): where it stands in Traffic.bytes."""


class GroupTraffic:
    """`fold` once per batch."""

    def __init__(self) -> None:
        self._totals: dict[GroupKey, list[int]] = {}

    def fold(self, growths: Iterable[Growth], group_of: Callable[[tuple[str, str]], GroupKey | None]) -> None:
        """`group_of` gives the group of a control group, (hierarchy, path); None for one that is not known."""
        for thing, index, grown in growths:
            place = _PLACES.get((thing.kind, index))
            key = group_of((thing.hierarchy, thing.cgroup)) if place is not None and grown else None
            if place is not None and key is not None:
                self._totals.setdefault(key, [0] * len(_PLACES))[place] += grown

    def forget_absent(self, is_known: Callable[[GroupKey], bool]) -> None:
        self._totals = {key: totals for key, totals in self._totals.items() if is_known(key)}

    def snapshot(self, visible: Iterable[Group]) -> tuple[Traffic, ...]:
        """Of those groups that had any."""
        keys = (GroupKey(group.environment, group.group, group.kind, group.runtime) for group in visible)
        return tuple(Traffic(*key, tuple(self._totals[key])) for key in keys if key in self._totals)

    def state(self) -> list[Any]:
        return [[list(key), totals] for key, totals in self._totals.items()]

    def restore(self, state: list[Any]) -> None:
        self._totals = {GroupKey(*key): totals for key, totals in state}
