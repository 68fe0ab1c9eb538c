"""Zones whose register, number, role or kind changes while they are measured."""

from typing import Any

import msgpack
import pytest
from batches import Batches
from hypothesis import given
from hypothesis import strategies as st

from energyd import samples, ticfields
from energyd.aggregate.counters import PowerIntegral
from energyd.aggregate.engine import Engine
from energyd.aggregate.meters import MeterBook
from energyd.aggregate.zonetotals import ZoneTotals
from energyd.units import NS_PER_S, UJ_PER_J

RANGE_UJ = 262_143_328_850


class Reader:
    """Writes labels and sweeps as the energy reader does, and shows what becomes of them."""

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine = engine or Engine(top=1, proportional_idle=False)
        self.batches = Batches(samples.RAPL)
        self.now_ns = 1000 * NS_PER_S
        self.kind = 0

    def label(self, zone: str = "package-0", **fields: Any) -> int:
        self.kind += 1
        entry = {"zone": zone, "domain": "package", "source": "rapl", "baseline": "intel-rapl", "range_uj": RANGE_UJ}
        self.engine.zones.label(self.kind, {**entry, "additive": True, "max_power_uw": 0, "dropped": "", **fields})
        return self.kind

    def sweep(self, readings: dict[int, float], status: int = 0, after_s: float = 0.1, suspended_ns: int = 0) -> "Reader":
        """One batch of {kind: joules or watts}."""
        self.now_ns += round(after_s * NS_PER_S)
        for kind, value in readings.items():
            self.batches.add(kind, self.now_ns, (round(value * UJ_PER_J), 1, 0, 0), status)
        self.batches.close(self.now_ns, suspended_ns=suspended_ns)
        self.engine.feed_energy(self.batches.take())
        return self

    def shot(self) -> Any:
        return self.engine.snapshot(mono_ns=self.now_ns, real_ns=0, ready=True, rings=())

    def zone(self, name: str = "package-0") -> Any:
        return next(zone for zone in self.shot().zones if zone.name == name)

    def joules(self, name: str = "package-0") -> float:
        return float(self.zone(name).energy_uj) / UJ_PER_J


@pytest.mark.parametrize("other", [{"baseline": "intel-rapl-mmio"}, {"baseline": "perf_event@77"}, {"source": "hwmon"}])
@pytest.mark.parametrize("value_j", [0.0, 10.5, 200.0, 260_000.0])
def test_another_register_behind_a_zone_begins_with_a_baseline(other, value_j):
    reader = Reader()
    first = reader.label()
    reader.sweep({first: 10.0}).sweep({first: 11.0})
    second = reader.label(**other)

    reader.sweep({second: value_j}, after_s=5).sweep({second: value_j + 2})

    assert reader.joules() == 3.0
    assert reader.zone().resets == 0


def test_the_same_register_goes_on_under_another_number():
    reader = Reader()
    first = reader.label()
    reader.sweep({first: 10.0})
    second = reader.label()

    reader.sweep({second: 12.0})

    assert reader.joules() == 2.0


def test_a_range_that_is_told_late_is_no_other_register_but_another_range_is():
    reader = Reader()
    unknown = reader.label(range_uj=0)
    reader.sweep({unknown: 10.0})
    reader.sweep({reader.label(): 11.0})
    assert reader.joules() == 1.0

    reader.sweep({reader.label(range_uj=65_532_610_987): 12.0})
    assert reader.joules() == 1.0


def test_a_register_that_is_back_after_another_begins_anew():
    reader = Reader()
    first, second = reader.label(), reader.label(baseline="perf_event@1")
    reader.sweep({first: 10.0}).sweep({second: 0.5}).sweep({first: 90.0}).sweep({first: 91.0})

    assert reader.joules() == 1.0


def test_permission_that_is_given_late_makes_no_spike():
    """Scaphandre took the unreadable socket for 0 and showed 53 130 W."""
    reader = Reader()
    reader.sweep({reader.label(): 13e-6}, samples.FAILED)
    reader.sweep({}).sweep({}, after_s=60)
    allowed = reader.label()

    reader.sweep({allowed: 5_313.0}).sweep({allowed: 5_314.0})

    assert reader.joules() == 1.0
    assert reader.zone().power_w == pytest.approx(10.0)


