"""The laws of groups, on simulated machines of which everything is known."""

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import World, cut_at_batches, new_engine, snapshot

from energyd import samples
from energyd.aggregate.processes import COMMANDS_KEPT
from energyd.config import GroupRule
from energyd.groups.grouper import Grouper
from energyd.units import NS_PER_S, UJ_PER_WH

seeds = st.integers(0, 10**6)
worlds = st.builds(World, seeds, cgroups=st.booleans(), records=st.booleans(), packages=st.booleans())


def saved(engine):
    return msgpack.unpackb(msgpack.packb(engine.state()), strict_map_key=False)


def assert_conserved(shot):
    """Family by family, to the last microjoule: groups + ungrouped + idle + unattributed + pending is the host."""
    groups, processes = shot.groups, shot.processes
    given_uj = sum(zone.processes_uj + zone.exited_uj for zone in shot.zones)
    parts = [*(group.energy_uj for group in groups.visible), groups.hidden_energy_uj, groups.other_energy_uj, groups.gone_energy_uj]
    assert sum(parts) + groups.ungrouped_energy_uj == given_uj
    assert min(*parts, groups.ungrouped_energy_uj, 0) == 0
    rest_uj = sum(zone.idle_uj + zone.unattributed_uj + zone.pending_uj for zone in shot.zones)
    assert sum(parts) + groups.ungrouped_energy_uj + rest_uj == shot.host.energy_uj
    named = [*(process.energy_uj for process in processes.visible), processes.other_energy_uj, processes.gone_energy_uj]
    assert sum(named) + processes.hidden_energy_uj == sum(zone.processes_uj for zone in shot.zones)


def cpu_of(shot, name):
    return sum(group.cpu_ns for group in shot.groups.visible if group.group == name)


@settings(deadline=None, max_examples=60)
@given(worlds, st.integers(0, 5), st.integers(0, 4))
def test_every_microjoule_has_exactly_one_group(world, top, max_groups):
    """With nested, removed and remade control groups, moves, births, deaths, reused pids, wraps, failed reads and exit records."""
    engine = new_engine(top=top, max_groups=max_groups)
    for _ in range(8):
        world.run(2.5)
        world.feed(engine)
        shot = snapshot(engine, world)
        assert_conserved(shot)
        assert len(shot.groups.visible) <= max_groups


@settings(deadline=None, max_examples=40)
@given(worlds, st.integers(0, 4), st.lists(st.integers(0, 10**6), min_size=8, max_size=8))
def test_every_microjoule_of_a_group_is_charged_once_at_the_price_in_force(world, max_groups, prices):
    """Groups come into view, go out of it and are forgotten; the whole is restarted in the middle."""
    engine, costs_exact, charged_before = new_engine(max_groups=max_groups), 0, 0
    for number, price in enumerate(prices):
        engine.groups.costs.price_neur_per_wh = price
        world.run(2.5)
        world.feed(engine)
        groups = snapshot(engine, world).groups
        booked_uj = groups.hidden_energy_uj + groups.other_energy_uj + groups.gone_energy_uj
        booked_uj += sum(group.energy_uj for group in groups.visible)
        costs_exact += (booked_uj - charged_before) * price
        charged_before = booked_uj
        parts = [groups.hidden_cost_neur, groups.other_cost_neur, groups.gone_cost_neur]
        parts += [group.cost_neur for group in groups.visible]
        if booked_uj:
            assert min(parts) >= 0
            assert 0 <= costs_exact // UJ_PER_WH - sum(parts) <= len(parts), "each part is rounded down to a nano-euro"
        if number == 4:
            again = new_engine(max_groups=max_groups)
            again.restore(saved(engine), same_boot=True)
            engine = again


@settings(deadline=None, max_examples=40)
@given(worlds, seeds, st.integers(2, 12))
def test_when_and_how_often_it_is_folded_changes_no_group(world, seed, pieces):
    once, often = new_engine(max_groups=3), new_engine(max_groups=3)
    world.run(15)
    labels, energy, usage = list(world.labels), world.energy.take(), world.usage.take()
    world.feed(once, energy, usage)
    world.labels = labels
    for parts in zip(cut_at_batches(energy, pieces, seed), cut_at_batches(usage, pieces, seed + 1), strict=True):
        world.feed(often, *parts)
    assert snapshot(once, world) == snapshot(often, world)


