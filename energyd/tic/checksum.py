"""The two codes that guard a group: six bits of checksum, and one bit of even parity on each character.

Checksum (Enedis-NOI-CPT_54E 5.3.6, Enedis-NOI-CPT_02E 1.5.3): (S & 0x3F) + 0x20 where S is the sum of the characters from the
label to the data; in standard mode S includes the separator before the checksum. It never sees bit 6 of a character, and it can
itself be a space. Characters are 7 bits with even parity (54E 5.3.5): on a port opened with 8 bits and no parity, bit 7 is
the parity bit.
"""

from typing import Final

LOW_BITS: Final = bytes(byte & 0x7F for byte in range(256))
"""Translates a byte as read into its character."""

EVEN_PARITY: Final = bytes(byte & 0x7F if byte.bit_count() % 2 == 0 else byte | 0x80 for byte in range(256))
"""Translates a byte as read into its character, or, where the parity is wrong, into a byte >= 0x80."""

EVEN_CHARACTERS: Final = bytes(byte for byte in range(256) if (byte & 0x7F).bit_count() % 2 == 0)
"""Bytes whose character needs no parity bit: they tell nothing about whether there is one."""

_WITH_PARITY: Final = bytes(byte | 0x80 if byte.bit_count() % 2 else byte for byte in range(128)) * 2


def checksum(summed: bytes) -> int:
    """The character, 0x20 to 0x5F, that follows `summed`."""
    return (sum(summed) & 0x3F) + 0x20


def with_even_parity(characters: bytes) -> bytes:
    """7-bit characters as they stand on the line."""
    return characters.translate(_WITH_PARITY)
