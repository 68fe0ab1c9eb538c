"""What a dashboard asks: every query of its panels and of its variables, as its JSON has them.

Outside truth: Grafana's documentation, "Dashboard JSON model", and its export of dashboards since version 4: panels in rows of
their own (until 5) or in a list (since), those of a closed row within it, the data source by its name (until 8.2) or its uid.
Law: nothing is asked here, no dashboard is changed, and what is of another kind than Grafana writes is not there.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

DEFAULT_SHOWN_S: Final = 6 * 3600.0  # Grafana's own
_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "M": 2592000.0, "y": 31536000.0}
_KINDS: Final = ("prometheus", "victoriametrics-datasource", "victoriametrics-metrics-datasource")
"""Types of data sources that are asked in PromQL; that of a cloud has `prometheus` in its name."""


class Question(NamedTuple):
    """A query. `step_s` is the least step, `shown_s` the time that the panel shows, `source` the data source as it is written."""

    panel: str
    ref: str
    expression: str
    instant: bool = False
    step_s: float = 0.0
    shown_s: float = DEFAULT_SHOWN_S
    source: str = ""


def seconds(text: object) -> float:
    """Seconds of `90s`, `1h30m` or `>10s`, 0 for what is no duration."""
    parts = re.fullmatch(r">?((?:\d+(?:ms|[smhdwMy]))+)", str(text or "").strip())
    return sum(int(number) * _UNITS_S[unit] for number, unit in re.findall(r"(\d+)(ms|\D)", parts[1])) if parts else 0.0


def title(model: Mapping[str, Any]) -> str:
    return str(model.get("title") or "without a title")


def is_dashboard(model: object) -> bool:
    return isinstance(model, Mapping) and (isinstance(model.get("panels"), list) or isinstance(model.get("rows"), list))


def part(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object of that name, an empty one if there is none."""
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}


def listed(holder: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The objects in the list of that name."""
    value = holder.get(key)
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def variables(model: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return listed(part(model, "templating"), "list")


def questions(model: Mapping[str, Any]) -> Iterator[Question]:
    """Every query that is shown and asked in PromQL."""
    begin = re.fullmatch(r"now-(\w+)(?:/\w)?", str(part(model, "time").get("from")))
    shown_s = (seconds(begin[1]) if begin else 0.0) or DEFAULT_SHOWN_S
    for name, panel in _panels(model):
        for target in listed(panel, "targets"):
            kind, source = source_of(target.get("datasource") or panel.get("datasource"))
            if not target.get("expr") or target.get("hide") or not speaks_promql(kind):
                continue
            yield Question(
                name,
                str(target.get("refId") or ""),
                str(target["expr"]),
                bool(target.get("instant")),
                seconds(target.get("interval") or panel.get("interval")),
                seconds(panel.get("timeFrom")) or shown_s,
                source,
            )


def source_of(reference: object) -> tuple[str, str]:
    """(type, uid or name) of a data source, each '' where it is not said."""
    if isinstance(reference, Mapping):
        return str(reference.get("type") or ""), str(reference.get("uid") or "")
    return "", str(reference or "")


def speaks_promql(kind: str) -> bool:
    return not kind or kind in _KINDS or "prometheus" in kind


def _panels(holder: Mapping[str, Any], row: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(its title behind that of its row, panel)"""
    for old in listed(holder, "rows"):
        yield from _panels(old, str(old.get("title") or ""))
    for panel in listed(holder, "panels"):
        if panel.get("type") == "row":
            row = str(panel.get("title") or "")
            yield from _panels(panel, row)
        else:
            yield f"{row} / {panel.get('title') or 'without a title'}".removeprefix(" / "), panel
