"""Scrapes over loopback beside prometheus_client and node_exporter: `python bench/bench_scrape.py [SERIES ...]`.

`finished`: the bytes are there already; the server runs on CPU 0, `wrk` on CPU 1, 2 s a row; `paced`: a scrape every 5 ms instead
of one after the other, so that two processors have time for what else there is. `folding`: a scrape every 60 ms, so that each
finds the bytes too old and a tenth of the values changed, and waits for folding, collecting, rendering and compressing; the server
runs where the kernel puts it, as in life. `coming and going`: besides, a process has ended and another one begun. `gzip` is made by
isal where it is installed, `gzip of zlib` is what others have. `bare` is a loop that sends the same bytes from one blocking socket
to whatever asks: nobody can undercut it, and what it takes is the machine. `CPU` is that of the server, all its threads. Under
`chrt -f 10` the paced rows and all that fold leave out what else the machine does; not those of wrk, because the kernel takes a
twentieth of each second from who never pauses.
"""

import asyncio
import contextlib
import gc
import http.client
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import uvloop
from bench_daemon import cpu_ns
from bench_render import _Peer, snapshot_of
from prometheus_client import CollectorRegistry, start_http_server

from energyd.aggregate.snapshot import Snapshot
from energyd.export.collect import collect
from energyd.export.encoding import GzipEncoder
from energyd.export.http import application
from energyd.export.httpmetrics import HttpMetrics
from energyd.export.render import Renderer
from energyd.export.served import Served
from energyd.export.server import start
from energyd.service.clock import SYSTEM_CLOCK
from energyd.workers.aggregator import COLLECT_AFTER

SECONDS = 2
PACED_SCRAPES = 1000
PACED_PAUSE_S = 0.005
FOLDING_SCRAPES = 200
FOLDING_PAUSE_S = 0.06  # finished bytes are too old after 50 ms


class Figures(NamedTuple):
    """As they are printed; `cpu` is that of one request."""

    rate: str
    p50: str
    p99: str
    cpu: str


class Changing:
    """A fold that moves one value in ten, and puts another process in the place of one, if that is what `mode` says."""

    def __init__(self, series: int, mode: str) -> None:
        self._snapshot = snapshot_of(series)
        self._mode = mode
        self._folds = 0

    def fold(self) -> Snapshot:
        if self._mode != "finished":
            processes = self._snapshot.processes
            moved = tuple(
                process._replace(energy_uj=process.energy_uj + 1, cpu_ns=process.cpu_ns + 1, power_w=process.power_w + 0.125)
                if i % 10 == 0
                else process
                for i, process in enumerate(processes.visible)
            )
            if self._mode == "coming":
                self._folds += 1
                gone = self._folds * 997 % len(moved)
                moved = (*moved[:gone], *moved[gone + 1 :], moved[gone]._replace(pid=100_000 + self._folds))
            self._snapshot = self._snapshot._replace(processes=processes._replace(visible=moved))
        return self._snapshot


async def serve_ours(series: int, port: int, mode: str) -> None:
    metrics = HttpMetrics(SYSTEM_CLOCK)
    encoders = {"gzip": GzipEncoder()} if mode == "zlib" else None
    served = Served(Changing(series, mode).fold, SYSTEM_CLOCK, "bench", tail=metrics.exposition, encoders=encoders)
    app = application(served, metrics, path="/metrics", rings=(), version="bench", clock=SYSTEM_CLOCK)
    await start(app, "127.0.0.1", port)
    gc.freeze()  # as the aggregator does
    gc.set_threshold(COLLECT_AFTER)
    if mode == "finished":
        served.publish(snapshot_of(series))
        served._published_ns += 3600 * 10**9  # finished bytes, for the whole run
    await asyncio.Event().wait()


def serve_bare(series: int, port: int, packed: bool) -> None:
    body = Renderer().render(collect(snapshot_of(series), "bench")).text()
    body = zlib.compress(body, 1) if packed else body
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with socket.create_server(("127.0.0.1", port)) as listening:
        while True:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                while connection.recv(4096):
                    connection.sendall(answer)


def serve_client(series: int, port: int) -> None:
    registry = CollectorRegistry()
    registry.register(_Peer(collect(snapshot_of(series), "bench")))  # type: ignore[arg-type]
    start_http_server(port, "127.0.0.1", registry=registry)
    time.sleep(3600)


@contextlib.contextmanager
def running(command: list[str], port: int, pinned: bool = True) -> Iterator[int]:
    """`command`, which listens on `port`, on CPU 0 if `pinned`; gives its pid."""
    with subprocess.Popen(
        [*(("taskset", "-c", "0") if pinned else ()), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield process.pid
        finally:
            process.kill()


def wrk(pid: int, port: int, connections: int, *headers: str) -> Figures:
    """Of requests without a pause, after a first one that may have to render."""
    first = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=dict(header.split(": ") for header in headers))
    urllib.request.urlopen(first, timeout=30).read()
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "--timeout", "30s"]
    for header in headers:
        command += ["-H", header]
    before_ns = cpu_ns(pid)
    out = subprocess.run([*command, f"http://127.0.0.1:{port}/metrics"], capture_output=True, text=True, check=True).stdout
    used_ns = cpu_ns(pid) - before_ns
    found = [re.search(pattern, out) for pattern in (r"Requests/sec: +(\S+)", r"50% +(\S+)", r"99% +(\S+)", r"(\d+) requests in")]
    rate, half, most, requests = [match.group(1) if match else "-" for match in found]
    return Figures(rate, half, most, f"{used_ns / int(requests) / 1e3:.0f}us")


