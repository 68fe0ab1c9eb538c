"""The typed check of expressions finds what a syntax check lets through: errors of published dashboards and rules."""

import pytest
from promql import COUNTER, GAUGE, Fault, check, series_of

from energyd.export.metric import Metric, counter, gauge

SERIES = series_of(
    (
        gauge("power_watts", "watts", "", ("source",), "1"),
        counter("energy_total", "", "", ("pdl", "register"), "1"),
        gauge("daily_kwh", "", "", ("pdl", "tariff"), "1"),
        gauge("production_kwh", "", "", ("pdl",), "1"),
        counter("cpu_seconds_total", "", "", ("mode",), "1"),
        counter("container_seconds_total", "", "", ("name", "id"), "1"),
        counter("requests_total", "", "", ("handler", "status"), "1"),
        Metric("latency_seconds", "histogram", "seconds", "", ("handler",), "1"),
        Metric("confidence", "summary", "", "", (), "1"),
    )
)


@pytest.mark.parametrize(
    ("expression", "labels", "values"),
    [
        ("power_watts", {"source"}, GAUGE),
        ("energy_total{register='BASE'} offset 1d", {"pdl", "register"}, COUNTER),
        ("sum by (pdl) (increase(energy_total[30d])) / 1000", {"pdl"}, GAUGE),
        ('sum(rate(cpu_seconds_total{mode!~"idle|iowait"}[5m])) by (instance)', {"instance"}, GAUGE),
        ("topk(5, power_watts / 1e6)", {"source"}, GAUGE),
        ("production_kwh / on (pdl, instance) group_left () sum by (pdl, instance) (daily_kwh) * 100", {"pdl"}, GAUGE),
        ("daily_kwh / on (pdl) group_left () production_kwh", {"pdl", "tariff"}, GAUGE),
        ("avg_over_time(power_watts[1m]) - avg_over_time(power_watts[10m] offset 1m) > 50", {"source"}, GAUGE),
        ("histogram_quantile(0.95, sum by (le) (rate(latency_seconds_bucket[5m])))", set(), GAUGE),
        ("rate(latency_seconds_sum[5m]) / rate(latency_seconds_count[5m])", {"handler"}, GAUGE),
        ("max_over_time(rate(energy_total[1m])[1h:1m])", {"pdl", "register"}, GAUGE),
        ('up{job="x"} == 0', set(), GAUGE),
        ("absent(up)", None, GAUGE),
        ("-power_watts ^ 2 > bool 3", {"source"}, GAUGE),
    ],
)
def test_the_type_of_an_expression_is_known(expression, labels, values):
    found, _ = check(expression, SERIES)

    assert found.values == values
    assert found.labels - {"job", "instance"} == (labels or set()) - {"instance"}


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("sum(increase(daily_kwh[7d]))", "increase() of a gauge"),
        ("rate(power_watts[1m]) > 10000000", "rate() of a gauge"),
        ("delta(energy_total[1h])", "delta() of a counter"),
        ("avg_over_time(energy_total[1h])", "of a counter"),
        ("rate(sum(energy_total)[5m:])", "rate() of a sum of counters"),
        ("production_kwh / daily_kwh * 100", "only one of them has tariff"),
        ("power_watts / (100 - avg by (instance) (rate(cpu_seconds_total[5m])) * 100)", "never match"),
        ("sum by (environment) (power_watts)", "sum by (environment)"),
        ('rate(requests_total{status_code=~"5.."}[5m])', "no label status_code"),
        ("sum(rate(requests_total[5m])) by (endpoint)", "by (endpoint)"),
        ("requests_in_progress", "no metric requests_in_progress"),
        ('latency_seconds{quantile="0.95"} > 1', "no metric latency_seconds"),
        ("histogram_quantile(0.95, rate(latency_seconds_sum[5m]))", "without le"),
        ("confidence{quantile='0.9'}", "no label quantile"),
        ("rate(energy_total)", "needs a range"),
        ("abs(energy_total[5m])", "needs an instant vector"),
        ("daily_kwh / on (pdl) energy_total", "neither side is single"),
        ("daily_kwh / on (colour) production_kwh", "not a label of both sides"),
        ("power_watts * on (instance) group_left (colour) up", "group_left (colour)"),
        ("power_watts and 3", "with a number"),
        ("power_watts +", "too early"),
        ("power_watts)", "not expected: ')'"),
        ("${adco}", "unreadable"),
        ("power_watts{source=1}", "a string expected"),
        ("nonsense(power_watts)", "no function nonsense"),
    ],
)
def test_what_would_answer_nothing_or_nonsense_is_refused(expression, why):
    with pytest.raises(Fault) as fault:
        check(expression, SERIES)
    assert why in str(fault.value)