def test_a_read_that_fails_loses_nothing_of_what_the_counter_still_holds():
    """A tool that booked 0 J for the failed sample lost 100 J, one that took it for a value of 0 invented 262 143 J."""
    reader = Reader()
    package = reader.label()
    reader.sweep({package: 1000.0}, after_s=1).sweep({package: 22e-6}, samples.FAILED, after_s=1)
    reader.sweep({package: 1100.0}, after_s=1)

    assert reader.joules() == 100.0
    assert reader.zone().resets == 0


def test_one_zone_that_wraps_leaves_the_others_alone():
    """Of PowerJoular, spikes above 260 000 W are known when only the memory wraps."""
    reader = Reader()
    package, dram = reader.label(), reader.label("package-0/dram", range_uj=65_712_999_613)
    reader.sweep({package: 100.0, dram: 65_712.0}).sweep({package: 105.0, dram: 1.000387}, after_s=1)

    assert reader.joules() == 5.0
    assert reader.joules("package-0/dram") == pytest.approx(2.000001, abs=1e-6)
    assert (reader.zone("package-0/dram").resets, reader.zone().resets) == (0, 0)


def test_a_machine_that_slept_begins_anew_where_the_counter_fell():
    reader = Reader()
    package = reader.label(range_uj=100_000_000)
    reader.sweep({package: 99.0})

    reader.sweep({package: 1.0}, suspended_ns=8 * 3600 * NS_PER_S)

    assert reader.joules() == 0.0
    assert reader.zone().resets == 1


def test_dropped_zones_are_no_series():
    reader = Reader()
    reader.label()
    reader.label("package-0@intel-rapl-mmio:0", dropped="twin of intel-rapl:0", additive=False)

    assert [zone.name for zone in reader.shot().zones] == ["package-0"]


def test_a_zone_that_is_dropped_later_leaves_its_joules_in_the_host():
    reader = Reader()
    battery = reader.label("BAT0", source="battery", domain="battery")
    reader.sweep({battery: 8.0}, samples.POWER).sweep({battery: 8.0}, samples.POWER, after_s=1)
    assert reader.shot().host.energy_uj == 8 * UJ_PER_J

    mains = reader.label("BAT0", source="battery", domain="battery", dropped="on mains", additive=False)
    assert [zone.name for zone in reader.shot().zones] == ["BAT0"], "nothing has been read under the new label yet"
    reader.sweep({mains: 19e-6}, samples.FAILED)

    assert reader.shot().zones == ()
    assert (reader.shot().host.energy_uj, reader.shot().host.power_w) == (8 * UJ_PER_J, None)


def test_what_waits_for_an_owner_when_a_zone_stops_being_the_host_is_nobodys_and_not_a_later_ones():
    reader = Reader()
    host = reader.label()
    reader.sweep({host: 10.0}).sweep({host: 13.0})
    assert (reader.zone().pending_uj, reader.zone().unattributed_uj) == (3 * UJ_PER_J, 0)

    reader.sweep({reader.label(additive=False): 14.0})
    assert (reader.zone().pending_uj, reader.zone().unattributed_uj) == (0, 3 * UJ_PER_J)

    reader.sweep({reader.label(): 15.0})
    assert reader.zone().pending_uj == reader.zone().energy_uj - 3 * UJ_PER_J


def test_a_better_source_takes_over_and_no_joule_is_moved():
    reader = Reader()
    battery, package = reader.label("BAT0", source="battery"), reader.label()
    beside = reader.label("BAT0", source="battery", additive=False)
    reader.sweep({battery: 10.0}, samples.POWER).sweep({battery: 10.0}, samples.POWER, after_s=1)
    host = [reader.shot().host.energy_uj]
    for step in range(3):
        reader.sweep({beside: 10.0}, samples.POWER, after_s=0.5).sweep({package: 100.0 + step}, after_s=0.5)
        host.append(reader.shot().host.energy_uj)

    assert host == [10 * UJ_PER_J, 10 * UJ_PER_J, 11 * UJ_PER_J, 12 * UJ_PER_J]
    assert reader.zone("BAT0").additive is False
    assert reader.joules("BAT0") == pytest.approx(25.0), "what it shows beside the host begins at its change of role"


