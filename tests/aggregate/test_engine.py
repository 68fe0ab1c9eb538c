"""The laws of attribution, on simulated machines of which everything is known."""

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import SCAN_NS, World, cut_at_batches, new_engine, snapshot

from energyd import samples
from energyd.aggregate.idle import IdleBaseline
from energyd.aggregate.ranking import Ranking
from energyd.units import NS_PER_S, UJ_PER_J, UW_PER_W

seeds = st.integers(0, 10**6)


def saved(engine):
    """The state as it comes back from a file."""
    return msgpack.unpackb(msgpack.packb(engine.state()), strict_map_key=False)


def assert_conserved(shot):
    for zone in shot.zones:
        parts = [zone.processes_uj, zone.exited_uj, zone.idle_uj, zone.unattributed_uj, zone.pending_uj]
        assert sum(parts) == zone.energy_uj
        assert min(parts) >= 0
    shown = sum(process.energy_uj for process in shot.processes.visible) + shot.processes.other_energy_uj
    given_uj = sum(zone.processes_uj for zone in shot.zones)
    assert shown + shot.processes.gone_energy_uj + shot.processes.hidden_energy_uj == given_uj


@settings(deadline=None, max_examples=40)
@given(seeds, st.booleans())
def test_every_microjoule_has_exactly_one_owner(seed, proportional):
    """With wraps, births, deaths, reused pids, failed reads and short-lived work, the parts are the whole at every fold."""
    world, engine = World(seed), new_engine(proportional_idle=proportional)
    for _ in range(8):
        world.run(2.5)
        world.feed(engine)
        assert_conserved(snapshot(engine, world))


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(2, 12))
def test_when_and_how_often_it_is_folded_changes_no_total(seed, pieces):
    once, often = new_engine(), new_engine()
    world = World(seed)
    world.run(15)
    labels, energy, usage = list(world.labels), world.energy.take(), world.usage.take()
    world.feed(once, energy, usage)
    world.labels = labels
    for energy_piece, usage_piece in zip(
        cut_at_batches(energy, pieces, seed), cut_at_batches(usage, pieces, seed + 1), strict=True
    ):
        world.feed(often, energy_piece, usage_piece)
    assert snapshot(once, world) == snapshot(often, world)


def test_a_replay_that_knows_a_name_before_its_process_is_born_counts_that_process():
    """After a crash without a saved state all labels come first; a keyframe from before the birth does not end the unborn."""
    world, engine = World(1, faults=False, zones=1), new_engine(top=50)
    world.run(1)
    old = set(world.processes)
    while set(world.processes) == old:
        world.birth()
    [newborn] = [process for identifier, process in world.processes.items() if identifier not in old]
    newborn[3] = 25
    world.run(4)
    world.feed(engine)

    cpu_ns = {process.pid: process.cpu_ns for process in snapshot(engine, world).processes.visible}
    assert cpu_ns[newborn[0]] == pytest.approx(0.25 * 4 * NS_PER_S, rel=0.15)


@settings(deadline=None, max_examples=25)
@given(seeds)
def test_a_restart_from_a_saved_state_arrives_at_the_same_totals(seed):
    """State is saved, the process dies, another one restores it and replays what the rings still hold."""
    world, survivor = World(seed), new_engine()
    world.run(6)
    labels = list(world.labels)
    world.feed(survivor)
    restarted = new_engine()
    restarted.restore(saved(survivor), same_boot=True)
    world.run(6)
    energy, usage, late_labels = world.energy.take(), world.usage.take(), list(world.labels)
    world.feed(survivor, energy, usage)
    world.labels = late_labels
    world.feed(restarted, energy, usage)
    assert labels
    before, after = snapshot(survivor, world), snapshot(restarted, world)
    assert after.zones == before.zones
    assert after.processes.other_energy_uj == before.processes.other_energy_uj
    assert {p.pid: p.energy_uj for p in after.processes.visible} == {p.pid: p.energy_uj for p in before.processes.visible}


