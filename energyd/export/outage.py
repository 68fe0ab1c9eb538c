"""What the log says of a receiver that takes nothing: at once, then ever more seldom, and once more when it takes samples again.

A receiver that fails now and then is in one long outage until it has been well for STEADY_S. Law: at most KINDS_MAX lines tell how
else it fails meanwhile, whatever it answers; the others are PAUSES_S apart. Arithmetic and text: the clock is the caller's.
"""

from collections.abc import Callable
from typing import Final

from energyd.export.answers import Outcome
from energyd.units import NS_PER_S

PAUSES_S: Final = (60.0, 540.0, 3000.0, 3600.0)  # told after a minute, ten, an hour, and each hour from then on
STEADY_S: Final = 60.0
KINDS_MAX: Final = 10
_UNITS: Final = ((2 * 86400, 86400, "days"), (2 * 3600, 3600, "h"), (120, 60, "min"))


class Outage:
    """The lines of one receiver, which begin with `title`. Outages without STEADY_S between them share their pauses."""

    def __init__(self, title: str, warn: Callable[[str], None], inform: Callable[[str], None], mono_ns: Callable[[], int]) -> None:
        self._title, self._warn, self._inform, self._mono_ns = title, warn, inform, mono_ns
        self._well_s: float | None = -STEADY_S  # since when it takes samples; None: it does not
        self._begun_s = self._due_s = self._first_s = 0.0
        self._failures = self._outages = self._lines = 0
        self._kinds: set[str] = set()
        self._told = False  # since it took samples

    def failed(self, outcome: Outcome, waiting: int) -> None:
        """A request has failed with `outcome`; `waiting` samples are in the spool."""
        now_s = self._mono_ns() / NS_PER_S
        if self._well_s is not None:
            self._begin(now_s, now_s - self._well_s >= STEADY_S)
        self._failures += 1
        kind = str(outcome.status) if outcome.status else outcome.fault
        due = now_s >= self._due_s
        if not due and (kind in self._kinds or len(self._kinds) >= KINDS_MAX):
            return
        if due:
            self._due_s = now_s + PAUSES_S[min(self._lines, len(PAUSES_S) - 1)]
            self._lines += 1
        self._kinds.add(kind)
        self._told = True
        lasting = f"for {self._lasted(now_s)} now; " if self._failures > 1 else ""
        often = f"{self._outages} outages within {_duration(now_s - self._first_s)}; " if self._outages > 1 else ""
        self._warn(f"{self._title}: {outcome.fault} ({lasting}{often}{waiting} samples wait in the spool)")

    def succeeded(self, waiting: int) -> None:
        """The receiver has taken something."""
        if self._well_s is not None:
            return
        self._well_s = self._mono_ns() / NS_PER_S
        if self._told:
            self._told = False
            lasted = self._lasted(self._well_s)
            self._inform(f"{self._title}: takes samples again (after {lasted}; {waiting} samples that waited are on their way)")

    def _begin(self, now_s: float, anew: bool) -> None:
        """An outage, which is told like the first when it comes `anew`."""
        self._well_s = None
        self._begun_s, self._failures = now_s, 0
        self._outages += 1
        if anew:
            self._first_s = self._due_s = now_s
            self._outages, self._lines = 1, 0
            self._kinds.clear()

    def _lasted(self, now_s: float) -> str:
        return f"{_duration(now_s - self._begun_s)} and {self._failures} failure{'s' * (self._failures > 1)}"


def _duration(seconds: float) -> str:
    return next((f"{seconds / size:.0f} {name}" for least, size, name in _UNITS if seconds >= least), f"{seconds:.0f} s")
