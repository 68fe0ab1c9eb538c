import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd.aggregate.counters import (
    EnergyCounter,
    GrowingCounter,
    MeterRegister,
    RestartingCounter,
    process_increment,
)
from energyd.units import NS_PER_S

RANGE_UJ = 262_143_328_850
SECOND = NS_PER_S


def test_the_first_reading_of_an_energy_counter_is_only_a_baseline():
    assert EnergyCounter(RANGE_UJ).advance(240_000_000_000, SECOND, 0) == 0


@given(
    start_uj=st.integers(0, RANGE_UJ),
    range_uj=st.integers(50_000_000, RANGE_UJ),
    powers_w=st.lists(st.integers(0, 40), min_size=1, max_size=60),
)
def test_wraps_at_any_range_lose_nothing(start_uj, range_uj, powers_w):
    """A counter that wraps at its own range is unwrapped exactly, as long as it wraps at most once between two reads."""
    counter = EnergyCounter(range_uj, max_power_uw=12_000_000)
    true_uj, mono_ns = start_uj, SECOND
    counter.advance(true_uj % (range_uj + 1), mono_ns, 0)
    total_uj = 0
    for power_w in powers_w:
        true_uj += power_w * 1_000_000
        mono_ns += SECOND
        total_uj += counter.advance(true_uj % (range_uj + 1), mono_ns, 0)
    assert total_uj == true_uj - start_uj
    assert counter.resets == 0


def test_a_fall_that_no_wrap_can_explain_is_a_reset_and_not_262_kilojoules():
    counter = EnergyCounter(RANGE_UJ, max_power_uw=65_000_000)
    counter.advance(1_000_000_000, SECOND, 0)
    assert counter.advance(5_000, 2 * SECOND, 0) == 0
    assert counter.resets == 1
    assert counter.advance(10_005_000, 3 * SECOND, 0) == 10_000_000


def test_a_leap_beyond_the_power_limit_is_a_new_baseline_not_a_spike():
    """The driver was reloaded and the counter stands elsewhere: Scaphandre showed 53 130 W there."""
    counter = EnergyCounter(RANGE_UJ, max_power_uw=65_000_000)
    counter.advance(1_000, SECOND, 0)
    assert counter.advance(53_130_000_000, 2 * SECOND, 0) == 0
    assert counter.resets == 1


def test_a_fall_across_a_suspend_is_a_reset_even_where_a_wrap_would_be_plausible():
    counter = EnergyCounter(100_000_000)
    counter.advance(99_000_000, SECOND, suspended_ns=0)
    assert counter.advance(1_000_000, 2 * SECOND, suspended_ns=3600 * SECOND) == 0
    assert counter.resets == 1


