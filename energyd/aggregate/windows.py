"""Quantiles, mean and maximum of a power over sliding windows of 1 m, 5 m, 15 m, 1 h and 24 h.

One value a second, kept as the number of its bin: bins grow by 1 %, so a quantile is within 0.5 % of the true one however the
values lie (a rank-error sketch is off by a quarter where loads come in levels). A window is a histogram that adds the new second
and subtracts the expired one; 24 h of one power take 170 kB.
"""

import math
import zlib
from typing import Any, Final

import numpy as np

from energyd.aggregate.snapshot import Window

WINDOWS_S: Final = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "24h": 86400}
QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)

_GROWTH: Final = 1.01
_LOG_GROWTH: Final = math.log(_GROWTH)
_LOWEST_W: Final = 0.01  # everything below is bin 1, which reads as 0
_BINS: Final = 2 + math.ceil(math.log(10_000_000 / _LOWEST_W) / _LOG_GROWTH)  # to 10 MW
_MISSING: Final = 0
_LONGEST_S: Final = max(WINDOWS_S.values())
_middles_w = np.concatenate(([np.nan, 0.0], _LOWEST_W * _GROWTH ** (np.arange(_BINS - 2) + 0.5)))


class PowerWindows:
    """The windows of one power, fed with its mean over each whole second of its own clock."""

    def __init__(self) -> None:
        self._bins = np.zeros(_LONGEST_S, np.uint16)  # by second modulo a day
        self._histograms = {name: np.zeros(_BINS, np.int32) for name in WINDOWS_S}
        self._next_s: int | None = None  # the second that comes next
        self._shown: tuple[Window, ...] | None = None  # of the last second, for all who ask within one

    def add(self, second: int, power_w: float) -> None:
        """The mean power within [second, second + 1) s. Seconds left out count as not measured, earlier ones not at all."""
        if self._next_s is None:
            self._next_s = second
        if second < self._next_s:
            return
        self._shown = None
        if second - self._next_s >= _LONGEST_S:
            self._bins[:] = _MISSING
            for histogram in self._histograms.values():
                histogram[:] = 0
            self._next_s = second
        while self._next_s < second:
            self._put(self._next_s, _MISSING)
            self._next_s += 1
        self._put(second, _bin_of(power_w))
        self._next_s = second + 1

    def _put(self, second: int, number: int) -> None:
        for name, length_s in WINDOWS_S.items():
            histogram = self._histograms[name]
            histogram[self._bins[(second - length_s) % _LONGEST_S]] -= 1  # what falls out; the bin of the missing is not read
            histogram[number] += 1
        self._bins[second % _LONGEST_S] = number

    def windows(self) -> tuple[Window, ...]:
        """Every window in which anything was measured, up to the last second that was added."""
        if self._shown is None:
            self._shown = tuple(window for window in map(self._window, WINDOWS_S) if window is not None)
        return self._shown

    def _window(self, name: str) -> Window | None:
        counts = self._histograms[name][1:]
        cumulated = np.cumsum(counts)
        seconds = int(cumulated[-1])
        if not seconds:
            return None
        ranks = np.ceil(np.array(QUANTILES) * seconds)
        positions = np.searchsorted(cumulated, ranks)
        return Window(
            name=name,
            seconds=seconds,
            quantiles_w=tuple(zip(QUANTILES, _middles_w[positions + 1].tolist(), strict=True)),
            mean_w=float(counts @ _middles_w[1:]) / seconds,
            max_w=float(_middles_w[np.flatnonzero(counts)[-1] + 1]),
        )

    def state(self) -> dict[str, Any]:
        return {"bins": zlib.compress(self._bins.tobytes(), 1), "next_s": self._next_s}

    def restore(self, state: dict[str, Any]) -> None:
        self._bins = np.frombuffer(zlib.decompress(state["bins"]), np.uint16).copy()
        self._next_s, self._shown = state["next_s"], None
        if self._next_s is None:
            return
        for name, length_s in WINDOWS_S.items():
            seconds = np.arange(self._next_s - length_s, self._next_s) % _LONGEST_S
            self._histograms[name] = np.bincount(self._bins[seconds], minlength=_BINS).astype(np.int32)


def _bin_of(power_w: float) -> int:
    if power_w < _LOWEST_W:
        return 1
    return min(_BINS - 1, 2 + int(math.log(power_w / _LOWEST_W) / _LOG_GROWTH))
