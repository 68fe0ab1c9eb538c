"""Pushing to receivers: every interval a batch of all lines, and a queue that waits while the receiver is away.

Batches are made at multiples of the interval whether or not the receiver answers, so a return finds the past in the past. The queue
lives in memory and is bounded; the oldest batches give way and are counted. Nothing is pushed while the machine's clock cannot be
right: what is stored under a wrong date cannot be found again.
"""

import asyncio
import logging
import re
import zlib
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import aiohttp

from energyd.config import Push
from energyd.export import catalogue
from energyd.export.delivery import Delivery
from energyd.export.metric import Family, LabelValues, Metric
from energyd.export.served import Served
from energyd.service.clock import Clock
from energyd.service.log import DistinctFaults
from energyd.units import NS_PER_S

PLAUSIBLE_NS: Final = 1_704_067_200 * NS_PER_S  # 2024-01-01: an earlier date is that of a machine without a clock
QUEUE_BYTES_MAX: Final = 8 << 20  # compressed: hours of a usual machine at the usual interval
BACKOFF_FIRST_S: Final = 1.0
BACKOFF_MAX_S: Final = 60.0
QUEUE_FULL: Final = "queue_full"
REFUSED: Final = "refused"
CLOCK: Final = "clock"
_NS_PER_MS: Final = 1_000_000


class Batch(NamedTuple):
    body: bytes  # gzip
    samples: int


class Queue:
    """Batches that wait, oldest first, within QUEUE_BYTES_MAX."""

    def __init__(self) -> None:
        self._batches: deque[Batch] = deque()
        self._bytes = 0
        self.filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._batches)

    def append(self, batch: Batch) -> int:
        """Add the newest batch; returns how many of the oldest had to give way."""
        self._batches.append(batch)
        return self._added(batch)

    def give_back(self, batch: Batch) -> int:
        """Put the batch that `take` gave back in front; returns how many batches had to give way, the oldest first."""
        self._batches.appendleft(batch)
        return self._added(batch)

    def take(self) -> Batch:
        """Remove and return the oldest batch; IndexError when there is none."""
        batch = self._batches.popleft()
        self._bytes -= len(batch.body)
        if not self._batches:
            self.filled.clear()
        return batch

    def _added(self, batch: Batch) -> int:
        self._bytes += len(batch.body)
        self.filled.set()
        dropped = 0
        while self._bytes > QUEUE_BYTES_MAX and len(self._batches) > 1:
            self.take()
            dropped += 1
        return dropped


