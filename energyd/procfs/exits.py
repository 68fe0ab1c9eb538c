"""What became of the tasks that ended: a last value for the processes that the scan knew, a name for those that it never saw.

A process that lived through a scan has its own clock; its exit record only adds what it used after its last reading. One that did
not is counted under its command, in the control group of its nearest ancestor that is known, because that is where it was born.

Law: each exit record is used once at most. Threads of a living process say nothing: its clock has counted them already.
"""

from typing import Final, NamedTuple

from energyd.procfs.cgroup import Membership
from energyd.procfs.commands import Command, CommandLabels
from energyd.procfs.scan import Sample, Sink
from energyd.procfs.table import ProcessTable, Tracked
from energyd.procfs.taskstats import Exit, Listener
from energyd.samples import EXITED

MAX_COMMANDS: Final = 256
"""Told apart in one scan; the others of a control group go under one name, so that no storm of names fills the labels."""
_MANY: Final = b"(others)"
_ROOT: Final = Membership(None, b"/")


class _Sum:
    __slots__ = ("counted_ns", "tasks", "ticks_ns")

    def __init__(self) -> None:
        self.tasks = self.ticks_ns = self.counted_ns = 0


class _Ended(NamedTuple):
    """A process that is no more: who its parent was, and where it was counted if it was known."""

    ppid: int
    membership: Membership | None


class Exits:
    """Between the listener and the scan. In each scan: `before`, then the scan of processes, then `after`."""

    def __init__(self, listener: Listener, table: ProcessTable, labels: CommandLabels, sink: Sink) -> None:
        self._listener = listener
        self._table = table
        self._labels = labels
        self._sink = sink
        self._held: list[Exit] = []  # threads of processes of which nothing is known yet
        self._ended: dict[int, _Ended] = {}  # in this scan and the one before
        self._ended_before: dict[int, _Ended] = {}
        self._fresh: list[Exit] = []
        self._finals: dict[int, int] = {}
        self.records = 0

    @property
    def lost(self) -> int:
        return self._listener.lost

    def before(self) -> dict[int, int]:
        """Last values of CPU clocks, in ns, by pid, of processes in the table that have ended: the scan takes out what it uses."""
        self._ended_before, self._ended = self._ended, {}
        self._finals = {pid: value for pid, value in self._finals.items() if pid in self._table.position}
        self._take(self._listener.drain())
        return self._finals

    def _take(self, exits: list[Exit]) -> None:
        self.records += len(exits)
        for each in exits:
            position = self._table.position.get(each.tgid)
            counted_ns = each.counted_ns if each.process_ns is None else each.process_ns
            if position is None or each.tgid in self._finals:
                self._fresh.append(each)
            elif each.last and counted_ns >= self._table.values[position]:  # a clock that fell is another process'
                self._finals[each.tgid] = counted_ns
            elif each.last:
                self._fresh.append(each)

    def note(self, tracked: Tracked) -> None:
        """A process of the table has ended: its children may still be told of."""
        self._ended[tracked.pid] = _Ended(0, tracked.membership)

    def after(self) -> list[Sample]:
        """One record for each command of those that nobody saw."""
        self._take(self._listener.drain())
        waiting, self._held = self._held, []
        over = {each.tgid for each in self._fresh if each.last}
        for each in self._fresh:
            if each.last:
                self._ended.setdefault(each.tgid, _Ended(each.ppid, None))
        unseen = [each for each in waiting if each.tgid not in self._table.position]
        for each in self._fresh:
            if each.tgid in over:
                unseen.append(each)
            elif each.tgid not in self._table.position:  # a process as young as the scan: the next one knows it, or its end
                self._held.append(each)
        self._fresh = []
        return self._told(unseen) if unseen else []

    def _told(self, unseen: list[Exit]) -> list[Sample]:
        sums: dict[tuple[Command, int], _Sum] = {}
        for each in unseen:
            membership, ancestor = self._family(each.ppid)
            key = (each.comm, each.uid, membership), ancestor
            if key not in sums and len(sums) >= MAX_COMMANDS:
                key = (_MANY, each.uid, membership), ancestor
            total = sums.setdefault(key, _Sum())
            total.tasks += each.tgid == each.pid
            total.ticks_ns += each.ticks_ns
            total.counted_ns += each.counted_ns
        mono_ns = self._sink.mono_ns()
        return [
            (
                EXITED,
                mono_ns,
                (self._labels.number(command, mono_ns), ancestor, max(1, each.tasks), each.ticks_ns, each.counted_ns),
                0,
            )
            for (command, ancestor), each in sums.items()
        ]

    def _family(self, pid: int) -> tuple[Membership, int]:
        """The control group of the nearest ancestor that is known, and its pid if it lives, else 0."""
        for _ in range(len(self._ended) + len(self._ended_before) + 1):
            position = self._table.position.get(pid)
            if position is not None:
                return self._table.tracked[position].membership, pid
            ended = self._ended.get(pid) or self._ended_before.get(pid)
            if ended is None:
                break
            if ended.membership is not None:
                return ended.membership, 0
            pid = ended.ppid
        return _ROOT, 0

    def close(self) -> None:
        self._listener.close()
