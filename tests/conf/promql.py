"""A typed check of PromQL expressions against the catalogue of metrics: what a syntax check lets through and answers nothing.

An expression is read by recursive descent, and each part has a type: the labels that its series carry, and whether its values are
those of a counter or of a gauge. Refused are: a metric or a label that does not exist; rate() and its kin on what is not a counter;
delta() and averages over time on a counter; a binary operation between series that cannot match. Grammar: Prometheus 2.42,
documentation "Querying basics", "Operators", "Functions".
"""

from typing import NamedTuple

from energyd.dashboards.promql import COMPARISONS, SETS, Unreadable, tokens

TARGET_LABELS = frozenset(("job", "instance"))
COUNTER, GAUGE, SUM_OF_COUNTERS = "counter", "gauge", "sum of counters"
SCRAPED = {"up", "scrape_duration_seconds", "scrape_samples_scraped"}
"""Series that whoever scrapes adds."""

AGGREGATIONS = {"sum", "min", "max", "avg", "group", "stddev", "stdvar", "count"}
WITH_PARAMETER = {"topk", "bottomk", "quantile", "count_values"}
OF_COUNTERS = {"rate", "irate", "increase", "resets"}
OF_GAUGES = {"delta", "idelta", "deriv", "predict_linear", "holt_winters"} | {
    f"{name}_over_time" for name in ("avg", "min", "max", "sum", "quantile", "stddev", "stdvar")
}
OVER_RANGES = OF_COUNTERS | OF_GAUGES | {"changes"}
OVER_RANGES |= {f"{name}_over_time" for name in ("count", "last", "present", "absent")}
WHERE_RANGE_IS_SECOND = {"quantile_over_time"}
KEEPING = {
    "abs",
    "ceil",
    "floor",
    "round",
    "clamp",
    "clamp_min",
    "clamp_max",
    "sort",
    "sort_desc",
    "exp",
    "ln",
    "log2",
    "log10",
    "sqrt",
}
LEVELS = (("or",), ("and", "unless"), COMPARISONS, ("+", "-"), ("*", "/", "%", "atan2"), ("^",))


class Fault(ValueError):
    """Why an expression is wrong."""


class Vector(NamedTuple):
    """Series by what is known of them; a range has one more dimension."""

    labels: frozenset[str]
    values: str
    is_range: bool = False


SCALAR = None
"""A number, or a string; what has no labels to match."""


class Series(NamedTuple):
    """What may be selected under one name."""

    labels: frozenset[str]
    values: str


def series_of(metrics):
    """{name of series: Series} of metrics as the catalogue has them, histograms and summaries taken apart."""
    found = {name: Series(TARGET_LABELS, GAUGE) for name in SCRAPED}
    for metric in metrics:
        labels = TARGET_LABELS | set(metric.labels)
        kind = metric.type.removeprefix("inherited ")
        if kind in ("histogram", "summary"):
            found |= {f"{metric.name}_{suffix}": Series(labels, COUNTER) for suffix in ("sum", "count")}
            if kind == "histogram":
                found[f"{metric.name}_bucket"] = Series(labels | {"le"}, COUNTER)
            else:
                found[metric.name] = Series(labels, GAUGE)
        else:
            found[metric.name] = Series(labels, COUNTER if kind == "counter" else GAUGE)
    return found


