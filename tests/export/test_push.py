"""Pushing as a whole, into a receiver on loopback: what is sent when, in which order, and what a fault costs."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from protobufreader import request_1_0
from pushworld import LOGGER, Receiver, World, lines

from energyd.aggregate.snapshot import Snapshot
from energyd.config import Metrics, Spool
from energyd.export import gate
from energyd.export.push import Pushers
from energyd.export.served import Served
from energyd.units import NS_PER_S


@pytest.fixture
def play(tmp_path: Path, clock: Any, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a scenario in a world of its own; failures wait 10 ms instead of a second."""
    monkeypatch.setattr(gate, "BACKOFF_FIRST_S", 0.01)
    monkeypatch.setattr(gate, "BACKOFF_MAX_S", 0.05)

    def run(scenario: Callable[[World], Awaitable[None]], path: str = "/api/v1/import/prometheus", **push: Any) -> None:
        async def main() -> None:
            async with Receiver(path) as receiver:
                await scenario(World(tmp_path, clock, snapshot, receiver, **push))

        asyncio.run(main())

    return run


def test_every_tick_is_sent_with_its_own_milliseconds_in_batches_of_the_interval(play: Any) -> None:
    async def scenario(world: World) -> None:
        task = world.start()
        await world.until(lambda: any(len(lines(body)) > 1 for _, body in world.receiver.requests))
        await world.stop(task)
        for headers, body in world.receiver.requests:
            assert headers["Content-Encoding"] == "gzip"
            assert headers["User-Agent"] == "energyd/1.2.3"
            assert all(re.fullmatch(r"energyd_processes 321(\.0)? \d{13}", line) for line in lines(body))
        times = world.times()
        assert times == sorted(set(times))
        assert world.target.spool.delivered == len(times)

    play(scenario)


def test_only_what_matches_is_sent_with_the_labels_of_the_target(play: Any) -> None:
    async def scenario(world: World) -> None:
        task = world.start()
        await world.receiver.wait_for(1)
        await world.stop(task)
        names = {line.split("{")[0].split(" ")[0] for line in lines(world.receiver.requests[0][1])}
        assert names == {"energyd_zone_energy_joules_total", "energyd_zone_resets_total"}
        assert world.receiver.queries[0].getall("extra_label") == ["old=1", "site=attic"]

    play(scenario, match="energyd_zone_.*_total", labels=(("site", "attic"),), query="?extra_label=old=1")


@pytest.mark.parametrize("wrong_offset_s", [0, 5_000_000_000])
def test_nothing_is_rendered_by_a_machine_without_a_clock_or_with_a_broken_one_and_that_is_counted(
    play: Any, wrong_offset_s: int
) -> None:
    async def scenario(world: World) -> None:
        offset_ns, world.clock.real_offset_ns = world.clock.real_offset_ns, wrong_offset_s * NS_PER_S
        task = world.start()
        await world.until(lambda: world.target.spool.dropped["clock"] > 2)
        assert world.target.spool.cursor.end == 0
        world.clock.real_offset_ns = offset_ns
        await world.receiver.wait_for(1)
        await world.stop(task)

    play(scenario)


def test_nothing_is_spooled_before_everything_is_replayed(play: Any, snapshot: Snapshot, clock: Any) -> None:
    async def scenario(world: World) -> None:
        for served in (lambda: None, lambda: snapshot._replace(ready=False)):
            await world.target.tick(Served(served, clock, "1"))
        assert world.target.spool.cursor.end == 0
        await asyncio.to_thread(world.target.spool.close)

    play(scenario)


def test_an_outage_costs_nothing_and_remote_write_gets_its_rows_in_order(play: Any) -> None:
    async def scenario(world: World) -> None:
        world.receiver.answers.extend(web.Response(status=429) for _ in range(5))
        task = world.start()
        await world.receiver.wait_for(9)
        await world.stop(task)
        bodies = [body for _, body in world.receiver.requests]
        assert len(set(bodies[:2])) == 1, "the same batch again"
        assert world.target.counts["failures"] == 5
        assert world.target.spool.delivered == world.target.spool.cursor.acknowledged[-1].hi
        assert world.target.spool.cursor.acknowledged[0].lo == 0

    play(scenario, path="/api/v1/write")


