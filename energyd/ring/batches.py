"""Judges what was copied from a ring: which records are true, and which of them form closed batches. Pure.

Law: a record counts only when it holds its own index and its check word, a batch only when every one of its records does,
nothing is missing before or within it, and its last record has LAST. What does not count is counted.
"""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from energyd.ring.layout import WEIGHTS
from energyd.samples import LAST, VOID

Words = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

_weights = np.array(WEIGHTS, dtype=np.uint64)
_kind_shift = np.uint64(32)
_kind_mask = np.uint64(0xFFFF)
_batch_mask = np.uint64(0xFFFFFFFF)
_last_bit = np.uint64(LAST << 48)


class Ring(Protocol):
    """What is asked of a ring, so that tests can let a writer work between any two of these."""

    capacity: int

    def claim(self) -> int: ...
    def head(self) -> int: ...
    def copy(self, first: int, last: int) -> Words:
        """Records first..last, at most `capacity` of them, as u64[n, 8]."""


class Closed(NamedTuple):
    """Closed batches taken from a ring. `next_index` is the first that was not consumed; counts are of records."""

    words: Words
    next_index: int
    overruns: int
    refused: int


def take_closed(ring: Ring, next_index: int) -> Closed:
    """All batches from `next_index`, the beginning of one, that are closed by now.

    Consumes up to the last record with LAST and accounts for everything before it; what follows is left for the next call.
    A batch whose beginning was overwritten counts as overrun, one that was never closed or holds a damaged record as refused.
    """
    nothing = Closed(np.empty((0, 8), dtype=np.uint64), next_index, 0, 0)
    head = ring.head()
    first = max(next_index, head - ring.capacity + 1)
    if head < first:
        return nothing
    words, first, true = _copy_true(ring, first, head)
    if not true.all():
        # A weakly ordered CPU may show head before the record: a second look tells late from damaged.
        words, first, true = _copy_true(ring, first, head)
    void = true & (((words[:, 2] >> _kind_shift) & _kind_mask) == VOID)
    last = true & ~void & ((words[:, 2] & _last_bit) != 0)
    closing = np.flatnonzero(last)
    if not closing.size:
        return nothing
    consumed = int(closing[-1]) + 1
    words, void = words[:consumed], void[:consumed]
    overruns = first - next_index
    kept, cut = _whole_batches(words, true[:consumed], void, last[:consumed], gap=overruns > 0)
    kept_count = int(np.count_nonzero(kept))
    return Closed(
        words if kept_count == consumed else words[kept],
        next_index=first + consumed,
        overruns=overruns + cut,
        refused=consumed - kept_count - int(np.count_nonzero(void)) - cut,
    )


def _copy_true(ring: Ring, first: int, last: int) -> tuple[Words, int, Mask]:
    """Records first..last without those that were claimed again while they were copied, the new first, and which are true."""
    words = ring.copy(first, last)
    lost = min(max(ring.claim() - ring.capacity + 1 - first, 0), len(words))
    words, first = words[lost:], first + lost
    index = np.arange(first, first + len(words), dtype=np.uint64)
    return words, first, (words[:, 0] == index) & (words[:, :7] @ _weights == words[:, 7])


def _whole_batches(words: Words, true: Mask, void: Mask, last: Mask, *, gap: bool) -> tuple[Mask, int]:
    """Which records belong to a batch that is complete, from a known beginning to its LAST.

    And how many belong to a first batch of which a `gap` before the first record may have swallowed the beginning.
    """
    usable = true & ~void
    batch = words[:, 2] & _batch_mask
    begins = usable.copy()
    begins[1:] &= ~usable[:-1] | last[:-1] | (batch[1:] != batch[:-1])
    starts = np.flatnonzero(begins)
    cut_off = gap and bool(begins[0])
    known_beginning = true[starts - 1]
    known_beginning[starts == 0] = not gap
    whole = known_beginning & np.bitwise_or.reduceat(last, starts)
    batch_of_record = np.cumsum(begins) - 1
    return usable & whole[batch_of_record], int(np.count_nonzero(usable & (batch_of_record == 0))) if cut_off else 0
