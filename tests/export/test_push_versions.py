"""Remote write 2.0 is spoken only to a receiver that has shown that it understands it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from protobufreader import metadata_2_0, request_1_0, request_2_0
from pushworld import SERIES, Receiver, World, rows_of

from energyd.aggregate.snapshot import Snapshot
from energyd.config import Push
from energyd.export.answers import LATER
from energyd.export.catalogue import CATALOGUE
from energyd.export.sender import COUNTS, SUSPICIONS, Sender

WRITTEN = "X-Prometheus-Remote-Write-Samples-Written"


async def at_once(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def understands_2_0(receiver: Receiver) -> Callable[[bytes], web.StreamResponse | None]:
    """A receiver as the specification wants it: it counts what it has written."""

    def judge(body: bytes) -> web.StreamResponse | None:
        if "v2" not in receiver.requests[-1][0]["Content-Type"]:
            return web.Response(status=204)
        return web.Response(status=204, headers={WRITTEN: str(sum(len(samples) for _, samples in request_2_0(body)))})

    return judge


def asked(judge_of: Callable[[Receiver], Callable[[bytes], Any]], clock: Any, doubtful_end: int = 0) -> list[tuple[str, int]]:
    """(version, samples) of each request that delivering rows twice makes, of which those up to `doubtful_end` may be there."""
    requests: list[tuple[str, int]] = []

    async def main() -> None:
        async with Receiver("/api/v1/write") as receiver:
            receiver.judge = judge_of(receiver)
            sender = Sender(Push("p", receiver.url), "1", clock, at_once, dict.fromkeys(COUNTS, 0))
            sender.doubtful_end = doubtful_end
            async with sender.delivery.session() as session:
                for number in range(2):
                    await deliver_all(sender, session, number)
            for headers, body in receiver.requests:
                version = headers["X-Prometheus-Remote-Write-Version"]
                read = request_2_0 if version == "2.0.0" else request_1_0
                assert headers["Content-Encoding"] == "snappy"
                requests.append((version, sum(len(samples) for _, samples in read(body))))

    asyncio.run(main())
    return requests


async def deliver_all(sender: Sender, session: aiohttp.ClientSession, number: int) -> None:
    rows = rows_of(4, first=12 * number, at_ms=1_795_162_354_000 + 10_000 * number)
    while rows:
        delivered = await sender.deliver(session, rows, None)
        assert delivered.stop is None
        rows = rows[len(delivered.done) :]


def test_a_receiver_that_confirms_is_spoken_to_in_2_0(clock: Any) -> None:
    assert asked(understands_2_0, clock) == [("2.0.0", 3), ("2.0.0", 9), ("2.0.0", 12)]


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 204},  # Debian's servers: they store nothing of it
        *({"status": status} for status in (404, 405, 406, 415, 501)),
        {"status": 400, "text": "cannot unmarshal"},
        {"status": 413},  # whose limit one row exceeds: only the sieve halves a row
        {"status": 204, "headers": {WRITTEN: "0"}},
    ],
)
def test_to_all_others_everything_is_sent_in_1_0(clock: Any, answer: dict[str, Any]) -> None:
    def judge_of(receiver: Receiver) -> Callable[[bytes], Any]:
        return lambda _body: web.Response(**answer) if len(receiver.requests) == 1 else None

    assert asked(judge_of, clock) == [("2.0.0", 3), ("0.1.0", 12), ("0.1.0", 12)]


def test_a_receiver_that_refuses_the_first_row_and_counts_is_spoken_to_in_2_0(clock: Any) -> None:
    """As Prometheus 3 does with the first row of what is replayed: it is there."""

    def judge_of(receiver: Receiver) -> Callable[[bytes], web.StreamResponse | None]:
        confirm = understands_2_0(receiver)
        refusal = web.Response(status=400, text="out of order sample", headers={WRITTEN: "0"})
        return lambda body: refusal if len(receiver.requests) == 1 else confirm(body)

    assert asked(judge_of, clock) == [("2.0.0", 3), ("2.0.0", 12), ("2.0.0", 12)]


def test_what_may_be_there_already_goes_in_1_0_and_the_question_is_put_with_what_is_new(clock: Any) -> None:
    """Prometheus 3 writes a line into its log for each sample of 2.0 that it has already."""
    assert asked(understands_2_0, clock, doubtful_end=12) == [("0.1.0", 12), ("2.0.0", 3), ("2.0.0", 9)]


def test_a_receiver_of_2_0_alone_gets_what_may_be_there_already_in_2_0(clock: Any) -> None:
    def judge_of(receiver: Receiver) -> Callable[[bytes], web.StreamResponse | None]:
        confirm = understands_2_0(receiver)
        return lambda body: web.Response(status=415) if len(receiver.requests) == 1 else confirm(body)

    assert asked(judge_of, clock, doubtful_end=12) == [("0.1.0", 12), ("2.0.0", 3), ("2.0.0", 9), ("2.0.0", 12)]


def test_a_receiver_of_2_0_alone_that_has_the_first_row_already_gets_the_others_in_2_0(clock: Any) -> None:
    def judge_of(receiver: Receiver) -> Callable[[bytes], web.StreamResponse | None]:
        confirm = understands_2_0(receiver)
        refusals = [web.Response(status=404), web.Response(status=400, text="out of order sample", headers={WRITTEN: "0"})]
        return lambda body: refusals.pop(0) if refusals else confirm(body)

    assert asked(judge_of, clock, doubtful_end=12) == [("0.1.0", 12), ("2.0.0", 3), ("2.0.0", 12), ("2.0.0", 12)]


def test_what_a_receiver_has_not_written_of_a_batch_is_counted_and_not_sent_again(clock: Any) -> None:
    async def main() -> None:
        async with Receiver("/api/v1/write") as receiver:
            receiver.answers += [
                web.Response(status=204, headers={WRITTEN: "3"}),
                web.Response(status=400, text="out of order sample", headers={WRITTEN: "7"}),
            ]
            sender = Sender(Push("p", receiver.url), "1", clock, at_once, dict.fromkeys(COUNTS, 0))
            rows = rows_of(4)
            async with sender.delivery.session() as session:
                assert len((await sender.deliver(session, rows, None)).done) == 1
                done, stop = await sender.deliver(session, rows[1:], rows[0])
            assert stop is None
            assert [bad.samples for _, found in done for bad in found] == [2]
            assert len(done) == 3
            assert len(receiver.requests) == 2
            assert sender.counts["sent"] == 3 + 9

    asyncio.run(main())


def test_what_is_pushed_in_2_0_is_described_as_it_is_shown(tmp_path: Path, clock: Any, snapshot: Snapshot) -> None:
    async def main() -> None:
        async with Receiver("/api/v1/write") as receiver:
            receiver.judge = understands_2_0(receiver)
            world = World(tmp_path, clock, snapshot, receiver)
            task = world.start()
            await world.until(lambda: world.target.counts["batches"] > 1)
            await world.stop(task)
            [metric] = [metric for metric in CATALOGUE if metric.name == SERIES]
            assert all(metadata_2_0(body) == [(2, metric.help, metric.unit)] for _, body in receiver.requests)

    asyncio.run(main())


def test_a_receiver_that_is_away_is_asked_again(clock: Any) -> None:
    async def main() -> None:
        async with Receiver("/api/v1/write") as receiver:
            receiver.answers.append(web.Response(status=429))
            sender = Sender(Push("p", receiver.url), "1", clock, at_once, dict.fromkeys(COUNTS, 0))
            async with sender.delivery.session() as session:
                first = await sender.deliver(session, rows_of(2), None)
                assert first.stop is not None
                assert sender.version is None
                assert len((await sender.deliver(session, rows_of(2), None)).done) == 2
                assert sender.version == "1.0"
                sender.ask_again()
                assert sender.version is None

    asyncio.run(main())


@pytest.mark.parametrize("status", [500, 503])
def test_a_receiver_that_fails_at_the_question_again_and_again_gets_1_0(clock: Any, status: int) -> None:
    async def main() -> None:
        async with Receiver("/api/v1/write") as receiver:
            receiver.judge = lambda _body: web.Response(status=status) if "v2" in receiver.requests[-1][0]["Content-Type"] else None
            sender = Sender(Push("p", receiver.url), "1", clock, at_once, dict.fromkeys(COUNTS, 0))
            versions: list[str | None] = []
            async with sender.delivery.session() as session:
                for number in range(SUSPICIONS):
                    rows = rows_of(4, first=12 * number, at_ms=1_795_162_354_000 + 10_000 * number)
                    while rows:
                        rows = rows[len((await sender.deliver(session, rows, None)).done) :]
                    versions.append(sender.version)
            assert versions == [None] * (SUSPICIONS - 1) + ["1.0"]
            questions = [headers for headers, _ in receiver.requests if "v2" in headers["Content-Type"]]
            assert (len(questions), len(receiver.requests)) == (SUSPICIONS, 2 * SUSPICIONS)

    asyncio.run(main())


def test_a_receiver_that_fails_at_everything_for_a_while_is_asked_when_it_is_well(clock: Any) -> None:
    async def main() -> None:
        async with Receiver("/api/v1/write") as receiver:
            confirm = understands_2_0(receiver)
            receiver.judge = lambda _body: web.Response(status=503)
            sender = Sender(Push("p", receiver.url), "1", clock, at_once, dict.fromkeys(COUNTS, 0))
            async with sender.delivery.session() as session:
                for _ in range(3 * SUSPICIONS):
                    assert (await sender.deliver(session, rows_of(4), None)).stop is not None
                receiver.judge = confirm
                await deliver_all(sender, session, 0)
                await deliver_all(sender, session, 1)
            assert sender.version == "2.0"

    asyncio.run(main())


def test_a_receiver_of_2_0_alone_that_fails_for_a_while_gets_2_0_when_it_is_well(clock: Any) -> None:
    async def main() -> None:
        async with Receiver("/api/v1/write") as receiver:
            confirm, well = understands_2_0(receiver), False

            def judge(body: bytes) -> web.StreamResponse | None:
                if "v2" not in receiver.requests[-1][0]["Content-Type"]:
                    return web.Response(status=415)
                return confirm(body) if well else web.Response(status=503)

            receiver.judge = judge
            sender = Sender(Push("p", receiver.url), "1", clock, at_once, dict.fromkeys(COUNTS, 0))
            async with sender.delivery.session() as session:
                for _ in range(SUSPICIONS):
                    assert (await sender.deliver(session, rows_of(4), None)).stop is not None
                well = True
                await deliver_all(sender, session, 0)
            assert sender.version == "2.0"

    asyncio.run(main())


@pytest.mark.parametrize("status", [404, 405, 406, 415, 501])
def test_where_nothing_is_at_the_address_both_versions_wait_and_what_is_there_later_gets_2_0(clock: Any, status: int) -> None:
    async def main() -> None:
        async with Receiver("/api/v1/write") as receiver:
            receiver.judge = lambda _body: web.Response(status=status)
            sender = Sender(Push("p", receiver.url), "1", clock, at_once, dict.fromkeys(COUNTS, 0))
            async with sender.delivery.session() as session:
                for number in range(1, 6):
                    done, stop = await sender.deliver(session, rows_of(4), None)
                    assert (done, stop and (stop.verdict, stop.status)) == ((), (LATER, status))
                    versions = {headers["X-Prometheus-Remote-Write-Version"] for headers, _ in receiver.requests[-2:]}
                    assert (versions, len(receiver.requests)) == ({"0.1.0", "2.0.0"}, 2 * number)
                    assert sender.counts["failures"] == number, "which the log calls one outage"
                receiver.judge = understands_2_0(receiver)
                await deliver_all(sender, session, 0)
                await deliver_all(sender, session, 1)
            assert sender.version == "2.0"

    asyncio.run(main())


def test_a_row_that_exceeds_the_limit_of_a_receiver_is_halved_in_1_0_until_all_of_it_is_there(clock: Any) -> None:
    async def main() -> None:
        async with Receiver("/api/v1/write") as receiver:
            taken: list[tuple[bytes, int]] = []

            def judge(body: bytes) -> web.StreamResponse | None:
                if len(body) > 400:
                    return web.Response(status=413)
                taken.extend((repr(labels).encode(), at_ms) for labels, samples in request_1_0(body) for at_ms, _ in samples)
                return None

            receiver.judge = judge
            sender = Sender(Push("p", receiver.url), "1", clock, at_once, dict.fromkeys(COUNTS, 0))
            rows = rows_of(3, series=100)
            async with sender.delivery.session() as session:
                assert await sender.deliver(session, rows, None) == ((), None), "fewer at a time"
                for row in rows:
                    assert await sender.deliver(session, [row], None) == ([(row, [])], None)
            assert sender.version == "1.0"
            assert len(set(taken)) == 300

    asyncio.run(main())


def test_a_receiver_that_does_not_speak_its_version_any_more_is_asked_again(clock: Any) -> None:
    """As when another one answers at its address, and nobody has seen a restart."""

    async def main() -> None:
        async with Receiver("/api/v1/write") as receiver:
            receiver.judge = understands_2_0(receiver)
            sender = Sender(Push("p", receiver.url), "1", clock, at_once, dict.fromkeys(COUNTS, 0))
            async with sender.delivery.session() as session:
                await deliver_all(sender, session, 0)
                receiver.judge = lambda _body: (
                    web.Response(status=415) if "v2" in receiver.requests[-1][0]["Content-Type"] else None
                )
                rows = rows_of(4, first=12, at_ms=1_795_162_364_000)
                assert (await sender.deliver(session, rows, None)).stop is not None
                assert len((await sender.deliver(session, rows, None)).done) == 4
            assert sender.version == "1.0"

    asyncio.run(main())


def test_after_an_answer_of_too_large_requests_are_half_as_large(clock: Any) -> None:
    async def main() -> None:
        async with Receiver() as receiver:
            receiver.answers.append(web.Response(status=413))
            sender = Sender(Push("p", receiver.url), "1", clock, at_once, dict.fromkeys(COUNTS, 0))
            rows = rows_of(100, series=10)
            async with sender.delivery.session() as session:
                assert await sender.deliver(session, rows, None) == ((), None)
                assert sender.samples_max == 500
                assert len((await sender.deliver(session, rows[:50], None)).done) == 50

    asyncio.run(main())
