"""Joins rings and engine: what each ring brings goes where it is understood, and what reading it has cost is counted."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from energyd import samples
from energyd.aggregate.engine import Engine
from energyd.aggregate.readers import ReaderBook
from energyd.aggregate.snapshot import Ring
from energyd.ring.reader import Cursor, RingReader

METER_RING_PREFIX = "tic-"

FeedRecords = Callable[[Any], None]
TakeLabel = Callable[[int, dict[str, Any]], None]
ForgetLabels = Callable[[], None]


class Follower:
    """One ring on its way into the engine."""

    def __init__(
        self,
        reader: RingReader,
        book: ReaderBook,
        feed: FeedRecords,
        label: TakeLabel | None = None,
        forget_labels: ForgetLabels | None = None,
    ) -> None:
        self.reader = reader
        self._book = book
        self._feed = feed
        self._label = label
        self._forget_labels = forget_labels
        self.replaced = False  # a successor is followed since this was last set back

    def pull(self) -> bool:
        """Take over what has come since the last call; true if there was anything."""
        drained = self.reader.poll()
        self.replaced |= drained.rotated
        if drained.rotated and self._forget_labels:
            self._forget_labels()
        for identifier, entry in self.reader.labels():
            if self._label:
                self._label(identifier, entry)
        self._book.overruns += drained.overruns
        self._book.refused += drained.refused
        if len(drained.records):
            self._feed(drained.records)
            self._book.fold(drained.records)
        return bool(len(drained.records)) or drained.rotated


def from_first_label(cursors: dict[str, Any], name: str) -> dict[str, Any]:
    """The cursors with which the labels of ring `name` are read once more from the beginning, its records as they come."""
    if name not in cursors:
        return cursors
    cursor = Cursor(*cursors[name])
    return {**cursors, name: list(cursor._replace(labels_offset=0))}


class Feed:
    """All rings of `run_dir`. Energy is pulled before usage, so that an interval finds the energy of its own time."""

    def __init__(self, run_dir: Path, engine: Engine, cursors: dict[str, Any] | None = None) -> None:
        self._engine = engine
        self._followers: dict[str, Follower] = {}
        zones, usage = engine.zones, engine.usage
        rings: list[tuple[str, samples.Schema, FeedRecords, TakeLabel | None, ForgetLabels | None]] = [
            ("rapl", samples.RAPL, engine.feed_energy, zones.label, zones.forget_labels),
            ("usage", samples.USAGE, engine.feed_usage, usage.label, usage.forget_labels),
        ]
        rings += [(METER_RING_PREFIX + name, samples.TIC, meter.fold, None, None) for name, meter in engine.meters.items()]
        for name, schema, feed, label, forget in rings:
            cursor = (cursors or {}).get(name)
            reader = RingReader(run_dir, name, schema, Cursor(*cursor) if cursor else None)
            book = engine.readers.setdefault(name, ReaderBook(schema.name))
            self._followers[name] = Follower(reader, book, feed, label, forget)

    def pull(self) -> None:
        """Everything that is in the rings now, then attribution of what it completes."""
        for follower in self._followers.values():
            while follower.pull():
                pass
        self._engine.attribute()

    def any_replaced(self) -> bool:
        """Whether a ring is followed that took the place of another since the last question."""
        replaced = [follower for follower in self._followers.values() if follower.replaced]
        for follower in replaced:
            follower.replaced = False
        return bool(replaced)

    def faults(self) -> Iterable[str]:
        """Why some rings cannot be read, with the mend."""
        return [follower.reader.fault for follower in self._followers.values() if follower.reader.fault]

    def cursors(self) -> dict[str, Any]:
        return {name: list(follower.reader.cursor) for name, follower in self._followers.items() if follower.reader.cursor}

    def rings(self, mono_ns: int) -> tuple[Ring, ...]:
        """What the Snapshot says of each ring."""
        return tuple(self._ring(name, follower.reader, mono_ns) for name, follower in self._followers.items())

    def _ring(self, name: str, reader: RingReader, mono_ns: int) -> Ring:
        header, book = reader.header, self._engine.readers[name]
        return Ring(
            name=name,
            samples=book.samples,
            overruns=book.overruns,
            refused=book.refused,
            heartbeat_age_ns=max(0, mono_ns - header.heartbeat_ns) if header else None,
            writer_pid=header.writer_pid if header else 0,
            counters=book.counters,
            newest_mono_ns=book.newest_ns,
        )
