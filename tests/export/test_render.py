"""Rendering is exact, escapes everything, repeats nothing and re-renders only what has changed."""

import math
import random
import re
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from energyd.aggregate.snapshot import Snapshot
from energyd.export import render
from energyd.export.collect import collect
from energyd.export.metric import FLOAT, UJ, Family, Labels, Metric
from energyd.export.render import Renderer, escape, fill, value_field

JOULES = Metric("energyd_x_joules_total", "counter", "joules", "X.", ("a",), "1", UJ)
ERROR = Metric("energyd_x_error_joules", "gauge", "joules", "X.", (), "1", UJ)
WATTS = Metric("energyd_x_watts", "gauge", "watts", "X.", (), "1", FLOAT)


def value_lines(metric: Metric, values: list[float]) -> list[bytes]:
    """Each value as it stands at the end of a line."""
    return fill(metric, [value_field(metric)] * len(values), values)


Series = tuple[str, tuple[tuple[str, str], ...]]


def series_of(lines: bytes) -> list[str]:
    """The part of each sample line that names the series."""
    return [line.rpartition(" ")[0] for line in lines.decode().split("\n") if line and not line.startswith("#")]


def expected(families: list[Family]) -> dict[Series, float]:
    values: dict[Series, float] = {}
    for metric, labels, column in families:
        for texts, value in zip(labels, column, strict=True):
            cleaned = [text.replace("\ud800", "\ufffd") for text in texts]
            exact = value if metric.decimals == FLOAT else int(value) / 10**metric.decimals
            values[metric.name, tuple(sorted(zip(metric.labels, cleaned, strict=True)))] = exact
    return values


@pytest.mark.parametrize("form", ["text", "openmetrics"])
def test_the_reference_parsers_read_back_every_series_with_its_exact_value(snapshot: Snapshot, form: str) -> None:
    families = collect(snapshot, "1.2.3")
    rendered = Renderer().render(families)
    if form == "text":
        parsed = parse_text(rendered.text().decode())
    else:
        parsed = parse_openmetrics(rendered.openmetrics().decode() + "# EOF\n")
    read = {(s.name, tuple(sorted(s.labels.items()))): s.value for family in parsed for s in family.samples}
    assert read == expected(families)


def test_no_series_is_rendered_twice_and_every_line_is_one_series(snapshot: Snapshot) -> None:
    families = collect(snapshot, "1.2.3")
    series = series_of(Renderer().render(families).text())
    assert len(series) == len(set(series)) == sum(len(family.values) for family in families)


def test_a_family_with_a_series_twice_or_given_twice_is_our_own_defect() -> None:
    with pytest.raises(AssertionError, match="BUG: duplicate series"):
        Renderer().render([Family(JOULES, [("x",), ("x",)], [1, 2])])
    with pytest.raises(AssertionError, match="BUG: family"):
        Renderer().render([Family(JOULES, [("x",)], [1]), Family(JOULES, [("y",)], [1])])
    with pytest.raises(AssertionError, match="BUG"):
        Renderer().render([Family(JOULES, [("x",)], [1, 2])])


@given(st.integers(min_value=0, max_value=1 << 63))
def test_microjoules_are_written_as_exact_decimal_joules(energy_uj: int) -> None:
    text = value_lines(JOULES, [energy_uj])[0].decode()
    assert re.fullmatch(r"[0-9]+\.[0-9]{6}\n", text)
    assert Fraction(text.strip()) == Fraction(energy_uj, 10**6)
    assert float(text) == energy_uj / 10**6


@given(st.lists(st.integers(min_value=-(1 << 63), max_value=1 << 63), min_size=1, max_size=4))
def test_negative_integers_keep_their_sign_and_value(values: list[int]) -> None:
    assert [Fraction(text.decode().strip()) for text in value_lines(ERROR, values)] == [Fraction(v, 10**6) for v in values]


@given(st.floats())
def test_floats_are_read_back_as_the_same_float(value: float) -> None:
    read = float(value_lines(WATTS, [value])[0])
    assert read == value or (math.isnan(read) and math.isnan(value))


def test_infinities_and_nan_are_spelt_as_the_formats_spell_them() -> None:
    assert value_lines(WATTS, [math.inf, -math.inf, math.nan]) == [b"+Inf\n", b"-Inf\n", b"NaN\n"]


