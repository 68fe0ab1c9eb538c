"""The variables of a dashboard: which values they have, and what stands in a query in their place.

Outside truth: Grafana's documentation, "Variable syntax", "Global variables" and "Prometheus template variables"; in PromQL several
values become one regular expression, `(a|b)`, and `$__rate_interval` is the step and one scrape, at least four scrapes.
Law: who has the choice `All` is given it, else the first value is taken: what is saved in a file was chosen on another server.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from energyd.dashboards.questions import part

_REFERENCE: Final = re.compile(r"\$(\w+)|\$\{(\w+)(?:\.\w+)?(?::[\w-]+)?\}|\[\[(\w+)(?::[\w-]+)?\]\]")
_LABEL_VALUES: Final = re.compile(r"\s*label_values\(\s*(?:(?P<metric>.+),)?\s*(?P<label>\w+)\s*\)\s*", re.DOTALL)
ALL: Final = "$__all"


class Wanted(NamedTuple):
    """The values of `label` in the series `metric`, or in all if that is ''."""

    metric: str
    label: str


def wanted(variable: Mapping[str, Any]) -> Wanted | None:
    """What a variable asks a server for, None if it asks none, or in another way than label_values()."""
    if variable.get("type") != "query":
        return None
    query = variable.get("query")
    text = query.get("query") if isinstance(query, Mapping) else query
    found = _LABEL_VALUES.fullmatch(str(text or variable.get("definition") or ""))
    return Wanted((found["metric"] or "").strip(), found["label"]) if found else None


def filtered(variable: Mapping[str, Any], values: Iterable[str]) -> list[str]:
    """Those that the variable's own pattern lets through, or the part of them that its group names. re.error if it is none."""
    pattern = str(variable.get("regex") or "")
    if not pattern:
        return list(values)
    javascript = re.sub(r"^/(.*)/[a-z]*$", r"\1", pattern)
    compiled = re.compile(re.sub(r"\(\?<(?=\w)", "(?P<", javascript))
    found = (compiled.search(value) for value in values)
    return list(dict.fromkeys(match[1] if compiled.groups and match[1] is not None else match[0] for match in found if match))


def chosen(variable: Mapping[str, Any], values: Sequence[str]) -> str:
    """What stands for the variable in a query, of the values that it has; there is at least one."""
    several = bool(variable.get("multi") or variable.get("includeAll"))
    if not several:
        return values[0].replace("\\", "\\\\").replace('"', '\\"')
    if variable.get("includeAll") and variable.get("allValue"):
        return str(variable["allValue"])
    among = values if variable.get("includeAll") else values[:1]
    patterns = [re.sub(r"([\\^$*+?.()|{}\[\]])", r"\\\\\1", value) for value in among]
    return patterns[0] if len(patterns) == 1 else f"({'|'.join(patterns)})"


def saved(variable: Mapping[str, Any]) -> str | None:
    """The value in the file of a variable that asks no server; '' is the default data source. None if it stands in no query."""
    if variable.get("type") in ("adhoc", "groupby"):
        return None
    options = [option.split(" : ")[-1].strip() for option in str(variable.get("query") or "").split(",")]
    value = part(variable, "current").get("value")
    if variable.get("type") in ("custom", "interval") and value in (None, "", ALL, [ALL]):
        return "|".join(options) if value in (ALL, [ALL]) else options[0]
    if isinstance(value, list):
        return "|".join(map(str, value))
    return (
        str(value or "")
        if variable.get("type") == "datasource"
        else str(value if value is not None else variable.get("query") or "")
    )


def built_in(step_s: float, shown_s: float, scrape_s: float, at_s: float) -> dict[str, str]:
    """Grafana's own, of a query that is asked in steps over some time until a time."""
    rate_s = max(step_s + scrape_s, 4 * scrape_s)
    return {
        "__interval": f"{step_s:.0f}s",
        "__interval_ms": f"{step_s * 1000:.0f}",
        "__rate_interval": f"{rate_s:.0f}s",
        "__rate_interval_ms": f"{rate_s * 1000:.0f}",
        "__range": f"{shown_s:.0f}s",
        "__range_s": f"{shown_s:.0f}",
        "__range_ms": f"{shown_s * 1000:.0f}",
        "__from": f"{(at_s - shown_s) * 1000:.0f}",
        "__to": f"{at_s * 1000:.0f}",
    }


def used(text: str) -> set[str]:
    """The names of the variables that stand in a text."""
    return {match[match.lastindex or 0] for match in _REFERENCE.finditer(text)}


def replaced(text: str, values: Mapping[str, str]) -> str:
    """The text with values in the place of variables; what is no variable stays as it is."""
    return _REFERENCE.sub(lambda match: values.get(match[match.lastindex or 0], match[0]), text)
