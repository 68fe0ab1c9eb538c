"""Ranges behave as sets of integers; a sample is pending until it is acknowledged or given up."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from energyd.spool.cursor import Cursor, Ranges

SPAN = st.tuples(st.integers(0, 40), st.integers(0, 40))


@given(st.lists(st.tuples(st.booleans(), SPAN), max_size=30))
def test_ranges_are_a_set_of_integers(actions):
    ranges, model = Ranges(), set()
    for adding, (lo, hi) in actions:
        span = set(range(lo, hi))
        if adding:
            ranges.add(lo, hi)
            model |= span
        else:
            assert ranges.remove(lo, hi) == len(model & span)
            model -= span
        listed = list(ranges)
        assert {i for low, high in listed for i in range(low, high)} == model
        assert len(ranges) == len(model)
        assert bool(ranges) == bool(model)
        assert all(a[1] < b[0] for a, b in pairwise(listed)), "disjoint, and never touching"
        assert not model or ranges.lowest == min(model)


class CursorMachine(RuleBasedStateMachine):
    """A cursor beside plain sets; the time goes on by itself."""

    def __init__(self):
        super().__init__()
        self.cursor = Cursor()
        self.now_ms = 0
        self.end = 0
        self.pending, self.again, self.given_up = set(), set(), set()
        self.acknowledged = {}

    @rule(count=st.integers(1, 9))
    def append(self, count):
        self.cursor.appended(self.end + count)
        self.pending |= set(range(self.end, self.end + count))
        self.end += count

    @rule(span=SPAN)
    def acknowledge(self, span):
        self.now_ms += 400
        lo, hi = span[0], min(span[1], self.end)
        got = set(range(lo, hi))
        taken, again = self.cursor.acknowledge(lo, hi, self.now_ms)
        assert (taken, again) == (len(got & self.pending), len(got & self.again))
        if got & self.pending:
            self.acknowledged |= dict.fromkeys(got, self.now_ms)
        self.pending -= got
        self.again -= got

    @rule(span=SPAN)
    def give_up(self, span):
        got = set(range(*span))
        assert self.cursor.give_up(*span) == len(got & self.pending) - len(got & self.again)
        self.given_up |= got & self.pending
        self.pending -= got
        self.again -= got

    @rule(keep_ms=st.integers(0, 5000))
    def replay(self, keep_ms):
        self.cursor.replay(self.now_ms, keep_ms)
        now = {i for lo, hi in self.cursor.pending for i in range(lo, hi)}
        added = now - self.pending
        assert all(i in self.acknowledged for i in added), "only what was acknowledged"
        at_ms = self.acknowledged
        last_ms = max((at_ms[i] for i in at_ms.keys() - self.pending - self.given_up), default=0)  # of what was not replayed before
        assert all(at_ms[i] >= last_ms - keep_ms - 1000 for i in added)
        self.again |= {i for lo, hi in self.cursor.replayed for i in range(lo, hi)} & now
        self.pending = now

    @rule()
    def restart(self):
        self.cursor = Cursor(self.cursor.state())

    @invariant()
    def pending_is_what_is_pending(self):
        assert {i for lo, hi in self.cursor.pending for i in range(lo, hi)} == self.pending
        assert self.cursor.end == self.end
        assert self.cursor.floor() <= min(self.pending, default=self.end)


TestCursor = CursorMachine.TestCase


def test_a_replay_takes_the_last_acknowledgement_and_what_was_shortly_before():
    cursor = Cursor()
    cursor.appended(100)
    for i in range(10):
        cursor.acknowledge(10 * i, 10 * i + 10, 60_000 * i)
    assert cursor.replay(until_ms=500_000, keep_ms=130_000) == 30
    assert list(cursor.pending) == [(60, 90)]
    assert cursor.acknowledge(60, 90, 600_000) == (30, 30)
    assert cursor.replay(until_ms=0, keep_ms=0) == 10, "at the very time of an acknowledgement"


def test_what_was_acknowledged_long_ago_is_let_go_of_and_moves_the_floor():
    cursor = Cursor()
    cursor.appended(30)
    cursor.acknowledge(0, 10, 1_000)
    cursor.acknowledge(10, 20, 9_000)
    assert cursor.floor() == 0
    cursor.forget_before(5_000)
    assert cursor.floor() == 10
    cursor.forget_before(10_000)
    assert cursor.floor() == 20


def test_acknowledgements_of_one_second_are_one_entry():
    cursor = Cursor()
    cursor.appended(100)
    for i in range(100):
        cursor.acknowledge(i, i + 1, 5_000 + 5 * i)
    assert cursor.acknowledged == [(5_495, 0, 100)]
