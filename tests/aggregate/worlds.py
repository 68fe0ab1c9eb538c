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


CGROUPS = ("/system.slice/a.service", "/system.slice/b.service", "/system.slice/b.service/inner", "/machine.slice/machine-c.scope")


class World:
    """Random births, deaths, pid reuse, wraps, failed reads and short-lived work; all from one seed.

    With `cgroups`, processes live in control groups and move between them, short-lived work is done in one of them or in none, and
    groups are removed and made again. With `records` the kernel tells of short-lived work. With `packages` processes run on one.
    """

    def __init__(
        self,
        seed: int,
        *,
        zones: int = 2,
        range_uj: int = 5_000_000,
        faults: bool = True,
        cgroups: bool = False,
        records: bool = False,
        packages: bool = False,
    ) -> None:
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
        self.cgroups, self.records, self.packages = cgroups, records, packages
        self.cgroup_ns: dict[str, int] = {}  # by path, what its own tasks used since it was made
        self.cgroup_ids: dict[str, int] = {}
        self.cgroup_of: dict[int, str] = {}  # by consumer id
        self.commands: dict[tuple[str, str], int] = {}  # (comm, cgroup) -> labels id
        self.ended: dict[tuple[str, str], list[int]] = {}  # (comm, cgroup) -> [tasks, ns] since the last scan
        self.true_exited_ns: dict[str, int] = {}  # by path, '/' = none
        for zone in range(zones):
            entry = {"zone": f"package-{zone}", "domain": "package", "source": "simulated", "range_uj": range_uj}
            package = {"package": zone} if packages else {}
            self.labels.append(("rapl", zone + 1, {**entry, "additive": True, "max_power_uw": 40_000_000, **package}))
        for _ in range(5):
            self.birth(born_now=False)

    def birth(self, *, born_now: bool = True) -> None:
        pid = self.random.randrange(2, 12)  # few numbers, so that they are used again
        if any(process[0] == pid for process in self.processes.values()):
            return
        start_ticks = self.now_ns // TICK_NS if born_now else self.random.randrange(self.now_ns // TICK_NS - 1000)
        cpu_ns = 0 if born_now else self.random.randrange(10**12)
        identifier = self.number()
        self.processes[identifier] = [pid, start_ticks, cpu_ns, self.random.randrange(0, 30)]
        self.describe(identifier, self.random.choice(("/", *CGROUPS)) if self.cgroups else "/")

    def number(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def describe(self, identifier: int, path: str) -> None:
        """The label of a process, and of its control group if that is new."""
        pid, start_ticks, *_ = self.processes[identifier]
        entry = {"kind": "process", "pid": pid, "start_ticks": start_ticks, "comm": f"p{pid}", "cgroup": path, "uid": 0, "ppid": 1}
        self.labels.append(("usage", identifier, {**entry, "hierarchy": "v2" if path != "/" else ""}))
        self.cgroup_of[identifier] = path
        if path != "/" and path not in self.cgroup_ids:
            self.cgroup_ns.setdefault(path, 0)
            self.cgroup_ids[path] = self.number()
            self.labels.append(("usage", self.cgroup_ids[path], {"kind": "cgroup", "path": path, "controller": "v2"}))

    def move(self) -> None:
        """A process goes to another control group, and is described anew."""
        identifier = self.random.choice(list(self.processes))
        process = self.processes.pop(identifier)
        renewed = self.number()
        self.processes[renewed] = process
        self.describe(renewed, self.random.choice(("/", *CGROUPS)))

    def remove_cgroup(self) -> None:
        empty = [path for path in self.cgroup_ids if not any(used.startswith(path) for used in self.cgroup_of.values())]
        if empty:
            path = self.random.choice(empty)
            self.usage.add(samples.CGROUP, self.now_ns, (self.cgroup_ids.pop(path), 0, 0, self.total_ns(path), 0), samples.GONE)
            self.cgroup_ns[path] = 0  # made again, it begins anew

    def total_ns(self, path: str) -> int:
        """What a control group counts: what is below it too."""
        return sum(ns for each, ns in self.cgroup_ns.items() if (each + "/").startswith(path + "/"))

    def use(self, path: str, used_ns: int) -> None:
        self.control_ns += used_ns
        if path != "/":
            self.cgroup_ns[path] += used_ns

    def sweep(self) -> None:
        for zone, true_uj in enumerate(self.true_uj):
            failed = self.faults and self.random.random() < 0.02
            raw_uj = 13 if failed else true_uj % (self.range_uj + 1)
            self.energy.add(zone + 1, self.now_ns, (raw_uj, 700, 0, 0), samples.FAILED if failed else 0)
        self.energy.close(self.now_ns + 1000)

    def scan(self, *, keyframe: bool = False) -> None:
        for identifier, (pid, start_ticks, cpu_ns, _) in list(self.processes.items()):
            dies = self.faults and self.random.random() < 0.05
            package = (pid % len(self.true_uj) + 1) << samples.PACKAGE_SHIFT if self.packages else 0
            status = (samples.GONE if dies else 0) | package
            self.usage.add(samples.PROCESS, self.now_ns, (identifier, pid, start_ticks, cpu_ns, pid << 20), status)
            if dies:
                del self.processes[identifier]
                del self.cgroup_of[identifier]
        for path, consumer in self.cgroup_ids.items():
            self.usage.add(samples.CGROUP, self.now_ns, (consumer, 0, 0, self.total_ns(path), 1 << 20))
        for (comm, path), (tasks, used_ns) in self.ended.items() if self.records else ():
            if (comm, path) not in self.commands:
                self.commands[comm, path] = self.number()
                entry = {"kind": "command", "comm": comm, "cgroup": path, "hierarchy": "v2" if path != "/" else "", "uid": 0}
                self.labels.append(("usage", self.commands[comm, path], entry))
            ticks_ns = used_ns // 4_000_000 * 4_000_000
            self.usage.add(samples.EXITED, self.now_ns, (self.commands[comm, path], 0, tasks, ticks_ns, used_ns // 3))
        self.ended.clear()
        self.usage.add(samples.CONTROL, self.now_ns, (0, 0, 0, self.control_ns, 0))
        self.usage.add(samples.HOST_CPU, self.now_ns, (3, 0, 0, self.modes_ns, 0))
        self.usage.close(self.now_ns, status=samples.KEYFRAME if keyframe else 0)

    def advance(self, step_ns: int) -> None:
        self.now_ns += step_ns
        for zone, power_w in enumerate(self.power_w):
            self.true_uj[zone] += power_w * step_ns // 1000
        for identifier, process in self.processes.items():
            used_ns = process[3] * step_ns // 100
            process[2] += used_ns
            self.use(self.cgroup_of[identifier], used_ns)
        self.modes_ns += 4 * step_ns
        if self.faults:
            self.work_shortly(self.random.choice(("/", *self.cgroup_ids)), self.random.randrange(0, step_ns // 20))
            if self.random.random() < 0.02:
                self.birth()
            if self.cgroups and self.processes and self.random.random() < 0.02:
                self.move()

    def work_shortly(self, path: str, used_ns: int, comm: str = "brief") -> None:
        """Work that no scan sees."""
        self.use(path, used_ns)
        self.true_exited_ns[path] = self.true_exited_ns.get(path, 0) + used_ns
        tasks = self.ended.setdefault((comm, path), [0, 0])
        tasks[0] += 1
        tasks[1] += used_ns

    def run(self, seconds: float) -> None:
        self.sweep()
        self.scan(keyframe=True)
        steps = round(seconds * NS_PER_S / SWEEP_NS)
        for step in range(1, steps + 1):
            self.advance(SWEEP_NS)
            self.sweep()
            if step * SWEEP_NS % SCAN_NS == 0:
                if self.cgroups and self.random.random() < 0.05:
                    self.remove_cgroup()
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
