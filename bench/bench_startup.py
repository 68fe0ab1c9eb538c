"""From the start of the command to the first metrics, and from SIGTERM to nothing left: `python bench/bench_startup.py [RUNS]`.

`energyd run`: configuration, supervisord, two simulators, the readers, the aggregator. `workers alone`: the workers started at
once, as systemd starts them, on the configuration and the simulators of the former; the meter is taken. The peer is node_exporter.
`served` is the first answer 200 to /metrics, `energy` the first with the energy of a zone in it, `meter` with a register.
"""

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PYTHON = sys.executable
RUNS = 5
PATIENCE_S = 20
POLL_S = 0.005
METER = "house"
WORKERS = (("rapl",), ("usage",), ("tic", METER), ("aggregator",))
SIGNS = {"served": b"", "energy": b"\nenergyd_zone_energy_joules_total{", "meter": b"\nenergyd_meter_energy_watthours_total{"}
"""What must stand in an answer."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def scrape(port: int) -> bytes | None:
    """The body of an answer 200, None otherwise."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
            return bytes(answer.read())
    except OSError:
        return None


def first_answers(port: int, begin_s: float, signs: dict[str, bytes]) -> dict[str, float]:
    """{sign: seconds since `begin_s` until it stood in an answer}."""
    seen: dict[str, float] = {}
    while len(seen) < len(signs):
        if time.monotonic() - begin_s > PATIENCE_S:
            raise SystemExit(f"only {sorted(seen)} within {PATIENCE_S} s")
        body = scrape(port)
        for name, sign in signs.items():
            if body is not None and name not in seen and sign in body:
                seen[name] = time.monotonic() - begin_s
        time.sleep(POLL_S)
    return seen


def stop(processes: list["subprocess.Popen[bytes]"]) -> float:
    """Seconds until all have ended."""
    begin_s = time.monotonic()
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        process.wait(PATIENCE_S)
    return time.monotonic() - begin_s


@contextmanager
def home() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="energyd-bench-", dir="/dev/shm"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def start(*command: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def energyd_run(place: Path, port: int) -> "subprocess.Popen[bytes]":
    flags = (f"run_dir={place}/run", f"state_dir={place}/state", f"metrics.port={port}")
    return start(PYTHON, "-m", "energyd", "run", "--simulate", "meter,rapl", *(part for flag in flags for part in ("--set", flag)))


def one_run() -> dict[str, float]:
    with home() as place:
        port, begin_s = free_port(), time.monotonic()
        process = energyd_run(place, port)
        try:
            return first_answers(port, begin_s, SIGNS) | {"stop": stop([process])}
        finally:
            process.kill()


def workers_alone() -> dict[str, float]:
    """On the simulators of an `energyd run` that is there for that only, with rings, state and port of their own."""
    with home() as place:
        port, other_port = free_port(), free_port()
        simulators = energyd_run(place, other_port)
        processes = []
        try:
            first_answers(other_port, time.monotonic(), SIGNS)
            config = json.loads((place / "run/config.json").read_text())
            for key in ("run_dir", "state_dir"):
                config[key] = str(place / f"own-{key}")
                os.mkdir(config[key])
            config["metrics"]["port"] = port
            (place / "config.json").write_text(json.dumps(config))
            begin_s = time.monotonic()
            for name, *rest in WORKERS:
                processes.append(start(PYTHON, "-m", f"energyd.workers.{name}", str(place / "config.json"), *rest))
            signs = {name: sign for name, sign in SIGNS.items() if name != "meter"}
            return first_answers(port, begin_s, signs) | {"stop": stop(processes)}
        finally:
            for process in processes:
                process.kill()
            stop([simulators])


def node_exporter() -> dict[str, float]:
    port, begin_s = free_port(), time.monotonic()
    process = start(shutil.which("prometheus-node-exporter") or "", f"--web.listen-address=127.0.0.1:{port}")
    try:
        return first_answers(port, begin_s, {"served": b""}) | {"stop": stop([process])}
    finally:
        process.kill()


def main(runs: int) -> None:
    columns = ("served", "energy", "meter", "stop")
    print(f"{'seconds, median (worst) of ' + str(runs):<32}" + "".join(f"{column:>16}" for column in columns))
    measured = {"energyd run": one_run, "workers alone": workers_alone}
    if shutil.which("prometheus-node-exporter"):
        measured["node_exporter"] = node_exporter
    for name, measure in measured.items():
        results = [measure() for _ in range(runs)]
        cells = []
        for column in columns:
            values = [result[column] for result in results if column in result]
            cells.append(f"{statistics.median(values):.2f} ({max(values):.2f})" if values else "-")
        print(f"{name:<32}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS)
