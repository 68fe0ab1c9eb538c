"""A bound on what clients can hold without asking: connections that never finish a request, and too many of them.

aiohttp closes a connection that idles after a request, but keeps one for ever that has never completed any, or has begun another
one. Law: a connection whose request is being answered is never cut here.
"""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_protocol import RequestHandler

if TYPE_CHECKING:
    from aiohttp.typedefs import Middleware

REQUEST_TIMEOUT_S: Final = 10.0  # for the first request of a connection
IDLE_TIMEOUT_S: Final = 90.0  # between two requests; aiohttp's own limit is below
SWEEP_S: Final = 1.0
NEWCOMER_S: Final = 0.1  # so long a first request may be on its way before its connection counts
CONNECTIONS_MAX: Final = 256


class ConnectionGuard:
    """Closes connections that wait too long, and above CONNECTIONS_MAX those that have waited longest, the silent first.

    Who has only just come neither counts nor is cut: the request is still on its way.
    """

    def __init__(self) -> None:
        self._answering: Counter[object] = Counter()
        self._spoke: set[object] = set()
        self._waiting_since: dict[object, float] = {}
        self._server: web.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, server: web.Server) -> None:
        """Begin to sweep over the connections of `server`."""
        self._server = server
        self._sweep()

    def middleware(self) -> "Middleware":
        """Notes which connections are being answered; to be the outermost."""

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = request.protocol
            self._answering[connection] += 1
            self._spoke.add(connection)
            self._waiting_since.pop(connection, None)
            if self._server is not None and len(self._server.connections) > CONNECTIONS_MAX:
                self._cut()
            try:
                return await handler(request)
            finally:
                self._answering[connection] -= 1

        return note

    def close(self) -> None:
        """Cut all connections: who is still reading then reads too slowly to be waited for."""
        if self._timer is not None:
            self._timer.cancel()
        for connection in self._server.connections if self._server is not None else ():
            _abort(connection)

    def _sweep(self) -> None:
        self._cut()
        self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def _cut(self) -> None:
        assert self._server is not None, "BUG: cutting before watching"
        now, connections = asyncio.get_running_loop().time(), self._server.connections
        idle = [connection for connection in connections if not self._answering[connection]]
        self._answering = Counter({connection: count for connection, count in self._answering.items() if count > 0})
        self._spoke.intersection_update(connections)
        self._waiting_since = {connection: self._waiting_since.get(connection, now) for connection in idle}
        waiting = [each for each in idle if each in self._spoke or now - self._waiting_since[each] > NEWCOMER_S]
        surplus = len(connections) - (len(idle) - len(waiting)) - CONNECTIONS_MAX
        for position, connection in enumerate(sorted(waiting, key=lambda each: (each in self._spoke, self._waiting_since[each]))):
            limit_s = IDLE_TIMEOUT_S if connection in self._spoke else REQUEST_TIMEOUT_S
            if position < surplus or now - self._waiting_since[connection] > limit_s:
                _abort(connection)


def _abort(connection: RequestHandler) -> None:
    if connection.transport is not None:
        connection.transport.abort()
