"""Rows of samples and their bytes: a row is what one tick rendered, a chapter the series that its rows have in common.

A chapter holds the text of every series (`name{label="value"} `, as the exposition writes it) and a value of each. A row names the
series it has by one bit each, writes out those that the chapter lacks, and holds the values as IEEE 754 doubles, each combined
with the chapter's by exclusive or, so that what has hardly moved is mostly zeros, and the first bytes of all before the second
bytes of all, so that the zeros stand together. Both are compressed at level 1.

Law: a row needs its chapter and nothing else, so a damaged row costs one tick and a damaged chapter at most CHAPTER_ROWS; what is
decoded is what was encoded, to the bit.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from energyd.spool.format import CHAPTER, ROW, Record, pack

CHAPTER_ROWS: Final = 64
_EXTRA_SHARE: Final = 4  # a chapter ends when a row has more than a quarter of new series
_EXTRA_MIN: Final = 32
_LEVEL: Final = 1
_COUNTS: Final = struct.Struct("<II")
_WORD: Final = np.dtype("<u8")

Values = npt.NDArray[np.float64]
Words = npt.NDArray[Any]


class Row(NamedTuple):
    """Samples of one instant: `values[i]` belongs to `prefixes[i]`; `first` is the ordinal of values[0] in the spool.

    Rows of the same series share one list of prefixes, so that `is` tells it.
    """

    first: int
    at_ms: int
    prefixes: Sequence[bytes]
    values: Values

    @property
    def end(self) -> int:
        return self.first + len(self.prefixes)


class DamagedRow(Exception):
    """The bytes passed their check and yet make no sense: they were written by something else."""


class RowEncoder:
    """Rows into records. `forget` before the first row of a file, and after one whose bytes were not kept."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin the next row with a chapter."""
        self._table: dict[bytes, int] = {}
        self._base: Words = np.empty(0, _WORD)
        self._offset = 0
        self._rows = CHAPTER_ROWS
        self._prefixes: Sequence[bytes] | None = None
        self._ids: npt.NDArray[np.intp] = np.empty(0, np.intp)
        self._extras: list[bytes] = []

    def encode(self, row: Row, offset: int) -> bytes:
        """The record of `row`, behind that of a chapter where one is due, for the place `offset` of the file."""
        if row.prefixes is not self._prefixes:
            self._find(row.prefixes)
        chapter = b""
        if self._rows >= CHAPTER_ROWS or len(self._extras) > max(_EXTRA_MIN, len(self._table) // _EXTRA_SHARE):
            chapter = self._begin(row, offset)
        self._rows += 1
        return chapter + pack(ROW, row.first, row.at_ms, len(row.prefixes), self._offset, self._row(row.values))

    def _find(self, prefixes: Sequence[bytes]) -> None:
        """Where each series stands: in the table, or behind it in the order of the row."""
        self._prefixes = prefixes
        self._extras = [prefix for prefix in prefixes if prefix not in self._table]
        table = self._table
        if self._extras:
            table = table | {prefix: len(table) + i for i, prefix in enumerate(self._extras)}
        self._ids = np.fromiter(map(table.__getitem__, prefixes), np.intp, len(prefixes))

    def _begin(self, row: Row, offset: int) -> bytes:
        assert len(set(row.prefixes)) == len(row.prefixes), "BUG: a row has a series twice"
        self._table = {prefix: i for i, prefix in enumerate(row.prefixes)}
        self._base = np.ascontiguousarray(row.values, "<f8").view(_WORD)
        self._offset, self._rows = offset, 0
        self._find(row.prefixes)
        text = b"\n".join(row.prefixes)
        payload = _COUNTS.pack(len(row.prefixes), len(text)) + text + _transposed(self._base)
        return pack(CHAPTER, row.first, 0, 0, 0, zlib.compress(payload, _LEVEL))

    def _row(self, values: Values) -> bytes:
        size = len(self._table) + len(self._extras)
        present = np.zeros(size, np.bool_)
        present[self._ids] = True
        words = np.zeros(size, _WORD)
        words[self._ids] = np.ascontiguousarray(values, "<f8").view(_WORD)
        words[: len(self._base)] ^= self._base
        text = b"\n".join(self._extras)
        head = _COUNTS.pack(len(self._extras), len(text)) + text
        return zlib.compress(head + np.packbits(present).tobytes() + _transposed(words[present]), _LEVEL)


class RowDecoder:
    """The rows of one chapter out of their records; ValueError and DamagedRow come from bytes that no RowEncoder wrote."""

    def __init__(self, chapter: Record) -> None:
        assert chapter.kind == CHAPTER, "BUG: a chapter was looked for where there is none"
        payload = _decompressed(chapter)
        self._table, values = _texts(payload, 0)
        self._base = _words(payload, values, len(self._table))
        self._seen: tuple[bytes, Sequence[bytes]] = (b"", self._table)

    def row(self, record: Record) -> Row:
        payload = _decompressed(record)
        extras, bits = _texts(payload, 0)
        size = len(self._table) + len(extras)
        values = bits + -(-size // 8)
        present = np.unpackbits(np.frombuffer(payload, np.uint8, values - bits, bits), count=size).view(np.bool_)
        if np.count_nonzero(present) != record.samples:
            raise DamagedRow(f"{record.samples} samples were announced, {np.count_nonzero(present)} are there")
        words = np.zeros(size, _WORD)
        words[present] = _words(payload, values, record.samples)
        words[: len(self._base)] ^= self._base
        known, prefixes = self._seen
        if known != payload[:values]:
            everything = [*self._table, *extras] if extras else self._table
            prefixes = everything if present.all() else [everything[i] for i in np.flatnonzero(present)]
            self._seen = (payload[:values], prefixes)
        return Row(record.first, record.at_ms, prefixes, words[present].view("<f8"))


def _decompressed(record: Record) -> bytes:
    try:
        return zlib.decompress(record.payload)
    except zlib.error as error:
        raise DamagedRow(str(error)) from error


def _texts(payload: bytes, offset: int) -> tuple[list[bytes], int]:
    """The texts of series at `offset`, and where they end."""
    if len(payload) < offset + _COUNTS.size:
        raise DamagedRow("its head is missing")
    count, length = _COUNTS.unpack_from(payload, offset)
    begin = offset + _COUNTS.size
    texts = payload[begin : begin + length].split(b"\n") if count else []
    if len(texts) != count:
        raise DamagedRow(f"{count} series were announced, {len(texts)} are there")
    return texts, begin + length


def _transposed(words: Words) -> bytes:
    """All first bytes, then all second bytes, and so on."""
    return words.view(np.uint8).reshape(-1, 8).T.tobytes()


def _words(payload: bytes, offset: int, count: int) -> Words:
    if len(payload) != offset + 8 * count:
        raise DamagedRow(f"{count} values were announced, {max(0, len(payload) - offset) // 8} are there")
    planes = np.frombuffer(payload, np.uint8, 8 * count, offset).reshape(8, count)
    return np.ascontiguousarray(planes.T).view(_WORD).reshape(count)
