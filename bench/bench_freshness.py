"""How long a sample takes to be seen: `python bench/bench_freshness.py [SECONDS]`.

The real `energyd run` at default rates with a simulated meter and processor, all processes of the machine beside it. `shown`: for
each sample of a ring, the time from its stamp to the end of the first answer that counts it (`energyd_ring_samples_total`), when
somebody asks every 10 ms: the bytes may be 50 ms old, are then made anew, and go over loopback. `attributed`: the same for the CPU
time that a usage batch ends, in /api/v1/snapshot. `age`: what energyd says itself (`energyd_freshness_seconds`) at one scrape a
second, the time since the newest sample included.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path

from bench_daemon import SETTLE_S, free_port, started, wait_until_ready

from energyd import samples
from energyd.ring.reader import RingReader

ASK_S = 0.01
RINGS = {"rapl": samples.RAPL, "tic-house": samples.TIC}
_COUNTED = re.compile(rb'^energyd_ring_samples_total\{ring="([^"]+)"\} (\d+)$', re.MULTILINE)
_BUCKET = re.compile(r'^energyd_freshness_seconds_bucket\{data="(\w+)",le="([^"]+)"\} ([0-9.]+)$', re.MULTILINE)


@contextlib.contextmanager
def daemon() -> Iterator[tuple[Path, int]]:
    """(run directory, port) of an energyd that has settled."""
    home, port = Path(tempfile.mkdtemp(prefix="energyd-bench-", dir="/dev/shm")), free_port()
    settings = [f"run_dir={home}/run", f"state_dir={home}/state", f"metrics.port={port}"]
    command = [sys.executable, "-m", "energyd", "run", "--simulate", "meter,rapl"]
    try:
        with started([*command, *(part for setting in settings for part in ("--set", setting))]):
            wait_until_ready(f"http://127.0.0.1:{port}/-/ready")
            time.sleep(SETTLE_S)
            yield home / "run", port
    finally:
        shutil.rmtree(home, ignore_errors=True)


def ask(port: int, path: str, seconds: float, pause_s: float, see: Callable[[bytes, int], None]) -> None:
    """GET `path` again and again over one connection; `see` gets each body and the instant at which it was there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection.request("GET", path)
        body = connection.getresponse().read()
        see(body, time.clock_gettime_ns(time.CLOCK_MONOTONIC))
        time.sleep(pause_s)


def delays_ms(stamps_ns: list[int], reached: list[tuple[int, int]]) -> list[float]:
    """For each stamp the milliseconds until the first (instant, how many stamps are shown) that counts it, from the second on."""
    counts = [count for _, count in reached]
    delays = []
    for number in range(counts[0] + 1, counts[-1] + 1):
        instant_ns, _ = reached[bisect_left(counts, number)]
        delays.append((instant_ns - stamps_ns[number - 1]) / 1e6)
    return delays


def shown(run_dir: Path, port: int, seconds: float) -> dict[str, list[float]]:
    readers = {name: RingReader(run_dir, name, schema) for name, schema in RINGS.items()}
    stamps: dict[str, list[int]] = {name: [] for name in RINGS}
    reached: dict[str, list[tuple[int, int]]] = {name: [] for name in RINGS}

    def see(body: bytes, now_ns: int) -> None:
        for name, count in _COUNTED.findall(body):
            if name.decode() in RINGS:
                reached[name.decode()].append((now_ns, int(count)))

    ask(port, "/metrics", seconds, ASK_S, see)
    for name, reader in readers.items():  # the rings still hold everything since their beginning
        while len(drained := reader.poll().samples):
            stamps[name] += drained["mono_ns"].tolist()
    return {name: delays_ms(stamps[name], reached[name]) for name in RINGS}


def attributed(run_dir: Path, port: int, seconds: float) -> list[float]:
    frontiers: list[tuple[int, int]] = []
    ask(
        port,
        "/api/v1/snapshot",
        seconds,
        ASK_S,
        lambda body, now_ns: frontiers.append((now_ns, json.loads(body)["attributed_mono_ns"])),
    )
    reader, ends_ns = RingReader(run_dir, "usage", samples.USAGE), []
    while len(records := reader.poll().records):
        ends_ns += records["mono_ns"][records["kind"] == samples.END].tolist()
    last = frontiers[-1][1]
    known = [frontier for _, frontier in frontiers]
    inside = [end_ns for end_ns in ends_ns if known[0] < end_ns <= last]
    return [(frontiers[bisect_left(known, end_ns)][0] - end_ns) / 1e6 for end_ns in inside]


def ages(port: int, seconds: float) -> dict[str, tuple[str, float]]:
    """{data: (the first bucket that holds 99 %, observations)} of the scrapes made here."""

    def buckets() -> dict[tuple[str, str], float]:
        bodies: list[bytes] = []
        ask(port, "/metrics", 0.01, 1.1, lambda body, _: bodies.append(body))
        return {(data, edge): float(count) for data, edge, count in _BUCKET.findall(bodies[-1].decode())}

    before = buckets()
    ask(port, "/metrics", seconds, 1.0, lambda _body, _now: None)
    grown = {key: count - before.get(key, 0.0) for key, count in buckets().items()}
    result = {}
    for data in sorted({data for data, _ in grown}):
        total = grown[data, "+Inf"]
        edges = sorted((float(edge), count) for (name, edge), count in grown.items() if name == data)
        result[data] = next((f"<= {edge * 1e3:g}", total) for edge, count in edges if count >= 0.99 * total)
    return result


def row(what: str, values: list[float]) -> None:
    ordered = sorted(values)
    quantiles = [ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.99)]
    print(f"{what:<28} {len(ordered):>7} {quantiles[0]:>9.1f} {quantiles[1]:>9.1f} {ordered[-1]:>9.1f}", flush=True)


def main(seconds: float) -> None:
    with daemon() as (run_dir, port):
        print(f"load average {os.getloadavg()[0]:.2f}; milliseconds")
        print(f"{'what':<28} {'samples':>7} {'p50':>9} {'p99':>9} {'max':>9}")
        for name, values in shown(run_dir, port, seconds).items():
            row(f"shown, {name}", values)
        row("attributed, usage", attributed(run_dir, port, seconds))
        for data, (edge, count) in ages(port, seconds).items():
            print(f"{'age, ' + data:<28} {count:>7.0f} {'':>9} {edge:>9}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if sys.argv[1:] else 20.0)
