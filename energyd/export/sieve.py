"""What to do with a batch that a receiver refuses: halve it until only what is refused is left, and get the rest delivered.

Rows are halved first, the older half going first, then the series of one row. Rows that are out of order because they may be there
already are sent one by one until the first that is not there; halving would send a younger one first, and what is older and not
there would never be taken after that. A receiver of remote write 2.0 may write a part of what it refuses and tell how much: that is
settled then, for whatever is sent once more is out of order. Law: nothing is given up because a receiver refuses everything: before
anything is halved, one that it has taken before is sent once more, and if that is refused too, the batch waits. A sample is given
up for answers of 500 only when one that it has taken before is taken in between, again and again. A row that is too old is too old
as a whole; one that is out of order is given up as a whole when each eighth of it is.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from energyd.export.answers import LATER, OUT_OF_ORDER, SUSPECT, TAKEN, TOO_OLD, Outcome
from energyd.spool.rows import Row

SUSPECTS_MAX: Final = 8
"""Samples refused one by one, while none was taken and none is known to have been: then it is not the samples' fault."""

CONFIRMATIONS: Final = 3
"""Answers of 500 to one sample once more, each right after another one was taken, before it is given up: 500 may pass."""

_EIGHTHS: Final = 8

Send = Callable[[Sequence[Row], Row | None], Awaitable[Outcome]]


class Bad(NamedTuple):
    """`samples` that the receiver will not take, and its words. `series` is the place of one of them in the row; None when the
    receiver does not tell which they are among all that were sent up to the end of the row."""

    row: Row
    series: int | None
    outcome: Outcome
    samples: int = 1


class Sifted(NamedTuple):
    """What became of the rows: a prefix of them is done, each with what was bad in it; `stop` says why it is not all."""

    done: list[tuple[Row, list[Bad]]]
    stop: Outcome | None


