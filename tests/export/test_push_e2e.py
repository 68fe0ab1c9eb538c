"""A push into a real VictoriaMetrics, and its values read back."""

import asyncio
import json
import logging
import re
import shutil
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import free_port, get, running, wait_until

from energyd.aggregate.snapshot import Snapshot
from energyd.config import Push
from energyd.export.collect import collect
from energyd.export.delivery import Delivery
from energyd.export.push import Target
from energyd.export.served import Served
from energyd.service.clock import SYSTEM_CLOCK

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("victoria-metrics") is None, reason="victoria-metrics is not installed"),
]


AUTHORIZATION = "Basic ZW5lcmd5ZDpzZWNyZXQ="


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[str]:
    """The URL of a VictoriaMetrics that asks for a password."""
    port = free_port()
    command = [
        "victoria-metrics",
        f"-storageDataPath={tmp_path}/vm",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=100y",
        "-search.latencyOffset=0s",
        "-httpAuth.username=energyd",
        "-httpAuth.password=secret",
    ]
    url = f"http://127.0.0.1:{port}"
    with running(command, tmp_path / "vm.log"):
        wait_until(lambda: get(f"{url}/metrics", Authorization=AUTHORIZATION))
        yield url


def test_victoriametrics_stores_every_series_with_its_value_and_time(victoria: str, snapshot: Snapshot) -> None:
    now = snapshot._replace(real_ns=SYSTEM_CLOCK.real_ns())
    settings = Push("vm", victoria + "/api/v1/import/prometheus", username="energyd", password="secret")
    target = Target(settings, "1", SYSTEM_CLOCK, logging.getLogger("e2e"))

    async def push_once(pushed: Target) -> None:
        async with Delivery.session() as session:
            pushed.make_batch(Served(lambda: now, SYSTEM_CLOCK, "1"))
            await pushed._send_one(session)

    stranger = Target(settings._replace(password="wrong"), "1", SYSTEM_CLOCK, logging.getLogger("e2e"))
    asyncio.run(push_once(stranger))
    assert (stranger.failures, stranger.batches) == (1, 0)
    asyncio.run(push_once(target))
    count = sum(len(family.values) for family in collect(now, "1"))
    assert (target.batches, target.samples, target.failures) == (1, count, 0)

    def exported() -> list[dict[str, Any]]:
        selector = urllib.parse.quote('{__name__=~"energyd_.*"}')
        lines = get(f"{victoria}/api/v1/export?match[]={selector}", Authorization=AUTHORIZATION).splitlines()
        return [json.loads(line) for line in lines] if len(lines) == count else []

    rows = wait_until(exported)
    assert {tuple(row["timestamps"]) for row in rows} == {(now.real_ns // 10**6,)}
    read = {tuple(sorted(row["metric"].items())): row["values"][0] for row in rows}
    for metric, labels, values in collect(now, "1"):
        for texts, value in zip(labels, values, strict=True):
            pairs = {
                "__name__": metric.name,
                **{k: v.replace("\ud800", "\ufffd") for k, v in zip(metric.labels, texts, strict=True) if v},
            }
            exact = value if metric.decimals < 0 else value / 10**metric.decimals
            assert read[tuple(sorted(pairs.items()))] == pytest.approx(exact, rel=1e-12, abs=1e-9), pairs
    assert re.search(r'vm_rows_invalid_total\{type="prometheus"\} 0', get(victoria + "/metrics", Authorization=AUTHORIZATION))
