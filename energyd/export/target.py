"""One receiver: its ticks go into its spool, its batches out of it.

Every `resolution` what is rendered becomes a row of the spool; every `interval` the rows since the last time may go. A receiver of
remote write gets its rows strictly in their order. VictoriaMetrics takes samples in any order, so what is fresh goes first, in a
lane of its own, while what waited during an outage drains beside it.

Law: nothing in here blocks the event loop: disk, compression and encoding have a thread; nothing that a receiver, a network or a
disk does ends it. Nothing is rendered for a receiver while the machine's clock cannot be right: what is stored under a wrong date
cannot be found again.
"""

import asyncio
import logging
import math
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
import numpy as np

from energyd.config import Push
from energyd.config import Spool as SpoolSettings
from energyd.export import pushmetrics as metrics
from energyd.export.delivery import OUT_OF_ORDER, TOO_OLD
from energyd.export.gate import Gate
from energyd.export.metric import FLOAT, Metric
from energyd.export.quarantine import Quarantine
from energyd.export.render import Series
from energyd.export.restarts import RESTARTS, Restarts
from energyd.export.sender import BATCHES, BYTES, FAILURES, MARKERS, SENT, TEXT, Delivered, Sender
from energyd.export.sender import COUNTS as SENDER_COUNTS
from energyd.export.served import Served
from energyd.service.clock import Clock
from energyd.service.log import DistinctFaults
from energyd.spool import spool as reasons
from energyd.spool.rows import Row
from energyd.spool.spool import SPOOL_DIR, Limits, Spool, mark_file
from energyd.units import NS_PER_S

PLAUSIBLE_NS: Final = 1_704_067_200 * NS_PER_S  # 2024-01-01: an earlier date is that of a machine without a clock
COMMIT_MIN_S: Final = 5.0  # between two syncs, unless each tick has one
COMMIT_MAX_S: Final = 60.0
DISK_AGAIN_S: Final = 5.0  # after a file that could not be read
ANSWER_S: Final = 0.5  # that a request which is under way may take when we stop
MISSED_TICKS: Final = "missed_ticks"
SYNCS: Final = "syncs"
COUNTS: Final = (*SENDER_COUNTS, RESTARTS, MISSED_TICKS, SYNCS)  # all, so that the map never changes size
_NS_PER_MS: Final = 1_000_000
_REASON_OF: Final = {TOO_OLD: reasons.TOO_OLD, OUT_OF_ORDER: reasons.OUT_OF_ORDER}

Result = TypeVar("Result")