def test_victoriametrics_gets_what_is_fresh_before_what_waits(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("energyd.export.sender.SAMPLES_MAX", 3)

    async def scenario(world: World) -> None:
        world.receiver.answers.extend(web.Response(status=503, headers={"Retry-After": "1"}) for _ in range(1))
        task = world.start()
        await world.until(lambda: world.times() and len(world.receiver.requests) > 40, 20)
        await world.stop(task)
        times = world.times()[1:]
        assert times != sorted(times), "two lanes"
        assert len(set(world.times())) >= world.target.spool.delivered

    play(scenario)


def test_failures_wait_longer_and_longer_and_never_less_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        now = [100.0]
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now[0])
        one = gate.Gate()
        assert one.wait_s == 0
        waits = []
        for retry_after_s in (0, 0, 30, 0, 0, 0, 0, 0):
            one.failed(retry_after_s)
            waits.append(one.wait_s)
        assert waits == [1, 2, 30, 8, 16, 32, 60, 60]
        one.succeeded()
        assert one.wait_s == 0
        one.failed(0)
        assert one.wait_s == 1

    asyncio.run(main())


def test_a_restart_of_energyd_goes_on_where_it_was(play: Any) -> None:
    """What was acknowledged is not sent again, what was not is."""

    async def scenario(world: World) -> None:
        task = world.start()
        await world.receiver.wait_for(2)
        world.receiver.judge = lambda _body: web.Response(status=503)
        await world.until(lambda: world.target.counts["failures"] > 1)
        await world.stop(task)
        before = len(world.receiver.requests)
        first = world.target.spool.cursor
        world.receiver.judge = lambda _body: None
        world.pushers = world.new_pushers()
        assert world.target.spool.cursor.state() == first.state()
        end = first.end
        task = world.start()
        await world.until(lambda: world.target.spool.delivered > end)
        await world.stop(task)
        refused = [i for i in range(before) if i > 1]
        del world.receiver.requests[refused[0] : before]
        assert world.times() == sorted(set(world.times()))
        assert world.target.spool.delivered == len(world.times())

    play(scenario, path="/api/v1/import/prometheus")


