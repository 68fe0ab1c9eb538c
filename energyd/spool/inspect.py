"""Looking at a spool from outside, while its owner goes on or is dead: nothing is locked, moved or changed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from energyd.service import statefile
from energyd.spool.cursor import Cursor
from energyd.spool.rows import Row
from energyd.spool.segments import Content, segments_in
from energyd.spool.spool import unpacked


class Summary(NamedTuple):
    """What is in a spool. `waiting`: samples not acknowledged yet; `damaged_bytes`: what is no record, a torn tail included."""

    files: int
    size_bytes: int
    rows: int
    samples: int
    first_ms: int | None
    last_ms: int | None
    waiting: int
    delivered: int
    dropped: dict[str, int]
    damaged_bytes: int


def rows(directory: Path, from_ms: int = 0, until_ms: int | None = None) -> Iterator[Row]:
    """The rows whose time is in [from_ms, until_ms], oldest first, of those that can be read."""
    for segment in segments_in(directory):
        for row in Content(segment.path).rows(0):
            if row.at_ms >= from_ms and (until_ms is None or row.at_ms <= until_ms):
                yield row


def summary(directory: Path, mark: Path) -> Summary:
    """What is in the spool; `mark`: where its owner, if it lives, says how far it is."""
    newest: dict[str, Any] = statefile.peek(mark) or {}
    count = samples = damaged = size_bytes = 0
    first_ms = last_ms = None
    segments = segments_in(directory)
    for segment in segments:
        content = Content(segment.path)
        size_bytes += segment.size
        damaged += sum(skipped.end - skipped.offset for skipped in content.damage)
        if content.progress is not None:
            newest = max(newest, unpacked(content.progress.payload), key=lambda state: state.get("serial", 0))
        for row in content.rows(0):
            count += 1
            samples += len(row.prefixes)
            first_ms, last_ms = row.at_ms if first_ms is None else first_ms, row.at_ms
    cursor = Cursor(newest.get("cursor"))
    return Summary(
        len(segments),
        size_bytes,
        count,
        samples,
        first_ms,
        last_ms,
        len(cursor.pending),
        newest.get("delivered", 0),
        newest.get("dropped", {}),
        damaged,
    )
