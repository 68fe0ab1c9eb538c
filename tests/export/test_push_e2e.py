"""Pushes into Debian's VictoriaMetrics and Prometheus, and what they have stored read back."""

import asyncio
import json
import logging
import re
import shutil
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import free_port, get, query, running, wait_until

from energyd.aggregate.snapshot import Snapshot
from energyd.config import Metrics, Push, Spool
from energyd.export import restarts
from energyd.export.collect import collect
from energyd.export.push import Pushers
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


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts a Prometheus that receives remote write; takes lines for its configuration, gives its URL."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed")
    started = []

    def start(storage: str = "") -> str:
        port = free_port()
        (tmp_path / "prometheus.yml").write_text(storage)
        command = [
            "prometheus",
            f"--config.file={tmp_path}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/prometheus",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
        ]
        server = running(command, tmp_path / "prometheus.log")
        server.__enter__()
        started.append(server)
        wait_until(lambda: get(f"http://127.0.0.1:{port}/-/ready"))
        return f"http://127.0.0.1:{port}"

    yield start
    for server in started:
        server.__exit__(None, None, None)


def push(
    directory: Path, snapshots: Callable[[], Snapshot], until: Callable[[Pushers], object], *targets: Push, timeout_s: float = 20
) -> Pushers:
    """Push into `targets` until `until` is true of the pushers."""
    settings = Metrics(push=targets, push_enabled=True, spool=Spool())
    pushers = Pushers(settings, directory / "state", directory / "run", "1", SYSTEM_CLOCK, logging.getLogger("e2e"))

    async def main() -> None:
        task = asyncio.create_task(pushers.run(Served(snapshots, SYSTEM_CLOCK, "1")))
        async with asyncio.timeout(timeout_s):
            while not until(pushers):
                assert not task.done(), task.result()
                await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    return pushers


