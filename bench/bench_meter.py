"""From the meter's line to /metrics: `python bench/bench_meter.py [--seconds N]`.

The real reader and the real aggregator on a pseudo terminal into which characters come at line speed. A delay is from the last
character of a group to the end of the first answer that shows its value, asked for every 2 ms, as a scraper could at any moment;
CPU is that of each process meanwhile (the aggregator's is that of answering 50 times a second what is new each time).
"""

import argparse
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from energyd.config import Config, Meter, Metrics
from energyd.tic.checksum import with_even_parity
from energyd.tic.framing import encode_group
from energyd.ticfields import HISTORIQUE, STANDARD

BUDGET_MS = 150
BAUD = {HISTORIQUE: 1200, STANDARD: 9600}
ADDRESS = {HISTORIQUE: b"ADCO", STANDARD: b"ADSC"}
SERIES = {
    (HISTORIQUE, b"BASE"): b"energyd_meter_energy_watthours_total{",
    (HISTORIQUE, b"PAPP"): b"energyd_meter_apparent_power_voltamperes{",
    (STANDARD, b"EAST"): b"energyd_meter_all_tariffs_energy_watthours_total{",
    (STANDARD, b"SINSTS"): b"energyd_meter_apparent_power_voltamperes{",
}
WIDTHS = {b"BASE": 9, b"PAPP": 5, b"EAST": 9, b"SINSTS": 5}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def groups(mode: str, tick: int) -> Iterator[tuple[bytes, bytes]]:
    """Of a frame: the address, then numbers that no other frame has."""
    yield ADDRESS[mode], b"021861348497"
    for of_mode, label in SERIES:
        if of_mode == mode:
            yield label, b"%0*d" % (WIDTHS[label], 1000 + tick)


class Speaker:
    """Writes frames at line speed, and notes when each group ended."""

    def __init__(self, mode: str, master: int) -> None:
        self._mode, self._master = mode, master
        self.ended_s: dict[tuple[bytes, int], float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._speak)

    def __enter__(self) -> "Speaker":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _speak(self) -> None:
        character_s = 10 / BAUD[self._mode]
        due_s, tick = time.monotonic(), 0
        while not self._stop.is_set():
            parts = [(b"", b"\x02")]
            parts += [(label, encode_group(self._mode, label, data)) for label, data in groups(self._mode, tick)]
            for label, characters in [*parts, (b"", b"\x03")]:
                for character in with_even_parity(characters):
                    due_s += character_s
                    time.sleep(max(0.0, due_s - time.monotonic()))
                    os.write(self._master, bytes((character,)))
                self.ended_s[label, 1000 + tick] = time.monotonic()
            due_s += 0.025  # between frames
            tick += 1


def first_seen(mode: str, port: int, seconds: float) -> dict[tuple[bytes, int], float]:
    """When each value of each series was in an answer for the first time."""
    seen: dict[tuple[bytes, int], float] = {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        connection.request("GET", "/metrics", headers={"Accept-Encoding": "identity"})
        body = connection.getresponse().read()
        now_s = time.monotonic()
        for (of_mode, label), series in SERIES.items():
            begin = body.find(b"\n" + series) if of_mode == mode else -1
            if begin >= 0:
                line = body[begin + 1 : body.index(b"\n", begin + 1)]
                seen.setdefault((label, int(line.rsplit(b" ", 1)[1])), now_s)
        time.sleep(0.002)
    connection.close()
    return seen


def measure(mode: str, seconds: float) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        master, slave = os.openpty()
        port = free_port()
        config = Config(
            run_dir=directory,
            state_dir=directory,
            meters=(Meter("bench", os.ttyname(slave), mode),),
            metrics=Metrics(port=port),
        )
        path = Path(directory) / "config.json"
        path.write_text(config.to_json())
        commands = (["energyd.workers.tic", str(path), "bench"], ["energyd.workers.aggregator", str(path)])
        workers = [subprocess.Popen([sys.executable, "-m", *command], stderr=subprocess.DEVNULL) for command in commands]
        try:
            with Speaker(mode, master) as speaker:
                wait_until_served(port)
                before_ns = [cpu_ns(worker.pid) for worker in workers]
                seen = first_seen(mode, port, seconds)
                cpu = [(cpu_ns(worker.pid) - before) / seconds / 1e9 for worker, before in zip(workers, before_ns, strict=True)]
        finally:
            for worker in workers:
                worker.terminate()
                worker.wait(5)
            os.close(slave)
            os.close(master)
    delays_ms = [1000 * (at_s - speaker.ended_s[group]) for group, at_s in seen.items() if group in speaker.ended_s][4:]
    p50, p99 = np.percentile(delays_ms, (50, 99))
    print(
        f"{f'{mode} {BAUD[mode]} baud':<24}{len(delays_ms):>8}{p50:>9.1f}{p99:>9.1f}{max(delays_ms):>9.1f}"
        f"{p99 / BUDGET_MS:>11.2f}{cpu[0]:>9.2%}{cpu[1]:>12.1%}"
    )


def wait_until_served(port: int) -> None:
    deadline_s = time.monotonic() + 20
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/metrics")
            body = connection.getresponse().read()
            if b"energyd_meter_apparent_power" in body:
                return
        except OSError:
            pass
        assert time.monotonic() < deadline_s, "the meter was never served"
        time.sleep(0.1)


def cpu_ns(pid: int) -> int:
    return time.clock_gettime_ns((~pid << 3) | 2)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30.0, help="at each speed (default: %(default)g)")
    options = parser.parse_args()
    print(
        f"{'line to /metrics, ms':<24}{'groups':>8}{'p50':>9}{'p99':>9}{'max':>9}{'of budget':>11}{'reader':>9}{'aggregator':>12}"
    )
    for mode in (HISTORIQUE, STANDARD):
        measure(mode, options.seconds)


if __name__ == "__main__":
    main()
