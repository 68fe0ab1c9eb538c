"""Real rings, a real engine, and between them what happens to both in a crash."""

from pathlib import Path

import msgpack
import pytest

from clocks import TurnedClock
from energyd import samples
from energyd.aggregate.engine import Engine
from energyd.aggregate.readers import ReaderBook
from energyd.feed import Feed, Follower
from energyd.ring.reader import RingReader
from energyd.ring.writer import RingWriter
from energyd.units import NS_PER_S

ZONE = {"zone": "package-0", "domain": "package", "source": "simulated", "range_uj": 10**9, "additive": True, "max_power_uw": 0}


class Machine:
    """A `rapl` and a `usage` writer that sample one zone of 10 W and one process of half a CPU."""

    def __init__(self, run_dir: Path, capacity=4096):
        self.clock = TurnedClock(100 * NS_PER_S)
        self.run_dir, self.capacity = run_dir, capacity
        self.cpu_ns = self.energy_uj = 0
        self.open_energy()
        self.usage = RingWriter.open(run_dir, "usage", samples.USAGE, capacity, self.clock)
        self.process = self.usage.label({"kind": "process", "pid": 7, "start_ticks": 1, "comm": "burner"})

    def open_energy(self):
        self.energy = RingWriter.open(self.run_dir, "rapl", samples.RAPL, self.capacity, self.clock)
        self.zone = self.energy.label(ZONE)

    def run(self, seconds):
        for _ in range(seconds * 10):
            self.clock.now_ns += NS_PER_S // 10
            now_ns = self.clock.now_ns
            self.energy_uj += 1_000_000
            self.cpu_ns += NS_PER_S // 20
            self.energy.append(self.zone, now_ns, (self.energy_uj, 0, 0, 0))
            self.energy.end_batch(now_ns, now_ns, 0)
            self.energy.heartbeat()
            self.usage.append(samples.PROCESS, now_ns, (self.process, 7, 1, self.cpu_ns, 0))
            self.usage.append(samples.CONTROL, now_ns, (0, 0, 0, self.cpu_ns, 0))
            self.usage.end_batch(now_ns, now_ns, 0)

    def close(self):
        self.energy.close()
        self.usage.close()


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    machine.close()


def started(run_dir, saved=None):
    engine = Engine(top=10, proportional_idle=False)
    if saved:
        engine.restore(saved["engine"], same_boot=True)
    return engine, Feed(run_dir, engine, saved["cursors"] if saved else None)


def save(engine, feed):
    return msgpack.unpackb(msgpack.packb({"engine": engine.state(), "cursors": feed.cursors()}), strict_map_key=False)


def energies(engine):
    shot = engine.snapshot(mono_ns=0, real_ns=0, ready=True, rings=())
    [zone], [process] = shot.zones, shot.processes.visible
    return zone.energy_uj, process.energy_uj + shot.processes.other_energy_uj


def test_rings_that_do_not_exist_yet_are_waited_for(tmp_path):
    engine, feed = started(tmp_path)
    feed.pull()
    assert [ring.heartbeat_age_ns for ring in feed.rings(0)] == [None, None]
    machine = Machine(tmp_path)
    machine.run(3)
    feed.pull()
    machine.close()
    assert energies(engine)[0] == 29 * 1_000_000  # the first sample is the baseline


def test_a_process_gets_what_its_zone_used(machine, tmp_path):
    engine, feed = started(tmp_path)
    machine.run(5)
    feed.pull()
    assert energies(engine) == (49_000_000, 49_000_000)


def test_a_killed_aggregator_replays_what_came_after_its_saved_state(machine, tmp_path):
    engine, feed = started(tmp_path)
    machine.run(3)
    feed.pull()
    saved = save(engine, feed)
    machine.run(4)
    feed.pull()
    again, replay = started(tmp_path, saved)
    replay.pull()
    assert energies(again) == energies(engine)


def test_a_reader_that_starts_a_new_ring_breaks_no_total(machine, tmp_path):
    engine, feed = started(tmp_path)
    machine.run(3)
    feed.pull()
    machine.energy.close()
    (tmp_path / "rapl.ring").unlink()
    machine.open_energy()
    machine.run(3)
    feed.pull()
    feed.pull()
    assert energies(engine)[0] == 59_000_000


def test_an_aggregator_that_slept_too_long_counts_the_overrun_and_loses_no_energy(tmp_path):
    machine = Machine(tmp_path, capacity=64)
    engine, feed = started(tmp_path)
    machine.run(1)
    feed.pull()
    machine.run(30)
    feed.pull()
    rings = {ring.name: ring for ring in feed.rings(machine.clock.now_ns)}
    machine.close()
    assert rings["rapl"].overruns > 0
    assert energies(engine)[0] == 309_000_000


def test_a_ring_of_another_schema_is_named_with_the_mend(tmp_path):
    clock = TurnedClock(100 * NS_PER_S)
    RingWriter.open(tmp_path, "rapl", samples.USAGE, 64, clock).close()
    _, feed = started(tmp_path)
    feed.pull()
    [fault] = feed.faults()
    assert "rapl.ring" in fault
    assert "restart" in fault


def test_the_snapshot_says_how_new_its_samples_are_and_up_to_when_energy_was_given_away(machine, tmp_path):
    engine, feed = started(tmp_path)
    feed.pull()
    assert [ring.newest_mono_ns for ring in feed.rings(0)] == [0, 0]
    machine.run(3)
    feed.pull()
    now_ns = machine.clock.now_ns
    assert [ring.newest_mono_ns for ring in feed.rings(now_ns)] == [now_ns, now_ns]
    assert engine.snapshot(mono_ns=now_ns, real_ns=0, ready=True, rings=()).attributed_mono_ns == now_ns


def test_the_heartbeat_of_a_ring_has_an_age(machine, tmp_path):
    _, feed = started(tmp_path)
    machine.run(1)
    feed.pull()
    ages = {ring.name: ring.heartbeat_age_ns for ring in feed.rings(machine.clock.now_ns + 5)}
    assert ages["rapl"] == 5


def test_labels_of_a_ring_that_was_replaced_are_forgotten_before_its_successor_names_anybody(tmp_path):
    machine, heard = Machine(tmp_path), []
    reader = RingReader(tmp_path, "usage", samples.USAGE)
    follower = Follower(
        reader,
        ReaderBook(samples.USAGE.name),
        feed=lambda records: heard.append("records"),
        label=lambda identifier, entry: heard.append(entry["comm"]),
        forget_labels=lambda: heard.append("forget"),
    )
    machine.run(1)
    follower.pull()
    machine.usage.rotate()
    machine.usage.label({"kind": "process", "pid": 8, "start_ticks": 1, "comm": "heir"})
    machine.run(1)
    while follower.pull():
        pass
    reader.close()
    machine.close()

    assert heard == ["burner", "records", "forget", "heir", "records"]
    assert follower.replaced
