"""Whatever is heard and whatever is missed, the parts add up to the registers."""

from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from ledgerworld import PARIS, midnight

from energyd.aggregate.counters import register_increment
from energyd.config import Config, Tariff
from energyd.ledger.accounts import Standing, Value, between, costs, split_by_day, values_at
from energyd.ledger.days import days_between, month_begin, next_month
from energyd.ledger.periods import consumed_wh, period_of
from energyd.ledger.prices import PriceBook
from energyd.ledger.reckon import Reckoner, by_tariff, total
from energyd.ledger.scribe import GAP_END, RESTART, Mark, Reading, Scribe
from energyd.ledger.store import Store
from energyd.ledger.sums import Ledgered

BEGIN_S = midnight("2026-03-20")
CONFIG = Config(tariffs=(Tariff("t", "2026-01-01", prices=(("hc", 0.123456), ("hp", 0.234567))),))

steps = st.lists(
    st.tuples(
        st.one_of(st.integers(1, 120), st.integers(600, 7200), st.integers(40_000, 400_000)),  # seconds: frames, silences, gaps
        st.integers(0, 3000),  # watt-hours of HCHC and HCHP since the last reading
        st.integers(0, 3000),
        st.booleans(),  # whether the process was killed, and has only its file
    ),
    min_size=2,
    max_size=60,
)


def hc_hp(register, _day):
    return period_of(register, "hc_hp", {})


def record(store, story, *, first_s=BEGIN_S + 5000):
    """Tell a story of readings to a scribe and a store; returns the readings."""
    price = PriceBook(CONFIG)
    scribe, meter = Scribe(PARIS), store.meter("041876097514", "linky", "meter")
    at_s, registers, told = first_s, {"HCHC": 10**9 - 2000, "HCHP": 500}, []
    for seconds, off_peak_wh, peak_wh, killed in story:
        told.append((at_s, dict(registers)))
        with store.transaction():
            for mark in scribe.heard(Reading(at_s, "historique", "HCHP", dict(registers))):
                store.append(meter, mark, lambda day, name: price.price("linky", day, name, hc_hp(name, day)), PARIS)
        if killed:
            scribe = Scribe(PARIS)
            scribe.resume(store.last_mark(meter))
        at_s += seconds
        registers["HCHC"] = (registers["HCHC"] + off_peak_wh) % 10**9
        registers["HCHP"] += peak_wh
    with store.transaction():
        for mark in scribe.close():
            store.append(meter, mark, lambda day, name: price.price("linky", day, name, hc_hp(name, day)), PARIS)
    return told


@settings(max_examples=60, deadline=None)
@given(story=steps)
def test_days_add_up_to_months_and_to_the_difference_of_the_registers(tmp_path_factory, story):
    store = Store(tmp_path_factory.mktemp("ledger") / "ledger.db")
    told = record(store, story)
    standing = store.standing(1)
    (first_s, first), last = told[0], {register: value.energy_wh for register, value in standing.values.items()}
    first_day, last_day = PARIS.day_of(first_s), PARIS.day_of(standing.at_s)
    reckoner = Reckoner("linky", Ledgered(store, store.meters()), PARIS, PriceBook(CONFIG), hc_hp, first_day)
    days = [reckoner.day(day) for day in days_between(first_day, last_day + timedelta(days=1))]

    whole = total(days, len(days))
    assert whole.registers == {name: register_increment(first[name], last[name]) for name in first}

    months = {}
    for account in days:
        months.setdefault(month_begin(account.day), []).append(account)
    for month, accounts in months.items():
        known = Ledgered(store, store.meters()).sum(PARIS.begin_s(month), PARIS.begin_s(next_month(month)))
        assert total(accounts, 31).registers == dict(known.registers)

    for account in days:
        tariffs = by_tariff([account], hc_hp)
        assert sum(tariffs.values()) == consumed_wh(account.sum.registers)
        assert all(energy_wh >= 0 for energy_wh in account.sum.registers.values())
        assert 0 <= account.sum.estimated_wh <= consumed_wh(account.sum.registers)

    assert store.charged(1) == {name: cost for name, cost in whole.costs_neur.items() if cost}
    store.close()


