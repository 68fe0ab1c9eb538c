"""Real processes in real control groups, a real usage reader, and an engine beside it: who used how much, twice told.

The energy is a constant power that the test makes up, so what is tried is the sharing. The oracle are the processes' own CPU clocks
(CLOCK_PROCESS_CPUTIME_ID) and the resource usage that the kernel gives to a parent (wait4), which nothing of ours has touched.
"""

import contextlib
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from energyd import samples
from energyd.aggregate.engine import Engine
from energyd.config import Config, Usage
from energyd.feed import Feed
from energyd.ring.writer import RingWriter
from energyd.service.clock import SYSTEM_CLOCK as CLOCK

POWER_W = 20
SAMPLE = struct.Struct("=qq")

BURNER = """
import os, struct, sys, time
share, period_ns = float(sys.argv[1]), 10_000_000
sys.stdin.read(1)
begin_ns = time.monotonic_ns()
round = 0
while True:
    until_ns = time.process_time_ns() + int(share * period_ns)
    while time.process_time_ns() < until_ns:
        pass
    os.write(1, struct.pack("=qq", time.monotonic_ns(), time.process_time_ns()))
    round += 1
    time.sleep(max(0, begin_ns + round * period_ns - time.monotonic_ns()) / 1e9)
"""

STORM = """
import os, sys, time
tasks, task_ns = int(sys.argv[1]), int(sys.argv[2])
for comm in sys.argv[3:]:
    with open("/proc/self/comm", "w") as file:
        file.write(comm)
sys.stdin.read(1)
used, begin = 0.0, time.process_time()
for _ in range(tasks):
    pid = os.fork()
    if pid == 0:
        with open("/proc/self/comm", "w") as file:
            file.write("brief")
        while time.process_time_ns() < task_ns:
            pass
        os._exit(0)
    _, _, usage = os.wait4(pid, 0)
    used += usage.ru_utime + usage.ru_stime
print(used, time.process_time() - begin, flush=True)
sys.stdin.read(1)
"""


def cgroup_roots() -> dict[str, Path]:
    """The hierarchies that count CPU time and in which we may make groups: cpuacct and v2, where they are."""
    roots: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        point, kind, options = Path(left.split()[4]), right.split()[0], right.split()[2].split(",")
        hierarchy = "v2" if kind == "cgroup2" else "cpuacct" if kind == "cgroup" and "cpuacct" in options else ""
        if left.split()[3] == "/" and hierarchy:
            probe = point / f"energyd-probe-{os.getpid()}"
            with contextlib.suppress(OSError):
                probe.mkdir()
                probe.rmdir()
                roots[hierarchy] = point
    return roots


def cgroup_root() -> Path | None:
    """One of them."""
    return next(iter(cgroup_roots().values()), None)


