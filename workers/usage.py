"""The usage reader: at every tick the CPU counters of all processes and control groups that moved go to the ring `usage`.

When the labels of the ring have become mostly names of the dead, the ring is rotated between two batches and everything that
lives is described anew, which the keyframe after it completes.

python -m energyd.workers.usage CONFIG_JSON
"""

import sys

from energyd import config as configuration
from energyd.config import Config
from energyd.procfs.discovery import count_processes
from energyd.procfs.machine import Machine
from energyd.procfs.scan import Sink
from energyd.ring.reporter import Reporter
from energyd.ring.writer import RingWriter
from energyd.ringsizes import usage_capacity
from energyd.samples import KEYFRAME, USAGE
from energyd.service import log, worker
from energyd.service.clock import SYSTEM_CLOCK as CLOCK
from energyd.service.clock import suspended_ns
from energyd.service.loop import run_periodic, sharpen_timers
from energyd.service.notify import notify
from energyd.service.stop import Stop
from energyd.units import NS_PER_S


class UsageReader:
    """One process: the machine, the ring, the ring's numbers for errors, and what is to be told of ourselves."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.period_ns = round(NS_PER_S / config.usage.rate_hz)
        self.logger = log.Log("energyd.usage", config.log.level, config.log.format)
        self.reporter = Reporter(log.DistinctFaults(self.logger.warning, CLOCK.mono_ns).report, CLOCK.mono_ns)
        self.scans = self.missed_ticks = 0
        self.tell_due_ns = 0
        self.labelled = 0  # since the ring was opened or rotated
        capacity = usage_capacity(config.usage.rate_hz, count_processes(config.procfs_root))
        self.writer = RingWriter.open(config.run_dir, "usage", USAGE, capacity, CLOCK, warn=self.logger.warning)
        sink = Sink(self.label, self.reporter.fault, CLOCK.mono_ns)
        self.machine = Machine(config.procfs_root, config.sysfs_root, self.period_ns, sink)
        self.logger.info(f"{self.machine.describe()}; ring of {capacity} records")

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


def main(argv: list[str]) -> int:
    return worker.run("energyd.usage", lambda: startup(argv[0]), main_loop, shutdown)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
