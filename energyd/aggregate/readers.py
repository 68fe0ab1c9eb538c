"""What the readers say of themselves: their COUNTER records, made monotone across their restarts, and the fate of their samples."""

from typing import Any

import numpy as np
import numpy.typing as npt

from energyd import samples
from energyd.aggregate.counters import RestartingCounter


class ReaderBook:
    """The counters of one ring. `fold` takes every closed batch of it; the worker adds what draining the ring has cost."""

    def __init__(self, schema_name: str) -> None:
        self.schema_name = schema_name
        self._counters = [RestartingCounter() for _ in samples.COUNTERS[schema_name]]
        self.samples = self.overruns = self.refused = 0
        self.newest_ns = 0  # when the newest sample was taken, by its own clock

    def fold(self, records: npt.NDArray[Any]) -> None:
        words = records[records["kind"] == samples.COUNTER].view(np.uint64).reshape(-1, 8)
        for index, value in words[:, 3:5].tolist():
            if index < len(self._counters):
                self._counters[index].advance(value)
        own = records["mono_ns"][records["kind"] < samples.VOID]
        if own.size:
            self.samples += own.size
            self.newest_ns = int(own.max())

    @property
    def counters(self) -> tuple[tuple[str, int], ...]:
        names = samples.COUNTERS[self.schema_name]
        return tuple((name, counter.total) for name, counter in zip(names, self._counters, strict=True))

    def state(self) -> dict[str, Any]:
        return {
            "schema": self.schema_name,
            "counters": [[counter.raw, counter.total] for counter in self._counters],
            "fates": [self.samples, self.overruns, self.refused],
        }

    @classmethod
    def restored(cls, state: dict[str, Any]) -> "ReaderBook":
        book = cls(state["schema"])
        for counter, (raw, total) in zip(book._counters, state["counters"], strict=False):
            counter.raw, counter.total = raw, total
        book.samples, book.overruns, book.refused = state["fates"]
        return book
