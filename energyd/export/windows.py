"""The power of a sliding window as metrics: what was not exceeded, the mean, the highest."""

from collections.abc import Iterator

from energyd.aggregate.snapshot import Window
from energyd.export.metric import LabelValues, Metric, Row


def rows(window: Window, quantile: Metric, mean: Metric, highest: Metric, first: LabelValues, source: str) -> Iterator[Row]:
    """`first` are the label values before those of the window."""
    for part, power in window.quantiles_w:
        yield quantile, (*first, window.name, str(part), source), float(power)
    yield mean, (*first, window.name, source), float(window.mean_w)
    yield highest, (*first, window.name, source), float(window.max_w)
