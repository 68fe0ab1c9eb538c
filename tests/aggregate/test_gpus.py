"""The energy of GPUs: an account of its own, shared by what the driver tells, to the last microjoule."""

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import World, new_engine, snapshot

from energyd import samples
from energyd.aggregate.sums import Sums
from energyd.units import NS_PER_S

GPU = 77
STRANGER = 99_999
POWER_W = 300


class GpuWorld(World):
    """A machine with a GPU whose driver tells once a second who has used it."""

    def __init__(self, seed, **more):
        super().__init__(seed, **more)
        self.gpu_uj, self.told_ns = 5_000_000, 0
        self.users = None  # pids and weights; None = whoever lives, at random
        self.labels.append(
            ("rapl", GPU, {"zone": "gpu-0", "domain": "gpu", "source": "nvidia", "additive": False, "baseline": "x"})
        )

    def sweep(self):
        self.energy.add(GPU, self.now_ns, (self.gpu_uj, 500, 0, 0))
        if self.now_ns - self.told_ns >= NS_PER_S:
            self.told_ns = self.now_ns
            users = self.users
            if users is None:
                living = [process[0] for process in self.processes.values()]
                users = [(pid, self.random.randrange(100)) for pid in (*living, STRANGER) if self.random.random() < 0.4]
            for pid, weight in [(0, 0), *users]:
                self.energy.add(GPU, self.now_ns, (weight, 0, pid, 0), samples.USED)
        super().sweep()

    def advance(self, step_ns):
        super().advance(step_ns)
        self.gpu_uj += POWER_W * step_ns // 1000


def check(shot, world):
    gpus = shot.gpus
    [zone] = gpus.zones
    assert min(zone.processes_uj, zone.unknown_uj, zone.idle_uj, zone.pending_uj) >= 0
    shared_uj = zone.processes_uj
    assert sum(process.energy_uj for process in gpus.processes) + gpus.other_process_uj + gpus.gone_process_uj == shared_uj
    assert sum(group[-1] for group in gpus.groups) + gpus.other_group_uj + gpus.gone_group_uj == shared_uj
    return zone


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.booleans())
def test_every_microjoule_of_a_gpu_is_one_process_ones_strangers_or_idle(seed, cgroups):
    world, engine = GpuWorld(seed, cgroups=cgroups), new_engine()
    before = None
    for _ in range(6):
        world.run(2)
        world.feed(engine)
        shot = snapshot(engine, world)
        if not shot.gpus.zones:
            continue
        zone = check(shot, world)
        total_uj = zone.processes_uj + zone.unknown_uj + zone.idle_uj + zone.pending_uj
        [measured] = [each.energy_uj for each in shot.zones if each.name == "gpu-0"]
        if before is not None:
            assert total_uj - before[0] == measured - before[1], "nothing is lost between two looks"
        before = total_uj, measured
    assert before is not None
    assert not any(zone.additive for zone in shot.zones if zone.name == "gpu-0")


def test_shares_follow_the_weights_and_an_idle_gpu_is_nobodys():
    world, engine = GpuWorld(5, faults=False), new_engine()
    first, second = [process[0] for process in list(world.processes.values())[:2]]
    world.users = [(first, 60), (second, 20), (STRANGER, 20)]
    world.run(12)
    world.users = []
    world.run(4)
    world.feed(engine)
    shot = snapshot(engine, world)
    zone = check(shot, world)
    by_pid = {process.pid: process.energy_uj for process in shot.gpus.processes}
    assert by_pid[first] == pytest.approx(3 * by_pid[second], abs=20)
    assert zone.unknown_uj == pytest.approx(by_pid[second], abs=20)
    assert zone.idle_uj == pytest.approx(POWER_W * 4_000_000, rel=0.3)
    assert zone.processes_uj + zone.unknown_uj == pytest.approx(POWER_W * 11_000_000, rel=0.15)


def test_a_restart_goes_on_with_the_same_sums():
    world = GpuWorld(8, cgroups=True)
    survivor, restarted = new_engine(), new_engine()
    world.run(7)
    world.feed(survivor)
    restarted.restore(msgpack.unpackb(msgpack.packb(survivor.state()), strict_map_key=False), same_boot=True)
    world.run(5)
    energy, usage, labels = world.energy.take(), world.usage.take(), list(world.labels)
    world.feed(survivor, energy, usage)
    world.labels = labels
    world.feed(restarted, energy, usage)
    assert snapshot(restarted, world).gpus == snapshot(survivor, world).gpus
    rebooted = new_engine()
    rebooted.restore(survivor.state(), same_boot=False)
    old = snapshot(survivor, world).gpus
    gone_uj = sum(process.energy_uj for process in old.processes) + old.gone_process_uj
    assert (snapshot(rebooted, world).gpus.processes, snapshot(rebooted, world).gpus.gone_process_uj) == ((), gone_uj)
    assert snapshot(rebooted, world).gpus.zones[0].processes_uj == old.zones[0].processes_uj


def test_sums_have_room_for_so_many_and_the_others_are_one():
    import numpy as np

    sums = Sums(2)
    sums.add(np.array([1, 2, 3, 1]), np.array([10, 20, 30, 40]))
    assert (sums.energy_uj, sums.other_uj) == ({1: 50, 2: 20}, 30)
    sums.forget([1, 9])
    sums.add(np.array([3]), np.array([5]))
    assert (sums.energy_uj, sums.other_uj, sums.gone_uj) == ({2: 20, 3: 5}, 30, 50)
