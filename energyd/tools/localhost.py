"""This machine, sampled by this process: the same sensors, the same engine, without a daemon between them.

The readers' own code looks at the machine, the aggregator's own code counts; only the rings are memory. So what a tool shows is
what the daemon would show, laws included.
"""

from pathlib import Path
from typing import NamedTuple

from energyd.aggregate.engine import Engine
from energyd.aggregate.snapshot import Snapshot
from energyd.config import Config
from energyd.groups.grouper import Grouper
from energyd.groups.names import HostNames
from energyd.hostsensor import advice_of, sensor_of
from energyd.procfs.machine import Machine
from energyd.procfs.scan import Sink
from energyd.samples import KEYFRAME, RAPL, USAGE
from energyd.service.clock import SYSTEM_CLOCK, Clock, suspended_ns
from energyd.tools.memoryring import MemoryRing
from energyd.units import NS_PER_S


class Reading(NamedTuple):
    """What the counters showed at one moment: only the difference of two of them means anything."""

    energy_uj: dict[str, int]  # by zone
    busy_cpu_ns: int  # of all tasks


class Localhost:
    """`sweep` reads the energy counters, `scan` the processes; `snapshot` is what follows from both so far; `user` names a uid."""

    def __init__(self, config: Config, *, top: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self._config = config
        self._clock = clock
        self._energy, self._usage = MemoryRing(RAPL), MemoryRing(USAGE)
        names = HostNames(str(Path(config.procfs_root).parent))
        self.user = names.user
        self._engine = Engine(
            top=top,
            proportional_idle=config.energy.idle == "proportional",
            max_groups=config.usage.max_groups,
            grouper=Grouper(config.groups, names),
            dram=config.energy.dram,
        )
        self._labels = 0
        self._numbers: dict[str, int] = {}
        self._sensor = sensor_of(config, clock.mono_ns)
        self._machine = Machine(
            config.procfs_root, config.sysfs_root, NS_PER_S, Sink(self._label_usage, lambda _kind, _text: None, clock.mono_ns)
        )
        for zone in self._sensor.rescan().appeared:
            self._labels += 1
            self._numbers[zone.name] = self._labels
            self._engine.zones.label(self._labels, zone.label())

    def _label_usage(self, entry: dict[str, object]) -> int:
        self._labels += 1
        self._engine.usage.label(self._labels, entry)
        return self._labels

    def why_no_power(self) -> list[str]:
        """What keeps energy from being read, with the commands that mend it; empty when all is well."""
        return advice_of(self._config, self._sensor.zones)

    def sweep(self, every: bool = False) -> None:
        """Read the counters that are due, or, at the begin and the end of what is measured, `every` one."""
        begin_ns = self._clock.mono_ns()
        for sample in self._sensor.sweep(self._numbers, every):
            self._energy.append(*sample)
        self._energy.end_batch(self._clock.mono_ns(), begin_ns, suspended_ns())

    def scan(self) -> None:
        scan = self._machine.scan()
        for sample in scan.samples:
            self._usage.append(*sample)
        self._usage.end_batch(self._clock.mono_ns(), scan.begin_ns, suspended_ns(), KEYFRAME if scan.keyframe else 0)

    def snapshot(self) -> Snapshot:
        self._engine.feed_energy(self._energy.take())
        self._engine.feed_usage(self._usage.take())
        self._engine.attribute()
        return self._engine.snapshot(mono_ns=self._clock.mono_ns(), real_ns=self._clock.real_ns(), ready=True, rings=())

    def read(self) -> Reading:
        """Every counter as it is now: half a millisecond, where a snapshot takes tens of them the first time."""
        self.sweep(every=True)
        self._engine.feed_energy(self._energy.take())
        zones = self._engine.zones.zones.values()
        energies = {zone.name: zone.energy_uj if zone.additive else zone.aside_uj for zone in zones}
        return Reading(energies, self._machine.control_ns())

    def close(self) -> None:
        self._sensor.close()
        self._machine.close()
