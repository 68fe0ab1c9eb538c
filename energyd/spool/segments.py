"""The files of a spool: one is written at its end, the others wait to be read and are removed oldest first.

A file is named after the ordinal of its first sample, so the names alone tell how many samples each holds. A restart never writes
behind a tail that may be torn: it begins a file, and so does a write after one that failed. Raises OSError for what a disk does,
of which Unsynced says that nobody knows how much of the file that was written is there.
"""

import errno
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

from energyd.service import onewriter
from energyd.spool.format import CHAPTER, PROGRESS, ROW, Record, Skipped, scan
from energyd.spool.rows import DamagedRow, Row, RowDecoder
from energyd.units import NS_PER_S

SUFFIX: Final = ".spool"
_NAME_DIGITS: Final = 20
_ORDINALS: Final = 1 << 63
_BLOCK: Final = 4096
_MADE: Final = 2  # directories above that of the files whose entries may be new: the spools' own, and the state directory
_MODE: Final = 0o640  # like the state file: what a house uses tells when nobody is at home
_DIR_MODE: Final = 0o750


class Segment(NamedTuple):
    """One file. `first` is the ordinal of the first sample that it may hold."""

    first: int
    path: Path
    size: int
    written_s: float  # Unix time of the last write: no sample in it is younger


def segments_in(directory: Path) -> list[Segment]:
    """The files of a spool, oldest first; empty when the directory does not exist. What else has such a name is not ours."""
    found = []
    for path in directory.glob("*" + SUFFIX):
        if path.stem.isdecimal() and int(path.stem) < _ORDINALS and path.is_file():
            status = path.stat()
            found.append(Segment(int(path.stem), path, status.st_size, status.st_mtime_ns / NS_PER_S))
    return sorted(found)


class Unsynced(OSError):
    """What was written to the last file since it was synced is perhaps not on the disk, and never will be."""


class Content:
    """The bytes of one file with an index of its rows. Rows that cannot be decoded are as good as not there."""

    def __init__(self, path: Path) -> None:
        self._bytes = _read(path)
        self.progress: Record | None = None  # the last
        self.damage: list[Skipped] = []
        self._rows: list[Record] = []
        self._chapters: dict[int, Record] = {}
        self._decoder: tuple[int, RowDecoder] | None = None
        end = 0
        for record in scan(self._bytes):
            if isinstance(record, Skipped):
                self.damage.append(record)
            elif record.kind == ROW and record.first >= end:
                self._rows.append(record)
                end = record.first + record.samples
            elif record.kind == CHAPTER:
                self._chapters[record.offset] = record
            elif record.kind == PROGRESS:
                self.progress = record
        self._firsts = [record.first for record in self._rows]

    @property
    def end(self) -> int | None:
        """The ordinal behind its last row."""
        return self._rows[-1].first + self._rows[-1].samples if self._rows else None

    def rows(self, lo: int) -> Iterator[Row]:
        """The rows that begin at `lo` or later."""
        begin = bisect_right(self._firsts, lo - 1)
        for record in self._rows[begin:]:
            row = self._decoded(record)
            if row is not None:
                yield row

    def before(self, first: int) -> Row | None:
        """The row that ends where `first` begins."""
        i = bisect_right(self._firsts, first - 1) - 1
        row = self._decoded(self._rows[i]) if i >= 0 else None
        return row if row is not None and row.end == first else None

    def _decoded(self, record: Record) -> Row | None:
        try:
            if self._decoder is None or self._decoder[0] != record.chapter:
                if record.chapter not in self._chapters:
                    return None
                self._decoder = record.chapter, RowDecoder(self._chapters[record.chapter])
            return self._decoder[1].row(record)
        except DamagedRow:
            return None


def _read(path: Path) -> bytes:
    """The bytes of a file; blocks that the medium cannot read any more are zeros, so that what lies around them is not lost."""
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    blocks = []
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        for offset in range(0, size, _BLOCK):
            try:
                blocks.append(os.pread(file.fileno(), _BLOCK, offset))
            except OSError:
                blocks.append(bytes(min(_BLOCK, size - offset)))
    return b"".join(blocks)


