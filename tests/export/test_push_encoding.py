"""What rows become on the wire: read back by readers that share nothing with the writers."""

import math
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protobufreader import metadata_2_0, request_1_0, request_2_0, unsnappy
from pushworld import row, rows_of

from energyd.export import importtext
from energyd.export.catalogue import CATALOGUE
from energyd.export.metric import HISTOGRAM, INHERITED_COUNTER, INHERITED_GAUGE, Family, Metric, counter, gauge
from energyd.export.remotewrite import STALE, RemoteWrite, labels_of, snappy_literal, varint
from energyd.export.render import Renderer
from energyd.spool.rows import Row

NOW_MS = 1_795_162_354_123
NASTY = st.text(st.characters(blacklist_categories=("Cs",)), max_size=8) | st.sampled_from(
    ['"', "\\", "\n", '\\"', "\\n", '{a="b"} 1', "}", ",", "é🔌"]
)


def bits(value):
    return struct.unpack("<Q", struct.pack("<d", value))[0]


@pytest.fixture(params=["1.0", "2.0"])
def encode(request):
    """encode(rows, previous=None, labels=()) -> (labels, samples) of each series, as a receiver reads them."""

    def encoded(rows, previous=None, labels=()):
        writer = RemoteWrite(labels)
        if request.param == "1.0":
            return request_1_0(writer.encode(rows, previous).body)
        return request_2_0(writer.encode_2_0(rows, previous).body)

    return encoded


def test_every_sample_arrives_with_its_bits_and_time(encode):
    rows = rows_of(5, series=4)
    assert encode(rows) == [
        ((("__name__", "m"), ("i", str(i))), [(one.at_ms, bits(one.values[i])) for one in rows]) for i in range(4)
    ]


def test_2_0_tells_type_help_and_unit_of_what_was_described():
    writer = RemoteWrite()
    writer.describe([counter("a_joules_total", "joules", "Energy.", ("i",), "1"), gauge("b", "", "A state.", (), "1")])
    row_of_four = Row(0, NOW_MS, [b'a_joules_total{i="1"} ', b'a_joules_total{i="2"} ', b"b ", b"unknown "], np.zeros(4))
    body = writer.encode_2_0([row_of_four], None).body
    assert metadata_2_0(body) == [(1, "Energy.", "joules"), (1, "Energy.", "joules"), (2, "A state.", ""), None]
    assert [dict(labels)["__name__"] for labels, _ in request_2_0(body)] == ["a_joules_total", "a_joules_total", "b", "unknown"]


@pytest.mark.parametrize(("kind", "number"), [(INHERITED_COUNTER, 1), (INHERITED_GAUGE, 2)])
def test_a_renamed_metric_has_the_type_that_it_is(kind, number):
    writer = RemoteWrite()
    writer.describe([Metric("renamed", kind, "", "Text.", (), "1")])
    body = writer.encode_2_0([Row(0, NOW_MS, [b"renamed "], np.zeros(1))], None).body
    assert metadata_2_0(body) == [(number, "Text.", "")]


def test_every_type_of_our_metrics_is_one_of_2_0():
    """Of a histogram only what its parts are: their names are not its own."""
    writer = RemoteWrite()
    writer.describe(CATALOGUE)
    of_one_name = [metric for metric in CATALOGUE if metric.type != HISTOGRAM]
    names = [f"{metric.name} ".encode() for metric in of_one_name]
    told = metadata_2_0(writer.encode_2_0([Row(0, NOW_MS, names, np.zeros(len(names)))], None).body)
    assert [one[1:] for one in told] == [(metric.help, metric.unit) for metric in of_one_name]
    assert all(one[0] for one in told)


def test_labels_are_sorted_and_those_of_the_target_win_and_empty_ones_are_left_out(encode):
    prefix = b'zz{b="2",a="1",empty="",site="here"} '
    [(labels, _)] = encode([Row(0, NOW_MS, [prefix], np.zeros(1))], labels=(("site", "there"), ("A", "0")))
    assert labels == (("A", "0"), ("__name__", "zz"), ("a", "1"), ("b", "2"), ("site", "there"))


def test_a_series_with_an_empty_label_is_the_one_without_it(encode):
    """A stale marker at the time of its sample, or the series twice, would cost a sample that the receiver acknowledges."""
    spellings = ([b'm{a="1"} ', b"n "], [b'm{e="",a="1",f=""} ', b'n{e=""} '], [b'm{a="1",f=""} ', b"n "])
    before, *rows = [Row(i, NOW_MS + i, prefixes, np.array([i, 10 + i], float)) for i, prefixes in enumerate(spellings)]
    assert encode(rows, before) == [
        ((("__name__", "m"), ("a", "1")), [(NOW_MS + 1, bits(1)), (NOW_MS + 2, bits(2))]),
        ((("__name__", "n"),), [(NOW_MS + 1, bits(11)), (NOW_MS + 2, bits(12))]),
    ]


def test_a_series_that_vanishes_gets_a_stale_marker_at_the_time_of_the_next_row(encode):
    rows = [row(0, NOW_MS, a=1, b=2), row(2, NOW_MS + 1, a=3), row(3, NOW_MS + 2, b=4)]
    series = {dict(labels)["__name__"]: samples for labels, samples in encode(rows)}
    assert series == {
        "a": [(NOW_MS, bits(1)), (NOW_MS + 1, bits(3)), (NOW_MS + 2, STALE)],
        "b": [(NOW_MS, bits(2)), (NOW_MS + 1, STALE), (NOW_MS + 2, bits(4))],
    }