class Checker:
    """One expression. `type` is the Vector (or SCALAR) that it gives; `names` the series that it selects."""

    def __init__(self, expression, series):
        self._series = series
        try:
            self._tokens = tokens(expression)
        except Unreadable as fault:
            raise Fault(str(fault)) from None
        self.names = set()
        self._next = 0
        self.type = self._binary(0)
        if self._next < len(self._tokens):
            raise Fault(f"not expected: {self._tokens[self._next][1]!r}")

    def _peek(self):
        return self._tokens[self._next][1] if self._next < len(self._tokens) else ""

    def _take(self, *wanted):
        if self._next >= len(self._tokens) or (wanted and self._peek() not in wanted):
            raise Fault(f"{' or '.join(wanted) or 'more'} expected at {self._peek() or 'the end'!r}")
        self._next += 1
        return self._tokens[self._next - 1][1]

    def _accept(self, *wanted):
        return self._take() if self._peek() in wanted else ""

    def _binary(self, level):
        if level == len(LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while operator := self._accept(*LEVELS[level]):
            with_bool = self._accept("bool")
            matching = self._matching()
            left = combined(operator, left, self._binary(level + 1), *matching, with_bool)
        return left

    def _matching(self):
        """(on or ignoring, its labels, group_left or group_right, its labels)."""
        how = self._accept("on", "ignoring")
        labels = self._labels() if how else frozenset()
        group = self._accept("group_left", "group_right")
        return how, labels, group, self._labels() if group and self._peek() == "(" else frozenset()

    def _labels(self):
        self._take("(")
        found = set()
        while not self._accept(")"):
            found.add(self._take())
            self._accept(",")
        return frozenset(found)

    def _unary(self):
        if self._accept("-", "+"):
            return self._unary()
        return self._postfix(self._primary())

    def _primary(self):
        if self._next >= len(self._tokens):
            raise Fault("it ends too early")
        kind, token = self._tokens[self._next]
        if kind in ("number", "text"):
            self._take()
            return SCALAR
        if self._accept("("):
            inner = self._binary(0)
            self._take(")")
            return inner
        if kind != "name":
            raise Fault(f"not expected: {token!r}")
        self._take()
        if token in AGGREGATIONS | WITH_PARAMETER:
            return self._aggregation(token)
        return self._function(token) if self._peek() == "(" else self._selector(token)

    def _selector(self, name):
        if name not in self._series:
            raise Fault(f"no metric {name}")
        self.names.add(name)
        known = self._series[name]
        if self._accept("{"):
            while not self._accept("}"):
                label = self._take()
                if label not in known.labels:
                    raise Fault(f"{name} has no label {label}; it has {', '.join(sorted(known.labels))}")
                self._take("=", "!=", "=~", "!~")
                if self._tokens[self._next][0] != "text":
                    raise Fault(f"a string expected after {label}")
                self._take()
                self._accept(",")
        return Vector(known.labels, known.values)

    def _postfix(self, vector):
        while sign := self._accept("[", "offset", "@"):
            if sign == "[":
                self._take()
                if self._accept(":") and self._peek() != "]":
                    self._take()
                self._take("]")
                if vector is SCALAR or vector.is_range:
                    raise Fault("a range of what is no instant vector")
                vector = vector._replace(is_range=True)
            elif sign == "offset":
                self._accept("-")
                self._take()
            elif self._accept("start", "end"):
                self._take("(")
                self._take(")")
            else:
                self._take()
        return vector

    def _arguments(self):
        self._take("(")
        found = []
        while not self._accept(")"):
            found.append(self._binary(0))
            self._accept(",")
        return found

    def _aggregation(self, name):
        how = self._accept("by", "without")
        labels = self._labels() if how else frozenset()
        arguments = self._arguments()
        if not how:
            how = self._accept("by", "without")
            labels = self._labels() if how else frozenset()
        vector = arguments[-1]
        if vector is SCALAR or vector.is_range:
            raise Fault(f"{name}() of what is no instant vector")
        if unknown := labels - vector.labels:
            raise Fault(f"{name} {how} ({', '.join(sorted(unknown))}): its series have {', '.join(sorted(vector.labels))}")
        if name in ("topk", "bottomk"):
            return vector
        values = SUM_OF_COUNTERS if vector.values != GAUGE and name in ("sum", "min", "max", "avg") else GAUGE
        return Vector(vector.labels - labels if how == "without" else labels, values)

    def _function(self, name):
        arguments = self._arguments()
        if name in ("hour", "minute", "day_of_week", "month") and not arguments:
            return Vector(frozenset(), GAUGE)
        if name in ("time", "pi", "vector", "scalar"):
            return Vector(frozenset(), GAUGE) if name == "vector" else SCALAR
        vector = arguments[1 if name in WHERE_RANGE_IS_SECOND or name == "histogram_quantile" else 0]
        if vector is SCALAR:
            raise Fault(f"{name}() of a number")
        if vector.is_range != (name in OVER_RANGES):
            raise Fault(f"{name}() needs {'a range' if name in OVER_RANGES else 'an instant vector'}")
        if name in OF_COUNTERS and vector.values != COUNTER:
            raise Fault(f"{name}() of a {vector.values}; it takes every fall for the restart of a counter")
        if name in OF_GAUGES and vector.values != GAUGE:
            raise Fault(f"{name}() of a {vector.values}")
        if name == "histogram_quantile":
            if "le" not in vector.labels:
                raise Fault("histogram_quantile() of series without le")
            return Vector(vector.labels - {"le"}, GAUGE)
        if name in ("absent", "absent_over_time"):
            return Vector(frozenset(), GAUGE)
        if name not in OVER_RANGES | KEEPING | {"timestamp", "day_of_month"}:
            raise Fault(f"no function {name} known here")
        kept = vector.values if name in KEEPING or name == "last_over_time" else GAUGE
        return Vector(vector.labels, kept)


def combined(operator, left, right, how, labels, group, included, with_bool):
    """The type of a binary operation, once it is sure that its sides can match."""
    if left is SCALAR and right is SCALAR:
        return SCALAR
    if left is SCALAR or right is SCALAR:
        if operator in SETS:
            raise Fault(f"{operator} with a number")
        vector = right if left is SCALAR else left
        return vector if operator in COMPARISONS and not with_bool else vector._replace(values=GAUGE)
    if left.is_range or right.is_range:
        raise Fault(f"{operator} of a range")
    sides = (left.labels & labels, right.labels & labels) if how == "on" else (left.labels - labels, right.labels - labels)
    if how == "on" and (missing := labels - (left.labels & right.labels)):
        raise Fault(f"{operator} on ({', '.join(sorted(missing))}): not a label of both sides")
    if sides[0] != sides[1]:
        different = ", ".join(sorted(sides[0] ^ sides[1]))
        raise Fault(f"{operator}: the sides never match, only one of them has {different}")
    if operator in SETS:
        return left if operator != "or" else Vector(left.labels & right.labels, left.values)
    if group:
        many, one = (left, right) if group == "group_left" else (right, left)
        if missing := included - one.labels:
            raise Fault(f"{group} ({', '.join(sorted(missing))}): not a label of the one side")
        return Vector(many.labels | included, GAUGE)
    if how == "on" and (left.labels - labels - TARGET_LABELS) and (right.labels - labels - TARGET_LABELS):
        raise Fault(f"{operator} on ({', '.join(sorted(labels))}): neither side is single by these; aggregate one, and group_left")
    if operator in COMPARISONS and not with_bool:
        return left
    return Vector(sides[0], GAUGE)


def check(expression, series):
    """The type of the expression and the names that it selects. Raises Fault."""
    checker = Checker(expression, series)
    return checker.type, checker.names
