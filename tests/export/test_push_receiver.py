"""What a receiver tells about itself, and where it tells it."""

import math

import pytest
from yarl import URL

from energyd.export.receiver import Receiver, base_url, metrics_url, read

VICTORIA = b"""\
vm_app_start_timestamp 1795162000
vm_app_uptime_seconds 354.5
vm_rows_ignored_total{reason="big_timestamp"} 2
vm_rows_ignored_total{reason="small_timestamp"} 0
vm_rows_invalid_total{type="influx"} 0
vm_rows_invalid_total{type="prometheus"} 3
process_start_time_seconds 1795162000
"""
PROMETHEUS = b"# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1.79516200012e+09\n"


def test_victoriametrics_tells_its_age_and_what_it_threw_away():
    assert read(VICTORIA, {}, 0.0) == Receiver(1795162000.0, 354.5, 5)


def test_the_age_of_a_prometheus_is_reckoned_by_its_own_clock():
    found = read(PROMETHEUS, {"Date": "Fri, 20 Nov 2026 11:30:10 GMT"}, 0.0)
    assert found is not None
    assert found.started == 1795162000.12
    assert found.thrown_away is None
    assert read(PROMETHEUS, {}, 1795162010.12) == Receiver(1795162000.12, pytest.approx(10.0), None)


def test_nobody_is_younger_than_new_born():
    found = read(PROMETHEUS, {"Date": "Fri, 20 Nov 2020 00:00:00 GMT"}, 0.0)
    assert found is not None
    assert found.age_s == 0


@pytest.mark.parametrize("page", [b"", b"<html>", b"process_start_time_seconds\n", b"process_start_time_seconds NotANumber\n"])
def test_a_page_without_a_start_tells_nothing(page):
    assert read(page, {}, 0.0) is None


@pytest.mark.parametrize("number", ["NaN", "+Inf", "-Inf", "1e999", "-1e999", "0x10", "1_0", "9" * 400])
@pytest.mark.parametrize("family", [b"vm_app_start_timestamp", b"vm_app_uptime_seconds", b"vm_rows_invalid_total"])
def test_no_number_of_a_page_breaks_or_restarts_anything(family, number):
    page = b"\n".join(line for line in VICTORIA.splitlines() if not line.startswith((family, b"process_start")))
    found = read(page + b"\n%s %s\n" % (family, number.encode()), {}, 0.0)
    assert found is None or (math.isfinite(found.started) and 0 <= found.age_s < math.inf)


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 01 Jan 99999 00:00:00 GMT", "1 2 3 4 5"])
def test_a_date_that_makes_no_sense_is_ours(date):
    assert read(PROMETHEUS, {"Date": date}, 1795162010.12) == Receiver(1795162000.12, pytest.approx(10.0), None)


@pytest.mark.parametrize(
    ("url", "base", "metrics"),
    [
        ("http://vm:8428/api/v1/import/prometheus?extra_label=a=b", "http://vm:8428/", "http://vm:8428/metrics"),
        ("http://vm:8428/api/v1/import/prometheus/metrics/job/x", "http://vm:8428/", "http://vm:8428/metrics"),
        ("https://p/prom/api/v1/write", "https://p/prom", "https://p/prom/metrics"),
        ("http://mimir/api/v1/push", "http://mimir/", "http://mimir/metrics"),
        ("http://other/some/path", "http://other/", "http://other/metrics"),
    ],
)
def test_its_metrics_are_beside_its_ingestion(url, base, metrics):
    assert str(base_url(URL(url))).rstrip("/") == base.rstrip("/")
    assert str(metrics_url(URL(url))) == metrics
