"""Rows as Prometheus remote-write requests: protobuf and the block format of snappy, written by hand.

1.0: prometheus.io/docs/specs/prw/remote_write_spec (WriteRequest{timeseries=1}, TimeSeries{labels=1, samples=2}, Label{name=1,
value=2}, Sample{value=1, timestamp=2}). 2.0: .../remote_write_spec_2_0 (Request{symbols=4, timeseries=5}, TimeSeries{labels_refs=1,
samples=2, metadata=5}, Metadata{type=1, help_ref=3, unit_ref=4}). Six message shapes need no library: a sample of this century is
always 18 bytes, because a double has 8 and today's milliseconds are a varint of 6, so the samples of a batch are one array.
Snappy's compression is left out: a literal is valid snappy (github.com/google/snappy, format_description.txt) and costs nothing,
while samples would hardly shrink.

Law: labels are sorted, unique and not empty; a series that is in one row and not in the next gets a stale marker at the time of the
next; a batch names each series once, its samples in the order of time. An empty label is none, so a series is the same with it and
without: a marker beside its sample, or the series twice, would cost the sample without a word of the receiver.
"""

import re
import struct
import sys
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from energyd.export.metric import COUNTER, GAUGE, INFO, INHERITED_COUNTER, INHERITED_GAUGE, SUMMARY, Metric
from energyd.spool.rows import Row

STALE: Final = 0x7FF0000000000002
"""The bits of the NaN that ends a series (Prometheus, model/value)."""

_PAIR: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = re.compile(r"\\(.)")
_UNESCAPED: Final = {"n": "\n"}
_SAMPLE: Final = struct.Struct("<3sQB6s")
_SAMPLE_HEAD: Final = b"\x12\x10\x09"  # TimeSeries.samples, 16 bytes: Sample.value
_SAMPLE_TIME: Final = 0x10  # Sample.timestamp
_SAMPLES: Final = np.dtype([("head", "S3"), ("value", "<u8"), ("tag", "u1"), ("time", "V6")])
_TYPES: Final = {COUNTER: 1, INHERITED_COUNTER: 1, GAUGE: 2, INHERITED_GAUGE: 2, SUMMARY: 5, INFO: 6}  # Metadata.MetricType
_CACHE_SLACK: Final = 1000

Labels = tuple[tuple[str, str], ...]


class Encoded(NamedTuple):
    """A request body, how many samples are in it, and how many stale markers besides."""

    body: bytes
    samples: int
    markers: int


class RemoteWrite:
    """Encodes batches for one receiver; remembers the labels of each series. `labels` are added to all, and win."""

    def __init__(self, labels: Labels = ()) -> None:
        self._added = labels
        self._texts: dict[bytes, tuple[str, tuple[str, ...]]] = {}  # the name, and the names and values of all labels
        self._encoded: dict[bytes, bytes] = {}
        self._metrics: dict[str, Metric] = {}

    def describe(self, metrics: Iterable[Metric]) -> None:
        """From now on 2.0 tells type, help and unit of their series."""
        self._metrics.update((metric.name, metric) for metric in metrics)

    def encode(self, rows: Sequence[Row], previous: Row | None) -> Encoded:
        """A request of version 1.0, compressed. `previous` is the row before the first, as far as it is known."""
        series, markers = samples_of(rows, previous)
        self._forget(len(series))
        parts: list[bytes] = []
        for prefix, samples in series:
            labels = self._encoded.get(prefix)
            if labels is None:
                labels = self._encoded[prefix] = b"".join([_label(name, value) for name, value in self._labels(prefix)])
            parts += (b"\x0a", varint(len(labels) + len(samples)), labels, samples)
        return Encoded(snappy_literal(b"".join(parts)), sum(len(row.prefixes) for row in rows), markers)

    def encode_2_0(self, rows: Sequence[Row], previous: Row | None) -> Encoded:
        """The same as a request of version 2.0."""
        series, markers = samples_of(rows, previous)
        self._forget(len(series))
        symbols = {"": 0}
        metadata: dict[str, bytes] = {}
        parts: list[bytes] = []
        for prefix, samples in series:
            name, texts = self._texts.get(prefix) or self._split(prefix)
            refs = b"".join([varint(symbols.setdefault(text, len(symbols))) for text in texts])
            if name not in metadata:
                metadata[name] = self._metadata(name, symbols)
            body = b"\x0a" + varint(len(refs)) + refs + samples + metadata[name]
            parts += (b"\x2a", varint(len(body)), body)
        table = b"".join([_field(b"\x22", symbol.encode()) for symbol in symbols])
        return Encoded(snappy_literal(table + b"".join(parts)), sum(len(row.prefixes) for row in rows), markers)

    def _metadata(self, name: str, symbols: dict[str, int]) -> bytes:
        """The field `metadata` of a series; nothing for one that nobody has described, as those of an earlier version may be."""
        metric = self._metrics.get(name)
        if metric is None:
            return b""
        help_ref, unit_ref = (varint(symbols.setdefault(text, len(symbols))) for text in (metric.help, metric.unit))
        return _field(b"\x2a", b"\x08" + varint(_TYPES.get(metric.type, 0)) + b"\x18" + help_ref + b"\x20" + unit_ref)

    def _split(self, prefix: bytes) -> tuple[str, tuple[str, ...]]:
        labels = self._labels(prefix)
        split = self._texts[prefix] = dict(labels)["__name__"], tuple(sys.intern(text) for pair in labels for text in pair)
        return split

    def _labels(self, prefix: bytes) -> Labels:
        merged = {name: value for name, value in (*labels_of(prefix), *self._added) if value}
        return tuple(sorted(merged.items()))

    def _forget(self, series: int) -> None:
        for cache in (self._texts, self._encoded):
            if len(cache) > 2 * series + _CACHE_SLACK:
                cache.clear()


