"""`energyd simulate meter`: a house and its Linky behind a pty, with a truth file of every frame.

Frames follow each other as on the wire, 25 ms apart, or come once a simulated minute. A frame's values are those of the instant
at which it begins. Its truth line stands in the file before its first byte is on the line, so a decoder can never know more.

Truth events: `frame` (n, real_ns, mono_ns and end_mono_ns of the simulated clock, power_w, total_wh, energy_nj since the
registers began, registers in Wh by label, supplier register in force, groups, dropped_bytes so far), `corrupted` (n, label, clean
and sent bytes in hex), `cut` (n, sent_bytes, whole_groups, mono_ns, silence_ns).
"""

import argparse
import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from energyd.service import log
from energyd.service.clock import ScaledClock
from energyd.service.stop import Stop
from energyd.simulate import faults, memory
from energyd.simulate.frames import MODES, Mode, encode_frame, with_even_parity
from energyd.simulate.house import House
from energyd.simulate.line import Line, Pace, duration_ns
from energyd.simulate.registers import Registers
from energyd.simulate.tariff import CONTRACTS, Calendar
from energyd.simulate.telegram import Meter, groups, registers_of
from energyd.simulate.truth import Truth
from energyd.units import NS_PER_S

GAP_NS = 25_000_000  # between frames: 16.7 to 33.4 ms (02E 1.5.2)
MINUTE_NS = 60 * NS_PER_S


class Speech(NamedTuple):
    """How the meter speaks: everything but what it says."""

    mode: Mode
    baud: float
    parity: bool
    noise: faults.Noise
    cut: faults.Cut | None
    frame_per_minute: bool


class Speaker:
    """A meter on a line. `real_offset_ns`: civil time minus monotonic time of the simulated clock."""

    def __init__(self, meter: Meter, house: House, registers: Registers, speech: Speech, truth: Truth, real_offset_ns: int) -> None:
        self.meter = meter
        self._house = house
        self._registers = registers
        self._speech = speech
        self._truth = truth
        self._offset_ns = real_offset_ns
        self._cut_ns = 0
        self.frames = 0

    def first_ns(self, now_ns: int) -> int:
        """When the first frame begins."""
        self._cut_ns = now_ns + self._speech.cut.every_ns if self._speech.cut else 0
        return now_ns + (-(now_ns + self._offset_ns)) % MINUTE_NS if self._speech.frame_per_minute else now_ns

    def frame(self, begin_ns: int, dropped_bytes: int) -> tuple[bytes, int]:
        """The bytes of the frame that begins at `begin_ns`, and the silence in nanoseconds after it; both are in the truth file."""
        speech, n = self._speech, self.frames
        self.frames += 1
        reading = self._registers.read(begin_ns + self._offset_ns)
        said = groups(self.meter, self._house, reading, speech.mode)
        parts = encode_frame(said, speech.mode)
        if speech.parity:
            parts = [with_even_parity(part) for part in parts]
        size = sum(map(len, parts))
        self._truth.write(
            "frame",
            n=n,
            real_ns=reading.at_ns,
            mono_ns=begin_ns,
            end_mono_ns=begin_ns + duration_ns(size, speech.baud),
            power_w=self._house.power_w(reading.at_ns),
            total_wh=reading.total_wh,
            energy_nj=reading.energy_nj,
            registers=registers_of(self.meter, reading, speech.mode),
            supplier=reading.period.supplier,
            groups=len(said),
            dropped_bytes=dropped_bytes,
        )
        sent_bytes, silence_ns = self._interruption(begin_ns, parts)
        disturbed = [speech.noise.disturb(part) for part in parts]
        passed = 0
        for label, clean, noisy in zip(["STX", *(group.label for group in said), "ETX"], parts, disturbed, strict=True):
            if clean != noisy and passed < sent_bytes:
                self._truth.write("corrupted", n=n, label=label, clean=clean.hex(), sent=noisy.hex())
            passed += len(clean)
        frame = b"".join(disturbed)
        return (frame if sent_bytes == size else faults.interrupted(frame, sent_bytes, parity=speech.parity)), silence_ns

    def _interruption(self, begin_ns: int, parts: list[bytes]) -> tuple[int, int]:
        """How many bytes of the frame get through, and how long the line is silent afterwards."""
        speech, size = self._speech, sum(map(len, parts))
        if speech.cut is None or self._cut_ns >= begin_ns + duration_ns(size, speech.baud):
            return size, 0
        after_ns = self._cut_ns - begin_ns
        sent_bytes = round(size * after_ns / duration_ns(size, speech.baud)) if after_ns > 0 else size // 2
        sent_bytes = min(max(sent_bytes, 1), size - 1)
        cut_ns = begin_ns + duration_ns(sent_bytes, speech.baud)
        self._cut_ns = cut_ns + speech.cut.every_ns
        passed, whole = len(parts[0]), 0
        while passed + len(parts[1 + whole]) <= sent_bytes:
            passed += len(parts[1 + whole])
            whole += 1
        self._truth.write(
            "cut",
            n=self.frames - 1,
            sent_bytes=sent_bytes,
            whole_groups=whole,
            mono_ns=cut_ns,
            silence_ns=speech.cut.silence_ns,
        )
        return sent_bytes, speech.cut.silence_ns


