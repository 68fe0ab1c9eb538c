"""The reader of one meter: what its line says goes into the ring `tic-NAME`, each group as soon as it has ended.

python -m energyd.workers.tic CONFIG_JSON METER_NAME
"""

import signal
import sys
from collections.abc import Callable
from typing import Final, NamedTuple

from energyd import config as configuration
from energyd import samples
from energyd.config import Config, Meter
from energyd.errors import ConfigError
from energyd.ring.reporter import Reporter
from energyd.ring.writer import RingWriter
from energyd.ringsizes import tic_capacity
from energyd.service import log, worker
from energyd.service.clock import SYSTEM_CLOCK, Clock, ScaledClock
from energyd.service.notify import notify
from energyd.service.stop import Stop
from energyd.tic.decoder import UNKNOWN_LABEL, Event, FrameEnd, Group, Refused
from energyd.tic.line import Line
from energyd.units import NS_PER_S

TEXT_BYTES: Final = 16
UNKNOWN_LABELS: Final = 64  # offered raw; a noisy line must not fill the labels

NAME: Final = "energyd.tic"


class Recorder:
    """Turns the events of a line into the records of its ring."""

    def __init__(self, ring: RingWriter, clock: Clock, name: str, warn: Callable[[str], None]) -> None:
        self._ring = ring
        self._clock = clock
        self._name = name
        self._faults = log.DistinctFaults(warn, SYSTEM_CLOCK.mono_ns)
        self._reporter = Reporter(lambda kind, text: self._faults.report(kind, f"{name}: {text}"), SYSTEM_CLOCK.mono_ns)
        self._unknown: set[bytes] = set()

    def record(self, events: list[Event]) -> None:
        mono_ns = self._clock.mono_ns()
        for event in events:
            if isinstance(event, Group):
                self._group(event, mono_ns)
            elif isinstance(event, FrameEnd):
                self._ring.service(samples.FRAME, mono_ns, event.good, event.refused, status=samples.LAST)
                self._ring.next_batch()
            elif isinstance(event, Refused):
                self._refused(event)

    def _group(self, group: Group, mono_ns: int) -> None:
        degraded = samples.DEGRADED if group.degraded else 0
        for begin in range(0, len(group.text) or 1, TEXT_BYTES):
            end = begin + TEXT_BYTES
            status = degraded | (samples.CONTINUED if end < len(group.text) else samples.LAST)
            self._ring.append(group.field.id, mono_ns, (group.value, group.horodate_s, group.text[begin:end]), status=status)
        self._ring.next_batch()

    def _refused(self, group: Refused) -> None:
        self._faults.report(group.reason, f"{self._name}: group refused, {group.reason.replace('_', ' ')}: {group.raw!r}")
        label = group.raw.replace(b"\t", b" ").partition(b" ")[0]
        if group.reason == UNKNOWN_LABEL and label not in self._unknown and len(self._unknown) < UNKNOWN_LABELS:
            self._unknown.add(label)
            self._ring.label({"label": label.decode("ascii"), "raw": group.raw.decode("ascii")})

    def fault(self, text: str) -> None:
        """What is wrong with the line now, '' = nothing."""
        self._reporter.state([text] if text else [])

    def beat(self, counts: dict[str, int]) -> None:
        """To be called about once a second: sign of life, and the counters and faults that have changed."""
        self._ring.heartbeat()
        self._reporter.tell(self._ring, self._clock.mono_ns(), tuple(counts.values()))

    def close(self) -> None:
        self._ring.close()


class TicReader(NamedTuple):
    """One process: the line that is listened to, and what records it."""

    line: Line
    recorder: Recorder


def listen(config: Config, meter: Meter) -> TicReader:
    """Open the ring of `meter`; its line is opened by the first poll, because a device may come later."""
    clock: Clock = ScaledClock(*config.clock) if meter.simulated and config.clock.rate != 1 else SYSTEM_CLOCK
    warn = log.Log(NAME, config.log.level, config.log.format).warning
    ring = RingWriter.open(config.run_dir, f"tic-{meter.name}", samples.TIC, tic_capacity(), SYSTEM_CLOCK, warn=warn)
    recorder = Recorder(ring, clock, meter.name, warn)
    return TicReader(Line(meter.device, meter.mode, SYSTEM_CLOCK, recorder.fault, link_lost_s=meter.link_timeout_s), recorder)


def startup(config_path: str, name: str) -> TicReader:
    config = configuration.read(config_path)
    meter = next((meter for meter in config.meters if meter.name == name), None)
    if meter is None:
        raise ConfigError(f"{config_path} has no meter named {name!r}; it names {[each.name for each in config.meters]}")
    reader = listen(config, meter)
    signal.signal(signal.SIGCONT, lambda _number, _frame: reader.line.look_again())  # `energyd units wake`
    return reader


def main_loop(reader: TicReader, stop: Stop) -> None:
    line, recorder = reader
    beat_ns = SYSTEM_CLOCK.mono_ns()
    recorder.beat(line.counts())
    notify("READY=1")  # a meter that says nothing yet is waited for, not a failure to start
    while not stop:
        recorder.record(line.poll())
        if SYSTEM_CLOCK.mono_ns() - beat_ns >= NS_PER_S:
            beat_ns = SYSTEM_CLOCK.mono_ns()
            recorder.beat(line.counts())
            notify("WATCHDOG=1")


def shutdown(reader: TicReader) -> None:
    notify("STOPPING=1")
    reader.recorder.beat(reader.line.counts())
    reader.line.close()
    reader.recorder.close()


def main(argv: list[str]) -> int:
    return worker.run(NAME, lambda: startup(*argv), main_loop, shutdown)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
