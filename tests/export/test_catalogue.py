"""The catalogue keeps the naming rules, covers everything that can be counted, and is what METRICS.md says."""

import re
from pathlib import Path

import pytest

from energyd import samples, ticfields
from energyd.aggregate.snapshot import GpuUse, Snapshot
from energyd.export import collect, document, meterquantities, ringmetrics
from energyd.export.catalogue import CATALOGUE
from energyd.export.metric import COUNTER, FLOAT, INFO, Metric

ROOT = Path(__file__).parents[2]
BASE_UNITS = {
    "joules", "watts", "seconds", "bytes", "watthours", "voltamperes", "varhours", "amperes", "volts", "cubic_meters",
    "vars", "voltamperehours", "ratio", "euros", ""
}  # fmt: skip


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_a_metric_follows_the_naming_rules(metric: Metric) -> None:
    assert re.fullmatch("energyd_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.type == COUNTER)
    assert metric.name.endswith("_info") == (metric.type == INFO)
    assert metric.unit in BASE_UNITS
    assert metric.unit == "" or metric.family.endswith("_" + metric.unit)
    assert metric.unit or not any(metric.family.endswith("_" + unit) for unit in BASE_UNITS - {""})
    assert metric.help.endswith(".")
    assert not set(metric.help) & set('\\"\n|')
    assert metric.bound
    assert len(set(metric.labels)) == len(metric.labels)
    assert all(re.fullmatch("[a-z]+", label) and label not in {"le", "quantile", "job", "instance"} for label in metric.labels)
    assert metric.type != COUNTER or metric.decimals != FLOAT


def test_names_are_unique_and_no_family_shadows_another() -> None:
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE)
    assert len({metric.family for metric in CATALOGUE}) == len(CATALOGUE)


def test_metrics_md_is_what_the_catalogue_says() -> None:
    assert document.main(["--check"]) == 0


def test_the_document_is_written_and_a_stale_one_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "METRICS.md"
    assert document.main(["--check", "--root", str(tmp_path)]) == 1
    assert "--write" in capsys.readouterr().err
    assert document.main(["--write", "--root", str(tmp_path)]) == 0
    assert document.main(["--check", "--root", str(tmp_path)]) == 0
    path.write_text(path.read_text() + "x")
    assert document.main(["--check", "--root", str(tmp_path)]) == 1


def test_every_number_that_a_meter_can_send_has_a_family() -> None:
    numbers = {field.label for field in ticfields.FIELDS if field.role in (ticfields.QUANTITY, ticfields.COUNTER)}
    assert numbers == set(meterquantities.QUANTITIES)


def test_the_labels_of_each_quantity_fit_its_family() -> None:
    for metric, places, factor in meterquantities.QUANTITIES.values():
        assert metric.labels[0] == "meter"
        assert len(metric.labels) == 1 + len(places) + ("source" in metric.labels)
        assert factor > 0


def test_units_of_quantities_are_those_of_the_meter_in_base_units() -> None:
    units = {field.label: field.unit for field in ticfields.FIELDS}
    base = {
        "A": ("amperes", 1), "V": ("volts", 1), "VA": ("voltamperes", 1), "kVA": ("voltamperes", 1000), "W": ("watts", 1),
        "VArh": ("varhours", 1), "min": ("seconds", 60), "s": ("seconds", 1), "dal": ("cubic_meters", 1),
        "bits": ("", 1), "": ("", 1),
    }  # fmt: skip
    for label, (metric, _, factor) in meterquantities.QUANTITIES.items():
        assert (metric.unit, factor) == base[units[label]], label


def test_every_counter_of_a_reader_has_a_family() -> None:
    for schema, names in samples.COUNTERS.items():
        for name in names:
            if schema == samples.TIC.name:
                assert name in ringmetrics.TIC_COUNTERS or name.startswith(ringmetrics.GROUPS_PREFIX)
            else:
                assert name in ringmetrics.READER_COUNTERS


def test_a_sum_over_a_register_family_counts_no_watt_hour_twice(snapshot: Snapshot) -> None:
    families = {family.metric.name: family for family in collect.collect(snapshot, "1")}
    drawn = families["energyd_meter_energy_watthours_total"]
    consumed = sum(value for labels, value in zip(drawn.labels, drawn.values, strict=True) if labels[2] == "consumed")
    assert consumed == sum(families["energyd_meter_all_tariffs_energy_watthours_total"].values)
    assert consumed == sum(families["energyd_meter_distributor_energy_watthours_total"].values)
    assert ("house", "EAIT", "injected", "", "meter") in drawn.labels


