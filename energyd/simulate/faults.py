"""What a real line does to a frame: flipped bits, and an interruption that cuts it (02E 1.5.2: EOT, then silence)."""

import random
from typing import NamedTuple

from energyd.simulate.frames import EOT, with_even_parity


class Noise:
    """Flips one bit, the parity bit included, of each byte with probability `probability`; reproducible by `seed`."""

    def __init__(self, probability: float, seed: int) -> None:
        self._probability = probability
        self._random = random.Random(f"{seed}:noise")

    def disturb(self, data: bytes) -> bytes:
        if not self._probability:
            return data
        return bytes(
            byte ^ (1 << self._random.randrange(8)) if self._random.random() < self._probability else byte for byte in data
        )


class Cut(NamedTuple):
    """Interruptions: one each `every_ns`, followed by `silence_ns` without a byte."""

    every_ns: int
    silence_ns: int


def interrupted(frame: bytes, sent_bytes: int, *, parity: bool) -> bytes:
    """The first `sent_bytes` of `frame`, then EOT."""
    eot = bytes((EOT,))
    return frame[:sent_bytes] + (with_even_parity(eot) if parity else eot)
