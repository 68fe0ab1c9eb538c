"""A bound on what silent clients can hold: connections that never finish a request, and too many of them.

aiohttp closes a connection that idles after a request; one that has never completed any it keeps for ever.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_protocol import RequestHandler

if TYPE_CHECKING:
    from aiohttp.typedefs import Middleware

REQUEST_TIMEOUT_S: Final = 10.0
SWEEP_S: Final = 1.0
CONNECTIONS_MAX: Final = 256


class ConnectionGuard:
    """Closes connections without a request after REQUEST_TIMEOUT_S, and the oldest of those at once above CONNECTIONS_MAX."""

    def __init__(self) -> None:
        self._spoke: set[object] = set()
        self._silent_since: dict[RequestHandler, float] = {}
        self._server: web.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, server: web.Server) -> None:
        """Begin to sweep over the connections of `server`."""
        self._server = server
        self._sweep()

    def middleware(self) -> "Middleware":
        """Notes which connections have sent a request."""

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._spoke.add(request.protocol)
            return await handler(request)

        return note

    def close(self) -> None:
        """Cut all connections: who is still reading then reads too slowly to be waited for."""
        if self._timer is not None:
            self._timer.cancel()
        for connection in self._server.connections if self._server is not None else ():
            _abort(connection)

    def _sweep(self) -> None:
        assert self._server is not None, "BUG: sweeping before watching"
        loop = asyncio.get_running_loop()
        now = loop.time()
        connections = self._server.connections
        self._spoke.intersection_update(connections)
        silent = [connection for connection in connections if connection not in self._spoke]
        self._silent_since = {connection: self._silent_since.get(connection, now) for connection in silent}
        surplus = len(connections) - CONNECTIONS_MAX
        for position, (connection, since) in enumerate(sorted(self._silent_since.items(), key=lambda item: item[1])):
            if position < surplus or now - since > REQUEST_TIMEOUT_S:
                _abort(connection)
        self._timer = loop.call_later(SWEEP_S, self._sweep)


def _abort(connection: RequestHandler) -> None:
    if connection.transport is not None:
        connection.transport.abort()
