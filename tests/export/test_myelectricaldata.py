"""Every name that the myelectricaldata client documents, with its labels and units, so that its queries are answered."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from test_ledgermetrics import ENERGIES, LINKY

from energyd import ticfields
from energyd.aggregate.snapshot import Energy, Frames, Ledger, Snapshot, Stretch
from energyd.export import myelectricaldata
from energyd.export.myelectricaldata import Families
from energyd.export.render import Rendered, Renderer

PDL = "01234567890123"
DOCUMENTED = {
    "consumption_daily_kwh": {"pdl", "tariff"},
    "consumption_hc_kwh": {"pdl"},
    "consumption_hp_kwh": {"pdl"},
    "consumption_monthly_kwh": {"pdl", "month"},
    "consumption_yearly_kwh": {"pdl", "year"},
    "max_power_kva": {"pdl"},
    "production_daily_kwh": {
        "pdl",
        "tariff",
    },  # beyond the documentation: consumption has it too, so that their ratio has an answer
    "production_monthly_kwh": {"pdl", "month"},
    "production_yearly_kwh": {"pdl", "year"},
    "pdl_info": {"pdl", "tariff", "power"},
    "last_sync_timestamp": {"pdl"},
    "sync_status": {"pdl"},
    "synced_days_total": {"pdl"},
    "sync_total": {"status"},
    "sync_duration_seconds": {"quantile"},
    "api_requests_total": {"endpoint"},
}
WHOLE = LINKY._replace(
    stretches=tuple(
        Stretch(name, ENERGIES, True, 0) for name in ("today", "this_month", "last_month", "this_year", "last_year", "last_week")
    ),
    last_day=Stretch("last_day", ENERGIES, True, 0),
    last_day_peak_va=6500,
    last_frame_ns=1_705_312_200_000_000_000,
)


def with_ledger(snapshot: Snapshot, *meters: object) -> Snapshot:
    spoken = snapshot.meters[0]._replace(frames=Frames(150, 2, ((0.5, 2_500_000_000), (0.9, 5_200_000_000))))
    return snapshot._replace(meters=(spoken, *snapshot.meters[1:]), ledger=Ledger(tuple(meters)))  # type: ignore[arg-type]


def render(snapshot: Snapshot) -> Rendered:
    return Renderer().render(Families({"/metrics": 500})(snapshot))


def samples(snapshot: Snapshot) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = render(snapshot).text().decode()
    return {
        (sample.name.removeprefix("myelectricaldata_"), frozenset(sample.labels.items())): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


def of(shown: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    return shown[name, frozenset(labels.items())]


def test_every_documented_name_is_there_with_its_labels_and_nothing_else(snapshot: Snapshot) -> None:
    shown = samples(with_ledger(snapshot, WHOLE))
    seen = {name: {label for label, _ in labels} for name, labels in shown}
    assert seen == DOCUMENTED
    assert {metric.name.removeprefix("myelectricaldata_") for metric in myelectricaldata.METRICS} == set(DOCUMENTED)


def test_the_values_are_in_the_units_of_the_names(snapshot: Snapshot) -> None:
    shown = samples(with_ledger(snapshot, WHOLE))
    assert of(shown, "consumption_daily_kwh", pdl=PDL, tariff="hc_hp") == 20.832
    assert of(shown, "consumption_hc_kwh", pdl=PDL) == 9.06
    assert of(shown, "consumption_hp_kwh", pdl=PDL) == 11.772
    assert of(shown, "consumption_monthly_kwh", pdl=PDL, month="2026-11") == 20.832
    assert of(shown, "consumption_yearly_kwh", pdl=PDL, year="2025") == 20.832
    assert of(shown, "max_power_kva", pdl=PDL) == 6.5
    assert of(shown, "production_daily_kwh", pdl=PDL, tariff="hc_hp") == 1.234
    assert of(shown, "pdl_info", pdl=PDL, tariff="hc_hp", power="9") == 1
    assert of(shown, "last_sync_timestamp", pdl=PDL) == 1705312200
    assert of(shown, "sync_status", pdl=PDL) == 1
    assert of(shown, "synced_days_total", pdl=PDL) == 40
    assert of(shown, "sync_total", status="success") == 150
    assert of(shown, "sync_total", status="error") == 2
    assert of(shown, "sync_duration_seconds", quantile="0.5") == 2.5
    assert of(shown, "sync_duration_seconds", quantile="0.9") == 5.2
    assert of(shown, "api_requests_total", endpoint="/metrics") == 500


def test_only_the_present_month_and_year_and_those_before_have_series(snapshot: Snapshot) -> None:
    shown = samples(with_ledger(snapshot, WHOLE))
    assert {dict(labels)["month"] for name, labels in shown if name.endswith("monthly_kwh")} == {"2026-10", "2026-11"}
    assert {dict(labels)["year"] for name, labels in shown if name.endswith("yearly_kwh")} == {"2025", "2026"}


def test_production_and_consumption_can_be_divided_by_each_other(snapshot: Snapshot) -> None:
    shown = samples(with_ledger(snapshot, WHOLE))
    for given_back, drawn in (
        ("production_daily_kwh", "consumption_daily_kwh"),
        ("production_monthly_kwh", "consumption_monthly_kwh"),
    ):
        assert {labels for name, labels in shown if name == given_back} == {labels for name, labels in shown if name == drawn}


@given(
    energies=st.lists(st.tuples(st.sampled_from([*ticfields.PERIODS, "", "other"]), st.integers(0, 10**9)), min_size=1, max_size=10)
)
def test_off_peak_and_peak_are_always_the_whole(energies: list[tuple[str, int]]) -> None:
    drawn = tuple(Energy(f"EASF{n:02}", tariff, "consumed", energy_wh) for n, (tariff, energy_wh) in enumerate(energies, 1))
    rows: dict[str, dict[tuple[str, ...], float]] = {metric.name: {} for metric in myelectricaldata.METRICS}
    myelectricaldata._drawn(rows, WHOLE._replace(last_day=Stretch("last_day", drawn, True, 0)))
    daily = rows["myelectricaldata_consumption_daily_kwh"][PDL, "hc_hp"]
    parts = [rows[f"myelectricaldata_consumption_{hours}_kwh"][(PDL,)] for hours in ("hc", "hp")]
    assert sum(parts) == daily == sum(energy_wh for _, energy_wh in energies)
    assert min(parts) >= 0


def test_a_contract_with_one_price_is_peak_only(snapshot: Snapshot) -> None:
    base = WHOLE._replace(contract="base", last_day=Stretch("last_day", (Energy("BASE", "base", "consumed", 5000),), True, 0))
    shown = samples(with_ledger(snapshot, base))
    assert (of(shown, "consumption_hc_kwh", pdl=PDL), of(shown, "consumption_hp_kwh", pdl=PDL)) == (0, 5)
    assert not any(name == "production_daily_kwh" for name, _ in shown)


def test_before_the_first_whole_day_there_is_no_day(snapshot: Snapshot) -> None:
    shown = samples(with_ledger(snapshot, WHOLE._replace(last_day=None, last_day_peak_va=None)))
    assert not {"consumption_daily_kwh", "consumption_hc_kwh", "max_power_kva"} & {name for name, _ in shown}
    assert of(shown, "consumption_monthly_kwh", pdl=PDL, month="2026-11") == 20.832


def test_a_meter_whose_pdl_nobody_knows_has_no_series_of_a_pdl(snapshot: Snapshot) -> None:
    shown = samples(with_ledger(snapshot, WHOLE._replace(pdl="")))
    assert {name for name, _ in shown} == {"sync_total", "sync_duration_seconds", "api_requests_total"}


def test_a_production_meter_has_production_only(snapshot: Snapshot) -> None:
    roof = Stretch("last_day", (Energy("BASE", "base", "produced", 7000),), True, 0)
    shown = samples(with_ledger(snapshot, WHOLE._replace(last_day=roof, stretches=())))
    assert of(shown, "production_daily_kwh", pdl=PDL, tariff="hc_hp") == 7
    assert not any(name.startswith("consumption") for name, _ in shown)


def test_what_is_simulated_is_marked_and_what_is_measured_beside_it_is_not(snapshot: Snapshot) -> None:
    shed = WHOLE._replace(meter="shed", pdl="9" * 14, source="simulated")
    shown = samples(with_ledger(snapshot, WHOLE, shed))
    sources = {dict(labels)["pdl"]: dict(labels)["source"] for name, labels in shown if name == "sync_status"}
    assert sources == {PDL: "", "9" * 14: "simulated"}


def test_both_formats_are_read_by_their_parsers_with_the_same_values(snapshot: Snapshot) -> None:
    rendered = render(with_ledger(snapshot, WHOLE))
    text = [sample[:3] for family in parse_text(rendered.text().decode()) for sample in family.samples]
    body = rendered.openmetrics().decode() + "# EOF\n"
    openmetrics = {family.name: family for family in parse_openmetrics(body)}
    assert [sample[:3] for family in openmetrics.values() for sample in family.samples] == text
    assert openmetrics["myelectricaldata_synced_days_total"].type == "unknown", "there only counters may be called so"
    assert openmetrics["myelectricaldata_sync"].type == "counter"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_what_promtool_holds_against_the_inherited_names_is_known(snapshot: Snapshot) -> None:
    body = render(with_ledger(snapshot, WHOLE)).text()
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    said = sorted(line for line in done.stdout.decode().splitlines() + done.stderr.decode().splitlines() if line)
    assert said == [
        'myelectricaldata_synced_days_total non-counter metrics should not have "_total" suffix',
        'myelectricaldata_synced_days_total use base unit "seconds" instead of "days"',
    ]


def test_a_production_meter_at_the_same_point_divides_by_what_the_house_draws(snapshot: Snapshot) -> None:
    """A52: production / consumption * 100 needs the same labels on both sides; the night draw of the roof is in the house's."""
    made = (Energy("EAIT", "injected", "produced", 4_166), Energy("EASF01", "base", "consumed", 7))
    roof = WHOLE._replace(
        meter="shed",
        contract="base",
        stretches=(Stretch("this_month", made, True, 0),),
        last_day=Stretch("last_day", made, True, 0),
    )
    for meters in ((WHOLE, roof), (roof, WHOLE)):
        shown = samples(with_ledger(snapshot, *meters))
        assert of(shown, "production_daily_kwh", pdl=PDL, tariff="hc_hp") == 4.166
        assert of(shown, "consumption_daily_kwh", pdl=PDL, tariff="hc_hp") == 20.832
        assert of(shown, "consumption_hp_kwh", pdl=PDL) + of(shown, "consumption_hc_kwh", pdl=PDL) == pytest.approx(20.832)
        assert of(shown, "production_monthly_kwh", pdl=PDL, month="2026-11") == 4.166
        assert of(shown, "consumption_monthly_kwh", pdl=PDL, month="2026-11") == 20.832


def test_a_production_meter_of_its_own_has_its_own_series(snapshot: Snapshot) -> None:
    made = (Energy("EAIT", "injected", "produced", 4_166),)
    roof = WHOLE._replace(meter="shed", pdl="1" * 14, contract="base", last_day=Stretch("last_day", made, True, 0), stretches=())
    shown = samples(with_ledger(snapshot, WHOLE, roof))
    assert of(shown, "production_daily_kwh", pdl="1" * 14, tariff="base") == 4.166
    assert ("consumption_daily_kwh", frozenset({("pdl", "1" * 14), ("tariff", "base")})) not in shown