class Target:
    """One receiver, its queue and what has become of its batches."""

    def __init__(self, settings: Push, version: str, clock: Clock, logger: logging.Logger) -> None:
        self.name = settings.name
        self._interval_s = settings.interval_s
        self._wanted = re.compile(settings.match or "").fullmatch if settings.match else (lambda _name: True)
        self._delivery = Delivery(settings, version, clock)
        self._clock = clock
        self._logger = logger
        self._faults = DistinctFaults(logger.warning, clock.mono_ns)
        self._failures_in_a_row = 0
        self.queue = Queue()
        self.samples = self.batches = self.bytes = self.failures = 0
        self.dropped = {QUEUE_FULL: 0, REFUSED: 0, CLOCK: 0}
        self.last_success_ns: int | None = None

    async def make_batches(self, served: Served) -> None:
        """Queue a batch at every multiple of the interval, for ever; intervals that went by unserved are skipped."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time()
        while True:
            self.make_batch(served)
            deadline_s += self._interval_s * max(1, -(-(loop.time() - deadline_s) // self._interval_s))
            await asyncio.sleep(deadline_s - loop.time())

    def make_batch(self, served: Served) -> None:
        """Queue everything that is wanted of the current Snapshot, if there is one and its time can be right."""
        current = served.rendered()
        if current is None:
            return
        snapshot, rendered = current
        if snapshot.real_ns < PLAUSIBLE_NS:
            self.dropped[CLOCK] += 1
            self._faults.report(CLOCK, f"push {self.name}: waiting, because the clock says a date before 2024")
            return
        lines = rendered.timestamped(snapshot.real_ns // _NS_PER_MS, self._wanted)
        if lines:
            self._drop(self.queue.append(Batch(zlib.compress(lines, 1, 31), lines.count(b"\n"))))

    async def send_batches(self, session: aiohttp.ClientSession) -> None:
        """Send what is queued, oldest first, for ever; wait longer and longer while the receiver does not take it."""
        while True:
            await self.queue.filled.wait()
            pause_s = await self._send_one(session)
            if pause_s:
                await asyncio.sleep(pause_s)

    async def _send_one(self, session: aiohttp.ClientSession) -> float:
        """Send the oldest batch; returns how long to wait before the next attempt."""
        batch = self.queue.take()
        outcome = await self._delivery.send(session, batch.body)
        if outcome.taken:
            self._succeeded(batch)
            return 0.0
        self.failures += 1
        self._faults.report(outcome.fault, f"push {self.name}: {self._delivery.place}: {outcome.fault}")
        if outcome.refused:
            self.dropped[REFUSED] += 1
            return 0.0
        self._drop(self.queue.give_back(batch))
        backoff_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(self._failures_in_a_row, 30))
        self._failures_in_a_row += 1
        return max(backoff_s, outcome.retry_after_s)

    def _succeeded(self, batch: Batch) -> None:
        if self._failures_in_a_row:
            self._logger.info("push %s: taken again after %d failures", self.name, self._failures_in_a_row)
        self._failures_in_a_row = 0
        self.samples += batch.samples
        self.batches += 1
        self.bytes += len(batch.body)
        self.last_success_ns = self._clock.real_ns()

    def _drop(self, batches: int) -> None:
        if batches:
            self.dropped[QUEUE_FULL] += batches
            self._faults.report(QUEUE_FULL, f"push {self.name}: the queue is full, the oldest batches are given up")


class Pushers:
    """All receivers. `families` belongs into the sources of `Served`; `run` goes on until it is cancelled."""

    def __init__(self, settings: Sequence[Push], version: str, clock: Clock, logger: logging.Logger) -> None:
        self.targets = tuple(Target(target, version, clock, logger) for target in settings)

    async def run(self, served: Served) -> None:
        """Push what `served` renders. Cancelling it gives up what is queued: stopping does not wait for a network."""
        async with asyncio.TaskGroup() as tasks:
            for target in self.targets:
                tasks.create_task(self._run_one(target, served))

    @staticmethod
    async def _run_one(target: Target, served: Served) -> None:
        async with Delivery.session() as session, asyncio.TaskGroup() as tasks:
            tasks.create_task(target.make_batches(served))
            tasks.create_task(target.send_batches(session))

    def families(self) -> list[Family]:
        """The counters of all receivers as metrics."""
        plain: tuple[tuple[Metric, list[int]], ...] = (
            (catalogue.PUSH_SAMPLES, [target.samples for target in self.targets]),
            (catalogue.PUSH_BATCHES, [target.batches for target in self.targets]),
            (catalogue.PUSH_BYTES, [target.bytes for target in self.targets]),
            (catalogue.PUSH_FAILURES, [target.failures for target in self.targets]),
            (catalogue.PUSH_QUEUE, [len(target.queue) for target in self.targets]),
        )
        names = [(target.name,) for target in self.targets]
        dropped = [((target.name, reason), count) for target in self.targets for reason, count in target.dropped.items()]
        success = [((target.name,), at_ns) for target in self.targets if (at_ns := target.last_success_ns) is not None]
        return [
            *[Family(metric, names, values) for metric, values in plain],
            Family(catalogue.PUSH_DROPPED, *_columns(dropped)),
            Family(catalogue.PUSH_LAST_SUCCESS, *_columns(success)),
        ]


def _columns(rows: Sequence[tuple[LabelValues, int]]) -> tuple[list[LabelValues], list[int]]:
    return [labels for labels, _ in rows], [value for _, value in rows]
