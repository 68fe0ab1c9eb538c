"""Does it stay as it is? `python bench/soak.py [--minutes 30]`; exit status 1 when something grew, was lost or fell.

The whole daemon on simulated hardware at ten times its default rates, where 25 processes are born and die each second, scraped
every 5 s by a real Prometheus. Memory and descriptors of every process are looked at every 10 s; the first fifth of the time is
warm-up. At the end Prometheus is asked what it saw: lost samples, missed ticks, counters that fell, joules that did not add up.
Counters of processes are compared at each look beside /proc, because a pid is used again (falls.py).
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from falls import Falls, since_boot_s
from footprint import Footprints

ENERGY_HZ, USAGE_HZ = 100, 20
BIRTHS_PER_S = 25
SCRAPE_S, LOOK_S = 5, 10
WARM_UP = 0.2
PATIENCE_S = 30
TABLE = (
    ("samples", "sum by (ring) (energyd_ring_samples_total)", None),
    ("overruns", "sum by (ring) (energyd_ring_overruns_total)", 0),
    ("refused", "sum by (ring) (energyd_ring_refused_total)", 0),
    ("ticks", 'sum by (ring) ({__name__=~"energyd_reader_(sweeps|scans)_total"})', None),
    ("missed ticks", "sum by (ring) (energyd_reader_missed_ticks_total)", None),
    ("read errors", "sum by (ring) (energyd_reader_read_errors_total)", 0),
    ("births seen", "sum by (ring) (energyd_reader_processes_born_total)", None),
)
"""What each ring has counted, and the value that it must have."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return bytes(answer.read())


def wait_until_answered(url: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError):
            get(url)
            return
        time.sleep(0.1)
    raise SystemExit(f"{url} does not answer within {PATIENCE_S} s")


