"""The HTTP server: the exposition, the Snapshot as JSON, a landing page, `/-/healthy` and `/-/ready`.

Handlers hand out finished bytes (`energyd.export.served`); nothing here renders. Each answer is written under a time limit, so a
client that does not read costs a connection for ANSWER_TIMEOUT_S and nothing else. The paths of health and readiness are those of
Prometheus' management API.
"""

import asyncio
import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from energyd.aggregate.snapshot import Snapshot
from energyd.export import snapshotjson
from energyd.export.access import Access
from energyd.export.httpmetrics import HttpMetrics
from energyd.export.negotiate import choose_encoding, choose_format
from energyd.export.served import Served
from energyd.service.clock import Clock
from energyd.units import NS_PER_S

if TYPE_CHECKING:
    from aiohttp.typedefs import Middleware

SNAPSHOT_PATH: Final = "/api/v1/snapshot"
HEALTHY_PATH: Final = "/-/healthy"
READY_PATH: Final = "/-/ready"
READER_FRESH_NS: Final = 5 * NS_PER_S
ANSWER_TIMEOUT_S: Final = 10.0
RETRY_AFTER_S: Final = 1
GONE: Final = 499  # counted for a client that did not wait for, or did not read, its answer
_STARTING: Final = "energyd is starting: samples from before its start are being replayed\n"


class Pages:
    """The handlers. `rings` are the names of the rings of all configured readers."""

    def __init__(self, served: Served, metrics: HttpMetrics, rings: Sequence[str], path: str, version: str, clock: Clock) -> None:
        self._served = served
        self._metrics = metrics
        self._rings = tuple(rings)
        self._clock = clock
        self._landing = _landing_page(path, version)
        self._document: tuple[Snapshot, bytes] | None = None

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """The exposition in the format and encoding that the client prefers; 503 while there is none."""
        form = choose_format(_list(request, hdrs.ACCEPT))
        coding = choose_encoding(_list(request, hdrs.ACCEPT_ENCODING), self._served.encodings)
        body = self._served.body(form.name, coding)
        if body is None:
            return _unavailable(_STARTING)
        headers = {hdrs.CONTENT_TYPE: form.content_type, hdrs.VARY: "Accept, Accept-Encoding", hdrs.CACHE_CONTROL: "no-store"}
        if self._served.snapshot is not None and request.method == hdrs.METH_GET:
            self._metrics.shown(self._served.snapshot)
        if coding:
            headers[hdrs.CONTENT_ENCODING] = coding
        return web.Response(body=body, headers=headers)

    async def snapshot(self, _request: web.Request) -> web.StreamResponse:
        """The Snapshot as JSON; made at most once a Snapshot."""
        snapshot = self._served.current()
        if snapshot is None or not snapshot.ready:
            return _unavailable(_STARTING)
        if self._document is None or self._document[0] is not snapshot:
            self._document = snapshot, snapshotjson.document(snapshot)
        headers = {hdrs.CONTENT_TYPE: "application/json", hdrs.CACHE_CONTROL: "no-store"}
        return web.Response(body=self._document[1], headers=headers)

    async def landing(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(text=self._landing, content_type="text/html")

    async def healthy(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(text="energyd is healthy\n")

    async def ready(self, _request: web.Request) -> web.StreamResponse:
        """200 when the totals are complete and every configured reader is alive, else 503 and what is not."""
        snapshot = self._served.current()
        missing = what_is_missing(snapshot, self._rings, self._clock.mono_ns())
        if missing:
            return _unavailable("energyd is not ready\n" + "".join([line + "\n" for line in missing]))
        return web.Response(text="energyd is ready\n")


def what_is_missing(snapshot: Snapshot | None, rings: Sequence[str], mono_ns: int) -> list[str]:
    """What keeps energyd from being ready, a line each; nothing when it is."""
    if snapshot is None:
        return ["no samples have been folded yet"]
    missing = [] if snapshot.ready else ["samples from before the start are being replayed"]
    by_name = {ring.name: ring for ring in snapshot.rings}
    for name in rings:
        ring = by_name.get(name)
        if ring is None or ring.heartbeat_age_ns is None:
            missing.append(f"reader {name}: has not started")
            continue
        age_ns = ring.heartbeat_age_ns + mono_ns - snapshot.mono_ns
        if age_ns > READER_FRESH_NS:
            missing.append(f"reader {name}: last heartbeat {age_ns / NS_PER_S:.1f} s ago")
    return missing


def application(
    served: Served,
    metrics: HttpMetrics,
    *,
    path: str,
    rings: Sequence[str],
    version: str,
    clock: Clock,
    access: Access | None = None,
) -> web.Application:
    """The application that serves `path` and the fixed pages; HEAD is answered wherever GET is, the rest with 404 and 405.

    `access` judges every request, those to nowhere included.
    """
    pages = Pages(served, metrics, rings, path, version, clock)
    app = web.Application(middlewares=[_observe(metrics), *([access.middleware()] if access else [])], client_max_size=0)
    app.router.add_get(path, pages.metrics)
    for fixed, handler in (
        ("/", pages.landing),
        (SNAPSHOT_PATH, pages.snapshot),
        (HEALTHY_PATH, pages.healthy),
        (READY_PATH, pages.ready),
    ):
        if fixed != path:
            app.router.add_get(fixed, handler)
    return app


def _observe(metrics: HttpMetrics) -> "Middleware":
    """Counts every request, and writes its answer under a time limit."""

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        name = "none" if resource is None else resource.canonical
        begin_ns = metrics.begin(name, request.method)
        status, answered_bytes = GONE, 0
        try:
            response = await handler(request)
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await response.prepare(request)
                await response.write_eof()
            status = response.status
            answered_bytes = 0 if request.method == hdrs.METH_HEAD else response.content_length or 0
        except web.HTTPException as error:
            status = error.status
            raise
        except ConnectionError:  # the client has gone while it was answered: what is returned will not be written
            response = web.Response(status=GONE)
        except TimeoutError:  # it reads too slowly; aiohttp would call it an error of ours
            if request.transport is not None:
                request.transport.abort()
            response = web.Response(status=GONE)
        finally:
            metrics.end(name, request.method, status, begin_ns, request.content_length or 0, answered_bytes)
        return response

    return observe


def _list(request: web.Request, name: str) -> str:
    """The value of a header that is a list: all its lines are one (RFC 9110 section 5.3)."""
    return ", ".join(request.headers.getall(name, ()))


def _unavailable(text: str) -> web.Response:
    return web.Response(status=503, text=text, headers={hdrs.RETRY_AFTER: str(RETRY_AFTER_S)})


def _landing_page(path: str, version: str) -> str:
    links = "".join(
        [
            f'<li><a href="{link}">{link}</a> {text}</li>\n'
            for link, text in (
                (html.escape(path), "metrics, for Prometheus and its kin"),
                (SNAPSHOT_PATH, "all that is known now, in JSON"),
                (HEALTHY_PATH, "is the process alive"),
                (READY_PATH, "is every reader alive"),
            )
        ]
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>energyd</title></head>\n'
        f"<body><h1>energyd {html.escape(version)}</h1><p>Tells where every joule goes.</p>\n<ul>\n{links}</ul></body></html>\n"
    )
