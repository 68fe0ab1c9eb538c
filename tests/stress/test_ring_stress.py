"""Two real processes, a writer at full speed and a reader that is lapped all the time: nothing false is ever accepted.

Every test also shows that it could fail: the copies, before they were judged, did hold torn or stale records. Where two processes
share a CPU with many others that takes a while, so a run lasts until it has seen everything that it is about, within `PATIENCE_S`.
"""

import mmap
import os
import signal
import time
from collections import Counter

import numpy as np
import pytest

from energyd.ring import layout
from energyd.ring.batches import take_closed
from energyd.ring.dtypes import dtype_of
from energyd.ring.reader import MappedRing, RingReader
from energyd.ring.writer import RingWriter
from energyd.samples import LAST, RAPL, VOID
from energyd.service.clock import SYSTEM_CLOCK

pytestmark = pytest.mark.stress

MASK = layout.WORD_MASK
FACTORS = (0x9FB21C651E98DF25, 0xD6E8FEB86659FD93, 0x2545F4914F6CDD1D)
WEIGHTS = np.array(layout.WEIGHTS, dtype=np.uint64)
RAPL_DTYPE = dtype_of(RAPL)
LAPPED_S, KILLING_S = 0.9, 2.0
"""How long each test races at least."""
PATIENCE_S = 60


def rounds(least_s, seen):
    """Goes on for `least_s`, and then until `seen()`; after `PATIENCE_S` the test's own assertions say what is missing."""
    begin_s = time.monotonic()
    while (elapsed_s := time.monotonic() - begin_s) < least_s or (elapsed_s < PATIENCE_S and not seen()):
        yield


def payload(index):
    return *(index * factor & MASK for factor in FACTORS), index


def expected(index):
    return np.stack([index * np.uint64(factor) for factor in FACTORS] + [index], axis=1)


def write_one_by_one(run_dir, capacity):
    """As readers do it: batches of 1 to 7 records."""
    writer = RingWriter.open(run_dir, "rapl", RAPL, capacity, SYSTEM_CLOCK)
    while True:
        size = writer._seq % 7
        for _ in range(size):
            index = writer._seq + 1
            writer.append(1, index, payload(index))
        index = writer._seq + 1
        writer.append(1, index, payload(index), status=LAST)
        writer.next_batch()


def write_in_blocks(run_dir, capacity, block=64):
    """As fast as memory allows: one claim, one copy, one head for 64 records, each a batch of its own."""
    writer = RingWriter.open(run_dir, "rapl", RAPL, capacity, SYSTEM_CLOCK)
    words, slots = writer._words, writer._slots
    assert isinstance(slots, mmap.mmap)
    index = np.arange(1, block + 1, dtype=np.uint64)
    records = np.zeros((block, 8), dtype=np.uint64)
    last = 0
    while True:
        records[:, 0] = records[:, 1] = index
        records[:, 2] = (index & np.uint64(0xFFFFFFFF)) | np.uint64((1 << 32) | (LAST << 48))
        records[:, 3:7] = expected(index)
        records[:, 7] = records[:, :7] @ WEIGHTS
        last += block
        offset = layout.HEADER_SIZE + ((last - block + 1) & (capacity - 1)) * 64
        # a block begins at slot 1, so its last record lies in slot 0 of the next round
        whole = records.tobytes()
        fits = min(len(whole), layout.file_size(capacity) - offset)
        words[layout.CLAIM] = last
        slots[offset : offset + fits] = whole[:fits]
        slots[layout.HEADER_SIZE : layout.HEADER_SIZE + len(whole) - fits] = whole[fits:]
        words[layout.HEAD] = last
        index += np.uint64(block)


class SuspiciousRing(MappedRing):
    """Counts what a reader without claim, index and check word would have believed."""

    copied = false = 0

    def copy(self, first, last):
        words = super().copy(first, last)
        index = np.arange(first, last + 1, dtype=np.uint64)
        self.copied += len(words)
        self.false += int(np.count_nonzero((words[:, 0] != index) | (words[:, 3:7] != expected(index)).any(axis=1)))
        return words