@contextlib.contextmanager
def program(*command: str, output: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs as long as the block; what it says is in the file `output`."""
    with open(output, "wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def energyd(place: Path, port: int) -> list[str]:
    settings = {
        "run_dir": place / "run",
        "state_dir": place / "state",
        "metrics.port": port,
        "energy.rate_hz": ENERGY_HZ,
        "usage.rate_hz": USAGE_HZ,
    }
    flags = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    return [sys.executable, "-m", "energyd", "run", "--simulate", "meter,rapl", *flags]


def prometheus(place: Path, target: int, port: int) -> list[str]:
    (place / "prometheus.yml").write_text(
        f"global: {{scrape_interval: {SCRAPE_S}s}}\n"
        f"scrape_configs: [{{job_name: energyd, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n"
    )
    return [
        shutil.which("prometheus") or "prometheus",
        f"--config.file={place}/prometheus.yml",
        f"--storage.tsdb.path={place}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]


def pids(run_dir: Path) -> dict[str, int]:
    report = json.loads((run_dir / "workers.json").read_text())
    return {"supervisord": report["supervisor_pid"]} | {name: each["pid"] for name, each in report["programs"].items()}


class Witness:
    """What Prometheus saw."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer: dict[str, Any] = json.loads(get(f"{self._url}/query?" + urllib.parse.urlencode({"query": expression})))
        return list(answer["data"]["result"])

    def series(self, expression: str) -> list[str]:
        return [json.dumps(row["metric"], sort_keys=True) for row in self.query(expression)]

    def by_label(self, expression: str, label: str) -> dict[str, float]:
        return {row["metric"].get(label, ""): float(row["value"][1]) for row in self.query(expression)}

    def value(self, expression: str) -> float:
        """0 when there is no such series."""
        return next(iter(self.by_label(expression, "").values()), 0.0)

    def rings(self) -> tuple[str, list[str]]:
        counts = {name: self.by_label(expression, "ring") for name, expression, _ in TABLE}
        rings = sorted(counts["samples"])
        lines = [f"{'ring':<14}" + "".join(f"{name:>14}" for name in counts)]
        for ring in rings:
            cells = [f"{values[ring]:.0f}" if ring in values else "-" for values in counts.values()]
            lines.append(f"{ring:<14}" + "".join(f"{cell:>14}" for cell in cells))
        faults = [
            f"{name} of {ring}: {value:.0f}"
            for name, _, must in TABLE
            for ring, value in counts[name].items()
            if must is not None and value != must
        ]
        return "\n".join(lines), faults

    def whole(self, elapsed_s: float) -> tuple[str, list[str]]:
        window, error = f"[{max(60, round(elapsed_s))}s]", "energyd_attribution_error_joules"
        names = json.loads(get(f"{self._url}/label/__name__/values"))["data"]
        counters = [name for name in names if name.startswith("energyd_") and name.endswith("_total")]
        fallen = [f"{name}{labels}" for name in counters for labels in self.series(f'resets({name}{{pid=""}}{window}) > 0')]
        seen = {
            "scrapes": self.value(f"count_over_time(up{window})"),
            "failed scrapes": self.value(f"count_over_time(up{window}) - sum_over_time(up{window})"),
            "scrape seconds, p99": self.value(f"quantile_over_time(0.99, scrape_duration_seconds{window})"),
            "series, at most": self.value(f"max_over_time(scrape_samples_scraped{window})"),
            "counters that fell, those of processes aside": float(len(fallen)),
            "resets of series with a pid": self.value(f'sum(resets({{__name__=~"energyd_process_.+_total",pid!=""}}{window}))'),
            "families left out": self.value(f"max(max_over_time(energyd_families_failed_total{window}))"),
            "joules that did not add up, at most": max(
                self.value(f"max(max_over_time({error}{window}))"), -self.value(f"min(min_over_time({error}{window}))")
            ),
        }
        must_be_zero = ("failed scrapes", "families left out", "joules that did not add up, at most")
        faults = [f"{name}: {seen[name]:g}" for name in must_be_zero if seen[name]]
        return "\n".join(f"{name}: {value:g}" for name, value in seen.items()), [*faults, *(f"{name} fell" for name in fallen[:10])]


def processes(falls: Falls) -> tuple[str, list[str]]:
    """What became of the counters that carry a pid."""
    seen = {
        "counters of processes, compared beside /proc": falls.compared,
        "of them fell": len(falls.found),
        "pids used again under the same labels": falls.reborn,
    }
    text = "\n".join(f"{name}: {value}" for name, value in seen.items())
    return text, [f"{series} fell" for series in falls.found[:10]]


def warnings(log: Path) -> str:
    """How often each kind of warning stands in the daemon's log."""
    lines = log.read_text(errors="replace").splitlines()
    counts = Counter(line for line in lines if "WARNING" in line or "ERROR" in line or "Traceback" in line)
    return "\n".join(f"{count} x {line}" for line, count in counts.most_common(10)) or "no warning"


def soak(place: Path, minutes: float) -> int:
    port, prometheus_port = free_port(), free_port()
    footprints, falls = Footprints(), Falls()
    with contextlib.ExitStack() as stack:
        stack.enter_context(program(*energyd(place, port), output=place / "energyd.log"))
        wait_until_answered(f"http://127.0.0.1:{port}/metrics")
        stack.enter_context(program(*prometheus(place, port, prometheus_port), output=place / "prometheus.log"))
        wait_until_answered(f"http://127.0.0.1:{prometheus_port}/-/ready")
        churn = program(sys.executable, str(Path(__file__).with_name("churn.py")), str(BIRTHS_PER_S), output=place / "births")
        with churn:
            begin_s = time.monotonic()
            while (elapsed_s := time.monotonic() - begin_s) < minutes * 60:
                footprints.take(pids(place / "run"), elapsed_s)
                at_s = since_boot_s()
                falls.look(get(f"http://127.0.0.1:{port}/metrics").decode(), at_s)
                time.sleep(LOOK_S - (time.monotonic() - begin_s) % LOOK_S)
            load = os.getloadavg()[1]
        witness = Witness(prometheus_port)
        tables = [footprints.report(WARM_UP * minutes * 60), witness.rings(), witness.whole(elapsed_s), processes(falls)]
    births = int((place / "births").read_text() or 0)
    print(f"{minutes:g} minutes, energy {ENERGY_HZ} Hz, usage {USAGE_HZ} Hz, {births} births, load {load:.1f}\n")
    for text, _ in tables:
        print(text, end="\n\n")
    print(warnings(place / "energyd.log"))
    faults = [fault for _, found in tables for fault in found]
    for fault in faults:
        print(f"NOT FLAT: {fault}")
    return 1 if faults else 0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    options = parser.parse_args(arguments)
    place = Path(tempfile.mkdtemp(prefix="energyd-soak-", dir="/dev/shm"))
    try:
        return soak(place, options.minutes)
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