@settings(deadline=None, max_examples=25)
@given(seeds)
def test_no_total_ever_goes_back(seed):
    world, engine = World(seed), new_engine()
    before = None
    for _ in range(10):
        world.run(1.5)
        world.feed(engine)
        shot = snapshot(engine, world)
        if before is not None:
            for old, new in zip(before.zones, shot.zones, strict=True):
                for part in ("energy_uj", "processes_uj", "exited_uj", "idle_uj", "unattributed_uj"):
                    assert getattr(new, part) >= getattr(old, part)
            assert shot.processes.other_energy_uj >= before.processes.other_energy_uj
            assert shot.processes.gone_energy_uj >= before.processes.gone_energy_uj
            assert shot.host.exited_cpu_ns >= before.host.exited_cpu_ns
        before = shot


@settings(deadline=None, max_examples=25)
@given(seeds)
def test_what_is_measured_is_what_was_used(seed):
    """Through wraps every few hundred milliseconds and failed reads, the zones' totals equal the simulated truth."""
    world, engine = World(seed, range_uj=30_000_000), new_engine()
    world.faults = False
    world.run(20)
    world.feed(engine)
    for zone, true_uj, start_uj in zip(snapshot(engine, world).zones, world.true_uj, world.start_uj, strict=True):
        assert zone.energy_uj == true_uj - start_uj
        assert zone.resets == 0


def test_steady_load_leaves_nothing_unattributed():
    world, engine = World(7, faults=False), new_engine()
    world.run(30)
    world.feed(engine)
    for zone in snapshot(engine, world).zones:
        assert zone.unattributed_uj <= 0.005 * zone.energy_uj
        assert zone.pending_uj <= 1_000_000 * 30  # under a second of it


def test_two_burners_at_one_to_three_get_one_and_three_parts():
    world, engine = World(3, faults=False, zones=1), new_engine(top=50)
    for process in world.processes.values():
        process[3] = 0
    burners = list(world.processes.values())[:2]
    burners[0][3], burners[1][3] = 20, 60
    world.run(10)
    world.feed(engine)
    energy_of = {process.pid: process.energy_uj for process in snapshot(engine, world).processes.visible}
    assert energy_of[burners[1][0]] / energy_of[burners[0][0]] == pytest.approx(3, rel=0.02)


def test_idle_power_is_absent_until_it_has_been_seen_then_kept_apart():
    world, engine = World(3, faults=False, zones=1), new_engine()
    for process in world.processes.values():
        process[3] = 50
    world.run(12)
    world.feed(engine)
    assert snapshot(engine, world).zones[0].idle_uj == 0
    for process in world.processes.values():
        process[3] = 0
    world.power_w[0] = 4
    world.run(12)
    world.feed(engine)
    world.power_w[0] = 24
    for process in world.processes.values():
        process[3] = 50
    before_uj = snapshot(engine, world).zones[0].idle_uj
    world.run(10)
    world.feed(engine)
    assert snapshot(engine, world).zones[0].idle_uj - before_uj == pytest.approx(4_000_000 * 10, rel=0.06)


@pytest.mark.parametrize("powers_w", [(8, 4, 6), (4, 8, 6), (6, 8, 4)])
def test_the_idle_power_is_the_least_of_all_quiet_windows(powers_w):
    baseline = IdleBaseline()
    for power_w in powers_w:
        for _ in range(10):
            baseline.observe(power_w * UJ_PER_J, NS_PER_S, 0.01)
    assert baseline.power_uw == 4 * UW_PER_W


