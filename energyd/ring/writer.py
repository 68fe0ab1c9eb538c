"""Appends samples to a ring: the one place that stores into it while readers look on.

Records are stored in three steps, one or many at a time: `claim` says up to which index slots are about to change, then their
bytes are copied, then `head` says that they are there. A reader that copied a slot and then finds it claimed again throws its copy
away, so nobody waits. A batch of five costs one of each step, and half the time of five single records.
Law: a writer never looks at its readers; with none, one or a stopped one it does exactly the same stores.
"""

import os
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from energyd.ring import files, layout
from energyd.ring.labels import Entry
from energyd.ring.layout import CLAIM, HEAD, HEADER_SIZE, WORD_MASK, AnyPath
from energyd.samples import END, LAST, RECORD_SIZE, SERVICE_FORMAT, VOID, Schema

BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
HELD_S: Final = 60
"""Seconds of samples that a ring holds at least, so that an aggregator may be away that long."""
PAGE_RECORDS: Final = 4096 // RECORD_SIZE

_record = struct.Struct("<8Q").pack
_four_words = struct.Struct("<4Q").unpack
_W0, _W1, _W2, _W3, _W4, _W5, _W6 = layout.WEIGHTS

Sample = tuple[int, int, tuple[Any, ...], int]
"""(kind, mono_ns, payload, status): what a reader makes of one reading."""


def capacity_for(records_per_s: float) -> int:
    """The smallest power of two that holds 60 s of `records_per_s`, at least one page."""
    capacity = PAGE_RECORDS
    while capacity < records_per_s * HELD_S:
        capacity *= 2
    return capacity


