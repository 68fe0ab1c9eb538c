"""Real scrapers take our exposition: every series, the exact values, and nothing to complain about."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from servers import free_port, get, query, running, wait_until

from energyd.aggregate.snapshot import Snapshot
from energyd.export.collect import collect
from energyd.export.http import application
from energyd.export.httpmetrics import HttpMetrics
from energyd.export.served import Served
from energyd.export.server import start
from energyd.service.clock import SYSTEM_CLOCK

pytestmark = pytest.mark.e2e


@pytest.fixture
def energyd(snapshot: Snapshot) -> Iterator[int]:
    """The port of a server that answers with the fixed Snapshot from a thread of its own."""
    port, stop, serving = free_port(), threading.Event(), threading.Event()

    async def main() -> None:
        metrics = HttpMetrics(SYSTEM_CLOCK)
        served = Served(lambda: snapshot, SYSTEM_CLOCK, "1", tail=metrics.exposition)
        app = application(served, metrics, path="/metrics", rings=(), version="1", clock=SYSTEM_CLOCK)
        runner = await start(app, "127.0.0.1", port)
        serving.set()
        while not stop.is_set():
            await asyncio.sleep(0.05)
        await runner.cleanup()

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            loop.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    assert serving.wait(5)
    yield port
    stop.set()
    thread.join(5)


def check(base: str, snapshot: Snapshot) -> None:
    """The database at `base` has scraped every series with its value."""
    families = collect(snapshot, "1")
    count = sum(len(family.values) for family in families)
    wait_until(lambda: len(query(base, 'last_over_time({__name__=~"energyd_.*",__name__!~"energyd_http_.*"}[1m])')) == count)
    assert [row["value"][1] for row in query(base, "up")] == ["1"]
    [joules] = query(base, "energyd_host_energy_joules_total")
    assert float(joules["value"][1]) == pytest.approx(9_007_199_254_740_993 / 10**6, rel=1e-12)  # VictoriaMetrics keeps decimals
    [other] = query(base, 'energyd_process_energy_joules_total{comm="other"}')
    assert "pid" not in other["metric"]
    names = {row["metric"].get("comm", "") for row in query(base, "energyd_process_power_watts")}
    assert names == {process.comm.replace("\ud800", "\ufffd") for process in snapshot.processes.visible} | {"other"}


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
def test_prometheus_scrapes_every_series_without_a_warning(energyd: int, snapshot: Snapshot, tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "scrape_configs: [{job_name: energyd, scrape_interval: 1s, scrape_timeout: 1s, "
        f"static_configs: [{{targets: ['127.0.0.1:{energyd}']}}]}}]\n"
    )
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log = tmp_path / "prometheus.log"
    with running(command, log):
        wait_until(lambda: get(f"http://127.0.0.1:{port}/-/ready"))
        check(f"http://127.0.0.1:{port}", snapshot)
        wait_until(lambda: query(f"http://127.0.0.1:{port}", 'energyd_http_requests_total{handler="/metrics",status="200"} > 1'))
    levels = ("level=warn", "level=error")  # Prometheus 3 writes them in capitals
    assert [line for line in log.read_text().splitlines() if any(level in line.lower() for level in levels)] == []


@pytest.mark.skipif(shutil.which("victoria-metrics") is None, reason="victoria-metrics is not installed")
def test_victoriametrics_scrapes_every_series_without_a_warning(energyd: int, snapshot: Snapshot, tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "scrape.yml"
    config.write_text(
        f"scrape_configs: [{{job_name: energyd, scrape_interval: 1s, static_configs: [{{targets: ['127.0.0.1:{energyd}']}}]}}]\n"
    )
    command = [
        "victoria-metrics",
        f"-storageDataPath={tmp_path}/vm",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-search.latencyOffset=0s",
        f"-promscrape.config={config}",
    ]
    log = tmp_path / "vm.log"
    with running(command, log):
        wait_until(lambda: get(f"http://127.0.0.1:{port}/health"))
        check(f"http://127.0.0.1:{port}", snapshot)
    assert [line for line in log.read_text().splitlines() if "\twarn\t" in line or "\terror\t" in line] == []