def test_a_zone_that_becomes_the_host_begins_its_account_at_zero():
    reader = Reader()
    psys = reader.label("psys", additive=False)
    reader.sweep({psys: 5.0}).sweep({psys: 9.0})
    assert reader.joules("psys") == 4.0
    assert reader.shot().host.energy_uj is None

    host = reader.label("psys")
    reader.sweep({host: 10.0}).sweep({host: 12.0})

    assert reader.joules("psys") == 3.0
    zone = reader.zone("psys")
    assert zone.energy_uj == zone.unattributed_uj + zone.pending_uj


def test_labels_that_are_read_ahead_hold_from_their_first_sample():
    early, late = Reader(), Reader()
    numbers = []
    for reader, at_once in ((early, True), (late, False)):
        kinds = [reader.label()]
        if at_once:
            kinds.append(reader.label(baseline="perf_event@1", additive=False))
        reader.sweep({kinds[0]: 1.0}).sweep({kinds[0]: 3.0})
        if not at_once:
            kinds.append(reader.label(baseline="perf_event@1", additive=False))
        reader.sweep({kinds[1]: 7.0}).sweep({kinds[1]: 8.0})
        numbers.append((reader.shot().host.energy_uj, reader.zone().energy_uj, reader.zone().additive))

    assert numbers[0] == numbers[1] == (2 * UJ_PER_J, UJ_PER_J, False)


def test_what_is_known_of_zones_outlives_a_restart_in_the_middle():
    reader = Reader()
    package, beside = reader.label(), reader.label("BAT0", source="battery", additive=False)
    reader.sweep({package: 1.0}).sweep({beside: 6.0}, samples.POWER)
    state = msgpack.unpackb(msgpack.packb(reader.engine.state()), strict_map_key=False)
    again = Reader(Engine(top=1, proportional_idle=False))
    again.engine.restore(state, same_boot=True)
    again.now_ns = reader.now_ns
    for each in (reader, again):
        each.sweep({package: 4.0}).sweep({beside: 6.0}, samples.POWER, after_s=1)

    assert again.shot() == reader.shot()
    assert (again.joules(), again.joules("BAT0")) == (3.0, pytest.approx(6.6))


@pytest.mark.parametrize(("additive", "kept"), [(False, 21), (True, 1201)])
def test_samples_that_nobody_will_ask_for_are_forgotten(additive, kept):
    """Of a zone inside another only its power is shown; the energy of an additive one may wait for CPU times that never come."""
    reader = Reader()
    kind = reader.label(additive=additive)
    for joules in range(1500):
        reader.sweep({kind: joules})
    zone = reader.engine.zones.zones["package-0"]

    assert len(zone.timeline.times_ns) == kept
    assert zone.power_w(reader.now_ns) == pytest.approx(10.0)
    assert reader.shot().host.energy_uj == (1499 * UJ_PER_J if additive else None)


def test_a_zone_that_has_fallen_silent_shows_no_power():
    reader = Reader()
    silent, other = reader.label("package-0"), reader.label("package-1")
    reader.sweep({silent: 1.0, other: 1.0}).sweep({silent: 2.0, other: 2.0})
    assert reader.zone().power_w == pytest.approx(10.0)

    reader.sweep({other: 4.0}, after_s=1)
    assert reader.zone().power_w is not None
    reader.sweep({other: 8.0}, after_s=1.5)

    assert reader.zone().power_w is None
    assert reader.zone("package-1").power_w is not None


