"""Records of a spool file: a frame that is found again after a torn tail, a flipped bit or foreign bytes. No file, no clock.

    offset  size
    0       4     SYNC
    4       1     kind: CHAPTER, ROW or PROGRESS, then 3 bytes of zero
    8       4     length of the payload
    12      8     ordinal of the first sample (see below)
    20      8     Unix time in milliseconds (ROW), else 0
    28      4     number of samples (ROW), else 0
    32      4     offset in the file of the chapter that explains a ROW, else 0
    36      4     CRC-32 of bytes 0 to 35 and the payload
    40            payload

All little-endian. Samples are numbered from the first that the spool ever took, so what is missing between two records is known
to the sample, whatever was lost. Law: `scan` yields only what was packed, in order, and tells the size of everything else.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

SYNC: Final = b"ESP1"
CHAPTER: Final = 1
ROW: Final = 2
PROGRESS: Final = 3
PAYLOAD_MAX: Final = 64 << 20
_HEAD: Final = struct.Struct("<4sB3xIQqII")
_CRC: Final = struct.Struct("<I")
HEADER_BYTES: Final = _HEAD.size + _CRC.size


class Record(NamedTuple):
    """One record, where it stood; `first` is the ordinal of its first sample and `samples` how many there are."""

    kind: int
    first: int
    at_ms: int
    samples: int
    chapter: int
    payload: bytes
    offset: int
    end: int


class Skipped(NamedTuple):
    """Bytes that are no record. One that reaches the end of a file is a torn tail, or a record that is being written."""

    offset: int
    end: int


def pack(kind: int, first: int, at_ms: int, samples: int, chapter: int, payload: bytes) -> bytes:
    """The bytes of a record."""
    assert len(payload) <= PAYLOAD_MAX, f"BUG: a record of {len(payload)} bytes, more than a reader would take"
    head = _HEAD.pack(SYNC, kind, len(payload), first, at_ms, samples, chapter)
    return head + _CRC.pack(zlib.crc32(payload, zlib.crc32(head))) + payload


def scan(content: bytes, offset: int = 0) -> Iterator[Record | Skipped]:
    """Every record of `content` from `offset` on, and what lies between them."""
    skipped_from = offset
    while (offset := content.find(SYNC, offset)) >= 0:
        record = _record(content, offset)
        if record is None:
            offset += 1
            continue
        if offset > skipped_from:
            yield Skipped(skipped_from, offset)
        yield record
        offset = skipped_from = record.end
    if skipped_from < len(content):
        yield Skipped(skipped_from, len(content))


def _record(content: bytes, offset: int) -> Record | None:
    """The record at `offset` if it is whole and unharmed."""
    begin = offset + HEADER_BYTES
    if begin > len(content):
        return None
    _, kind, length, first, at_ms, samples, chapter = _HEAD.unpack_from(content, offset)
    end = begin + length
    if end > len(content):
        return None
    payload = content[begin:end]
    head = content[offset : offset + _HEAD.size]
    if zlib.crc32(payload, zlib.crc32(head)) != _CRC.unpack_from(content, offset + _HEAD.size)[0]:
        return None
    return Record(kind, first, at_ms, samples, chapter, payload, offset, end)