def labels_of(prefix: bytes) -> Labels:
    """The labels of `name{label="value"} `, the name as `__name__`."""
    text = prefix.decode()
    name, _, rest = text.partition("{")
    pairs = [(label, _ESCAPED.sub(lambda match: _UNESCAPED.get(match[1], match[1]), value)) for label, value in _PAIR.findall(rest)]
    return (("__name__", name.strip()), *pairs)


def samples_of(rows: Sequence[Row], previous: Row | None) -> tuple[list[tuple[bytes, bytes]], int]:
    """The samples of each series as the protobuf field `samples` of both versions, and how many of them are stale markers."""
    first = rows[0].prefixes
    if all(row.prefixes is first for row in rows) and (previous is None or not _vanished(previous.prefixes, first)):
        return _same_series(first, rows), 0
    series: dict[bytes, list[bytes]] = {}
    markers = 0
    before = [_without_empty(prefix) for prefix in (previous.prefixes if previous else first)]
    for row in rows:
        at, now = _time(row), [_without_empty(prefix) for prefix in row.prefixes]
        for prefix in _vanished(before, now):
            series.setdefault(prefix, []).append(_SAMPLE.pack(_SAMPLE_HEAD, STALE, _SAMPLE_TIME, at))
            markers += 1
        for prefix, bits in zip(now, row.values.view("<u8").tolist(), strict=True):
            series.setdefault(prefix, []).append(_SAMPLE.pack(_SAMPLE_HEAD, bits, _SAMPLE_TIME, at))
        before = now
    return [(prefix, b"".join(samples)) for prefix, samples in series.items()], markers


def _same_series(prefixes: Sequence[bytes], rows: Sequence[Row]) -> list[tuple[bytes, bytes]]:
    """The usual case: every row has the same series, so all samples are one array."""
    samples = np.empty((len(prefixes), len(rows)), _SAMPLES)
    samples["head"], samples["tag"] = _SAMPLE_HEAD, _SAMPLE_TIME
    samples["value"] = np.stack([row.values for row in rows], axis=1).view("<u8")
    samples["time"] = np.array([_time(row) for row in rows], "V6")
    content, size = samples.tobytes(), _SAMPLES.itemsize * len(rows)
    return [(prefix, content[i * size : (i + 1) * size]) for i, prefix in enumerate(prefixes)]


def _time(row: Row) -> bytes:
    at = varint(row.at_ms)
    assert len(at) == 6, f"BUG: a row of {row.at_ms} ms, which is not between 1971 and 2109"
    return at


def _without_empty(prefix: bytes) -> bytes:
    """The series without its empty labels. Nothing else looks like one, because quotes in values are escaped."""
    if b'=""' not in prefix:
        return prefix
    name, _, rest = prefix.decode().partition("{")
    pairs = ",".join(f'{label}="{value}"' for label, value in _PAIR.findall(rest) if value)
    return (f"{name}{{{pairs}}} " if pairs else f"{name} ").encode()


def _vanished(before: Sequence[bytes], now: Sequence[bytes]) -> Iterable[bytes]:
    if before is now:
        return ()
    return set(before).difference(now)


def _label(name: str, value: str) -> bytes:
    return _field(b"\x0a", _field(b"\x0a", name.encode()) + _field(b"\x12", value.encode()))


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + varint(len(content)) + content


def varint(value: int) -> bytes:
    """A non-negative integer in protobuf's base 128, lowest digits first."""
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def snappy_literal(content: bytes) -> bytes:
    """`content` as one literal in snappy's block format."""
    if not content:
        return b"\x00"
    return varint(len(content)) + b"\xfc" + (len(content) - 1).to_bytes(4, "little") + content
