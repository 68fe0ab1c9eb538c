"""What a check says: one line with a verdict, the reason, and the exact command or edit that mends it."""

from typing import Final, NamedTuple

OK: Final = "ok"
WARNING: Final = "warning"
FAILURE: Final = "failure"
SEVERITY: Final = {OK: 0, WARNING: 1, FAILURE: 2}
"""Also the exit status of `energyd doctor`: that of the worst check."""


class Check(NamedTuple):
    """`subject` is what was looked at; `mend` is '' when there is nothing to do."""

    subject: str
    verdict: str
    reason: str
    mend: str = ""


def ok(subject: str, reason: str) -> Check:
    return Check(subject, OK, reason)


def warning(subject: str, reason: str, mend: str) -> Check:
    return Check(subject, WARNING, reason, mend)


def failure(subject: str, reason: str, mend: str) -> Check:
    return Check(subject, FAILURE, reason, mend)
