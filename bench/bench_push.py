"""The spool, its drain and remote write beside what one would write without care: `python bench/bench_push.py`.

`append`: a tick into the spool, its mark and its file included; the disk is not waited for. `encode`: remote write beside a
protobuf encoder that builds each message as the specification writes it down. `disk`: what a minute of the defaults (a tick a
second, a batch each 15 s) does to it, as the kernel counts it for this process (/proc/self/io). `drain`: from the files through
decoding, text and gzip into a real VictoriaMetrics on loopback, where one is installed; `sent`: samples in requests by samples
rendered. Times are CPU time of the best round, except for the drain, which is wall time.
"""

import asyncio
import logging
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from energyd.config import Push
from energyd.config import Spool as SpoolSettings
from energyd.export.importtext import encode as encode_text
from energyd.export.remotewrite import RemoteWrite, labels_of, varint
from energyd.export.target import Target
from energyd.service.clock import SYSTEM_CLOCK
from energyd.spool.rows import Row
from energyd.spool.spool import Limits, Spool

ROUNDS = 5
BACKLOG_SAMPLES = 2_000_000


def prefixes_of(series: int) -> list[bytes]:
    form = b'energyd_process_energy_joules_total{pid="%d",comm="worker-%d",cgroup="/system.slice/service-%d.service",uid="%d"} '
    return [form % (1000 + i, i % 50, i % 100, i % 7) for i in range(series)]


def rows_of(series: int, ticks: int) -> list[Row]:
    """Counters of which two in five move."""
    source = random.Random(1)
    prefixes = prefixes_of(series)
    values = np.array([source.randrange(10**12) / 10**6 for _ in range(series)])
    rates = np.array([source.random() * 5 if source.random() < 0.4 else 0.0 for _ in range(series)])
    now_ms = int(time.time() * 1000) - 1000 * ticks
    return [Row(series * i, now_ms + 1000 * i, prefixes, np.round(values + rates * i, 6)) for i in range(ticks)]


def best_s(action: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.process_time()
        action()
        best = min(best, time.process_time() - begin)
    return best


def plain_protobuf(rows: Sequence[Row]) -> bytes:
    """Each message built from its fields, bottom up: what the specification says, and most clients do."""

    def field(number: int, content: bytes) -> bytes:
        return varint(number << 3 | 2) + varint(len(content)) + content

    series: dict[bytes, bytes] = {}
    for row in rows:
        for prefix, value in zip(row.prefixes, row.values.tolist(), strict=True):
            sample = b"\x09" + struct.pack("<d", value) + b"\x10" + varint(row.at_ms)
            series[prefix] = series.get(prefix, b"") + field(2, sample)
    body = b""
    for prefix, samples in series.items():
        labels = b"".join(field(1, field(1, name.encode()) + field(2, value.encode())) for name, value in sorted(labels_of(prefix)))
        body += field(1, labels + samples)
    return body


@contextmanager
def spool_in(place: Path) -> Iterator[Spool]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        spool = Spool(place / "spool" / "bench", Path(memory, "mark"), Limits(1 << 30, 86400.0), SYSTEM_CLOCK, lambda *_: None)
        yield spool
        spool.close()


def bench_append() -> None:
    print("append: us a tick, bytes a sample on disk")
    for series in (200, 2_000, 10_000):
        rows = rows_of(series, 100)
        with tempfile.TemporaryDirectory() as place, spool_in(Path(place)) as spool:
            begin = time.process_time()
            for row in rows:
                spool.append(row.at_ms, row.prefixes, row.values)
            spent_s = time.process_time() - begin
            print(f"  {series:>6} series  {1e6 * spent_s / len(rows):8.0f} us  {spool.size_bytes / series / len(rows):5.1f} bytes")


def bench_encode() -> None:
    print("encode: samples a second, and how many times the plain encoder; bytes a sample")
    for series, ticks in ((200, 15), (500, 15), (10_000, 2)):
        rows, writer = rows_of(series, ticks), RemoteWrite()
        samples = series * ticks
        plain_s = best_s(lambda rows=rows: plain_protobuf(rows))
        for name, action in (
            ("remote write 1.0", lambda rows=rows, writer=writer: writer.encode(rows, None)),
            ("remote write 2.0", lambda rows=rows, writer=writer: writer.encode_2_0(rows, None)),
            ("text, gzip", lambda rows=rows: encode_text(rows)),
        ):
            spent_s = best_s(action)
            size = len(action().body) / samples
            print(
                f"  {series:>6} x {ticks:<3} {name:<17} {samples / spent_s:12.0f}/s  {plain_s / spent_s:7.1f} x  {size:6.1f} bytes"
            )


def storage_bytes() -> int:
    """Bytes that this process caused to be sent to the storage layer (proc(5), /proc/PID/io)."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["write_bytes"])


def bench_disk() -> None:
    print("disk: a minute of the defaults (a tick a second, a commit each 15 s)")
    for series in (200, 500, 2_000):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as place, spool_in(Path(place)) as spool:
            rows = rows_of(series, 75)
            syncs = 0
            for i, row in enumerate(rows):
                if i == 15:
                    before, written, writes, syncs = storage_bytes(), spool.written_bytes, spool.writes, 0
                spool.append(row.at_ms, row.prefixes, row.values)
                if i % 15 == 14:
                    spool.acknowledge(0, row.first)
                    descriptor = spool.commit()
                    if descriptor is not None:
                        os.fdatasync(descriptor)
                        os.close(descriptor)
                        syncs += 1
            stored = storage_bytes() - before
            told = f"{spool.written_bytes - written} bytes, {stored} as the kernel counts blocks"
            print(f"  {series:>6} series  {syncs} syncs, {spool.writes - writes} records, {told}")


@contextmanager
def victoria_metrics() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as home:
        port = 18_400 + os.getpid() % 1000
        flags = [f"-storageDataPath={home}", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=1200"]
        server = subprocess.Popen(["victoria-metrics", *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()
            server.wait()


class Silent:
    """Renders nothing: the backlog is all there is."""

    def rendered(self) -> None:
        return None


def bench_drain() -> None:
    if shutil.which("victoria-metrics") is None:
        print("drain: victoria-metrics is not installed", file=sys.stderr)
        return
    print("drain: a backlog into VictoriaMetrics; samples sent by samples rendered")
    with victoria_metrics() as base, tempfile.TemporaryDirectory() as place:
        for name, path in (("text", "/api/v1/import/prometheus"), ("remote write", "/api/v1/write")):
            target = Push(name.replace(" ", "-"), base + path, interval_s=1.0)
            one = Target(
                target, SpoolSettings(), Path(place) / "state", Path(place) / "run", "1", SYSTEM_CLOCK, logging.getLogger("bench")
            )
            for row in rows_of(500, BACKLOG_SAMPLES // 500):
                one.spool.append(row.at_ms, row.prefixes, row.values)
            one._released = one.spool.cursor.end

            async def drain(one: Target = one) -> float:
                task = asyncio.create_task(one.run(Silent()))  # type: ignore[arg-type]
                begin = time.monotonic()
                while one.spool.cursor.pending:
                    await asyncio.sleep(0.01)
                spent_s = time.monotonic() - begin
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                return spent_s

            spent_s = asyncio.run(drain())
            rate, requests, share = BACKLOG_SAMPLES / spent_s, one.counts["batches"], one.counts["sent"] / one.spool.cursor.end
            print(f"  {name:<13} {rate:10.0f} samples/s  {requests} requests  {share:.3f} sent/rendered")


if __name__ == "__main__":
    bench_append()
    bench_encode()
    bench_disk()
    bench_drain()
