"""Where every byte of a ring file lies; no algorithm.

    page 0       +0    magic S8 | layout u4 | record_size u4 | capacity u4 | flags u4 | schema S16 | boot_id S16 | writer_pid u8
                       created_mono_ns i8 | created_real_ns i8
                 +128  claim          last index about to be written
                 +256  head           last index written
                 +384  heartbeat_ns   CLOCK_MONOTONIC of the writer's last sign of life
                 +512  labels_length  bytes of NAME.labels that may be read
                 +640  fault          labels id of what is wrong with the writer now, 0 = nothing
                 +768  fault_since_ns CLOCK_MONOTONIC of when that began
    page 1...    capacity slots of 64 bytes (energyd.samples); index i lies in slot i & (capacity - 1); indices start at 1

Words that change lie 128 bytes apart, so that two CPUs never share a cache line nor the pair that a prefetcher takes.
They are stored through `memoryview.cast("Q")`: `struct.pack_into` shows zeros to other processes while it works.
Law: a flag that this code does not know means that it does not understand the file. Paths are text, because pathlib
takes 0.6 MB of every process that loads it.
"""

import os
import struct
import sys
from typing import Final, NamedTuple

from energyd.errors import EnvironmentFault
from energyd.samples import HEAD_FORMAT, RECORD_SIZE, SERVICE_FORMAT

AnyPath = str | os.PathLike[str]

MAGIC: Final = b"energyd\n"
LAYOUT: Final = 1
KNOWN_FLAGS: Final = 0
HEADER_SIZE: Final = 4096
WORD: Final = 8

HEADER_FORMAT: Final = "<8sIIII16s16sQqq"
WRITER_PID: Final = 56 // WORD
CLAIM: Final = 128 // WORD
HEAD: Final = 256 // WORD
HEARTBEAT: Final = 384 // WORD
LABELS_LENGTH: Final = 512 // WORD
FAULT: Final = 640 // WORD
FAULT_SINCE: Final = 768 // WORD

WEIGHTS: Final = (
    0x9E3779B97F4A7C15,
    0xBF58476D1CE4E5B9,
    0x94D049BB133111EB,
    0xD6E8FEB86659FD93,
    0xA0761D6478BD642F,
    0xE7037ED1A0B428DB,
    0x8EBC6AF09C88C6E3,
)
"""Odd, hence invertible mod 2^64: a change of any single word changes the sum; large, so that small changes do not cancel out."""
WORD_MASK: Final = 2**64 - 1

_header = struct.Struct(HEADER_FORMAT)
_seven_words = struct.Struct("<7Q")
_word = struct.Struct("<Q")
_service = struct.Struct(HEAD_FORMAT + SERVICE_FORMAT)


class RefusedRing(EnvironmentFault):
    """A file that this version cannot read as a ring of the schema that was asked for."""


class Header(NamedTuple):
    """The first page of a ring, as it was at one moment. Lengths in bytes, indices of samples, times in nanoseconds."""

    capacity: int
    schema: str
    boot_id: bytes
    writer_pid: int
    created_mono_ns: int
    created_real_ns: int
    claim: int
    head: int
    heartbeat_ns: int
    labels_length: int
    fault: int = 0
    fault_since_ns: int = 0

    @property
    def identity(self) -> str:
        """Names this very file: no other ring, earlier or later, has the same."""
        return f"{self.boot_id.hex()}-{self.created_mono_ns}-{self.created_real_ns}"


def ring_path(directory: AnyPath, name: str) -> str:
    return os.path.join(directory, f"{name}.ring")


def labels_path(directory: AnyPath, name: str) -> str:
    return os.path.join(directory, f"{name}.labels")


def lock_path(directory: AnyPath, name: str) -> str:
    return os.path.join(directory, f"{name}.lock")


def retired(path: str) -> str:
    """The name of a file of a ring after its successor has taken its own, until that one is succeeded in turn."""
    return f"{path}.old"


def file_size(capacity: int) -> int:
    return HEADER_SIZE + capacity * RECORD_SIZE


def pack_header(header: Header) -> bytes:
    """The fixed part of the first page; the words that change start at zero."""
    return _header.pack(
        MAGIC,
        LAYOUT,
        RECORD_SIZE,
        header.capacity,
        KNOWN_FLAGS,
        header.schema.encode(),
        header.boot_id,
        header.writer_pid,
        header.created_mono_ns,
        header.created_real_ns,
    )


def parse_header(page: bytes, where: AnyPath, size: int) -> Header:
    """The header in `page`, the first 4096 bytes of `where`, a file of `size` bytes.

    Raises RefusedRing with what is wrong and what mends it.
    """
    mend = "restart its writer: it starts a new file beside every ring that it does not know"
    if len(page) < HEADER_SIZE or not page.startswith(MAGIC):
        raise RefusedRing(f"{where} is not a ring of energyd; remove it or {mend}")
    _, layout, record_size, capacity, flags, schema, boot_id, writer_pid, mono_ns, real_ns = _header.unpack_from(page)
    if layout != LAYOUT or record_size != RECORD_SIZE:
        raise RefusedRing(
            f"{where} has layout {layout} with records of {record_size} bytes, "
            f"this version reads layout {LAYOUT} with {RECORD_SIZE}; {mend}"
        )
    if flags & ~KNOWN_FLAGS:
        raise RefusedRing(f"{where} needs features that this version does not have (flags {flags:#x}); {mend}")
    if capacity < 2 or capacity & (capacity - 1) or size < file_size(capacity):
        raise RefusedRing(f"{where} is damaged: {size} bytes, capacity {capacity}; {mend}")
    changing = (_word.unpack_from(page, index * WORD)[0] for index in (CLAIM, HEAD, HEARTBEAT, LABELS_LENGTH, FAULT, FAULT_SINCE))
    name = schema.rstrip(b"\0").decode("ascii", "backslashreplace")
    return Header(capacity, name, boot_id, writer_pid, mono_ns, real_ns, *changing)


def read_header(path: AnyPath) -> Header:
    """The header of a ring file as it is now, without mapping it and without numpy.

    Raises RefusedRing, or OSError when the file cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return parse_header(os.pread(descriptor, HEADER_SIZE, 0), path, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def check_word(body: bytes) -> int:
    """The last word of a record whose first 56 bytes are `body`: the odd-weighted sum of its seven words mod 2^64.

    A plain XOR fold accepts torn mixes of two records; this sum accepted none of 47 million.
    """
    words: tuple[int, ...] = _seven_words.unpack(body)
    return sum(word * weight for word, weight in zip(words, WEIGHTS, strict=True)) & WORD_MASK


def seal(body: bytes) -> bytes:
    """`body` with its check word: 64 bytes."""
    return body + _word.pack(check_word(body))


def service_record(seq: int, mono_ns: int, batch: int, kind: int, status: int, *values: int) -> bytes:
    """One sealed SERVICE record; `values` are a, b, c, d."""
    return seal(_service.pack(seq, mono_ns, batch, kind, status, *values))


def require_supported_machine() -> None:
    """Raises EnvironmentFault where eight aligned bytes cannot be stored at once or lie the other way round."""
    if sys.maxsize < 2**32 or sys.byteorder != "little":
        raise EnvironmentFault("rings need a 64-bit little-endian CPU and a 64-bit Python; install energyd on such a system")
