"""What a defect of energyd's own keeps from being shown: one family is missing then, and not all; the log tells which."""

import traceback
from collections.abc import Callable

from energyd.export.metric import Family
from energyd.export.servermetrics import FAMILIES_FAILED
from energyd.service.clock import Clock
from energyd.service.log import DistinctFaults


class Defects:
    """`emit` writes to the log, with which no defect can fill the disk."""

    def __init__(self, emit: Callable[[str], None], clock: Clock) -> None:
        self._faults = DistinctFaults(emit, clock.mono_ns)
        self._count = 0

    def failed(self, what: str, error: Exception) -> None:
        """`what` cannot be shown."""
        self._count += 1
        told = "".join(traceback.format_exception(error))
        self._faults.report(what, f"{what} is neither served nor pushed, by a defect of energyd that is worth reporting:\n{told}")

    def families(self) -> list[Family]:
        return [Family(FAMILIES_FAILED, [()], [self._count])]