def test_reads_closer_than_the_register_is_updated_may_show_more_than_their_own_time_could_draw():
    """At 1000 Hz a read sometimes catches two updates: 20 W are 20 mJ a millisecond, and 40 of them are no reset."""
    counter = EnergyCounter(RANGE_UJ, max_power_uw=5_000_000)
    counter.advance(1_000_000, SECOND, 0)
    assert counter.advance(1_040_000, SECOND + SECOND // 1000, 0) == 40_000
    assert counter.resets == 0


def test_a_gap_in_which_a_wrap_could_have_gone_unseen_counts_what_is_certain_and_says_so():
    counter = EnergyCounter(RANGE_UJ, max_power_uw=100_000_000)
    counter.advance(1_000_000, SECOND, 0)
    assert counter.advance(501_000_000, 7200 * SECOND, 0) == 500_000_000
    assert (counter.ambiguous, counter.resets) == (1, 0)


def test_a_counter_of_unknown_range_never_invents_a_wrap():
    counter = EnergyCounter(0)
    counter.advance(500, SECOND, 0)
    assert counter.advance(100, 2 * SECOND, 0) == 0
    assert counter.resets == 1


def test_a_saved_baseline_bridges_a_restart_and_not_a_reboot():
    before = EnergyCounter(RANGE_UJ)
    before.advance(1_000, SECOND, 0)
    restarted, rebooted = EnergyCounter(RANGE_UJ), EnergyCounter(RANGE_UJ)
    restarted.restore(before.state(), same_boot=True)
    rebooted.restore(before.state(), same_boot=False)
    assert restarted.advance(6_000, 2 * SECOND, 0) == 5_000
    assert rebooted.advance(6_000, 2 * SECOND, 0) == 0


def test_a_reader_that_starts_anew_counts_on_from_where_it_was():
    counter = RestartingCounter()
    for raw in (3, 5, 2, 4):
        counter.advance(raw)
    assert counter.total == 9


def test_a_growing_counter_begins_at_its_first_value_and_never_goes_back():
    counter = GrowingCounter()
    assert [counter.advance(raw) for raw in (100, 130, 90, 95)] == [0, 30, 0, 5]


def test_a_process_counts_from_zero_only_if_it_was_born_within_the_interval():
    assert process_increment(-1, 7_000, born_within=True) == 7_000
    assert process_increment(-1, 7_000, born_within=False) == 0
    assert process_increment(5_000, 7_000, born_within=False) == 2_000
    assert process_increment(9_000, 7_000, born_within=False) == 0


def test_a_register_holds_a_wild_reading_back_until_it_is_confirmed():
    register = MeterRegister()
    register.resume(1_000, SECOND)
    assert register.advance(90_001_000, 2 * SECOND) == 0
    assert (register.energy_wh, register.held_back) == (1_000, 1)
    assert register.advance(1_001, 3 * SECOND) == 1


def test_a_register_believes_a_leap_that_the_next_reading_confirms():
    register = MeterRegister()
    register.advance(1_000, SECOND)
    register.advance(500_000, 2 * SECOND)
    register.advance(500_001, 3 * SECOND)
    assert register.energy_wh == 500_001


def test_the_first_reading_of_all_is_believed_when_the_second_confirms_it():
    register = MeterRegister()
    assert register.advance(1_000, SECOND) == 0
    assert (register.energy_wh, register.waiting) == (None, (1_000, SECOND))
    assert register.advance(1_001, 3 * SECOND) == 0
    assert (register.energy_wh, register.confirmed, register.waiting) == (1_001, (1_000, SECOND), None)
    assert (register.held_back, register.resets) == (0, 0)
    assert register.advance(1_002, 5 * SECOND) == 1
    assert register.confirmed is None


@pytest.mark.parametrize("readings", [(91_000, 1_001, 1_002), (1_000, 91_001, 1_002, 1_003)])
def test_a_corrupt_reading_at_the_very_begin_is_never_believed_and_is_counted(readings):
    register = MeterRegister()
    for second, reading_wh in enumerate(readings):
        register.advance(reading_wh, second * SECOND)
        assert register.energy_wh in (None, readings[-1])
    assert (register.energy_wh, register.held_back, register.resets) == (readings[-1], len(readings) - 2, 0)


def test_a_jump_after_a_silence_waits_although_a_house_could_have_made_it():
    register, morning = MeterRegister(1_000, 0), 8 * 3600 * SECOND
    assert register.advance(101_000, morning) == 0
    assert register.advance(5_000, morning + 2 * SECOND) == 0
    assert register.advance(5_001, morning + 4 * SECOND) == 4_001
    assert (register.energy_wh, register.held_back, register.resets) == (5_001, 1, 0)


def test_the_next_reading_after_a_silence_confirms_what_was_used_in_it():
    register, morning = MeterRegister(1_000, 0), 8 * 3600 * SECOND
    assert register.advance(5_000, morning) == 0
    assert register.advance(5_000, morning + 2 * SECOND) == 4_000
    assert (register.held_back, register.confirmed) == (0, (5_000, morning))


@given(st.lists(st.integers(0, 10), max_size=50))
def test_a_register_follows_every_honest_meter(steps_wh):
    register = MeterRegister()
    energy_wh, mono_ns = 123_456, 0
    register.resume(energy_wh, mono_ns)
    for step_wh in steps_wh:
        energy_wh += step_wh
        mono_ns += 2 * SECOND
        assert register.advance(energy_wh, mono_ns) == step_wh
    assert register.energy_wh == energy_wh
