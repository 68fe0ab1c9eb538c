"""What a defect of energyd's own keeps from being shown: a part is missing then, and not all; the log tells which."""

import traceback
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from energyd.export.metric import Family
from energyd.export.servermetrics import FAMILIES_FAILED
from energyd.service.clock import Clock
from energyd.service.log import DistinctFaults

Failed = Callable[[str, Exception], None]
"""Is told what cannot be shown, and why."""

Part = TypeVar("Part")


def raise_the_error(_what: str, error: Exception) -> None:
    """For who wants to know of a defect at once."""
    raise error


def attempt(make: partial[Part], use: Callable[[Part], object], failed: Failed) -> None:
    """Use what `make` makes; if either raises, there is nothing of it."""
    try:
        use(make())
    except Exception as error:
        failed(f"whatever {make.func.__module__} gives", error)


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
