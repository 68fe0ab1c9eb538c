"""What was used between two scans, put aside until the energy of the same time is known."""

from typing import Any, Final, NamedTuple

import numpy as np

from energyd.aggregate.attribute import Int64

NO_PACKAGE: Final = -1
_EMPTY: Final = np.zeros(0, np.int64)


class Interval(NamedTuple):
    """CPU time used between two scans, waiting for the energy of the same time. `groups` are numbers of the GroupTable."""

    begin_ns: int
    end_ns: int
    exited_ns: int = 0  # of tasks that ended where no control group explains them
    busy_ratio: float = 1.0
    gone: tuple[int, ...] = ()  # slots that ended within it
    slots: Int64 = _EMPTY  # of the ProcessTable
    cpu_ns: Int64 = _EMPTY  # aligned with slots, >= 0
    groups: Int64 = _EMPTY  # aligned with slots
    exited_cpu_ns: Int64 = _EMPTY  # of tasks that ended unnamed, by control group
    exited_groups: Int64 = _EMPTY  # aligned with exited_cpu_ns
    packages: Int64 | None = None  # aligned with slots, NO_PACKAGE = unknown; None: the machine has one
    memory_bytes: Int64 | None = None  # aligned with slots, where memory is what DRAM is shared by
    whole: bool = False  # its end is a keyframe

    @property
    def elapsed_ns(self) -> int:
        return self.end_ns - self.begin_ns

    @property
    def numbers(self) -> set[int]:
        """Of all groups in it."""
        return {*self.groups.tolist(), *self.exited_groups.tolist()}

    def state(self) -> list[Any]:
        return [value.tolist() if isinstance(value, np.ndarray) else value for value in self]

    @classmethod
    def restored(cls, state: list[Any]) -> "Interval":
        begin_ns, end_ns, exited_ns, busy_ratio, gone = state[:5]
        arrays = (None if column is None else np.array(column, np.int64) for column in state[5:12])
        return cls(begin_ns, end_ns, exited_ns, busy_ratio, tuple(gone), *arrays, *state[12:])  # type: ignore[arg-type]
