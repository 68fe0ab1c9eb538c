"""The highest apparent power of each local day with its time: as the meter says it, else the highest that was heard.

Standard mode says it with its time, for today and yesterday (SMAXSN, SMAXIN, 54E 6.2.3.11), so a daemon that was off misses
nothing; historique mode only says the power of the moment. Law: what the meter says goes before what was heard.
"""

from collections.abc import Mapping
from typing import Any, Final

from energyd import ticfields
from energyd.ledger.days import Days
from energyd.ledger.store import Peak

SAID: Final = {
    "SMAXSN": ticfields.CONSUMED,
    "SMAXSN-1": ticfields.CONSUMED,
    "SMAXIN": ticfields.INJECTED,
    "SMAXIN-1": ticfields.INJECTED,
}
HEARD: Final = {
    "PAPP": ticfields.CONSUMED,
    "SINSTS": ticfields.CONSUMED,
    "SINSTI": ticfields.INJECTED,
    "JAUNE": ticfields.CONSUMED,  # of a CJE: a mean of five minutes (02E 2.6.3)
}
RECENT_S: Final = 2 * 86400


class Peaks:
    """The peaks of today and yesterday of one meter."""

    def __init__(self, days: Days) -> None:
        self._days = days
        self._peaks: dict[tuple[str, str], Peak] = {}
        self._changed: set[tuple[str, str]] = set()

    def heard(self, at_s: int, quantities: Mapping[str, tuple[int, int]]) -> None:
        """The powers of one frame: label -> (volt-amperes, the meter's own UTC seconds for it)."""
        for label, (power_va, horodate_s) in quantities.items():
            if label in SAID and at_s - RECENT_S < horodate_s <= at_s + RECENT_S:
                self._take(horodate_s, SAID[label], power_va, said=True)
            elif label in HEARD:
                self._take(at_s, HEARD[label], power_va, said=False)

    def _take(self, at_s: int, direction: str, power_va: int, *, said: bool) -> None:
        key = self._days.day_of(at_s).isoformat(), direction
        known = self._peaks.get(key)
        if known is None or (said, power_va) > (known.said, known.power_va):
            self._peaks[key] = Peak(*key, power_va, at_s, said)
            self._changed.add(key)

    def get(self, day: str, direction: str) -> Peak | None:
        return self._peaks.get((day, direction))

    def changed(self) -> list[Peak]:
        """What has changed since `written`."""
        return [self._peaks[key] for key in sorted(self._changed)]

    def written(self, today: str) -> None:
        """`changed` is in the ledger; days before yesterday need not be remembered any more."""
        self._changed.clear()
        for key in sorted(self._peaks)[:-6]:
            if key[0] < today:
                del self._peaks[key]

    def state(self) -> list[Any]:
        return [[*peak, key in self._changed] for key, peak in self._peaks.items()]

    def restore(self, state: list[Any]) -> None:
        for day, direction, power_va, at_s, said, changed in state:
            self._peaks[day, direction] = Peak(day, direction, power_va, at_s, said)
            if changed:
                self._changed.add((day, direction))
