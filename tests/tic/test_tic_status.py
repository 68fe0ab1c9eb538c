"""Packed fields, unpacked as the specification's tables say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd.ticstatus import Action, closed_relays, missing_phases, unpack_profile, unpack_status


def test_a_producer_in_a_blue_tempo_day() -> None:
    status = unpack_status(0x013A0501)

    assert status.contact_open
    assert status.breaker == "closed"
    assert status.producer
    assert (status.supplier_index, status.distributor_index) == (2, 1)
    assert status.standard_mode
    assert (status.euridis, status.plc, status.plc_synchronised) == ("secured", "new, locked", False)
    assert (status.colour_today, status.colour_tomorrow) == ("blue", "none")
    assert (status.peak_notice, status.peak_running) == (0, 0)
    assert not status.clock_degraded


@pytest.mark.parametrize(
    ("bit", "field"),
    [
        (0, "contact_open"),
        (4, "cover_open"),
        (6, "overvoltage"),
        (7, "over_reference_power"),
        (8, "producer"),
        (9, "energy_negative"),
        (16, "clock_degraded"),
        (17, "standard_mode"),
        (23, "plc_synchronised"),
    ],
)
def test_each_flag_is_one_bit(bit: int, field: str) -> None:
    none, one = unpack_status(0), unpack_status(1 << bit)

    assert one == none._replace(**{field: True})


@pytest.mark.parametrize(
    ("shift", "field", "number", "value"),
    [
        (1, "breaker", 3, "load shedding"),
        (10, "supplier_index", 9, 10),
        (14, "distributor_index", 3, 4),
        (19, "euridis", 1, "on"),
        (21, "plc", 2, "registered"),
        (24, "colour_today", 2, "white"),
        (26, "colour_tomorrow", 3, "red"),
        (28, "peak_notice", 1, 1),
        (30, "peak_running", 2, 2),
    ],
)
def test_each_number_has_its_bits(shift: int, field: str, number: int, value: object) -> None:
    assert unpack_status(number << shift) == unpack_status(0)._replace(**{field: value})


@given(st.integers(0, 0xFFFFFFFF))
def test_every_value_means_something(stge: int) -> None:
    unpack_status(stge)


def test_relays_count_from_one() -> None:
    assert closed_relays(0) == ()
    assert closed_relays(140) == (3, 4, 8)


def test_phase_one_missing_is_bit_one() -> None:
    assert missing_phases(0x00) == ()
    assert missing_phases(0x02) == (1,)
    assert missing_phases(0x0E) == (1, 2, 3)


def test_a_profile_is_its_actions_without_the_filler() -> None:
    text = b"00008001 0600C07A 2230400B" + 8 * b" NONUTILE"

    assert unpack_profile(text) == (
        Action(0, "open", (), 1),
        Action(360, "closed", (1, 2, 3), 10),
        Action(1350, "tempo", (), 0),
    )
