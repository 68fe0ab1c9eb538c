"""Who scrapes, how often and how badly disturbs no reader: sampling goes on as if nobody were there, others are answered."""

import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon, get, wait_for

from energyd.export.document import COMPATIBILITY, all_metrics

pytestmark = pytest.mark.e2e

RAPL_HZ, USAGE_HZ = 10.0, 2.0
TIMEOUT_S = 6  # of an answer; twice what a crowded machine may take
GROWTH_MAX = 40 << 20


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon() as running:
        running.wait_ready()
        time.sleep(2)
        yield running


class Watch:
    """The readers' own counters and the aggregator's memory over a stretch of time."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._memory = self._resident()
        self._begin_s = time.monotonic()
        self._before = self._counters()

    def _counters(self) -> dict[str, float]:
        values = self._daemon.metrics()
        sums: dict[str, float] = {}
        for series, value in values.items():
            name, _, labels = series.partition("{")
            for ring in ("rapl", "usage", "tic-house"):
                if f'ring="{ring}"' in labels:
                    sums[f"{name} {ring}"] = sums.get(f"{name} {ring}", 0) + value
            if name == "energyd_meter_groups_total":
                sums["bad groups" if 'result="ok"' not in labels else "good groups"] = value + sums.get(
                    "bad groups" if 'result="ok"' not in labels else "good groups", 0
                )
        return sums

    def _resident(self) -> int:
        status = Path(f"/proc/{self._daemon.pid_of('aggregator')}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) << 10

    def assert_undisturbed(self) -> None:
        """All ticks were kept (some may be missed on a crowded machine, and are told), nothing was lost, memory is the same."""
        after, elapsed_s = self._counters(), time.monotonic() - self._begin_s
        gained = {name: value - self._before.get(name, 0) for name, value in after.items()}
        for name, rate_hz in (("sweeps_total rapl", RAPL_HZ), ("scans_total usage", USAGE_HZ)):
            ticks = gained[f"energyd_reader_{name}"] + gained[f"energyd_reader_missed_ticks_total {name.split()[1]}"]
            assert ticks == pytest.approx(rate_hz * elapsed_s, rel=0.02, abs=rate_hz * 2), name  # told once a second
        for ring in ("rapl", "usage"):
            assert gained[f"energyd_reader_missed_ticks_total {ring}"] <= 0.02 * RAPL_HZ * elapsed_s
        for ring in ("rapl", "usage", "tic-house"):
            assert gained[f"energyd_ring_overruns_total {ring}"] == gained[f"energyd_ring_refused_total {ring}"] == 0
        assert gained.get("bad groups", 0) == 0
        assert gained["good groups"] > 10 * elapsed_s
        assert self._resident() - self._memory < GROWTH_MAX


def scrape_often(daemon: Daemon, pause_s: float, end_s: float, answers: list[bytes]) -> threading.Thread:
    """A scraper of its own that goes on until `end_s`."""

    def scrape() -> None:
        while time.monotonic() < end_s:
            answers.append(get(daemon.url, {"Accept-Encoding": "gzip"}, TIMEOUT_S))
            time.sleep(pause_s)

    thread = threading.Thread(target=scrape)
    thread.start()
    return thread


def test_scrapers_of_every_pace_and_twenty_at_once_are_served_and_change_nothing(daemon: Daemon) -> None:
    watch = Watch(daemon)
    end_s = time.monotonic() + 8
    answers: list[list[bytes]] = [[] for _ in range(22)]
    threads = [scrape_often(daemon, pause_s, end_s, answers[i]) for i, pause_s in enumerate((1.0, 0.1, *[0.02] * 20))]
    for thread in threads:
        thread.join()
    assert all(bodies and all(b"energyd_host_energy" in gzip.decompress(body) for body in bodies) for bodies in answers)
    assert len(answers[0]) >= 3
    watch.assert_undisturbed()


def test_readers_that_hardly_read_keep_nobody_waiting(daemon: Daemon) -> None:
    watch = Watch(daemon)
    slow = []
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.connect(("127.0.0.1", daemon.port))
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50)  # far more answers than the kernel would buffer
            slow.append(sock)
        for _ in range(6):
            for sock in slow:
                with contextlib.suppress(ConnectionError):
                    sock.recv(1)
            assert b"energyd_host_energy" in get(daemon.url, timeout_s=TIMEOUT_S)
            time.sleep(0.5)
        watch.assert_undisturbed()


def test_two_hundred_connections_that_never_finish_a_request_do_not_stand_in_the_way(daemon: Daemon) -> None:
    watch = Watch(daemon)
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", daemon.port), TIMEOUT_S)) for _ in range(200)]
        for sock in idle[::2]:
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Unfinished: ")
        begin_s = time.monotonic()
        assert b"energyd_host_energy" in get(daemon.url, timeout_s=TIMEOUT_S)
        assert time.monotonic() - begin_s < TIMEOUT_S / 2

        def all_cut() -> bool:
            for sock in idle:
                sock.setblocking(False)
                try:
                    if sock.recv(1):
                        return False
                except BlockingIOError:
                    return False
                except ConnectionError:
                    pass
            return True

        wait_for(all_cut, 25, "silent connections are still there")
    assert b"energyd_host_energy" in get(daemon.url, timeout_s=TIMEOUT_S)
    watch.assert_undisturbed()


def test_what_scrapes_showed_was_fresh(daemon: Daemon) -> None:
    """The histogram of freshness has seen all of that; its mean stays within twice the budget of its 99th percentile."""
    for data in ("zones", "meters"):
        count = daemon.value("energyd_freshness_seconds_count", data=data)
        assert count > 50
        assert daemon.value("energyd_freshness_seconds_sum", data=data) / count < 0.3
    assert daemon.value("energyd_freshness_seconds_count", data="attribution") > 50


def test_everything_that_is_shown_has_a_name_that_the_configuration_knows(daemon: Daemon) -> None:
    """What `metrics.families` and `metrics.rename` are checked against is complete."""
    body = get(daemon.url).decode()
    shown = {line.split()[2] for line in body.splitlines() if line.startswith("# TYPE ")}
    assert shown <= {metric.name for metric in all_metrics(COMPATIBILITY)}