def paced(pid: int, port: int, scrapes: int, pause_s: float, *headers: str) -> Figures:
    """Of scrapes with a pause before each."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    took_ms = []
    before_ns = 0
    for number in range(-3, scrapes):
        if number == 0:
            before_ns = cpu_ns(pid)
        time.sleep(pause_s)
        begin = time.perf_counter()
        connection.request("GET", "/metrics", headers=dict(header.split(": ") for header in headers))  # type: ignore[misc]
        connection.getresponse().read()
        took_ms.append((time.perf_counter() - begin) * 1e3)
    quantiles = statistics.quantiles(took_ms[3:], n=100)
    used_us = (cpu_ns(pid) - before_ns) / scrapes / 1e3
    return Figures("-", f"{quantiles[49]:.2f}ms", f"{quantiles[98]:.2f}ms", f"{used_us:.0f}us")


def finished(pid: int, port: int, *headers: str) -> Figures:
    return paced(pid, port, PACED_SCRAPES, PACED_PAUSE_S, *headers)


def folding(pid: int, port: int, *headers: str) -> Figures:
    """Of scrapes that each have to wait for a fold."""
    return paced(pid, port, FOLDING_SCRAPES, FOLDING_PAUSE_S, *headers)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def row(series: int, server: str, what: str, figures: Figures) -> None:
    print(f"{series:>7} {server:<18} {what:<24} " + " ".join([f"{figure:>10}" for figure in figures]), flush=True)


def main(sizes: list[int]) -> None:
    gzip = "Accept-Encoding: gzip"
    print(f"{'series':>7} {'server':<18} {'what':<24} {'requests/s':>10} {'p50':>10} {'p99':>10} {'CPU each':>10}")
    for series in sizes:
        port = free_port()
        with running([sys.executable, __file__, "--serve", "finished", str(series), str(port)], port) as pid:
            row(series, "energyd", "plain, 1 connection", wrk(pid, port, 1))
            row(series, "energyd", "plain, 16 connections", wrk(pid, port, 16))
            row(series, "energyd", "plain, paced", finished(pid, port))
            row(series, "energyd", "gzip, 1 connection", wrk(pid, port, 1, gzip))
            row(series, "energyd", "gzip, 16 connections", wrk(pid, port, 16, gzip))
            row(series, "energyd", "gzip, paced", finished(pid, port, gzip))
        for kind in ("plain", "gzip"):
            port = free_port()
            with running([sys.executable, __file__, "--serve", f"bare {kind}", str(series), str(port)], port) as pid:
                row(series, "bare", f"{kind}, 1 connection", wrk(pid, port, 1))
                row(series, "bare", f"{kind}, paced", finished(pid, port))
        port = free_port()
        with running([sys.executable, __file__, "--serve", "folding", str(series), str(port)], port, pinned=False) as pid:
            row(series, "energyd", "plain, folding", folding(pid, port))
            row(series, "energyd", "gzip, folding", folding(pid, port, gzip))
        for mode, what in (("coming", "gzip, coming and going"), ("zlib", "gzip of zlib, folding")):
            port = free_port()
            with running([sys.executable, __file__, "--serve", mode, str(series), str(port)], port, pinned=False) as pid:
                row(series, "energyd", what, folding(pid, port, gzip))
        port = free_port()
        with running([sys.executable, __file__, "--serve", "client", str(series), str(port)], port) as pid:
            row(series, "prometheus_client", "plain, 1 connection", wrk(pid, port, 1))
            row(series, "prometheus_client", "plain, 16 connections", wrk(pid, port, 16))
            row(series, "prometheus_client", "gzip, 1 connection", wrk(pid, port, 1, gzip))
    exporter = shutil.which("prometheus-node-exporter")
    if exporter:
        port = free_port()
        with running([exporter, f"--web.listen-address=127.0.0.1:{port}"], port) as pid:
            row(0, "node_exporter", "plain, 1 connection", wrk(pid, port, 1))
            row(0, "node_exporter", "gzip, 1 connection", wrk(pid, port, 1, gzip))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        mode, count, at = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
        if mode == "client":
            serve_client(count, at)
        if mode.startswith("bare"):
            serve_bare(count, at, packed=mode == "bare gzip")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_ours(count, at, mode))
    if not shutil.which("wrk") or (os.cpu_count() or 1) < 2:
        sys.exit("bench_scrape needs wrk (Debian: apt install wrk) and two CPUs")
    main([int(argument) for argument in sys.argv[1:]] or [200, 10_000])
