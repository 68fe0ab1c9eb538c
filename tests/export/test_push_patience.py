"""A receiver that answers 500 to some series and takes others: a part of it may be away for a while, or it will never take them."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from protobufreader import request_1_0
from pushworld import Receiver, rows_of

from energyd.config import Push
from energyd.export import resend
from energyd.export.resend import Resent
from energyd.export.sender import COUNTS, PATIENCE_S, PICKY_S, VERSION_1_0, Sender

BATCHES, ROWS = 3, 4
BACKOFF_S = 30  # between two attempts
FAILING = ("i", "2")


async def at_once(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


async def deliver(clock: Any, fails_until_s: float, pause_s: float = 0) -> tuple[int, list[int], list[float]]:
    """To a receiver that takes all but one of three series: (samples that it has, those given up of each batch, and how long each
    batch has waited)."""
    begun_ns = clock.now_ns
    stored: set[Any] = set()
    given_up, waited_s = [], []

    async with Receiver("/api/v1/write") as receiver:

        def judge(body: bytes) -> web.Response:
            samples = [(tuple(labels), at_ms) for labels, samples in request_1_0(body) for at_ms, _ in samples]
            if clock.now_ns - begun_ns < fails_until_s * 1e9 and any(FAILING in labels for labels, _ in samples):
                return web.Response(status=500, text="at least 1 live replica required")
            stored.update(samples)
            return web.Response(status=204)

        receiver.judge = judge
        sender = Sender(Push("p", receiver.url), "1", clock, at_once, dict.fromkeys(COUNTS, 0))
        sender.version = VERSION_1_0
        async with sender.delivery.session() as session:
            for batch in range(BATCHES):
                rows = rows_of(ROWS, first=3 * ROWS * batch, at_ms=1_795_162_354_000 + 10_000 * batch)
                since_ns = clock.now_ns
                given_up.append(0)
                while rows:
                    delivered = await sender.deliver(session, rows, None)
                    given_up[-1] += sum(each.samples for _, bad in delivered.done for each in bad)
                    rows = rows[len(delivered.done) :]
                    if delivered.stop is not None:
                        clock.now_ns += BACKOFF_S * 10**9
                waited_s.append((clock.now_ns - since_ns) / 1e9)
                clock.now_ns += round(pause_s * 1e9)
    return len(stored), given_up, waited_s


@pytest.mark.parametrize("away_s", [1, 60, PATIENCE_S - 1])
def test_what_the_part_that_is_away_would_take_is_there_when_it_is_back(clock: Any, away_s: float) -> None:
    stored, given_up, _ = asyncio.run(deliver(clock, away_s))
    assert (stored, given_up) == (BATCHES * ROWS * 3, [0, 0, 0])


def test_what_is_never_taken_holds_up_the_first_batch_and_not_the_next_ones(clock: Any) -> None:
    stored, given_up, waited_s = asyncio.run(deliver(clock, float("inf")))
    assert (stored, given_up) == (BATCHES * ROWS * 2, [ROWS, ROWS, ROWS])
    assert PATIENCE_S <= waited_s[0] <= PATIENCE_S + 2 * BACKOFF_S
    assert max(waited_s[1:]) <= BACKOFF_S


def test_a_receiver_that_was_picky_long_ago_is_waited_for_again(clock: Any) -> None:
    _, _, waited_s = asyncio.run(deliver(clock, float("inf"), pause_s=PICKY_S))
    assert min(waited_s) >= PATIENCE_S


def test_who_sends_by_hand_is_not_kept_waiting(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> Resent:
        async with Receiver("/api/v1/write") as receiver:

            def judge(body: bytes) -> web.Response | None:
                understood = "v2" not in receiver.requests[-1][0]["Content-Type"]
                failing = understood and any(FAILING in labels for labels, _ in request_1_0(body))
                return web.Response(status=500 if failing else 204)

            receiver.judge = judge
            return await resend.resend(Push("p", receiver.url, protocol="remote_write"), rows_of(ROWS), "1", clock)

    async def no_pause(_seconds: float) -> None:
        pass

    monkeypatch.setattr(resend.asyncio, "sleep", no_pause)
    sent = asyncio.run(main())
    assert (sent.rows, sent.samples, sent.refused, sent.fault) == (ROWS, 2 * ROWS, ROWS, "")
