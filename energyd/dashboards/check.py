"""Ask a server all that a dashboard asks, as Grafana would, and say of each query what came."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from energyd.asking import TOO_LATE, NoAnswer
from energyd.dashboards.questions import Question, questions, title, variables
from energyd.dashboards.server import Answer, Server
from energyd.dashboards.variables import built_in, chosen, filtered, replaced, saved, used, wanted
from energyd.dashboards.why import ABSENT, LATER, UNMATCHED, Why, why

OK: Final = "ok"
EMPTY: Final = "empty"
ERROR: Final = "error"
MOST_POINTS: Final = 500  # of a panel, about as many as it is wide
SLOW: Final = "slow"
TIMEOUTS: Final = (TOO_LATE, 502, 504)  # of the server, and of a proxy before it


class Finding(NamedTuple):
    """What came of one query. `expression` is as it was asked, `series` how many came; `kind` says of what kind the reason is."""

    dashboard: str
    panel: str
    ref: str
    verdict: str
    series: int
    reason: str
    kind: str
    expression: str


class Values(NamedTuple):
    """What stands for each variable, why some have no value, and what was found on the way."""

    texts: dict[str, str]
    missing: dict[str, Why]
    findings: list[Finding]


def values(model: Mapping[str, Any], server: Server, at_s: float) -> Values:
    """The values of the variables, those that ask for series in the order in which they may use each other."""
    found = Values({}, {}, [])
    for variable in variables(model):
        name, query = str(variable.get("name")), wanted(variable)
        if query is None:
            text = saved(variable)
            if text is not None:
                found.texts[name] = text
            continue
        selector = replaced(query.metric, found.texts)
        try:
            there = filtered(variable, server.values(query.label, selector))
            reason = None if there else _no_value(server, selector, query.label, at_s)
        except (NoAnswer, re.error) as error:
            found.findings.append(_failed(title(model), f"variable {name}", "", selector, error))
            continue
        if reason is None:
            found.texts[name] = chosen(variable, there)
        else:
            found.missing[name] = reason
    return found


def findings(model: Mapping[str, Any], server: Server, scrape_s: float, at_s: float) -> Iterator[Finding]:
    """A line for each query. NoAnswer if the server goes away, not if it refuses a query."""
    known = values(model, server, at_s)
    yield from known.findings
    for question in questions(model):
        yield examined(title(model), question, known, server, scrape_s, at_s)


def examined(dashboard: str, question: Question, known: Values, server: Server, scrape_s: float, at_s: float) -> Finding:
    """One question."""
    step_s = max(math.ceil(question.shown_s / MOST_POINTS), question.step_s, scrape_s)
    expression = replaced(question.expression, known.texts | built_in(step_s, question.shown_s, scrape_s, at_s))
    place = (dashboard, question.panel, question.ref)
    missing = used(expression) & known.missing.keys()
    if missing:
        name = min(missing)
        return Finding(*place, EMPTY, 0, f"${name} has no value: {known.missing[name].text}", known.missing[name].kind, expression)
    try:
        answer = _asked(server, expression, question, step_s, scrape_s, at_s)
        if answer.drawn:
            return Finding(*place, OK, answer.drawn, "", "", expression)
        reason = _reason(server, expression, question, answer, step_s, at_s)
    except NoAnswer as error:
        return _failed(*place, expression, error)
    return Finding(*place, EMPTY, 0, reason.text, reason.kind, expression)


def _asked(server: Server, expression: str, question: Question, step_s: float, scrape_s: float, at_s: float) -> Answer:
    """As Grafana asks: a panel with a step of its own shows whole hours or days."""
    if question.instant:
        return server.now(expression, at_s)
    last_s = at_s - at_s % step_s if question.step_s else at_s - scrape_s  # what is younger may not be shown yet
    return server.over(expression, last_s - question.shown_s // step_s * step_s, last_s, step_s)


def _reason(server: Server, expression: str, question: Question, answer: Answer, step_s: float, at_s: float) -> Why:
    if answer.series:
        return Why(UNMATCHED, "every value is NaN, as of a division of nothing by nothing")
    if not question.instant and server.now(expression, at_s).drawn:
        return Why(LATER, f"it has an answer now, and had none at the whole steps of {step_s:.0f} s that are shown")
    return why(server, expression, at_s)


def _no_value(server: Server, selector: str, label: str, at_s: float) -> Why:
    reason = why(server, selector, at_s) if selector else Why(ABSENT, f"no series has the label {label}")
    if reason.kind == UNMATCHED:
        return Why(ABSENT, f"no series of {selector} has the label {label}")
    return reason


def _failed(dashboard: str, panel: str, ref: str, expression: str, error: Exception) -> Finding:
    """An answer that is an error, in the words of who gave it; NoAnswer if nobody is there to give one."""
    if not isinstance(error, NoAnswer):
        return Finding(dashboard, panel, ref, ERROR, 0, str(error), "", expression)
    if error.status == 0:
        raise error
    return Finding(dashboard, panel, ref, ERROR, 0, error.words or f"it {error}", SLOW * (error.status in TIMEOUTS), expression)
