"""Counters of devices and cores: wraps, resets and wavering, each to the last unit."""

from hypothesis import given
from hypothesis import strategies as st

from energyd.aggregate.counters import DeviceCounter, TickCounter

SECOND = 1_000_000_000


def test_the_first_value_is_what_the_device_has_counted_since_it_appeared():
    counter = DeviceCounter()
    assert counter.advance(5000) == 5000
    assert counter.advance(5400) == 400
    assert counter.total == 5400


def test_a_counter_of_32_bits_wraps():
    counter = DeviceCounter()
    counter.advance(2**32 - 100)
    assert counter.advance(50) == 150
    assert counter.total == 2**32 + 50


def test_a_counter_that_was_set_back_counts_from_zero():
    counter = DeviceCounter()
    for raw in (1000, 10, 2**40, 30):
        counter.advance(raw)
    assert counter.total == 1000 + (2**40 - 0) + 30


def test_what_a_driver_has_taken_below_zero_counts_nothing_and_can_be_saved():
    counter = DeviceCounter()
    for raw in (1000, 2**64 - 1, 1010, 2**64 - 500, 1020):
        counter.advance(raw)
    assert counter.total == 1020


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1))
def test_a_wrapping_counter_loses_nothing_as_long_as_it_is_read_in_time(steps):
    counter, truth = DeviceCounter(), 0
    for step in steps:
        truth += step
        counter.advance(truth % 2**32)
        assert counter.total == truth


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_no_sequence_of_readings_makes_a_total_fall(readings):
    for counter in (DeviceCounter(), TickCounter()):
        before = 0
        for raw in readings:
            assert counter.advance(raw) >= 0
            assert counter.total >= before
            before = counter.total


def test_the_time_of_a_core_that_wavers_counts_once():
    counter = TickCounter()
    for raw in (100 * SECOND, 99 * SECOND, 101 * SECOND):
        counter.advance(raw)
    assert counter.total == 101 * SECOND


def test_a_core_that_began_anew_goes_on_from_its_total():
    counter = TickCounter()
    for raw in (100 * SECOND, 2 * SECOND, 3 * SECOND):
        counter.advance(raw)
    assert counter.total == 103 * SECOND
