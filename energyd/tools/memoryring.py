"""A ring that is no file: the samples of this very process, handed to the engine as a reader of a real ring would get them."""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from energyd.ring.dtypes import dtype_of
from energyd.samples import END, HEAD_FORMAT, LAST, SERVICE_FORMAT, Schema

_pack_service = struct.Struct(HEAD_FORMAT + SERVICE_FORMAT + "Q").pack


class MemoryRing:
    """Takes what a RingWriter takes; `take` gives the closed batches since the last call."""

    def __init__(self, schema: Schema) -> None:
        self._dtype = dtype_of(schema)
        self._pack = struct.Struct(HEAD_FORMAT + schema.payload + "Q").pack
        self._records = bytearray()
        self._batch = 1
        self._members = 0

    def append(self, kind: int, mono_ns: int, payload: tuple[Any, ...], status: int) -> None:
        self._records += self._pack(0, mono_ns, self._batch, kind, status, *payload, 0)
        self._members += 1

    def end_batch(self, mono_ns: int, begin_mono_ns: int, suspended_ns: int, status: int = 0) -> None:
        self._records += _pack_service(
            0, mono_ns, self._batch, END, LAST | status, self._members, begin_mono_ns, suspended_ns, 0, 0
        )
        self._batch += 1
        self._members = 0

    def take(self) -> npt.NDArray[Any]:
        assert not self._members, "BUG: taken in the middle of a batch"
        records = np.frombuffer(bytes(self._records), self._dtype)
        self._records.clear()
        return records