def test_victoriametrics_stores_every_series_with_its_value_and_time(victoria: str, snapshot: Snapshot, tmp_path: Path) -> None:
    now = snapshot._replace(real_ns=SYSTEM_CLOCK.real_ns())
    settings = Push("vm", victoria + "/api/v1/import/prometheus", username="energyd", password="wrong", interval_s=0.2)
    push(tmp_path / "wrong", lambda: now, lambda pushers: pushers.targets[0].counts["failures"], settings)
    pushers = push(
        tmp_path / "right", lambda: now, lambda pushers: pushers.targets[0].spool.delivered, settings._replace(password="secret")
    )
    count = sum(len(family.values) for family in collect(now, "1"))
    assert pushers.targets[0].spool.delivered == count
    assert pushers.targets[0].counts["sent"] == count

    def exported() -> list[dict[str, Any]]:
        selector = urllib.parse.quote('{__name__=~".+"}')
        lines = get(f"{victoria}/api/v1/export?match[]={selector}", Authorization=AUTHORIZATION).splitlines()
        return [json.loads(line) for line in lines] if len(lines) == count else []

    rows = wait_until(exported)
    assert {tuple(row["timestamps"]) for row in rows} == {(now.real_ns // 10**6,)}
    read = {tuple(sorted(row["metric"].items())): row["values"][0] for row in rows}
    assert read == expected(now)
    assert re.search(r'vm_rows_invalid_total\{type="prometheus"\} 0', get(victoria + "/metrics", Authorization=AUTHORIZATION))


def expected(snapshot: Snapshot) -> dict[tuple[tuple[str, str], ...], Any]:
    """{labels: value} of everything in the Snapshot, as a database reads it."""
    series = {}
    for metric, labels, values in collect(snapshot, "1"):
        for texts, value in zip(labels, values, strict=True):
            pairs = {
                "__name__": metric.name,
                **{k: v.replace("\ud800", "\ufffd") for k, v in zip(metric.labels, texts, strict=True) if v},
            }
            exact = value if metric.decimals < 0 else value / 10**metric.decimals
            series[tuple(sorted(pairs.items()))] = pytest.approx(exact, rel=1e-12, abs=1e-9)
    return series


def test_prometheus_stores_every_series_and_ends_those_that_vanish(
    prometheus: Callable[..., str], snapshot: Snapshot, tmp_path: Path
) -> None:
    url = prometheus()
    smaller = snapshot._replace(processes=snapshot.processes._replace(visible=snapshot.processes.visible[1:]))
    gone = snapshot.processes.visible[0].pid
    times = iter(range(10**6))

    def snapshots() -> Snapshot:
        current = snapshot if next(times) < 5 else smaller
        return current._replace(real_ns=SYSTEM_CLOCK.real_ns())

    target = Push("prometheus", url + "/api/v1/write", interval_s=0.2, resolution_s=0.1)
    pushers = push(
        tmp_path,
        snapshots,
        lambda pushers: pushers.targets[0].counts["markers"] and pushers.targets[0].counts["batches"] > 5,
        target,
    )
    assert pushers.targets[0].counts["markers"] == 4, "energy, power, CPU time and info of one process"
    assert not pushers.targets[0].spool.cursor.pending or pushers.targets[0].counts["failures"] == 0
    seen = {
        tuple(sorted(series["metric"].items())): float(series["value"][1])
        for series in wait_until(lambda: query(url, '{__name__=~"energyd_.+"}'))
    }
    now = {
        labels: value
        for labels, value in expected(smaller).items()
        if dict(labels)["__name__"] != "energyd_snapshot_timestamp_seconds"
    }
    assert {labels: value for labels, value in seen.items() if labels in now} == now
    assert not [labels for labels in seen if dict(labels).get("pid") == str(gone) and labels not in now]


def test_prometheus_takes_a_backlog_in_order_and_gives_up_what_is_too_old_without_end(
    prometheus: Callable[..., str], snapshot: Snapshot, tmp_path: Path
) -> None:
    """Without an out-of-order window Prometheus takes nothing older than an hour before its newest sample."""
    url = prometheus()
    now_ns = SYSTEM_CLOCK.real_ns()
    settings = Push("prometheus", url + "/api/v1/write", interval_s=0.1, resolution_s=0.1, match="energyd_(processes|host.*)")
    ages_s = iter([*range(9000, 8000, -50), *range(1800, 0, -50), *[0] * 10**6])
    per_row = sum(len(family.values) for family in collect(snapshot, "1") if re.fullmatch(settings.match or "", family.metric.name))
    first = settings._replace(match="energyd_build_info")
    push(tmp_path / "first", lambda: snapshot._replace(real_ns=SYSTEM_CLOCK.real_ns()), _done(1), first)
    pushers = push(
        tmp_path / "second", lambda: snapshot._replace(real_ns=now_ns - next(ages_s) * 10**9), _done(57 * per_row), settings
    )
    spool = pushers.targets[0].spool
    assert spool.dropped["too_old"] == sum(spool.dropped.values()) == 20 * per_row
    assert spool.delivered == 37 * per_row


def test_whole_numbers_are_numbers_in_remote_write_too(prometheus: Callable[..., str], snapshot: Snapshot, tmp_path: Path) -> None:
    url = prometheus()
    target = Push("p", url + "/api/v1/write", interval_s=0.1, resolution_s=0.1, match="energyd_processes")
    push(tmp_path, lambda: snapshot._replace(real_ns=SYSTEM_CLOCK.real_ns()), _done(3), target)
    [series] = query(url, "energyd_processes")
    assert series["value"][1] == "321"


def _done(count: int) -> Callable[[Pushers], bool]:
    """Until so many samples are delivered or given up."""
    return lambda pushers: pushers.targets[0].spool.delivered + sum(pushers.targets[0].spool.dropped.values()) >= count


@pytest.mark.parametrize("interval_s", [0.1, 1.0])
def test_a_sample_that_two_writers_fight_over_is_given_up_and_the_others_are_delivered(
    prometheus: Callable[..., str], snapshot: Snapshot, tmp_path: Path, interval_s: float
) -> None:
    """A row or ten in a request, of which Prometheus 3 takes what is good and tells how much."""
    url = prometheus()
    ahead = snapshot._replace(real_ns=SYSTEM_CLOCK.real_ns() + 60 * 10**9)
    rival = Push("rival", url + "/api/v1/write", interval_s=0.1, resolution_s=0.1, match="energyd_processes")
    push(tmp_path / "rival", lambda: ahead, _done(1), rival)
    ours = rival._replace(name="ours", match="energyd_(processes|host.*)", interval_s=interval_s)
    pushers = push(tmp_path / "ours", lambda: snapshot._replace(real_ns=SYSTEM_CLOCK.real_ns()), _done(100), ours)
    spool = pushers.targets[0].spool
    assert spool.dropped["out_of_order"] > 0
    assert spool.dropped["out_of_order"] == sum(spool.dropped.values())
    per_row = sum(len(family.values) for family in collect(snapshot, "1") if re.fullmatch(ours.match or "", family.metric.name))
    assert spool.delivered == spool.dropped["out_of_order"] * (per_row - 1)
    build = json.loads(get(f"{url}/api/v1/status/buildinfo"))["data"]["version"]
    assert pushers.targets[0].sender.version == ("1.0" if build.startswith("2.") else "2.0")


def test_what_is_older_than_prometheus_out_of_order_window_is_no_endless_loop(
    prometheus: Callable[..., str], snapshot: Snapshot, tmp_path: Path
) -> None:
    """It answers 500 to those, which means "try again" in the specification (prometheus #13334)."""
    url = prometheus("storage: {tsdb: {out_of_order_time_window: 1h}}\n")
    settings = Push("prometheus", url + "/api/v1/write", interval_s=0.1, resolution_s=0.1, match="energyd_processes")
    push(tmp_path / "first", lambda: snapshot._replace(real_ns=SYSTEM_CLOCK.real_ns()), _done(1), settings)
    begin_ns = SYSTEM_CLOCK.real_ns()
    ages_s = iter([*range(12000, 11000, -100), *range(1800, 1000, -100), *[0] * 10**6])
    pushers = push(
        tmp_path / "second",
        lambda: snapshot._replace(real_ns=begin_ns + SYSTEM_CLOCK.real_ns() % 1000 - next(ages_s) * 10**9),
        _done(18),
        settings,
    )
    assert pushers.targets[0].spool.dropped["too_old"] == 10
    assert pushers.targets[0].counts["failures"] < 100


def test_rows_that_victoriametrics_acknowledges_and_throws_away_are_told(
    victoria: str, snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers 204 to garbage; only its own metrics tell, of ours as of everybody's."""
    monkeypatch.setattr(restarts, "WATCH_S", 0.2)
    url = victoria + "/api/v1/import/prometheus"
    garbage = urllib.request.Request(url, b"this is no line\n", {"Authorization": AUTHORIZATION})
    sent = []

    def until(pushers: Pushers) -> bool:
        thrown_away = pushers.targets[0].restarts.thrown_away
        if thrown_away == 0 and not sent:
            with urllib.request.urlopen(garbage, timeout=5) as answer:
                sent.append(answer.status)
        return bool(thrown_away)

    settings = Push("vm", url, username="energyd", password="secret", interval_s=0.2, resolution_s=0.1)
    pushers = push(tmp_path, lambda: snapshot._replace(real_ns=SYSTEM_CLOCK.real_ns()), until, settings)
    assert sent == [204]
    assert pushers.targets[0].restarts.thrown_away == 1
