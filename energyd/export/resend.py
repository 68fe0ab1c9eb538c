"""Sending rows to a receiver once, from the command line: no spool, no cursor, a few attempts."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from energyd.config import Push
from energyd.export.sender import COUNTS, SAMPLES_MAX, Sender
from energyd.service.clock import Clock
from energyd.spool.rows import Row

ATTEMPTS: Final = 5
_PAUSE_S: Final = 1.0


class Resent(NamedTuple):
    """What the receiver has taken; `fault` says why it is not everything."""

    rows: int
    samples: int
    refused: int
    fault: str = ""


async def resend(target: Push, rows: Iterable[Row], version: str, clock: Clock) -> Resent:
    """Send `rows` in their order; what is out of order counts as there already."""
    sender = Sender(target, version, clock, _at_once, dict.fromkeys(COUNTS, 0))
    sender.doubtful_end = 1 << 62
    sender.patience_s = 0  # somebody waits
    taken = samples = refused = 0
    previous: Row | None = None
    async with sender.delivery.session() as session:
        for batch in _batches(rows):
            waiting, attempts = batch, 0
            while waiting:
                delivered = await sender.deliver(session, waiting, previous)
                for row, bad in delivered.done:
                    taken += 1
                    samples += len(row.prefixes) - len(bad)
                    refused += len(bad)
                    previous = row
                waiting = waiting[len(delivered.done) :]
                if delivered.stop is not None:
                    attempts += 1
                    if attempts == ATTEMPTS:
                        return Resent(taken, samples, refused, f"{sender.delivery.place}: {delivered.stop.fault}")
                    await asyncio.sleep(max(_PAUSE_S, delivered.stop.retry_after_s))
    return Resent(taken, samples, refused)


def _batches(rows: Iterable[Row]) -> Iterable[list[Row]]:
    """The rows in lists of at most SAMPLES_MAX samples."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        if batch and size + len(row.prefixes) > SAMPLES_MAX:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += len(row.prefixes)
    if batch:
        yield batch


async def _at_once(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)
