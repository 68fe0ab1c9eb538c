"""Sockets and TLS of the HTTP server, and what of them can change while it runs.

The listening sockets are bound once and stay; whoever is to be answered with another certificate, or with TLS for the first time,
is so because the server on top of them is replaced: no connection is refused meanwhile, and those that stand go on.
"""

import asyncio
import errno
import logging
import resource
import socket
import ssl
import traceback
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from energyd.errors import ConfigError, EnvironmentFault
from energyd.export.access import Access
from energyd.export.connections import ConnectionGuard
from energyd.export.webfiles import WebFiles
from energyd.service.clock import SYSTEM_CLOCK
from energyd.service.log import DistinctFaults

KEEPALIVE_S: Final = 75.0  # above the usual scrape intervals, so that a scraper keeps its connection
REQUEST_LINE_MAX: Final = 2048
HEADER_MAX: Final = 8190
HANDSHAKE_S: Final = 5.0
DESCRIPTORS_WANTED: Final = 65_536  # connections that say nothing must not take those of the rings and spools
BACKLOG: Final = 128
RELOAD_S: Final = 1.0


class Server:
    """Serves `app` on bound sockets."""

    def __init__(self, runner: web.AppRunner, guard: ConnectionGuard, sockets: list[socket.socket]) -> None:
        self._runner = runner
        self._guard = guard
        self._sockets = sockets
        self._servers: list[asyncio.AbstractServer] = []
        self._watching: asyncio.Task[None] | None = None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each socket."""
        return [sock.getsockname()[:2] for sock in self._sockets]

    async def listen(self, context: ssl.SSLContext | None) -> None:
        """Answer new connections with `context` from now on, without TLS where it is None."""
        loop, factory = asyncio.get_running_loop(), self._runner.server
        assert factory is not None, "BUG: a runner that was set up has no server"
        handshake_s = None if context is None else HANDSHAKE_S
        before = self._servers
        self._servers = [
            await loop.create_server(factory, sock=sock.dup(), ssl=context, backlog=BACKLOG, ssl_handshake_timeout=handshake_s)
            for sock in self._sockets
        ]
        for server in before:
            server.close()

    def watch(self, files: WebFiles, access: Access) -> None:
        """Follow changes of `files` until the end."""
        self._watching = asyncio.create_task(self._follow(files, access))

    async def _follow(self, files: WebFiles, access: Access) -> None:
        logger = logging.getLogger("energyd.http")
        while True:
            await asyncio.sleep(RELOAD_S)
            if not files.changed():
                continue
            try:
                loaded = files.load()
            except ConfigError as error:
                logger.error("%s; going on with what was there before", error)
                continue
            access.use(loaded.config, loaded.token)
            await self.listen(loaded.context)
            logger.info("the web configuration has been read again")

    async def cleanup(self) -> None:
        """Stop listening and cut all connections."""
        if self._watching is not None:
            self._watching.cancel()
        for server in self._servers:
            server.close()
        for sock in self._sockets:
            sock.close()
        self._guard.close()
        await asyncio.sleep(0)  # what is cut is closed in the loop's next round
        await self._runner.cleanup()


async def start(
    app: web.Application, listen: str, port: int, access: Access | None = None, files: WebFiles | None = None
) -> Server:
    """Serve `app` on `listen`:`port` (0 = any free one; see `Server.addresses`) until `cleanup`.

    Who may ask is judged by `access` after `files`. Raises EnvironmentFault when the address cannot be bound, with what to do
    about it, and ConfigError for files that cannot be used.
    """
    logger = logging.getLogger("energyd.http")
    logger.filters[:] = [_Faults(logger)]
    loaded = files.load() if files is not None else None
    _raise_descriptors()
    sockets = await _bound(listen, port)
    guard = ConnectionGuard()
    app.middlewares.insert(0, guard.middleware())
    runner = web.AppRunner(
        app,
        logger=logger,
        access_log=None,
        keepalive_timeout=KEEPALIVE_S,
        max_line_size=REQUEST_LINE_MAX,
        max_field_size=HEADER_MAX,
    )
    await runner.setup()
    assert runner.server is not None, "BUG: a runner that was set up has no server"
    guard.watch(runner.server)
    server = Server(runner, guard, sockets)
    if loaded is not None and files is not None and access is not None:
        access.use(loaded.config, loaded.token)
        for note in loaded.config.notes:
            logger.warning("metrics.web_config_file: %s", note)
        if files.named:
            server.watch(files, access)
    await server.listen(loaded.context if loaded is not None else None)
    return server


def _raise_descriptors() -> None:
    """Open as many files as may be, within reason: connections come faster than those that wait too long are cut."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(DESCRIPTORS_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _bound(listen: str, port: int) -> list[socket.socket]:
    """A listening socket for each address of `listen`; `::` takes IPv4 too."""
    sockets: list[socket.socket] = []
    try:
        infos = await asyncio.get_running_loop().getaddrinfo(listen, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(infos):
            sock = socket.socket(family, kind, protocol)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(listen != "::"))
            sock.setblocking(False)
            sock.bind(address)
            sock.listen(BACKLOG)
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise EnvironmentFault(_bind_advice(error, listen, port)) from error
    return sockets


def _bind_advice(error: OSError, listen: str, port: int) -> str:
    where = f"cannot listen on {listen}:{port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where}: the port is in use; `ss -ltnp 'sport = :{port}'` names the holder; stop it or set metrics.port"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where}: not permitted; ports below 1024 need CAP_NET_BIND_SERVICE; set metrics.port to a higher one"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"{where}: no such address on this machine; `ip -brief address` lists them; set metrics.listen"
    return f"{where}: {error.strerror or error}"


class _Faults(logging.Filter):
    """Keeps requests that cannot be answered from filling the log: one event for each distinct kind and minute, without traceback
    where the request is no HTTP, with it where the defect is ours."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._faults = DistinctFaults(logger.warning, SYSTEM_CLOCK.mono_ns)
        self._defects = DistinctFaults(logger.error, SYSTEM_CLOCK.mono_ns)

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        kind = type(error).__name__
        if isinstance(error, HttpProcessingError):
            self._faults.report(kind, f"a client sent what is no HTTP request: {kind}")
        elif error is None or record.levelno < logging.ERROR:
            return True
        else:
            place = traceback.extract_tb(error.__traceback__)[-1:]  # what it says may be another thing each time
            told = "".join(traceback.format_exception(error))
            message = f"{record.getMessage()}, by a defect of energyd that is worth reporting:\n{told}"
            self._defects.report(f"{kind} {place}", message)
        return False