def test_numpy_scalars_are_written_as_plain_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    assert value_lines(WATTS, [numpy.float64(1.5)]) == [b"1.5\n"]
    assert value_lines(JOULES, [numpy.int64(1_500_000)]) == [b"1.500000\n"]


@given(st.text(st.characters()), st.text(st.characters()))
def test_any_label_value_survives_both_formats(first: str, second: str) -> None:
    clean = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in (first, second)]
    metric = JOULES._replace(labels=("a", "b"))
    rendered = Renderer().render([Family(metric, [(first, second)], [1])])
    for parsed in (parse_text(rendered.text().decode()), parse_openmetrics(rendered.openmetrics().decode() + "# EOF\n")):
        assert [list(sample.labels.values()) for family in parsed for sample in family.samples] == [clean]


def test_a_label_value_never_contains_a_raw_newline_or_an_unescaped_quote() -> None:
    assert escape('a"b\\c\nd\ud800') == 'a\\"b\\\\c\\nd\ufffd'


@pytest.mark.parametrize("metric", [JOULES, JOULES._replace(decimals=FLOAT)])
def test_only_changed_values_differ_and_the_result_equals_a_fresh_rendering(metric: Metric) -> None:
    """Any sequence of changes leaves the incremental renderer with the same bytes as one that starts anew."""
    random_source = random.Random(7)
    renderer = Renderer()
    labels = [(str(i),) for i in range(50)]
    values = [0] * 50
    for _ in range(300):
        action = random_source.randrange(7)
        if action == 0:
            labels = [(str(i),) for i in random_source.sample(range(100), random_source.randrange(51))]
            values = [random_source.randrange(1 << 40) for _ in labels]
        elif action == 1 and labels:  # one ends, one is born, and all in between move up
            gone, born = random_source.randrange(len(labels)), (f"born {random_source.random()}",)
            labels, values = [*labels[:gone], *labels[gone + 1 :], born], [*values[:gone], *values[gone + 1 :], 0]
        elif action == 5 and labels:  # nothing but an end
            gone = random_source.randrange(len(labels))
            labels, values = [*labels[:gone], *labels[gone + 1 :]], [*values[:gone], *values[gone + 1 :]]
        elif action == 6:  # nothing but another order
            order = random_source.sample(range(len(labels)), len(labels))
            labels, values = [labels[i] for i in order], [values[i] for i in order]
        elif action < 4:
            values = [value + random_source.choice((0, 0, 1, 10**9)) for value in values]
        family = Family(metric, list(labels), list(map(float, values)) if metric.decimals == FLOAT else list(values))
        again, anew = renderer.render([family]), Renderer().render([family])
        assert again == anew


def test_families_of_the_same_rows_find_their_places_once_whatever_each_makes_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Asked(int):
        def __hash__(self) -> int:
            asked.append(self)
            return int(self)

    renderer = Renderer()
    watts = WATTS._replace(labels=("a",))
    for numbers in ([*range(20)], [*range(5), *range(7, 20), 30], [*range(30, 9, -1)]):
        rows = [Asked(number) for number in numbers]
        late = [*rows, Asked(99)]
        families = [
            Family(JOULES, Labels(rows, lambda row: (f"joules {int(row)}",)), [int(row) for row in rows]),
            Family(watts, Labels(rows, lambda row: (f"watts {int(row)}",)), [float(row) for row in rows]),
            Family(
                watts._replace(name="energyd_late_watts"),
                Labels(late, lambda row: (f"late {int(row)}",)),
                [float(row) for row in late],
            ),
        ]
        asked.clear()
        again = renderer.render(families)
        assert asked.count(10) <= 4, "once in the rows before and once in those now, for each list of rows"
        assert again == Renderer().render(families)


def test_a_zero_that_changes_its_sign_is_written_anew() -> None:
    renderer = Renderer()
    for value in (0.0, -0.0, 0.0, math.nan, math.nan, -0.0):
        family = Family(WATTS, [()], [value])
        assert renderer.render([family]).sections == Renderer().render([family]).sections


