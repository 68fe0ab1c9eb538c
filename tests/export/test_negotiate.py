"""Content negotiation as real scrapers ask for it, and as RFC 9110 has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd.export.negotiate import OPENMETRICS, TEXT, choose_encoding, choose_format

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
VICTORIAMETRICS = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        (PROMETHEUS_2_42, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
        (VICTORIAMETRICS, TEXT),
        (FIREFOX, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("text/*", TEXT),
        ("application/*", OPENMETRICS),
        ("application/json", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("APPLICATION/OpenMetrics-Text; Version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text;version=9.9.9", TEXT),
        ("application/openmetrics-text;version=0.0.1", TEXT),
        ("text/plain, application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=0.0, */*", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("text/plain;q=0.4, application/openmetrics-text;q=0.5", OPENMETRICS),
        ("text/plain;q=0.6, application/openmetrics-text;q=0.5", TEXT),
        ("text/plain, application/openmetrics-text", OPENMETRICS),
        ("text/plain;q=0, */*", OPENMETRICS),
        ("text/*;q=0.2, application/openmetrics-text;q=0.1", TEXT),
        ("text/plain;q=0.1, text/*;q=0.9, application/openmetrics-text;q=0.5", OPENMETRICS),
        ("application/openmetrics-text;q=2", TEXT),
        ("application/openmetrics-text;q=nonsense, text/plain", TEXT),
        ("application/openmetrics-text;q=0.5abc", TEXT),
        ("application/openmetrics-text;q=0.5555", TEXT),
        ("application/openmetrics-text;q=1.0 0", TEXT),
        (";;;,,, =;q", TEXT),
    ],
)
def test_the_format_is_the_one_with_the_highest_q(accept: str, name: str) -> None:
    assert choose_format(accept).name == name


def test_content_types_carry_version_and_charset_and_never_what_the_client_made_up() -> None:
    assert choose_format(VICTORIAMETRICS).content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert choose_format(PROMETHEUS_2_42).content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert (
        choose_format(PROMETHEUS_3).content_type
        == "application/openmetrics-text; version=1.0.0; escaping=allow-utf-8; charset=utf-8"
    )
    assert "evil" not in choose_format("application/openmetrics-text;escaping=evil").content_type


@pytest.mark.parametrize(
    ("accept_encoding", "gzip"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip, deflate, br", True),
        ("gzip;q=0", False),
        ("gzip;q=0.0", False),
        ("gzip;q=0.5", True),
        ("gzip;q=0, *", False),
        ("*", True),
        ("*;q=0", False),
        ("identity", False),
        ("identity;q=0.5, gzip;q=0.4", False),
        ("identity;q=0, gzip;q=0.4", True),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", True),
        ("deflate", False),
        ("gzip;q=oops", False),
        ("gzip;q=0.5abc", False),
        ("gzip;q=1e0", False),
    ],
)
def test_gzip_is_used_exactly_when_it_is_wanted(accept_encoding: str, gzip: bool) -> None:
    assert choose_encoding(accept_encoding, ["gzip"]) == ("gzip" if gzip else "")


@pytest.mark.parametrize(
    ("accept_encoding", "coding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, zstd;q=0.9", "gzip"),
        ("zstd;q=0, gzip", "gzip"),
        ("*", "gzip"),
        ("zstd;q=0.5, identity", ""),
        ("zstd;q=0.5, identity;q=0.1", "zstd"),
        ("br", ""),
    ],
)
def test_zstd_goes_to_those_who_name_it(accept_encoding: str, coding: str) -> None:
    assert choose_encoding(accept_encoding, ["zstd", "gzip"]) == coding


@given(st.text(max_size=300))
def test_no_header_makes_negotiation_fail(header: str) -> None:
    assert choose_format(header).name in (TEXT, OPENMETRICS)
    assert choose_encoding(header, ["zstd", "gzip"]) in ("zstd", "gzip", "")
