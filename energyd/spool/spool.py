"""The spool of one receiver: what was rendered for it stays until it has acknowledged it, on disk, and while it is young in memory.

A row is written when it is made and reaches the disk with the next commit, so that the death of the process costs at most the row
in the making and the death of the machine one commit. How far the receiver is stands in two places: in a mark in memory (tmpfs),
written at each step, and in the files, written at each commit; the younger counts. Nothing here waits for a disk but the calls
themselves: they belong into a thread of their own.

Law: a sample that was appended is delivered, or counted as dropped with the reason; both counts outlive the process. A disk that
is full, read-only or not there is said and counted, and what is rendered meanwhile waits in memory.
"""

import errno
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgpack

from energyd.errors import EnvironmentFault
from energyd.service import statefile
from energyd.service.clock import Clock
from energyd.spool.cursor import Cursor
from energyd.spool.format import PROGRESS, pack
from energyd.spool.rows import Row, RowEncoder, Values
from energyd.spool.segments import Content, Segment, Segments, Unsynced
from energyd.units import NS_PER_MS, NS_PER_S

SPOOL_FULL: Final = "spool_full"
TOO_OLD: Final = "too_old"
DAMAGED: Final = "damaged"
UNWRITTEN: Final = "unwritten"
REFUSED: Final = "refused"
OUT_OF_ORDER: Final = "out_of_order"
CLOCK: Final = "clock"
REASONS: Final = (SPOOL_FULL, TOO_OLD, DAMAGED, UNWRITTEN, REFUSED, OUT_OF_ORDER, CLOCK)

MEMORY_BYTES: Final = 8 << 20
SEGMENT_BYTES: Final = 4 << 20
SEGMENTS_MIN: Final = 16  # so that dropping the oldest file drops a small part of what waits
WRITE_AGAIN_S: Final = 5  # a disk that refused is not asked at every tick
_SAMPLE_BYTES: Final = 16  # of a row in memory: the value, and the reference to its series


def mark_file(run_dir: Path, name: str) -> Path:
    """Where the spool of the receiver `name` writes down each step."""
    return run_dir / f"push-{name}.mark"


class Limits(NamedTuple):
    max_bytes: int
    max_age_s: float
    sync: bool = True
    memory_bytes: int = MEMORY_BYTES


