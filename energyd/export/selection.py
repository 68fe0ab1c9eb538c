"""Which families are shown, and under which names: `metrics.families` and `metrics.rename` of the configuration.

Patterns are matched against the whole name of a family as METRICS.md gives it, and the first that matches decides. Law: no
two families get one name, neither as a family nor as a sample of one: whoever reads a scrape refuses all of it otherwise.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from energyd.errors import ConfigError
from energyd.export.metric import COUNTER, GAUGE, HISTOGRAM, INFO, INHERITED_COUNTER, INHERITED_GAUGE, SUMMARY, Family, Metric

_REFERENCE: Final = re.compile(r"\$(?:\{(\w+)\}|(\d+))")  # $1 and ${1}, as Prometheus' relabelling writes them
_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_SUFFIXES: Final = {
    COUNTER: ("_created",),
    SUMMARY: ("_count", "_sum", "_created"),
    HISTOGRAM: ("_count", "_sum", "_bucket", "_created"),
}
"""What OpenMetrics appends to the name of a family for further samples, by type."""


class Selection:
    """Judges names; each is judged once. ConfigError for a replacement that refers to a group which its pattern has not."""

    def __init__(self, families: Sequence[tuple[str, bool]] = (), rename: Sequence[tuple[str, str]] = ()) -> None:
        self._shown = [(re.compile(pattern), shown) for pattern, shown in families]
        self._rename = [(re.compile(pattern), _template(pattern, replacement)) for pattern, replacement in rename]
        self._names: dict[str, str | None] = {}
        self._metrics: dict[Metric, Metric] = {}

    def check(self, metrics: Iterable[Metric]) -> None:
        """ConfigError if a pattern matches none of `metrics`, all there can be, or if their names would not stay different and
        valid."""
        known = {metric.name: metric for metric in metrics}
        for key, patterns in (("families", self._shown), ("rename", self._rename)):
            for pattern, _ in patterns:
                if not any(map(pattern.fullmatch, known)):
                    import difflib  # 0.2 MB for who has mistyped

                    near = difflib.get_close_matches(pattern.pattern, known, 1)
                    advice = f"did you mean {near[0]}?" if near else "METRICS.md lists all"
                    raise ConfigError(f"metrics.{key}: {pattern.pattern}: is the whole name of no family; {advice}")
        owners: dict[str, str] = {}
        for name, metric in known.items():
            shown = self.name(name)
            if shown is None:
                continue
            if not _NAME.fullmatch(shown):
                raise ConfigError(f"metrics.rename: {name} becomes {shown!r}, which is no name of a metric; change the replacement")
            for taken in _names(self._as(metric, shown)):
                if (other := owners.setdefault(taken, name)) != name:
                    raise ConfigError(
                        f"metrics.rename: {other} and {name} would both be {taken}, as families or as samples of them; "
                        "give them different names"
                    )

    def name(self, name: str) -> str | None:
        """The name to show for `name`, None for a family that is not shown."""
        if name not in self._names:
            self._names[name] = self._judged(name)
        return self._names[name]

    def _judged(self, name: str) -> str | None:
        if not next((shown for pattern, shown in self._shown if pattern.fullmatch(name)), True):
            return None
        for pattern, template in self._rename:
            if match := pattern.fullmatch(name):
                return match.expand(template)
        return name

    def families(self, families: Iterable[Family]) -> list[Family]:
        """The families that are shown, with the metrics that they are shown as."""
        shown = []
        for family in families:
            name = self.name(family.metric.name)
            if name is not None:
                metric = self._as(family.metric, name)
                shown.append(family if metric is family.metric else family._replace(metric=metric))
        return shown

    def _as(self, metric: Metric, name: str) -> Metric:
        if name == metric.name:
            return metric
        if metric not in self._metrics:  # not by its name: the labels of a family may change while we run
            self._metrics[metric] = renamed(metric, name)
        return self._metrics[metric]


def renamed(metric: Metric, name: str) -> Metric:
    """`metric` under another name: OpenMetrics allows types and units only to names that end as theirs must."""
    kind = metric.type
    if kind == COUNTER:
        kind = COUNTER if name.endswith("_total") else INHERITED_COUNTER
    elif kind == INFO:
        kind = INFO if name.endswith("_info") else GAUGE
    elif kind in (GAUGE, INHERITED_GAUGE):
        kind = INHERITED_GAUGE if name.endswith(("_total", "_info")) else GAUGE
    other = metric._replace(name=name, type=kind)
    return other if other.family.endswith("_" + metric.unit) else other._replace(unit="")


def _names(metric: Metric) -> tuple[str, ...]:
    """All that nobody else may be called."""
    family = metric.family
    return (metric.name, family, *[family + suffix for suffix in _SUFFIXES.get(metric.type, ())])


def _template(pattern: str, replacement: str) -> str:
    """The replacement as `re` writes it."""
    compiled = re.compile(pattern)
    for braced, bare in _REFERENCE.findall(replacement):
        group = braced or bare
        if not (int(group) <= compiled.groups if group.isdecimal() else group in compiled.groupindex):
            raise ConfigError(f"metrics.rename: {pattern}: has no group {group}; parentheses make groups")
    return _REFERENCE.sub(lambda match: f"\\g<{match[1] or match[2]}>", replacement.replace("\\", r"\\"))
