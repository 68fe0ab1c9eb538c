"""The regular expressions that users write, in the configuration and as flags."""

import argparse
import re
import warnings


def expression(pattern: str) -> re.Pattern[str]:
    """`pattern`, compiled; raises ValueError when it is none, or when Python says that it is going to mean something else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # [[:alpha:]] of POSIX is not what its author thinks: write \[ for a [
            return re.compile(pattern)
    except FutureWarning as warning:
        raise ValueError(f"{str(warning).lower()}; write \\ before a [, -, &, ~ or | that stands for itself") from None
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


def expression_flag(text: str) -> re.Pattern[str]:
    """For argparse."""
    try:
        return expression(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a regular expression: {error}") from None
