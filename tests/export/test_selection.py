"""Families are shown, left out and renamed as the configuration says, and stay valid in both formats under any name."""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from energyd.aggregate.snapshot import Snapshot
from energyd.errors import ConfigError
from energyd.export.catalogue import BUILD_INFO, CATALOGUE
from energyd.export.collect import collect
from energyd.export.document import COMPATIBILITY, all_metrics
from energyd.export.hostmetrics import HOST_ENERGY, HOST_POWER
from energyd.export.httpmetrics import HttpMetrics
from energyd.export.metric import Family
from energyd.export.negotiate import OPENMETRICS, TEXT
from energyd.export.render import Renderer
from energyd.export.selection import Selection, renamed
from energyd.export.served import Served
from energyd.export.servermetrics import FRESHNESS, HTTP_IN_PROGRESS, HTTP_REQUEST_SIZE, HTTP_REQUESTS


def shown(selection: Selection, snapshot: Snapshot) -> list[str]:
    return [family.metric.name for family in selection.families(collect(snapshot, "1"))]


def test_without_settings_everything_is_shown_as_it_is(snapshot: Snapshot) -> None:
    families = collect(snapshot, "1")
    assert all(a is b for a, b in zip(Selection().families(families), families, strict=True))


def test_a_pattern_drops_what_it_matches_wholly(snapshot: Snapshot) -> None:
    names = shown(Selection([("energyd_process_.*", False), ("energyd_host", False)]), snapshot)
    assert not [name for name in names if name.startswith("energyd_process_")]
    assert "energyd_host_power_watts" in names


def test_the_first_pattern_decides_so_that_one_family_can_be_kept(snapshot: Snapshot) -> None:
    families = [("energyd_host_power_watts", True), ("energyd_(host|zone)_.*", False), ("energyd_build_info", False)]
    names = shown(Selection(families), snapshot)
    assert "energyd_build_info" not in names
    assert [name for name in names if name.startswith(("energyd_host_", "energyd_zone_"))] == ["energyd_host_power_watts"]


def test_the_first_pattern_that_matches_gives_the_name() -> None:
    selection = Selection(rename=[("energyd_host_(.*)", "machine_$1"), ("energyd_(?P<what>.*)", "home_${what}_x"), (".*", "never")])
    assert selection.name("energyd_host_power_watts") == "machine_power_watts"
    assert selection.name("energyd_processes") == "home_processes_x"


@pytest.mark.parametrize(
    ("metric", "name", "kind", "unit"),
    [
        (HOST_ENERGY, "joules_total", "counter", ""),
        (HOST_ENERGY, "host_joules_total", "counter", "joules"),
        (HOST_ENERGY, "host_energy", "inherited counter", ""),
        (HOST_ENERGY, "host_joules", "inherited counter", "joules"),
        (HOST_POWER, "host_watts", "gauge", "watts"),
        (HOST_POWER, "host_watts_total", "inherited gauge", ""),
        (BUILD_INFO, "build", "gauge", ""),
        (BUILD_INFO, "x_info", "info", ""),
    ],
)
def test_a_name_that_forbids_type_or_unit_loses_them(metric: Any, name: str, kind: str, unit: str) -> None:
    other = renamed(metric, name)
    assert (other.name, other.type, other.unit) == (name, kind, unit)
    assert (other.labels, other.decimals) == (metric.labels, metric.decimals)


@pytest.mark.parametrize("replacement", ["home_$1", "$1", "${1}_total", "x_$1_info", "a_${1}_b"])
def test_whatever_families_are_called_the_reference_parsers_read_them(snapshot: Snapshot, replacement: str) -> None:
    selection = Selection(rename=[("energyd_(.*)", replacement)])
    selection.check(CATALOGUE)
    rendered = Renderer().render(selection.families(collect(snapshot, "1")))
    assert len(list(parse_text(rendered.text().decode()))) > 50
    assert len(list(parse_openmetrics(rendered.openmetrics().decode() + "# EOF\n"))) > 50


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"families": [("energyd_host_power_wats", True)]}, r"metrics\.families: energyd_host_power_wats: .*_watts\?"),
        ({"families": [("x.*", True)]}, r"metrics\.families: x\.\*: is the whole name of no family; METRICS\.md"),
        ({"rename": [("x.*", "y")]}, r"metrics\.rename: x\.\*: is the whole name of no family"),
        ({"rename": [("energyd_host_.*", "host")]}, r"would both be host"),
        ({"rename": [("energyd_(.*)", "1$1")]}, r"no name of a metric"),
        ({"rename": [("energyd_processes", "energyd_build_info")]}, r"would both be energyd_build_info"),
        ({"rename": [("energyd_processes", "energyd_build")]}, r"would both be energyd_build,"),
        (
            {"rename": [("energyd_host_power_watts", "energyd_host_energy_joules")]},
            r"would both be energyd_host_energy_joules, as fam",
        ),
        ({"rename": [("energyd_processes", "energyd_host_energy_joules_created")]}, r"would both be energyd_host_energy_joules_cr"),
        ({"rename": [("energyd_processes", "energyd_freshness_seconds_count")]}, r"would both be energyd_freshness_seconds_count"),
        ({"rename": [("energyd_processes", "energyd_freshness_seconds_bucket")]}, r"would both be energyd_freshness_seconds_buck"),
        ({"rename": [("energyd_http_request_size_bytes", "x"), ("energyd_processes", "x_sum")]}, r"would both be x_sum"),
    ],
)
def test_settings_that_name_nothing_or_give_one_name_twice_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Selection(**settings).check(CATALOGUE)


