"""What the soak run measures, and that it says so when something grows."""

import os

import footprint
import pytest
from footprint import Footprints, Look


@pytest.fixture
def watch(monkeypatch):
    """Takes looks that the test makes up, one each 10 s for 10 min, and gives the report with 2 min of warm-up."""

    def take(look_at, pid_at=lambda _at_s: 7):
        footprints = Footprints()
        monkeypatch.setattr(footprint, "look", lambda _pid, at_s: look_at(at_s))
        for at_s in range(0, 600, 10):
            footprints.take({"aggregator": pid_at(at_s)}, at_s)
        return footprints.report(120)

    return take


def flat(at_s, anonymous_kib=40_000, descriptors=20):
    return Look(at_s, anonymous_kib + 10_000, anonymous_kib, descriptors, 0.02 * at_s)


def test_what_stays_as_it_is_is_no_fault(watch):
    table, faults = watch(flat)

    assert faults == []
    assert table.splitlines()[1].split() == ["aggregator", "48.8", "48.8", "39.06", "39.06", "20", "20", "2.00"]


def test_what_grows_while_it_warms_up_is_no_fault(watch):
    _, faults = watch(lambda at_s: flat(at_s, 40_000 + 100 * min(at_s, 120)))

    assert faults == []


def test_a_leak_of_half_a_mebibyte_a_minute_is_one(watch):
    _, faults = watch(lambda at_s: flat(at_s, int(40_000 + 512 * at_s / 60)))

    assert faults == ["aggregator holds 3.2 MiB more than at first"]


def test_descriptors_that_come_and_go_are_no_fault_and_those_that_stay_are(watch):
    _, faults = watch(lambda at_s: flat(at_s, descriptors=20 + 5 * (at_s % 30 == 0)))
    assert faults == []

    _, faults = watch(lambda at_s: flat(at_s, descriptors=20 + int(at_s) // 100))
    assert faults == ["aggregator holds 4 descriptors more than at first"]


def test_a_process_that_was_started_anew_is_said(watch):
    _, faults = watch(flat, lambda at_s: 7 if at_s < 300 else 8)

    assert faults == ["aggregator has ended"]


def test_a_look_at_a_real_process():
    ours = footprint.look(os.getpid(), 5.0)

    assert ours.at_s == 5.0
    assert ours.pss_kib >= ours.anonymous_kib > 1000
    assert ours.descriptors >= 3
    assert ours.cpu_s > 0
