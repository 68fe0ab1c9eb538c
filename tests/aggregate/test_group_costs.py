"""What groups cost: to the nano-euro, and nothing while nobody knows a price."""

import msgpack

from energyd.aggregate.groupcosts import GroupCosts
from energyd.units import UJ_PER_WH


def test_without_a_price_nothing_is_known():
    costs = GroupCosts()
    costs.book([(1, UJ_PER_WH, True)])
    assert (costs.of(1), costs.other, costs.gone, costs.hidden([1])) == (None, None, None, None)


def test_each_microjoule_has_the_price_of_its_moment():
    costs = GroupCosts()
    costs.price_neur_per_wh = 200_000
    costs.book([(1, UJ_PER_WH, True), (2, 3 * UJ_PER_WH, False)])
    costs.price_neur_per_wh = 100_000
    costs.book([(1, UJ_PER_WH, True)])
    costs.price_neur_per_wh = None
    costs.book([(1, UJ_PER_WH, True)])
    assert (costs.of(1), costs.of(2), costs.other) == (300_000, 0, 600_000)


def test_parts_of_a_nano_euro_are_kept():
    costs = GroupCosts()
    costs.price_neur_per_wh = 1
    for _ in range(1000):
        costs.book([(1, UJ_PER_WH // 1000, True)])
    assert costs.of(1) == 1


def test_what_is_forgotten_is_gone_and_its_number_begins_at_zero():
    costs = GroupCosts()
    costs.price_neur_per_wh = 5
    costs.book([(1, UJ_PER_WH, True), (2, UJ_PER_WH, True)])
    costs.forget([1, 7])
    assert (costs.of(1), costs.gone, costs.hidden([1])) == (0, 5, 5)


def test_sums_that_no_64_bits_hold_survive_a_restart():
    costs, again = GroupCosts(), GroupCosts()
    costs.price_neur_per_wh = 10**9
    costs.book([(3, 10**15, True), (4, 10**15, False)])
    again.restore(msgpack.unpackb(msgpack.packb(costs.state())))
    assert (again.of(3), again.other, again.gone) == (costs.of(3), costs.other, 0)
