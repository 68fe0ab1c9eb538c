"""The few whose series are shown, by what they have used lately, and the sums of all others.

Law: every microjoule and CPU nanosecond increments exactly one sum, once: one's own if one is shown at that moment, `other` if not.
Who comes into view starts at zero, and `other` keeps what it had. Who goes out of view keeps its sum, which is `hidden` meanwhile,
and goes on from it when it comes back: a series is never set back. What the series of those that have ended had counted is `gone`.
So shown + hidden + other + gone is all that was ever booked. Who is shown is decided once an interval, before the interval is
booked, from the samples alone: a replay decides alike.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from energyd.aggregate.attribute import Int64
from energyd.units import NS_PER_S

HALF_LIFE_S: Final = 300.0  # of a rank: long enough to stay put, short enough that a new hog shows within seconds
INCUMBENT_BONUS: Final = 1.25  # one out of view must use this much more than one in view to take its place
POWER_WINDOW_NS: Final = NS_PER_S
_ROOM: Final = 64


class Ranking:
    """Sums by slot, a small number that the caller gives out. Of all slots at most `top` are shown."""

    def __init__(self, top: int) -> None:
        self._top = top
        self.energy_uj = np.zeros(0, np.int64)  # while shown
        self.cpu_ns = np.zeros(0, np.int64)
        self.shown = np.zeros(0, bool)
        self._rank = np.zeros(0)
        self._recent: deque[tuple[int, Int64, Int64, Int64]] = deque()  # (elapsed_ns, slots, energy_uj, cpu_ns) lately
        self.other_energy_uj = self.other_cpu_ns = 0
        self.gone_energy_uj = self.gone_cpu_ns = 0

    def make_room(self, slots: int) -> None:
        """Slots below `slots` can be used from now on."""
        missing = slots - len(self._rank)
        if missing > 0:
            missing = max(missing, _ROOM, slots)
            self.energy_uj = np.append(self.energy_uj, np.zeros(missing, np.int64))
            self.cpu_ns = np.append(self.cpu_ns, np.zeros(missing, np.int64))
            self.shown = np.append(self.shown, np.zeros(missing, bool))
            self._rank = np.append(self._rank, np.zeros(missing))

    def show(self, slots: Int64) -> None:
        """These are shown although they have used nothing, as far as there is room."""
        room = self._top - int(np.count_nonzero(self.shown))
        self.shown[slots[~self.shown[slots]][: max(0, room)]] = True

    def hide(self, slots: list[int]) -> None:
        """These are out of view until they use something again."""
        self._rank[slots] = 0.0
        self.shown[slots] = False

    def book(self, slots: Int64, energy_uj: Int64, cpu_ns: Int64, elapsed_ns: int, measured: bool) -> None:
        """Add what these (each slot once) used in one interval; without a power source (`measured` false) CPU time ranks them."""
        self._rank *= 0.5 ** (elapsed_ns / (HALF_LIFE_S * NS_PER_S))
        self._rank[slots] += energy_uj if measured else cpu_ns
        self._choose()
        shown = self.shown[slots]
        visible, hidden = slots[shown], ~shown
        self.energy_uj[visible] += energy_uj[shown]
        self.cpu_ns[visible] += cpu_ns[shown]
        self.other_energy_uj += int(energy_uj[hidden].sum())
        self.other_cpu_ns += int(cpu_ns[hidden].sum())
        self._recent.append((elapsed_ns, slots, energy_uj, cpu_ns))
        while len(self._recent) > 1 and sum(ns for ns, *_ in self._recent) - self._recent[0][0] >= POWER_WINDOW_NS:
            self._recent.popleft()

    def _choose(self) -> None:
        weighed = np.where(self.shown, self._rank * INCUMBENT_BONUS, self._rank)
        candidates = np.flatnonzero((weighed > 0) | self.shown)
        if len(candidates) > self._top:
            candidates = candidates[np.argpartition(weighed[candidates], -self._top)[-self._top :]] if self._top else candidates[:0]
        self.shown = np.zeros(len(self._rank), bool)
        self.shown[candidates] = True

    def leaders(self, count: int, incumbents: Iterable[int], bonus: float) -> list[int]:
        """The slots that have used most lately, at most `count`; the rank of the incumbents counts `bonus` times."""
        weighed = self._rank.copy()
        weighed[list(incumbents)] *= bonus
        candidates = np.flatnonzero(weighed > 0)
        if len(candidates) > count:
            candidates = candidates[np.argpartition(weighed[candidates], -count)[-count:]]
        leading: list[int] = candidates.tolist()
        return leading

    def hidden(self) -> tuple[int, int]:
        """(energy_uj, cpu_ns) of those that are out of view, counted while they were in view."""
        return int(self.energy_uj[~self.shown].sum()), int(self.cpu_ns[~self.shown].sum())

    def clear(self, slots: list[int]) -> None:
        """Nobody has these slots any more."""
        ended = np.array(slots, np.int64)
        self.gone_energy_uj += int(self.energy_uj[ended].sum())
        self.gone_cpu_ns += int(self.cpu_ns[ended].sum())
        self.energy_uj[ended] = self.cpu_ns[ended] = 0
        self._rank[ended] = 0.0
        self.shown[ended] = False
        cleared = np.zeros(len(self._rank), bool)  # np.isin would load numpy.ma, which takes a megabyte
        cleared[ended] = True
        for _, booked, energy_uj, cpu_ns in self._recent:
            over = cleared[booked]
            energy_uj[over] = cpu_ns[over] = 0

    def ranks(self, slots: list[int]) -> list[float]:
        ranks: list[float] = self._rank[slots].tolist()
        return ranks

    def powers_w(self) -> tuple[dict[int, float], float]:
        """Mean power over the last second or so by shown slot, and of all others together."""
        window_ns = sum(ns for ns, *_ in self._recent)
        if not window_ns:
            return {}, 0.0
        recent_uj = np.zeros(len(self._rank), np.int64)
        for _, slots, energy_uj, _ in self._recent:
            recent_uj[slots] += energy_uj
        shown = np.flatnonzero(self.shown)
        powers = dict(zip(shown.tolist(), (recent_uj[shown] * 1000 / window_ns).tolist(), strict=True))
        return powers, int(recent_uj.sum() - recent_uj[shown].sum()) * 1000 / window_ns

    def busy_cpus(self) -> dict[int, float]:
        """CPUs used over the same time by shown slot."""
        window_ns = sum(ns for ns, *_ in self._recent)
        recent_ns = np.zeros(len(self._rank), np.int64)
        for _, slots, _, cpu_ns in self._recent:
            recent_ns[slots] += cpu_ns
        shown = np.flatnonzero(self.shown)
        return dict(zip(shown.tolist(), (recent_ns[shown] / window_ns).tolist(), strict=True)) if window_ns else {}

    def state(self, used: int) -> dict[str, Any]:
        """Of the slots below `used`."""
        return {
            "energy_uj": self.energy_uj[:used].tolist(),
            "cpu_ns": self.cpu_ns[:used].tolist(),
            "rank": self._rank[:used].tolist(),
            "shown": self.shown[:used].tolist(),
            "sums": [self.other_energy_uj, self.other_cpu_ns, self.gone_energy_uj, self.gone_cpu_ns],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.other_energy_uj, self.other_cpu_ns, self.gone_energy_uj, self.gone_cpu_ns = state["sums"]
        self.energy_uj = np.array(state["energy_uj"], np.int64)
        self.cpu_ns = np.array(state["cpu_ns"], np.int64)
        self._rank = np.array(state["rank"], np.float64)
        self.shown = np.array(state["shown"], bool)

    def restore_sums(self, state: dict[str, Any]) -> None:
        """The totals without their owners, who are others by now."""
        self.other_energy_uj, self.other_cpu_ns, self.gone_energy_uj, self.gone_cpu_ns = state["sums"]
        self.gone_energy_uj += sum(state["energy_uj"])
        self.gone_cpu_ns += sum(state["cpu_ns"])
