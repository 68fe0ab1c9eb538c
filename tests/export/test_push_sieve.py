"""What a receiver refuses is found, and only that is given up: against receivers of every kind, simulated."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pushworld import rows_of

from energyd.export.answers import LATER, OUT_OF_ORDER, REFUSED, SUSPECT, TAKEN, TOO_LARGE, TOO_OLD, Outcome
from energyd.export.sieve import CONFIRMATIONS, Sieve
from energyd.spool.rows import Row


class Receiver:
    """Takes a request whole or not at all; `verdict_of(row, series)` says what it finds wrong with a sample, None = nothing."""

    def __init__(self, verdict_of, fails_after=None, most=None):
        self._verdict_of = verdict_of
        self._fails_after = fails_after
        self._most = most
        self.requests = 0
        self.samples = 0
        self.stored = []

    async def send(self, rows, previous):
        self.requests += 1
        self.samples += sum(len(row.prefixes) for row in rows)
        if self._fails_after is not None and self.requests > self._fails_after:
            return Outcome(LATER, "answered 503")
        if self._most is not None and sum(len(row.prefixes) for row in rows) > self._most:
            return Outcome(TOO_LARGE, "answered 413")
        names = [(row.at_ms, prefix) for row in rows for prefix in row.prefixes]
        for at_ms, prefix in names:
            verdict = self._verdict_of(at_ms, prefix)
            if verdict is not None:
                return Outcome(verdict, f"answered 400: {verdict}")
        self.stored += names
        return Outcome(TAKEN)


class PartialReceiver(Receiver):
    """Of remote write 2.0, as Prometheus 3 is: writes what it can of a request, and refuses the rest by its number."""

    async def send(self, rows, previous):
        self.requests += 1
        names = [(row.at_ms, prefix) for row in rows for prefix in row.prefixes]
        newest = dict(prefix_and_time[::-1] for prefix_and_time in sorted(self.stored))
        good = [name for name in names if self._verdict_of(*name) is None and name[0] >= newest.get(name[1], 0)]
        self.stored += good
        if len(good) == len(names):
            return Outcome(TAKEN)
        verdicts = [verdict for name in names if (verdict := self._verdict_of(*name))]
        return Outcome(verdicts[0] if verdicts else OUT_OF_ORDER, "answered 400", lost=len(names) - len(good) if good else 0)


def sift(rows, receiver, known=True, doubtful_end=0):
    async def run():
        first = await receiver.send(rows, None)
        sample = Row(0, 1, [b"known "], rows[0].values[:1]) if known else None
        return await Sieve(receiver.send, sample, doubtful_end).run(rows, None, first)

    return asyncio.run(run())


def bad_of(sifted):
    return [(row.at_ms, row.prefixes[bad.series]) for row, found in sifted.done for bad in found]


def names(rows):
    return [(row.at_ms, prefix) for row in rows for prefix in row.prefixes]


@settings(max_examples=60)
@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 19)), max_size=12), st.sampled_from([REFUSED, SUSPECT]))
def test_exactly_the_refused_samples_are_given_up_and_all_others_delivered(bad, verdict):
    rows = rows_of(8, series=20)
    wrong = {(rows[tick].at_ms, rows[tick].prefixes[i]) for tick, i in bad}
    if not wrong:
        return
    receiver = Receiver(lambda *name: verdict if name in wrong else None)
    sifted = sift(rows, receiver)
    assert sifted.stop is None
    assert [row for row, _ in sifted.done] == rows
    assert set(bad_of(sifted)) == wrong
    assert sorted(set(receiver.stored) - {(1, b"known ")}) == sorted(set(names(rows)) - wrong)
    confirmations = 2 * CONFIRMATIONS if verdict == SUSPECT else 0
    assert receiver.requests <= 3 + len(wrong) * (2 * 9 + confirmations), (
        "a halving for each bad sample, not a request for each sample"
    )


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("verdict", [REFUSED, SUSPECT])
def test_a_receiver_that_refuses_everything_is_given_nothing_up_for(known, verdict):
    receiver = Receiver(lambda *_: verdict)
    sifted = sift(rows_of(8, series=20), receiver, known)
    assert sifted.stop is not None
    assert sifted.stop.verdict == LATER
    assert not bad_of(sifted)
    assert receiver.requests < 30


def test_one_bad_sample_is_found_by_a_process_that_has_sent_nothing_yet():
    rows = rows_of(2, series=20)
    wrong = (rows[0].at_ms, rows[0].prefixes[0])
    sifted = sift(rows, Receiver(lambda *name: REFUSED if name == wrong else None), known=False)
    assert sifted.stop is None
    assert bad_of(sifted) == [wrong]


def test_rows_that_are_too_old_are_given_up_whole_and_the_younger_ones_delivered():
    rows = rows_of(16, series=20)
    receiver = Receiver(lambda at_ms, _prefix: TOO_OLD if at_ms < rows[5].at_ms else None)
    sifted = sift(rows, receiver)
    assert sifted.stop is None
    assert [row.at_ms for row, bad in sifted.done if len(bad) == 20] == [row.at_ms for row in rows[:5]]
    assert receiver.stored == names(rows[5:])


def test_a_row_that_is_out_of_order_as_a_whole_costs_a_few_requests():
    rows = rows_of(1, series=200)
    receiver = Receiver(lambda *_: OUT_OF_ORDER)
    sifted = sift(rows, receiver)
    assert len(bad_of(sifted)) == 200
    assert receiver.requests == 9


def test_a_series_that_somebody_else_writes_is_given_up_alone():
    rows = rows_of(3, series=40)
    wrong = {(row.at_ms, row.prefixes[7]) for row in rows}
    receiver = Receiver(lambda *name: OUT_OF_ORDER if name in wrong else None)
    sifted = sift(rows, receiver)
    assert set(bad_of(sifted)) == wrong
    assert set(receiver.stored) == set(names(rows)) - wrong


def test_what_may_be_there_already_is_out_of_order_because_it_is_there():
    """A receiver that came back with everything it had: each row is asked for once, and what is new goes in one request."""
    rows = rows_of(40, series=20)
    there = rows[29].at_ms
    receiver = Receiver(lambda at_ms, _prefix: OUT_OF_ORDER if at_ms <= there else None)
    sifted = sift(rows, receiver, doubtful_end=rows[-1].end)
    assert sifted.stop is None
    assert not bad_of(sifted)
    assert [row for row, _ in sifted.done] == rows
    assert receiver.stored == names(rows[30:])
    assert receiver.requests == 1 + 30 + 1 + 1
    assert receiver.samples <= 3 * len(names(rows))


def test_what_was_taken_with_an_answer_of_500_is_out_of_order_because_it_is_there():
    rows = rows_of(4)
    answers = [Outcome(TAKEN), Outcome(SUSPECT, status=500), Outcome(OUT_OF_ORDER, status=400), Outcome(TAKEN), Outcome(TAKEN)]

    async def send(_rows, _previous):
        return answers.pop(0)

    sifted = asyncio.run(Sieve(send, rows[0], 0).run(rows, None, Outcome(REFUSED, status=400)))
    assert sifted == ([(row, []) for row in rows], None)
    assert not answers


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("ticks", [1, 8])
@pytest.mark.parametrize("takes", range(2, 24))
def test_a_receiver_whose_disk_is_full_meanwhile_is_given_nothing_up_for(takes, ticks, known):
    class Filling(Receiver):
        async def send(self, rows, previous):
            outcome = await super().send(rows, previous)
            return outcome if self.requests <= takes else Outcome(SUSPECT, "answered 500", status=500)

    rows = rows_of(ticks, series=20)
    poison = (rows[ticks // 2].at_ms, rows[ticks // 2].prefixes[7])
    receiver = Filling(lambda at_ms, prefix: REFUSED if (at_ms, prefix) == poison else None)
    sifted = sift(rows, receiver, known)
    assert set(bad_of(sifted)) <= {poison}
    assert sifted.stop is not None or bad_of(sifted)


class Passing(Receiver):
    """Fails with 500 at the requests `passing`, counted from 1, whatever is in them; `stores` what it fails at nevertheless."""

    def __init__(self, verdict_of, passing, stores=False):
        super().__init__(verdict_of)
        self._passing, self._stores = passing, stores

    async def send(self, rows, previous):
        there = set(names(rows)) & set(self.stored)
        if self._stores and there - {(1, b"known ")}:
            return Outcome(OUT_OF_ORDER, "answered 400", status=400)
        if self.requests + 1 not in self._passing:
            return await super().send(rows, previous)
        self.requests += 1
        if self._stores:
            self.stored += names(rows)
        return Outcome(SUSPECT, "answered 500", status=500)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("verdict", [REFUSED, SUSPECT])
@pytest.mark.parametrize("poisoned", [0, 7, 19])
def test_an_answer_of_500_that_passes_costs_no_sample(known, verdict, poisoned):
    rows = rows_of(2, series=20)
    poison = (rows[0].at_ms, rows[0].prefixes[poisoned])
    for begin in range(2, 24):
        for count in (1, 2, 3):
            receiver = Passing(lambda *name: verdict if name == poison else None, range(begin, begin + count))
            sifted = sift(rows, receiver, known)
            assert set(bad_of(sifted)) <= {poison}
            assert sifted.stop is not None or set(names(rows)) - {poison} <= set(receiver.stored)


def test_a_sample_that_is_taken_at_last_is_not_given_up():
    rows = rows_of(1, series=4)
    answers = iter([SUSPECT] * (3 + CONFIRMATIONS - 1))  # the row, its half, and then alone
    slow = (rows[0].at_ms, rows[0].prefixes[0])
    receiver = Receiver(lambda *name: next(answers, None) if name == slow else None)
    assert sift(rows, receiver) == ([(rows[0], [])], None)


def test_a_sample_that_was_taken_with_an_answer_of_500_is_there():
    rows = rows_of(1, series=1)
    receiver = Passing(lambda *_: None, [1], stores=True)
    assert sift(rows, receiver) == ([(rows[0], [])], None)


def test_a_request_that_is_too_large_is_halved_down_to_a_sample():
    rows = rows_of(2, series=20)
    receiver = Receiver(lambda *_: None, most=3)
    sifted = sift(rows, receiver)
    assert not bad_of(sifted)
    assert sorted(receiver.stored[1:]) == sorted(names(rows))


@pytest.mark.parametrize("fails_after", range(1, 25))
def test_a_receiver_that_goes_away_meanwhile_leaves_the_rest_waiting(fails_after):
    rows = rows_of(8, series=20)
    wrong = {(rows[3].at_ms, rows[3].prefixes[4])}
    receiver = Receiver(lambda *name: REFUSED if name in wrong else None, fails_after)
    sifted = sift(rows, receiver)
    done = [row for row, _ in sifted.done]
    assert done == rows[: len(done)], "a beginning of the batch"
    assert sifted.stop is not None or len(done) == 8
    assert set(names(done)) - wrong <= set(receiver.stored)


@pytest.mark.parametrize("verdict", [OUT_OF_ORDER, TOO_OLD, REFUSED])
def test_of_a_batch_that_is_written_in_part_the_rest_is_lost_and_nothing_is_sent_again(verdict):
    rows = rows_of(6, series=20)
    wrong = {(row.at_ms, row.prefixes[7]) for row in rows[:4]}
    receiver = PartialReceiver(lambda *name: verdict if name in wrong else None)
    sifted = sift(rows, receiver)
    assert sifted.stop is None
    assert [row for row, _ in sifted.done] == rows
    assert [(bad.series, bad.samples) for _, found in sifted.done for bad in found] == [(None, 4)]
    assert set(receiver.stored) == set(names(rows)) - wrong
    assert receiver.requests == 1


def test_what_is_there_already_is_not_lost_when_the_rest_of_its_batch_is_written():
    rows = rows_of(6, series=20)
    receiver = PartialReceiver(lambda *_: None)
    receiver.stored += names(rows[:4])
    sifted = sift(rows, receiver, doubtful_end=rows[-1].end)
    assert not bad_of(sifted)
    assert receiver.stored[-60:] == names(rows[3:]), "the last row that is there is no news, and no offence"
    assert receiver.requests == 1


def test_what_is_lost_beside_rows_that_may_be_there_is_lost():
    rows = rows_of(6, series=20)
    wrong = {(rows[5].at_ms, rows[5].prefixes[7])}
    receiver = PartialReceiver(lambda *name: OUT_OF_ORDER if name in wrong else None)
    receiver.stored += names(rows[:4])
    sifted = sift(rows, receiver, doubtful_end=rows[2].end)
    assert [bad.samples for _, found in sifted.done for bad in found] == [1]
