"""One receiver: its ticks go into its spool, its batches out of it.

Every `resolution` what is rendered becomes a row of the spool; every `interval` the rows since the last time may go. A receiver of
remote write gets its rows strictly in their order. VictoriaMetrics takes samples in any order, so what is fresh goes first, in a
lane of its own, while what waited during an outage drains beside it.

Law: nothing in here blocks the event loop: disk, compression and encoding have a thread; nothing that a receiver, a network or a
disk does ends it.
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

from energyd.config import Push
from energyd.config import Spool as SpoolSettings
from energyd.export import pushmetrics as metrics
from energyd.export.answers import Outcome
from energyd.export.gate import Gate
from energyd.export.metric import Metric
from energyd.export.outage import Outage
from energyd.export.quarantine import Quarantine
from energyd.export.restarts import RESTARTS, Restarts
from energyd.export.sender import BATCHES, BYTES, FAILURES, MARKERS, SENT, TEXT, Sender
from energyd.export.sender import COUNTS as SENDER_COUNTS
from energyd.export.served import Served
from energyd.export.spooling import Spooling
from energyd.service.clock import Clock
from energyd.service.log import DistinctFaults
from energyd.spool import SPOOL_DIR
from energyd.spool.rows import Row
from energyd.spool.spool import Limits, Spool, mark_file
from energyd.units import NS_PER_S

COMMIT_MIN_S: Final = 5.0  # between two syncs, unless each tick has one
COMMIT_MAX_S: Final = 60.0
DISK_AGAIN_S: Final = 5.0  # after a file that could not be read
ANSWER_S: Final = 0.5  # that a request which is under way may take when we stop
MISSED_TICKS: Final = "missed_ticks"
SYNCS: Final = "syncs"
COUNTS: Final = (*SENDER_COUNTS, RESTARTS, MISSED_TICKS, SYNCS)  # all, so that the map never changes size

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
        self._faults = DistinctFaults(logger.warning, clock.mono_ns)
        self._wanted = re.compile(settings.match).fullmatch if settings.match else (lambda _name: True)
        self._fsync = spool.fsync
        self._thread = ThreadPoolExecutor(1, f"push-{settings.name}")
        directory = state_dir / SPOOL_DIR / settings.name
        limits = Limits(spool.max_bytes, spool.max_age_s, spool.fsync != "never")
        self.spool = Spool(directory, mark_file(run_dir, settings.name), limits, clock, self._complain)
        self.counts = self.spool.notes["counts"] = {**dict.fromkeys(COUNTS, 0), **self.spool.notes.get("counts", {})}
        self.sender = Sender(settings, version, clock, self._in_thread, self.counts)
        self.sender.doubtful_end = self.spool.cursor.end
        self.restarts = Restarts(
            self.sender.delivery, self.spool, spool.keep_s, clock, self._in_thread, self._complain, self.counts
        )
        self._spooling = Spooling(
            self.spool,
            Quarantine(directory, clock, self._complain),
            ordered=self.sender.protocol != TEXT,
            max_age_s=spool.max_age_s,
            clock=clock,
            complain=self._complain,
        )
        self._gate = Gate()
        self._outage = Outage(self.sender.delivery.title, logger.warning, logger.info, clock.mono_ns)
        self._wake = asyncio.Event()
        self._requests: set[asyncio.Task[bool]] = set()
        self._released = self.spool.cursor.end  # the backlog is what waits below
        self._died_ns = self.spool.appended_ns  # monotonic, the last row of an earlier process, until we have one
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
            self.sender.describe(one.metric for one in series)
            self._count_absence()
            await self._in_thread(self._spooling.append, snapshot.real_ns, series)
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

    def _count_absence(self) -> None:
        """With our first row: count the ticks since the last one of an earlier process, which was killed."""
        if self._died_ns is not None:
            absent_s = (self._clock.mono_ns() - self._died_ns) / NS_PER_S
            self.counts[MISSED_TICKS] += max(0, round(absent_s / self._settings.resolution_s) - 1)
            self._died_ns = None

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
            if self.sender.protocol != TEXT and self.restarts.doubtful and (away := await self._looked(session)) is not None:
                self.counts[FAILURES] += 1
                self._failed(away)
                continue
            rows = await self._next(0, self._released)
            if rows:
                await self._send(session, rows)
            else:
                await self._wake.wait()

    async def _look(self, session: aiohttp.ClientSession) -> None:
        """Look at the receiver's own metrics when there is a reason; replay what a restart has cost."""
        while True:
            await self.restarts.reason()
            await self._looked(session)

    async def _looked(self, session: aiohttp.ClientSession) -> Outcome | None:
        """Look at the receiver; why it is no use to send anything before it answers, None when it is."""
        other, unanswered = await self.restarts.look(session)
        if other:
            self.sender.ask_again()
            self.sender.doubtful_end = self.spool.cursor.end
            self._wake.set()
        return None if self.restarts.silent else unanswered

    async def _next(self, lo: int, below: int) -> list[Row]:
        """The next rows that wait in [lo, below); [] when there are none, or none that can be read now."""
        try:
            rows: list[Row] = await self._in_thread(self._spooling.next_rows, lo, below, self.sender.samples_max)
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
        previous = None if self.sender.protocol == TEXT else await self._in_thread(self._spooling.before, rows[0].first)
        delivered = await self.sender.deliver(session, rows, previous)
        if delivered.done:
            await self._in_thread(self._spooling.settle, delivered)
        if delivered.stop is not None:
            self._failed(delivered.stop)
            return False
        if delivered.done:
            self._gate.succeeded()
            self._outage.succeeded(self.spool.backlog)
            await self.restarts.succeeded()
            self.last_success_ns = self._clock.real_ns()
        return True

    def _failed(self, outcome: Outcome) -> None:
        self._outage.failed(outcome, self.spool.backlog)
        self._gate.failed(outcome.retry_after_s)
        self.restarts.failed(outcome)

    def _complain(self, kind: str, message: str) -> None:
        self._faults.report(kind, f"push {self.name}: {message}")

    async def _sync(self) -> None:
        """Force what was written to the disk, in yet another thread: a slow disk must not hold up what is fresh."""
        descriptor = await self._in_thread(self.spool.commit)
        if descriptor is not None:
            error = await asyncio.get_running_loop().run_in_executor(None, _force, descriptor)
            await self._in_thread(self.spool.synced, error)
            self.counts[SYNCS] += 1

    async def _in_thread(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)


def _force(descriptor: int) -> OSError | None:
    """What came of it: some disks say only now that they are full."""
    try:
        os.fdatasync(descriptor)
    except OSError as error:
        return error
    finally:
        os.close(descriptor)
    return None
