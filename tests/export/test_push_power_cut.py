"""The power fails for energyd, its disk and the receiver together: what had reached the disk is in the receiver in the end."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pushworld import Receiver, World, lines

from energyd.aggregate.snapshot import Snapshot
from energyd.config import Spool
from energyd.export import gate, target
from energyd.spool.segments import Content
from powercut import Disk

KEEP_S = 10
LOST_S = KEEP_S - 2
METRICS = "vm_app_start_timestamp {start}\nvm_app_uptime_seconds {age}\n"

Sample = tuple[int, float]  # milliseconds, value


class Numbered(World):
    """A house in which each tick has a value of its own."""

    def fold(self) -> Snapshot:
        snapshot = super().fold()
        return snapshot._replace(processes=snapshot.processes._replace(alive=self.ticks))


class Ledger:
    """What the receiver took when, of which it loses the last when its power fails."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._taken: list[tuple[int, Sample]] = []

    def judge(self, body: bytes) -> None:
        for line in lines(body):
            _, value, at_ms = line.split()
            self._taken.append((self._clock.real_ns() // 10**6, (int(at_ms), float(value))))

    def samples(self) -> set[Sample]:
        return {sample for _, sample in self._taken}

    def lose(self, last_s: float) -> set[Sample]:
        """Forget what was taken within `last_s`; returns what is left."""
        end_ms = self._clock.real_ns() // 10**6 - last_s * 1000
        self._taken = [entry for entry in self._taken if entry[0] < end_ms]
        return self.samples()


@pytest.mark.parametrize("step_s", [0, 300, -90], ids=["", "clock ahead", "clock behind, as without a battery"])
def test_what_had_reached_the_disk_is_in_the_receiver_in_the_end(
    tmp_path: Path, clock: Any, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, step_s: int
) -> None:
    monkeypatch.setattr(gate, "BACKOFF_FIRST_S", 0.01)
    monkeypatch.setattr(target, "COMMIT_MIN_S", 0.1)
    disk = Disk(tmp_path / "state", tmp_path / "attic", monkeypatch)

    async def main() -> None:
        async with Receiver() as receiver:
            world = Numbered(tmp_path, clock, snapshot, receiver, spool=Spool(keep_s=KEEP_S))
            ledger = Ledger(clock)
            receiver.judge = ledger.judge
            receiver.metrics = METRICS.format(start=1, age=1000)
            begin_ns = clock.now_ns
            task = world.start()
            await world.until(lambda: clock.now_ns - begin_ns > 5 * KEEP_S * 10**9 and world.target.counts["syncs"] > 5)
            await world.until(lambda: "receiver_started" in world.target.spool.notes)

            image = disk.image()
            kept = ledger.lose(LOST_S)
            receiver.judge = lambda _body: None
            await world.stop(task)
            disk.restore(image)
            (tmp_path / "run" / "push-vm.mark").unlink()
            forced = {
                (row.at_ms, float(row.values[0]))
                for path in disk.every_file(image, tmp_path / "copies")
                for row in Content(path).rows(0)
            }
            assert forced - kept, "otherwise nothing is proved"

            clock.real_offset_ns += step_s * 10**9
            receiver.judge = ledger.judge
            receiver.metrics = METRICS.format(start=2, age=0)
            world.pushers = world.new_pushers()
            task = world.start()
            await world.until(lambda: world.target.counts["restarts"] == 1)
            await world.until(lambda: forced <= ledger.samples())
            await world.stop(task)
            assert 0 < world.target.spool.replayed < len(forced), "the tail is sent again, and not everything"
            assert sum(world.target.spool.dropped.values()) == 0

    asyncio.run(main())
