"""Follows one ring from a cursor on: copies, judges, and never makes the writer wait.

Law: loss is counted, never fatal. A ring that is not there yet is waited for; one that was replaced is drained to its head
before its successor is followed, by who begins with a cursor too; one that this version cannot read is named in `fault`, and
nothing is read from it.
"""

import mmap
import os
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from energyd.ring import layout
from energyd.ring.batches import Words, take_closed
from energyd.ring.dtypes import SERVICE, dtype_of
from energyd.ring.labels import Entry, LabelsReader
from energyd.samples import RECORD_SIZE, VOID, Schema

Records = npt.NDArray[Any]


class Cursor(NamedTuple):
    """Where a reader stands: everything before `next_index` of the ring `identity` has been taken, and its labels before
    `labels_offset`. Plain values, so that it can be kept in a file."""

    identity: str
    next_index: int
    labels_offset: int


class Drained(NamedTuple):
    """What one poll brought. `records` are whole batches, in order, of `dtype_of(schema)`; the counts are of records lost.

    `rotated`: these records come from another file than those before; the labels known so far belong to the old one.
    """

    records: Records
    overruns: int = 0
    refused: int = 0
    rotated: bool = False

    @property
    def samples(self) -> Records:
        """The records that have the ring's own payload."""
        return self.records[self.records["kind"] < VOID]

    @property
    def services(self) -> Records:
        """The END, COUNTER, ERROR and FRAME records, with fields a, b, c, d."""
        return self.records[self.records["kind"] >= VOID].view(SERVICE)


class MappedRing:
    """One ring file, open for reading. Raises RefusedRing or OSError when it cannot be."""

    def __init__(self, path: str, schema: Schema) -> None:
        """`path`: where it lies now, under its own name or that of a predecessor."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._path, self._size = path, os.fstat(self._descriptor).st_size
            header = layout.parse_header(os.pread(self._descriptor, layout.HEADER_SIZE, 0), path, self._size)
            if header.schema != schema.name:
                raise layout.RefusedRing(
                    f"{path} holds {header.schema} samples, this version reads {schema.name}; restart its writer: it rotates"
                )
            self._map = mmap.mmap(self._descriptor, layout.file_size(header.capacity), access=mmap.ACCESS_READ)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.capacity = header.capacity
        self.identity = header.identity
        self._words = memoryview(self._map).cast("Q")
        self._slots = np.frombuffer(self._map, dtype=np.uint64, offset=layout.HEADER_SIZE).reshape(-1, RECORD_SIZE // layout.WORD)

    def claim(self) -> int:
        return self._words[layout.CLAIM]

    def head(self) -> int:
        return self._words[layout.HEAD]

    def labels_length(self) -> int:
        return self._words[layout.LABELS_LENGTH]

    def copy(self, first: int, last: int) -> Words:
        """Records first..last as u64[n, 8]; two slices where they wrap."""
        begin, end = first & (self.capacity - 1), (last & (self.capacity - 1)) + 1
        if begin < end:
            return self._slots[begin:end].copy()
        return np.concatenate((self._slots[begin:], self._slots[:end]))

    def header(self) -> layout.Header:
        return layout.parse_header(self._map[: layout.HEADER_SIZE], self._path, self._size)

    def has_name(self, path: str) -> bool:
        """Whether it is the file of that name; if not its own any more, nothing will be written to it."""
        try:
            return os.path.samestat(os.stat(path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Unmapped with the last array that looks into it."""
        os.close(self._descriptor)