def test_a_zone_that_begins_within_an_interval_idles_only_from_then_on():
    world, engine = World(3, faults=False, zones=1), new_engine()
    world.scan(keyframe=True)
    world.advance(NS_PER_S * 4 // 10)
    world.sweep()
    world.feed(engine)
    engine.zones.zones["package-0"].idle.power_uw = 4 * UW_PER_W
    world.power_w[0] = 24
    world.advance(NS_PER_S // 10)
    world.sweep()
    world.scan()
    world.advance(NS_PER_S // 10)
    world.sweep()
    world.feed(engine)
    zone = snapshot(engine, world).zones[0]
    assert zone.idle_uj == 4 * UJ_PER_J // 10


def test_who_goes_leaves_energy_and_cpu_time_behind():
    ranking = Ranking(2)
    ranking.make_room(3)
    slots = np.arange(3)
    ranking.book(slots, np.array([50, 30, 7]), np.array([500, 300, 70]), NS_PER_S, True)
    ranking.clear([0, 2])
    assert (ranking.gone_energy_uj, ranking.gone_cpu_ns) == (50, 500)
    assert (ranking.other_energy_uj, ranking.other_cpu_ns) == (7, 70)
    assert int(ranking.energy_uj.sum()) == 30
    assert int(ranking.cpu_ns.sum()) == 300


def test_cpu_time_is_counted_where_there_is_no_power_source():
    world, engine = World(5, faults=False, zones=0), new_engine()
    world.run(5)
    world.feed(engine)
    shot = snapshot(engine, world)
    assert shot.host.energy_uj is None
    assert sum(process.cpu_ns for process in shot.processes.visible) > 0


def test_a_host_whose_counter_was_never_read_has_no_energy_not_even_none():
    world, engine = World(5, faults=False, zones=1), new_engine()
    for _ in range(20):
        world.advance(NS_PER_S // 10)
        world.energy.add(1, world.now_ns, (13, 0, 0, 0), samples.FAILED)
        world.energy.close(world.now_ns)
        world.scan()
    world.feed(engine)
    shot = snapshot(engine, world)
    assert [(zone.additive, zone.readable, zone.measured) for zone in shot.zones] == [(True, False, False)]
    assert shot.host.energy_uj is None
    world.run(2)
    world.feed(engine)
    assert snapshot(engine, world).host.energy_uj is not None


def test_a_zone_that_falls_silent_holds_up_the_others_for_two_seconds_only_and_gets_back_what_it_used():
    world, engine = World(5, faults=False, zones=2), new_engine()
    world.run(2)
    world.feed(engine)
    silent_uj = world.true_uj[1]
    for _ in range(50):
        world.advance(NS_PER_S // 10)
        world.energy.add(1, world.now_ns, (world.true_uj[0] % (world.range_uj + 1), 0, 0, 0))
        world.energy.add(2, world.now_ns, (5, 0, 0, 0), samples.FAILED)
        world.energy.close(world.now_ns)
        world.scan()
    world.feed(engine)
    first, second = snapshot(engine, world).zones
    assert first.pending_uj <= world.power_w[0] * 2_200_000
    assert not second.readable
    world.range_uj = 10**12
    world.true_uj[1] = silent_uj + world.power_w[1] * 5_000_000
    world.run(2)
    world.feed(engine)
    shot = snapshot(engine, world)
    assert_conserved(shot)
    assert shot.zones[1].unattributed_uj >= world.power_w[1] * 3_000_000  # what nobody waited for is not given to who came later


def test_a_reboot_keeps_the_totals_and_starts_the_baselines_anew():
    world, engine = World(9), new_engine()
    world.run(5)
    world.feed(engine)
    before = snapshot(engine, world)
    rebooted = new_engine()
    rebooted.restore(saved(engine), same_boot=False)
    fresh = World(10)
    fresh.run(5)
    fresh.feed(rebooted)
    after = snapshot(rebooted, fresh)
    assert_conserved(after)
    for old, new in zip(before.zones, after.zones, strict=True):
        assert new.energy_uj > old.energy_uj


def test_a_series_that_comes_and_goes_is_never_set_back():
    """Processes take turns in two places: who was out of view goes on from where it was."""
    away = 0
    for seed in range(6):
        world, engine, counted = World(seed, faults=False), new_engine(top=2), {}
        for turn in range(12):
            for number, process in enumerate(world.processes.values()):
                process[3] = 90 if number == turn % len(world.processes) else 0
            world.run(5 + 5 * turn)
            world.feed(engine)
            shown = {process.pid: process.energy_uj for process in snapshot(engine, world).processes.visible}
            away += len(counted.keys() - shown.keys())
            assert all(energy_uj >= counted.get(pid, 0) for pid, energy_uj in shown.items())
            counted |= shown
    assert away


def test_a_pid_that_is_used_again_is_shown_once():
    """The old owner waits for its last interval when the new one, of the same name, is already known."""
    world, engine = World(1, faults=False, zones=1), new_engine(top=50)
    world.run(3)
    world.feed(engine)
    identifier, (pid, start_ticks, cpu_ns, _) = next(iter(world.processes.items()))
    world.usage.add(samples.PROCESS, world.now_ns, (identifier, pid, start_ticks, cpu_ns, 0), samples.GONE)
    heir = {"kind": "process", "pid": pid, "start_ticks": world.now_ns // 10**7, "comm": f"p{pid}", "cgroup": "/", "uid": 0}
    world.labels.append(("usage", 999, heir))
    world.now_ns += NS_PER_S // 2  # no sweep yet: the interval cannot be settled
    world.usage.add(samples.PROCESS, world.now_ns, (999, pid, heir["start_ticks"], 5_000_000, 0))
    world.usage.close(world.now_ns)
    world.feed(engine)

    shown = [process.pid for process in snapshot(engine, world).processes.visible]
    assert shown.count(pid) <= 1
    assert len(shown) == len(set(shown))


def test_who_is_missing_from_a_keyframe_has_ended_though_nobody_saw_it_go():
    """The record of the end was overwritten before it was read."""
    world, engine = World(3, faults=False, zones=1), new_engine(top=50)
    world.run(2)
    world.feed(engine)
    before = snapshot(engine, world).processes
    lost = next(iter(world.processes))
    pid = world.processes.pop(lost)[0]
    world.advance(SCAN_NS)
    world.sweep()
    world.scan()
    world.feed(engine)
    assert snapshot(engine, world).processes.alive == before.alive
    world.run(1)
    world.feed(engine)
    after = snapshot(engine, world).processes
    assert after.alive == before.alive - 1
    assert pid not in [process.pid for process in after.visible]
    assert_conserved(snapshot(engine, world))


def test_memory_stays_flat_while_processes_come_and_go():
    """Slots of the dead are used again: 100 000 processes born and gone need no more of them than live at once."""
    engine = new_engine(top=5)
    world = World(1, faults=False, zones=1)
    world.processes.clear()
    world.labels = [label for label in world.labels if label[0] == "rapl"]
    world.run(0)
    for generation in range(5000):
        for number in range(20):
            identifier = world.next_id
            world.next_id += 1
            ticks = world.now_ns // 10_000_000
            entry = {"kind": "process", "pid": 100 + number, "start_ticks": ticks + generation, "comm": "x"}
            world.labels.append(("usage", identifier, entry))
            world.usage.add(samples.PROCESS, world.now_ns, (identifier, 100 + number, ticks, 5, 0), samples.GONE)
        world.usage.close(world.now_ns)
        world.advance(NS_PER_S // 2)
        world.sweep()
        world.feed(engine)
        if generation == 500:
            early = len(msgpack.packb(engine.state()))
    assert len(engine.table.last_cpu_ns) <= 60
    assert len(msgpack.packb(engine.state())) < 1.1 * early, "all that is kept, not the slots alone"


def test_sliding_windows_are_saved_apart_and_go_on():
    world, engine = World(4, faults=False), new_engine()
    world.run(10)
    world.feed(engine)
    again = new_engine()
    again.restore(saved(engine), same_boot=True)
    again.restore_windows(msgpack.unpackb(msgpack.packb(engine.windows_state())))
    assert snapshot(again, world).host.windows == snapshot(engine, world).host.windows


def test_a_control_total_that_lags_behind_leaves_a_debt_that_is_paid_and_no_energy_that_is_invented():
    """Every other control total is read 4 ms early: what the clocks are ahead by must not come back as time of exited tasks."""
    world, engine = World(1, faults=False, zones=1), new_engine()
    for process in world.processes.values():
        process[3] = 20
    world.run(1)
    for step in range(40):
        world.advance(NS_PER_S // 10)
        world.sweep()
        lag_ns = 4_000_000 * (step % 2)
        world.control_ns -= lag_ns
        world.scan()
        world.control_ns += lag_ns
    world.feed(engine)
    assert snapshot(engine, world).host.exited_cpu_ns == 0
