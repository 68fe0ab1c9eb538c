"""What is made of a receiver's own metrics: what is sent again after a restart, and what is forgotten without one."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from pushworld import Receiver
from yarl import URL

from energyd.config import Push
from energyd.export import restarts
from energyd.export.answers import LATER, REFUSED, Outcome
from energyd.export.delivery import Delivery
from energyd.export.restarts import RESTARTS, Restarts
from energyd.spool.spool import Limits, Spool

KEEP_S = 30.0
METRICS = "vm_app_start_timestamp {start}\nvm_app_uptime_seconds {age}\n"
PREFIXES = [b"m "]


class House:
    """A spool with a sample an acknowledgement, and the watch over its receiver."""

    def __init__(self, place: Path, clock: Any, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        self.clock, self.receiver, self._session = clock, receiver, session
        self.counts = {RESTARTS: 0}
        self.said: list[str] = []
        self._place = place
        self.spool = self._open()
        self.restarts = self._watch()

    def _open(self) -> Spool:
        return Spool(self._place / "spool", self._place / "mark", Limits(1 << 20, 1e6), self.clock, lambda *_: None)

    def _watch(self) -> Restarts:
        delivery = Delivery(Push("vm", self.receiver.url), "1", self.clock)
        return Restarts(
            delivery, self.spool, KEEP_S, self.clock, at_once, lambda _kind, message: self.said.append(message), self.counts
        )

    def start_again(self) -> None:
        self.spool.close()
        self.spool = self._open()
        self.restarts = self._watch()

    async def acknowledge(self, seconds: int) -> None:
        """A sample a second, each acknowledged at once."""
        for _ in range(seconds):
            self.clock.now_ns += 10**9
            first = self.spool.cursor.end
            self.spool.append(self.clock.real_ns() // 10**6, PREFIXES, np.array([1.0]))
            self.spool.acknowledge(first, first + 1)
            await self.restarts.succeeded()

    async def look(self, start: int | None = None, age: float = 0) -> bool:
        self.receiver.metrics = None if start is None else METRICS.format(start=start, age=age)
        return (await self.restarts.look(self._session)).other

    @property
    def waiting(self) -> int:
        return len(self.spool.cursor.pending)


UNKNOWN = Outcome(REFUSED, "answered 404", status=404)


class Scripted:
    """A delivery whose page has each time what the script says, after what it does meanwhile."""

    connections = 0
    place = "http://scripted"

    def __init__(self, url: URL) -> None:
        self.url = url
        self.script: list[tuple[Callable[[], Awaitable[None]], Outcome]] = []

    async def get(self, *_: object) -> tuple[Outcome, bytes]:
        meanwhile, outcome = self.script.pop(0)
        await meanwhile()
        return outcome, b""


async def nothing() -> None:
    pass


async def at_once(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


@pytest.fixture
def play(tmp_path: Path, clock: Any) -> Callable[..., None]:
    def run(scenario: Callable[[House], Awaitable[None]]) -> None:
        async def main() -> None:
            async with Receiver() as receiver, aiohttp.ClientSession() as session:
                await scenario(House(tmp_path, clock, receiver, session))

        asyncio.run(main())

    return run


def test_several_receivers_behind_one_address_are_no_restarts(play: Any) -> None:
    async def scenario(house: House) -> None:
        await house.look(start=1, age=5000)
        for turn in range(1, 9):
            await house.acknowledge(60)
            await house.look(start=1 + turn % 2, age=9000 + turn)
        assert (house.waiting, house.counts[RESTARTS], house.said) == (0, 0, [])
        assert len(house.spool.cursor.acknowledged) <= KEEP_S + 1, "the rest is safe"

    play(scenario)


def test_a_receiver_whose_metrics_are_never_answered_holds_up_nothing_for_ever(play: Any) -> None:
    async def scenario(house: House) -> None:
        house.receiver.without_metrics = 500
        for _ in range(restarts.UNKNOWN_MAX + 2):
            await house.acknowledge(60)
            assert not await house.look()
        assert not house.restarts.doubtful, "a look that is not answered takes half a minute before each batch"
        await house.acknowledge(60)
        assert house.waiting == 0
        assert len(house.spool.cursor.acknowledged) <= KEEP_S + 1

    play(scenario)


def test_what_a_young_receiver_takes_before_it_is_looked_at_is_not_taken_for_its_predecessors(play: Any) -> None:
    """Away for longer than `keep`, then asked within its first second: its first acknowledgement is not the last of the other."""

    async def scenario(house: House) -> None:
        await house.look(start=1, age=5000)
        await house.acknowledge(100)
        house.restarts.failed(Outcome(LATER, "no connection", cut=True))
        house.clock.now_ns += 300 * 10**9
        await house.acknowledge(1)
        assert await house.look(start=2, age=0.2)
        assert KEEP_S <= house.waiting <= KEEP_S + 2
        assert house.counts[RESTARTS] == 1
        [line] = house.said
        assert f"was restarted; the {house.waiting} samples that it took last are sent again" in line

    play(scenario)


def test_the_tail_before_the_first_of_several_failures_is_the_one_that_may_be_lost(play: Any) -> None:
    """Killed, started again, killed once more before anybody has looked, long after."""

    async def scenario(house: House) -> None:
        await house.look(start=1, age=5000)
        await house.acknowledge(100)
        house.restarts.failed(Outcome(LATER, "no connection", cut=True))
        house.clock.now_ns += 120 * 10**9
        await house.acknowledge(1)
        house.restarts.failed(Outcome(LATER, "no connection", cut=True))
        assert await house.look(start=3, age=0.2)
        assert KEEP_S <= house.waiting <= KEEP_S + 3

    play(scenario)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_an_energyd_that_dies_while_it_looks_sends_the_tail_all_the_same(play: Any, steps: int) -> None:
    class Death(Exception):
        pass

    left = iter(range(steps))

    async def mortal(function: Callable[..., Any], *arguments: Any) -> Any:
        if next(left, None) is None:
            raise Death
        return function(*arguments)

    async def scenario(house: House) -> None:
        await house.look(start=1, age=5000)
        await house.acknowledge(100)
        house.restarts._in_thread = mortal
        with contextlib.suppress(Death):
            await house.look(start=2, age=0.0)
        house.spool.give_up(0, 0, "refused")  # whatever comes next writes down how far it is
        house.start_again()
        await house.acknowledge(1)
        await house.look(start=2, age=1.0)
        assert KEEP_S <= house.waiting <= 2 * (KEEP_S + 2), "twice where only the first step was written down"

    play(scenario)


def test_what_fails_while_a_page_is_waited_for_is_judged_by_the_next_look(play: Any) -> None:
    async def scenario(house: House) -> None:
        delivery = house.restarts._delivery = Scripted(house.restarts._delivery.url)
        await house.acknowledge(100)

        async def connection_breaks() -> None:
            house.restarts.failed(Outcome(LATER, "no connection", cut=True))

        delivery.script += [(connection_breaks, UNKNOWN), (nothing, UNKNOWN)]
        assert not await house.look()
        assert house.restarts.doubtful
        house.clock.now_ns += 300 * 10**9
        await house.acknowledge(1)
        assert await house.look()
        assert not house.restarts.doubtful
        assert KEEP_S <= house.waiting <= KEEP_S + 1, "the tail before the failure"
        assert house.counts[RESTARTS] == 1

    play(scenario)


def test_what_failed_first_counts_when_a_look_is_not_answered(play: Any) -> None:
    async def scenario(house: House) -> None:
        delivery = house.restarts._delivery = Scripted(house.restarts._delivery.url)
        await house.acknowledge(100)
        house.restarts.failed(Outcome(LATER, "no connection", cut=True))

        async def fails_once_more() -> None:
            await house.acknowledge(60)
            house.restarts.failed(Outcome(LATER, "answered 503", status=503))

        delivery.script += [(fails_once_more, Outcome(LATER, "no answer within 30 s", cut=True)), (nothing, UNKNOWN)]
        assert not await house.look()
        assert await house.look()
        assert list(house.spool.cursor.pending) == [(100 - KEEP_S - 1, 100)]

    play(scenario)


def test_two_looks_at_once_send_the_tail_once(play: Any) -> None:
    async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
        await asyncio.sleep(0.01)
        return function(*arguments)

    async def scenario(house: House) -> None:
        await house.look(start=1, age=5000)
        await house.acknowledge(100)
        house.restarts._in_thread = in_thread
        assert sorted(await asyncio.gather(house.look(start=2), house.look(start=2))) == [False, True]
        assert KEEP_S <= house.waiting <= KEEP_S + 2
        assert house.counts[RESTARTS] == 1

    play(scenario)


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Outcome(LATER, "no answer within 30 s", cut=True), "GET /metrics: no answer within 30 s"),
        (Outcome(LATER, "answered 503", status=503), "GET /metrics: answered 503"),
        (Outcome(LATER, "no connection: Connection refused", cut=True), "no connection: Connection refused"),
    ],
)
def test_a_look_that_fails_names_what_was_asked_for(play: Any, outcome: Outcome, told: str) -> None:
    async def scenario(house: House) -> None:
        delivery = house.restarts._delivery = Scripted(house.restarts._delivery.url)
        delivery.script.append((nothing, outcome))
        unanswered = (await house.restarts.look(house._session)).unanswered
        assert unanswered == outcome._replace(fault=told)

    play(scenario)


@pytest.mark.parametrize("step_s", [0, 600, -600])
def test_what_an_earlier_energyd_delivered_is_sent_again_by_whatever_clock(play: Any, step_s: int) -> None:
    async def scenario(house: House) -> None:
        await house.look(start=1, age=5000)
        await house.acknowledge(100)
        house.start_again()
        house.clock.real_offset_ns += step_s * 10**9
        await house.acknowledge(1)
        assert await house.look(start=2, age=0.0)
        assert KEEP_S <= house.waiting <= KEEP_S + 2

    play(scenario)


def test_a_receiver_that_was_never_looked_at_may_have_been_restarted_too(play: Any) -> None:
    async def scenario(house: House) -> None:
        await house.acknowledge(100)
        assert await house.look(start=1, age=20.0)
        assert KEEP_S <= house.waiting <= KEEP_S + 2
        await house.acknowledge(1)
        assert not await house.look(start=1, age=21.0)
        assert house.counts[RESTARTS] == 1

    play(scenario)


def test_a_receiver_that_is_as_young_as_what_it_took_has_lost_nothing(play: Any) -> None:
    """VictoriaMetrics tells its age in whole seconds."""

    async def scenario(house: House) -> None:
        await house.acknowledge(1)
        assert not await house.look(start=1, age=0.0)
        assert (house.waiting, house.said) == (0, [])

    play(scenario)


def test_a_receiver_that_lived_all_the_time_is_sent_nothing_again(play: Any) -> None:
    async def scenario(house: House) -> None:
        for age_s in (1000.0, 1100.0):
            await house.acknowledge(100)
            house.restarts.failed(Outcome(LATER, "answered 503", status=503))
            assert not await house.look(start=1, age=age_s)
        house.start_again()
        await house.acknowledge(1)
        assert not await house.look(start=1, age=1101.0)
        assert (house.waiting, house.said) == (0, [])

    play(scenario)
