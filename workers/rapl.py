"""The RAPL reader: every tick each energy counter is read once and appended, unchanged, to the ring `rapl`.

Counters that cannot be read are named once with the command that mends it, and tried again. With no counter at all the process
stays, says why, and keeps looking. A zone that comes back gets a new number in the ring and keeps its name.

python -m energyd.workers.rapl CONFIG_JSON
"""

import errno
import sys
from collections import Counter
from pathlib import Path

from energyd import config as configuration
from energyd.config import Config
from energyd.errors import EXIT_OK, EnergydError
from energyd.powercap.advice import cpu_vendor, explain
from energyd.powercap.sensor import NO_CHANGE, Change, Sensor
from energyd.ring.writer import RingWriter, capacity_for
from energyd.samples import COUNTER, COUNTERS, ERROR, FAILED, RAPL
from energyd.service import log
from energyd.service.clock import SYSTEM_CLOCK as CLOCK
from energyd.service.clock import suspended_ns
from energyd.service.loop import run_periodic, sharpen_timers
from energyd.service.notify import notify
from energyd.service.stop import Stop
from energyd.units import NS_PER_S

SWEEPS, MISSED_TICKS, READ_ERRORS, APPEARED, VANISHED = range(len(COUNTERS[RAPL.name]))
LABEL_FIELDS = ("domain", "parent", "package", "die", "range_uj", "additive", "max_power_uw", "dropped")


class RaplReader:
    """One process: the sensor, the ring, the ring's numbers for zones and errors, and what is to be told of ourselves."""

    def __init__(self, config: Config) -> None:
        self.config = config
        simulated = "rapl" in config.simulated
        self.source = "simulated" if simulated else "rapl"
        self.logger = log.setup("energyd.rapl", config.log.level, config.log.format)
        self.faults = log.DistinctFaults(self.logger.warning, CLOCK.mono_ns)
        self.sensor = Sensor(config.powercap_root, "" if simulated else cpu_vendor(config.procfs_root), CLOCK.mono_ns)
        self.counts = [0] * len(COUNTERS[RAPL.name])
        self.errors: Counter[str] = Counter()  # text -> how often
        self.next_tell_ns = 0
        change = self.sensor.rescan()
        self.open_ring()
        self.follow(change)

    def capacity_needed(self) -> int:
        zones = sum(zone.used for zone in self.sensor.zones)
        return capacity_for(self.config.energy.rate_hz * (zones + 1) + len(self.counts))

    def open_ring(self) -> None:
        self.numbers: dict[str, int] = {}  # of zones and of error texts
        self.told: dict[tuple[int, int], int] = {}  # (COUNTER or ERROR, which) -> the value in the ring
        self.capacity = self.capacity_needed()
        self.writer = RingWriter.open(Path(self.config.run_dir), "rapl", RAPL, self.capacity, CLOCK)
        if self.writer.labels_full:
            self.writer.rotate()

    def follow(self, change: Change) -> None:
        """Tell the ring and the log which zones have come and gone, and what keeps others from being read."""
        for zone in change.vanished:
            if zone.used:
                self.counts[VANISHED] += 1
                self.writer.append(self.numbers[zone.name], CLOCK.mono_ns(), (errno.ENODEV, 0, 0, 0), status=FAILED)
                self.logger.warning("%s has gone from %s", zone.name, zone.directory)
        appeared = change.appeared
        if self.writer.labels_full or self.capacity < self.capacity_needed():
            self.writer.close()
            self.open_ring()
            appeared = self.sensor.zones
        for zone in appeared:
            label = {"zone": zone.name, "source": self.source} | {field: getattr(zone, field) for field in LABEL_FIELDS}
            self.numbers[zone.name] = self.writer.label(label)
            self.counts[APPEARED] += zone.used
            self.logger.info("%s in %s: %s", zone.name, zone.directory, zone.dropped or ("read" if zone.used else "unreadable"))
        for sentence in explain(self.sensor.zones, self.config.powercap_root, self.config.procfs_root):
            self.fault(sentence)

    def fault(self, text: str) -> None:
        self.errors[text] += 1
        self.faults.report(text, text)
        if text not in self.numbers:
            self.numbers[text] = self.writer.label({"error": text})

    def tell(self, now_ns: int) -> None:
        """Put into the ring which counters and errors have changed."""
        values = {(COUNTER, index): value for index, value in enumerate(self.counts)}
        values |= {(ERROR, self.numbers[text]): value for text, value in self.errors.items() if text in self.numbers}
        for (kind, which), value in values.items() - self.told.items():
            self.writer.service(kind, now_ns, which, value)
        self.told = values

    def tick(self, missed: int) -> None:
        """One batch: every zone, and once a second what there is to tell."""
        change = self.sensor.rescan()
        if change is not NO_CHANGE:
            self.follow(change)
        begin_ns = CLOCK.mono_ns()
        for zone, status, energy_uj, mono_ns, read_ns in self.sensor.sweep():
            self.writer.append(self.numbers[zone.name], mono_ns, (energy_uj, read_ns, 0, 0), status=status)
            if status:
                self.counts[READ_ERRORS] += 1
                self.fault(f"{zone.name}: reading {zone.energy_path} failed ({errno.errorcode.get(energy_uj, energy_uj)})")
        self.counts[SWEEPS] += 1
        self.counts[MISSED_TICKS] += missed
        if telling := begin_ns >= self.next_tell_ns:
            self.next_tell_ns = begin_ns + NS_PER_S
            self.tell(begin_ns)
        self.writer.end_batch(CLOCK.mono_ns(), begin_ns, suspended_ns())
        self.writer.heartbeat()
        if telling:
            notify("READY=1\nWATCHDOG=1")


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
    stop = Stop.on_signals()
    try:
        reader = startup(argv[0])
        try:
            main_loop(reader, stop)
        finally:
            shutdown(reader)
    except EnergydError as error:
        print(f"energyd.workers.rapl: {error}", file=sys.stderr)
        return error.exit_code
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
