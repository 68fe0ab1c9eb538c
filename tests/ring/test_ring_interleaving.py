"""Every order in which a writer's stores and a reader's loads can meet, deaths and weak memory order included."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ringworld import Memory, WatchedRing, closed_batches, lives, records_of, write

from energyd.ring import layout
from energyd.ring.batches import take_closed
from energyd.samples import RECORD_SIZE, VOID

batch_sizes = st.lists(st.integers(1, 5), max_size=8)
capacities = st.sampled_from([2, 4, 8, 16])
deaths = st.none() | st.integers(0, 300)
stories = st.lists(st.tuples(batch_sizes, deaths), min_size=1, max_size=4)
paces = st.lists(st.integers(0, 40) | st.just(0), max_size=150)


class Paced:
    """Lets so many stores happen before each load; then the writer stands still."""

    def __init__(self, steps):
        self.steps = iter(steps)

    def __call__(self):
        return next(self.steps, 0)


def read_all(ring, published, polls=4):
    """Poll while the history happens, then until nothing comes; check every promise on the way."""
    batches = closed_batches(published)
    next_index, overruns, refused, seen = 1, 0, 0, []
    for poll in range(polls + 2):
        if poll == polls:
            ring.finish()
        closed = take_closed(ring, next_index)
        indices = [int(index) for index in closed.words[:, 0]]
        for index, words in zip(indices, closed.words, strict=True):
            assert words.tobytes() == published[index], "no torn and no stale record"
        assert indices == sorted(set(indices)), "in order, none twice"
        assert not indices or indices[0] >= next_index, "none twice over two polls"
        assert indices == [index for batch in batches if batch[0] in indices for index in batch], "whole closed batches alone"
        assert closed.next_index >= next_index
        voids = sum(kind_of(published[index]) == VOID for index in range(next_index, closed.next_index))
        lost = closed.next_index - next_index - len(indices) - closed.overruns - closed.refused
        assert 0 <= lost <= voids, "everything is delivered, counted or void"
        next_index, overruns, refused = closed.next_index, overruns + closed.overruns, refused + closed.refused
        seen += indices
    last_closed = max((batch[-1] for batch in batches), default=0)
    overwritten = last_closed <= ring.claim() - ring.capacity
    assert next_index == last_closed + 1 or overwritten, "all that was closed and is there has been accounted for"
    return seen, overruns, refused


def kind_of(record):
    return int.from_bytes(record[20:22], "little")


@settings(max_examples=300, deadline=None)
@given(capacities, stories, paces)
def test_a_reader_sees_only_what_was_written_whatever_happens_in_between(capacity, stories, pace):
    history = lives(capacity, stories)
    published = records_of(history, capacity)

    read_all(WatchedRing(capacity, history, Paced(pace)), published)


@settings(max_examples=150, deadline=None)
@given(capacities, batch_sizes, paces)
def test_without_deaths_nothing_is_ever_refused(capacity, sizes, pace):
    history = lives(capacity, [(sizes, None)])

    _, _, refused = read_all(WatchedRing(capacity, history, Paced(pace)), records_of(history, capacity))

    assert refused == 0


@settings(max_examples=100, deadline=None)
@given(batch_sizes, paces)
def test_a_reader_that_is_never_lapped_gets_everything(sizes, pace):
    history = lives(64, [(sizes, None)])

    seen, overruns, _ = read_all(WatchedRing(64, history, Paced(pace)), records_of(history, 64))

    assert (seen, overruns) == (list(range(1, sum(sizes) + 1)), 0)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([2, 4, 8]), stories, st.integers(0, 2**32), st.sampled_from([4, 12, 30]))
def test_a_cpu_that_reorders_stores_cannot_pass_a_false_record(capacity, stories, seed, window):
    history = lives(capacity, stories)
    published = records_of(history, capacity)
    chance = random.Random(seed)
    pace = Paced(chance.choice((0, 0, 0, 1, 2, 9)) for _ in range(300))

    read_all(WatchedRing(capacity, reordered(history, chance, window), pace), published, polls=12)


def reordered(history, chance, window):
    """`history` as a weakly ordered CPU may show it: up to `window` stores late, only those to one address in their order."""
    delays = {}
    for number, (offset, _) in enumerate(history):
        delays.setdefault(offset, []).append(number + chance.randrange(window))
    queues = {offset: iter(sorted(moments)) for offset, moments in delays.items()}
    moments = [next(queues[offset]) for offset, _ in history]
    return [store for _, store in sorted(zip(moments, history, strict=True), key=lambda pair: pair[0])]


@pytest.mark.parametrize("capacity", [2, 4])
def test_every_way_to_place_three_loads_among_the_stores_of_a_lapping_writer(capacity):
    """Head, copy and claim of one poll at every possible moment, with batches of one and of two records."""
    history = lives(capacity, [([1, 2, 1, 1], None)])
    published = records_of(history, capacity)
    for before_head in range(len(history) + 1):
        for before_copy in range(len(history) - before_head + 1):
            for before_claim in range(len(history) - before_head - before_copy + 1):
                ring = WatchedRing(capacity, history, lambda: 0)
                ring.advance(before_head)
                closed = take_closed(BetweenLoads(ring, before_copy, before_claim), 1)
                for words in closed.words:
                    assert words.tobytes() == published[int(words[0])]


class BetweenLoads:
    """Lets the writer work before the copy and before the claim is read again."""

    def __init__(self, ring, before_copy, before_claim):
        self.ring, self.capacity = ring, ring.capacity
        self.before_copy, self.before_claim = before_copy, before_claim
        self.head = ring.head

    def copy(self, first, last):
        self.ring.advance(self.before_copy)
        return self.ring.copy(first, last)

    def claim(self):
        self.ring.advance(self.before_claim)
        return self.ring.claim()


@settings(max_examples=200, deadline=None)
@given(capacities, stories)
def test_claim_and_head_only_grow_and_batch_numbers_are_never_used_twice(capacity, stories):
    history = lives(capacity, stories)
    published = records_of(history, capacity)

    for word in (layout.CLAIM, layout.HEAD):
        values = [int.from_bytes(data, "little") for offset, data in history if offset == word * 8]
        assert values == sorted(values)
    numbers = [int.from_bytes(published[batch[0]][16:20], "little") for batch in closed_batches(published)]
    assert numbers == sorted(set(numbers))


def test_a_death_between_any_two_stores_leaves_a_ring_that_the_next_writer_completes():
    whole = len(lives(8, [([3, 2, 4], None)]))
    for death in range(whole + 1):
        history = lives(8, [([3, 2, 4], death), ([2], None)])
        published = records_of(history, 8)

        seen, _, _ = read_all(WatchedRing(8, history, lambda: 0), published, polls=0)

        assert seen[-2:] == closed_batches(published)[-1], f"killed after {death} words: what the next writer wrote is read"
        assert sorted(published) == list(range(1, max(published) + 1)), "no index is left out"


def test_a_record_is_stored_in_this_order_claim_then_bytes_then_head():
    memory = Memory(8)

    write(memory, [2, 1])

    heartbeat = layout.HEARTBEAT * 8
    stores = [(offset, data) for offset, data in memory.stores if offset != heartbeat]
    for index, (claim, record, head) in enumerate(zip(*[iter(stores)] * 3, strict=True), start=1):
        assert claim == (layout.CLAIM * 8, index.to_bytes(8, "little"))
        assert record[0] == layout.HEADER_SIZE + (index & 7) * RECORD_SIZE
        assert record[1][:8] == index.to_bytes(8, "little")
        assert record[1] == layout.seal(record[1][:-8])
        assert head == (layout.HEAD * 8, index.to_bytes(8, "little"))


@pytest.mark.parametrize(
    ("before", "size", "pieces"),
    [(1, 3, [(2, 4)]), (3, 4, [(4, 7)]), (5, 5, [(6, 7), (8, 10)]), (7, 9, [(8, 11), (12, 15), (16, 16)])],
)
def test_a_batch_stored_at_once_is_claimed_whole_but_for_the_end_of_the_file(before, size, pieces):
    """A piece is at most half of the ring, too, so that what a death leaves can be told from damage."""
    memory = Memory(8)

    write(memory, [before, size])

    stores = [(offset, data) for offset, data in memory.stores if offset != layout.HEARTBEAT * 8][3 * before :]
    for (first, last), (claim, body, head) in zip(pieces, zip(*[iter(stores)] * 3, strict=True), strict=True):
        assert claim == (layout.CLAIM * 8, last.to_bytes(8, "little"))
        assert body[0] == layout.HEADER_SIZE + (first & 7) * RECORD_SIZE
        assert len(body[1]) == (last - first + 1) * RECORD_SIZE
        assert head == (layout.HEAD * 8, last.to_bytes(8, "little"))


class LateRecord:
    """A ring that shows head before the last record, as a weakly ordered CPU may; at a second look the record is there."""

    def __init__(self, history, looks):
        self.ring = WatchedRing(8, history, lambda: 0)
        self.ring.finish()
        self.capacity, self.head, self.claim = 8, self.ring.head, self.ring.claim
        self.looks = looks

    def copy(self, first, last):
        words = self.ring.copy(first, last)
        self.looks -= 1
        if self.looks > 0:
            words[-1] = 0
        return words


@pytest.mark.parametrize(("looks", "seen"), [(1, [1, 2, 3]), (2, [1, 2, 3]), (3, [1])])
def test_a_record_that_is_only_late_is_looked_at_twice(looks, seen):
    closed = take_closed(LateRecord(lives(8, [([1, 2], None)]), looks), 1)

    assert closed.words[:, 0].tolist() == seen
    assert closed.refused == 0


def test_a_void_slot_is_filled_before_head_says_that_it_is_there():
    history = lives(8, [([3], 13), ([], None)])
    claim, head = layout.CLAIM * 8, layout.HEAD * 8

    adoption = [offset for offset, _ in history[13:] if offset != layout.HEARTBEAT * 8]

    assert claim not in adoption
    assert adoption[-1] == head
    assert len(adoption) == 9
