"""A receiver on loopback that answers what a test wants, and rows to send to it."""

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
from aiohttp import web

from energyd.spool.rows import Row

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

    `metrics` is the text of its /metrics, None = 404.
    """

    def __init__(self, path: str = "/api/v1/import/prometheus") -> None:
        self.path = path
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.queries: list[Any] = []
        self.answers: deque[Answer] = deque()
        self.metrics: str | None = None
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
        return web.Response(status=404) if self.metrics is None else web.Response(text=self.metrics)

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
