"""The usage reader: at every tick the CPU counters of all processes and control groups that moved go to the ring `usage`.

When the labels of the ring have become mostly names of the dead, the ring is rotated between two batches and everything that
lives is described anew, which the keyframe after it completes.
"""

import sys
from pathlib import Path

from energyd import config as configuration
from energyd.config import Config
from energyd.errors import ConfigError
from energyd.procfs.discovery import list_pids
from energyd.procfs.machine import KEYFRAME_NS, Machine
from energyd.procfs.scan import Sink
from energyd.ring.reporter import Reporter
from energyd.ring.writer import RingWriter, capacity_for
from energyd.samples import COUNTERS, CPU_MODES, KEYFRAME, MEMORY_FIELDS, USAGE
from energyd.service import log, worker
from energyd.service.clock import SYSTEM_CLOCK as CLOCK
from energyd.service.clock import suspended_ns
from energyd.service.loop import run_periodic, sharpen_timers
from energyd.service.notify import notify
from energyd.service.stop import Stop
from energyd.units import NS_PER_S

HOST_RECORDS = len(CPU_MODES) + len(MEMORY_FIELDS) + 2


class UsageReader:
    """One process: the machine, the ring, the ring's numbers for errors, and what is to be told of ourselves."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.period_ns = round(NS_PER_S / config.usage.rate_hz)
        self.logger = log.setup("usage", config.log.level, config.log.format)
        self.reporter = Reporter(log.DistinctFaults(self.logger.warning, CLOCK.mono_ns).report, CLOCK.mono_ns)
        self.scans = self.missed_ticks = 0
        self.tell_due_ns = 0
        self.labelled = 0  # since the ring was opened or rotated
        capacity = capacity_needed(count_processes(config.procfs_root), config.usage.rate_hz)
        self.writer = RingWriter.open(Path(config.run_dir), "usage", USAGE, capacity, CLOCK)
        sink = Sink(self.label, self.reporter.fault, CLOCK.mono_ns)
        self.machine = Machine(config.procfs_root, config.sysfs_root, self.period_ns, sink)
        self.logger.info("%s; ring of %d records", self.machine.describe(), capacity)

    def label(self, entry: dict[str, object]) -> int:
        self.labelled += 1
        return self.writer.label(entry)

    def rotate_if_full(self) -> None:
        """Not when the labels are the living's own: a new ring would be as full at once."""
        if self.writer.labels_full and self.labelled > 2 * len(self.machine.processes.table):
            self.writer.rotate()
            self.labelled = 0
            self.reporter.start_anew()
            self.machine.relabel()

    def tick(self, missed: int) -> None:
        """One batch: everything that moved, and once a second what there is to tell."""
        self.rotate_if_full()
        scan = self.machine.scan()
        self.writer.write_batch(
            scan.samples, CLOCK.mono_ns(), scan.begin_ns, suspended_ns(), status=KEYFRAME if scan.keyframe else 0
        )
        self.scans += 1
        self.missed_ticks += missed
        if scan.begin_ns >= self.tell_due_ns:
            self.tell_due_ns = scan.begin_ns + NS_PER_S
            self.reporter.tell(self.writer, scan.begin_ns, (self.scans, self.missed_ticks, *self.machine.counters()))
            notify("READY=1\nWATCHDOG=1")


def count_processes(procfs_root: str) -> int:
    try:
        return len(list_pids(procfs_root))
    except OSError as error:
        raise ConfigError(f"procfs_root {procfs_root}: {error.strerror}; mount a procfs there or correct the key") from error


def capacity_needed(processes: int, rate_hz: float) -> int:
    """Slots for a minute in which up to 256 processes, and a quarter of the others, use CPU between any two scans: 32768 (2 MiB)
    for 200 processes at 2 Hz, 65536 for 1000, 262144 for 5000. Busier machines keep less than a minute."""
    busy = min(processes, 256 + processes // 4)
    told_per_s = processes * NS_PER_S / KEYFRAME_NS + len(COUNTERS[USAGE.name])
    return capacity_for(rate_hz * (busy + HOST_RECORDS) + told_per_s)


def startup(config_path: str) -> UsageReader:
    reader = UsageReader(configuration.read(config_path))
    sharpen_timers()
    return reader


def main_loop(reader: UsageReader, stop: Stop) -> None:
    run_periodic(reader.tick, reader.period_ns, stop, CLOCK)


def shutdown(reader: UsageReader) -> None:
    notify("STOPPING=1")
    reader.machine.close()
    reader.writer.close()


def main(config_path: str) -> int:
    return worker.run("usage", lambda: startup(config_path), main_loop, shutdown)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
