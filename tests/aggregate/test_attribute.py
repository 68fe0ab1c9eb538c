import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd.aggregate.attribute import share, split
from energyd.units import NS_PER_S

weights = st.lists(st.integers(0, 10**13), min_size=1, max_size=200).filter(any)


@given(st.integers(0, 10**12), weights)
def test_a_split_hands_out_exactly_what_it_was_given(energy_uj, weight_list):
    shares_uj = split(energy_uj, np.array(weight_list, np.int64))
    assert int(shares_uj.sum()) == energy_uj
    assert (shares_uj >= 0).all()


@given(st.integers(0, 10**12), weights)
def test_a_split_is_fair_to_a_microjoule_and_gives_nothing_for_nothing(energy_uj, weight_list):
    shares_uj = split(energy_uj, np.array(weight_list, np.int64))
    total = sum(weight_list)
    for share_uj, weight in zip(shares_uj.tolist(), weight_list, strict=True):
        assert abs(share_uj - energy_uj * weight / total) <= 1 + 1e-3
        if weight == 0:
            assert share_uj == 0


def test_who_used_nothing_gets_nothing_where_the_sum_is_rounded_down():
    """2328982830 * (487224 / 2328982830) is less than 487224 in doubles: whoever comes last must not get the rest."""
    assert split(487224, np.array([2325348895, 3633935, 0, 0], np.int64)).tolist()[2:] == [0, 0]


@given(
    energy_uj=st.integers(0, 10**12),
    elapsed_ns=st.integers(0, 10**12),
    cpu_ns=st.lists(st.integers(0, 10**12), max_size=50),
    exited_ns=st.integers(0, 10**12),
    idle_uw=st.none() | st.integers(0, 10**9),
    proportional=st.booleans(),
)
def test_the_parts_of_an_interval_are_its_energy_whatever_happened(energy_uj, elapsed_ns, cpu_ns, exited_ns, idle_uw, proportional):
    shares = share(energy_uj, elapsed_ns, np.array(cpu_ns, np.int64), exited_ns, idle_uw, proportional)
    parts = [int(shares.processes_uj.sum()), shares.exited_uj, shares.idle_uj, shares.unattributed_uj]
    assert sum(parts) == energy_uj
    assert min(parts) >= 0
    assert (shares.processes_uj >= 0).all()


def test_idle_power_is_kept_apart_by_default_and_shared_on_request():
    cpu_ns = np.array([NS_PER_S], np.int64)
    apart = share(50_000_000, NS_PER_S, cpu_ns, 0, 20_000_000, proportional=False)
    shared = share(50_000_000, NS_PER_S, cpu_ns, 0, 20_000_000, proportional=True)
    assert (apart.idle_uj, apart.processes_uj.tolist()) == (20_000_000, [30_000_000])
    assert (shared.idle_uj, shared.processes_uj.tolist()) == (0, [50_000_000])


def test_energy_with_nobody_to_give_it_to_is_unattributed():
    shares = share(7, NS_PER_S, np.zeros(3, np.int64), 0, None, proportional=False)
    assert (shares.unattributed_uj, shares.processes_uj.tolist()) == (7, [0, 0, 0])


def test_one_to_three_is_one_to_three():
    shares = share(100_000_000, NS_PER_S, np.array([250, 750], np.int64), 0, None, proportional=False)
    assert shares.processes_uj.tolist() == pytest.approx([25_000_000, 75_000_000], abs=1)


def test_the_exited_get_their_part_like_everybody_else():
    """Three quarters of the CPU time was that of tasks that have ended: so is three quarters of the energy."""
    shares = share(80_000_000, NS_PER_S, np.array([100], np.int64), 300, None, proportional=False)
    assert (shares.processes_uj.tolist(), shares.exited_uj) == ([20_000_000], 60_000_000)