def test_zones_inside_others_stay_out_of_the_zone_family(snapshot: Snapshot) -> None:
    families = {family.metric.name: family for family in collect.collect(snapshot, "1")}
    assert [labels[0] for labels in families["energyd_zone_energy_joules_total"].labels] == ["package-0", "package-0/dram"]
    assert [labels[0] for labels in families["energyd_subzone_energy_joules_total"].labels] == ["package-0/core", "psys"]
    parts = sum(families["energyd_attributed_energy_joules_total"].values) + sum(
        families["energyd_attribution_pending_joules"].values
    )
    assert parts == sum(families["energyd_zone_energy_joules_total"].values)
    assert set(families["energyd_attribution_error_joules"].values) == {0}


def test_a_machine_without_a_power_source_still_shows_its_cpu_time(snapshot: Snapshot) -> None:
    bare = snapshot._replace(
        host=snapshot.host._replace(energy_uj=None, power_w=None, source="", windows=()), zones=(), meters=(), gpus=GpuUse()
    )
    names = {family.metric.name for family in collect.collect(bare, "1")}
    assert "energyd_process_cpu_seconds_total" in names
    assert not {name for name in names if "energy" in name.removeprefix("energyd") or "watts" in name}


def test_a_zone_that_was_never_read_has_no_energy_and_says_that_it_cannot_be_read(snapshot: Snapshot) -> None:
    package, *_ = snapshot.zones
    sealed = package._replace(readable=False, energy_uj=0, power_w=None)
    sealed = sealed._replace(processes_uj=0, exited_uj=0, idle_uj=0, unattributed_uj=0, pending_uj=0)
    shown = snapshot._replace(zones=(sealed, sealed._replace(name="psys", additive=False)))
    families = {family.metric.name: family for family in collect.collect(shown, "1")}
    assert families["energyd_zone_readable"].values == [0, 0]
    assert not [
        name for name in families if re.match("energyd_(sub)?zone_energy|energyd_zone_power|energyd_attribut.*joules", name)
    ]


def test_a_zone_that_can_no_longer_be_read_keeps_what_it_has_counted(snapshot: Snapshot) -> None:
    lost = snapshot.zones[0]._replace(readable=False, power_w=None)
    families = {family.metric.name: family for family in collect.collect(snapshot._replace(zones=(lost,)), "1")}
    assert families["energyd_zone_energy_joules_total"].values == [lost.energy_uj]


def test_a_meter_that_changed_its_mode_shows_each_quantity_once(snapshot: Snapshot) -> None:
    meter = snapshot.meters[0]._replace(quantities=(("PAPP", 1), ("IINST", 2), ("SINSTS", 3), ("IRMS1", 4)))
    families = {family.metric.name: family for family in collect.collect(snapshot._replace(meters=(meter,)), "1")}
    assert families["energyd_meter_apparent_power_voltamperes"].values == [3]
    assert families["energyd_meter_current_amperes"].values == [4]


def test_a_meter_never_heard_has_no_age(snapshot: Snapshot) -> None:
    families = {family.metric.name: family for family in collect.collect(snapshot, "1")}
    assert families["energyd_meter_last_group_age_seconds"].labels == [("house",)]
    assert families["energyd_meter_last_group_age_seconds"].values == [500_000_000]
    assert dict(zip(*families["energyd_meter_link_up"][1:], strict=True)) == {("house",): 1, ("shed",): 0}


def test_the_families_of_processes_share_their_rows_and_keep_them_so_that_following_them_is_cheap(snapshot: Snapshot) -> None:
    names = ("energyd_process_cpu_seconds_total", "energyd_process_energy_joules_total", "energyd_process_power_watts")
    collected = [{f.metric.name: f.labels for f in collect.collect(snapshot, "1")} for _ in range(2)]
    rows = [labels[name].rows for labels in collected for name in names]
    assert all(each is rows[0] for each in rows)
    first, energy = collected[0][names[0]], collected[0][names[1]]
    assert [(*labels, "rapl") for labels in first] == list(energy) == energy[:]
    assert energy[-1] == ("", "other", "", "", "rapl")
    battery = collect.collect(snapshot._replace(host=snapshot.host._replace(source="battery")), "1")
    assert {labels[-1] for family in battery if family.metric.name in names[1:] for labels in family.labels} == {"battery"}