class Target:
    """One receiver, its spool and what has become of its samples. EnvironmentFault when another energyd has the spool."""

    def __init__(
        self,
        settings: Push,
        spool: SpoolSettings,
        state_dir: Path,
        run_dir: Path,
        version: str,
        clock: Clock,
        logger: logging.Logger,
    ) -> None:
        self.name = settings.name
        self._settings = settings
        self._clock = clock
        self._logger = logger
        self._faults = DistinctFaults(logger.warning, clock.mono_ns)
        self._wanted = re.compile(settings.match).fullmatch if settings.match else (lambda _name: True)
        self._fsync = spool.fsync
        self._max_age_s = spool.max_age_s
        self._thread = ThreadPoolExecutor(1, f"push-{settings.name}")
        directory = state_dir / SPOOL_DIR / settings.name
        limits = Limits(spool.max_bytes, spool.max_age_s, spool.fsync != "never")
        self.spool = Spool(directory, mark_file(run_dir, settings.name), limits, clock, self._complain)
        self.counts = self.spool.notes["counts"] = {**dict.fromkeys(COUNTS, 0), **self.spool.notes.get("counts", {})}
        self.sender = Sender(settings, version, clock, self._in_thread, self.counts)
        self.sender.doubtful_end = self.spool.cursor.end
        self.restarts = Restarts(self.sender.delivery, self.spool, spool.keep_s, clock, self._in_thread, logger, self.counts)
        self._quarantine = Quarantine(directory, clock, self._complain)
        self._gate = Gate()
        self._wake = asyncio.Event()
        self._requests: set[asyncio.Task[bool]] = set()
        self._released = self.spool.cursor.end  # the backlog is what waits below
        self._series: tuple[list[Sequence[bytes]], Sequence[bytes]] = ([], ())
        self._last: Row | None = None  # the row that was done with last
        self.last_success_ns: int | None = None

    async def run(self, served: Served) -> None:
        """Render and send until cancelled; then everything goes to the disk, and nothing more to the network."""
        try:
            async with self.sender.delivery.session() as session:
                try:
                    async with asyncio.TaskGroup() as tasks:
                        for task in (
                            self._ticks(served),
                            self._commits(),
                            self._fresh(session),
                            self._backlog(session),
                            self._look(session),
                        ):
                            tasks.create_task(task)
                finally:
                    await self._answers()
        finally:
            await self._in_thread(self.spool.close)
            self._thread.shutdown(wait=False)

    def state(self) -> metrics.State:
        """What the metrics tell of it."""
        spool, counts = self.spool, self.counts
        values: dict[Metric, int | None] = {
            metrics.RENDERED: spool.cursor.end,
            metrics.SAMPLES: spool.delivered,
            metrics.SENT: counts[SENT],
            metrics.REPLAYED: spool.replayed,
            metrics.MARKERS: counts[MARKERS],
            metrics.BATCHES: counts[BATCHES],
            metrics.BYTES: counts[BYTES],
            metrics.FAILURES: counts[FAILURES],
            metrics.MISSED_TICKS: counts[MISSED_TICKS],
            metrics.RESTARTS: counts[RESTARTS],
            metrics.THROWN_AWAY: self.restarts.thrown_away,
            metrics.BACKLOG: spool.backlog,
            metrics.SPOOL_SIZE: spool.size_bytes,
            metrics.SPOOL_WRITABLE: int(not spool.fault),
            metrics.SPOOL_WRITES: spool.writes,
            metrics.SPOOL_WRITTEN: spool.written_bytes,
            metrics.SPOOL_SYNCS: counts[SYNCS],
            metrics.LAST_SUCCESS: self.last_success_ns,
        }
        return metrics.State(self.name, values, spool.dropped)

    async def tick(self, served: Served) -> None:
        """Put everything that is wanted of the current Snapshot into the spool, if there is one and its time can be right."""
        current = served.rendered()
        if current is None:
            return
        snapshot, rendered = current
        series = [one for one in rendered.series if self._wanted(one.metric.name)]
        if series:
            await self._in_thread(self._append, snapshot.real_ns, series)
            if self._fsync == "tick":
                await self._sync()

    async def _ticks(self, served: Served) -> None:
        """A tick at every multiple of the resolution, so that those of several receivers share a rendering."""
        loop, resolution_s = asyncio.get_running_loop(), self._settings.resolution_s
        deadline_s = loop.time()
        while True:
            await self.tick(served)
            next_s = (math.floor(loop.time() / resolution_s + 1e-6) + 1) * resolution_s
            self.counts[MISSED_TICKS] += max(0, round((next_s - deadline_s) / resolution_s) - 1)
            deadline_s = next_s
            await asyncio.sleep(next_s - loop.time())

    async def _commits(self) -> None:
        """Force what was written to the disk, once a batch within bounds."""
        while True:
            await asyncio.sleep(min(max(self._settings.interval_s, COMMIT_MIN_S), COMMIT_MAX_S))
            await self._sync()

    async def _fresh(self, session: aiohttp.ClientSession) -> None:
        """At every interval: release what was rendered since, and send it at once where order does not matter."""
        loop, interval_s = asyncio.get_running_loop(), self._settings.interval_s
        deadline_s = loop.time()
        while True:
            deadline_s += interval_s * max(1, math.ceil((loop.time() - deadline_s) / interval_s))
            await asyncio.sleep(deadline_s - loop.time())
            end = self.spool.cursor.end
            if self.sender.protocol == TEXT:
                while self._released < end and not self._gate.wait_s:
                    rows = await self._next(self._released, end)
                    if not rows or not await self._send(session, rows):
                        break
                    self._released = rows[-1].end
            self._released = end
            self._wake.set()

    async def _backlog(self, session: aiohttp.ClientSession) -> None:
        """Whatever waits among the released, the oldest first."""
        while True:
            await self._gate.opened()
            self._wake.clear()
            rows = await self._next(0, self._released)
            if rows:
                await self._send(session, rows)
            else:
                await self._wake.wait()

    async def _look(self, session: aiohttp.ClientSession) -> None:
        """Look at the receiver's own metrics when there is a reason; replay what a restart has cost."""
        while True:
            await self.restarts.reason()
            if await self.restarts.look(session):
                self.sender.ask_again()
                self.sender.doubtful_end = self.spool.cursor.end
                self._wake.set()

    async def _next(self, lo: int, below: int) -> list[Row]:
        """The next rows that wait in [lo, below); [] when there are none, or none that can be read now."""
        try:
            rows: list[Row] = await self._in_thread(self._rows, lo, below)
        except OSError as error:
            self._complain("unreadable", f"{error.filename}: cannot be read ({error.strerror}); it is tried again")
            asyncio.get_running_loop().call_later(DISK_AGAIN_S, self._wake.set)
            return []
        return rows

    async def _send(self, session: aiohttp.ClientSession, rows: Sequence[Row]) -> bool:
        """Send `rows`; false when they have to wait. A request that has begun is not broken off when we are told to stop."""
        request = asyncio.create_task(self._send_now(session, rows))
        self._requests.add(request)
        request.add_done_callback(self._requests.discard)
        return await asyncio.shield(request)

    async def _answers(self) -> None:
        """Wait a moment for answers to what is on its way: without them it would be sent again after the next start."""
        requests = list(self._requests)
        if requests:
            await asyncio.wait(requests, timeout=ANSWER_S)
            for request in requests:
                request.cancel()
            await asyncio.gather(*requests, return_exceptions=True)

    async def _send_now(self, session: aiohttp.ClientSession, rows: Sequence[Row]) -> bool:
        previous = self._last
        if previous is None or previous.end != rows[0].first:
            previous = await self._in_thread(self.spool.before, rows[0].first)
        delivered = await self.sender.deliver(session, rows, previous)
        if delivered.done:
            await self._in_thread(self._settle, delivered)
        if delivered.stop is not None:
            self._faults.report(delivered.stop.fault, f"push {self.name}: {self.sender.delivery.place}: {delivered.stop.fault}")
            self._gate.failed(delivered.stop.retry_after_s)
            self.restarts.failed(delivered.stop)
            return False
        if delivered.done:
            failures = self._gate.succeeded()
            if failures:
                self._logger.info("push %s: taken again after %d failures", self.name, failures)
            await self.restarts.succeeded()
            self.last_success_ns = self._clock.real_ns()
        return True

    # what follows runs in the thread

    def _append(self, real_ns: int, series: Sequence[Series]) -> None:
        """Append the row of one tick, unless its time cannot be right."""
        size = sum(len(one.prefixes) for one in series)
        at_ms = real_ns // _NS_PER_MS
        last_ms = self.spool.notes.get("last_ms", 0)
        if real_ns < PLAUSIBLE_NS:
            self.spool.dropped[reasons.CLOCK] += size
            self._complain(reasons.CLOCK, "waiting, because the clock says a date before 2024")
        elif at_ms < last_ms and self.sender.protocol != TEXT:
            self.spool.dropped[reasons.CLOCK] += size
            self._complain(
                reasons.CLOCK, f"the clock was set back by {(last_ms - at_ms) / 1000:.0f} s; remote write has to wait for it"
            )
        elif at_ms != last_ms:
            self.spool.notes["last_ms"] = at_ms
            self.spool.append(at_ms, self._prefixes(series), np.array([value for one in series for value in _floats(one)]))

    def _prefixes(self, series: Sequence[Series]) -> Sequence[bytes]:
        """All series in one list, which is the same list as last time when they are the same series."""
        lists = [one.prefixes for one in series]
        known, prefixes = self._series
        if len(lists) != len(known) or any(now is not before for now, before in zip(lists, known, strict=True)):
            prefixes = [prefix for one in lists for prefix in one]
            self._series = lists, prefixes
        return prefixes

    def _rows(self, lo: int, below: int) -> list[Row]:
        """The next rows that wait in [lo, below); what turns out to be damaged or too old on the way is given up."""
        spool = self.spool
        for waiting, hi in list(spool.cursor.pending):
            begin, end = max(lo, waiting), min(hi, below)
            while begin < end:
                rows = spool.read(begin, end, self.sender.samples_max)
                first = rows[0].first if rows else end
                if first > begin:
                    spool.give_up(begin, first, reasons.DAMAGED)
                    self._complain(reasons.DAMAGED, f"{first - begin} samples in the spool are damaged and skipped")
                if young := self._young(rows):
                    return young
                begin = rows[-1].end if rows else end
        return []

    def _young(self, rows: list[Row]) -> list[Row]:
        """`rows` without those that are older than anybody wants."""
        oldest_ms = round(self._clock.real_ns() / _NS_PER_MS - self._max_age_s * 1000)
        old = [row for row in rows if row.at_ms < oldest_ms]
        for row in old:
            self.spool.give_up(row.first, row.end, reasons.TOO_OLD)
        return [row for row in rows if row.at_ms >= oldest_ms] if old else rows

    def _settle(self, delivered: Delivered) -> None:
        """Write down what the receiver has, and what it will never take."""
        quarantined = []
        begin = delivered.done[0][0].first
        end = begin
        for row, bad in delivered.done:
            if row.first != end or bad:
                self._acknowledge(begin, end)
                begin = row.first
            end = row.end
            if bad:
                counts: dict[str, int] = {}
                for sample in bad:
                    reason = _REASON_OF.get(sample.outcome.verdict, reasons.REFUSED)
                    counts[reason] = counts.get(reason, 0) + 1
                self.spool.acknowledge(row.first, row.end, counts)
                self._complain(next(iter(counts)), f"{len(bad)} samples are given up: {bad[0].outcome.fault}")
                quarantined += [sample for sample in bad if sample.outcome.verdict not in _REASON_OF]
                begin = row.end
        self._acknowledge(begin, end)
        self._last = delivered.done[-1][0]
        if quarantined:
            self._quarantine.add(quarantined)

    def _acknowledge(self, lo: int, hi: int) -> None:
        if lo < hi:
            self.spool.acknowledge(lo, hi)

    def _complain(self, kind: str, message: str) -> None:
        self._faults.report(kind, f"push {self.name}: {message}")

    async def _sync(self) -> None:
        """Force what was written to the disk, in yet another thread: a slow disk must not hold up what is fresh."""
        descriptor = await self._in_thread(self.spool.commit)
        if descriptor is not None:
            await asyncio.get_running_loop().run_in_executor(None, _force, descriptor)
            self.counts[SYNCS] += 1

    async def _in_thread(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)


def _force(descriptor: int) -> None:
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _floats(series: Series) -> Sequence[float]:
    """The values in the unit of the metric, each the float nearest to what is exposed."""
    decimals = series.metric.decimals
    if decimals in (0, FLOAT):
        return series.values
    one = 10**decimals
    return [value / one for value in series.values]
