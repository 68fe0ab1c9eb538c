"""What folding costs the aggregator: `python bench/bench_fold.py [N ...]` (default 200 5000 processes).

A simulated machine at the default rates: N processes in a unit for every 20 of them, of which 10 and one in fifty more use CPU
between two scans, an exit record a scan, two zones at 10 Hz, CPU at 2 Hz, a keyframe every 30 s. Fed second by second as
the aggregator does it; CPU time of this process, median of the seconds without a keyframe, and the second with one. `start` is
the first batch, in which everybody is described and grouped. The budget of the whole daemon is 1 % of a core at 200 processes and
3 % at 5000. On two cores of an EPYC with Python 3.11 (ms a second: start, fold, keyframe, snapshot; % of a core):

    200 processes, 10 groups       9.5  1.0  1.1  0.4   0.14
    5000 processes, 250 groups   208.7  2.0  5.9  1.2   0.33
"""

import statistics
import struct
import sys
import time
from typing import Any

import numpy as np

from energyd import samples
from energyd.aggregate.engine import Engine
from energyd.ring.dtypes import dtype_of
from energyd.units import NS_PER_S

SCANS_PER_S, SWEEPS_PER_S, KEYFRAME_S = 2, 10, 30
SECONDS = 65


class Ring:
    """Records of one schema as a ring would hand them over."""

    def __init__(self, schema: samples.Schema) -> None:
        self._dtype = dtype_of(schema)
        self._pack = struct.Struct(samples.HEAD_FORMAT + schema.payload + "Q").pack
        self._pack_service = struct.Struct(samples.HEAD_FORMAT + samples.SERVICE_FORMAT + "Q").pack
        self._records: list[bytes] = []
        self._members = 0

    def add(self, kind: int, mono_ns: int, *payload: int) -> None:
        self._records.append(self._pack(0, mono_ns, 0, kind, 0, *payload, 0))
        self._members += 1

    def end(self, mono_ns: int, status: int = 0) -> None:
        self._records.append(self._pack_service(0, mono_ns, 0, samples.END, samples.LAST | status, self._members, mono_ns, 0, 0, 0))
        self._members = 0

    def take(self) -> Any:
        records = np.frombuffer(b"".join(self._records), self._dtype)
        self._records.clear()
        return records


class Host:
    def __init__(self, processes: int) -> None:
        self.energy, self.usage = Ring(samples.RAPL), Ring(samples.USAGE)
        self.processes, self.units = processes, max(1, processes // 20)
        self.now_ns = 1000 * NS_PER_S
        self.cpu_ns = [0] * processes
        self.turn = 0

    def labels(self) -> list[tuple[int, dict[str, Any]]]:
        found: list[tuple[int, dict[str, Any]]] = []
        for number in range(self.processes):
            unit = f"/system.slice/unit-{number % self.units}.service"
            argv = ["/usr/bin/worker", f"--number={number}", "--config", "/etc/worker/worker.yml", "--token=secret"]
            entry = {"pid": number + 10, "start_ticks": 5, "comm": f"worker-{number % 300}", "argv": argv, "uid": 1000, "ppid": 1}
            found.append((number + 1, {"kind": "process", **entry, "cgroup": unit, "hierarchy": "v2"}))
        for unit in range(self.units):
            path = f"/system.slice/unit-{unit}.service"
            found.append((self.processes + 1 + unit, {"kind": "cgroup", "path": path, "controller": "v2"}))
        command = {"kind": "command", "comm": "true", "cgroup": "/system.slice/unit-0.service", "hierarchy": "v2", "uid": 0}
        return [*found, (self.processes + self.units + 1, command)]

    def scan(self, keyframe: bool) -> None:
        moved = 10 + self.processes // 50
        used_ns = NS_PER_S // SCANS_PER_S // moved
        active = {(self.turn * 7 + each * 13) % self.processes for each in range(moved)}
        self.turn += 1
        for number in active:
            self.cpu_ns[number] += used_ns
        for number in range(self.processes) if keyframe else sorted(active):
            self.usage.add(samples.PROCESS, self.now_ns, number + 1, number + 10, 5, self.cpu_ns[number], 1 << 20)
        self.usage.add(samples.CONTROL, self.now_ns, 0, 0, 0, sum(self.cpu_ns) + self.turn * 2_000_000, 0)
        for unit in range(self.units) if keyframe else sorted({number % self.units for number in active}):
            total_ns = sum(self.cpu_ns[unit :: self.units]) + (self.turn * 2_000_000 if unit == 0 else 0)
            self.usage.add(samples.CGROUP, self.now_ns, self.processes + 1 + unit, 0, 0, total_ns, 1 << 26)
        self.usage.add(samples.EXITED, self.now_ns, self.processes + self.units + 1, 10, 1, 4_000_000, 500_000)
        for mode in range(len(samples.CPU_MODES)):
            self.usage.add(samples.HOST_CPU, self.now_ns, mode, 0, 0, self.now_ns // 2, 0)
        self.usage.end(self.now_ns, samples.KEYFRAME if keyframe else 0)

    def second(self, keyframe: bool) -> None:
        for sweep in range(SWEEPS_PER_S):
            self.now_ns += NS_PER_S // SWEEPS_PER_S
            for zone in (1, 2):
                self.energy.add(zone, self.now_ns, self.now_ns // 50 % (1 << 38), 700, 0, 0)
            self.energy.end(self.now_ns)
            if (sweep + 1) % (SWEEPS_PER_S // SCANS_PER_S) == 0:
                self.scan(keyframe and sweep == SWEEPS_PER_S - 1)


def measure(processes: int) -> None:
    host, engine = Host(processes), Engine(top=50, proportional_idle=False, max_groups=100)
    for zone in (1, 2):
        engine.zones.label(
            zone, {"zone": f"package-{zone}", "domain": "package", "source": "rapl", "range_uj": 1 << 38, "additive": True}
        )
    begin = time.process_time()
    for number, entry in host.labels():
        engine.usage.label(number, entry)
    folds, shots, keyframes, start = [], [], [], 0.0
    for second in range(SECONDS):
        keyframe = second % KEYFRAME_S == 0
        host.second(keyframe)
        energy, usage = host.energy.take(), host.usage.take()
        if second:
            begin = time.process_time()
        engine.feed_energy(energy)
        engine.feed_usage(usage)
        engine.attribute()
        folded = time.process_time()
        engine.snapshot(mono_ns=host.now_ns, real_ns=0, ready=True, rings=())
        if second == 0:
            start = folded - begin
        else:
            (keyframes if keyframe else folds).append(folded - begin)
            shots.append(time.process_time() - folded)
    fold, shot, keyframe_s = statistics.median(folds), statistics.median(shots), statistics.median(keyframes)
    core = 100 * (fold + shot + (keyframe_s - fold) / KEYFRAME_S)
    figures = start, fold, keyframe_s, shot
    print(f"{processes:9} {host.units:6} " + " ".join(f"{1000 * seconds:9.2f}" for seconds in figures) + f" {core:9.2f}")


def main(counts: list[int]) -> None:
    print("ms of CPU a second; % of a core with one snapshot a second")
    print(
        f"{'processes':>9} {'groups':>6} " + " ".join(f"{name:>9}" for name in ("start", "fold", "keyframe", "snapshot", "% core"))
    )
    for count in counts:
        measure(count)


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [200, 5000])
