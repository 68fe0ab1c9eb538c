"""Every PromQL expression of conf/: where it stands, as it is written, and as a data source is asked."""

import json
import re
from pathlib import Path

import yaml
from promql import Series, check, series_of

from energyd.dashboards.variables import built_in, replaced, used
from energyd.export.catalogue import CATALOGUE
from energyd.export.document import COMPATIBILITY

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "conf/prometheus/rules").glob("*.yml"))
DASHBOARDS = sorted((ROOT / "conf/grafana/dashboards").glob("*.json"))
SERIES = series_of((*CATALOGUE, *(metric for metrics in COMPATIBILITY.values() for metric in metrics)))


def as_asked(expression):
    """What Grafana sends: its own variables replaced, and those of the dashboard by `.*`, for all."""
    return replaced(expression, dict.fromkeys(used(expression), ".*") | built_in(15, 6 * 3600, 15, 0))


def dashboards():
    return {path.name: json.loads(path.read_text()) for path in DASHBOARDS}


def panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def panel_targets():
    """(dashboard / panel, target) of every query."""
    return [
        (f"{name} / {panel['title']} / {target['refId']}", target)
        for name, dashboard in dashboards().items()
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]


def rules():
    """Every rule of every file, in order."""
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def series_with_recorded():
    """What can be selected once the rules have been recorded."""
    series = dict(SERIES)
    for rule in rules():
        if "record" in rule:
            found, _ = check(rule["expr"], series)
            series[rule["record"]] = Series(found.labels, found.values)
    return series


def documented():
    """(file, expression) of every block marked promql in the documentation."""
    files = [*ROOT.glob("*.md"), *(ROOT / "conf").rglob("*.md"), *(ROOT / "bench").glob("*.md")]
    blocks = [(path.name, block) for path in files for block in re.findall(r"```promql\n(.*?)```", path.read_text(), re.DOTALL)]
    return [
        (name, re.sub(r"\s*#.*", "", line))
        for name, block in blocks
        for line in block.splitlines()
        if not re.match(r"\s*(#|$)", line)
    ]
