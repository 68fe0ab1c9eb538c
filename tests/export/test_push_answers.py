"""What any answer of a receiver means: statuses, words, redirects, times to wait; and nonsense in each of them."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from energyd.export import answers
from energyd.export.answers import Outcome, judged

NOW_S = 1_795_162_354.0
INGESTION = URL("http://vm.example:8428/insert/write?token=x")


def answered(status: int, excerpt: str = "", **headers: str) -> Outcome:
    named = {name.replace("_", "-").title(): text for name, text in headers.items()}
    return judged(status, named, excerpt, INGESTION, NOW_S)


@pytest.mark.parametrize(
    ("excerpt", "words"),
    [
        ("boom", ": 'boom'"),
        ("\r\n \n  cannot   store:\tdisk full \nstack\nof\ncalls", ": 'cannot store: disk full'"),
        ("<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>", ": '502 Bad Gateway'"),
        ("\x1b[2Jcleared", r": '\x1b[2Jcleared'"),
        ("token=abcdefgh is not known", ": 'token=*** is not known'"),
        ("Authorization: Bearer abcdefgh.ijkl", ": 'Authorization: ***'"),
        ("x" * 500, ": '" + "x" * 199 + "…'"),
        ("", ""),
        (" \n", ""),
    ],
)
def test_the_first_line_of_an_answer_is_shown_without_secrets(excerpt: str, words: str) -> None:
    for status in (400, 413, 500, 503):
        assert answered(status, excerpt).fault == f"answered {status}{words}"


def test_what_is_packed_is_not_shown() -> None:
    assert answered(500, "\x1f\ufffd\x08", content_encoding="gzip").fault == "answered 500"


def test_a_web_page_is_no_acknowledgement_whatever_its_status_is() -> None:
    """A portal in which somebody has to log in answers 200 to everything, and keeps nothing."""
    outcome = answered(200, "<html><title>Welcome to the hotel</title>", content_type="text/html; charset=utf-8")
    assert outcome.verdict == "later"
    assert outcome.fault.startswith("answered 200: 'Welcome to the hotel', a web page: no receiver answers so")
    assert answered(200, "{}", content_type="application/json").verdict == "taken"
    assert answered(204).verdict == "taken"


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://joe:hunter2@other.example/x?token=hunter2#hunter2", ": https://other.example/x"),
        ("/other", ": http://vm.example:8428/other"),
        ("other", ": http://vm.example:8428/insert/other"),
        ("", ": http://vm.example:8428/insert/write"),
        ("http://[::1", ", which it does not tell"),
        ("http://h:99999/", ", which it does not tell"),
    ],
)
def test_a_redirect_tells_where_to_in_whatever_form_it_is_given(location: str, told: str) -> None:
    for status in (301, 302, 307, 308):
        outcome = answered(status, location=location)
        assert (outcome.verdict, outcome.cut) == ("later", False)
        assert outcome.fault == f"answered {status}, a redirect; set the url it points to{told}"


def at(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOW_S + seconds, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("30", 30),
        (" 7 ", 7),
        ("9" * 400, answers.RETRY_AFTER_MAX_S),
        ("-5", 0),
        ("1.5", 0),
        ("1e3", 0),
        ("inf", 0),
        ("nan", 0),
        ("soon", 0),
        ("", 0),
        (at(120), 120),
        (at(-120), 0),
        (at(86400 * 365 * 100), answers.RETRY_AFTER_MAX_S),
        (datetime.fromtimestamp(NOW_S + 60, UTC).strftime("%a %b %d %H:%M:%S %Y"), 60),
        ("Mon, 01 Jan 0001 00:00:00 -0000", 0),
        ("Mon, 01 Jan 99999 00:00:00 GMT", 0),
        ("Mon, 32 Jan 2026 25:61:61 GMT", 0),
        ("Mon, 01 Jan 2099 00:00:00 +99999999", 0),
    ],
)
def test_retry_after_is_bounded_whatever_is_written_there(text: str, wait_s: float) -> None:
    assert answered(503, retry_after=text).retry_after_s == pytest.approx(wait_s)
    assert answered(429, retry_after=text).retry_after_s == pytest.approx(wait_s)


@given(
    status=st.integers(100, 599),
    excerpt=st.text(max_size=answers.EXCERPT_BYTES),
    headers=st.dictionaries(
        st.sampled_from(["Retry-After", "Location", "Content-Type", "Content-Encoding"]), st.text(max_size=60), max_size=4
    ),
)
def test_every_answer_is_judged_and_told_in_one_line(status: int, excerpt: str, headers: dict[str, str]) -> None:
    outcome = judged(status, headers, excerpt, INGESTION, NOW_S)
    assert (outcome.verdict == "taken") == (outcome.fault == "")
    assert 0 <= outcome.retry_after_s <= answers.RETRY_AFTER_MAX_S
    assert not set(outcome.fault) & set("\r\n\x1b\x00")
