import pytest
from worlds import World, new_engine, snapshot

from energyd.aggregate.efficiency import EfficiencyWindow
from energyd.aggregate.snapshot import Host, Meter, Processes, Snapshot
from energyd.export import efficiencymetrics
from energyd.units import NS_PER_S


def test_a_machine_half_busy_at_50_watts_costs_a_watt_a_percent():
    window = EfficiencyWindow()
    window.observe(10 * NS_PER_S, 20 * NS_PER_S, 0.5, 500_000_000, 0)  # four CPUs, two of them busy
    efficiency = window.efficiency()
    assert efficiency.busy_ratio == pytest.approx(0.5)
    assert efficiency.watts_per_percent == pytest.approx(1.0)
    assert efficiency.active_j_per_cpu_s is None


def test_above_idle_a_cpu_second_has_its_own_price():
    window = EfficiencyWindow()
    window.observe(10 * NS_PER_S, 20 * NS_PER_S, 0.5, 500_000_000, 300_000_000)
    assert window.efficiency().active_j_per_cpu_s == pytest.approx(10.0)


def test_only_the_last_minute_counts():
    window = EfficiencyWindow()
    window.observe(60 * NS_PER_S, 60 * NS_PER_S, 1.0, 9_000_000_000, 0)
    for _ in range(61):
        window.observe(NS_PER_S, NS_PER_S, 1.0, 10_000_000, 0)
    assert window.efficiency().watts_per_percent == pytest.approx(0.1)


def test_an_idle_machine_and_one_without_power_have_no_efficiency():
    assert EfficiencyWindow().efficiency() is None
    idle = EfficiencyWindow()
    idle.observe(10 * NS_PER_S, NS_PER_S // 1000, 0.0001, 500_000_000, 0)
    assert idle.efficiency() is None


def test_the_engine_measures_what_the_world_does():
    world, engine = World(2, faults=False, zones=1), new_engine()
    for process in world.processes.values():
        process[3] = 20
    world.run(20)
    world.feed(engine)
    efficiency = snapshot(engine, world).host.efficiency
    assert efficiency.busy_ratio == pytest.approx(0.2 * len(world.processes) / 4, rel=0.02)
    assert efficiency.watts_per_percent == pytest.approx(world.power_w[0] / (100 * efficiency.busy_ratio), rel=0.02)


def shot(power_w, quantities, source="rapl"):
    meter = Meter("house", "meter", "standard", "1", True, 1, (), quantities, ())
    return Snapshot(1, 1, True, Host(1, power_w, source, (), 0, 0, ()), (), Processes((), 0, 0.0, 0, 0, 0, 0), (meter,), ())


def test_the_host_is_a_share_of_the_house():
    [family] = efficiencymetrics.families(shot(50.0, (("SINSTS", 500),)))
    assert (family.labels, family.values) == ([("house", "rapl")], [0.1])
    assert efficiencymetrics.families(shot(None, (("SINSTS", 500),))) == []
    assert efficiencymetrics.families(shot(50.0, ())) == []
