"""What stands in a query in the place of a variable."""

import pytest

from energyd.dashboards.variables import Wanted, built_in, chosen, filtered, replaced, saved, used, wanted


def query(text, **more):
    return {"name": "v", "type": "query", "query": text, **more}


@pytest.mark.parametrize(
    ("variable", "asked"),
    [
        (query("label_values(up, job)"), Wanted("up", "job")),
        (query({"query": 'label_values(a{b=~"$c", d="e"}, f)', "refId": "v"}), Wanted('a{b=~"$c", d="e"}', "f")),
        (query("label_values(job)"), Wanted("", "job")),
        (query("", definition="label_values(up,job)"), Wanted("up", "job")),
        (query("query_result(up)"), None),
        ({"name": "v", "type": "custom", "query": "label_values(up, job)"}, None),
    ],
)
def test_a_variable_asks_for_the_values_of_a_label(variable, asked):
    assert wanted(variable) == asked


@pytest.mark.parametrize(
    ("pattern", "left"),
    [("", ["a1", "b2"]), ("/^a/", ["a"]), ("/a.*/", ["a1"]), (r"/\w(?<text>\d)/i", ["1", "2"]), ("c", [])],
)
def test_the_pattern_of_a_variable_chooses_among_its_values_and_cuts_them(pattern, left):
    assert filtered(query("", regex=pattern), ["a1", "b2"]) == left


def test_all_is_its_own_pattern_or_every_value_and_who_has_no_all_has_the_first():
    assert chosen(query("", multi=True, includeAll=True, allValue=".*"), ["a"]) == ".*"
    assert chosen(query("", multi=True, includeAll=True), ["a.b", "c"]) == r"(a\\.b|c)"
    assert chosen(query("", includeAll=True), ["a"]) == "a"
    assert chosen(query("", multi=True), ["a+", "b"]) == r"a\\+"
    assert chosen(query(""), ['a.b"', "c"]) == 'a.b\\"'


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ({"type": "custom", "query": "5,10"}, "5"),
        ({"type": "custom", "query": "five : 5, ten : 10", "current": {"value": "$__all"}}, "5|10"),
        ({"type": "custom", "query": "5,10", "current": {"value": ["5", "10"]}}, "5|10"),
        ({"type": "interval", "query": "1m,10m", "current": {"value": "10m"}}, "10m"),
        ({"type": "constant", "query": "x"}, "x"),
        ({"type": "textbox", "query": "x", "current": {"value": "y"}}, "y"),
        ({"type": "datasource", "query": "prometheus"}, ""),
        ({"type": "datasource", "query": "prometheus", "current": {"value": "uid"}}, "uid"),
        ({"type": "adhoc"}, None),
    ],
)
def test_what_is_asked_of_no_server_stands_in_the_file(variable, text):
    assert saved(variable) == text


def test_every_way_of_writing_a_variable_is_replaced_and_nothing_else():
    text = '$a ${a} ${a:regex} [[a]] [[a:csv]] $ab a$ "$"'

    assert replaced(text, {"a": "x"}) == 'x x x x x $ab a$ "$"'
    assert used(text) == {"a", "ab"}


def test_grafanas_own_variables_are_those_of_the_step_and_of_the_time_shown():
    found = built_in(60, 3600, 15, 10_000)

    assert replaced("rate(x[$__rate_interval]) $__interval $__range_s $__from", found) == "rate(x[75s]) 60s 3600 6400000"
    assert built_in(15, 3600, 15, 0)["__rate_interval"] == "60s"
