"""Between what is rendered and sent and the spool where it waits: ticks become rows, outcomes become acknowledgements.

Everything here runs in the one thread that a receiver has for its disk. Law: each sample of a tick is in the spool, or counted
under the reason why not; each row that is done with is acknowledged, and what was bad in it counted and written down.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from energyd.export.answers import OUT_OF_ORDER, TOO_OLD
from energyd.export.metric import FLOAT
from energyd.export.quarantine import Quarantine
from energyd.export.render import Series
from energyd.export.sender import Delivered
from energyd.service.clock import Clock, is_plausible
from energyd.spool import spool as reasons
from energyd.spool.rows import Row
from energyd.spool.spool import Spool
from energyd.units import NS_PER_MS, NS_PER_S

_LAST_MS: Final = "last_ms"
_REASON_OF: Final = {TOO_OLD: reasons.TOO_OLD, OUT_OF_ORDER: reasons.OUT_OF_ORDER}


class Spooling:
    """One receiver's. `ordered`: it takes samples of a series only in the order of time."""

    def __init__(
        self,
        spool: Spool,
        quarantine: Quarantine,
        *,
        ordered: bool,
        max_age_s: float,
        clock: Clock,
        complain: Callable[[str, str], None],
    ) -> None:
        self._spool = spool
        self._quarantine = quarantine
        self._ordered = ordered
        self._max_age_s = max_age_s
        self._clock = clock
        self._complain = complain
        self._series: tuple[list[Sequence[bytes]], Sequence[bytes]] = ([], ())
        self._last: Row | None = None  # the row that was done with last

    def append(self, real_ns: int, series: Sequence[Series]) -> None:
        """Append the row of one tick, unless its time cannot be right."""
        at_ms, last_ms = real_ns // NS_PER_MS, self._spool.notes.get(_LAST_MS, 0)
        if not is_plausible(real_ns / NS_PER_S):
            self._refuse(series, "waiting, because the clock says a date before 2024 or after 2099")
        elif at_ms < last_ms and self._ordered:
            self._refuse(series, f"the clock was set back by {(last_ms - at_ms) / 1000:.0f} s; remote write has to wait for it")
        elif at_ms != last_ms:
            self._spool.note(_LAST_MS, at_ms)
            values = np.array([value for one in series for value in floats(one)], np.float64)
            self._spool.append(at_ms, self._prefixes(series), values)

    def next_rows(self, lo: int, below: int, samples_max: int) -> list[Row]:
        """The next rows that wait in [lo, below); what turns out to be damaged or too old on the way is given up.

        Raises OSError when a file cannot be read now.
        """
        for waiting, hi in list(self._spool.cursor.pending):
            begin, end = max(lo, waiting), min(hi, below)
            while begin < end:
                rows = self._spool.read(begin, end, samples_max)
                first = rows[0].first if rows else end
                if first > begin:
                    self._spool.give_up(begin, first, reasons.DAMAGED)
                    self._complain(reasons.DAMAGED, f"{first - begin} samples in the spool are damaged and skipped")
                if young := self._young(rows):
                    return young
                begin = rows[-1].end if rows else end
        return []

    def before(self, first: int) -> Row | None:
        """The row that ends where `first` begins, as far as it is known: what was in it and is not in the next has vanished."""
        if self._last is not None and self._last.end == first:
            return self._last
        return self._spool.before(first)

    def settle(self, delivered: Delivered) -> None:
        """Write down what the receiver has, and what it will never take."""
        begin = end = delivered.done[0][0].first
        for row, bad in delivered.done:
            if row.first != end or (bad and bad[0].series is not None):  # what is bad without a place may be in any row before
                self._acknowledge(begin, end)
                begin = row.first
            end = row.end
            if bad:
                counts: dict[str, int] = {}
                for sample in bad:
                    reason = _REASON_OF.get(sample.outcome.verdict, reasons.REFUSED)
                    counts[reason] = counts.get(reason, 0) + sample.samples
                self._spool.acknowledge(begin, end, counts)
                self._complain(next(iter(counts)), f"{sum(counts.values())} samples are given up: {bad[0].outcome.fault}")
                self._quarantine.add([sample for sample in bad if sample.outcome.verdict not in _REASON_OF])
                begin = end
        self._acknowledge(begin, end)
        self._last = delivered.done[-1][0]

    def _refuse(self, series: Sequence[Series], why: str) -> None:
        self._spool.dropped[reasons.CLOCK] += sum(len(one.prefixes) for one in series)
        self._complain(reasons.CLOCK, why)

    def _prefixes(self, series: Sequence[Series]) -> Sequence[bytes]:
        """All series in one list, which is the same list as last time when they are the same series."""
        lists = [one.prefixes for one in series]
        known, prefixes = self._series
        if len(lists) != len(known) or any(now is not before for now, before in zip(lists, known, strict=True)):
            prefixes = [prefix for one in lists for prefix in one]
            self._series = lists, prefixes
        return prefixes

    def _young(self, rows: list[Row]) -> list[Row]:
        """`rows` without those that are older than anybody wants."""
        oldest_ms = round(self._clock.real_ns() / NS_PER_MS - self._max_age_s * 1000)
        old = [row for row in rows if row.at_ms < oldest_ms]
        for row in old:
            self._spool.give_up(row.first, row.end, reasons.TOO_OLD)
        return [row for row in rows if row.at_ms >= oldest_ms] if old else rows

    def _acknowledge(self, lo: int, hi: int) -> None:
        if lo < hi:
            self._spool.acknowledge(lo, hi)


def floats(series: Series) -> Sequence[float]:
    """The values in the unit of the metric, each the float nearest to what is exposed."""
    decimals = series.metric.decimals
    if decimals in (0, FLOAT):
        return series.values
    one = 10**decimals
    return [value / one for value in series.values]
