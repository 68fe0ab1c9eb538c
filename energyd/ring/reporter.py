"""What a reader tells of itself in its ring: its counters and its faults, each when it has changed.

Law: a fault has one number in the labels however often it comes, and the counts are those since the reader's start; the
aggregator makes them monotone.
"""

from collections.abc import Callable, Sequence
from typing import Final

from energyd.ring.writer import RingWriter
from energyd.samples import COUNTER, ERROR, LAST

LIMIT: Final = 200
"""Kinds of faults with a number of their own; a device that invents ever new ones must not fill the labels."""


class Reporter:
    """Counts faults as they come and hands each to `report` (kind, text), which decides what is logged."""

    def __init__(self, report: Callable[[str, str], None]) -> None:
        self._report = report
        self._faults: dict[str, tuple[str, int]] = {}  # kind -> (its first text, how often)
        self._numbers: dict[str, int] = {}  # kind -> labels id
        self._told: dict[tuple[int, int], int] = {}  # (COUNTER or ERROR, which) -> the value in the ring

    def fault(self, kind: str, text: str) -> None:
        self._report(kind, text)
        if kind not in self._faults and len(self._faults) >= LIMIT:
            kind, text = "", "more kinds of faults than are told apart"
        first, times = self._faults.get(kind, (text, 0))
        self._faults[kind] = first, times + 1

    def tell(self, ring: RingWriter, mono_ns: int, counters: Sequence[int]) -> None:
        """Write what has changed since the last call as a batch of its own; `counters` are in the order of samples.COUNTERS."""
        values = {(COUNTER, index): value for index, value in enumerate(counters)}
        for kind, (text, times) in self._faults.items():
            if kind not in self._numbers:
                self._numbers[kind] = ring.label({"error": text})
            values[ERROR, self._numbers[kind]] = times
        changed = [(*key, value) for key, value in values.items() if self._told.get(key) != value]
        for kind_of_record, which, value in changed[:-1]:
            ring.service(kind_of_record, mono_ns, which, value)
        for kind_of_record, which, value in changed[-1:]:
            ring.service(kind_of_record, mono_ns, which, value, status=LAST)
            ring.next_batch()
        self._told = values

    def start_anew(self) -> None:
        """The ring has new files: everything is told again."""
        self._numbers.clear()
        self._told.clear()
