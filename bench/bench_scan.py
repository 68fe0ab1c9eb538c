"""The scan of all processes beside psutil: `python bench/bench_scan.py [N ...]` (default 100 1000 5000).

Needs psutil (`pip install psutil`), which energyd itself does not use. CPU time of the scanning thread, divided by all processes
of the machine; median of the rounds. `hot`: scans back to back. `paced`: 0.2 s of sleep before each, with cold caches, as in real
life. Ours, discovery included, without ring writes; `births`: the first scan, which reads names; `keyframe`: lists /proc and makes
a record for every process, as every 30 s. `psutil`: process_iter(["cpu_times"]), warm.

Then the error of CPU time for bursts of 1 ms every 10 ms in windows of 100 ms: sum of |error| by sum of CPU time.
"""

import itertools
import mmap
import os
import random
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from energyd.procfs.clocks import clock_id, clocks_reach, read_clocks
from energyd.procfs.files import CounterFiles
from energyd.procfs.machine import clock_source, read_mounts
from energyd.procfs.scan import ProcessScan, Sink

HOT_ROUNDS, PACED_ROUNDS, PACE_S = 15, 7, 0.2
BURST_NS, BURST_EVERY_NS, WINDOW_NS, WINDOWS = 1_000_000, 10_000_000, 100_000_000, 30
SLOT = struct.Struct("<qq")  # begin and end of a burst


@contextmanager
def sleepers(count: int) -> Iterator[None]:
    """`count` children that wait for the end of a pipe: they end with the block, and with us, however we end."""
    reading, writing = os.pipe()
    pids = []
    try:
        for _ in range(count):
            pid = os.fork()
            if pid == 0:
                os.close(writing)
                os.read(reading, 1)
                os._exit(0)
            pids.append(pid)
        yield
    finally:
        os.close(writing)
        os.close(reading)
        for pid in pids:
            os.waitpid(pid, 0)


def median_us(action: Callable[[], object], rounds: int, pace_s: float = 0.0) -> float:
    costs = []
    for _ in range(rounds):
        time.sleep(pace_s)
        begin = time.thread_time_ns()
        action()
        costs.append(time.thread_time_ns() - begin)
    return statistics.median(costs) / 1000


def new_scan() -> ProcessScan:
    labels = iter(range(1, 1 << 62))
    sink = Sink(lambda _entry: next(labels), lambda kind, message: print(kind, message, file=sys.stderr), time.monotonic_ns)
    source = clock_source("/proc", CounterFiles(8))
    return ProcessScan("/proc", read_mounts("/proc", "/sys"), source, sink, scans_per_round=60)


def compare_scans(count: int) -> None:
    with sleepers(count):
        import psutil  # after the forks, so that they stay small

        scan = new_scan()
        begin = time.thread_time_ns()
        scan.scan(listing=True, keyframe=True)
        births_us = (time.thread_time_ns() - begin) / 1000
        scan.scan(listing=False, keyframe=False)
        total = len(scan.table)
        figures = [
            births_us,
            median_us(lambda: scan.scan(listing=False, keyframe=False), HOT_ROUNDS),
            median_us(lambda: scan.scan(listing=False, keyframe=False), PACED_ROUNDS, PACE_S),
            median_us(lambda: scan.scan(listing=True, keyframe=True), PACED_ROUNDS, PACE_S),
        ]
        list(psutil.process_iter(["cpu_times"]))
        figures += [
            median_us(lambda: list(psutil.process_iter(["cpu_times"])), 5),
            median_us(lambda: list(psutil.process_iter(["cpu_times"])), 3, PACE_S),
        ]
        births, hot, paced, keyframe, psutil_hot, psutil_paced = (figure / total for figure in figures)
        print(
            f"{total:9} {births:9.1f} {hot:9.2f} {paced:9.2f} {keyframe:9.2f} {psutil_hot:9.1f} {psutil_paced:9.1f}"
            f" {psutil_hot / hot:9.1f} {psutil_paced / paced:9.1f}"
        )


def burst(log: mmap.mmap, until_ns: int) -> None:
    """Spin on CLOCK_MONOTONIC and write down when; real-time if we may, so that a burst is CPU time from begin to end. What it
    used in all stands in the first slot: its clock is not read before the end, because reading it brings it up to date."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except PermissionError:
        print("no real-time scheduling: other processes' time counts as error here", file=sys.stderr)
    source = random.Random(1)
    number = 0
    own_ns = time.process_time_ns()
    while (begin_ns := time.monotonic_ns()) < until_ns:
        while (end_ns := time.monotonic_ns()) < begin_ns + BURST_NS:
            pass
        number += 1
        SLOT.pack_into(log, number * SLOT.size, begin_ns, end_ns)
        time.sleep((source.uniform(0.5, 1.5) * BURST_EVERY_NS - BURST_NS) / 1e9)
    SLOT.pack_into(log, 0, time.process_time_ns() - own_ns, number)


def compare_errors() -> None:
    import psutil

    log = mmap.mmap(-1, 1 << 20)
    until_ns = time.monotonic_ns() + (WINDOWS + 5) * WINDOW_NS
    pid = os.fork()
    if pid == 0:
        burst(log, until_ns)
        os._exit(0)
    peer = psutil.Process(pid)
    reads: dict[str, Callable[[], float]] = {
        "POSIX CPU clock": lambda: read_clocks([clock_id(pid)])[0],
        "psutil (10 ms ticks)": lambda: sum(peer.cpu_times()[:2]) * 1e9,
    }
    time.sleep(WINDOW_NS / 1e9)
    readings: dict[str, list[tuple[int, float]]] = {name: [] for name in reads}
    for _ in range(WINDOWS + 1):
        for name, read in reads.items():
            readings[name].append((time.monotonic_ns(), read()))
        time.sleep(WINDOW_NS / 1e9)
    os.waitpid(pid, 0)
    used_ns, number = SLOT.unpack_from(log)
    bursts = list(SLOT.iter_unpack(log[SLOT.size : (number + 1) * SLOT.size]))
    around_ns = (used_ns - sum(end - begin for begin, end in bursts)) // number  # to wake up, write down and sleep again
    bursts = [(begin - around_ns, end) for begin, end in bursts]
    for name, series in readings.items():
        error_ns = true_ns = 0.0
        for (begin_ns, before), (end_ns, after) in itertools.pairwise(series):
            used = sum(max(0, min(end, end_ns) - max(begin, begin_ns)) for begin, end in bursts)
            true_ns += used
            error_ns += abs(after - before - used)
        print(f"{name:22} {100 * error_ns / true_ns:6.2f} %")


def main(counts: list[int]) -> None:
    if not clocks_reach("/proc"):
        sys.exit("/proc is not of our PID namespace: there is nothing to compare")
    print("us of CPU per process and scan")
    names = ("processes", "births", "hot", "paced", "keyframe", "psutil", "paced", "ratio", "paced")
    print(" ".join(f"{name:>9}" for name in names))
    for count in counts:
        compare_scans(count)
    print("\nerror of CPU time, bursts of 1 ms every 10 ms, windows of 100 ms")
    compare_errors()


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [100, 1000, 5000])