@pytest.mark.parametrize("replacement", ["x_$2", "x_${name}"])
def test_a_replacement_refers_to_groups_that_exist(replacement: str) -> None:
    with pytest.raises(ConfigError, match="has no group"):
        Selection(rename=[("energyd_(.*)", replacement)])


@pytest.mark.parametrize("rename", [("linky_(.*)", "home_$1"), ("(.*)", "home_$1"), ("(.*)", "${1}_total"), ("(.*)", "${1}_x")])
def test_all_families_can_be_renamed_together(rename: tuple[str, str]) -> None:
    Selection(rename=[rename]).check(all_metrics(COMPATIBILITY))


def test_one_of_two_families_of_one_name_may_be_dropped_instead() -> None:
    Selection([("energyd_build_info", False)], [("energyd_processes", "energyd_build_info")]).check(CATALOGUE)


@pytest.mark.parametrize("form", [TEXT, OPENMETRICS])
def test_the_servers_own_families_obey_too(snapshot: Snapshot, clock: Any, form: str) -> None:
    selection = Selection(
        families=[("energyd_http_request_size_bytes", False), ("energyd_host_.*", False)],
        rename=[
            ("energyd_http_requests_total", "requests"),
            ("energyd_http_(.*)", "http_$1"),
            ("energyd_freshness_seconds", "fresh"),
        ],
    )
    metrics = HttpMetrics(clock, selection, (("site", "x"), ("method", "y")))
    served = Served(lambda: snapshot, clock, "1", tail=metrics.exposition, selection=selection)
    metrics.end("/metrics", "GET", 200, metrics.begin("/metrics", "GET"), 0, 10)
    metrics.shown(snapshot._replace(attributed_mono_ns=1))
    body = served.body(form)
    assert body is not None
    text = body.decode()
    list(parse_openmetrics(text) if form == OPENMETRICS else parse_text(text))
    assert 'fresh_count{data="attribution",method="y",site="x"} 1.0' in text.replace('site="x",method="y"', 'method="y",site="x"')
    assert 'requests{handler="/metrics",method="GET",site="x",status="200"} 1.0' in text.replace(
        ',status="200",site="x"', ',site="x",status="200"'
    )
    names = set(re.findall(r"^(\w+)", text, re.MULTILINE))
    assert {"requests", "http_request_duration_seconds_bucket", "http_response_size_bytes_sum", "fresh_count"} <= names
    assert not [name for name in names if name.startswith(("energyd_http", "energyd_host", "http_request_size"))]


def test_a_renamed_family_may_get_other_labels() -> None:
    selection = Selection(rename=[("energyd_(.*)", "home_$1")])
    selection.check(CATALOGUE)
    metrics = [HOST_POWER._replace(labels=labels) for labels in ((), ("source",), ())]
    renamed = [selection.families([Family(metric, [], [])])[0].metric for metric in metrics]
    assert [(metric.name, metric.labels) for metric in renamed] == [("home_host_power_watts", metric.labels) for metric in metrics]


SOME = (BUILD_INFO, HOST_ENERGY, HOST_POWER, FRESHNESS, HTTP_REQUESTS, HTTP_REQUEST_SIZE, HTTP_IN_PROGRESS)
SUFFIXES = ("", "_total", "_created", "_info", "_count", "_sum", "_bucket")
renames = st.tuples(
    st.sampled_from([metric.name for metric in SOME]),
    st.builds(str.__add__, st.sampled_from(["x", *[metric.family for metric in SOME]]), st.sampled_from(SUFFIXES)),
)


@given(rename=st.lists(renames, min_size=1, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_accepted_gives_no_name_twice(snapshot: Snapshot, clock: Any, rename: list[tuple[str, str]]) -> None:
    selection = Selection(rename=rename)
    try:
        selection.check(CATALOGUE)
    except ConfigError:
        return
    metrics = HttpMetrics(clock, selection)
    served = Served(lambda: snapshot, clock, "1", tail=metrics.exposition, selection=selection)
    metrics.end("/metrics", "GET", 200, metrics.begin("/metrics", "GET"), 0, 10)
    metrics.shown(snapshot._replace(attributed_mono_ns=1))
    for form, parse in ((TEXT, parse_text), (OPENMETRICS, parse_openmetrics)):
        text = (served.body(form) or b"").decode()
        assert len(list(parse(text))) > 50
        blocks = text.split("# HELP ")[1:]
        names = [name for block in blocks for name in {block.split()[0], *re.findall(r"^(\w+)[{ ]", block, re.MULTILINE)}]
        assert len(names) == len(set(names)), "families and samples of different families bear different names"
