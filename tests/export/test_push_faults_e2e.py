"""Every fault of networks and servers between energyd and Debian's databases, one after the other: nothing is lost by any."""

import asyncio
import json
import logging
import shutil
import urllib.parse
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faultyproxy import FaultyProxy, answering, babble, drip, poisoned, reset, stop_halfway, swallow
from servers import free_port, get, query, running, wait_until

from energyd.aggregate.snapshot import Snapshot
from energyd.config import Metrics, Push, Spool
from energyd.export import delivery, gate
from energyd.export.push import Pushers
from energyd.export.served import Served
from energyd.service.clock import SYSTEM_CLOCK

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (shutil.which("victoria-metrics") and shutil.which("prometheus")), reason="needs both servers"),
]

FAULTS = {
    "reset": reset,
    "broken off halfway": stop_halfway,
    "timeout": swallow,
    "slow drip": drip,
    "not HTTP": babble,
    "429": answering("429 Too Many Requests", "Retry-After: 1"),
    "503": answering("503 Service Unavailable", "Retry-After: 1"),
    "502": answering("502 Bad Gateway"),
    "500 for ever": answering("500 Internal Server Error"),
    "400 to everything": answering("400 Bad Request"),
    "401": answering("401 Unauthorized"),
    "404": answering("404 Not Found"),
    "redirect": answering("302 Found", "Location: http://127.0.0.1:1/"),
}
MATCH = "energyd_host_cpu_seconds_total|energyd_processes"
SELECTOR = '{__name__=~"energyd_host_cpu_seconds_total|energyd_processes"}'


def victoria(tmp_path: Path, port: int) -> list[str]:
    return [
        "victoria-metrics",
        f"-storageDataPath={tmp_path}/vm",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=100y",
        "-search.latencyOffset=0s",
    ]


def prometheus(tmp_path: Path, port: int) -> list[str]:
    (tmp_path / "prometheus.yml").write_text("")
    return [
        "prometheus",
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/prometheus",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
    ]


@pytest.fixture(
    params=[(victoria, "/api/v1/import/prometheus"), (prometheus, "/api/v1/write")], ids=["victoriametrics", "prometheus"]
)
def server(request: Any, tmp_path: Path) -> Iterator[tuple[int, str]]:
    """The port of a real server, and the path of its ingestion."""
    command, path = request.param
    port = free_port()
    with running(command(tmp_path, port), tmp_path / "log"):
        wait_until(lambda: get(f"http://127.0.0.1:{port}/-/ready"))
        yield port, path


def stored(port: int) -> dict[str, list[int]]:
    """{series: its times in milliseconds, duplicates included}, of either server."""
    base = f"http://127.0.0.1:{port}"
    exported = get(f"{base}/api/v1/export?reduce_mem_usage=1&match[]={urllib.parse.quote(SELECTOR)}")
    result: dict[str, list[int]] = {}
    if exported:
        for line in exported.splitlines():
            entry = json.loads(line)
            result.setdefault(json.dumps(entry["metric"], sort_keys=True), []).extend(entry["timestamps"])
        return result
    return {
        json.dumps(series["metric"], sort_keys=True): [round(float(at_s) * 1000) for at_s, _ in series["values"]]
        for series in query(base, f"{SELECTOR}[1h]")
    }


def test_no_fault_on_the_way_costs_a_sample(
    server: tuple[int, str], snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(delivery, "TIMEOUT_S", 0.4)
    monkeypatch.setattr(gate, "BACKOFF_FIRST_S", 0.02)
    monkeypatch.setattr(gate, "BACKOFF_MAX_S", 0.1)
    port, path = server
    times: list[int] = []

    def now() -> Snapshot:
        current = snapshot._replace(real_ns=SYSTEM_CLOCK.real_ns())
        times.append(current.real_ns // 10**6)
        return current

    async def main() -> Pushers:
        async with FaultyProxy(port) as proxy:
            target = Push(
                "t",
                f"http://127.0.0.1:{proxy.port}{path}",
                interval_s=0.1,
                resolution_s=0.05,
                match=MATCH,
            )
            settings = Metrics(push=(target,), push_enabled=True, spool=Spool(keep_s=1))
            pushers = Pushers(settings, tmp_path / "state", tmp_path / "run", "1", SYSTEM_CLOCK, logging.getLogger("faults"))
            one = pushers.targets[0]
            task = asyncio.create_task(pushers.run(Served(now, SYSTEM_CLOCK, "1")))
            await until(lambda: one.spool.delivered > 0)
            for name, fault in FAULTS.items():
                failures = one.counts["failures"]
                proxy.use(fault)
                await until(lambda failures=failures: one.counts["failures"] > failures + 1, name)
                proxy.use(None)
                delivered = one.spool.delivered
                await until(
                    lambda delivered=delivered: one.spool.delivered > delivered and len(one.spool.cursor.pending) < 20, name
                )
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return pushers

    one = asyncio.run(main()).targets[0]
    assert sum(one.spool.dropped.values()) == 0
    waiting = len(one.spool.cursor.pending)
    per_row = 3
    expected = sorted(set(times))[: one.spool.cursor.end // per_row]
    wanted = set(expected[: len(expected) - waiting // per_row])

    def everything() -> dict[str, list[int]] | None:
        found = stored(port)
        return found if len(found) == per_row and all(wanted <= set(series) for series in found.values()) else None

    for series in wait_until(everything).values():
        assert set(series) <= set(times), "nothing was invented"
    assert "answered 429" in caplog.text
    assert "no answer within" in caplog.text


def test_a_poisoned_batch_is_sifted_before_a_real_server(
    server: tuple[int, str], snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One series is refused, whatever it comes with: it alone is quarantined, everything else is stored."""
    monkeypatch.setattr(gate, "BACKOFF_FIRST_S", 0.02)
    port, path = server

    def poison(body: bytes) -> bool:
        plain = zlib.decompress(body, 31) if body[:2] == b"\x1f\x8b" else body
        return b"user" in plain

    async def main() -> Pushers:
        async with FaultyProxy(port) as proxy:
            target = Push("t", f"http://127.0.0.1:{proxy.port}{path}", interval_s=0.1, resolution_s=0.05, match=MATCH)
            settings = Metrics(push=(target,), push_enabled=True)
            pushers = Pushers(settings, tmp_path / "state", tmp_path / "run", "1", SYSTEM_CLOCK, logging.getLogger("faults"))
            one = pushers.targets[0]
            proxy.use(poisoned(port, poison))
            now = lambda: snapshot._replace(real_ns=SYSTEM_CLOCK.real_ns())  # noqa: E731
            task = asyncio.create_task(pushers.run(Served(now, SYSTEM_CLOCK, "1")))
            await until(lambda: one.spool.dropped["refused"] > 10, "nothing was refused")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return pushers

    one = asyncio.run(main()).targets[0]
    refused = one.spool.dropped["refused"]
    assert one.spool.delivered == 2 * refused, "the other two series of each row"
    lines = (tmp_path / "state" / "spool" / "t" / "quarantine.txt").read_text().splitlines()
    assert len([line for line in lines if line.startswith('energyd_host_cpu_seconds_total{mode="user"}')]) == refused
    wait_until(lambda: [len(set(times)) for times in stored(port).values()] == [refused, refused])


async def until(condition: Callable[[], object], what: str = "") -> None:
    for _ in range(600):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"timed out: {what}")
