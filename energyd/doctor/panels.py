"""The panels of one of Grafana's dashboards that show our metrics: have they something to show, and if not, what mends it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from energyd.asking import NoAnswer
from energyd.dashboards.check import EMPTY, ERROR, OK, SLOW, Finding, examined, values
from energyd.dashboards.promql import Unreadable, selectors, tokens
from energyd.dashboards.questions import Question, questions, title, variables
from energyd.dashboards.server import Server
from energyd.dashboards.variables import replaced, saved, used
from energyd.dashboards.why import ABSENT, COMPARED, ENDED, LABEL, LATER, RARE, UNMATCHED
from energyd.doctor.check import Check, failure, ok, warning

OURS: Final = ("energyd_", "scaph_", "linky_", "myelectricaldata_")
SHOWN_PANELS: Final = 3
NOTHING_WRONG: Final = (LATER, COMPARED)
MENDS: Final = {
    ABSENT: "METRICS.md says what the metric needs; `energyd doctor --prometheus URL` whether we are scraped",
    ENDED: "`energyd doctor --prometheus URL` says whether we are scraped, `energyd status` whether its reader runs",
    LABEL: "correct the label in the query of the panel",
    RARE: "set the data source's Scrape interval (jsonData.timeInterval) to that of the scrape job",
    SLOW: "show less time, or record what it asks for by a rule, as conf/prometheus/rules does",
    UNMATCHED: "open the panel in Explore and ask for the parts of its query, `on (...)` names the labels that must match",
}


class Source(NamedTuple):
    """A data source that is asked in PromQL."""

    uid: str
    name: str
    url: str
    is_default: bool
    scrape_s: float


def about_us(question: Question) -> bool:
    readable = replaced(question.expression, dict.fromkeys(used(question.expression), "1m"))
    try:
        return any(selector.name.startswith(OURS) for selector in selectors(tokens(readable)))
    except Unreadable:
        return readable.lstrip().startswith(OURS)


def sources_of(model: Mapping[str, Any], sources: Sequence[Source]) -> Iterator[Source]:
    """Those that its questions about us go to."""
    for reference in dict.fromkeys(question.source for question in filter(about_us, questions(model))):
        source = chosen_source(model, reference, sources)
        if source is not None:
            yield source


def panels(model: Mapping[str, Any], sources: Sequence[Source], reachable: Mapping[str, Server]) -> Iterator[Check]:
    """One line for the panels that have something to show, and one for each reason why others have not."""
    subject = f"grafana dashboard {title(model)}"
    by_source: dict[str, list[Question]] = {}
    for question in filter(about_us, questions(model)):
        by_source.setdefault(question.source, []).append(question)
    found: list[Finding] = []
    for reference, asked in by_source.items():
        source = chosen_source(model, reference, sources)
        if source is None:
            known = ", ".join(f"{source.name} ({source.uid})" for source in sources) or "none"
            mend = f"Edit the panel and choose one of them, or give one that uid; there are: {known}"
            yield failure(subject, f"{_titles(asked)}: the data source {reference} does not exist", mend)
        elif source.uid in reachable:
            try:
                found += _findings(model, asked, reachable[source.uid], source.scrape_s)
            except NoAnswer as error:
                yield failure(
                    subject, f"{source.name} was asked, and then {error}", "try again; `journalctl -u grafana-server -n 50`"
                )
    yield from _judged(subject, found)


def chosen_source(model: Mapping[str, Any], reference: str, sources: Sequence[Source]) -> Source | None:
    """The data source of a query: by uid or name; the default one where none is named, or a variable chooses and has no choice."""
    by_variable = {
        str(variable.get("name")): saved(variable) or "" for variable in variables(model) if variable.get("type") == "datasource"
    }
    named = replaced(reference, by_variable)
    for source in sources:
        if named in (source.uid, source.name):
            return source
    if named not in ("", "default") and not used(reference) & by_variable.keys():
        return None
    return next((source for source in sources if source.is_default), sources[0] if sources else None)


def _findings(model: Mapping[str, Any], asked: Sequence[Question], server: Server, scrape_s: float) -> list[Finding]:
    at_s = server.now_s()
    known = values(model, server, at_s)
    return [*known.findings, *(examined(title(model), question, known, server, scrape_s, at_s) for question in asked)]


def _judged(subject: str, found: Sequence[Finding]) -> Iterator[Check]:
    quiet = [finding for finding in found if finding.verdict == EMPTY and finding.kind in NOTHING_WRONG]
    if answered := sum(finding.verdict == OK for finding in found):
        more = f", {len(quiet)} have nothing to show now" if quiet else ""
        yield ok(subject, f"{answered} of {len(found)} queries have an answer{more}")
    silent: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in found:
        if finding.verdict != OK and finding not in quiet:
            silent.setdefault((finding.verdict, finding.kind, finding.reason), []).append(finding)
    for (verdict, kind, reason), among in silent.items():
        if verdict == ERROR:
            yield failure(subject, f"{_titles(among)}: {reason}", MENDS.get(kind, "correct the query of the panel"))
        else:
            yield warning(subject, f"{_titles(among)}: {reason}", MENDS[kind])


def _titles(among: Sequence[Question] | Sequence[Finding]) -> str:
    """The panels by title, the first ones if there are many."""
    names = list(dict.fromkeys(one.panel for one in among))
    return ", ".join(names[:SHOWN_PANELS]) + (f" and {len(names) - SHOWN_PANELS} more" if len(names) > SHOWN_PANELS else "")
