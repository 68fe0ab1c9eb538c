"""A receiver on loopback that answers what a test wants, and rows to send to it."""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web

from energyd.aggregate.snapshot import Snapshot
from energyd.config import Metrics, Push, Spool
from energyd.export import target
from energyd.export.push import Pushers
from energyd.export.served import Served
from energyd.spool.rows import Row

LOGGER = logging.getLogger("push-test")
SERIES = "energyd_processes"  # one sample a tick
_SHORTLY: dict[str, Any] = {"shutdown_timeout": 0.1}
Answer = Callable[[], Awaitable[web.StreamResponse]] | web.StreamResponse


def row(first: int, at_ms: int, **values: float) -> Row:
    """A row of the series `name `, in the order given."""
    return Row(first, at_ms, [f"{name} ".encode() for name in values], np.array(list(values.values()), float))


def rows_of(count: int, series: int = 3, first: int = 0, at_ms: int = 1_795_162_354_000) -> list[Row]:
    """`count` rows a second apart that share their list of series."""
    prefixes = [b'm{i="%d"} ' % i for i in range(series)]
    values = np.arange(series, dtype=float)
    return [Row(first + series * i, at_ms + 1000 * i, prefixes, values + 0.25 * i) for i in range(count)]


def lines(body: bytes) -> list[str]:
    return body.decode().splitlines()


class Receiver:
    """Notes every request to its ingestion paths and answers what `answers` says, 204 when that is used up.

    `metrics` is the text of its /metrics, None = `without_metrics` as the status.
    """

    def __init__(self, path: str = "/api/v1/import/prometheus") -> None:
        self.path = path
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.queries: list[Any] = []
        self.answers: deque[Answer] = deque()
        self.metrics: str | None = None
        self.without_metrics = 404
        self.arrived = asyncio.Condition()
        self.judge: Callable[[bytes], Answer | None] = lambda _body: None
        self.url = self.base = ""

    async def __aenter__(self) -> "Receiver":
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post(self.path, self._receive)
        app.router.add_get("/metrics", self._metrics)
        of_runner = "shutdown_timeout" in inspect.signature(web.BaseRunner.__init__).parameters  # before 3.9 it is the site's
        self._runner = web.AppRunner(app, access_log=None, **(_SHORTLY if of_runner else {}))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, **({} if of_runner else _SHORTLY)).start()
        self.base = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.url = self.base + self.path
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _metrics(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=self.without_metrics) if self.metrics is None else web.Response(text=self.metrics)

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        headers = dict(request.headers)
        body = await request.read()  # aiohttp has undone gzip
        async with self.arrived:
            self.requests.append((headers, body))
            self.queries.append(request.query)
            self.arrived.notify_all()
        answer = self.judge(body)
        if answer is None:  # a response of aiohttp 3.8 is a mapping, and false while it is empty
            answer = self.answers.popleft() if self.answers else web.Response(status=204)
        return answer if isinstance(answer, web.StreamResponse) else await answer()

    async def wait_for(self, count: int) -> None:
        async with self.arrived:
            await asyncio.wait_for(self.arrived.wait_for(lambda: len(self.requests) >= count), 10)


def prefixes(rows: Sequence[Row]) -> list[list[bytes]]:
    return [list(one.prefixes) for one in rows]


class World:
    """Pushers, a receiver, and a house whose every tick is a millisecond later than the last."""

    def __init__(self, directory: Path, clock: Any, snapshot: Snapshot, receiver: Receiver, **push: Any) -> None:
        self.clock, self.receiver = clock, receiver
        self._snapshot = snapshot
        self._spool = push.pop("spool", Spool())
        self._targets = (
            Push(
                "vm",
                **{"url": receiver.url + push.pop("query", ""), "interval_s": 0.05, "resolution_s": 0.01, "match": SERIES, **push},
            ),
        )
        self._directory = directory
        self.pushers = self.new_pushers()
        self.ticks = 0

    def new_pushers(self) -> Pushers:
        settings = Metrics(push=self._targets, push_enabled=True, spool=self._spool)
        return Pushers(settings, self._directory / "state", self._directory / "run", "1.2.3", self.clock, LOGGER)

    @property
    def target(self) -> target.Target:
        return self.pushers.targets[0]

    def fold(self) -> Snapshot:
        self.ticks += 1
        self.clock.now_ns += 60_000_000
        return self._snapshot._replace(real_ns=self.clock.real_ns(), mono_ns=self.clock.now_ns)

    def start(self) -> asyncio.Task[None]:
        return asyncio.create_task(self.pushers.run(Served(self.fold, HurriedClock(self.clock), "1")))

    async def stop(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def until(self, condition: Callable[[], object], timeout_s: float = 10) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.01)

    def times(self) -> list[int]:
        """The milliseconds of every line that the receiver has got, in the order of arrival."""
        return [int(line.rsplit(" ", 1)[1]) for _, body in self.receiver.requests for line in lines(body)]


class HurriedClock:
    """Every look at it finds the last Snapshot too old."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def mono_ns(self) -> int:
        self._clock.now_ns += 60_000_000
        return int(self._clock.now_ns)

    def real_ns(self) -> int:
        return int(self._clock.real_ns())
