"""Horodates of the meter to UTC, across both changes of clock."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd.tic.horodate import Horodate, parse, parse_slashed

PARIS = ZoneInfo("Europe/Paris")


def legal(instant: datetime) -> bytes:
    local = instant.astimezone(PARIS)
    return f"{'E' if local.dst() else 'H'}{local:%y%m%d%H%M%S}".encode()


@given(st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis wants them naive
def test_every_instant_of_the_century_comes_back(instant: datetime) -> None:
    second = instant.replace(microsecond=0)

    assert parse(legal(second)) == Horodate(int(second.timestamp()), False)


@given(st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_blank_season_is_that_of_the_calendar(instant: datetime) -> None:
    """But for the hour that exists twice: then it is summer's or winter's."""
    second = instant.replace(microsecond=0)
    blank = b" " + legal(second)[1:]

    horodate = parse(blank, blank_season=True)

    assert horodate is not None
    assert horodate.utc_s - second.timestamp() in (0, -3600, 3600)
    local = datetime.fromtimestamp(horodate.utc_s, PARIS)
    assert f"{local:%y%m%d%H%M%S}".encode() == blank[1:]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        (b"H240331015959", datetime(2024, 3, 31, 0, 59, 59, tzinfo=UTC)),
        (b"E240331030000", datetime(2024, 3, 31, 1, 0, 0, tzinfo=UTC)),
        (b"E241027025959", datetime(2024, 10, 27, 0, 59, 59, tzinfo=UTC)),
        (b"H241027020000", datetime(2024, 10, 27, 1, 0, 0, tzinfo=UTC)),
    ],
)
def test_the_hour_that_exists_twice_is_told_apart_by_its_season(text: bytes, instant: datetime) -> None:
    assert parse(text) == Horodate(int(instant.timestamp()), False)


def test_lower_case_is_degraded() -> None:
    assert parse(b"h230301091834") == Horodate(1677658714, True)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"H23030109183",
        b"H2303010918340",
        b"X230301091834",
        b"H230001091834",
        b"H231301091834",
        b"H230300091834",
        b"H230229091834",
        b"H230431091834",
        b"H230301241834",
        b"H230301096034",
        b"H230301091860",
        b"H23030109183q",
        b" 230301091834",
        b"\xc8230301091834",
    ],
)
def test_what_is_no_date_is_none(text: bytes) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        (b"26/08/16 10:29:04", datetime(2016, 8, 26, 8, 29, 4, tzinfo=UTC)),
        (b"26/08/16 10/29/04", datetime(2016, 8, 26, 8, 29, 4, tzinfo=UTC)),
        (b"31/12/25 23:59:59", datetime(2025, 12, 31, 22, 59, 59, tzinfo=UTC)),
        (b"25/10/26 02:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # comes twice: the first, in summer time
        (b"25/10/26 03:00:00", datetime(2026, 10, 25, 2, 0, tzinfo=UTC)),
        (b"29/03/26 03:00:00", datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        (b"30/02/26 03:00:00", None),
        (b"00/00/00 00:00:00", None),
    ],
)
def test_professional_meters_write_legal_time_without_its_season(text: bytes, instant: datetime | None) -> None:
    assert parse_slashed(text) == (None if instant is None else int(instant.timestamp()))
