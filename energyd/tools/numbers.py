"""Numbers of a command line that a clock or a loop can take: anything else is told as a wrong usage, not as a traceback.

float() also takes `nan`, `inf` and `-1`, for which nobody can wait.
"""

import argparse
from collections.abc import Callable
from typing import Final

LONGEST_S: Final = 86_400.0


def seconds(text: str) -> float:
    """From 0 to a day; for `type=` of argparse."""
    value = float(text)
    if not 0 <= value <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"must be from 0 to {LONGEST_S:.0f} seconds, not {text}")
    return value


def at_least(minimum: int) -> Callable[[str], int]:
    """Whole numbers from `minimum` on; for `type=` of argparse."""

    def whole_number(text: str) -> int:
        value = int(text)
        if value < minimum:
            raise argparse.ArgumentTypeError(f"must be at least {minimum}, not {text}")
        return value

    return whole_number
