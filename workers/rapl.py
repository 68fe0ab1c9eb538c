"""The energy reader: every tick each counter is read once and appended, unchanged, to the ring `rapl`.

Counters that cannot be read are named once with the command that mends it, and tried again. With no counter at all the process
stays, says why, and keeps looking. A zone that comes back gets a new number in the ring and keeps its name.

python -m energyd.workers.rapl CONFIG_JSON
"""

import errno
import sys

from energyd import config as configuration
from energyd.config import Config
from energyd.hostsensor import advice_of, sensor_of
from energyd.powercap.sensor import NO_CHANGE, Change, Sample
from energyd.ring.reporter import Reporter
from energyd.ring.writer import RingWriter
from energyd.ringsizes import rapl_capacity
from energyd.samples import FAILED, RAPL
from energyd.service import log, worker
from energyd.service.clock import SYSTEM_CLOCK as CLOCK
from energyd.service.clock import suspended_ns
from energyd.service.loop import run_periodic, sharpen_timers
from energyd.service.notify import notify
from energyd.service.stop import Stop
from energyd.units import NS_PER_S

BATCH_NS = 3 * NS_PER_S // 1000  # every tick up to 333 Hz, every fourth at 1000 Hz


class RaplReader:
    """One process: the sensor, the ring, the ring's numbers for zones, and what is to be told of ourselves."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.logger = log.Log("energyd.rapl", config.log.level, config.log.format)
        self.reporter = Reporter(log.DistinctFaults(self.logger.warning, CLOCK.mono_ns).report, CLOCK.mono_ns)
        self.sensor = sensor_of(config, CLOCK.mono_ns)
        self.sweeps = self.missed_ticks = self.read_errors = self.appeared = self.vanished = 0
        self.samples: list[Sample] = []  # not yet in the ring
        self.write_due_ns = self.tell_due_ns = 0
        change = self.sensor.rescan()
        self.open_ring()
        self.follow(change)

    def capacity_needed(self) -> int:
        return rapl_capacity(self.config.energy.rate_hz, sum(zone.used for zone in self.sensor.zones))

    def open_ring(self) -> None:
        self.numbers: dict[str, int] = {}  # of zones
        self.capacity = self.capacity_needed()
        self.writer = RingWriter.open(self.config.run_dir, "rapl", RAPL, self.capacity, CLOCK, warn=self.logger.warning)
        self.reporter.start_anew()

    def follow(self, change: Change) -> None:
        """Tell the ring and the log which zones have come and gone, and what keeps others from being read."""
        for zone in change.vanished:
            if zone.used:
                self.vanished += 1
                self.writer.append(self.numbers[zone.name], CLOCK.mono_ns(), (errno.ENODEV, 0, 0, 0), status=FAILED)
                self.logger.info(f"{zone.name} has gone from {zone.device}")
        appeared = change.appeared
        if self.writer.labels_full or self.capacity < self.capacity_needed():
            self.writer.close()
            self.open_ring()
            appeared = self.sensor.zones
        for zone in appeared:
            self.numbers[zone.name] = self.writer.label(zone.label())
            if zone.used:
                self.appeared += 1
            else:  # the label takes effect with its first sample
                self.writer.append(
                    self.numbers[zone.name], CLOCK.mono_ns(), (zone.read_errno or errno.ENODEV, 0, 0, 0), status=FAILED
                )
            state = zone.dropped or ("read" if zone.used else "unreadable")
            self.logger.info(f"{zone.name} by {zone.device}: {state}")
        self.reporter.state(advice_of(self.config, self.sensor.zones))

    def tick(self, missed: int) -> None:
        """Read every zone; write a batch when it is due, and once a second what there is to tell."""
        now_ns = CLOCK.mono_ns()
        if now_ns >= self.sensor.rescan_due_ns:
            if self.samples:  # their numbers may mean nothing after it
                self.write_batch()
            change = self.sensor.rescan()
            if change is not NO_CHANGE:
                self.follow(change)
        self.samples += self.sensor.sweep(self.numbers)
        for zone, number in self.sensor.failed:
            self.read_errors += 1
            text = f"{zone.name}: reading {zone.path or zone.device} failed ({errno.errorcode.get(number, number)})"
            self.reporter.fault(text, text)
        self.sweeps += 1
        self.missed_ticks += missed
        if now_ns >= self.write_due_ns:
            self.write_batch()
        if now_ns >= self.tell_due_ns:
            self.tell_due_ns = now_ns + NS_PER_S
            counters = self.sweeps, self.missed_ticks, self.read_errors, self.appeared, self.vanished
            self.reporter.tell(self.writer, now_ns, counters)
            notify("READY=1\nWATCHDOG=1")

    def write_batch(self) -> None:
        """One END for all sweeps of some ms: at 1000 Hz a batch for each would cost as much as reading."""
        now_ns = CLOCK.mono_ns()
        begin_ns = self.samples[0][1] if self.samples else now_ns
        self.writer.write_batch(self.samples, now_ns, begin_ns, suspended_ns())
        self.samples = []
        self.write_due_ns = now_ns + BATCH_NS


def startup(config_path: str) -> RaplReader:
    reader = RaplReader(configuration.read(config_path))
    sharpen_timers()
    return reader


def main_loop(reader: RaplReader, stop: Stop) -> None:
    run_periodic(reader.tick, round(NS_PER_S / reader.config.energy.rate_hz), stop, CLOCK)


def shutdown(reader: RaplReader) -> None:
    notify("STOPPING=1")
    reader.sensor.close()
    reader.writer.close()


def main(argv: list[str]) -> int:
    return worker.run("energyd.rapl", lambda: startup(argv[0]), main_loop, shutdown)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
