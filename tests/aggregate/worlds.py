"""A small simulated machine that speaks in samples: zones with a known power, processes with a known use of CPU."""

import random
from typing import Any

import numpy as np
from batches import Batches

from energyd import samples
from energyd.aggregate.engine import Engine
from energyd.units import NS_PER_S

TICK_NS = NS_PER_S // 100
SWEEP_NS = NS_PER_S // 10
SCAN_NS = NS_PER_S // 2


class World:
    """Random births, deaths, pid reuse, wraps, failed reads and short-lived work; all from one seed."""

    def __init__(self, seed: int, *, zones: int = 2, range_uj: int = 5_000_000, faults: bool = True) -> None:
        self.random = random.Random(seed)
        self.energy, self.usage = Batches(samples.RAPL), Batches(samples.USAGE)
        self.labels: list[tuple[str, int, dict[str, Any]]] = []
        self.now_ns = 1000 * NS_PER_S
        self.range_uj, self.faults = range_uj, faults
        self.true_uj = [self.random.randrange(range_uj) for _ in range(zones)]
        self.start_uj = list(self.true_uj)
        self.power_w = [self.random.randrange(1, 30) for _ in range(zones)]
        self.processes: dict[int, list[int]] = {}  # id -> [pid, start_ticks, cpu_ns, share in percent]
        self.next_id, self.control_ns, self.modes_ns = 1, 12345, 0
        for zone in range(zones):
            entry = {"zone": f"package-{zone}", "domain": "package", "source": "simulated", "range_uj": range_uj}
            self.labels.append(("rapl", zone + 1, {**entry, "additive": True, "max_power_uw": 40_000_000}))
        for _ in range(5):
            self.birth(born_now=False)

    def birth(self, *, born_now: bool = True) -> None:
        pid = self.random.randrange(2, 12)  # few numbers, so that they are used again
        if any(process[0] == pid for process in self.processes.values()):
            return
        start_ticks = self.now_ns // TICK_NS if born_now else self.random.randrange(self.now_ns // TICK_NS - 1000)
        cpu_ns = 0 if born_now else self.random.randrange(10**12)
        identifier, self.next_id = self.next_id, self.next_id + 1
        self.processes[identifier] = [pid, start_ticks, cpu_ns, self.random.randrange(0, 30)]
        entry = {"kind": "process", "pid": pid, "start_ticks": start_ticks, "comm": f"p{pid}", "cgroup": "/", "uid": 0}
        self.labels.append(("usage", identifier, entry))

    def sweep(self) -> None:
        for zone, true_uj in enumerate(self.true_uj):
            failed = self.faults and self.random.random() < 0.02
            raw_uj = 13 if failed else true_uj % (self.range_uj + 1)
            self.energy.add(zone + 1, self.now_ns, (raw_uj, 700, 0, 0), samples.FAILED if failed else 0)
        self.energy.close(self.now_ns + 1000)

    def scan(self, *, keyframe: bool = False) -> None:
        for identifier, (pid, start_ticks, cpu_ns, _) in list(self.processes.items()):
            dies = self.faults and self.random.random() < 0.05
            self.usage.add(samples.PROCESS, self.now_ns, (identifier, pid, start_ticks, cpu_ns, 0), samples.GONE if dies else 0)
            if dies:
                del self.processes[identifier]
        self.usage.add(samples.CONTROL, self.now_ns, (0, 0, 0, self.control_ns, 0))
        self.usage.add(samples.HOST_CPU, self.now_ns, (3, 0, 0, self.modes_ns, 0))
        self.usage.close(self.now_ns, status=samples.KEYFRAME if keyframe else 0)

    def advance(self, step_ns: int) -> None:
        self.now_ns += step_ns
        for zone, power_w in enumerate(self.power_w):
            self.true_uj[zone] += power_w * step_ns // 1000
        for process in self.processes.values():
            used_ns = process[3] * step_ns // 100
            process[2] += used_ns
            self.control_ns += used_ns
        self.modes_ns += 4 * step_ns
        if self.faults:
            self.control_ns += self.random.randrange(0, step_ns // 20)  # short-lived work that no scan sees
            if self.random.random() < 0.02:
                self.birth()

    def run(self, seconds: float) -> None:
        self.sweep()
        self.scan(keyframe=True)
        steps = round(seconds * NS_PER_S / SWEEP_NS)
        for step in range(1, steps + 1):
            self.advance(SWEEP_NS)
            self.sweep()
            if step * SWEEP_NS % SCAN_NS == 0:
                self.scan()

    def feed(self, engine: Engine, energy: Any = None, usage: Any = None) -> None:
        """Hand everything over that has been sampled, or the given parts of it."""
        for ring, identifier, entry in self.labels:
            (engine.zones if ring == "rapl" else engine.usage).label(identifier, entry)
        self.labels.clear()
        engine.feed_energy(self.energy.take() if energy is None else energy)
        engine.feed_usage(self.usage.take() if usage is None else usage)
        engine.attribute()


def cut_at_batches(records: Any, pieces: int, seed: int) -> list[Any]:
    """The same batches in `pieces` unequal portions, as a fold at any other moment would have found them."""
    ends = np.flatnonzero(records["status"] & samples.LAST) + 1
    chosen = sorted(random.Random(seed).choices(ends.tolist(), k=pieces - 1))
    return np.split(records, chosen)


def new_engine(top: int = 3, **options: Any) -> Engine:
    return Engine(top=top, proportional_idle=options.pop("proportional_idle", False), **options)


def snapshot(engine: Engine, world: World) -> Any:
    return engine.snapshot(mono_ns=world.now_ns, real_ns=0, ready=True, rings=())
