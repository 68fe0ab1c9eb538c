"""Numbers for the commands of tasks that nobody saw: a label for each, given again only when it has been silent for long."""

from typing import Final

from energyd.procfs.cgroup import Membership
from energyd.procfs.scan import Sink
from energyd.procfs.stat import text
from energyd.units import NS_PER_S

FORGET_NS: Final = 120 * NS_PER_S
"""After so much silence a command gets a new number; the aggregator keeps the old one for longer."""

Command = tuple[bytes, int, Membership]
"""comm, uid, control group."""


class CommandLabels:
    """Shared by all who tell of ended tasks."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._numbers: dict[Command, tuple[int, int]] = {}  # labels id, when it was used last

    def number(self, command: Command, mono_ns: int) -> int:
        """The labels id of a command that is told of now."""
        known = self._numbers.get(command)
        if known is None:
            comm, uid, membership = command
            entry: dict[str, object] = {"kind": "command", "comm": text(comm), "uid": uid, **membership.entry()}
            known = self._sink.label(entry), mono_ns
        self._numbers[command] = known[0], mono_ns
        return known[0]

    def forget_silent(self) -> None:
        """Now and then: commands that have not been heard of for long."""
        oldest_ns = self._sink.mono_ns() - FORGET_NS
        self._numbers = {command: known for command, known in self._numbers.items() if known[1] >= oldest_ns}

    def relabel(self) -> None:
        """The labels given out mean nothing any more."""
        self._numbers.clear()
