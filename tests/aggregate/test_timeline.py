import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd.aggregate.timeline import Timeline
from energyd.units import NS_PER_S

points = st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 10**9)), min_size=1, max_size=30)


def line(steps):
    timeline = Timeline()
    mono_ns = energy_uj = 0
    for step_ns, step_uj in steps:
        mono_ns, energy_uj = mono_ns + step_ns, energy_uj + step_uj
        timeline.append(mono_ns, energy_uj)
    return timeline


@given(points, st.lists(st.integers(0, 10**10), max_size=20))
def test_cuts_at_any_instants_add_up_to_the_whole(steps, instants):
    timeline = line(steps)
    first, last = timeline.times_ns[0], timeline.frontier_ns
    cuts = sorted({first, last, *(min(max(first, t), last) for t in instants)})
    values = [timeline.at(t) for t in cuts]
    differences = [b - a for a, b in itertools.pairwise(values)]
    assert all(difference >= 0 for difference in differences)
    assert sum(differences) == timeline.energies_uj[-1] - timeline.energies_uj[0]


def test_between_two_samples_energy_grows_evenly():
    timeline = line([(100, 0), (100, 1000)])
    assert timeline.at(150) == 500


def test_before_the_first_sample_nothing_has_been_measured():
    timeline = line([(100, 40), (100, 10)])
    assert timeline.at(5) == 40


def test_beyond_the_frontier_is_a_bug_of_the_caller():
    with pytest.raises(AssertionError, match="BUG"):
        line([(100, 0)]).at(101)


@given(points, st.integers(0, 10**10))
def test_forgetting_the_past_changes_no_answer_about_what_follows(steps, instant):
    timeline, trimmed = line(steps), line(steps)
    instant = min(instant, timeline.frontier_ns)
    trimmed.forget_before(instant)
    for t in {instant, timeline.frontier_ns, (instant + timeline.frontier_ns) // 2}:
        assert trimmed.at(t) == timeline.at(t)


def test_power_divides_by_the_time_that_was_measured_not_by_the_period():
    timeline = line([(NS_PER_S, 0), (2 * NS_PER_S, 10_000_000)])
    assert timeline.power_w(NS_PER_S) == pytest.approx(5.0)


def test_power_needs_two_samples():
    assert line([(1, 5)]).power_w(NS_PER_S) is None
