"""The reader of one meter: what its line says goes into the ring `tic-NAME`, each group as soon as it has ended.

python -m energyd.workers.tic CONFIG_JSON METER_NAME
"""

import logging
import signal
import sys
from pathlib import Path
from typing import Final

from energyd import config, samples
from energyd.config import Config, Meter
from energyd.errors import ConfigError, EnergydError
from energyd.ring.reporter import Reporter
from energyd.ring.writer import RingWriter
from energyd.ringsizes import tic_capacity
from energyd.service import log
from energyd.service.clock import SYSTEM_CLOCK, Clock, ScaledClock
from energyd.service.notify import notify
from energyd.service.stop import Stop
from energyd.tic.decoder import UNKNOWN_LABEL, Event, FrameEnd, Group, Refused
from energyd.tic.line import Line
from energyd.units import NS_PER_S

TEXT_BYTES: Final = 16
UNKNOWN_LABELS: Final = 64  # offered raw; a noisy line must not fill the labels

logger = logging.getLogger("energyd.tic")


class Recorder:
    """Turns the events of a line into the records of its ring."""

    def __init__(self, ring: RingWriter, clock: Clock, name: str) -> None:
        self._ring = ring
        self._clock = clock
        self._name = name
        self._faults = log.DistinctFaults(logger.warning, SYSTEM_CLOCK.mono_ns)
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


def startup(settings: Config, meter: Meter) -> tuple[Line, Recorder]:
    clock: Clock = ScaledClock(*settings.clock) if meter.simulated and settings.clock.rate != 1 else SYSTEM_CLOCK
    ring = RingWriter.open(Path(settings.run_dir), f"tic-{meter.name}", samples.TIC, tic_capacity(), SYSTEM_CLOCK)
    recorder = Recorder(ring, clock, meter.name)
    return Line(meter.device, meter.mode, SYSTEM_CLOCK, recorder.fault, link_lost_s=meter.link_timeout_s), recorder


def main_loop(line: Line, recorder: Recorder, stop: Stop) -> None:
    beat_ns = SYSTEM_CLOCK.mono_ns()
    recorder.beat(line.counts())
    notify("READY=1")  # a meter that says nothing yet is waited for, not a failure to start
    while not stop:
        recorder.record(line.poll())
        if SYSTEM_CLOCK.mono_ns() - beat_ns >= NS_PER_S:
            beat_ns = SYSTEM_CLOCK.mono_ns()
            recorder.beat(line.counts())
            notify("WATCHDOG=1")


def shutdown(line: Line, recorder: Recorder) -> None:
    recorder.beat(line.counts())
    line.close()
    recorder.close()


def main(argv: list[str]) -> int:
    try:
        settings = config.read(argv[0])
        log.setup("energyd.tic", settings.log.level, settings.log.format)
        stop = Stop.on_signals()
        meter = next((meter for meter in settings.meters if meter.name == argv[1]), None)
        if meter is None:
            raise ConfigError(f"{argv[0]} has no meter named {argv[1]!r}; it names {[each.name for each in settings.meters]}")
        line, recorder = startup(settings, meter)
        signal.signal(signal.SIGCONT, lambda _number, _frame: line.look_again())  # `energyd units wake`
        try:
            main_loop(line, recorder, stop)
        finally:
            shutdown(line, recorder)
    except EnergydError as error:
        print(f"energyd.workers.tic: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