class RingReader:
    """Reads one ring of `schema` as NAME.ring in `run_dir`, which need not exist yet.

    With a `cursor` it goes on where that one stood, or, if the file is another by now, at its beginning; without one it starts
    at the oldest sample that is still there, and what was overwritten before it came is no loss.
    `fault` says why nothing can be read from the file that is there, and what to do; None while all is well.
    """

    def __init__(self, run_dir: layout.AnyPath, name: str, schema: Schema, cursor: Cursor | None = None) -> None:
        self._ring_path = layout.ring_path(run_dir, name)
        self._labels_path = layout.labels_path(run_dir, name)
        self._schema = schema
        self._dtype = dtype_of(schema)
        self._resume = cursor
        self._open: tuple[MappedRing, LabelsReader] | None = None
        self._next_index = 1
        self.fault: str | None = None

    def poll(self) -> Drained:
        """Every batch that was closed since the last poll, from one file; those of its successor come with the next poll."""
        if self._open is None:
            return self._follow()
        ring, _ = self._open
        replaced = not ring.has_name(self._ring_path)  # asked first: what is replaced has got its last record
        drained = self._take(ring)
        if not replaced or len(drained.records) or drained.overruns or drained.refused:
            return drained
        return self._follow(never_closed=max(ring.head() + 1 - self._next_index, 0))

    def _follow(self, never_closed: int = 0) -> Drained:
        """Open the file that comes next and take from it; while there is none, stay with what we have."""
        next_one = self._next_file()
        if next_one is None:
            return Drained(np.empty(0, dtype=self._dtype))
        ring, labels, resumed = next_one
        late = self._resume is None and self._open is None
        self.close()
        self._next_index = self._resume.next_index if self._resume and resumed else 1
        self._open, self._resume = (ring, labels), None
        drained = self._take(ring)
        return drained._replace(
            overruns=0 if late else drained.overruns, refused=drained.refused + never_closed, rotated=not (late or resumed)
        )

    def _next_file(self) -> tuple[MappedRing, LabelsReader, bool] | None:
        """The file to read from now on, and whether that is where the cursor stood: the one that has the name, or first its
        predecessor where that has not been read."""
        current = self._pair(self._ring_path, self._labels_path)
        known = self._open[0].identity if self._open else self._resume and self._resume.identity
        if current is None or known in (None, current[0].identity):
            return current and (*current, self._is_resumed(current[0]))
        before = self._pair(layout.retired(self._ring_path), layout.retired(self._labels_path))
        self.fault = None  # whatever is wrong with a predecessor, there is a successor
        if before is None or (self._open and before[0].identity == known):
            unused, chosen = before, current
        else:
            unused, chosen = current, before
        for part in unused or ():
            part.close()
        return *chosen, self._is_resumed(chosen[0])

    def _is_resumed(self, ring: MappedRing) -> bool:
        cursor = self._resume
        return cursor is not None and cursor.identity == ring.identity and 1 <= cursor.next_index <= ring.head() + 1

    def _pair(self, ring_path: str, labels_path: str) -> tuple[MappedRing, LabelsReader] | None:
        """A ring and its labels, open, from where the cursor stood if it stood there; None, with the fault, when that cannot be."""
        self.fault = None
        try:
            ring = MappedRing(ring_path, self._schema)
        except FileNotFoundError:
            return None
        except layout.RefusedRing as refusal:
            self.fault = str(refusal)
            return None
        except OSError as fault:
            self.fault = _unreadable(ring_path, fault)
            return None
        cursor = self._resume
        try:
            labels = LabelsReader(labels_path, ring.identity, cursor.labels_offset if cursor and self._is_resumed(ring) else 0)
        except (OSError, ValueError) as fault:
            ring.close()
            between_two_renames = isinstance(fault, FileNotFoundError | ValueError)  # the next poll finds a pair
            self.fault = None if between_two_renames else _unreadable(labels_path, fault)
            return None
        return ring, labels

    def _take(self, ring: MappedRing) -> Drained:
        closed = take_closed(ring, self._next_index)
        self._next_index = closed.next_index
        return Drained(np.ascontiguousarray(closed.words).view(self._dtype).reshape(-1), closed.overruns, closed.refused)

    def labels(self) -> list[tuple[int, Entry]]:
        """New (id, entry) pairs of the file that the last poll read; to be called after it, then every id it brought is known."""
        if self._open is None:
            return []
        ring, labels = self._open
        try:
            return labels.read(ring.labels_length())
        except ValueError as damage:
            self.fault = f"{self._labels_path}: {damage}; restart its writer: it starts new files"
            return []

    @property
    def cursor(self) -> Cursor | None:
        """Where to go on after a restart; None as long as no ring was found."""
        if self._open is None:
            return self._resume
        ring, labels = self._open
        return Cursor(ring.identity, self._next_index, labels.offset)

    @property
    def header(self) -> layout.Header | None:
        """The header as it is now: claim, head, heartbeat_ns, writer_pid...; None as long as no ring was found that can be read."""
        if self._open is None:
            return None
        try:
            return self._open[0].header()
        except layout.RefusedRing as refusal:  # damaged under our eyes
            self.fault = str(refusal)
            return None

    def close(self) -> None:
        if self._open is not None:
            for part in self._open:
                part.close()
            self._open = None


def _unreadable(path: str, fault: Exception) -> str:
    return f"{path} cannot be read ({fault}); a reader must be in the group that owns it"