class Machine:
    """The usage reader as a process of its own, an engine that follows its ring, and processes in control groups."""

    def __init__(
        self,
        root: Path,
        rate_hz: float = 2.0,
        prefix: tuple[str, ...] = (),
        powers_w: tuple[int, ...] = (POWER_W,),
        sysfs_root: str = "/sys",
    ) -> None:
        """A package of each of these powers; `sysfs_root` may hold another topology than the machine's."""
        self.home = Path(tempfile.mkdtemp(prefix="energyd-cpu-", dir="/dev/shm"))
        self._root, self._processes, self._cgroups = root, list[subprocess.Popen[bytes]](), list[Path]()
        settings = Config(run_dir=str(self.home), usage=Usage(rate_hz=rate_hz), sysfs_root=sysfs_root)
        (self.home / "config.json").write_text(settings.to_json())
        self._energy = RingWriter.open(self.home, "rapl", samples.RAPL, 4096, CLOCK)
        common: dict[str, Any] = {"domain": "package", "source": "simulated", "range_uj": 0, "additive": True}
        self._zones = [
            (self._energy.label({**common, "zone": f"package-{package}", "package": package}), power_w)
            for package, power_w in enumerate(powers_w)
        ]
        self._begin_ns = CLOCK.mono_ns()
        self.engine = Engine(top=200, proportional_idle=False, max_groups=200)
        self.feed = Feed(self.home, self.engine)
        self.settled: list[tuple[int, Counter[str]]] = []  # (end_ns, energy by group)
        self._watch_settling()
        self.worker = subprocess.Popen(
            [*prefix, sys.executable, "-m", "energyd.workers.usage", str(self.home / "config.json")], stderr=subprocess.PIPE
        )
        self.run(1.2)

    def _watch_settling(self) -> None:
        settle, groups = self.engine._settle, self.engine.groups
        book = groups.book

        def booked(numbers: Any, energy_uj: Any, *rest: Any) -> None:
            by_group: Counter[str] = Counter()
            for number, energy in zip(numbers.tolist(), energy_uj.tolist(), strict=True):
                by_group[groups.key(number).name] += energy
            self.settled.append((self._settling_ns, by_group))
            book(numbers, energy_uj, *rest)

        def settled(interval: Any) -> None:
            self._settling_ns = interval.end_ns
            settle(interval)

        self.engine._settle, groups.book = settled, booked  # type: ignore[method-assign]

    def spawn(self, name: str, script: str, *arguments: str) -> subprocess.Popen[bytes]:
        """A process in a control group of its own called `name` ('' = where we are), waiting for a byte on its stdin."""
        cgroup = self._root / name
        if name:
            cgroup.mkdir(exist_ok=True)
            self._cgroups.append(cgroup)
        process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._processes.append(process)
        if name:
            (cgroup / "cgroup.procs").write_text(str(process.pid))
        return process

    def start(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        process.stdin.write(b"!")
        process.stdin.flush()

    def run(self, seconds: float) -> None:
        """Let time pass: sample the energy, follow the rings."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            now_ns = CLOCK.mono_ns()
            for zone, power_w in self._zones:
                self._energy.append(zone, now_ns, (power_w * (now_ns - self._begin_ns) // 1000, 0, 0, 0))
            self._energy.end_batch(now_ns, now_ns, 0)
            self.feed.pull()
            time.sleep(0.05)

    def snapshot(self) -> Any:
        return self.engine.snapshot(mono_ns=CLOCK.mono_ns(), real_ns=0, ready=True, rings=())

    def energies(self, begin_ns: int, end_ns: int, names: tuple[str, ...]) -> np.ndarray:
        """Energy of groups in the settled intervals that end in (begin_ns, end_ns]."""
        found = [by_group for at_ns, by_group in self.settled if begin_ns < at_ns <= end_ns]
        return np.array([sum(by_group[name] for by_group in found) for name in names], float)

    def close(self) -> str:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        self.worker.send_signal(signal.SIGTERM)
        message = self.worker.communicate(timeout=10)[1].decode()
        self._energy.close()
        shutil.rmtree(self.home)
        for cgroup in reversed(self._cgroups):
            with contextlib.suppress(OSError):
                cgroup.rmdir()
        return message


def clock_log(process: subprocess.Popen[bytes]) -> list[tuple[int, int]]:
    """What a burner has written down: (mono_ns, its own CPU time in ns)."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    os.set_blocking(descriptor, False)
    data = b""
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(descriptor, 1 << 16):
            data += piece
    return list(SAMPLE.iter_unpack(data[: len(data) // SAMPLE.size * SAMPLE.size]))


def used_ns(log: list[tuple[int, int]], begin_ns: int, end_ns: int) -> float:
    """CPU time between two instants, by straight lines between what was written down."""
    times, values = [at for at, _ in log], [value for _, value in log]

    def at(mono_ns: int) -> float:
        after = min(max(1, bisect_left(times, mono_ns)), len(times) - 1)
        part = (mono_ns - times[after - 1]) / (times[after] - times[after - 1])
        return values[after - 1] + part * (values[after] - values[after - 1])

    return at(end_ns) - at(begin_ns)
