"""Dated tables, and the examples that are shipped."""

from datetime import date
from pathlib import Path

import pytest

from energyd import configfile
from energyd.config import Config, Energy, Tariff
from energyd.ledger.days import Days
from energyd.ledger.hostcost import HostCost
from energyd.ledger.periods import period_of
from energyd.ledger.prices import PriceBook
from energyd.ledger.reckon import Reckoner
from energyd.ledger.store import Store
from energyd.ledger.sums import Ledgered

EXAMPLES = Path(__file__).parents[2] / "conf" / "examples" / "tariffs.yml"


def book(*tariffs, flat=None):
    return PriceBook(Config(tariffs=tariffs, energy=Energy(price_eur_per_kwh=flat)))


@pytest.mark.parametrize("order", [1, -1])
def test_a_table_without_an_end_ends_where_the_next_begins(order):
    tables = [Tariff("a", "2026-01-01", prices=(("hp", 0.2),)), Tariff("b", "2026-03-01", prices=(("hp", 0.3),))]
    prices = book(*tables[::order])
    assert prices.price("linky", date(2026, 2, 28), "HCHP", "hp") == 200_000
    assert prices.price("linky", date(2026, 3, 1), "HCHP", "hp") == 300_000
    assert prices.price("linky", date(2025, 12, 31), "HCHP", "hp") is None


def test_the_last_day_is_included_and_the_day_after_is_without_a_price():
    prices = book(Tariff("a", "2026-01-01", "2026-01-31", prices=(("hp", 0.2),)))
    assert prices.price("linky", date(2026, 1, 31), "HCHP", "hp") == 200_000
    assert prices.price("linky", date(2026, 2, 1), "HCHP", "hp") is None


def test_the_meters_own_table_goes_before_that_of_all():
    prices = book(
        Tariff("all", "2026-01-01", prices=(("hp", 0.2),)), Tariff("own", "2026-02-01", "2026-02-28", "linky", 0.0, (("hp", 0.5),))
    )
    assert prices.price("linky", date(2026, 2, 3), "HCHP", "hp") == 500_000
    assert prices.price("other", date(2026, 2, 3), "HCHP", "hp") == 200_000
    assert prices.price("linky", date(2026, 3, 3), "HCHP", "hp") == 200_000
    assert prices.has_tables("anything")
    assert not book(Tariff("own", "2026-02-01", None, "linky", 0.0, (("hp", 0.5),))).has_tables("other")


def test_a_register_goes_before_its_period():
    prices = book(Tariff("a", "2026-01-01", prices=(("hp", 0.2), ("EASF02", 0.25))))
    assert prices.price("linky", date(2026, 1, 1), "EASF02", "hp") == 250_000
    assert prices.price("linky", date(2026, 1, 1), "HCHP", "hp") == 200_000
    assert prices.price("linky", date(2026, 1, 1), "HCHC", "hc") is None


@pytest.mark.parametrize("text", ["0.1579", "0.2", "0.000001", "99.999999", "0.1", "0.29"])
def test_a_price_is_the_number_that_was_written(text):
    prices = book(Tariff("a", "2026-01-01", prices=(("hp", float(text)),)), flat=float(text))
    millionths = int(text.replace(".", "").lstrip("0") + "0" * (6 - len(text.partition(".")[2])))
    assert prices.price("linky", date(2026, 1, 1), "HCHP", "hp") == prices.flat_neur_per_wh == millionths


def test_the_days_of_a_month_pay_exactly_one_subscription(tmp_path):
    """To the nano-euro, in months of any length and with the days of a change of clocks."""
    days, store = Days("Europe/Paris"), Store(tmp_path / "ledger.db")
    prices = book(Tariff("a", "2026-01-01", None, None, 12.34, ()))
    reckoner = Reckoner("linky", Ledgered(store, []), days, prices, lambda _register, _day: "", date(2026, 1, 1))
    assert reckoner.subscriptions(date(2026, 3, 1), days.begin_s(date(2026, 4, 1))) == 12_340_000_000
    assert reckoner.subscriptions(date(2026, 1, 1), days.begin_s(date(2027, 1, 1))) == 12 * 12_340_000_000
    assert reckoner.subscriptions(date(2025, 12, 1), days.begin_s(date(2026, 2, 1))) == 12_340_000_000, "not before the ledger"
    store.close()


def test_the_shipped_examples_are_valid_marked_as_examples_and_price_every_period():
    config = configfile.load(str(EXAMPLES), {})
    assert EXAMPLES.read_text().count("EXAMPLE") >= 1
    assert all(tariff.name.startswith("example-") for tariff in config.tariffs)
    prices = PriceBook(config)
    day = date(2026, 11, 20)
    registers = {
        "base": ("BASE",), "hchp": ("HCHC", "HCHP"), "ejp": ("EJPHN", "EJPHPM"), "weekend": ("EASF01", "EASF02", "EASF03"),
        "tempo": ("BBRHCJB", "BBRHPJB", "BBRHCJW", "BBRHPJW", "BBRHCJR", "BBRHPJR"), "solar": ("HCHC", "HCHP", "EAIT"),
    }  # fmt: skip
    for meter, labels in registers.items():
        for label in labels:
            assert prices.price(meter, day, label, period_of(label, "", {})), (meter, label)


def test_a_host_is_charged_by_the_joule():
    host = HostCost()
    host.charge(None, 5)
    assert host.cost_neur is None
    host.charge(1000, None)
    assert host.cost_neur is None, "no price was known"
    host.charge(3_600_000_000 + 1000, 200_000)
    assert host.cost_neur == 200_000
    for energy_uj in range(3_600_000_000 + 1000, 7_200_000_001 + 1000, 1_000_003):
        host.charge(energy_uj, 200_000)
    host.charge(7_200_000_000 + 1000, 200_000)
    assert host.cost_neur in (399_999, 400_000)
    again = HostCost()
    again.restore(host.state())
    again.charge(10_800_000_000 + 1000, 100_000)
    assert again.cost_neur in (499_999, 500_000)


def test_a_counter_that_falls_charges_nothing():
    host = HostCost()
    host.charge(5_000_000_000, 1000)
    host.charge(1_000, 1000)
    assert host.cost_neur == 5_000_000_000 * 1000 // 3_600_000_000
