"""METRICS.md from the catalogue: `python -m energyd.export.document --write | --check`."""

import sys
from collections.abc import Iterable, Sequence
from typing import Final

from energyd.export import cadvisormetrics, linkymetrics, myelectricaldata, nodemetrics, scaphmetrics
from energyd.export.catalogue import CATALOGUE
from energyd.export.metric import Metric
from energyd.generated import write_or_check

COMPATIBILITY: Final = {
    linkymetrics.NAME: linkymetrics.METRICS,
    myelectricaldata.NAME: myelectricaldata.METRICS,
    scaphmetrics.NAME: scaphmetrics.METRICS,
    nodemetrics.NAME: nodemetrics.METRICS,
    cadvisormetrics.NAME: cadvisormetrics.METRICS,
}
"""The families of other programs by the value of `compatibility` that switches them on."""


def all_metrics(compatibility: Iterable[str]) -> list[Metric]:
    """Every metric that can be shown where `compatibility` is switched on."""
    return [*CATALOGUE, *[metric for name in compatibility for metric in COMPATIBILITY.get(name, ())]]


_HEAD = """\
# Metrics

Generated from `energyd/export/catalogue.py` by `python -m energyd.export.document --write`; do not edit.

Each microjoule and each watt-hour increments exactly one series of a family, so a sum over a family is right; whatever counts the
same energy a second time is another family. `source` says where a value comes from: `rapl`, `hwmon`, `battery` and `meter` are
measurements, `model` is an estimate and `simulated` is neither. Constant labels (`metrics.labels`) are added to every series.
"""
_COMPATIBILITY = """
## Under the names of other programs

The key `compatibility` lists which are served; as shipped, all but `node_exporter` and `cadvisor`. Names, labels and units are
those of the other program.
"""
_COLUMNS = """
| name | type | unit | labels | series at most | meaning |
|---|---|---|---|---|---|
"""


def markdown(metrics: Sequence[Metric] = CATALOGUE) -> str:
    """The whole document."""
    others = [f"\n### {name}\n{_table(families)}" for name, families in COMPATIBILITY.items()]
    return _HEAD + _table(metrics) + _COMPATIBILITY + "".join(others)


def _table(metrics: Sequence[Metric]) -> str:
    return _COLUMNS + "".join([_row(metric) for metric in metrics])


def _row(metric: Metric) -> str:
    labels = ", ".join([f"`{label}`" for label in metric.labels])
    kind = metric.type.removeprefix("inherited ")
    return f"| `{metric.name}` | {kind} | {metric.unit} | {labels} | {metric.bound} | {metric.help} |\n"


FILES: Final = {"METRICS.md": markdown}


def main(argv: Sequence[str] | None = None) -> int:
    return write_or_check(FILES, "energyd.export.document", argv)


if __name__ == "__main__":
    sys.exit(main())
