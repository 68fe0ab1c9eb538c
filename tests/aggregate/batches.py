"""Builds closed batches as a ring would hand them over."""

import struct
from typing import Any

import numpy as np

from energyd import samples


def dtype_of(schema: samples.Schema) -> np.dtype[Any]:
    head = [("seq", "<u8"), ("mono_ns", "<i8"), ("batch", "<u4"), ("kind", "<u2"), ("status", "<u2")]
    return np.dtype([*head, *schema.fields, ("check", "<u8")])


class Batches:
    """Collects records of one schema; `take` hands over what has come since the last call."""

    def __init__(self, schema: samples.Schema) -> None:
        self._dtype = dtype_of(schema)
        self._pack = struct.Struct(samples.HEAD_FORMAT + schema.payload + "Q").pack
        self._pack_service = struct.Struct(samples.HEAD_FORMAT + samples.SERVICE_FORMAT + "Q").pack
        self._bytes = bytearray()
        self._batch = 1
        self._members = 0

    def add(self, kind: int, mono_ns: int, payload: tuple[Any, ...], status: int = 0) -> None:
        self._bytes += self._pack(0, mono_ns, self._batch, kind, status, *payload, 0)
        self._members += 1

    def service(self, kind: int, mono_ns: int, words: tuple[int, int, int, int], status: int = 0) -> None:
        self._bytes += self._pack_service(0, mono_ns, self._batch, kind, status, *words, 0)

    def close(self, mono_ns: int, *, begin_ns: int = 0, suspended_ns: int = 0, status: int = 0) -> None:
        self.service(samples.END, mono_ns, (self._members, begin_ns, suspended_ns, 0), samples.LAST | status)
        self.next_batch()

    def next_batch(self) -> None:
        self._batch += 1
        self._members = 0

    def take(self) -> Any:
        records = np.frombuffer(bytes(self._bytes), self._dtype)
        self._bytes.clear()
        return records