def _force_names(directory: Path) -> None:
    """Bring the names in a directory to the disk: those of new files do not come with their contents."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Segments:
    """All files of one spool, of which it is the only writer."""

    def __init__(self, directory: Path, segment_bytes: int, sync: bool) -> None:
        self.directory = directory
        self._segment_bytes = segment_bytes
        self._sync = sync
        self._sealed: list[Segment] = []
        self._active: Segment | None = None
        self._file = -1
        self._lock = onewriter.NOT_HELD
        self.writes = self.written_bytes = 0

    def open(self) -> Sequence[Segment]:
        """Make or take over the directory, of which a read-only disk lets the files be read; returns what is there.

        EnvironmentFault when another process writes to it.
        """
        self.directory.mkdir(_DIR_MODE, parents=True, exist_ok=True)
        if self._lock < 0:
            self._lock = onewriter.hold(str(self.directory))
        self._sealed = segments_in(self.directory)
        return tuple(self._sealed)

    def set_apart(self) -> Path | None:
        """Move what is there out of the way, under the name that is returned; None when there is nothing. Then nothing is open."""
        self.close()
        self._sealed = []
        if not segments_in(self.directory):
            return None
        apart = next(place for i in count(1) if not (place := self.directory.with_name(f"{self.directory.name}-{i}")).exists())
        self.directory.rename(apart)
        return apart

    @property
    def size_bytes(self) -> int:
        return sum(segment.size for segment in self.all())

    @property
    def offset(self) -> int | None:
        """Where the next record goes in the file that is written; None when there is none."""
        return self._active.size if self._active else None

    @property
    def due(self) -> bool:
        """Whether the next row belongs into a new file."""
        return self._active is None or self._active.size >= self._segment_bytes

    def all(self) -> list[Segment]:
        return [*self._sealed, *([self._active] if self._active else [])]

    def begin(self, first: int) -> None:
        """Begin a file for the samples from `first` on."""
        self.seal()
        if self._lock < 0:
            self.open()
        self.directory.mkdir(_DIR_MODE, parents=True, exist_ok=True)
        path = self.directory / f"{first:0{_NAME_DIGITS}d}{SUFFIX}"
        others = [segment for segment in self._sealed if segment.path != path]
        again = os.O_TRUNC if len(others) < len(self._sealed) else os.O_EXCL  # one in which nothing could be written
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | again, _MODE)
        self._sealed = others
        self._active = Segment(first, path, 0, 0.0)
        try:
            for directory in (self.directory, *self.directory.parents[:_MADE]):
                _force_names(directory)
        except OSError:
            self.set_aside()  # who goes on in it would do so without its chapter
            raise

    def append(self, record: bytes, now_s: float) -> None:
        """Write `record` whole, or raise OSError; after that the next record begins a file, and this one is sealed."""
        assert self._active is not None, "BUG: a record was written before a file was begun"
        written = 0
        try:
            while written < len(record):
                written += os.write(self._file, record[written:])
        except OSError:
            self.seal()
            raise
        self.writes += 1
        self.written_bytes += len(record)
        self._active = self._active._replace(size=self._active.size + len(record), written_s=now_s)

    def duplicate(self) -> int | None:
        """A descriptor of the file that is written, to be synced and closed by somebody else."""
        return os.dup(self._file) if self._active else None

    def seal(self) -> None:
        """Write no more to the file that is open. Unless that is never done, it reaches the disk first: nobody comes back to it."""
        if self._active is not None:
            try:
                if self._sync:
                    os.fdatasync(self._file)
            except OSError as error:
                raise Unsynced(error.errno, error.strerror) from error
            finally:
                self.set_aside()

    def set_aside(self) -> None:
        """Write no more to the file that is open, whatever has become of it."""
        if self._active is not None:
            self._sealed.append(self._active)
            self._active = None
            os.close(self._file)

    def remove_oldest(self) -> None:
        """Remove the oldest file that is not written to; IndexError when there is none."""
        segment = self._sealed[0]
        segment.path.unlink(missing_ok=True)
        self._sealed.pop(0)

    def reaching(self, ordinal: int) -> list[Segment]:
        """The files that may hold `ordinal` or later ones, oldest first."""
        every = self.all()
        return every[max(0, bisect_right([segment.first for segment in every], ordinal) - 1) :]

    def close(self) -> None:
        self.seal()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = onewriter.NOT_HELD
