"""What the ledger knows as metrics: no date in a label, nothing twice, money to the nano-euro."""

import re

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from energyd.aggregate.snapshot import Energy, Ledger, MeterLedger, PeakPower, Snapshot, Stretch
from energyd.export import ledgermetrics
from energyd.export.render import Renderer

ENERGIES = (
    Energy("EASF01", "hc", "consumed", 9_060),
    Energy("EASF02", "hp", "consumed", 11_772),
    Energy("EAIT", "injected", "injected", 1_234),
)
LINKY = MeterLedger(
    meter="house",
    source="meter",
    pdl="01234567890123",
    contract="hc_hp",
    subscribed_va=9000,
    month="2026-11",
    last_month="2026-10",
    year="2026",
    last_year="2025",
    stretches=(
        Stretch("today", ENERGIES, True, 0, 2_395_146_700, 123_400_000, 411_333_333),
        Stretch("yesterday", ENERGIES, False, 535, 3_861_492_000, 0, 411_333_334),
        Stretch("last_year", (), False, 0),
    ),
    peaks=(
        PeakPower("today", "consumed", 5123, 1_795_000_000, True),
        PeakPower("yesterday", "consumed", 4000, 1_794_900_000, False),
    ),
    costs_neur=(("EASF01", "hc", 63_376_954_600), ("EASF02", "hp", 151_181_954_001)),
    revenue_neur=99,
    subscription_neur=16_281_658_796,
    price_neur_per_wh=206_500,
    prices_neur_per_wh=(("EASF01", "hc", 157_900), ("EASF02", "hp", 206_500)),
    measured_days=40,
)
LEDGER = Ledger(
    (LINKY,),
    price_neur_per_wh=206_500,
    host_cost_neur=1_500_000_000,
    self_consumed=(("today", 777),),
    write_failures=2,
    waiting=3,
    behind=4,
)


@pytest.fixture
def shown(snapshot: Snapshot) -> dict[str, dict[tuple[str, ...], float]]:
    families = ledgermetrics.families(snapshot._replace(ledger=LEDGER))
    return {family.metric.name: dict(zip(family.labels, family.values, strict=True)) for family in families}


def test_energy_of_calendar_periods_by_register(shown: dict[str, dict[tuple[str, ...], float]]) -> None:
    energies = shown["energyd_meter_period_energy_watthours"]
    assert energies["house", "EASF01", "hc", "consumed", "today", "meter"] == 9_060
    assert energies["house", "EAIT", "injected", "injected", "yesterday", "meter"] == 1_234
    assert not any("last_year" in labels for labels in energies), "nothing is known of it"
    assert shown["energyd_meter_period_complete"] == {("house", "today"): 1, ("house", "yesterday"): 0}
    assert shown["energyd_meter_period_estimated_energy_watthours"]["house", "yesterday"] == 535


def test_money(shown: dict[str, dict[tuple[str, ...], float]]) -> None:
    assert shown["energyd_meter_period_cost_euros"]["house", "energy", "today", "meter"] == 2_395_146_700
    assert shown["energyd_meter_period_cost_euros"]["house", "subscription", "today", "meter"] == 411_333_333
    assert shown["energyd_meter_period_revenue_euros"] == {("house", "today", "meter"): 123_400_000}
    assert shown["energyd_cost_euros_total"]["house", "EASF02", "hp", "meter"] == 151_181_954_001
    assert shown["energyd_price_euros_per_kwh"] == {("house",): 206_500}
    assert shown["energyd_tariff_price_euros_per_kwh"]["house", "EASF01", "hc"] == 157_900
    assert shown["energyd_host_cost_euros_total"] == {("rapl",): 1_500_000_000}


def test_peaks_and_what_the_ledger_says_of_itself(shown: dict[str, dict[tuple[str, ...], float]]) -> None:
    assert shown["energyd_meter_day_peak_apparent_power_voltamperes"] == {
        ("house", "consumed", "today", "said", "meter"): 5123,
        ("house", "consumed", "yesterday", "heard", "meter"): 4000,
    }
    assert shown["energyd_self_consumed_period_energy_watthours"] == {("today",): 777}
    assert shown["energyd_ledger_measured_seconds"] == {("house",): 40 * 86400}
    assert (shown["energyd_ledger_write_failures_total"], shown["energyd_ledger_waiting_marks"]) == ({(): 2}, {(): 3})


def test_no_label_holds_a_date(shown: dict[str, dict[tuple[str, ...], float]]) -> None:
    assert not any(re.search(r"\d{4}", label) for rows in shown.values() for labels in rows for label in labels)


def test_without_a_meter_nothing_is_told(snapshot: Snapshot) -> None:
    assert ledgermetrics.families(snapshot._replace(meters=())) == []


def test_without_a_tariff_no_money_is_told(snapshot: Snapshot) -> None:
    free = LINKY._replace(
        stretches=(Stretch("today", ENERGIES, True, 0),),
        costs_neur=(),
        revenue_neur=0,
        subscription_neur=0,
        price_neur_per_wh=None,
        prices_neur_per_wh=(),
    )
    families = ledgermetrics.families(snapshot._replace(ledger=Ledger((free,))))
    assert not any("euro" in family.metric.name for family in families)


def test_both_formats_are_read_by_their_parsers_with_the_same_values(snapshot: Snapshot) -> None:
    rendered = Renderer().render(ledgermetrics.families(snapshot._replace(ledger=LEDGER)))
    text = {sample.name: sample.value for family in parse_text(rendered.text().decode()) for sample in family.samples}
    body = rendered.openmetrics().decode() + "# EOF\n"
    openmetrics = {sample.name: sample.value for family in parse_openmetrics(body) for sample in family.samples}
    assert text == openmetrics
    assert text["energyd_host_price_euros_per_kwh"] == 0.2065
