"""Spools in directories of their own, and a clock that stands still."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from energyd.spool.rows import Row
from energyd.spool.spool import Limits, Spool

START_MS = 1_795_162_354_000


class StoppedClock:
    def __init__(self) -> None:
        self.real = START_MS * 1_000_000

    def mono_ns(self) -> int:
        return self.real

    def real_ns(self) -> int:
        return self.real

    def sleep_until_ns(self, mono_ns: int) -> None:
        self.real = max(self.real, mono_ns)

    def turn(self, seconds: float) -> None:
        self.real += round(seconds * 1e9)


class World:
    """The spool of one receiver in `place`, opened again and again."""

    def __init__(self, place: Path, **limits: float) -> None:
        self.place = place
        self.clock = StoppedClock()
        self.said: list[str] = []
        self.limits = Limits(**{"max_bytes": 1 << 24, "max_age_s": 86400.0, **limits})  # type: ignore[arg-type]
        self.prefixes = [b'm{i="%d"} ' % i for i in range(10)]
        self._ticks = 0

    @property
    def directory(self) -> Path:
        return self.place / "spool"

    def open(self) -> Spool:
        return Spool(
            self.directory, self.place / "run" / "mark", self.limits, self.clock, lambda _kind, message: self.said.append(message)
        )

    def fill(self, spool: Spool, rows: int, prefixes: Sequence[bytes] | None = None) -> None:
        """Append rows, a second apart; the value of a sample is its ordinal."""
        prefixes = self.prefixes if prefixes is None else prefixes
        for _ in range(rows):
            self._ticks += 1
            values = np.arange(spool.cursor.end, spool.cursor.end + len(prefixes), dtype=float)
            spool.append(START_MS + 1000 * self._ticks, prefixes, values)

    def kill(self, spool: Spool) -> None:
        """What SIGKILL leaves: files as they are, the lock free."""
        spool._segments._sync = False
        spool._segments.set_aside()
        spool._segments.close()

    def files(self) -> list[Path]:
        return sorted(self.directory.glob("*.spool"))


def read_all(spool: Spool, most: int = 10**9) -> list[Row]:
    """Every row that waits, oldest first, skipping what cannot be read."""
    rows: list[Row] = []
    for lo, hi in list(spool.cursor.pending):
        rows += spool.read(lo, hi, most)
    return rows


def good(rows: Sequence[Row]) -> bool:
    """Whether each sample of the rows has its ordinal as its value."""
    return all(row.values.tolist() == list(range(row.first, row.end)) for row in rows)