@settings(deadline=None, max_examples=40)
@given(worlds)
def test_a_restart_from_a_saved_state_arrives_at_the_same_groups(world):
    survivor, restarted = new_engine(max_groups=3), new_engine(max_groups=3)
    world.run(6)
    world.feed(survivor)
    assert restarted.restore(saved(survivor), same_boot=True) is False
    world.run(6)
    energy, usage, labels = world.energy.take(), world.usage.take(), list(world.labels)
    world.feed(survivor, energy, usage)
    world.labels = labels
    world.feed(restarted, energy, usage)
    before, after = snapshot(survivor, world), snapshot(restarted, world)
    assert [group._replace(power_w=0, windows=()) for group in after.groups.visible] == [
        group._replace(power_w=0, windows=()) for group in before.groups.visible
    ]
    assert after.groups._replace(visible=(), other_power_w=0) == before.groups._replace(visible=(), other_power_w=0)


@settings(deadline=None, max_examples=40)
@given(worlds, st.integers(1, 3))
def test_no_sum_over_groups_ever_goes_back(world, max_groups):
    engine, before = new_engine(max_groups=max_groups), None
    for _ in range(10):
        world.run(1.5)
        world.feed(engine)
        groups = snapshot(engine, world).groups
        if before is not None:
            for name in (
                "other_energy_uj",
                "other_cpu_ns",
                "gone_energy_uj",
                "gone_cpu_ns",
                "ungrouped_energy_uj",
                "ungrouped_cpu_ns",
            ):
                assert getattr(groups, name) >= getattr(before, name), name
            now_uj, then_uj = ({g[:4]: g.energy_uj for g in shot.visible} for shot in (groups, before))
            assert all(now_uj.get(key, energy_uj) >= energy_uj for key, energy_uj in then_uj.items())
        before = groups


def quiet_world(**options):
    world = World(11, zones=1, faults=False, cgroups=True, **options)
    for process in world.processes.values():
        process[3] = 10
    world.processes = dict(list(world.processes.items())[:1])
    [identifier] = world.processes
    world.describe(identifier, "/system.slice/b.service")
    world.run(1)
    return world


@pytest.mark.parametrize("records", [False, True])
def test_short_lived_work_ends_in_the_control_group_that_it_was_done_in(records):
    """99 % of it without exit records; with them as much, and 90 % of it under its command's name."""
    world = quiet_world(records=records)
    engine = new_engine(top=50)
    world.feed(engine)
    used_ns = 0
    for step in range(1, 1001):
        world.advance(10_000_000)
        world.work_shortly("/system.slice/b.service", 5_000_000, "brief")
        used_ns += 5_000_000
        if step % 10 == 0:
            world.sweep()
        if step % 50 == 0:
            world.scan()
    world.sweep()
    world.feed(engine)
    shot = snapshot(engine, world)
    assert_conserved(shot)
    living_ns = 10 * 1000 * 100_000
    assert cpu_of(shot, "b.service") - living_ns >= 0.99 * used_ns
    named = [process for process in shot.processes.visible if process.comm == "brief"]
    if records:
        [brief] = named
        assert (brief.pid, brief.cgroup, brief.group) == (0, "/system.slice/b.service", "b.service")
        assert brief.cpu_ns >= 0.9 * used_ns
        assert brief.energy_uj >= 0.9 * used_ns / (used_ns + living_ns) * sum(zone.processes_uj for zone in shot.zones)
    else:
        assert not named


