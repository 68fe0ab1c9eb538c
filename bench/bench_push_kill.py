"""Samples lost to SIGKILL, vmagent beside energyd: `python bench/bench_push_kill.py [SECONDS]`.

The receiver (Debian's VictoriaMetrics) is away. Both are given 1000 samples a second; vmagent acknowledges each request with 204,
energyd counts what it has rendered. After SECONDS both are killed. The receiver comes, both are started again, and what arrives
within 30 s is counted.
"""

import asyncio
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from energyd.aggregate.snapshot import Snapshot
from energyd.config import Metrics, Push
from energyd.export.metric import Metric, gauge
from energyd.export.push import Pushers
from energyd.export.render import Rendered, Series
from energyd.service.clock import SYSTEM_CLOCK

SERIES = 100
TICKS_PER_S = 10
WAIT_S = 30
GAUGE: Metric = gauge("bench_energyd", "", "A value.", ("i",), "100")


class House:
    """100 series that all change at every tick; tells its parent what it has rendered."""

    def __init__(self, silent: bool) -> None:
        self._silent = silent
        self._prefixes = [b'bench_energyd{i="%d"} ' % i for i in range(SERIES)]

    def rendered(self) -> Any:
        if self._silent:
            return None
        real_ns = time.time_ns()
        values = [(real_ns // 10**6) % 100_000 + i for i in range(SERIES)]
        print(SERIES, flush=True)
        snapshot = Snapshot(1, real_ns, True, None, (), None, (), ())  # type: ignore[arg-type]
        return snapshot, Rendered((), (Series(GAUGE, self._prefixes, values),))


def child(place: str, url: str, silent: bool) -> None:
    """energyd's pushing, in a process of its own."""
    settings = Metrics(push=(Push("vm", url, interval_s=1.0, resolution_s=1 / TICKS_PER_S),), push_enabled=True)
    pushers = Pushers(settings, Path(place, "state"), Path("/dev/shm", Path(place).name), "1", SYSTEM_CLOCK, logging.getLogger())
    asyncio.run(pushers.run(House(silent)))  # type: ignore[arg-type]


def start(*command: str, **keywords: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, **keywords)


def ready(url: str) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def feed(url: str, seconds: float) -> int:
    """Push 1000 samples a second to vmagent; returns how many it has acknowledged."""
    taken = 0
    deadline_s = time.monotonic() + seconds
    next_s = time.monotonic()
    while time.monotonic() < deadline_s:
        now_ms = time.time_ns() // 10**6
        body = "".join(f'bench_vmagent{{i="{i}"}} {now_ms % 100_000 + i} {now_ms}\n' for i in range(SERIES)).encode()
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=5) as answer:
            taken += SERIES if answer.status == 204 else 0
        next_s += 1 / TICKS_PER_S
        time.sleep(max(0.0, next_s - time.monotonic()))
    return taken


def stored(base: str, name: str) -> int:
    """How many samples of `name` the receiver has, each once."""
    query = urllib.parse.urlencode({"match[]": name})
    with urllib.request.urlopen(f"{base}/api/v1/export?{query}", timeout=30) as answer:
        return sum(len(set(json.loads(line)["timestamps"])) for line in answer)


def main(seconds: float) -> None:
    if not (shutil.which("victoria-metrics") and shutil.which("vmagent")):
        raise SystemExit("needs Debian's victoria-metrics package, which has vmagent")
    with tempfile.TemporaryDirectory() as place:
        port, agent_port = 18_500 + os.getpid() % 500, 19_100 + os.getpid() % 500
        base, agent = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{agent_port}"
        vmagent = ("vmagent", f"-remoteWrite.url={base}/api/v1/write", f"-remoteWrite.tmpDataPath={place}/agent")
        vmagent = (*vmagent, f"-httpListenAddr=127.0.0.1:{agent_port}")
        ours = (sys.executable, __file__, "--child", place, f"{base}/api/v1/import/prometheus")
        with open(f"{place}/ticks", "wb") as ticks:
            processes = [start(*vmagent), start(*ours, "loud", stdout=ticks)]
            ready(f"{agent}/health")
            taken = feed(f"{agent}/api/v1/import/prometheus", seconds)
            for process in processes:
                process.send_signal(signal.SIGKILL)
                process.wait()
        rendered = sum(int(line) for line in Path(place, "ticks").read_text().split())
        storage = (f"-storageDataPath={place}/vm", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=1200")
        processes = [start("victoria-metrics", *storage), start(*vmagent), start(*ours, "silent")]
        try:
            ready(f"{base}/health")
            time.sleep(WAIT_S)
            print(f"{'':>8} {'taken':>8} {'arrived':>8} {'lost':>8}")
            for name, count, series in (("vmagent", taken, "bench_vmagent"), ("energyd", rendered, "bench_energyd")):
                arrived = stored(base, series)
                print(f"{name:>8} {count:>8} {arrived:>8} {count - arrived:>8} ({100 * (count - arrived) / count:.1f} %)")
        finally:
            for process in processes:
                process.kill()
                process.wait()
            shutil.rmtree(Path("/dev/shm", Path(place).name), ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], sys.argv[4] == "silent")
    else:
        main(float(sys.argv[1]) if sys.argv[1:] else 10.0)