class Child:
    """A process that runs `work` until it is killed; nothing survives the test."""

    def __init__(self, work, *arguments):
        self.pid = os.fork()
        if self.pid == 0:
            try:
                work(*arguments)
            finally:
                os._exit(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


def wait_for_head(path, index):
    deadline = time.monotonic() + 30
    while not path.exists() or layout.read_header(path).head < index:
        assert time.monotonic() < deadline, "the writer did not begin"
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("work", "capacity"),
    [(write_one_by_one, 8), (write_one_by_one, 64), (write_in_blocks, 256), (write_in_blocks, 4096)],
    ids=["records, capacity 8", "records, capacity 64", "blocks, capacity 256", "blocks, capacity 4096"],
)
def test_a_reader_that_is_lapped_accepts_nothing_torn_and_nothing_stale(tmp_path, work, capacity):
    with Child(work, tmp_path, capacity):
        wait_for_head(tmp_path / "rapl.ring", 1)
        ring = SuspiciousRing(tmp_path / "rapl.ring", RAPL)
        next_index, seen = 1, Counter()
        for _ in rounds(LAPPED_S, lambda: seen["accepted"] and seen["overruns"] and ring.false):
            closed = take_closed(ring, next_index)
            index = closed.words[:, 0]
            assert np.array_equal(closed.words[:, 3:7], expected(index)), "a torn record was accepted"
            assert len(index) == 0 or (index[0] >= next_index and (np.diff(index.astype(np.int64)) > 0).all())
            assert len(index) + closed.overruns + closed.refused == closed.next_index - next_index
            assert_whole_batches(closed.words.view(RAPL_DTYPE).reshape(-1))
            next_index = closed.next_index
            seen.update(accepted=len(index), overruns=closed.overruns, refused=closed.refused)
        ring.close()

    assert seen["accepted"] > 0
    assert seen["overruns"] > 0, "the reader was never lapped: this run shows nothing"
    assert ring.false > 0, f"none of {ring.copied} copied records was torn or stale: this run shows nothing"
    assert seen["refused"] == 0, "on this CPU the claim word alone finds every overwritten record"


def assert_whole_batches(records):
    if not len(records):
        return
    last = (records["status"] & LAST).astype(bool)
    assert last[-1]
    begins = np.flatnonzero(np.concatenate(([True], last[:-1])))
    batches = np.maximum.reduceat(records["batch"], begins)
    assert np.array_equal(batches, np.minimum.reduceat(records["batch"], begins)), "one batch, one number"
    assert (np.diff(batches.astype(np.int64)) > 0).all(), "no batch number twice"


def test_writers_that_are_killed_in_mid_write_leave_nothing_false(tmp_path):
    reader = RingReader(tmp_path, "rapl", RAPL)
    last_batch, last_index, seen = 0, 0, Counter()
    for _ in rounds(KILLING_S, lambda: seen["kills"] > 5 and seen["accepted"] > 1000):
        with Child(write_one_by_one, tmp_path, 1024) as writer:
            wait_for_head(tmp_path / "rapl.ring", last_index + 9)
            for _ in range(20):
                drained = reader.poll()
                samples = drained.samples
                index = samples["seq"]
                assert np.array_equal(samples.view(np.uint64).reshape(-1, 8)[:, 3:7], expected(index))
                assert_whole_batches(samples)
                if len(samples):
                    assert samples["seq"][0] > last_index
                    assert samples["batch"][0] > last_batch
                    last_index, last_batch = int(samples["seq"][-1]), int(samples["batch"][-1])
                seen["accepted"] += len(samples)
            writer.kill()
            seen["kills"] += 1
    header = reader.header
    ring = MappedRing(tmp_path / "rapl.ring", RAPL)
    kinds = (ring.copy(max(1, header.head - 1023), header.head)[:, 2] >> np.uint64(32)) & np.uint64(0xFFFF)
    ring.close()
    reader.close()

    assert seen["kills"] > 5
    assert seen["accepted"] > 1000
    assert header.claim - header.head in (0, 1)
    assert set(kinds.tolist()) <= {1, VOID}