def test_one_bad_line_is_quarantined_and_the_others_are_delivered(play: Any, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        bad = b'energyd_zone_resets_total{zone="psys"}'
        world.receiver.judge = lambda body: web.Response(status=400, text="no psys here") if bad in body else None
        task = world.start()
        await world.until(lambda: world.target.spool.dropped["refused"] >= 5, 20)
        await world.stop(task)
        text = (tmp_path / "state" / "spool" / "vm" / "quarantine.txt").read_text()
        assert "no psys here" in text
        assert all(line.startswith(("#", bad.decode())) for line in text.splitlines())
        rows = world.target.spool.dropped["refused"]
        assert world.target.spool.delivered >= 3 * rows
        assert not world.target.spool.dropped["damaged"]

    play(scenario, match="energyd_zone_resets_total")


def test_a_receiver_that_refuses_everything_loses_nothing(play: Any) -> None:
    async def scenario(world: World) -> None:
        world.receiver.judge = lambda _body: web.Response(status=400, text="not here")
        task = world.start()
        await world.until(lambda: world.target.counts["failures"] > 30)
        assert sum(world.target.spool.dropped.values()) == 0
        world.receiver.judge = lambda _body: None
        await world.until(lambda: world.target.spool.delivered > 30)
        await world.stop(task)
        assert sum(world.target.spool.dropped.values()) == 0

    play(scenario)


def test_a_receiver_that_answers_500_for_ever_loses_nothing_and_is_not_flooded(play: Any) -> None:
    async def scenario(world: World) -> None:
        task = world.start()
        await world.receiver.wait_for(2)
        world.receiver.judge = lambda _body: web.Response(status=500, text="boom")
        await world.until(lambda: world.target.counts["failures"] > 20)
        requests, waited_s = len(world.receiver.requests), 0.3
        await asyncio.sleep(waited_s)
        assert len(world.receiver.requests) - requests < 5 * waited_s / 0.05
        world.receiver.judge = lambda _body: None
        await world.until(lambda: len(world.target.spool.cursor.pending) < 10)
        await world.stop(task)
        assert sum(world.target.spool.dropped.values()) == 0

    play(scenario)


METRICS = 'vm_app_start_timestamp {start}\nvm_app_uptime_seconds {age}\nvm_rows_invalid_total{{type="prometheus"}} {bad}\n'


def test_what_a_restarted_receiver_had_acknowledged_of_late_is_sent_again(play: Any) -> None:
    async def scenario(world: World) -> None:
        world.receiver.metrics = METRICS.format(start=1, age=1000, bad=0)
        task = world.start()
        await world.until(lambda: "receiver_started" in world.target.spool.notes)
        await world.until(lambda: world.target.spool.delivered > 20)
        world.receiver.metrics = METRICS.format(start=2, age=0, bad=0)
        world.receiver.answers.append(web.Response(status=503))  # a failure is a reason to look
        await world.until(lambda: world.target.counts["restarts"] == 1)
        await world.until(lambda: world.target.spool.replayed > 20)
        await world.stop(task)
        times = world.times()
        assert len(times) - len(set(times)) >= world.target.spool.replayed
        assert sum(world.target.spool.dropped.values()) == 0

    play(scenario, spool=Spool(keep_s=3600))


def test_a_look_at_a_receiver_that_lives_forgets_nothing_that_it_may_still_lose(play: Any) -> None:
    async def scenario(world: World) -> None:
        looks = []
        look = world.target.restarts.look

        async def noted(session: Any) -> Any:
            seen = await look(session)
            looks.append(seen)
            return seen

        world.target.restarts.look = noted  # type: ignore[method-assign]
        world.receiver.metrics = METRICS.format(start=1, age=1000, bad=0)
        task = world.start()
        await world.until(lambda: world.target.spool.delivered > 20 and looks)
        seen = len(looks)
        world.receiver.answers.append(web.Response(status=503))
        await world.until(lambda: len(looks) > seen)
        world.receiver.metrics = METRICS.format(start=2, age=0, bad=0)
        world.receiver.answers.append(web.Response(status=503))
        await world.until(lambda: world.target.spool.replayed > 20)
        await world.stop(task)
        times = world.times()
        assert times.count(min(times)) == 2, "what was acknowledged first was sent again"

    play(scenario, spool=Spool(keep_s=3600))


def test_a_receiver_of_remote_write_that_came_back_with_everything_refuses_nothing_that_is_lost(
    play: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(world: World) -> None:
        world.receiver.metrics = METRICS.format(start=1, age=1000, bad=0)
        task = world.start()
        await world.until(lambda: "receiver_started" in world.target.spool.notes and world.target.spool.delivered > 5)

        def asked() -> int:
            return [headers["X-Prometheus-Remote-Write-Version"] for headers, _ in world.receiver.requests].count("2.0.0")

        asked_before = asked()
        there_ms = world.target.spool.notes["last_ms"]

        def judge(body: bytes) -> web.Response | None:
            if not world.target.counts["restarts"] or "v2" in world.receiver.requests[-1][0]["Content-Type"]:
                return None
            old = any(at_ms <= there_ms for _, samples in request_1_0(body) for at_ms, _ in samples)
            return web.Response(status=400, text="out of order sample") if old else None

        world.receiver.judge = judge
        world.receiver.metrics = METRICS.format(start=2, age=0, bad=0)
        world.receiver.answers.append(web.Response(status=503))
        await world.until(lambda: world.target.spool.replayed > 5)
        await world.until(lambda: asked() > asked_before)  # another process may speak another version
        await world.stop(task)
        assert "given up" not in caplog.text

    play(scenario, path="/api/v1/write", spool=Spool(keep_s=3600))


def test_what_is_out_of_order_is_counted_and_not_put_into_quarantine(play: Any, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.receiver.judge = lambda _body: web.Response(status=400, text="out of order sample")
        task = world.start()
        await world.until(lambda: world.target.spool.dropped["out_of_order"] > 0)
        await world.stop(task)
        assert not list(tmp_path.rglob("quarantine.txt"))

    play(scenario, path="/api/v1/write", spool=Spool(keep_s=3600))


def test_what_was_taken_while_energyd_was_killed_is_there_and_not_lost(play: Any) -> None:
    async def scenario(world: World) -> None:
        world.receiver.judge = lambda _body: web.Response(status=503)
        task = world.start()
        await world.until(lambda: world.target.spool.cursor.end > 5)
        await world.stop(task)
        end = world.target.spool.cursor.end
        world.pushers = world.new_pushers()
        world.receiver.judge = lambda _body: web.Response(status=400, text="out of order sample")
        task = world.start()
        await world.until(lambda: world.target.spool.cursor.pending.lowest >= end)
        assert world.target.spool.delivered >= end
        await world.stop(task)

    play(scenario, path="/api/v1/write")


def test_nothing_is_sent_before_the_receiver_wants_it_not_even_what_is_fresh(play: Any) -> None:
    async def scenario(world: World) -> None:
        world.receiver.answers.append(web.Response(status=429, headers={"Retry-After": "30"}))
        task = world.start()
        await world.receiver.wait_for(1)
        end = world.target.spool.cursor.end
        await world.until(lambda: world.target.spool.cursor.end > end + 10)
        await world.stop(task)
        assert len(world.receiver.requests) == 1

    play(scenario)


def test_a_receiver_without_metrics_counts_as_restarted_when_its_connection_broke(play: Any) -> None:
    async def scenario(world: World) -> None:
        async def break_off() -> web.StreamResponse:
            raise ConnectionResetError

        task = world.start()
        await world.until(lambda: world.target.spool.delivered > 20)
        assert world.target.counts["restarts"] == 0

        async def cut() -> web.StreamResponse:
            for connection in list(world.receiver._runner.server.connections):  # type: ignore[union-attr]
                connection.transport.abort()  # type: ignore[union-attr]
            return web.Response()

        world.receiver.answers.append(cut)
        await world.until(lambda: world.target.counts["restarts"] == 1)
        await world.until(lambda: world.target.spool.replayed > 10)
        await world.stop(task)

    play(scenario, spool=Spool(keep_s=3600))


def test_rows_that_the_receiver_threw_away_are_told(play: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        world.receiver.metrics = METRICS.format(start=1, age=1000, bad=5)
        task = world.start()
        await world.until(lambda: world.target.restarts.thrown_away == 0)
        world.receiver.metrics = METRICS.format(start=1, age=1000, bad=7)
        world.receiver.answers.append(web.Response(status=503))
        await world.until(lambda: world.target.restarts.thrown_away == 2)
        await world.stop(task)

    play(scenario)
    assert "2 rows that it acknowledged and did not store" in caplog.text


def test_stopping_saves_everything_and_waits_for_no_network(play: Any) -> None:
    async def scenario(world: World) -> None:
        async def hang() -> web.StreamResponse:
            await asyncio.sleep(3600)
            return web.Response()

        world.receiver.judge = lambda _body: hang
        task = world.start()
        await world.receiver.wait_for(1)
        await world.until(lambda: world.target.spool.cursor.end > 10)
        begin = asyncio.get_running_loop().time()
        await world.stop(task)
        assert asyncio.get_running_loop().time() - begin < 1
        end = world.target.spool.cursor.end
        again = world.new_pushers().targets[0].spool
        assert (again.cursor.end, len(again.cursor.pending)) == (end, end)
        again.close()

    play(scenario)


def killed(world: World) -> None:
    """What SIGKILL leaves of a spool: files as they are, the lock free."""
    world.target.spool._segments.set_aside()
    world.target.spool._segments.close()


def power_cut(world: World) -> None:
    killed(world)
    for mark in world.target.spool._mark.parent.iterdir():
        mark.unlink()


def stopped(world: World) -> None:
    world.target.spool.close()


def killed_by_a_clock_that_jumps(world: World) -> None:
    killed(world)
    world.clock.real_offset_ns += 86400 * NS_PER_S


@pytest.mark.parametrize(
    ("end", "absent_s", "missed"),
    [
        (killed, 1.2, 0),
        (killed, 1.6, 1),
        (killed, 2.0, 1),
        (killed, 60.1, 59),
        (killed, -1000, 0),
        (killed_by_a_clock_that_jumps, 2.0, 1),
        (power_cut, 60, 0),
        (stopped, 60, 0),
    ],
)
def test_ticks_that_a_death_costs_are_counted_once_and_those_of_a_stop_are_not(
    play: Any, snapshot: Snapshot, end: Callable[[World], None], absent_s: float, missed: int
) -> None:
    async def scenario(world: World) -> None:
        async def tick() -> None:
            now = snapshot._replace(real_ns=world.clock.real_ns())
            await world.target.tick(Served(lambda: now, world.clock, "1"))

        def turn(seconds: float) -> None:
            world.clock.now_ns += round(seconds * NS_PER_S)

        await tick()
        end(world)
        for pause_s in (absent_s / 2, absent_s / 2):
            turn(pause_s)
            world.pushers = world.new_pushers()
            await world.target.tick(Served(lambda: None, world.clock, "1"))  # who dies without a row leaves the count to the next
            killed(world)
        world.pushers = world.new_pushers()
        for _ in range(3):
            await tick()
            turn(1)
        killed(world)
        world.pushers = world.new_pushers()
        await tick()
        assert world.target.counts["missed_ticks"] == missed
        stopped(world)

    play(scenario, resolution_s=1.0)


def test_a_fault_of_ours_ends_pushing_instead_of_hiding(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(world: World) -> None:
        def broken(*_: Any) -> None:
            raise KeyError("ours")

        monkeypatch.setattr(world.target._spooling, "append", broken)
        with pytest.raises(BaseExceptionGroup) as caught:
            await asyncio.wait_for(world.start(), 5)
        assert caught.group_contains(KeyError) if hasattr(caught, "group_contains") else "ours" in repr(caught.value.exceptions)

    play(scenario)


def test_no_target_means_no_push_families(tmp_path: Path, clock: Any) -> None:
    pushers = Pushers(Metrics(), tmp_path, tmp_path, "1", clock, LOGGER)
    assert all(not family.labels for family in pushers.families())


def test_a_spool_without_receiver_is_mentioned(tmp_path: Path, clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "spool" / "gone").mkdir(parents=True)
    Pushers(Metrics(), tmp_path, tmp_path, "1", clock, LOGGER)
    assert "gone belongs to no receiver" in caplog.text
