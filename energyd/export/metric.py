"""What a metric is, and its series in column form."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, NamedTuple, overload

COUNTER: Final = "counter"
GAUGE: Final = "gauge"
INFO: Final = "info"
HISTOGRAM: Final = "histogram"
INHERITED_COUNTER: Final = "inherited counter"
"""A counter under the name that another program gave it. OpenMetrics, where a counter's name ends in `_total`, calls it unknown."""
INHERITED_GAUGE: Final = "inherited gauge"
"""A gauge whose inherited name ends in `_total`, which in OpenMetrics only counters may; it is called unknown there."""
SUMMARY: Final = "summary"

FLOAT: Final = -1
"""`decimals` of a metric whose values are floats; all others are integers in units of 10**-decimals."""

LabelValues = tuple[str, ...]

UJ: Final = 6
NS: Final = 9


class Metric(NamedTuple):
    """`name` as a sample bears it, `unit` its suffix ('' = none), `bound` how many series there can be.

    Values are integers that count 10**-decimals of the unit (joules arrive as microjoules: 6, seconds as nanoseconds: 9) and
    are written exactly, or floats where `decimals` is FLOAT.
    """

    name: str
    type: str
    unit: str
    help: str
    labels: tuple[str, ...]
    bound: str
    decimals: int = 0

    @property
    def family(self) -> str:
        """The name in OpenMetrics metadata: without the suffix that belongs to the type."""
        suffix = {COUNTER: "_total", INFO: "_info"}.get(self.type, "")
        return self.name.removesuffix(suffix)


class Labels(Sequence[LabelValues]):
    """The labels that `make` makes of each of `rows`, when they are asked for.

    Families of the very same rows are followed together (`energyd.export.render`). No row is there twice, and what `make` makes of
    a row never changes.
    """

    def __init__(self, rows: Sequence[Hashable], make: Callable[[Any], LabelValues]) -> None:
        self.rows = rows
        self._make = make

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int, /) -> LabelValues: ...

    @overload
    def __getitem__(self, place: slice, /) -> list[LabelValues]: ...

    def __getitem__(self, place: int | slice, /) -> LabelValues | list[LabelValues]:
        return list(map(self._make, self.rows[place])) if isinstance(place, slice) else self._make(self.rows[place])


class Family(NamedTuple):
    """The series of one metric in column form: `labels[i]` are the label values of `values[i]`, in the metric's order.

    Neither list may be changed once it has been rendered.
    """

    metric: Metric
    labels: Sequence[LabelValues]
    values: Sequence[float]  # integers unless metric.decimals is FLOAT


Row = tuple[Metric, LabelValues, float]
"""One series and its value."""


def counter(name: str, unit: str, text: str, labels: tuple[str, ...], bound: str, decimals: int = 0) -> Metric:
    return Metric(name, COUNTER, unit, text, labels, bound, decimals)


def gauge(name: str, unit: str, text: str, labels: tuple[str, ...], bound: str, decimals: int = 0) -> Metric:
    return Metric(name, GAUGE, unit, text, labels, bound, decimals)
