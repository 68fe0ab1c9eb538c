"""Which series an expression selects."""

import pytest

from energyd.dashboards.promql import Matcher, Selector, Unreadable, combines, compares, selectors, tokens


def selected(expression):
    return list(selectors(tokens(expression)))


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up", ["up"]),
        ("sum by (instance, mode) (rate(cpu_total[5m])) / 100", ["cpu_total"]),
        ("sum(rate(cpu_total[5m])) by (instance)", ["cpu_total"]),
        ("power * on (pid) group_left (group, comm) info > bool 3", ["power", "info"]),
        ("a or b and ignoring (x) c unless d atan2 e", ["a", "b", "c", "d", "e"]),
        ("topk(5, job:power:sum)", ["job:power:sum"]),
        ("time() - vector(1) * 0x1F + Inf", []),
        ("a # and b\n + c", ["a", "c"]),
        ("max_over_time(a[1h:1m]) + count without (x) (b)", ["a", "b"]),
        ("a @ start() + b @ 1700000000 + c offset -1h", ["a", "b", "c"]),
    ],
)
def test_the_metrics_of_an_expression_are_found_among_its_other_words(expression, names):
    assert [selector.name for selector in selected(expression)] == names


def test_a_selector_keeps_its_matchers_its_window_and_its_time():
    [selector] = selected("rate(a{b=\"x, y}\", c!~'z', d=~`\\w`,}[5m] offset -2h @ end())")

    assert selector == Selector(
        "a", (Matcher("b", "=", '"x, y}"'), Matcher("c", "!~", "'z'"), Matcher("d", "=~", "`\\w`")), "5m", " offset -2h @ end()"
    )
    assert selector.with_matchers(selector.matchers[0]) == 'a{b="x, y}"} offset -2h @ end()'
    assert selector.with_matchers() == "a offset -2h @ end()"


def test_a_selector_may_have_no_name():
    [selector] = selected('{__name__=~"energyd_.*"}')

    assert (selector.name, selector.with_matchers(*selector.matchers)) == ("", '{__name__=~"energyd_.*"}')


def test_what_is_no_promql_is_shown_from_where_it_is_not():
    with pytest.raises(Unreadable, match=r"unreadable from here: '\$x'"):
        tokens("up + $x")


@pytest.mark.parametrize(
    ("expression", "does_compare", "does_combine"),
    [
        ('a{b!="x"}', False, False),
        ("a > 1", True, True),
        ("a / b", False, True),
        ("sum(a)", False, False),
        ("a unless b", False, True),
    ],
)
def test_operators_are_not_taken_from_matchers(expression, does_compare, does_combine):
    assert (compares(tokens(expression)), combines(tokens(expression))) == (does_compare, does_combine)