def test_a_command_that_is_not_heard_of_for_a_minute_goes_out_of_view_and_comes_back_with_its_total():
    world = quiet_world(records=True)
    engine = new_engine(top=50)
    world.run(1)
    world.work_shortly("/system.slice/b.service", 40_000_000)
    world.advance(NS_PER_S // 2)
    for _ in range(5):
        world.run(2)
        world.feed(engine)
    [brief] = [process for process in snapshot(engine, world).processes.visible if process.pid == 0]
    for _ in range(80):
        world.run(1)
        world.feed(engine)
    shot = snapshot(engine, world)
    assert [process for process in shot.processes.visible if process.pid == 0] == []
    assert shot.processes.hidden_energy_uj >= brief.energy_uj
    assert_conserved(shot)

    again = new_engine(top=50)
    again.restore(saved(engine), same_boot=True)
    world.work_shortly("/system.slice/b.service", 40_000_000)
    world.advance(NS_PER_S // 2)
    for _ in range(5):
        world.run(2)
        world.feed(again)
    shot = snapshot(again, world)
    [back] = [process for process in shot.processes.visible if process.pid == 0]
    assert back.cpu_ns > brief.cpu_ns
    assert back.energy_uj > brief.energy_uj
    assert_conserved(shot)


def totals(processes):
    """All that only grows, without the powers of the last second."""
    visible = [(process.pid, process.comm, process.energy_uj, process.cpu_ns) for process in processes.visible]
    return visible, processes.other_energy_uj, processes.gone_energy_uj, processes.hidden_energy_uj, processes.other_cpu_ns


@pytest.mark.parametrize("kept", [1, COMMANDS_KEPT])
def test_when_a_silent_command_goes_out_of_view_does_not_depend_on_when_it_is_folded(monkeypatch, kept):
    """The room that it leaves is taken by another from the same interval on; else `other` would be less after a replay.
    And it does not depend on how often the daemon was started anew, nor on whether it is forgotten or waits."""
    monkeypatch.setattr("energyd.aggregate.processes.COMMANDS_KEPT", kept)
    world, prompt, late = (
        quiet_world(records=True),
        new_engine(top=3, proportional_idle=True),
        new_engine(top=3, proportional_idle=True),
    )
    for second in range(100):
        early, late_again = second < 10, second > 85
        for lead, comm in enumerate(("often", "steady", "quick", "short", "brief")):
            used_ns = 30_000_000 + lead * 2_000_000 if early else 80_000_000 if lead == 3 else 4_000_000
            if early or late_again or lead < 2:
                world.work_shortly("/system.slice/b.service", used_ns, comm)
        world.advance(NS_PER_S // 10)
        world.run(0.9)
    labels, energy, usage = list(world.labels), world.energy.take(), world.usage.take()
    world.feed(late, energy, usage)
    world.labels = labels
    shown, most_hidden_uj = set(), 0
    for energy_piece, usage_piece in zip(cut_at_batches(energy, 100, 1), cut_at_batches(usage, 100, 1), strict=True):
        world.feed(prompt, energy_piece, usage_piece)
        state = saved(prompt)
        prompt = new_engine(top=3, proportional_idle=True)
        prompt.restore(state, same_boot=True)
        shown |= {process.comm for process in snapshot(prompt, world).processes.visible}
        most_hidden_uj = max(most_hidden_uj, snapshot(prompt, world).processes.hidden_energy_uj)
    assert {"brief", "short", "steady", "often"} <= shown
    assert most_hidden_uj > 0
    assert (snapshot(prompt, world).processes.gone_energy_uj > 0) == (kept == 1)
    assert totals(snapshot(prompt, world).processes) == totals(snapshot(late, world).processes)


def test_two_burners_in_two_control_groups_at_one_to_three():
    world = World(3, faults=False, zones=1, cgroups=True)
    world.processes = dict(list(world.processes.items())[:2])
    for (identifier, process), path, share in zip(
        world.processes.items(), ("/system.slice/a.service", "/machine.slice/machine-c.scope"), (20, 60), strict=True
    ):
        process[3] = share
        world.describe(identifier, path)
    engine = new_engine()
    world.run(10)
    world.feed(engine)
    energy_of = {(group.group, group.kind, group.runtime): group.energy_uj for group in snapshot(engine, world).groups.visible}
    ratio = energy_of["c", "container", "nspawn"] / energy_of["a.service", "unit", "systemd"]
    assert ratio == pytest.approx(3, rel=0.02)


def test_memory_of_nested_control_groups_is_counted_once():
    world = World(3, faults=False, zones=1, cgroups=True)
    for identifier, path in zip(world.processes, ("/system.slice/b.service", "/system.slice/b.service/inner", "/"), strict=False):
        world.describe(identifier, path)
    world.cgroup_ids = {path: world.cgroup_ids[path] for path in ("/system.slice/b.service", "/system.slice/b.service/inner")}
    engine = new_engine()
    world.run(1)
    world.feed(engine)
    [unit] = [group for group in snapshot(engine, world).groups.visible if group.group == "b.service"]
    assert unit.memory_bytes == 1 << 20
    assert unit.processes >= 2


def test_with_several_packages_a_process_gets_the_energy_of_the_one_it_ran_on():
    world = World(5, faults=False, zones=2, packages=True)
    world.processes = dict(list(world.processes.items())[:2])
    even, odd = sorted(world.processes.values(), key=lambda process: process[0] % 2)
    even[0], odd[0] = 4, 5
    even[3], odd[3] = 10, 10
    world.power_w = [30, 10]
    for identifier in world.processes:
        world.describe(identifier, "/")
    engine = new_engine(top=50)
    world.run(10)
    world.feed(engine)
    shot = snapshot(engine, world)
    energy_of = {process.pid: process.energy_uj for process in shot.processes.visible}
    assert energy_of[4] / energy_of[5] == pytest.approx(3, rel=0.02)
    assert {zone.shared_by for zone in shot.zones} == {"cpu_time_by_last_cpu"}


def test_dram_is_shared_by_memory_where_that_is_configured():
    world = World(5, faults=False, zones=1)
    world.processes = dict(list(world.processes.items())[:2])
    small, large = sorted(world.processes.values())
    small[0], large[0] = 3, 9
    small[3], large[3] = 30, 10
    for identifier in world.processes:
        world.describe(identifier, "/")
    ring, identifier, entry = world.labels[0]
    world.labels[0] = (ring, identifier, {**entry, "domain": "dram"})
    engine = new_engine(top=50, dram="memory")
    world.run(10)
    world.feed(engine)
    shot = snapshot(engine, world)
    energy_of = {process.pid: process.energy_uj for process in shot.processes.visible}
    assert energy_of[9] / energy_of[3] == pytest.approx(3, rel=0.02)
    assert shot.zones[0].shared_by == "memory"
    assert_conserved(shot)


def process_label(pid, comm, *, ppid=1, argv=(), cgroup="/"):
    return {
        "kind": "process",
        "pid": pid,
        "start_ticks": 5,
        "comm": comm,
        "argv": list(argv),
        "uid": 0,
        "ppid": ppid,
        "cgroup": cgroup,
    }


def engine_with(labels, rules=()):
    """An engine that has folded one batch with these processes in this order."""
    world, engine = World(1, zones=0, faults=False), new_engine(top=50, max_groups=50, grouper=Grouper(rules))
    world.processes.clear()
    world.labels.clear()
    for number, label in enumerate(labels, 1):
        world.labels.append(("usage", number, label))
        world.usage.add(samples.PROCESS, world.now_ns, (number, label["pid"], 5, 10, 0))
    world.usage.close(world.now_ns, status=samples.KEYFRAME)
    world.feed(engine)
    return engine, world


def group_of(engine, pid):
    return engine.groups.key(engine.table.group[engine.table.slot_of_pid(pid)])


BUILD = (GroupRule(name="build", environment="ci", comm=("make",)),)


def test_children_belong_to_their_parents_group_whatever_the_order_of_the_batch():
    labels = [
        process_label(12, "cc1", ppid=11, argv=["cc1"]),
        process_label(11, "gcc", ppid=10, argv=["gcc"]),
        process_label(10, "make", argv=["make"]),
        process_label(20, "vim", argv=["vim"]),
    ]
    engine, _ = engine_with(labels, BUILD)
    assert {group_of(engine, pid).name for pid in (10, 11, 12)} == {"build"}
    assert group_of(engine, 20).name == "vim"


def test_a_process_that_becomes_another_program_stays_with_its_parent_and_joins_a_rule_of_its_own():
    engine, world = engine_with([process_label(10, "make", argv=["make"]), process_label(11, "make", ppid=10)], BUILD)
    world.labels.append(("usage", 9, process_label(11, "ld", ppid=1, argv=["ld"])))
    world.usage.add(samples.PROCESS, world.now_ns + 1, (9, 11, 5, 20, 0))
    world.usage.close(world.now_ns + 1)
    world.feed(engine)
    assert group_of(engine, 11).name == "build"
    assert engine.groups.processes[engine.table.group[engine.table.slot_of_pid(11)]] == 2


def test_kernel_threads_are_one_group_and_those_that_serve_a_machine_belong_to_it():
    labels = [
        process_label(2, "kthreadd", ppid=0),
        process_label(30, "kworker/0:1-events", ppid=2),
        process_label(31, "vhost-40", ppid=2),
        process_label(40, "qemu-system-x86", argv=["/usr/bin/qemu-system-x86_64", "-name", "guest=web,debug-threads=on"]),
    ]
    engine, _ = engine_with(labels)
    assert group_of(engine, 30) == group_of(engine, 2) == ("host", "kernel", "kernel", "")
    assert group_of(engine, 31) == group_of(engine, 40) == ("vm", "web", "vm", "qemu")


def test_parents_in_a_circle_are_placed_like_any_others():
    engine, _ = engine_with([process_label(10, "a", ppid=11, argv=["a"]), process_label(11, "b", ppid=10, argv=["b"])], BUILD)
    assert group_of(engine, 10).name == "a"


def test_after_a_change_of_the_rules_the_living_are_grouped_anew_and_totals_stay():
    labels = [process_label(10, "make", argv=["make"]), process_label(11, "gcc", ppid=10, argv=["gcc"])]
    engine, world = engine_with(labels)
    assert group_of(engine, 11).name == "gcc"
    changed = new_engine(top=50, max_groups=50, grouper=Grouper(BUILD))
    assert changed.restore(saved(engine), same_boot=True) is True
    for number, label in enumerate(labels, 1):
        world.labels.append(("usage", number, label))
    world.usage.add(samples.PROCESS, world.now_ns + NS_PER_S, (2, 11, 5, 30, 0))
    world.usage.close(world.now_ns + NS_PER_S)
    world.feed(changed)
    assert group_of(changed, 10) == group_of(changed, 11) == ("ci", "build", "host", "")


def test_a_reboot_keeps_the_totals_of_groups():
    world, engine = World(9, cgroups=True), new_engine(max_groups=50)
    world.run(5)
    world.feed(engine)
    before = {group[:4]: group.energy_uj for group in snapshot(engine, world).groups.visible}
    rebooted = new_engine(max_groups=50)
    assert rebooted.restore(saved(engine), same_boot=False) is False
    fresh = World(9, cgroups=True)
    fresh.run(5)
    fresh.feed(rebooted)
    shot = snapshot(rebooted, fresh)
    assert_conserved(shot)
    after = {group[:4]: group.energy_uj for group in shot.groups.visible}
    assert all(after[key] >= energy_uj for key, energy_uj in before.items())
    assert any(after[key] > energy_uj for key, energy_uj in before.items())


def test_memory_stays_flat_while_processes_commands_and_groups_come_and_go():
    """100 000 tasks born and gone, each in a control group and under a command of its own."""
    world, engine = World(2, zones=1, faults=False), new_engine(top=5, max_groups=5)
    world.processes.clear()
    del world.labels[1:]
    number, size = 10, None
    for batch in range(1000):
        path = f"/system.slice/run-{batch}.service"
        if batch:
            world.usage.add(samples.CGROUP, world.now_ns, (number - 100, 0, 0, 100, 0), samples.GONE)
        world.labels.append(("usage", number, {"kind": "cgroup", "path": path, "controller": "v2"}))
        world.usage.add(samples.CGROUP, world.now_ns, (number, 0, 0, 100, 0))
        for each in range(1, 51):
            label = {**process_label(each + 2, f"c{batch}", argv=["x", "-p"], cgroup=path), "start_ticks": batch, "hierarchy": "v2"}
            world.labels.append(("usage", number + each, label))
            world.usage.add(samples.PROCESS, world.now_ns, (number + each, each + 2, batch, 1000, 0), samples.GONE)
        command = {"kind": "command", "comm": f"d{batch}", "cgroup": path, "hierarchy": "v2", "uid": 0}
        world.labels.append(("usage", number + 60, command))
        world.usage.add(samples.EXITED, world.now_ns, (number + 60, 0, 50, 4_000_000, 0))
        world.usage.add(samples.CONTROL, world.now_ns, (0, 0, 0, batch * 10_000_000, 0))
        world.usage.add(samples.HOST_CPU, world.now_ns, (3, 0, 0, batch * NS_PER_S, 0))
        world.usage.close(world.now_ns, status=samples.KEYFRAME if batch % 60 == 0 else 0)
        number += 100
        world.now_ns += NS_PER_S // 2
        world.true_uj[0] += 1_000_000
        world.sweep()
        world.feed(engine)
        if batch == 700:
            size = len(msgpack.packb(engine.state()))
    assert_conserved(snapshot(engine, world))
    assert len(engine.table.last_cpu_ns) <= 60 + 200 + COMMANDS_KEPT
    assert len(engine.groups) <= 4 * 16 + 200, "as many as may be remembered, and those of the commands of the last minute or two"
    assert len(msgpack.packb(engine.state())) <= 1.2 * size
