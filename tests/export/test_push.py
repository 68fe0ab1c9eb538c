"""Pushing: what goes over the wire, what is tried again, what is given up, and that no secret is told to anyone else."""

import asyncio
import base64
import gzip
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from energyd.aggregate.snapshot import Snapshot
from energyd.config import Push
from energyd.export import delivery, push
from energyd.export.delivery import Delivery
from energyd.export.push import Batch, Pushers, Queue, Target
from energyd.export.served import Served

LOGGER = logging.getLogger("push-test")


class Receiver:
    """An HTTP server that notes every request and answers what `answers` says, 204 when that is used up."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers: deque[Callable[[], Awaitable[web.Response]] | web.Response] = deque()
        self.arrived = asyncio.Condition()
        self.url = ""

    async def __aenter__(self) -> "Receiver":
        app = web.Application()
        app.router.add_post("/api/v1/import/prometheus", self._receive)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/api/v1/import/prometheus"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        headers = dict(request.headers)
        body = await request.read()  # aiohttp has undone the encoding
        async with self.arrived:
            self.requests.append((headers, body))
            self.arrived.notify_all()
        answer = self.answers.popleft() if self.answers else web.Response(status=204)
        return answer if isinstance(answer, web.Response) else await answer()

    async def wait_for(self, count: int) -> None:
        async with self.arrived:
            await asyncio.wait_for(self.arrived.wait_for(lambda: len(self.requests) >= count), 5)


def served_with(snapshot: Snapshot | None, clock: Any) -> Served:
    return Served(lambda: snapshot and snapshot._replace(real_ns=clock.real_ns()), clock, "1")


def with_target(
    clock: Any, scenario: Callable[[Target, Receiver, aiohttp.ClientSession], Awaitable[None]], **settings: Any
) -> Target:
    """Run `scenario` with one target that points at a receiver."""
    targets = []

    async def main() -> None:
        async with Receiver() as receiver, Delivery.session() as session:
            target = Target(Push("vm", **{"url": receiver.url, **settings}), "1.2.3", clock, LOGGER)
            targets.append(target)
            await scenario(target, receiver, session)

    asyncio.run(main())
    return targets[0]


def test_a_batch_is_gzip_text_with_millisecond_timestamps(snapshot: Snapshot, clock: Any) -> None:
    async def scenario(target: Target, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        target.make_batch(served_with(snapshot, clock))
        assert await target._send_one(session) == 0.0
        headers, body = receiver.requests[0]
        lines = body.decode().removesuffix("\n").split("\n")
        assert headers["Content-Encoding"] == "gzip"
        assert headers["User-Agent"] == "energyd/1.2.3"
        assert "Authorization" not in headers
        assert f"energyd_processes 321 {clock.real_ns() // 10**6}" in lines
        assert all(line.endswith(f" {clock.real_ns() // 10**6}") and not line.startswith("#") for line in lines)
        assert (target.samples, target.batches, target.last_success_ns) == (len(lines), 1, clock.real_ns())

    with_target(clock, scenario)


def test_headers_basic_auth_and_the_match_filter_are_those_of_the_target(snapshot: Snapshot, clock: Any) -> None:
    async def scenario(target: Target, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        target.make_batch(served_with(snapshot, clock))
        await target._send_one(session)
        headers, body = receiver.requests[0]
        assert headers["X-Scope-OrgID"] == "home"
        assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode() == "jürg:pass:wörd"
        names = {line.split("{")[0].split(" ")[0] for line in body.decode().split("\n") if line}
        assert names == {"energyd_zone_energy_joules_total", "energyd_zone_resets_total"}

    with_target(
        clock, scenario, username="jürg", password="pass:wörd", headers=(("X-Scope-OrgID", "home"),), match="energyd_zone_.*_total"
    )


def test_a_password_file_is_read_for_each_request(snapshot: Snapshot, clock: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"

    async def scenario(target: Target, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        target.make_batch(served_with(snapshot, clock))
        assert await target._send_one(session) == 1.0
        for password in ("first", "second"):
            secret.write_text(password + "\n")
            target.make_batch(served_with(snapshot, clock))
            await target._send_one(session)
        sent = [base64.b64decode(headers["Authorization"].removeprefix("Basic ")) for headers, _ in receiver.requests]
        assert sent == [b"u:first", b"u:second"]

    assert with_target(clock, scenario, username="u", password_file=str(secret)).failures == 1


def test_failures_wait_longer_and_longer_and_retry_after_is_honoured(snapshot: Snapshot, clock: Any) -> None:
    def at(seconds: float) -> str:
        from datetime import UTC, datetime

        return format_datetime(datetime.fromtimestamp(clock.real_ns() / 1e9 + seconds, UTC), usegmt=True)

    answers = [
        (web.Response(status=503), 1.0),
        (web.Response(status=500), 2.0),
        (web.Response(status=429, headers={"Retry-After": "30"}), 30.0),
        (web.Response(status=503, headers={"Retry-After": "1"}), 8.0),
        (web.Response(status=503, headers={"Retry-After": "nonsense"}), 16.0),
        (web.Response(status=503, headers={"Retry-After": "99999"}), delivery.RETRY_AFTER_MAX_S),
        (web.Response(status=503, headers={"Retry-After": at(120)}), 120.0),
        (web.Response(status=503, headers={"Retry-After": at(-120)}), 60.0),
        (web.Response(status=401), 60.0),
        (web.Response(status=404), 60.0),
    ]

    async def scenario(target: Target, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        target.make_batch(served_with(snapshot, clock))
        for answer, pause_s in answers:
            receiver.answers.append(answer)
            assert await target._send_one(session) == pytest.approx(pause_s, abs=1.0 if pause_s == 120 else 0)
        assert await target._send_one(session) == 0.0
        assert len({body for _, body in receiver.requests}) == 1  # the same batch, again and again
        receiver.answers.append(web.Response(status=503))
        target.make_batch(served_with(snapshot, clock))
        assert await target._send_one(session) == 1.0

    target = with_target(clock, scenario)
    assert (target.failures, target.batches, sum(target.dropped.values()), len(target.queue)) == (11, 1, 0, 1)


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_a_batch_that_is_refused_for_good_does_not_hold_up_the_next(snapshot: Snapshot, clock: Any, status: int) -> None:
    async def scenario(target: Target, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        for _ in range(2):
            target.make_batch(served_with(snapshot, clock))
        receiver.answers.append(web.Response(status=status, text="cannot parse"))
        assert await target._send_one(session) == 0.0
        assert await target._send_one(session) == 0.0

    target = with_target(clock, scenario)
    assert (target.dropped, target.batches, target.failures) == ({"queue_full": 0, "refused": 1, "clock": 0}, 1, 1)


def test_a_redirect_is_not_followed_because_it_would_carry_the_password_elsewhere(
    snapshot: Snapshot, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(target: Target, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        receiver.answers.append(web.Response(status=308, headers={"Location": "http://user:hunter2@elsewhere/x"}))
        target.make_batch(served_with(snapshot, clock))
        assert await target._send_one(session) == 1.0

    with_target(clock, scenario)
    assert "http://elsewhere/x" in caplog.text
    assert "hunter2" not in caplog.text


def test_no_answer_within_the_time_limit_is_a_failure(snapshot: Snapshot, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "TIMEOUT_S", 0.05)

    async def scenario(target: Target, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        given_up = asyncio.Event()

        async def hang() -> web.Response:
            await given_up.wait()
            return web.Response(status=204)

        receiver.answers.append(hang)
        target.make_batch(served_with(snapshot, clock))
        assert await target._send_one(session) == 1.0
        given_up.set()

    assert with_target(clock, scenario).failures == 1


def test_secrets_are_never_logged(snapshot: Snapshot, clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def scenario(target: Target, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        target.make_batch(served_with(snapshot, clock))
        await target._send_one(session)

    settings = {"password": "hunter2", "headers": (("Authorization-Token", "hunter2"),)}
    for url in ("http://joe:hunter2@127.0.0.1:1/x?token=hunter2", "http://joe:hunter2@no-such-host.invalid/x"):
        assert with_target(clock, scenario, url=url, **settings).failures == 1
    assert len(caplog.records) >= 2
    assert "hunter2" not in caplog.text
    assert "127.0.0.1" in caplog.text


def test_credentials_in_the_url_are_used_when_no_others_are_given(snapshot: Snapshot, clock: Any) -> None:
    async def main() -> None:
        async with Receiver() as receiver, Delivery.session() as session:
            url = receiver.url.replace("http://", "http://joe:s%20cret@")
            assert (await Delivery(Push("vm", url), "1", clock).send(session, gzip.compress(b"x 1\n"))).taken
            sent = receiver.requests[0][0]["Authorization"].removeprefix("Basic ")
            assert base64.b64decode(sent) == b"joe:s cret"

    asyncio.run(main())


def test_a_machine_without_a_clock_waits(snapshot: Snapshot, clock: Any) -> None:
    target = Target(Push("vm", "http://127.0.0.1:1/"), "1", clock, LOGGER)
    clock.real_offset_ns = 0
    target.make_batch(served_with(snapshot, clock))
    assert (len(target.queue), target.dropped["clock"]) == (0, 1)
    clock.real_offset_ns = push.PLAUSIBLE_NS
    clock.now_ns += 60_000_000
    target.make_batch(served_with(snapshot, clock))
    assert len(target.queue) == 1


def test_nothing_is_queued_before_everything_is_replayed(snapshot: Snapshot, clock: Any) -> None:
    target = Target(Push("vm", "http://127.0.0.1:1/"), "1", clock, LOGGER)
    target.make_batch(served_with(None, clock))
    target.make_batch(served_with(snapshot._replace(ready=False), clock))
    assert len(target.queue) == 0


@given(st.lists(st.one_of(st.integers(min_value=1, max_value=60), st.just(0))))
def test_the_queue_is_first_in_first_out_bounded_and_gives_up_the_oldest(actions: list[int]) -> None:
    """A positive number appends a batch of that size, 0 takes the oldest and gives it back."""
    queue, model, serial = Queue(), deque[Batch](), 0
    bound, push.QUEUE_BYTES_MAX = push.QUEUE_BYTES_MAX, 100
    try:
        for size in actions:
            if size:
                serial += 1
                model.append(Batch(b"x" * size, serial))
                dropped = queue.append(model[-1])
            elif model:
                assert queue.take() is model[0]
                dropped = queue.give_back(model[0])
            else:
                continue
            expected_drops = 0
            while sum(len(batch.body) for batch in model) > 100 and len(model) > 1:
                model.popleft()
                expected_drops += 1
            assert (dropped, len(queue), queue.filled.is_set()) == (expected_drops, len(model), bool(model))
    finally:
        push.QUEUE_BYTES_MAX = bound
    assert [queue.take() for _ in range(len(queue))] == list(model)
    assert not queue.filled.is_set()


def test_batches_that_had_to_give_way_are_counted(snapshot: Snapshot, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "QUEUE_BYTES_MAX", 1)
    target = Target(Push("vm", "http://127.0.0.1:1/"), "1", clock, LOGGER)
    for _ in range(3):
        target.make_batch(served_with(snapshot, clock))
    assert (len(target.queue), target.dropped["queue_full"]) == (1, 2)


def test_pushing_goes_on_at_the_interval_through_an_outage_and_catches_up_in_order(
    snapshot: Snapshot, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "BACKOFF_FIRST_S", 0.01)

    def fold() -> Snapshot:
        clock.now_ns += 1_000_000_000
        return snapshot._replace(real_ns=clock.real_ns())

    class HurriedClock(type(clock)):  # type: ignore[misc]
        """Every look at it finds the last Snapshot too old."""

        def mono_ns(self) -> int:
            clock.now_ns += 60_000_000
            return int(clock.now_ns)

    async def main() -> None:
        async with Receiver() as receiver:
            receiver.answers.extend(web.Response(status=503) for _ in range(3))
            pushers = Pushers([Push("vm", receiver.url, interval_s=0.02, match="energyd_processes")], "1", clock, LOGGER)
            served = Served(fold, HurriedClock(), "1", sources=(pushers.families,))
            task = asyncio.create_task(pushers.run(served))
            await receiver.wait_for(8)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            times = [int(body.split()[2]) for _, body in receiver.requests]
            assert times[:4] == [times[0]] * 4
            assert times[3:] == sorted(set(times[3:]))
            body = served.body("text")
            assert body is not None
            assert b'energyd_push_failures_total{target="vm"} 3\n' in body
            assert b'energyd_push_dropped_batches_total{target="vm",reason="clock"} 0\n' in body

    asyncio.run(main())


def test_no_target_means_no_push_families(clock: Any) -> None:
    assert all(not family.labels for family in Pushers([], "1", clock, LOGGER).families())
