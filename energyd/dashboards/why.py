"""Why a query that is right gets no answer: which metric is not there, which label, which value, or what the query does with them.

Each selection of the expression is asked for by itself, then with one matcher at a time. Law: a reason is what a server has said,
in order of how much it explains; a guess is never given for one.
"""

import difflib
from collections.abc import Sequence
from typing import Final, NamedTuple

from energyd.dashboards.promql import Matcher, Selector, Token, Unreadable, combines, compares, selectors, tokens
from energyd.dashboards.server import Server

ABSENT: Final = "absent"  # the metric is not there
ENDED: Final = "ended"  # it was there
LABEL: Final = "label"  # no series has such a label or value
RARE: Final = "rare"  # too few samples
LATER: Final = "later"  # there will be an answer
COMPARED: Final = "compared"  # nothing is above the limit, which may be as it should
UNMATCHED: Final = "unmatched"  # the parts of the query do not meet
_SHOWN_VALUES: Final = 5
_NEAR: Final = 0.93  # a letter or two of a name


class Why(NamedTuple):
    """`kind` is one of those above."""

    kind: str
    text: str


def why(server: Server, expression: str, at_s: float) -> Why:
    """Of an expression that has no answer at a time. Raises NoAnswer."""
    try:
        words = tokens(expression)
    except Unreadable:  # MetricsQL has more than PromQL
        return Why(UNMATCHED, "no series is left at the end of it")
    for selector in dict.fromkeys(selectors(words)):
        found = _of_selector(server, selector, at_s)
        if found is not None:
            return found
    return _of_the_rest(words)


def _of_selector(server: Server, selector: Selector, at_s: float) -> Why | None:
    """What is wrong with one selection, None if it has series."""
    name = selector.name or next((m.text[1:-1] for m in selector.matchers if (m.label, m.operator) == ("__name__", "=")), "")
    if name and name not in server.names():
        near = difflib.get_close_matches(name, server.names(), 1, _NEAR)
        return Why(ABSENT, f"no metric {name} there" + (f"; there is {near[0]}" if near else ""))
    if not _there(server, selector, (), at_s):
        if " offset -" in selector.when:
            return Why(LATER, f"{name} is there, and{selector.when} asks for what comes later")
        return Why(ENDED, f"{name or selector} has no sample{_when(selector)}, and had some before")
    for matcher in selector.matchers:
        if not _there(server, selector, (matcher,), at_s):
            return Why(LABEL, _of_matcher(server, name, matcher))
    if not _there(server, selector, selector.matchers, at_s):
        chosen = ", ".join(map(str, selector.matchers))
        return Why(LABEL, f"each of {chosen} is there, and no {name} has all of them at once")
    if selector.window:
        enough = f"count_over_time({_ranged(selector, selector.matchers)}) > 1"
        if not server.now(enough, at_s).series:
            return Why(RARE, f"{name} has less than two samples in {selector.window}: it comes less often than is assumed")
    return None


def _there(server: Server, selector: Selector, matchers: Sequence[Matcher], at_s: float) -> bool:
    asked = f"last_over_time({_ranged(selector, matchers)})" if selector.window else selector.with_matchers(*matchers)
    if not selector.name and not matchers:
        return True  # everything there is
    return server.now(f"count({asked})", at_s).series > 0


def _ranged(selector: Selector, matchers: Sequence[Matcher]) -> str:
    return f"{selector._replace(when='').with_matchers(*matchers)}[{selector.window}]{selector.when}"


def _when(selector: Selector) -> str:
    return (f" in {selector.window}" if selector.window else " now") + selector.when


def _of_matcher(server: Server, name: str, matcher: Matcher) -> str:
    labels = server.labels(name) if name else []
    if name and matcher.label not in labels:
        return f"{name} has no label {matcher.label}; it has {', '.join(labels) or 'none'}"
    values = server.values(matcher.label, name)
    more = f" and {len(values) - _SHOWN_VALUES} more" if len(values) > _SHOWN_VALUES else ""
    return f"no {name or 'series'} has {matcher}; there {matcher.label} is {', '.join(values[:_SHOWN_VALUES])}{more}"


def _of_the_rest(words: Sequence[Token]) -> Why:
    metrics = ", ".join(dict.fromkeys(selector.name for selector in selectors(words) if selector.name)) or "what it asks for"
    if compares(words):
        return Why(COMPARED, f"a comparison lets nothing of {metrics} through now")
    if combines(words):
        return Why(UNMATCHED, f"an operator leaves nothing of {metrics}, as where the labels of its two sides differ")
    return Why(UNMATCHED, f"nothing is left of {metrics} in the end")
