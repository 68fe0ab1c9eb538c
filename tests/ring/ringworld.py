"""A ring without a machine: memory whose stores are kept one by one, so that a reader can look on between any two of them."""

import numpy as np

from energyd.ring import files, layout
from energyd.ring.writer import RingWriter
from energyd.samples import LAST, RAPL, RECORD_SIZE, VOID

WORD = 8


class TurnedClock:
    """A clock that moves only when somebody sleeps or turns it."""

    def __init__(self, mono_ns=1_000_000_000_000, real_ns=1_700_000_000_000_000_000):
        self.now_ns = mono_ns
        self.offset_ns = real_ns - mono_ns
        self.while_asleep = lambda: None

    def mono_ns(self):
        self.now_ns += 1
        return self.now_ns

    def real_ns(self):
        return self.now_ns + self.offset_ns

    def sleep_until_ns(self, mono_ns):
        self.now_ns = max(self.now_ns, mono_ns)
        self.while_asleep()


class Memory:
    """Stands for the mapped file, both for its words and for its slots; `stores` is what happened to it, in order."""

    def __init__(self, capacity, content=None):
        self.capacity = capacity
        self.content = bytearray(content or bytes(layout.file_size(capacity)))
        self.stores = []

    def __getitem__(self, where):
        if isinstance(where, slice):
            return bytes(self.content[where])
        return int.from_bytes(self.content[where * WORD : where * WORD + WORD], "little")

    def __setitem__(self, where, value):
        if isinstance(where, slice):
            assert where.stop - where.start == len(value)
            assert len(value) % RECORD_SIZE == 0 < len(value)
            offset, data = where.start, value
        else:
            offset, data = where * WORD, value.to_bytes(WORD, "little")
        self.content[offset : offset + len(data)] = data
        self.stores.append((offset, data))


class NoLabels:
    length = 0
    full = False


def write(memory, batches, clock=None):
    """One life of a writer over `memory`: adopt what is there, then write batches of these sizes, END included.

    Every other batch is stored at once.
    """
    batch = files.finish_torn_write(memory, memory, memory.capacity)
    assert batch is not None, "what a death leaves can always be adopted"
    identity = files.Identity("nowhere", "rapl", RAPL, memory.capacity, bytes(16))
    store = files.Store(memory, memory, NoLabels(), memory[layout.HEAD], batch)
    writer = RingWriter(identity, store, clock or TurnedClock(), lock=-1)
    for position, size in enumerate(batches):
        samples = []
        for number in range(size - 1):
            # words that differ from record to record in every bit position, as those of a torn mix would
            noise = hash((memory[layout.HEAD], size, number)) & layout.WORD_MASK
            payload = noise, noise ^ layout.WORD_MASK, noise * 3 & layout.WORD_MASK, number
            samples.append((number, noise >> 1, payload, 0))
        if position % 2:
            writer.write_batch(samples, 1, 2, 3)
        else:
            for kind, mono_ns, payload, status in samples:
                writer.append(kind, mono_ns, payload, status=status)
            writer.end_batch(1, 2, 3)


def lives(capacity, stories):
    """Every store of several lives of a writer, as words of 8 bytes: [(offset, bytes)]. A story is (batch sizes, death).

    `death`: after how many words of its life the writer is killed; None = it has finished.
    """
    memory = Memory(capacity)
    history = []
    for batches, death in stories:
        memory.stores.clear()
        before = bytes(memory.content)
        write(memory, batches)
        words = [piece for store in memory.stores for piece in words_of(*store)][:death]
        history += words
        memory.content[:] = before
        for offset, data in words:
            memory.content[offset : offset + WORD] = data
    return history


def words_of(offset, data):
    return [(offset + at, data[at : at + WORD]) for at in range(0, len(data), WORD)]


class WatchedRing:
    """The ring as a reader sees it while `history` happens: before each load, `pace()` says how many more stores become visible."""

    def __init__(self, capacity, history, pace):
        self.capacity = capacity
        self.content = bytearray(layout.file_size(capacity))
        self.history = history
        self.pace = pace
        self.done = 0

    def load(self, offset):
        self.advance(self.pace())
        return int.from_bytes(self.content[offset : offset + WORD], "little")

    def advance(self, count):
        for offset, data in self.history[self.done : self.done + count]:
            self.content[offset : offset + WORD] = data
        self.done = min(self.done + count, len(self.history))

    def finish(self):
        self.advance(len(self.history))
        self.pace = lambda: 0

    def claim(self):
        return self.load(layout.CLAIM * WORD)

    def head(self):
        return self.load(layout.HEAD * WORD)

    def copy(self, first, last):
        rows = []
        for index in range(first, last + 1):
            start = layout.HEADER_SIZE + (index & (self.capacity - 1)) * RECORD_SIZE
            rows.append([self.load(start + word * WORD) for word in range(8)])
        return np.array(rows, dtype=np.uint64)


def records_of(history, capacity):
    """{index: record} of everything that was published: stored whole before head said so."""
    content = bytearray(layout.file_size(capacity))
    published, head = {}, 0
    for offset, data in history:
        content[offset : offset + WORD] = data
        if offset == layout.HEAD * WORD:
            new_head = int.from_bytes(data, "little")
            for index in range(head + 1, new_head + 1):
                start = layout.HEADER_SIZE + (index & (capacity - 1)) * RECORD_SIZE
                published[index] = bytes(content[start : start + RECORD_SIZE])
            head = new_head
    return published


def closed_batches(published):
    """[[index, ...]] of the batches that were closed, without VOID records."""
    batches, current = [], []
    number = None
    for index, record in sorted(published.items()):
        batch, kind, status = (int.from_bytes(record[a:b], "little") for a, b in ((16, 20), (20, 22), (22, 24)))
        if kind == VOID:
            continue
        if batch != number:
            number, current = batch, []
        current.append(index)
        if status & LAST:
            batches.append(current)
            number, current = None, []
    return batches