def test_counters_that_a_driver_has_taken_below_zero_keep_nothing_from_being_rendered() -> None:
    """Linux shows them as unsigned numbers of 64 bits."""
    renderer, labels = Renderer(), [("eth0",), ("eth1",)]
    for values in ([1, 2], [1, 2**64 - 2], [1, 2**64 - 1], [3, 4]):
        family = Family(JOULES._replace(decimals=0), labels, values)
        assert renderer.render([family]) == Renderer().render([family])
        assert renderer.render([family]).text().decode().split()[-1] == str(values[-1])


def test_a_series_that_comes_or_goes_leaves_the_lines_of_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def counted_fill(metric: Metric, forms: Sequence[bytes], values: Sequence[float]) -> list[bytes]:
        written.extend(int(value) for value in values)
        return fill(metric, forms, values)

    monkeypatch.setattr(render, "fill", counted_fill)
    renderer = Renderer()
    labels, values = [(str(i),) for i in range(100)], list(range(100))
    renderer.render([Family(JOULES, labels, values)])
    written.clear()
    renderer.render([Family(JOULES, [*labels[:30], *labels[31:], ("born",)], [*values[:30], *values[31:], 100])])
    assert written == [100]


def test_a_family_that_could_not_be_rendered_once_is_rendered_anew() -> None:
    failed: list[str] = []
    renderer = Renderer((), lambda what, _error: failed.append(what))
    last = Family(JOULES, [("old",), ("born",)], [1, 0])
    renderer.render([Family(JOULES, [("old",)], [1])])
    assert renderer.render([Family(JOULES, [("old",), ("born",)], [1, "none"])]).sections == ()  # type: ignore[list-item]
    assert renderer.render([last]) == Renderer().render([last])
    assert failed == [JOULES.name]


def test_a_family_whose_labels_get_other_names_is_rendered_anew() -> None:
    renderer, labels = Renderer(), [("x",), ("y",)]
    wide = WATTS._replace(labels=("a", "b"))
    for family in (
        Family(WATTS._replace(labels=("a",)), labels, [1.0, 2.0]),
        Family(wide, [("x", "1"), ("y", "")], [1.0, 2.0]),
        Family(WATTS._replace(labels=("b",)), labels, [1.0, 2.0]),
    ):
        assert renderer.render([family]) == Renderer().render([family])


def test_unchanged_families_keep_the_very_same_bytes(snapshot: Snapshot) -> None:
    renderer = Renderer()
    first = renderer.render(collect(snapshot, "1"))
    second = renderer.render(collect(snapshot._replace(real_ns=snapshot.real_ns + 1), "1"))
    differing = [metric.name for (metric, a), (_, b) in zip(first.sections, second.sections, strict=True) if a is not b]
    assert differing == ["energyd_snapshot_timestamp_seconds"]


def test_constant_labels_are_added_but_never_repeat_a_label_of_the_metric() -> None:
    lines = Renderer((("site", 'ho"me'), ("a", "shadowed"))).render([Family(JOULES, [("x",)], [1])]).text()
    assert lines.splitlines()[-1] == b'energyd_x_joules_total{a="x",site="ho\\"me"} 0.000001'


def test_the_series_behind_the_lines_keep_their_list_of_prefixes_while_they_are_the_same(snapshot: Snapshot) -> None:
    renderer = Renderer()
    first = renderer.render(collect(snapshot, "1"))
    second = renderer.render(collect(snapshot._replace(real_ns=snapshot.real_ns + 1), "1"))
    assert all(a.prefixes is b.prefixes for a, b in zip(first.series, second.series, strict=True))
    lines = b"".join([prefix + b"\n" for one in first.series for prefix in one.prefixes])
    assert lines == b"".join([line.rpartition(b" ")[0] + b" \n" for _, text in first.sections for line in text.split(b"\n")[:-1]])


def test_labels_of_many_short_lived_series_are_forgotten() -> None:
    renderer = Renderer()
    for generation in range(300):
        renderer.render([Family(JOULES, [(f"{generation}-{i}",) for i in range(10)], [1] * 10)])
    block = renderer._blocks[JOULES.name]
    assert {len(column) for column in (block._rows, block.prefixes, block._forms, block._lines, block._compared)} == {10}


def test_no_names_of_a_process_can_forge_another_series() -> None:
    forged = 'x"} 1\nenergyd_x_joules_total{a="other'
    assert len(series_of(Renderer().render([Family(JOULES, [(forged,), ("other",)], [1, 2])]).text())) == 2