@settings(max_examples=60, deadline=None)
@given(story=steps)
def test_a_day_is_called_whole_only_if_both_of_its_ends_were_read(tmp_path_factory, story):
    store = Store(tmp_path_factory.mktemp("ledger") / "ledger.db")
    told = record(store, story)
    ledgered = Ledgered(store, store.meters())
    for day in days_between(PARIS.day_of(told[0][0]), PARIS.day_of(told[-1][0]) + timedelta(days=1)):
        known = ledgered.sum(PARIS.begin_s(day), PARIS.end_s(day))
        begin_read, end_read = ([a for a, _ in told if edge <= a <= edge + 120] for edge in (PARIS.begin_s(day), PARIS.end_s(day)))
        assert known.complete == (bool(begin_read) and bool(end_read))
        if known.complete:
            assert known.estimated_wh == 0
            before, after = dict(told)[begin_read[0]], dict(told)[end_read[0]]
            assert dict(known.registers) == {name: register_increment(before[name], after[name]) for name in before}
    store.close()


@given(energy=st.integers(0, 10**6), length=st.integers(1, 10**6), begin=st.integers(BEGIN_S, BEGIN_S + 10**7))
def test_a_gap_that_is_split_by_day_loses_no_watt_hour(energy, length, begin):
    parts = list(split_by_day(begin, begin + length, energy, PARIS))
    assert sum(energy_wh for _, energy_wh in parts) == energy
    assert [day for day, _ in parts] == sorted({day for day, _ in parts})


@given(begin=st.integers(0, 10**9), end=st.integers(0, 10**9), at=st.integers(0, 1000))
def test_an_even_growth_stays_between_its_ends(begin, end, at):
    low, high = sorted((begin, end))
    assert low <= between(at, 0, low, 1000, high) <= high


def test_what_a_register_has_counted_only_grows():
    before = Standing(0, 0, "historique", {"HCHP": Value(100, 7)})
    assert values_at(before, Mark(1, 1, 0, "historique", "", {"HCHP": 150}))["HCHP"] == Value(150, 57)
    assert values_at(before, Mark(1, 1, 0, "historique", "", {"HCHP": 50}))["HCHP"] == Value(50, 7), "set back"
    assert values_at(before, Mark(1, 1, RESTART, "historique", "", {"HCHP": 150}))["HCHP"] == Value(150, 7), "nothing known between"
    assert values_at(before, Mark(1, 1, 0, "standard", "", {"EASF01": 150}))["EASF01"] == Value(150, 0)
    assert values_at(before, Mark(1, 1, GAP_END, "historique", "", {"HCHC": 5}))["HCHC"] == Value(5, 0), "new"


def test_the_ninth_digit():
    assert register_increment(999_999_990, 5) == 15
    assert register_increment(5, 999_999_990) == 999_999_985
    assert register_increment(600_000_000, 599_999_999) == 0


def test_each_part_of_a_gap_costs_what_its_day_costs():
    begin_s, day = PARIS.begin_s(date(2026, 6, 10)) - 3600, date(2026, 6, 10)
    prices = {date(2026, 6, 9): 2, day: 3}
    spent = costs(begin_s, begin_s + 4 * 3600, {"A": 0}, {"A": 400}, lambda when, _register: prices[when], PARIS)
    assert spent == {"A": 100 * 2 + 300 * 3}


def test_what_has_no_price_costs_nothing():
    assert costs(BEGIN_S, BEGIN_S + 10, {"A": 0}, {"A": 5}, lambda day, register: None, PARIS) == {"A": 0}
    assert costs(BEGIN_S, BEGIN_S + 10, {"A": 0}, {"A": 5, "B": 7}, lambda day, register: 3, PARIS) == {"A": 15}
