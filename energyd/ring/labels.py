"""The cold strings of a ring: NAME.labels, an append-only msgpack stream of [id, entry] pairs.

The first pair is [0, {"ring": identity}] and binds the file to its ring; ids of entries start at 1 and are never used twice in
a file. Law: the entry is written first, then its end is published as `labels_length` in the ring's header, and only then
records that use the id; whoever reads stops at the published length, so a torn tail is never seen.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Final

import msgpack

from energyd.errors import EnvironmentFault
from energyd.ring.layout import AnyPath

FILE_MODE: Final = 0o640
MAX_BYTES: Final = 8 << 20
MAX_IDS: Final = 0x8000
"""Beyond these a ring is full of names of the dead: its writer rotates it. Ids stay below samples.VOID, so kinds can be ids."""

Entry = dict[str, Any]


def decode(stream: bytes) -> Iterator[tuple[int, Entry]]:
    """The (id, entry) pairs of whole entries in `stream`. Raises ValueError when it is not such a stream."""
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(stream), 1), unicode_errors="backslashreplace")
    unpacker.feed(stream)
    for pair in unpacker:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], int) and isinstance(pair[1], dict)):
            raise ValueError(f"{pair!r} is not a pair of an id and an entry")
        yield pair[0], pair[1]


class LabelsWriter:
    """Appends entries to an open labels file. `length` is what may be published, `next_id` what the next entry gets."""

    def __init__(self, descriptor: int, path: AnyPath, length: int, next_id: int) -> None:
        self._descriptor = descriptor
        self._path = path
        self.length = length
        self.next_id = next_id

    @classmethod
    def create(cls, path: AnyPath, identity: str) -> "LabelsWriter":
        """A new file that belongs to the ring `identity`; the caller renames it into its place."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        os.fchmod(descriptor, FILE_MODE)
        labels = cls(descriptor, path, 0, 0)
        labels.append({"ring": identity})
        return labels

    @classmethod
    def adopt(cls, path: AnyPath, identity: str, length: int) -> "LabelsWriter | None":
        """The file of the ring `identity`, cut to its published `length`; None when it is not that ring's or is damaged."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            stream = os.pread(descriptor, length, 0)
            entries = list(decode(stream))
        except ValueError:
            entries = []
        if not entries or len(stream) < length or entries[0] != (0, {"ring": identity}):
            os.close(descriptor)
            return None
        os.ftruncate(descriptor, length)
        return cls(descriptor, path, length, entries[-1][0] + 1)

    @property
    def full(self) -> bool:
        return self.length >= MAX_BYTES or self.next_id >= MAX_IDS

    def append(self, entry: Entry) -> int:
        """Write one entry and return its id. Raises EnvironmentFault when the file system is full; the id is then still free."""
        data: bytes = msgpack.packb([self.next_id, entry])
        try:
            written = os.pwrite(self._descriptor, data, self.length)
        except OSError as fault:
            raise EnvironmentFault(f"{self._path}: {fault.strerror}; {_MEND}") from fault
        if written < len(data):
            raise EnvironmentFault(f"{self._path}: {written} of {len(data)} bytes written; {_MEND}")
        self.length += written
        self.next_id += 1
        return self.next_id - 1

    def close(self) -> None:
        os.close(self._descriptor)


_MEND: Final = "free space on its tmpfs or enlarge it (mount -o remount,size=...)"


class LabelsReader:
    """Reads the labels of one ring from `offset` on, as far as its header has published."""

    def __init__(self, path: AnyPath, identity: str, offset: int) -> None:
        """Raises OSError when the file cannot be read, ValueError when it belongs to another ring (that one is being replaced)."""
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        binding: bytes = msgpack.packb([0, {"ring": identity}])
        if os.pread(self._descriptor, len(binding), 0) != binding:
            self.close()
            raise ValueError(f"{path} belongs to another ring")
        self.offset = max(offset, len(binding))

    def read(self, published_length: int) -> list[tuple[int, Entry]]:
        """Entries that were published since the last call. Raises ValueError once when they are damaged; they are then skipped."""
        size = published_length - self.offset
        if size <= 0:
            return []
        stream = os.pread(self._descriptor, size, self.offset)
        self.offset = published_length
        return list(decode(stream))

    def close(self) -> None:
        os.close(self._descriptor)