def main_loop(speaker: Speaker, speech: Speech, line: Line, pace: Pace) -> None:
    begin_ns = speaker.first_ns(pace.clock.mono_ns())
    while True:
        pace.until(begin_ns)
        if pace.stop:
            return
        frame, silence_ns = speaker.frame(begin_ns, line.dropped_bytes)
        end_ns = pace.send(line.write, frame, begin_ns, speech.baud) + silence_ns
        if speech.frame_per_minute:
            begin_ns += MINUTE_NS  # each minute has its frame, however late
        else:
            now_ns = pace.clock.mono_ns()
            begin_ns = end_ns + GAP_NS if now_ns <= end_ns + GAP_NS else now_ns  # a line that was stopped does not catch up


def _cut(text: str) -> faults.Cut:
    every_s, _, silence_s = text.partition(":")
    every_ns, silence_ns = round(float(every_s) * NS_PER_S), round(float(silence_s or 3) * NS_PER_S)
    if every_ns <= 0 or silence_ns < 0:
        raise ValueError(text)
    return faults.Cut(every_ns, silence_ns)


def _clock(text: str) -> ScaledClock:
    rate, mono0_ns, real0_ns = text.split(",")
    return ScaledClock(float(rate), int(mono0_ns), int(real0_ns))


def _digits(count: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if len(text) != count or not text.isdigit():
            raise ValueError(text)
        return text

    parse.__name__ = f"number of {count} digits"
    return parse


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="energyd simulate meter", description="a house and its Linky meter behind a pty")
    add = arguments.add_argument
    add("--link", required=True, help="symbolic link to make to the terminal; removed at the end")
    add("--mode", choices=sorted(MODES), default="historique")
    add("--contract", choices=CONTRACTS, default="HCHP")
    add("--baud", type=int, help="default: 1200 historique, 9600 standard")
    add("--parity", choices=("even", "none"), default="even", help="none: bit 7 is 0, as an adapter that strips it delivers")
    add("--power", default="curve", help="curve (a plausible day) or constant:W; default %(default)s")
    add("--seed", type=int, default=1, help="of the day curve, the voltage, the Tempo days and the noise")
    add("--serial", type=_digits(12), default="041876097514", help="12 digits: ADCO, ADSC")
    add("--prm", type=_digits(14), default="09876543210123", help="14 digits, standard mode only")
    add("--subscribed-kva", type=int, choices=range(3, 37), metavar="KVA", default=9)
    add("--truth", metavar="FILE", help="append what was sent, JSON lines")
    add("--state", metavar="FILE", help="go on with the registers of an earlier run")
    add("--noise", type=float, default=0.0, metavar="P", help="probability of a flipped bit in each byte")
    add("--cut", type=_cut, metavar="EVERY_S[:SILENCE_S]", help="break a frame off with EOT, then be silent (3 s)")
    add("--frame-per-minute", action="store_true", help="one frame at the begin of each simulated minute")
    time_from = arguments.add_mutually_exclusive_group()
    time_from.add_argument("--clock", type=_clock, metavar="RATE,MONO0_NS,REAL0_NS", help="simulated time; default: the machine's")
    time_from.add_argument("--start", type=datetime.fromisoformat, metavar="DATE", help="begin at this local date and time")
    return arguments


def main(argv: list[str]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status, raises EnergydError."""
    arguments = parser()
    options = arguments.parse_args(argv)
    settings = memory.Settings(options.serial, options.contract, options.power, options.seed)
    try:
        memory.profile(settings)
    except ValueError as error:
        arguments.error(str(error))
    logger = log.Log("simulate.meter", "info", "text")
    stop = Stop.on_signals()
    clock = options.clock or _clock_from(options.start)
    house, registers = memory.recall(options.state, settings, clock.real_ns())
    meter = Meter(options.serial, options.prm, options.contract, options.subscribed_kva)
    mode = MODES[options.mode]
    noise = faults.Noise(options.noise, options.seed)
    speech = Speech(mode, options.baud or mode.baud, options.parity == "even", noise, options.cut, options.frame_per_minute)
    with Truth(options.truth) as truth, Line(options.link) as line:
        speaker = Speaker(meter, house, registers, speech, truth, clock.real0_ns - clock.mono0_ns)
        logger.info(f"{line.link} -> {line.device}: {options.mode}, {options.contract}, {speech.baud:g} baud")
        main_loop(speaker, speech, line, Pace(clock, stop, clock.rate))
    return 0


def _clock_from(start: datetime | None) -> ScaledClock:
    """The machine's own rate, from now on or from `start`, local civil time where it names no offset."""
    if start is None:
        return ScaledClock(1.0, time.monotonic_ns(), time.time_ns())
    if start.tzinfo is None:
        start = start.replace(tzinfo=Calendar("BASE", 0, memory.TIMEZONE).zone)
    return ScaledClock(1.0, time.monotonic_ns(), int(start.timestamp()) * NS_PER_S)