def test_a_zone_that_is_read_no_more_does_not_hold_up_the_others_for_ever():
    """It was additive when the state was saved; then the configuration changed, or it was pulled out."""
    zone = ZoneTotals("BAT0")
    zone.describe(1, {"additive": True})
    zone.sample(5, samples.POWER, 10 * NS_PER_S, 0)

    assert zone.covers(10 * NS_PER_S)
    assert not zone.covers(11 * NS_PER_S)
    assert not zone.covers(70 * NS_PER_S)
    assert zone.covers(71 * NS_PER_S)


def test_a_power_is_integrated_over_measured_time():
    reader = Reader()
    shunt = reader.label("ina219/power1", source="hwmon")
    for watts, after_s in ((4.0, 0.1), (4.0, 0.25), (6.0, 1.0), (0.0, 0.5)):
        reader.sweep({shunt: watts}, samples.POWER, after_s)

    assert reader.joules("ina219/power1") == pytest.approx(4 * 0.25 + 5 * 1.0 + 3 * 0.5)
    assert reader.shot().host.source == "hwmon"


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(1, 30 * NS_PER_S)), min_size=1, max_size=50))
def test_an_integral_loses_less_than_a_microjoule_however_often_it_is_read(readings):
    integral = PowerIntegral()
    now_ns = power_uw = twice = total_uj = 0
    integral.advance(0, 0, 0)
    for next_uw, elapsed_ns in readings:
        twice += (power_uw + next_uw) * elapsed_ns
        now_ns, power_uw = now_ns + elapsed_ns, next_uw
        total_uj += integral.advance(power_uw, now_ns, 0)

    assert total_uj == twice // (2 * NS_PER_S)


@pytest.mark.parametrize(("elapsed_ns", "suspended_ns"), [(PowerIntegral.GAP_NS + 1, 0), (NS_PER_S, 10 * NS_PER_S)])
def test_over_a_gap_or_a_sleep_no_power_is_assumed(elapsed_ns, suspended_ns):
    integral = PowerIntegral()
    integral.advance(5_000_000, NS_PER_S, 0)

    assert integral.advance(5_000_000, NS_PER_S + elapsed_ns, suspended_ns) == 0
    assert integral.gaps == 1
    assert integral.advance(5_000_000, 2 * NS_PER_S + elapsed_ns, suspended_ns) == 5_000_000


def test_after_a_reboot_an_integral_has_no_last_power():
    integral, again = PowerIntegral(), PowerIntegral()
    integral.advance(5_000_000, NS_PER_S, 0)
    again.restore(integral.state(), same_boot=False)

    assert again.advance(5_000_000, 2 * NS_PER_S, 0) == 0


class TestMeterAsHost:
    """`energy.sources: [meter, ...]`: the readers' zones are shown beside it."""

    def make(self):
        reader = Reader(Engine(top=1, proportional_idle=False, meters=[MeterBook("linky", "meter")]))
        reader.engine.take_for_host("linky", "meter")
        return reader, reader.label(additive=False), Batches(samples.TIC)

    def frame(self, reader, tic, power_va):
        tic.add(ticfields.BY_LABEL["standard", "SINSTS"].id, reader.now_ns, (power_va, 0, b""), samples.LAST)
        reader.engine.meters["linky"].fold(tic.take())

    def test_its_power_is_integrated_and_labelled_as_the_meters(self):
        reader, package, tic = self.make()
        for step in range(5):
            reader.sweep({package: 10.0 + step}, after_s=1.5)
            self.frame(reader, tic, 400)

        zone, host = reader.zone("meter/linky"), reader.shot().host
        assert (zone.source, zone.additive, zone.energy_uj) == ("meter", True, 400 * 6 * UJ_PER_J)
        assert (host.energy_uj, host.power_w, host.source) == (2400 * UJ_PER_J, pytest.approx(400), "meter")
        assert reader.zone().additive is False

    def test_between_two_frames_its_power_stands(self):
        reader, package, tic = self.make()
        for _ in range(2):
            reader.sweep({package: 10.0}, after_s=1.5)
            self.frame(reader, tic, 400)
        reader.sweep({package: 11.0}, after_s=8)
        assert reader.shot().host.power_w == pytest.approx(400)

        reader.sweep({package: 12.0}, after_s=5)
        assert reader.shot().host.power_w is None, "the link is down"