class RingWriter:
    """The writer of one ring, for one thread."""

    def __init__(self, identity: files.Identity, store: files.Store, clock: files.Clock, lock: int) -> None:
        """`open` is the way in; tests hand in a store that watches what happens to it."""
        self._identity = identity
        self._clock = clock
        self._lock = lock
        self._mask = identity.capacity - 1
        self._pack_payload = struct.Struct("<" + identity.schema.payload).pack
        self._words_from = 0 if identity.schema.payload == SERVICE_FORMAT else VOID
        """Kinds from here on have a payload of four words; that of the others is packed first."""
        self._use(store)

    @classmethod
    def open(
        cls,
        run_dir: AnyPath,
        name: str,
        schema: Schema,
        capacity: int,
        clock: files.Clock,
        *,
        warn: Callable[[str], None] = lambda _text: None,
        boot_id_path: AnyPath = BOOT_ID,
    ) -> "RingWriter":
        """Adopt the ring that an earlier writer left, or rotate to a new one.

        `warn` is told of a file that is there and is no ring that we know.
        Raises EnvironmentFault when another process writes it, when run_dir cannot be used or has no room.
        """
        assert capacity.bit_count() == 1 < capacity, f"BUG: capacity {capacity} is not a power of two above 1"
        layout.require_supported_machine()
        identity = files.Identity(os.fspath(run_dir), name, schema, capacity, files.read_boot_id(boot_id_path))
        lock = files.acquire_lock(layout.lock_path(identity.directory, name), clock)
        try:
            return cls(identity, files.adopt(identity, warn) or files.create(identity, clock), clock, lock)
        except BaseException:
            os.close(lock)
            raise

    def _use(self, store: files.Store) -> None:
        self._words, self._slots, self._labels, self._seq, self._batch = store
        self._before_batch = self._seq
        self._services = 0
        self.heartbeat()

    def append(self, kind: int, mono_ns: int, payload: tuple[Any, ...], *, status: int = 0) -> None:
        """Store one sample of the ring's schema; it is seen once its batch has been closed by a record with LAST."""
        self.append_many(((kind, mono_ns, payload, status),))

    def service(self, kind: int, mono_ns: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0, *, status: int = 0) -> None:
        """Store one SERVICE record (samples.VOID and above)."""
        self._services += 1
        self.append_many(((kind, mono_ns, (a, b, c, d), status),))

    def append_many(self, samples: Sequence[Sample]) -> None:
        """Store samples of the ring's schema at once; a value that does not fit raises struct.error, and then none is stored."""
        seq, batch, words_from = self._seq, self._batch, self._words_from
        records = []
        for kind, mono_ns, payload, status in samples:
            seq += 1
            head = batch | kind << 32 | status << 48
            a, b, c, d = payload if kind >= words_from else _four_words(self._pack_payload(*payload))
            # layout.seal, written out: calls would cost a third of the whole.
            check = (seq * _W0 + mono_ns * _W1 + head * _W2 + a * _W3 + b * _W4 + c * _W5 + d * _W6) & WORD_MASK
            records.append(_record(seq, mono_ns, head, a, b, c, d, check))
        self._store(records)

    def _store(self, records: list[bytes]) -> None:
        """The records that come next: in one piece, but for the end of the file, where the ring closes."""
        words, capacity = self._words, self._mask + 1
        while records:
            slot = (self._seq + 1) & self._mask
            piece = records[: min(capacity - slot, capacity // 2)]  # never all slots: what a death leaves is told from damage
            offset, last = HEADER_SIZE + slot * RECORD_SIZE, self._seq + len(piece)
            words[CLAIM] = last
            self._slots[offset : offset + len(piece) * RECORD_SIZE] = b"".join(piece)
            words[HEAD] = last
            self._seq = last
            records = records[len(piece) :]

    def write_batch(
        self, samples: Sequence[Sample], mono_ns: int, begin_mono_ns: int, suspended_ns: int, *, status: int = 0
    ) -> None:
        """Store a whole batch with its END record, as `end_batch` after `append_many` would, and give the sign of life."""
        members = self._seq - self._before_batch - self._services + len(samples)
        self.append_many((*samples, (END, mono_ns, (members, begin_mono_ns, suspended_ns, 0), LAST | status)))
        self.next_batch()
        self._words[layout.HEARTBEAT] = mono_ns

    def end_batch(self, mono_ns: int, begin_mono_ns: int, suspended_ns: int, *, status: int = 0) -> None:
        """Close the batch with an END record: how many samples it has, when it began, how long the machine has slept."""
        samples = self._seq - self._before_batch - self._services
        self.service(END, mono_ns, samples, begin_mono_ns, suspended_ns, status=LAST | status)
        self.next_batch()

    def next_batch(self) -> None:
        """What comes now belongs to another batch; to be called after a record with LAST."""
        self._batch = (self._batch + 1) & files.BATCH_MASK
        self._before_batch = self._seq
        self._services = 0

    def heartbeat(self) -> None:
        """Sign of life: CLOCK_MONOTONIC in nanoseconds, for whoever judges whether this writer still runs."""
        self._words[layout.HEARTBEAT] = self._clock.mono_ns()

    def set_fault(self, label: int, since_mono_ns: int) -> None:
        """What is wrong now, for whoever looks at the header: the label of its text, 0 = nothing, and since when."""
        self._words[layout.FAULT_SINCE] = since_mono_ns
        self._words[layout.FAULT] = label

    def label(self, entry: Entry) -> int:
        """Publish a cold entry (a msgpack map with text keys) and return its id, never used before in this ring file.

        Raises EnvironmentFault when the tmpfs is full.
        """
        number = self._labels.append(entry)
        self._words[layout.LABELS_LENGTH] = self._labels.length
        return number

    @property
    def labels_full(self) -> bool:
        """Mostly names of the dead by now: between two batches, `rotate` and label the living again."""
        return self._labels.full

    def rotate(self) -> None:
        """Go on in a new file without labels; readers drain the old one first. Raises EnvironmentFault when there is no room."""
        old_labels = self._labels
        self._use(files.create(self._identity, self._clock))
        old_labels.close()

    def close(self) -> None:
        """Let go of the ring; it stays for its readers and for the next writer."""
        self._labels.close()
        os.close(self._lock)
