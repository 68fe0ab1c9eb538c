"""`energyd replay FILE`: plays a captured TIC file through a pty at the speed of the line it was recorded from.

A tape starts when somebody listens. A capture without parity (its adapter or its log stripped bit 7) gets even parity, since that
is what was on the wire; `--keep-bytes` leaves every byte as it is.
"""

import argparse
import time

from energyd.errors import EnvironmentFault
from energyd.service import log
from energyd.service.clock import SYSTEM_CLOCK
from energyd.service.stop import Stop
from energyd.simulate.frames import HISTORIQUE, STANDARD, Mode, split_groups, verifies, with_even_parity
from energyd.simulate.line import Line, Pace
from energyd.units import NS_PER_S

LISTEN_NS = 50_000_000
SETTLE_NS = 300_000_000  # a program that opens a port sets its mode and discards what is there before it reads
DRAIN_NS = 2 * NS_PER_S


def mode_of(capture: bytes) -> Mode:
    """The mode in which more of the groups verify."""
    groups = split_groups(bytes(byte & 0x7F for byte in capture))
    return max((HISTORIQUE, STANDARD), key=lambda mode: sum(verifies(group, mode) for group in groups))


def has_parity(capture: bytes) -> bool:
    """Whether most characters with an odd number of ones in their low seven bits have bit 7 set."""
    odd = [byte for byte in capture if (byte & 0x7F).bit_count() & 1]
    return 2 * sum(byte > 0x7F for byte in odd) > len(odd)


def drain(line: Line, pace: Pace) -> None:
    """Give the reader time to take what is still in the terminal: it is lost when the terminal goes."""
    limit_ns = pace.clock.mono_ns() + DRAIN_NS
    while line.listened() and line.unread() and pace.clock.mono_ns() < limit_ns and not pace.stop:
        pace.until(pace.clock.mono_ns() + LISTEN_NS)


def play(capture: bytes, baud: float, line: Line, pace: Pace, *, loop: bool) -> None:
    """Send `capture` once, or over and over, from when somebody listens."""
    while not line.listened() and not pace.stop:
        pace.until(pace.clock.mono_ns() + LISTEN_NS)
    begin_ns = pace.clock.mono_ns() + SETTLE_NS
    pace.until(begin_ns)
    while not pace.stop:
        begin_ns = pace.send(line.write, capture, begin_ns, baud)
        if not loop:
            drain(line, pace)
            return


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="energyd replay", description="play a captured TIC file at the speed of its line")
    add = arguments.add_argument
    add("file", help="the capture")
    add("--link", required=True, help="symbolic link to make to the terminal; removed at the end")
    add("--baud", default="auto", choices=("auto", "1200", "2400", "4800", "9600", "19200"), help="default: by the capture's mode")
    add("--speed", type=float, default=1.0, metavar="FACTOR", help="how much faster than the line")
    add("--loop", action="store_true", help="again from the beginning")
    add("--keep-bytes", action="store_true", help="add no parity")
    return arguments


def main(argv: list[str]) -> int:
    """Run until the end of the capture, SIGTERM or SIGINT; returns the exit status, raises EnergydError."""
    arguments = parser()
    options = arguments.parse_args(argv)
    if options.speed <= 0:
        arguments.error("--speed must be above 0")
    logger = log.Log("replay", "info", "text")
    try:
        with open(options.file, "rb") as file:
            capture = file.read()
    except OSError as error:
        raise EnvironmentFault(f"cannot read the capture {options.file}: {error.strerror}") from error
    if not capture:
        raise EnvironmentFault(f"the capture {options.file} is empty")
    stop = Stop.on_signals()
    mode = mode_of(capture)
    baud = mode.baud if options.baud == "auto" else int(options.baud)
    if not options.keep_bytes and not has_parity(capture):
        capture = with_even_parity(capture)
    begin_s = time.monotonic()
    with Line(options.link) as line:
        logger.info(f"{line.link} -> {line.device}: {options.file}, {mode.name}, {baud} baud")
        play(capture, baud * options.speed, line, Pace(SYSTEM_CLOCK, stop), loop=options.loop)
        logger.info(f"{time.monotonic() - begin_s:.1f} s, {line.dropped_bytes} bytes dropped")
    return 0
