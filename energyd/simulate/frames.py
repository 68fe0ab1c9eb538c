"""What goes over the wire: groups, checksums, frames, even parity (Enedis-NOI-CPT_54E 5.3, Enedis-NOI-CPT_02E 1.5).

    frame = STX group+ ETX          group = LF label SEP [horodate SEP] data SEP checksum CR

Law: this is written from the specification alone and shares no line with `energyd.tic`, so that it can be its oracle.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

STX: Final = 0x02
ETX: Final = 0x03
EOT: Final = 0x04
LF: Final = 0x0A
CR: Final = 0x0D
BITS_PER_BYTE: Final = 10  # start, seven data, parity, stop


class Mode(NamedTuple):
    """How a meter speaks: its separator, whether the checksum covers the separator before it, its speed."""

    name: str
    separator: int
    covers_last_separator: bool
    baud: int


HISTORIQUE: Final = Mode("historique", 0x20, False, 1200)
STANDARD: Final = Mode("standard", 0x09, True, 9600)
MODES: Final = {mode.name: mode for mode in (HISTORIQUE, STANDARD)}


class Group(NamedTuple):
    """One group before it is put on the wire. `horodate` is 13 characters, or None where the label carries none."""

    label: str
    data: str
    horodate: str | None = None


def checksum(covered: bytes) -> int:
    """The sum of the covered bytes, folded to six bits and moved into the printable characters (02E 1.5.3)."""
    return (sum(covered) & 0x3F) + 0x20


def encode(group: Group, mode: Mode) -> bytes:
    """The bytes of `group` from LF to CR, seven bits each."""
    parts = (group.label, group.data) if group.horodate is None else (group.label, group.horodate, group.data)
    text = chr(mode.separator).join(parts).encode("ascii")
    closed = text + bytes((mode.separator,))
    return bytes((LF,)) + closed + bytes((checksum(closed if mode.covers_last_separator else text), CR))


def encode_frame(groups: Iterable[Group], mode: Mode) -> list[bytes]:
    """STX, each group, ETX: a list, so that a fault can be told to have hit this group or that one."""
    return [bytes((STX,)), *(encode(group, mode) for group in groups), bytes((ETX,))]


def verifies(text: bytes, mode: Mode) -> bool:
    """Whether a group without its LF and CR carries the checksum that 02E 1.5.3.2 asks for in `mode`."""
    if len(text) < 4 or text[-2] != mode.separator or text.index(mode.separator) == len(text) - 2:
        return False
    return checksum(text[:-1] if mode.covers_last_separator else text[:-2]) == text[-1]


def split_groups(capture: bytes) -> list[bytes]:
    """The non-empty runs between the control characters LF, CR, STX, ETX and EOT of a seven-bit capture."""
    for control in (LF, STX, ETX, EOT):
        capture = capture.replace(bytes((control,)), b"\r")
    return [run for run in capture.split(b"\r") if run]


_EVEN: Final = bytes(byte | 0x80 if byte.bit_count() & 1 else byte for byte in range(128)) + bytes(range(128, 256))


def with_even_parity(data: bytes) -> bytes:
    """Seven-bit characters with bit 7 set where that makes the number of ones even; what has bit 7 already stays as it is."""
    return data.translate(_EVEN)
