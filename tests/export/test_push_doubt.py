"""A receiver takes samples and its answer is lost on the way: they are there, and nobody says that they are not."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from protobufreader import request_1_0
from pushworld import Receiver, rows_of

from energyd.config import Push
from energyd.export.sender import COUNTS, VERSION_1_0, Sender
from energyd.spool.rows import Row

POISON = b'm{i="2"} '
ROWS = 4


async def at_once(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


class Silence(web.StreamResponse):
    """Hangs up instead of an answer."""

    async def prepare(self, request: web.BaseRequest) -> Any:
        assert request.transport is not None
        request.transport.abort()
        raise ConnectionResetError


class InOrder:
    """Takes a request whole or not at all, and of a series nothing that is older than what it has: as Prometheus 2 does.

    The answer to request number `lost` does not arrive: `instead` does, or nothing where that is None.
    """

    def __init__(self, receiver: Receiver, lost: int, instead: int | None, poisoned_ms: int | None) -> None:
        self.stored: set[tuple[tuple[tuple[str, str], ...], int]] = set()
        self._receiver, self._lost, self._instead, self._poisoned_ms = receiver, lost, instead, poisoned_ms

    def judge(self, body: bytes) -> Any:
        answer = self._judged([(tuple(labels), at_ms) for labels, samples in request_1_0(body) for at_ms, _ in samples])
        if len(self._receiver.requests) != self._lost:
            return answer
        return Silence() if self._instead is None else web.Response(status=self._instead)

    def _judged(self, samples: list[tuple[tuple[tuple[str, str], ...], int]]) -> web.Response:
        newest = {}
        for labels, at_ms in sorted(self.stored, key=lambda sample: sample[1]):
            newest[labels] = at_ms
        if any(at_ms < newest.get(labels, 0) for labels, at_ms in samples):
            return web.Response(status=400, text="out of order sample")
        if any(("i", "2") in labels and at_ms == self._poisoned_ms for labels, at_ms in samples):
            return web.Response(status=400, text="label value refused")
        self.stored |= set(samples)
        return web.Response(status=204)


@pytest.mark.parametrize(
    ("instead", "poisoned"), [(None, False), (None, True), (500, False), (502, False), (504, False), (504, True)]
)
def test_what_a_lost_answer_acknowledged_is_not_told_to_be_lost(clock: Any, instead: int | None, poisoned: bool) -> None:
    for lost in range(1, 14):
        bad = asyncio.run(deliver(clock, lost, instead, poisoned))
        assert bad == ([(2, POISON)] if poisoned else []), f"the answer to request {lost} was lost"


async def deliver(clock: Any, lost: int, instead: int | None, poisoned: bool) -> list[tuple[int, bytes]]:
    """The samples that are given up of some rows, as (row, series); all others are in the receiver."""
    rows = rows_of(ROWS)
    waiting: list[Row] = rows
    bad: list[tuple[int, bytes]] = []
    async with Receiver("/api/v1/write") as receiver:
        store = InOrder(receiver, lost, instead, rows[2].at_ms if poisoned else None)
        receiver.judge = store.judge
        sender = Sender(Push("p", receiver.url), "1", clock, at_once, dict.fromkeys(COUNTS, 0))
        sender.version = VERSION_1_0
        async with sender.delivery.session() as session:
            while waiting:
                delivered = await sender.deliver(session, waiting, None)
                for row, found in delivered.done:
                    bad += [(rows.index(row), row.prefixes[each.series]) for each in found if each.series is not None]
                waiting = waiting[len(delivered.done) :]
        assert len(store.stored) == ROWS * 3 - len(bad)
    return bad
