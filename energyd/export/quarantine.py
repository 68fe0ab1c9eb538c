"""The samples that a receiver will never take, kept in a text file so that somebody can see why.

Each is a line as it could be imported, behind a comment with the receiver's words. Law: the file never grows beyond BYTES_MAX; when
it is full it becomes NAME.1 and a new one is begun. Raises nothing: what cannot be written is said.
"""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from energyd.export.sieve import Bad
from energyd.service.clock import Clock
from energyd.units import NS_PER_S

BYTES_MAX: Final = 1 << 20
FILE: Final = "quarantine.txt"


class Quarantine:
    """The file in the directory of a spool."""

    def __init__(self, directory: Path, clock: Clock, complain: Callable[[str, str], None]) -> None:
        self.path = directory / FILE
        self._clock = clock
        self._complain = complain

    def add(self, samples: Sequence[Bad]) -> None:
        """Write `samples` down; none make no file."""
        if not samples:
            return
        now = datetime.fromtimestamp(self._clock.real_ns() // NS_PER_S, UTC).isoformat()
        lines = []
        words = ""
        for row, series, outcome, count in samples:
            if outcome.fault != words:
                words = outcome.fault
                lines.append(f"# {now} {words}\n")
            if series is None:
                lines.append(f"# {count} samples up to {row.at_ms}; the receiver does not tell which\n")
            else:
                lines.append(f"{row.prefixes[series].decode()}{float(row.values[series])!r} {row.at_ms}\n")
        try:
            self._append("".join(lines).encode()[:BYTES_MAX])
        except OSError as error:
            self._complain("quarantine", f"{self.path}: {len(samples)} refused samples cannot be written down ({error.strerror})")

    def _append(self, text: bytes) -> None:
        if self.path.exists() and self.path.stat().st_size + len(text) > BYTES_MAX:
            self.path.replace(self.path.with_name(FILE + ".1"))
        with open(self.path, "ab", opener=lambda name, flags: os.open(name, flags, 0o640)) as file:
            file.write(text)
