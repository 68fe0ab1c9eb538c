"""Which samples a receiver still has to get, and which it has acknowledged of late. Numbers only: no file, no clock.

A receiver that acknowledges and is then killed has lost what it had not put on its disk. So what was acknowledged is remembered for
a while with the time of the acknowledgement, and becomes pending again when the receiver turns out to have been restarted. Law: a
sample is pending until it is acknowledged or given up, exactly one of the three at any time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

_MERGED_MS: Final = 1000  # acknowledgements of one second are one entry: a backlog drains at dozens a second


class Acknowledged(NamedTuple):
    at_ms: int  # Unix time of the acknowledgement
    lo: int
    hi: int


class Ranges:
    """A set of integers as half-open ranges: sorted, disjoint, never touching."""

    def __init__(self, ranges: Sequence[Sequence[int]] = ()) -> None:
        self._los: list[int] = []
        self._his: list[int] = []
        for lo, hi in ranges:
            self.add(lo, hi)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._los, self._his, strict=True)

    def __bool__(self) -> bool:
        return bool(self._los)

    def __len__(self) -> int:
        """How many integers."""
        return sum(self._his) - sum(self._los)

    @property
    def lowest(self) -> int:
        """IndexError when there is none."""
        return self._los[0]

    def add(self, lo: int, hi: int) -> None:
        if lo >= hi:
            return
        begin = bisect_left(self._his, lo)
        end = bisect_right(self._los, hi)
        if begin < end:
            lo, hi = min(lo, self._los[begin]), max(hi, self._his[end - 1])
        self._los[begin:end], self._his[begin:end] = [lo], [hi]

    def remove(self, lo: int, hi: int) -> int:
        """Take [lo, hi) out; returns how many integers were in."""
        if lo >= hi:
            return 0
        begin = bisect_right(self._his, lo)
        end = bisect_left(self._los, hi)
        if begin >= end:
            return 0
        removed = sum(min(hi, self._his[i]) - max(lo, self._los[i]) for i in range(begin, end))
        left, right = (self._los[begin], lo), (hi, self._his[end - 1])
        kept = [(low, high) for low, high in (left, right) if low < high]
        self._los[begin:end], self._his[begin:end] = [low for low, _ in kept], [high for _, high in kept]
        return removed


class Cursor:
    """What one receiver has. `end` is the ordinal behind the last sample that exists."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        state = state or {}
        self.end: int = state.get("end", 0)
        self.pending = Ranges(state.get("pending", ()))
        self.acknowledged = [Acknowledged(*entry) for entry in state.get("acknowledged", ())]
        self.replayed = Ranges(state.get("replayed", ()))  # pending for the second time

    def state(self) -> dict[str, Any]:
        """What `Cursor` makes the same book from."""
        return {
            "end": self.end,
            "pending": [list(entry) for entry in self.pending],
            "acknowledged": [list(entry) for entry in self.acknowledged],
            "replayed": [list(entry) for entry in self.replayed],
        }

    def appended(self, hi: int) -> None:
        """Samples up to `hi` exist now and are pending."""
        assert hi >= self.end, f"BUG: the spool shrank from {self.end} to {hi}"
        self.pending.add(self.end, hi)
        self.end = hi

    def acknowledge(self, lo: int, hi: int, at_ms: int) -> tuple[int, int]:
        """The receiver has [lo, hi); returns how many samples of it were pending, and how many of those had been sent before."""
        taken = self.pending.remove(lo, hi)
        again = self.replayed.remove(lo, hi)
        if taken:
            last = self.acknowledged[-1] if self.acknowledged else None
            if last is not None and last.hi == lo and last.at_ms // _MERGED_MS == at_ms // _MERGED_MS:
                lo = self.acknowledged.pop().lo
            self.acknowledged.append(Acknowledged(at_ms, lo, hi))
        return taken, again

    def give_up(self, lo: int, hi: int) -> int:
        """[lo, hi) cannot be delivered any more; returns how many samples are lost by it."""
        return self.pending.remove(lo, hi) - self.replayed.remove(lo, hi)

    def forget_before(self, at_ms: int) -> None:
        """What was acknowledged before `at_ms` is safe at the receiver."""
        self.acknowledged = [entry for entry in self.acknowledged if entry.at_ms >= at_ms]

    def replay(self, until_ms: int, keep_ms: int, last_ms: int | None = None) -> int:
        """What was acknowledged until `until_ms`, from `keep_ms` before the last of it on (or before `last_ms`, when another
        process of the receiver may have taken what is later), is pending again; returns how many."""
        if last_ms is None:
            last_ms = max((entry.at_ms for entry in self.acknowledged if entry.at_ms <= until_ms), default=until_ms)
        again = [entry for entry in self.acknowledged if last_ms - keep_ms <= entry.at_ms <= until_ms]
        self.acknowledged = [entry for entry in self.acknowledged if entry not in again]
        before = len(self.pending)
        for entry in again:
            self.pending.add(entry.lo, entry.hi)
            self.replayed.add(entry.lo, entry.hi)
        return len(self.pending) - before

    def floor(self) -> int:
        """The first ordinal that may still be wanted."""
        lows = [entry.lo for entry in self.acknowledged]
        if self.pending:
            lows.append(self.pending.lowest)
        return min(lows, default=self.end)
