"""The pieces that a dashboard is made of, and where they stand on its 24 columns."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

SCHEMA_VERSION: Final = 39
COLUMNS: Final = 24
DATA_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
Json = dict[str, Any]


class Query(NamedTuple):
    """One expression. `instant`: its value now, else over the time range. `interval`: the smallest step."""

    expression: str
    legend: str = ""
    instant: bool = False
    interval: str = ""


class Panel(NamedTuple):
    """What stands in one rectangle, `width` of 24 columns and `height` rows of 30 pixels."""

    kind: str
    title: str
    queries: tuple[Query, ...]
    unit: str
    width: int
    height: int
    description: str = ""
    defaults: Mapping[str, Any] = {}
    options: Mapping[str, Any] = {}
    transformations: tuple[Json, ...] = ()
    shown: str = ""  # the time that it shows, whatever is chosen above


class Row(NamedTuple):
    """A headline and the panels under it, left to right."""

    title: str
    panels: tuple[Panel, ...]


class Variable(NamedTuple):
    """A choice above the dashboard, among the values of `label` of the series `metric`."""

    name: str
    title: str
    metric: str
    label: str


def lines(
    title: str,
    unit: str,
    *queries: Query,
    width: int = 12,
    height: int = 8,
    stacked: bool = False,
    bars: bool = False,
    text: str = "",
    shown: str = "",
) -> Panel:
    """Values over time."""
    custom: Json = {"lineWidth": 1, "fillOpacity": 60 if stacked or bars else 8, "showPoints": "never", "spanNulls": False}
    if bars:
        custom |= {"drawStyle": "bars", "barAlignment": -1}
    if stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return Panel("timeseries", title, queries, unit, width, height, text, {"custom": custom, "min": 0}, options, shown=shown)


def number(
    title: str, unit: str, *queries: Query, width: int = 4, steps: Sequence[tuple[str, float | None]] = (), text: str = ""
) -> Panel:
    """The last value, large. `steps`: colours from which value on, the first from None."""
    defaults: Json = {}
    if steps:
        thresholds = [{"color": colour, "value": value} for colour, value in steps]
        defaults = {"thresholds": {"mode": "absolute", "steps": thresholds}, "color": {"mode": "thresholds"}}
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value" if steps else "none",
        "graphMode": "none",
        "textMode": "auto",
    }
    return Panel("stat", title, queries, unit, width, 4, text, defaults, options)


def name(title: str, *queries: Query, width: int = 4, text: str = "") -> Panel:
    """The legend of the series that is there, as a word."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "none",
        "graphMode": "none",
        "textMode": "name",
    }
    return Panel("stat", title, queries, "none", width, 4, text, {}, options)


def shares(title: str, unit: str, *queries: Query, width: int = 8, height: int = 8, text: str = "") -> Panel:
    """A pie."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "legend": {"displayMode": "table", "placement": "right", "values": ["value", "percent"]},
        "pieType": "donut",
    }
    return Panel("piechart", title, queries, unit, width, height, text, {}, options)


def table(
    title: str,
    columns: Mapping[str, str],
    *queries: Query,
    units: Mapping[str, str],
    width: int = 24,
    height: int = 10,
    text: str = "",
) -> Panel:
    """Rows of labels and values; queries of the same labels become columns. `columns`: {label or value: its headline}, in order."""
    overrides = [
        {"matcher": {"id": "byName", "options": headline}, "properties": [{"id": "unit", "value": unit}]}
        for headline, unit in units.items()
    ]
    order = {column: place for place, column in enumerate(columns)}
    transformations = (
        {"id": "merge", "options": {}},
        {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
        {"id": "organize", "options": {"indexByName": order, "renameByName": dict(columns)}},
    )
    first_value = next(headline for headline in columns.values() if headline in units)
    options = {"showHeader": True, "sortBy": [{"displayName": first_value, "desc": True}]}
    return Panel("table", title, queries, "none", width, height, text, {"overrides": overrides}, options, transformations)


def dashboard(uid: str, title: str, description: str, variables: Iterable[Variable], rows: Iterable[Row]) -> Json:
    """The whole model."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["energyd"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [
            {
                "type": "dashboards",
                "title": "energyd",
                "tags": ["energyd"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "templating": {"list": [_data_source(), *(_choice(variable) for variable in variables)]},
        "panels": _placed(rows),
    }


def _data_source() -> Json:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1, "hide": 0}


def _choice(variable: Variable) -> Json:
    query = f"label_values({variable.metric}, {variable.label})"
    return {
        "name": variable.name,
        "label": variable.title,
        "type": "query",
        "datasource": DATA_SOURCE,
        "definition": query,
        "query": {"query": query, "refId": variable.name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _placed(rows: Iterable[Row]) -> list[Json]:
    panels: list[Json] = []
    top = 0
    for row in rows:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "panels": [],
                "gridPos": _at(0, top, COLUMNS, 1),
            }
        )
        left, top, tallest = 0, top + 1, 0
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                left, top, tallest = 0, top + tallest, 0
            panels.append(_panel(len(panels) + 1, panel, _at(left, top, panel.width, panel.height)))
            left, tallest = left + panel.width, max(tallest, panel.height)
        top += tallest
    return panels


def _at(left: int, top: int, width: int, height: int) -> Json:
    return {"x": left, "y": top, "w": width, "h": height}


def _panel(number_: int, panel: Panel, place: Json) -> Json:
    defaults = {key: value for key, value in panel.defaults.items() if key != "overrides"}
    return {
        "id": number_,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "gridPos": place,
        "datasource": DATA_SOURCE,
        "targets": [_target(index, query, panel.kind) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": {"unit": panel.unit, **defaults}, "overrides": panel.defaults.get("overrides", [])},
        "options": dict(panel.options),
        "transformations": list(panel.transformations),
        **({"timeFrom": panel.shown} if panel.shown else {}),
    }


def _target(index: int, query: Query, kind: str) -> Json:
    target: Json = {
        "refId": chr(ord("A") + index),
        "datasource": DATA_SOURCE,
        "expr": query.expression,
        "legendFormat": query.legend,
        "instant": query.instant,
        "range": not query.instant,
        "format": "table" if kind == "table" else "time_series",
    }
    if query.interval:
        target["interval"] = query.interval
    return target
