"""The RAPL reader at 10, 100 and 1000 Hz beside the usual loop: `python bench/bench_rapl.py [--seconds N] [--powercap-root DIR]`.

`energyd`: the real process, from the powercap tree into its ring. `usual`: a process that opens, reads and closes each file and
sleeps for the period. `bare`: a process that only wakes up at every tick, which nobody can undercut. CPU is that of the whole
process after its start-up, in percent of a core and per tick that happened; `late` is by how much a sample's time is behind its
tick; `missed` are ticks that were counted as missed (energyd) or did not happen (the others).
Without --powercap-root all read four files on a tmpfs: a register of real hardware adds what its driver takes, to both alike.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from energyd.config import Config, Energy, Log
from energyd.powercap.duplicates import discover
from energyd.ring.reader import RingReader
from energyd.samples import COUNTER, COUNTERS, FAILED, RAPL, VOID
from energyd.units import NS_PER_S

RATES_HZ = (10, 100, 1000)
SETTLE_S = 0.5
ZONES = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:0:1": "dram", "intel-rapl:1": "psys"}
PEER = """
import sys, time
period, paths = float(sys.argv[1]), sys.argv[2:]
ticks, told, deadline = 0, time.monotonic(), time.monotonic()
while True:
    values = []
    for path in paths:
        with open(path) as file:
            values.append((time.time(), float(file.read())))
    ticks += 1
    if time.monotonic() - told >= 0.5:
        told = time.monotonic()
        print(ticks, time.process_time_ns(), time.monotonic_ns(), flush=True)
    deadline = max(deadline + period, time.monotonic())
    time.sleep(period if paths else max(0, deadline - time.monotonic()))
"""


def make_tree(root: Path) -> Path:
    for device, name in ZONES.items():
        (root / device).mkdir(parents=True)
        (root / device / "max_energy_range_uj").write_text("262143328850\n")
        (root / device / "name").write_text(f"{name}\n")
        (root / device / "energy_uj").write_text("123456789012\n")
    return root


def cpu_ns(pid: int) -> int:
    """The kernel's CPU clock of another process (clock_getcpuclockid(3))."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def energyd(powercap: Path, run_dir: Path, rate_hz: int, seconds: float) -> tuple[float, int, np.ndarray]:
    """CPU percent, ticks missed, and how late each tick's first sample was in ns."""
    run_dir.mkdir()
    config = run_dir / "config.json"
    config.write_text(
        Config(
            run_dir=str(run_dir), powercap_root=str(powercap), energy=Energy(rate_hz=rate_hz), log=Log(level="warning")
        ).to_json()
    )
    process = subprocess.Popen([sys.executable, "-m", "energyd.workers.rapl", str(config)])
    reader = RingReader(run_dir, "rapl", RAPL)
    try:
        while not len(reader.poll().records):
            time.sleep(0.01)
        time.sleep(SETTLE_S)
        reader.poll()
        begin_ns, begin_cpu_ns = time.monotonic_ns(), cpu_ns(process.pid)
        time.sleep(seconds)
        used = 100 * (cpu_ns(process.pid) - begin_cpu_ns) / (time.monotonic_ns() - begin_ns)
    finally:
        process.terminate()
        process.wait()
    records = reader.poll().records
    told = records[(records["kind"] == COUNTER) & (records["energy_uj"] == COUNTERS[RAPL.name].index("missed_ticks"))]
    missed = int(told["read_ns"][-1]) - int(told["read_ns"][0]) if len(told) else 0
    samples = records[(records["kind"] < VOID) & (records["status"] & FAILED == 0)]
    _, first = np.unique(samples["batch"], return_index=True)
    times_ns = samples["mono_ns"][np.sort(first)].astype(np.int64)
    return used, missed, lateness_ns(times_ns, NS_PER_S // rate_hz)


def lateness_ns(times_ns: np.ndarray, period_ns: int) -> np.ndarray:
    """How far each time is behind its tick; the ticks are where the earliest hundredth of the times is."""
    phases_ns = times_ns % period_ns
    usual_ns = np.bincount(phases_ns * 100 // period_ns).argmax() * period_ns // 100
    around_ns = (phases_ns - usual_ns + period_ns // 2) % period_ns - period_ns // 2
    return np.maximum(around_ns - np.quantile(around_ns, 0.01), 0)


def peer(paths: list[str], rate_hz: int, seconds: float) -> tuple[float, float, float]:
    """CPU percent, us of CPU per tick, and the share of ticks in percent that did not happen."""
    process = subprocess.Popen([sys.executable, "-c", PEER, str(1 / rate_hz), *paths], stdout=subprocess.PIPE)
    time.sleep(SETTLE_S + seconds)
    process.terminate()
    told, _ = process.communicate()
    lines = [[int(word) for word in line.split()] for line in told.splitlines()]
    ticks, used_ns, elapsed_ns = (last - first for first, last in zip(lines[0], lines[-1], strict=True))
    return 100 * used_ns / elapsed_ns, used_ns / ticks / 1000, 100 * (1 - ticks / (elapsed_ns * rate_hz / NS_PER_S))


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description="The RAPL reader beside the usual loop.")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--powercap-root", type=Path, default=None)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="energyd-bench-", dir="/dev/shm") as directory:
        powercap = options.powercap_root or make_tree(Path(directory) / "powercap")
        paths = [zone.path for zone in discover(str(powercap), "") if zone.used]
        print(f"{len(paths)} zones, {options.seconds:.0f} s each")
        print("   Hz  energyd CPU  a tick  missed  late p50      p99      max    usual  a tick  missed     bare  a tick")
        for rate_hz in RATES_HZ:
            used, missed, late_ns = energyd(powercap, Path(directory) / f"run-{rate_hz}", rate_hz, options.seconds)
            p50, p99, latest = np.quantile(late_ns, (0.5, 0.99, 1.0)) / 1000
            usual_used, usual_tick_us, usual_missed = peer(paths, rate_hz, options.seconds)
            bare_used, bare_tick_us, _ = peer([], rate_hz, options.seconds)
            print(
                f"{rate_hz:5d}  {used:9.2f} %  {used * 1e4 / rate_hz:3.0f} us  {missed:6d}"
                f"  {p50:5.0f} us  {p99:5.0f} us  {latest:5.0f} us"
                f"  {usual_used:5.2f} %  {usual_tick_us:3.0f} us  {usual_missed:4.1f} %  {bare_used:5.2f} %  {bare_tick_us:3.0f} us"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
