"""Names for tasks that no scan saw: exit records (taskstats) tell their command, the control groups' counters how much they used.

The kernel counts the time of a task in ticks at its end, which is right on the average and wrong by a tick for each. What all the
ended of a control group used is known to the nanosecond. So the latter is shared in proportion to the former.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from energyd.aggregate.attribute import split
from energyd.aggregate.cgroups import Place
from energyd.aggregate.interval import Interval
from energyd.aggregate.members import Membership, place_of
from energyd.units import NS_PER_S

TICK_NS: Final = NS_PER_S // 100  # the longest tick that a kernel is built with: what a task may have used beyond what was counted
COMMAND_LIFETIME_NS: Final = 60 * NS_PER_S
LABEL_LIFETIME_NS: Final = 300 * NS_PER_S
"""The reader gives a command another number when it has not heard of it for two minutes."""


class Named(NamedTuple):
    """CPU time of ended tasks that has got a name: the slot of their command, and the number of its group."""

    slot: int
    group: int
    cpu_ns: int


class _Tasks(NamedTuple):
    """One exit record: tasks of one command."""

    slot: int
    group: int
    number: int
    ticks_ns: int
    counted_ns: int


class Exits:
    """The commands of ended tasks, each a slot of the process table."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._label_of: dict[int, dict[str, Any]] = {}  # by labels id
        self._heard_ns: dict[int, int] = {}  # labels id -> end of the last interval with a record of it
        self._used_ns: dict[int, int] = {}  # slot -> end of the last interval with an exit record
        self._settled_ns: dict[int, int] = {}  # the same, of the intervals that are attributed

    def label(self, identifier: int, entry: dict[str, Any]) -> None:
        self._label_of[identifier] = entry

    def forget_labels(self) -> None:
        self._label_of.clear()
        self._heard_ns.clear()

    def name(self, records: npt.NDArray[Any], exited_ns: dict[Place | None, int], end_ns: int) -> list[Named]:
        """Give what these EXITED records name of `exited_ns` (by place, None = no control group) to commands, and take it out."""
        found: dict[Place | None, list[_Tasks]] = {}
        columns = [records[field].tolist() for field in ("consumer", "pid", "start_ticks", "cpu_ns", "mem_bytes")]
        for consumer, ancestor_pid, number, ticks_ns, counted_ns in zip(*columns, strict=True):
            entry = self._label_of.get(consumer)
            if entry is None:  # lost with its ring
                continue
            self._heard_ns[consumer] = end_ns
            place = self._membership.cgroups.nearest(place_of(entry))
            if exited_ns.get(place):
                slot, group = self._membership.describe_command(entry, ancestor_pid)
                self._used_ns[slot] = end_ns
                found.setdefault(place, []).append(_Tasks(slot, group, number, ticks_ns, counted_ns))
        named = []
        for place, tasks in found.items():
            for each, cpu_ns in zip(tasks, _shares(tasks, exited_ns[place]), strict=True):
                named.append(Named(each.slot, each.group, cpu_ns))
                exited_ns[place] -= cpu_ns
        return named

    def forget_silent_labels(self, end_ns: int) -> None:
        for consumer, heard_ns in list(self._heard_ns.items()):
            if heard_ns < end_ns - LABEL_LIFETIME_NS:
                del self._heard_ns[consumer], self._label_of[consumer]

    def settle(self, interval: Interval) -> None:
        """The interval has been attributed. At a keyframe, commands that have not been heard of for long go out of view.

        Here and not in `name`, because a replay folds a minute at once: who is in view must not know what comes later.
        """
        for slot in self._used_ns.keys() & interval.slots.tolist():
            self._settled_ns[slot] = interval.end_ns
        if not interval.whole:
            return
        oldest_ns = interval.end_ns - COMMAND_LIFETIME_NS
        quiet = sorted((used_ns, slot) for slot, used_ns in self._settled_ns.items() if used_ns < oldest_ns)
        for slot in self._membership.put_aside([slot for _, slot in quiet]):
            del self._settled_ns[slot]
            again = self._used_ns[slot] > interval.end_ns  # intervals that wait refer to it
            self._membership.forget(slot, still_used=again)
            if not again:
                del self._used_ns[slot]

    def state(self) -> dict[str, Any]:
        return {"labels": self._label_of, "heard_ns": self._heard_ns, "used_ns": self._used_ns, "settled_ns": self._settled_ns}

    def restore(self, state: dict[str, Any]) -> None:
        """Within one boot only."""
        self._label_of, self._heard_ns, self._used_ns = state["labels"], state["heard_ns"], state["used_ns"]
        self._settled_ns = state["settled_ns"] if "settled_ns" in state else dict(self._used_ns)  # an earlier version's


def _shares(tasks: list[_Tasks], exited_ns: int) -> list[int]:
    """How much of `exited_ns` each of these used: in proportion to its ticks, and all together at most a tick a task above them."""
    bound_ns = sum(each.ticks_ns + each.number * TICK_NS for each in tasks)
    weights = np.array([each.ticks_ns for each in tasks], np.int64)
    if not weights.any():  # none of them lived through a tick: what the run queue had counted is all that is known
        weights = np.array([each.counted_ns + each.number for each in tasks], np.int64)
    shares: list[int] = split(min(exited_ns, bound_ns), weights).tolist()
    return shares
