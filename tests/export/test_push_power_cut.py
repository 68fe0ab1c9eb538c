"""The power fails for energyd, its disk and the receiver together: what had reached the disk is in the receiver in the end."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from protobufreader import request_1_0
from pushworld import Receiver, World, lines

from energyd.aggregate.snapshot import Snapshot
from energyd.config import Spool
from energyd.export import gate, target
from energyd.spool.segments import Content
from powercut import Disk

IMPORT, WRITE = "/api/v1/import/prometheus", "/api/v1/write"
KEEP_S = 10
LOST_S = KEEP_S - 2
METRICS = "vm_app_start_timestamp {start}\nvm_app_uptime_seconds {age}\n"

Sample = tuple[int, float]  # milliseconds, value


class Numbered(World):
    """A house in which each tick has a value of its own."""

    def fold(self) -> Snapshot:
        snapshot = super().fold()
        return snapshot._replace(processes=snapshot.processes._replace(alive=self.ticks))


def as_float(bits: int) -> float:
    return float(np.array(bits, np.uint64).view(np.float64))


class Ledger:
    """What the receiver took when, of which it loses the last when its power fails."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._taken: list[tuple[int, Sample]] = []

    def judge(self, body: bytes) -> None:
        self._take({(int(at_ms), float(value)) for _, value, at_ms in map(str.split, lines(body))})

    def judge_in_order(self, body: bytes) -> web.Response | None:
        """As a Prometheus, which takes nothing that is older than what it has. It does not understand remote write 2.0."""
        with contextlib.suppress(AssertionError, ValueError, KeyError):
            samples = {(at_ms, as_float(bits)) for _, series in request_1_0(body) for at_ms, bits in series}
            if min(samples) <= max(self.samples(), default=(0, 0.0)):
                return web.Response(status=400, text="out of order sample")
            self._take(samples)
        return None

    def _take(self, samples: set[Sample]) -> None:
        self._taken += [(self._clock.real_ns() // 10**6, sample) for sample in samples]

    def samples(self) -> set[Sample]:
        return {sample for _, sample in self._taken}

    def lose(self, last_s: float) -> set[Sample]:
        """Forget what was taken within `last_s`; returns what is left."""
        end_ms = self._clock.real_ns() // 10**6 - last_s * 1000
        self._taken = [entry for entry in self._taken if entry[0] < end_ms]
        return self.samples()


@pytest.mark.parametrize(
    ("path", "step_s"),
    [(IMPORT, 0), (IMPORT, 300), (IMPORT, -90), (WRITE, 0), (WRITE, 300)],
    ids=["any order", "clock ahead", "clock behind, as without a battery", "in order", "in order, clock ahead"],
)
def test_what_had_reached_the_disk_is_in_the_receiver_in_the_end(
    tmp_path: Path, clock: Any, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, path: str, step_s: int
) -> None:
    monkeypatch.setattr(gate, "BACKOFF_FIRST_S", 0.01)
    monkeypatch.setattr(target, "COMMIT_MIN_S", 0.1)
    disk = Disk(tmp_path / "state", tmp_path / "attic", monkeypatch)

    async def main() -> None:
        async with Receiver(path) as receiver:
            world = Numbered(tmp_path, clock, snapshot, receiver, spool=Spool(keep_s=KEEP_S))
            ledger = Ledger(clock)
            receiver.judge = ledger.judge if path == IMPORT else ledger.judge_in_order
            receiver.metrics = METRICS.format(start=1, age=1000)
            begin_ns = clock.now_ns
            task = world.start()
            await world.until(lambda: clock.now_ns - begin_ns > 5 * KEEP_S * 10**9 and world.target.counts["syncs"] > 5)
            await world.until(lambda: "receiver_started" in world.target.spool.notes)

            image = disk.image()
            kept = ledger.lose(LOST_S)
            judge, receiver.judge = receiver.judge, lambda _body: None
            await world.stop(task)
            disk.restore(image)
            (tmp_path / "run" / "push-vm.mark").unlink()
            forced = {
                (row.at_ms, float(row.values[0]))
                for file in disk.every_file(image, tmp_path / "copies")
                for row in Content(file).rows(0)
            }
            assert forced - kept, "otherwise nothing is proved"

            clock.real_offset_ns += step_s * 10**9
            receiver.judge = judge
            receiver.metrics = METRICS.format(start=2, age=0)
            world.pushers = world.new_pushers()
            task = world.start()
            await world.until(lambda: world.target.counts["restarts"] == 1)
            await world.until(lambda: forced <= ledger.samples())
            await world.stop(task)
            assert 0 < world.target.spool.replayed < len(forced), "the tail is sent again, and not everything"
            assert sum(world.target.spool.dropped.values()) == 0

    asyncio.run(main())