class Sieve:
    """One batch. `known`: a row of one sample that this receiver has taken before; `doubtful_end`: what ends there or before may
    have been taken already, though we do not know it, so that "out of order" means that it is there."""

    def __init__(self, send: Send, known: Row | None, doubtful_end: int) -> None:
        self._send = send
        self._known = known
        self._doubtful_end = doubtful_end
        self._alive = False

    async def run(self, rows: Sequence[Row], previous: Row | None, first: Outcome) -> Sifted:
        """Deliver what can be of `rows`, which were refused with `first` when they were sent together."""
        done: list[tuple[Row, list[Bad]]] = []
        if first.verdict not in (TOO_OLD, OUT_OF_ORDER) and self._known is not None and not first.lost:
            if not await self._lives():
                return Sifted(done, first._replace(verdict=LATER))
            self._alive = True
        parts: list[tuple[Sequence[Row], Outcome | None]] = [(rows, first)]
        singly = first.verdict == OUT_OF_ORDER and not first.lost and len(rows) > 1 and rows[-1].end <= self._doubtful_end
        if singly:
            parts = [([row], None) for row in reversed(rows)]  # what is there already is a prefix of them
        while parts:
            part, outcome = parts.pop()
            outcome = outcome or await self._send(part, previous)
            if outcome.doubtful:
                self._doubtful_end = max(self._doubtful_end, part[-1].end)
            if outcome.verdict == LATER:
                return Sifted(done, outcome)
            if outcome.verdict == TAKEN or outcome.lost:
                self._alive = True
                if outcome.verdict == TAKEN:
                    self._known = self._known or _some(part[-1], range(1))
                done += [(row, []) for row in part[:-1]]
                done.append((part[-1], self._lost(part, outcome)))
                if singly and parts:  # what comes next is not there either
                    singly = False
                    parts = [([row for rest, _ in reversed(parts) for row in rest], None)]
            elif len(part) > 1:
                half = len(part) // 2
                parts += [(part[half:], None), (part[:half], None)]
                continue
            else:
                bad = await self._row(part[0], outcome)
                if isinstance(bad, Outcome):
                    return Sifted(done, bad)
                done.append((part[0], bad))
            previous = part[-1]
        return Sifted(done, None)

    async def _lives(self) -> bool:
        """Whether it still takes what it has taken before; of samples that are late no receiver speaks that refuses everything."""
        known = TAKEN if self._known is None else (await self._send([self._known], None)).verdict
        return known in (TAKEN, OUT_OF_ORDER, TOO_OLD)

    def _lost(self, part: Sequence[Row], outcome: Outcome) -> list[Bad]:
        """What is bad in rows of which all else is written: of those that are out of order, not what may be there already."""
        there = sum(len(row.prefixes) for row in part if row.end <= self._doubtful_end) if outcome.verdict == OUT_OF_ORDER else 0
        return [Bad(part[-1], None, outcome, outcome.lost - there)] if outcome.lost > there else []

    async def _row(self, row: Row, outcome: Outcome) -> list[Bad] | Outcome:
        """What is bad in a row that was refused with `outcome`; an Outcome when it must wait."""
        everything = [Bad(row, i, outcome) for i in range(len(row.prefixes))]
        if outcome.verdict == TOO_OLD:
            return everything
        if outcome.verdict == OUT_OF_ORDER and row.end <= self._doubtful_end:
            return []
        parts: list[tuple[range, Outcome | None]] = [(range(len(row.prefixes)), outcome)]
        if outcome.verdict == OUT_OF_ORDER:
            parts = await self._eighths(row)
            if all(part_outcome is not None and part_outcome.verdict == OUT_OF_ORDER for _, part_outcome in parts):
                return everything
        return await self._series(row, parts)

    async def _eighths(self, row: Row) -> list[tuple[range, Outcome | None]]:
        """Each eighth of a row with its outcome, the last part first."""
        size = -(-len(row.prefixes) // _EIGHTHS)
        parts: list[tuple[range, Outcome | None]] = []
        for lo in range(0, len(row.prefixes), size):
            part = range(lo, min(lo + size, len(row.prefixes)))
            parts.append((part, await self._send([_some(row, part)], None)))
        return parts[::-1]

    async def _series(self, row: Row, parts: list[tuple[range, Outcome | None]]) -> list[Bad] | Outcome:
        bad: dict[int, Outcome] = {}
        while parts:
            part, outcome = parts.pop()
            some = _some(row, part)
            outcome = outcome or await self._send([some], None)
            if outcome.verdict == SUSPECT and len(part) == 1 and self._alive:
                outcome = await self._again(some, outcome)
            if outcome.verdict == LATER:
                return outcome
            if outcome.verdict == TAKEN:
                if not self._alive:  # what was suspected when nothing had been taken is tried again
                    parts += [(range(i, i + 1), None) for i, words in bad.items() if words.verdict == SUSPECT]
                    bad = {i: words for i, words in bad.items() if words.verdict != SUSPECT}
                self._alive = True
                self._known = self._known or _some(row, part[:1])
            elif len(part) > 1:
                half = len(part) // 2
                parts += [(part[half:], None), (part[:half], None)]
            else:
                bad[part[0]] = outcome
                if not self._alive and len(bad) >= SUSPECTS_MAX and outcome.verdict != OUT_OF_ORDER:
                    break
        proven = self._alive or all(words.verdict == OUT_OF_ORDER for words in bad.values())
        if not proven:
            return next(reversed(bad.values()))._replace(verdict=LATER)
        return [Bad(row, i, words) for i, words in sorted(bad.items())]

    async def _again(self, sample: Row, outcome: Outcome) -> Outcome:
        """What comes of one sample that was answered with 500 when it is sent some more times, each after one that is taken."""
        for _ in range(CONFIRMATIONS):
            if not await self._lives():
                return outcome._replace(verdict=LATER)
            outcome = await self._send([sample], None)
            if outcome.verdict == OUT_OF_ORDER:  # the 500 was not the receiver's word: it is there
                return outcome._replace(verdict=TAKEN)
            if outcome.verdict != SUSPECT:
                break
        return outcome


def _some(row: Row, part: range) -> Row:
    """The series `part` of a row; its ordinals mean nothing."""
    return Row(row.first, row.at_ms, row.prefixes[part.start : part.stop], row.values[part.start : part.stop])
