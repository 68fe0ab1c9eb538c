"""When and in which steps a panel is asked for; what servers answer: tests/e2e/test_e2e_dashboards.py."""

import pytest

from energyd.asking import NoAnswer
from energyd.dashboards.check import Values, examined, findings
from energyd.dashboards.questions import Question
from energyd.dashboards.server import Answer

AT_S = 1_795_162_354.0
ONE_SERIES = Answer(1, 1)
NOTHING = Values({}, {}, [])


class Asked:
    """Keeps what it is asked, and answers with `answer` or its error."""

    def __init__(self, answer=ONE_SERIES):
        self.answer, self.asked = answer, []

    def now(self, expression, at_s):
        return self._answer(expression, at_s)

    def over(self, *question):
        return self._answer(*question)

    def values(self, label, selector):
        return self._answer(label, selector)

    def _answer(self, *question):
        self.asked.append(question)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def times(shown_s, step_s=0.0, scrape_s=15.0):
    server = Asked()
    examined("d", Question("p", "A", "up", step_s=step_s, shown_s=shown_s), NOTHING, server, scrape_s, AT_S)
    return server.asked[0][1:]


def test_a_panel_is_as_wide_as_its_time_allows_and_never_finer_than_the_scrapes():
    assert times(3600) == (AT_S - 15 - 3600, AT_S - 15, 15)
    assert times(86400) == (AT_S - 15 - 499 * 173, AT_S - 15, 173)


def test_a_panel_with_a_step_of_its_own_shows_whole_hours():
    assert times(86400, step_s=3600) == (1_795_161_600 - 86400, 1_795_161_600, 3600)


def test_a_query_of_now_is_asked_for_now():
    server = Asked()
    examined("d", Question("p", "A", "rate(x[$__rate_interval])", instant=True), NOTHING, server, 30.0, AT_S)
    assert server.asked == [("rate(x[120s])", AT_S)]


def test_a_query_that_is_refused_is_an_error_in_the_words_of_the_server_and_a_server_that_goes_away_ends_it():
    refused = NoAnswer("answers 400 Bad Request: parse error", 400, "parse error")
    found = examined("d", Question("p", "A", "x("), NOTHING, Asked(refused), 15.0, AT_S)
    assert (found.verdict, found.reason) == ("error", "parse error")
    with pytest.raises(NoAnswer):
        examined("d", Question("p", "A", "x"), NOTHING, Asked(NoAnswer("does not answer: refused")), 15.0, AT_S)


@pytest.mark.parametrize("late", [NoAnswer("does not answer in 10 s", 408), NoAnswer("answers 504 Gateway Timeout", 504)])
def test_a_query_that_takes_too_long_does_not_keep_the_others_from_being_asked(late):
    found = examined("d", Question("p", "A", "x"), NOTHING, Asked(late), 15.0, AT_S)
    assert (found.verdict, found.reason, found.kind) == ("error", f"it {late}", "slow")


def test_a_variable_that_is_refused_or_has_no_pattern_is_an_error_of_its_own():
    def first(server, **more):
        variable = {"name": "v", "type": "query", "query": "label_values(up, job)", **more}
        return next(findings({"title": "d", "panels": [], "templating": {"list": [variable]}}, server, 15.0, AT_S))

    refused = first(Asked(NoAnswer("answers 422 Unprocessable: too many", 422, "too many")))
    unpatterned = first(Asked(["a"]), regex="/(/")

    assert (refused.panel, refused.verdict, refused.reason) == ("variable v", "error", "too many")
    assert (unpatterned.verdict, "missing )" in unpatterned.reason) == ("error", True)
