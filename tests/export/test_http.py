"""The server over real sockets: formats, encodings, health, limits, and clients that misbehave."""

import asyncio
import gzip
import itertools
import logging
import resource
import socket
import struct
import subprocess
import unittest.mock
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from energyd.aggregate.snapshot import Snapshot
from energyd.errors import EnvironmentFault
from energyd.export import connections, http, server
from energyd.export.httpmetrics import HttpMetrics
from energyd.export.served import Served
from energyd.service.clock import SystemClock

RINGS = ("tic-house", "rapl")
PATIENCE_S = 20
"""For what comes at once on a machine that has time; what is proved is that it comes."""


class Site:
    """energyd's server on a free port, with a session to ask it."""

    def __init__(self, snapshot: Snapshot | None, clock: Any) -> None:
        self.snapshot = snapshot
        self.folds = 0
        self.metrics = HttpMetrics(clock)
        self.served = Served(self._fold, clock, "1.2.3", tail=self.metrics.exposition)
        self.app = http.application(self.served, self.metrics, path="/metrics", rings=RINGS, version="1.2.3", clock=clock)
        self.app.router.add_get("/slow", self._slow)
        self.asked = asyncio.Event()
        self.going_on = asyncio.Event()
        self.port = 0
        self.session: aiohttp.ClientSession

    async def _slow(self, _request: web.Request) -> web.StreamResponse:
        """A page that waits for `going_on`."""
        self.asked.set()
        await self.going_on.wait()
        return web.Response(text="at last")

    def _fold(self) -> Snapshot | None:
        self.folds += 1
        return self.snapshot

    async def get(self, path: str = "/metrics", method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        names.setdefault("Accept-Encoding", "identity")
        async with self.session.request(method, f"http://127.0.0.1:{self.port}{path}", headers=names) as response:
            return response.status, dict(response.headers), await response.read()

    def raw(self) -> Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        return asyncio.open_connection("127.0.0.1", self.port)


def serve(
    snapshot: Snapshot | None,
    scenario: Callable[[Site], Awaitable[None]],
    clock: Any = None,
    pages: Mapping[str, Handler] = MappingProxyType({}),
) -> None:
    """Run `scenario` against a server that serves `snapshot`, and `pages`."""

    async def main() -> None:
        site = Site(snapshot, clock or SystemClock())
        for path, page in pages.items():
            site.app.router.add_get(path, page)
        runner = await server.start(site.app, "127.0.0.1", 0)
        try:
            site.port = runner.addresses[0][1]
            async with aiohttp.ClientSession(auto_decompress=False) as site.session:
                await scenario(site)
        finally:
            await asyncio.wait_for(runner.cleanup(), 6)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # what the aggregator runs on
        runner.run(main())


async def becomes(condition: Callable[[], bool]) -> bool:
    """Whether it holds before patience is at an end."""
    for _ in range(round(PATIENCE_S / 0.02)):
        if condition():
            return True
        await asyncio.sleep(0.02)
    return False


def test_a_scrape_is_text_by_default_and_openmetrics_when_asked(snapshot: Snapshot) -> None:
    async def scenario(site: Site) -> None:
        status, headers, body = await site.get()
        assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert "Content-Encoding" not in headers
        assert len(list(parse_text(body.decode()))) > 50
        status, headers, body = await site.get(Accept="application/openmetrics-text;version=1.0.0")
        assert (status, headers["Content-Type"]) == (200, "application/openmetrics-text; version=1.0.0; charset=utf-8")
        assert len(list(parse_openmetrics(body.decode()))) > 50

    serve(snapshot, scenario)


def test_several_lines_of_a_header_are_one_list(snapshot: Snapshot) -> None:
    async def scenario(site: Site) -> None:
        lines = [
            ("Accept", "text/plain;q=0.1"),
            ("Accept", "application/openmetrics-text"),
            ("Accept-Encoding", "br"),
            ("Accept-Encoding", "gzip"),
        ]
        async with site.session.get(f"http://127.0.0.1:{site.port}/metrics", headers=CIMultiDict(lines)) as response:
            assert response.headers["Content-Type"].startswith("application/openmetrics-text")
            assert response.headers["Content-Encoding"] == "gzip"

    serve(snapshot, scenario)


def test_gzip_is_sent_when_it_is_accepted_only(snapshot: Snapshot) -> None:
    async def scenario(site: Site) -> None:
        _, headers, body = await site.get(Accept_Encoding="gzip")
        assert headers["Content-Encoding"] == "gzip"
        assert int(headers["Content-Length"]) == len(body)
        assert b"energyd_host_energy_joules_total" in gzip.decompress(body)
        _, headers, body = await site.get(Accept_Encoding="gzip;q=0")
        assert "Content-Encoding" not in headers
        assert b"energyd_host_energy_joules_total" in body

    serve(snapshot, scenario)


def test_head_has_the_headers_of_get_and_no_body(snapshot: Snapshot, clock: Any) -> None:
    async def scenario(site: Site) -> None:
        for path in ("/", "/metrics", "/-/healthy", "/-/ready"):
            status, headers, body = await site.get(path, method="HEAD")
            _, got, content = await site.get(path)
            assert (status, body) == (200, b"")
            assert (headers["Content-Length"], headers["Content-Type"]) == (str(len(content)), got["Content-Type"])

    serve(snapshot._replace(mono_ns=clock.mono_ns()), scenario, clock)


def test_unknown_paths_and_methods_are_refused_as_http_has_it(snapshot: Snapshot) -> None:
    async def scenario(site: Site) -> None:
        for path in ("/metrics/", "/metrics/../etc/passwd", "/%2e%2e/etc/passwd", "/nothing", "//metrics"):
            assert (await site.get(path))[0] == 404, path
        status, headers, _ = await site.get(method="POST")
        assert (status, headers["Allow"]) == (405, "GET,HEAD")
        assert (await site.get(method="PROPFIND"))[0] == 405

    serve(snapshot, scenario)


def test_the_landing_page_links_to_everything(snapshot: Snapshot) -> None:
    async def scenario(site: Site) -> None:
        status, headers, body = await site.get("/")
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        for link in ("/metrics", "/-/healthy", "/-/ready", "1.2.3"):
            assert link in body.decode()

    serve(snapshot, scenario)


def test_before_everything_is_replayed_a_scrape_is_told_to_come_back() -> None:
    async def scenario(site: Site) -> None:
        status, headers, _ = await site.get()
        assert (status, headers["Retry-After"]) == (503, "1")
        status, _, body = await site.get("/-/ready")
        assert (status, b"no samples" in body) == (503, True)
        assert (await site.get("/-/healthy"))[0] == 200

    serve(None, scenario)


def test_ready_says_which_reader_is_not_alive(snapshot: Snapshot, clock: Any) -> None:
    now_ns = clock.mono_ns()
    fresh = snapshot._replace(mono_ns=now_ns)
    assert http.what_is_missing(fresh, RINGS, now_ns) == []
    assert http.what_is_missing(fresh, (*RINGS, "usage", "tic-attic"), now_ns) == [
        "reader usage: has not started",
        "reader tic-attic: has not started",
    ]
    assert http.what_is_missing(fresh, RINGS, now_ns + 4_000_000_000) == ["reader rapl: last heartbeat 5.5 s ago"]
    assert http.what_is_missing(fresh._replace(ready=False), (), now_ns) == ["samples from before the start are being replayed"]


def test_concurrent_scrapes_share_one_fold(snapshot: Snapshot, clock: Any) -> None:
    async def scenario(site: Site) -> None:
        bodies = await asyncio.gather(*[site.get() for _ in range(20)])
        assert len({body for _, _, body in bodies}) == 1
        assert site.folds == 1

    serve(snapshot, scenario, clock)


def test_requests_are_counted_by_handler_method_and_status(snapshot: Snapshot, clock: Any) -> None:
    async def scenario(site: Site) -> None:
        await site.get("/nowhere")
        await site.get("/-/healthy", method="HEAD")
        await site.get(method="PROPFIND")
        await site.session.post(f"http://127.0.0.1:{site.port}/metrics", data=b"abc")
        first = len((await site.get())[2])
        clock.now_ns += 1_000_000_000
        body = (await site.get())[2].decode()
        for line in (
            'energyd_http_requests_total{handler="none",method="GET",status="404"} 1.0',
            'energyd_http_requests_total{handler="/-/healthy",method="HEAD",status="200"} 1.0',
            'energyd_http_requests_total{handler="none",method="other",status="405"} 1.0',
            'energyd_http_requests_total{handler="/metrics",method="GET",status="200"} 1.0',
            'energyd_http_request_duration_seconds_count{handler="/metrics",method="GET"} 1.0',
            'energyd_http_requests_in_progress{handler="/metrics",method="GET"} 1.0',
            'energyd_http_response_size_bytes_count{handler="none",method="GET",status="404"} 1.0',
            'energyd_http_response_size_bytes_sum{handler="/-/healthy",method="HEAD",status="200"} 0.0',
            f'energyd_http_response_size_bytes_sum{{handler="/metrics",method="GET",status="200"}} {first}.0',
            'energyd_http_request_size_bytes_sum{handler="none",method="POST",status="405"} 3.0',
        ):
            assert line in body
        assert "_created" not in body
        same = (await site.get())[2].decode()
        assert 'energyd_http_requests_total{handler="/metrics",method="GET",status="200"} 1.0' in same
        result = subprocess.run(["promtool", "check", "metrics"], input=body.encode(), capture_output=True, check=False)
        assert (result.returncode, result.stdout + result.stderr) == (0, b"")

    serve(snapshot, scenario, clock)


def test_the_age_of_what_a_scrape_shows_is_counted(snapshot: Snapshot, clock: Any) -> None:
    now_ns = clock.mono_ns()
    ages_ns = {"tic-house": 90_000_000, "rapl": 110_000_000, "usage": 1, "tic-fast": -5}
    rings = tuple(snapshot.rings[0]._replace(name=name, newest_mono_ns=now_ns - age_ns) for name, age_ns in ages_ns.items())
    never = snapshot.rings[0]._replace(name="tic-new")
    shown = snapshot._replace(rings=(*rings, never), attributed_mono_ns=now_ns - 600_000_000)

    async def scenario(site: Site) -> None:
        await site.get()
        await site.get(method="HEAD")
        clock.now_ns += 1_000_000_000
        body = (await site.get())[2].decode()
        for data, bucket, count, age_s in (
            ("meters", "0.1", 1, 0.09),
            ("zones", "0.125", 1, 0.11),
            ("attribution", "0.75", 1, 0.6),
        ):
            assert f'energyd_freshness_seconds_bucket{{data="{data}",le="{bucket}"}} {count}.0' in body
            assert f'energyd_freshness_seconds_sum{{data="{data}"}} {age_s}' in body
        assert 'energyd_freshness_seconds_bucket{data="zones",le="0.1"} 0.0' in body

    serve(shown, scenario, clock)


def test_a_client_that_does_not_read_delays_nobody_and_is_cut_off(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http, "ANSWER_TIMEOUT_S", 0.2)

    async def scenario(site: Site) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", site.port))
        await loop.sock_sendall(sock, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await becomes(lambda: site.folds > 0)
        assert (await asyncio.wait_for(site.get("/-/healthy"), PATIENCE_S))[0] == 200
        done = b'in_progress{handler="/metrics",method="GET"} 0.0'
        assert await becomes(lambda: done in HttpMetrics.exposition(_fresh(site.metrics), "text")), "it is still being written"
        assert b'requests_total{handler="/metrics",method="GET",status="499"} 1.0' in site.metrics.exposition("text")
        sock.close()

    serve(_large(snapshot), scenario)
    assert caplog.text == ""


def test_a_client_that_goes_while_it_is_answered_is_counted_and_no_fault_of_ours(
    snapshot: Snapshot, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(site: Site) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", site.port))
        await loop.sock_sendall(sock, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await becomes(lambda: site.folds > 0)
        await loop.sock_recv(sock, 100)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, as of a process that was killed
        sock.close()
        gone = b'requests_total{handler="/metrics",method="GET",status="499"} 1.0'
        assert await becomes(lambda: gone in HttpMetrics.exposition(_fresh(site.metrics), "text"))
        assert (await site.get("/-/healthy"))[0] == 200

    serve(_large(snapshot), scenario)
    assert caplog.text == ""


def _large(snapshot: Snapshot) -> Snapshot:
    """One whose bytes no socket buffers."""
    one = snapshot.processes.visible[0]
    many = tuple([one._replace(pid=pid, cgroup="/x" * 100) for pid in range(1, 20_000)])
    return snapshot._replace(processes=snapshot.processes._replace(visible=many))


def _fresh(metrics: HttpMetrics) -> HttpMetrics:
    metrics._expositions.clear()
    return metrics


def test_connections_that_never_finish_a_request_are_closed_and_others_answered_meanwhile(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_TIMEOUT_S", 0.5)
    monkeypatch.setattr(connections, "SWEEP_S", 0.02)

    async def scenario(site: Site) -> None:
        silent = [await site.raw() for _ in range(100)]
        for _, writer in silent[:50]:
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert (await asyncio.wait_for(site.get(), PATIENCE_S))[0] == 200
        for reader, writer in silent:
            assert await _is_cut(reader)
            writer.close()
        assert (await site.get())[0] == 200

    serve(snapshot, scenario)


def _are_cut(connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> list[bool]:
    return [reader.at_eof() or reader.exception() is not None for reader, _ in connections]


async def _is_cut(reader: asyncio.StreamReader) -> bool:
    try:
        return not await asyncio.wait_for(reader.read(), PATIENCE_S)
    except ConnectionError:
        return True


def test_above_the_bound_the_oldest_silent_connections_go_first(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 10)
    monkeypatch.setattr(connections, "SWEEP_S", 0.02)

    async def scenario(site: Site) -> None:
        assert (await site.get())[0] == 200  # keeps its connection
        silent = []
        for _ in range(30):
            silent.append(await site.raw())
            await asyncio.sleep(0)
        assert await becomes(lambda: sum(_are_cut(silent)) >= 21), "too many connections stay"
        assert (await site.get())[0] == 200
        for _, writer in silent:
            writer.close()
        await asyncio.gather(*[writer.wait_closed() for _, writer in silent], return_exceptions=True)

    serve(snapshot, scenario)


def test_connections_that_have_spoken_and_idle_are_bounded_too_and_one_that_is_answered_stays(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 10)
    monkeypatch.setattr(connections, "SWEEP_S", 0.02)
    monkeypatch.setattr(connections, "NEWCOMER_S", PATIENCE_S)

    async def scenario(site: Site) -> None:
        answered = asyncio.create_task(site.get("/slow"))
        await asyncio.wait_for(site.asked.wait(), PATIENCE_S)
        others = []
        for _ in range(30):
            reader, writer = await site.raw()
            writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"energyd is healthy\n"), PATIENCE_S)
            others.append((reader, writer))
        assert await becomes(lambda: sum(_are_cut(others)) >= 21)
        assert _are_cut(others) == [True] * 21 + [False] * 9  # whose last request is the oldest goes first
        site.going_on.set()
        assert await asyncio.wait_for(answered, PATIENCE_S) == (200, unittest.mock.ANY, b"at last")
        for _, writer in others:
            writer.close()
        await asyncio.gather(*[writer.wait_closed() for _, writer in others], return_exceptions=True)

    serve(snapshot, scenario)


def test_who_has_just_come_is_not_cut_before_the_request_is_there(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 10)
    monkeypatch.setattr(connections, "SWEEP_S", 0.02)
    monkeypatch.setattr(connections, "NEWCOMER_S", PATIENCE_S)

    async def scenario(site: Site) -> None:
        others = [await site.raw() for _ in range(10)]
        for reader, writer in others:
            writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"energyd is healthy\n"), PATIENCE_S)
        newcomer, to_newcomer = await site.raw()
        await asyncio.sleep(0.1)
        to_newcomer.write(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in await asyncio.wait_for(newcomer.readuntil(b"energyd is healthy\n"), PATIENCE_S)
        for writer in (to_newcomer, *[writer for _, writer in others]):
            writer.close()
        await asyncio.gather(*[writer.wait_closed() for _, writer in others], return_exceptions=True)

    serve(snapshot, scenario)


def test_a_second_request_that_is_never_finished_is_not_waited_for_either(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(connections, "SWEEP_S", 0.02)

    async def scenario(site: Site) -> None:
        reader, writer = await site.raw()
        writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\nGET /-/healthy HTTP/1.1\r\nX-Unfinished: ")
        assert b"energyd is healthy" in await asyncio.wait_for(reader.read(1000), PATIENCE_S)
        assert await _is_cut(reader)
        writer.close()

    serve(snapshot, scenario)


def test_oversized_request_lines_and_headers_are_refused_and_logged_once(
    snapshot: Snapshot, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask(site: Site, request: bytes) -> bytes:
        reader, writer = await site.raw()
        writer.write(request)
        answer = await asyncio.wait_for(reader.readline(), PATIENCE_S)
        writer.close()
        return answer

    async def scenario(site: Site) -> None:
        assert b" 400 " in await ask(site, b"GET /" + b"a" * 4000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 400 " in await ask(site, b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 9000 + b"\r\n\r\n")
        for _ in range(5):
            assert b" 400 " in await ask(site, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        assert (await site.get())[0] == 200

    serve(snapshot, scenario)
    assert 1 <= len(caplog.records) <= 3
    assert not any(record.exc_info for record in caplog.records)


def test_a_defect_of_ours_is_logged_once_a_minute_with_its_traceback(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, clock: Any
) -> None:
    monkeypatch.setattr(server, "SYSTEM_CLOCK", clock)
    asked = itertools.count()

    async def broken(_request: web.Request) -> web.StreamResponse:
        raise LookupError(f"request {next(asked)}")

    async def otherwise_broken(_request: web.Request) -> web.StreamResponse:
        raise LookupError("something else")

    async def scenario(site: Site) -> None:
        for path, times in (("/broken", 5), ("/otherwise", 2)):
            for _ in range(times):
                assert (await site.get(path))[0] == 500
        clock.now_ns += 60_000_000_000
        assert (await site.get("/broken"))[0] == 500

    serve(snapshot, scenario, pages={"/broken": broken, "/otherwise": otherwise_broken})
    first, other, later = [record.getMessage() for record in caplog.records]
    assert "by a defect of energyd that is worth reporting:\nTraceback (most recent" in first
    assert first.endswith('in broken\n    raise LookupError(f"request {next(asked)}")\nLookupError: request 0\n')
    assert "LookupError: something else" in other
    assert later.endswith("LookupError: request 5\n (4 more like it in the last minutes)")
    assert {(record.name, record.levelname, record.exc_info) for record in caplog.records} == {("energyd.http", "ERROR", None)}


def test_what_is_logged_for_who_debugs_is_no_defect(snapshot: Snapshot, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "energyd.http")

    async def scenario(_site: Site) -> None:
        logging.getLogger("energyd.http").debug("a client has gone", exc_info=ConnectionResetError())

    serve(snapshot, scenario)
    assert [(record.levelname, record.message) for record in caplog.records if record.name == "energyd.http"] == [
        ("DEBUG", "a client has gone")
    ]


def test_a_port_in_use_is_an_environment_fault_that_says_how_to_find_the_holder(snapshot: Snapshot) -> None:
    async def scenario(site: Site) -> None:
        other = Site(snapshot, SystemClock())
        with pytest.raises(
            EnvironmentFault, match=rf"127\.0\.0\.1:{site.port}: the port is in use; `ss -ltnp .*{site.port}"
        ) as caught:
            await server.start(other.app, "127.0.0.1", site.port)
        assert caught.value.exit_code == 111

    serve(snapshot, scenario)


@pytest.mark.parametrize("listen", ["203.0.113.7", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_an_environment_fault(snapshot: Snapshot, listen: str) -> None:
    async def main() -> None:
        with pytest.raises(EnvironmentFault, match=r"set metrics\.listen"):
            await server.start(Site(snapshot, SystemClock()).app, listen, 0)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("soft", "hard", "becomes"),
    [
        (1024, 524_288, (65_536, 524_288)),
        (1024, 4096, (4096, 4096)),
        (1024, resource.RLIM_INFINITY, (65_536, resource.RLIM_INFINITY)),
        (100_000, 524_288, None),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None),
    ],
)
def test_silent_connections_do_not_take_the_descriptors_of_the_rings(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, becomes: tuple[int, int] | None
) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _what, limit: limits.append(limit))

    async def scenario(site: Site) -> None:
        assert (await site.get())[0] == 200

    serve(snapshot, scenario)
    assert limits == ([] if becomes is None else [becomes])
