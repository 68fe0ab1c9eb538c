"""Where groups and frames begin and end (Enedis-NOI-CPT_54E 5.3.4, Enedis-NOI-CPT_02E 1.5.2).

    frame  = STX group+ ETX
    group  = LF label SEP [horodate SEP] data SEP checksum CR         SEP: SP in historique mode, HT in standard mode

Real lines lose and add any of these, and EOT cuts a frame anywhere; so a run of other characters between any two of the five
control characters is a candidate for a group, and nothing here depends on their order. Law: any chunking gives the same runs,
and no more than LIMIT + 1 characters are ever kept.
"""

import re
from collections.abc import Generator, Iterator
from typing import Final

from energyd.tic.checksum import EVEN_PARITY, LOW_BITS, checksum
from energyd.ticfields import STANDARD

STX: Final = b"\x02"
ETX: Final = b"\x03"
EOT: Final = b"\x04"
LIMIT: Final = 160
"""No group is longer: PJOURF+1 has 109 characters. A longer run is cut here, and what is left of it means nothing."""

_DELIMITERS: Final = b"\x02\x03\x04\n\r"
_RUNS: Final = re.compile(rb"[^\x02\x03\x04\n\r]+|[\x02\x03\x04]")


def encode_group(mode: str, label: bytes, data: bytes, horodate: bytes = b"") -> bytes:
    """A group with its LF, checksum and CR, as 7-bit characters."""
    if mode == STANDARD:
        summed = b"\t".join((label, horodate, data, b"") if horodate else (label, data, b""))
        return b"\n%b%c\r" % (summed, checksum(summed))
    summed = label + b" " + data
    return b"\n%b %c\r" % (summed, checksum(summed))


class Framer:
    """Bytes as read from the port in, runs and STX, ETX, EOT out.

    `parity` is None until whoever judges the runs knows whether bit 7 is a parity bit, and may be set between two runs. Until
    then runs hold bytes as read; afterwards characters, and a byte >= 0x80 for each that did not come as it was sent. Such a
    byte delimits nothing.
    """

    def __init__(self) -> None:
        self.parity: bool | None = None
        self._rest = b""  # bytes as read while parity is None, characters afterwards

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self.parity is None:
            data = yield from self._undecided(self._rest + data)
            if self.parity is None:
                self._rest = data[: LIMIT + 1]
                return
            self._rest = b""
        yield from self.runs(data)

    def runs(self, data: bytes) -> list[bytes]:
        """What `feed` gives once `parity` is known, as a list."""
        characters = self._rest + (data.translate(EVEN_PARITY) if self.parity else data)
        runs = _RUNS.findall(characters)
        self._rest = runs.pop()[: LIMIT + 1] if characters and characters[-1] not in _DELIMITERS else b""
        return runs

    def _undecided(self, data: bytes) -> Generator[bytes, None, bytes]:
        """Yields runs until parity is decided; returns the bytes not yet consumed."""
        consumed = 0
        for match in _RUNS.finditer(data.translate(LOW_BITS)):
            begin, end = match.span()
            control = match[0] in (STX, ETX, EOT)
            if end == len(data) and not control:
                return data[begin:]
            yield match[0] if control else data[begin:end]
            consumed = end
            if self.parity is not None:
                return data[consumed:]
        return b""
