"""What the JSON of a dashboard asks, in the forms that Grafana has given it over the years."""

import pytest

from energyd.dashboards.questions import Question, is_dashboard, questions, seconds, variables
from energyd.dashboards.variables import saved


def panel(title, *targets, **more):
    return {"title": title, "targets": list(targets), **more}


def asked(*panels, **more):
    return list(questions({"title": "t", "panels": list(panels), **more}))


@pytest.mark.parametrize(
    ("text", "length_s"),
    [
        ("15s", 15),
        ("1h30m", 5400),
        (">10s", 10),
        ("2d", 172800),
        ("500ms", 0.5),
        ("1M", 2592000),
        ("", 0),
        (None, 0),
        ("$x", 0),
        ("5", 0),
    ],
)
def test_durations_are_those_of_grafana(text, length_s):
    assert seconds(text) == length_s


def test_panels_are_found_in_open_rows_in_closed_rows_and_in_those_of_old():
    query = {"refId": "A", "expr": "up"}
    flat = asked({"type": "row", "title": "open", "panels": []}, panel("a", query))
    closed = asked({"type": "row", "title": "closed", "panels": [panel("b", query)]})
    old = list(questions({"rows": [{"title": "old", "panels": [panel("c", query)]}]}))

    assert [question.panel for question in (*flat, *closed, *old)] == ["open / a", "closed / b", "old / c"]


@pytest.mark.parametrize("odd", [None, 5, "x", True, [], ["x"], [None], {}, {"list": 5}, {"list": [5]}])
def test_what_grafana_does_not_write_is_not_there(odd):
    query = panel("a", {"refId": "A", "expr": "up"})

    assert variables({"templating": odd}) == []
    assert saved({"type": "custom", "query": "1m, 5m", "current": odd}) == "1m"
    assert [question.panel for question in asked(odd, panel("b", odd), {"targets": odd}, query, time=odd, rows=odd)] == ["a"]


def test_a_panel_shows_the_time_of_its_dashboard_or_its_own():
    query = {"refId": "A", "expr": "up"}

    assert [question.shown_s for question in asked(panel("a", query), time={"from": "now-1h", "to": "now"})] == [3600]
    assert [question.shown_s for question in asked(panel("a", query, timeFrom="7d"))] == [604800]
    assert [question.shown_s for question in asked(panel("a", query), time={"from": "2026-01-01"})] == [21600]
    assert [question.shown_s for question in asked(panel("a", query), time={"from": "now-2d/d"})] == [172800]


def test_the_step_is_that_of_the_query_before_that_of_the_panel():
    steps = [question.step_s for question in asked(panel("a", {"expr": "x", "interval": "1h"}, {"expr": "y"}, interval="1m"))]

    assert steps == [3600, 60]


def test_what_is_hidden_or_asked_of_something_else_is_left_out():
    loki = {"type": "loki", "uid": "l"}

    assert (
        asked(panel("a", {"expr": "x", "hide": True}, {"expr": ""}, {"rawSql": "select 1"}, {"expr": "y", "datasource": loki}))
        == []
    )
    assert asked(panel("a", {"expr": "x"}, datasource=loki)) == []


def test_the_data_source_is_that_of_the_query_or_of_the_panel_by_uid_or_by_name():
    mixed = {"type": "datasource", "uid": "-- Mixed --"}
    own = {"type": "prometheus", "uid": "p"}

    assert [question.source for question in asked(panel("a", {"expr": "x", "datasource": own}, datasource=mixed))] == ["p"]
    assert [question.source for question in asked(panel("a", {"expr": "x"}, datasource="by name"), panel("b", {"expr": "x"}))] == [
        "by name",
        "",
    ]


def test_a_query_says_whether_only_its_value_now_is_wanted():
    assert asked(panel("a", {"refId": "B", "expr": "x", "instant": True})) == [Question("a", "B", "x", instant=True)]


def test_a_dashboard_has_panels():
    assert is_dashboard({"panels": []})
    assert is_dashboard({"rows": []})
    assert not is_dashboard([])
    assert not is_dashboard({"groups": []})