def test_a_series_that_came_and_went_within_a_batch_ends_once(encode):
    rows = [row(0, NOW_MS, a=1), row(1, NOW_MS + 1, a=2, b=3), row(3, NOW_MS + 2, a=4), row(4, NOW_MS + 3, a=5)]
    series = {dict(labels)["__name__"]: samples for labels, samples in encode(rows)}
    assert series["b"] == [(NOW_MS + 1, bits(3)), (NOW_MS + 2, STALE)]


def test_a_series_that_vanished_between_two_batches_gets_its_marker_too(encode):
    previous = row(0, NOW_MS, a=1, gone=2)
    series = {dict(labels)["__name__"]: samples for labels, samples in encode([row(2, NOW_MS + 1, a=3)], previous)}
    assert series == {"a": [(NOW_MS + 1, bits(3))], "gone": [(NOW_MS + 1, STALE)]}
    encoded = RemoteWrite().encode([row(2, NOW_MS + 1, a=3)], previous)
    assert (encoded.samples, encoded.markers) == (1, 1)


def test_values_that_are_no_numbers_keep_their_bits(encode):
    values = np.array([math.inf, -math.inf, math.nan, -0.0, 5e-324])
    [(_, samples)] = encode([Row(i, NOW_MS + i, PREFIX, values[i : i + 1]) for i in range(5)])
    assert [got for _, got in samples] == [bits(value) for value in values]


PREFIX = [b"m "]


@given(st.dictionaries(st.sampled_from(["a", "b_2", "C"]), NASTY, max_size=3))
def test_labels_are_read_back_from_what_the_renderer_wrote(labels):
    metric = gauge("some_name", "", "Help.", tuple(labels), "1")
    rendered = Renderer().render([Family(metric, [tuple(labels.values())], [1])])
    assert labels_of(rendered.series[0].prefixes[0]) == (("__name__", "some_name"), *labels.items())


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.floats(allow_nan=False), min_size=1), min_size=1, max_size=6))
def test_rows_of_any_series_arrive_whole_in_both_protocols(samples):
    rows, first = [], 0
    for tick, entry in enumerate(samples):
        rows.append(row(first, NOW_MS + tick, **entry))
        first = rows[-1].end
    wanted = {(name, NOW_MS + tick, bits(value)) for tick, entry in enumerate(samples) for name, value in entry.items()}
    pushed = request_1_0(RemoteWrite().encode(rows, None).body)
    got = [(dict(labels)["__name__"], at_ms, value) for labels, values in pushed for at_ms, value in values if value != STALE]
    assert sorted(got) == sorted(wanted)
    assert all(times == sorted(times) for times in ([at_ms for at_ms, _ in values] for _, values in pushed))
    text = zlib.decompress(importtext.encode(rows).body, 31).decode()
    read = {(name, int(at_ms), bits(float(value))) for name, value, at_ms in (line.split(" ") for line in text.splitlines())}
    assert read == wanted


def test_lines_of_a_series_stand_together_and_no_label_can_break_one():
    rows = [Row(2 * i, NOW_MS + i, PAIR, np.array([i + 0.5, math.nan])) for i in range(2)]
    encoded = importtext.encode(rows)
    assert zlib.decompress(encoded.body, 31).decode().split("\n") == [
        f'a{{x="q\\"\\n"}} 0.5 {NOW_MS}',
        f'a{{x="q\\"\\n"}} 1.5 {NOW_MS + 1}',
        f"b NaN {NOW_MS}",
        f"b NaN {NOW_MS + 1}",
        "",
    ]
    assert (encoded.samples, encoded.markers) == (4, 0)


PAIR = [b'a{x="q\\"\\n"} ', b"b "]


def test_infinities_are_written_as_the_format_wants_them():
    encoded = importtext.encode([Row(0, NOW_MS, PAIR, np.array([math.inf, -math.inf]))])
    assert b" +Inf " in zlib.decompress(encoded.body, 31)
    assert b" -Inf " in zlib.decompress(encoded.body, 31)


@pytest.mark.parametrize("size", [0, 1, 59, 60, 61, 255, 256, 65535, 65536, 70000])
def test_a_literal_is_snappy(size):
    content = bytes(i * 7 % 256 for i in range(size))
    assert unsnappy(snappy_literal(content)) == content


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02"), (NOW_MS, "cbe38ec09f34")]
)
def test_varints_are_those_of_protobuf(value, encoded):
    assert varint(value).hex() == encoded
    assert len(varint(NOW_MS)) == 6, "which the samples of a batch count on"


@pytest.mark.parametrize("version", ["encode", "encode_2_0"])
def test_labels_of_many_short_lived_series_are_forgotten(version):
    writer, previous = RemoteWrite(), None
    for generation in range(300):
        one = Row(0, NOW_MS, [b'm{g="%d",i="%d"} ' % (generation, i) for i in range(10)], np.zeros(10))
        getattr(writer, version)([one], previous)  # whose stale markers are of ten more series
        assert len(writer._encoded) + len(writer._texts) <= 1060
        previous = one
