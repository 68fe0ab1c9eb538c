"""`energyd tic decode FILE|-` reads a capture, `energyd tic probe DEVICE` listens to a line: the decoder, by hand.

Law: what is refused is shown with its reason, in the order of the line; a broken capture is a result, not an error.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO, TextIO

from energyd import ticstatus
from energyd.errors import EXIT_ENVIRONMENT, EXIT_OK, EnvironmentFault
from energyd.service.clock import SYSTEM_CLOCK
from energyd.tic.decoder import Decoder, Event, FrameEnd, Group, Refused
from energyd.tic.line import Line
from energyd.ticfields import IDENTITY, QUANTITY
from energyd.units import NS_PER_S

PROBE_S = 30.0
PROBE_FRAMES = 3
_CHUNK = 65536
_PACKED = ("STGE", "PPOT")  # shown as the meter does, in hexadecimal
_WIDTHS = {"STGE": 8, "PPOT": 2}
_DECIMALS = {"0.01": (2, ""), "mA": (3, "A")}  # units of the samples whose values the meter writes with decimals


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="energyd tic", description="decode what a Linky or older meter says")
    commands = result.add_subparsers(dest="command", required=True)
    decode = commands.add_parser("decode", help="decode a capture: one line for each group, the counters on stderr")
    decode.add_argument("file", help="a capture, or - for standard input")
    decode.add_argument("--json", action="store_true", help="one JSON object for each group")
    probe = commands.add_parser("probe", help="say the speed, mode, parity, meter and error rate of a line")
    probe.add_argument("device", help="a tty, socket://HOST:PORT, rfc2217://HOST:PORT or file:PATH")
    probe.add_argument("--seconds", type=float, default=PROBE_S, help="listen this long at most (default: %(default)g)")
    return result


def main(argv: list[str]) -> int:
    """Runs `decode` or `probe`; returns an exit code."""
    options = parser().parse_args(argv)
    try:
        if options.command == "probe":
            return _probe(options.device, options.seconds)
        if options.file == "-":
            return _decode(sys.stdin.buffer, options.json)
        with _open(options.file) as file:
            return _decode(file, options.json)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the interpreter's last flush
        return EXIT_OK
    except OSError as error:
        raise EnvironmentFault(f"the output: {error.strerror}") from error


def _open(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(name: str, error: OSError) -> EnvironmentFault:
    return EnvironmentFault(f"{name}: {error.strerror}")


def _decode(file: BinaryIO, as_json: bool) -> int:
    decoder = Decoder()
    for event in _events(decoder, file):
        if isinstance(event, Group | Refused):
            print(json.dumps(_as_object(event)) if as_json else _as_line(event))
    sys.stdout.flush()
    _count_line(decoder.counts, sys.stderr)
    return EXIT_OK


def _events(decoder: Decoder, file: BinaryIO) -> Iterator[Event]:
    while data := _read(file):
        yield from decoder.feed(data)
    yield from decoder.end()


def _read(file: BinaryIO) -> bytes:
    try:
        return file.read(_CHUNK)
    except OSError as error:
        raise _unreadable(file.name, error) from error


def _as_object(event: Group | Refused) -> dict[str, object]:
    if isinstance(event, Refused):
        label, value = _raw_parts(event.raw)
        return {"label": label, "value": value, "horodate": None, "ok": False, "reason": event.reason}
    horodate = datetime.fromtimestamp(event.horodate_s, UTC).isoformat() if event.horodate_s else None
    return {"label": event.field.label, "value": _value(event), "horodate": horodate, "ok": True, "reason": None}


def _as_line(event: Group | Refused) -> str:
    shown = _as_object(event)
    if isinstance(event, Refused):
        return f"{event.reason:<14} {_printable(event.raw)}"
    text = f"{shown['label']:<10}" if event.field.unit == "s" else f"{shown['label']:<10} {shown['value']}"
    _, unit = _DECIMALS.get(event.field.unit, (0, event.field.unit if event.field.unit not in ("", "bits", "s") else ""))
    words = (text, unit, shown["horodate"], "clock degraded" if event.degraded else "", _meaning(event))
    return " ".join(str(word) for word in words if word)


def _value(group: Group) -> float | str:
    if group.field.label in _PACKED:
        return f"{group.value:0{_WIDTHS[group.field.label]}X}"
    if group.field.unit in _DECIMALS:
        decimals, _ = _DECIMALS[group.field.unit]
        value: float = round(group.value / 10**decimals, decimals)
        return value
    return group.value if group.field.unit or group.field.role == QUANTITY else group.text.decode("ascii")


def _meaning(group: Group) -> str:
    """The packed fields in words."""
    label = group.field.label
    if label == "STGE":
        status = ticstatus.unpack_status(group.value)._asdict()
        return "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in status.items() if value not in (False, 0, "none"))
    if label == "RELAIS":
        return "closed: " + (", ".join(map(str, ticstatus.closed_relays(group.value))) or "none")
    if label == "PPOT":
        return "missing phases: " + (", ".join(map(str, ticstatus.missing_phases(group.value))) or "none")
    if label in ("PJOURF+1", "PPOINTE"):
        actions = ticstatus.unpack_profile(group.text)
        return "; ".join(
            f"{at.minute // 60:02}:{at.minute % 60:02} index {at.tariff_index}, contact {at.contact}" for at in actions
        )
    return f"cut short: {group.text.decode('ascii')}" if group.field.unit and group.text else ""


def _raw_parts(raw: bytes) -> tuple[str | None, str]:
    """What looks like the label of a refused group, if anything does, and all of it."""
    label = raw.replace(b"\t", b" ").partition(b" ")[0]
    return (label.decode() if label.isascii() and label.decode().isprintable() else None), _printable(raw)


def _printable(raw: bytes) -> str:
    return raw.decode("ascii", "backslashreplace").encode("unicode_escape").decode("ascii").replace("\\\\x", "\\x")


def _count_line(counts: dict[str, int], stream: TextIO) -> None:
    print(" ".join(f"{name}={count}" for name, count in counts.items()), file=stream)


def _probe(device: str, seconds: float) -> int:
    line = Line(device, "auto", SYSTEM_CLOCK, lambda fault: print(fault, file=sys.stderr))
    identities: dict[str, str] = {}
    frames = 0
    until_ns = SYSTEM_CLOCK.mono_ns() + round(seconds * NS_PER_S)
    try:
        while SYSTEM_CLOCK.mono_ns() < until_ns and frames < PROBE_FRAMES:
            for event in line.poll():
                frames += isinstance(event, FrameEnd)
                if isinstance(event, Group) and event.field.role == IDENTITY:
                    identities[event.field.label] = event.text.decode("ascii")
    finally:
        line.close()
    counts = line.counts()
    if not line.understood:
        print(f"{device}: no meter understood in {seconds:g} s", file=sys.stderr)
        return EXIT_ENVIRONMENT
    good = counts["groups_ok"]
    refused = sum(count for name, count in counts.items() if name.startswith("groups_")) - good
    parity = {True: "even, checked", False: "stripped by the adapter", None: "undecided"}[line.parity]
    print(f"speed    {f'{line.speed} baud' if line.speed else 'not ours to choose'}")
    print(f"mode     {line.mode}")
    print(f"parity   {parity}")
    print(f"meter    {', '.join(f'{label} {text}' for label, text in identities.items()) or 'not named yet'}")
    print(f"groups   {good} good, {refused} refused ({refused / (good + refused):.1%})")
    return EXIT_OK