class Spool:
    """One receiver's samples. Not for two threads at once."""

    def __init__(self, directory: Path, mark: Path, limits: Limits, clock: Clock, complain: Callable[[str, str], None]) -> None:
        """`mark`: a file on a tmpfs. `complain(kind, message)` is told what the disk does. EnvironmentFault: somebody else's."""
        self._mark = mark
        self._limits = limits
        self._clock = clock
        self._complain = complain
        segment_bytes = min(SEGMENT_BYTES, limits.max_bytes // SEGMENTS_MIN)
        self._segments = Segments(directory, segment_bytes, limits.sync)
        self._encoder = RowEncoder()
        self._recent: deque[Row] = deque()
        self._recent_bytes = 0
        self._content: tuple[Segment, Content] | None = None
        self._again_s = 0.0
        self._unread = False  # there may be files whose numbers nobody knows
        self._committed = 0  # the serial of the progress that the files hold
        self.fault = ""
        self.notes: dict[str, Any] = {}  # what the owner wants to find again after a restart
        self.appended_ns: int | None = None  # monotonic, the last row, or that of a process of this boot that died; None: closed
        self.dropped = dict.fromkeys(REASONS, 0)
        self.delivered = self.replayed = 0
        self._load()
        self.backlog = len(self.cursor.pending)  # for those who ask from another thread
        self._written = self._committing = self._synced = self.cursor.end  # everything before is on disk, or given up

    @property
    def size_bytes(self) -> int:
        return self._segments.size_bytes

    @property
    def writes(self) -> int:
        return self._segments.writes

    @property
    def written_bytes(self) -> int:
        return self._segments.written_bytes

    def append(self, at_ms: int, prefixes: Sequence[bytes], values: Values) -> None:
        """Take the samples of one tick; what cannot be kept is counted, never raised."""
        row = Row(self.cursor.end, at_ms, prefixes, values)
        self.cursor.appended(row.end)
        self.appended_ns = self._clock.mono_ns()
        self._recent.append(row)
        self._recent_bytes += _SAMPLE_BYTES * len(prefixes)
        self._save_mark()  # before the file: so a death in between is counted
        self._write()
        self._trim()

    def read(self, lo: int, hi: int, samples_max: int) -> list[Row]:
        """The rows that begin in [lo, hi), as many as hold `samples_max` and at least one; [] when none of them is there.

        Raises OSError when a file cannot be read now.
        """
        rows: list[Row] = []
        size = 0
        source = self._in_memory if self._recent and lo >= self._recent[0].first else self._on_disk
        for row in takewhile(lambda row: row.first < hi, source(lo)):
            if rows and size + len(row.prefixes) > samples_max:
                break
            rows.append(row)
            size += len(row.prefixes)
        return rows

    def before(self, first: int) -> Row | None:
        """The row that ends where `first` begins, if it is still there."""
        for row in reversed(self._recent):
            if row.end == first:
                return row
        content = self._content_of(self._segments.reaching(first - 1)[0]) if self._segments.all() else None
        return content.before(first) if content else None

    def acknowledge(self, lo: int, hi: int, bad: Mapping[str, int] | None = None) -> None:
        """The receiver has [lo, hi), but for `bad` samples of it, which are given up by reason."""
        taken, again = self.cursor.acknowledge(lo, hi, self._now_ms())
        fresh = taken - again
        for reason, count in (bad or {}).items():
            lost = min(count, fresh)
            self.dropped[reason] += lost
            fresh -= lost
        self.delivered += fresh
        self.replayed += again
        self._save_mark()
        self._trim()

    def safe(self, until_ms: int) -> None:
        """What was acknowledged before `until_ms` cannot be lost by the receiver any more."""
        self.cursor.forget_before(until_ms)
        self._trim()

    def give_up(self, lo: int, hi: int, reason: str) -> int:
        """[lo, hi) will not be delivered; returns how many samples that costs."""
        lost = self.cursor.give_up(lo, hi)
        self.dropped[reason] += lost
        self._save_mark()
        self._trim()
        return lost

    def replay(self, until_ms: int, keep_ms: int, last_ms: int | None = None) -> int:
        """As `Cursor.replay`."""
        count = self.cursor.replay(until_ms, keep_ms, last_ms)
        self._save_mark()
        return count

    def note(self, key: str, value: Any) -> Any:
        """Keep `value` beyond a restart; returns what was kept before, None if nothing was."""
        before, self.notes[key] = self.notes.get(key), value
        return before

    def commit(self) -> int | None:
        """Write down how far the receiver is; returns a descriptor to sync and close, None when there is nothing to sync."""
        self._write()
        if self._segments.offset is None or self._serial == self._committed:
            return None
        try:
            self._segments.append(pack(PROGRESS, self.cursor.end, 0, 0, 0, self._progress()), self._now_s())
        except OSError as error:
            self._not_written(error)
            return None
        self._committed = self._serial
        self._committing = self._written
        return self._segments.duplicate() if self._limits.sync else None

    def synced(self, error: OSError | None) -> None:
        """What came of syncing the last commit. After an error nobody knows which bytes are there: they are written once more."""
        if error is None:
            self._synced = max(self._synced, self._committing)  # a file that was left meanwhile is synced further
            return
        self._segments.set_aside()
        self._rewind()
        self._failed(error)

    def close(self) -> None:
        """Everything to the disk, which is waited for."""
        self.appended_ns = None
        self._save_mark()
        self.commit()
        try:
            self._segments.close()
        except OSError as error:
            self._failed(error)

    def _load(self) -> None:
        """Take over what an earlier process has left."""
        self._serial = 0
        self.cursor = Cursor()
        try:
            segments = self._segments.open()
            saved, disk_end = self._last_progress(segments)
        except OSError as error:
            self._failed(error)
            self._unread = True
            segments, saved, disk_end = [], {}, 0
        mark = self._load_mark()
        self.appended_ns = mark.get("appended_ns")
        newest = max(saved, mark, key=lambda state: state.get("serial", 0))
        if newest:
            self._serial = newest.get("serial", 0)
            self.cursor = Cursor(newest.get("cursor"))
            self.notes = newest.get("notes", {})
            self.dropped |= newest.get("dropped", {})
            self.delivered, self.replayed = newest.get("delivered", 0), newest.get("replayed", 0)
        elif segments:
            self.cursor.end = segments[0].first
        if disk_end > self.cursor.end:
            self.cursor.appended(disk_end)
        else:
            self.dropped[UNWRITTEN] += self.cursor.give_up(disk_end, self.cursor.end)

    def _last_progress(self, segments: Sequence[Segment]) -> tuple[dict[str, Any], int]:
        """The youngest progress in the files, {} without one, and the ordinal behind the last row."""
        end = None
        for segment in reversed(segments):
            content = Content(segment.path)
            end = (content.end or segment.first) if end is None else end
            if content.progress is not None:
                return unpacked(content.progress.payload), end
        return {}, end or 0

    def _load_mark(self) -> dict[str, Any]:
        try:
            return statefile.load(self._mark) or {}
        except (EnvironmentFault, statefile.DamagedState) as fault:
            self._complain(str(self._mark), str(fault))
            return {}

    def _state(self) -> dict[str, Any]:
        return {
            "cursor": self.cursor.state(),
            "notes": self.notes,
            "dropped": self.dropped,
            "delivered": self.delivered,
            "replayed": self.replayed,
        }

    def _progress(self) -> bytes:
        packed = msgpack.packb({"serial": self._serial, **self._state()})
        assert isinstance(packed, bytes), "BUG: msgpack did not give bytes"
        return packed

    def _save_mark(self) -> None:
        self._serial += 1
        self.backlog = len(self.cursor.pending)
        try:
            self._mark.parent.mkdir(parents=True, exist_ok=True)
            statefile.save(self._mark, {"serial": self._serial, "appended_ns": self.appended_ns, **self._state()})
        except (EnvironmentFault, OSError) as fault:
            self._complain(str(self._mark), str(fault))

    def _write(self) -> None:
        """Write what waits in memory, oldest first; after a failure not before WRITE_AGAIN_S."""
        if not self._recent or self._recent[-1].end <= self._written or (self.fault and self._now_s() < self._again_s):
            return
        for row in [row for row in self._recent if row.first >= self._written]:
            try:
                if self._segments.due:
                    self._set_apart()
                    self._segments.begin(row.first)  # which has synced the file before
                    self._synced = self._written
                    self._encoder.forget()
                    self._segments.append(pack(PROGRESS, row.first, 0, 0, 0, self._progress()), self._now_s())
                self._segments.append(self._encoder.encode(row, self._segments.offset or 0), self._now_s())
            except OSError as error:
                self._not_written(error)
                return
            self._written = row.end
        if self.fault:
            self.fault = ""
            self._complain("writable", f"{self._segments.directory}: the disk takes samples again")

    def _set_apart(self) -> None:
        """What could not be read at the start must not be mixed with, let alone overwritten by, what has other numbers."""
        if self._unread:
            apart = self._segments.set_apart()
            self._unread = False
            if apart is not None:
                advice = f"`energyd spool replay {apart.name} --to URL` sends them"
                self._complain("apart", f"{apart}: samples from before, which could not be read at the start; {advice}")

    def _not_written(self, error: OSError) -> None:
        """A write has failed, which may tell of those before it, too."""
        if isinstance(error, Unsynced) or error.errno == errno.EIO:
            self._rewind()
        self._failed(error)

    def _rewind(self) -> None:
        """Write again what was written since the last sync, as far as memory has it."""
        in_memory = self._recent[0].first if self._recent else self.cursor.end
        self._written = min(self._written, max(self._synced, in_memory))
        self._committing = min(self._committing, self._written)  # a sync that is under way tells nothing of what is written again

    def _failed(self, error: OSError) -> None:
        self.fault = error.strerror or str(error)
        self._again_s = self._now_s() + WRITE_AGAIN_S
        self._complain(
            self.fault,
            f"{self._segments.directory}: samples cannot be written ({self.fault}); free space or make it writable; "
            f"until then they wait in memory, at most {self._limits.memory_bytes >> 20} MiB",
        )

    def _trim(self) -> None:
        """Let go of what nobody wants any more, then of the oldest until the bounds hold."""
        floor = self.cursor.floor()
        while self._recent and (self._recent[0].end <= floor or self._recent_bytes > self._limits.memory_bytes):
            row = self._recent.popleft()
            self._recent_bytes -= _SAMPLE_BYTES * len(row.prefixes)
            if row.first >= self._written:
                self.dropped[UNWRITTEN] += self.cursor.give_up(row.first, row.end)
                self._written = row.end
        try:
            self._trim_files(floor)
        except OSError as error:
            self._failed(error)

    def _trim_files(self, floor: int) -> None:
        oldest_s = self._now_s() - self._limits.max_age_s
        while len(every := self._segments.all()) > 1:
            oldest, end = every[0], every[1].first
            if end > floor:
                if oldest.written_s >= oldest_s and self._segments.size_bytes <= self._limits.max_bytes:
                    return
                self.dropped[TOO_OLD if oldest.written_s < oldest_s else SPOOL_FULL] += self.cursor.give_up(oldest.first, end)
            self._segments.remove_oldest()

    def _in_memory(self, lo: int) -> Iterator[Row]:
        return iter([row for row in self._recent if row.first >= lo])

    def _on_disk(self, lo: int) -> Iterator[Row]:
        """The rows from `lo` on, over the ends of files; at last those that are only in memory."""
        for segment in self._segments.reaching(lo):
            content = self._content_of(segment)
            for row in content.rows(lo) if content else ():
                yield row
                lo = row.end
        yield from self._in_memory(lo)

    def _content_of(self, segment: Segment) -> Content | None:
        """What is in the file, None when somebody has removed it; raises OSError. The file that was read last is kept."""
        if self._content is not None and self._content[0] == segment:
            return self._content[1]
        try:
            self._content = segment, Content(segment.path)
        except FileNotFoundError:
            return None
        return self._content[1]

    def _now_s(self) -> float:
        return self._clock.real_ns() / NS_PER_S

    def _now_ms(self) -> int:
        return self._clock.real_ns() // NS_PER_MS


def unpacked(payload: bytes) -> dict[str, Any]:
    """What a record of PROGRESS holds; {} when it is not what this version writes."""
    state = msgpack.unpackb(payload, strict_map_key=False)
    return state if isinstance(state, dict) else {}
