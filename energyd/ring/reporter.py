"""What a reader tells of itself in its ring: its counters and its faults, each when it has changed, and what is wrong just now.

Law: a fault has one number in the labels however often it comes, and the counts are those since the reader's start; the
aggregator makes them monotone. A fault that is gone is no longer wrong: a state when its cure is told, an event some time after it
came last.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from energyd.ring.writer import RingWriter
from energyd.samples import COUNTER, ERROR, LAST
from energyd.units import NS_PER_S

LIMIT: Final = 200
"""Kinds of faults with a number of their own; a device that invents ever new ones must not fill the labels."""
EVENT_NS: Final = 60 * NS_PER_S
"""An event that has not come again for so long is over."""


class Reporter:
    """Counts faults and hands each to `report` (kind, text), which decides what is logged; `mono_ns` is CLOCK_MONOTONIC."""

    def __init__(self, report: Callable[[str, str], None], mono_ns: Callable[[], int]) -> None:
        self._report = report
        self._mono_ns = mono_ns
        self._faults: dict[str, tuple[str, int]] = {}  # kind -> (its first text, how often)
        self._states: dict[str, tuple[str, int]] = {}  # text -> (kind, since when it holds)
        self._events: dict[str, tuple[int, int]] = {}  # kind -> (since when it comes, when it came last)
        self._numbers: dict[str, int] = {}  # kind -> labels id
        self._told: dict[tuple[int, int], int] = {}  # (COUNTER or ERROR, which) -> the value in the ring

    def fault(self, kind: str, text: str) -> None:
        """An event: something has failed, and may fail again."""
        kind, now_ns = self._count(kind, text), self._mono_ns()
        since_ns, _ = self._events.get(kind, (now_ns, now_ns))
        self._events[kind] = since_ns, now_ns

    def state(self, texts: Iterable[str]) -> None:
        """All that is wrong from now on, until this is called again: what was and is not among them is cured."""
        now_ns = self._mono_ns()
        self._states = {text: self._states.get(text) or (self._count(text, text), now_ns) for text in texts}

    def _count(self, kind: str, text: str) -> str:
        self._report(kind, text)
        if kind not in self._faults and len(self._faults) >= LIMIT:
            kind, text = "", "more kinds of faults than are told apart"
        first, times = self._faults.get(kind, (text, 0))
        self._faults[kind] = first, times + 1
        return kind

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
        ring.set_fault(*self._wrong())

    def _wrong(self) -> tuple[int, int]:
        """Of all that is wrong now what began last: (labels id, since when); (0, 0) when all is well."""
        now_ns = self._mono_ns()
        self._events = {kind: times for kind, times in self._events.items() if now_ns - times[1] < EVENT_NS}
        begun = [(since_ns, kind) for kind, (since_ns, _) in self._events.items()]
        begun += [(since_ns, kind) for kind, since_ns in self._states.values()]
        if not begun:
            return 0, 0
        since_ns, kind = max(begun)
        return self._numbers[kind], since_ns

    def start_anew(self) -> None:
        """The ring has new files: everything is told again."""
        self._numbers.clear()
        self._told.clear()
