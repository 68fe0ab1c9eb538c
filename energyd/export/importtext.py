"""Rows as the text that VictoriaMetrics' /api/v1/import/prometheus takes: a line a sample with its time in milliseconds, gzip.

All samples of a series stand together, so that its text is repeated within the reach of gzip. Law: reading a value gives the float
that was spooled; no line can be broken by a label, because the renderer has escaped it.
"""

import zlib
from collections.abc import Sequence
from itertools import groupby
from typing import Final

import numpy as np

from energyd.export.remotewrite import Encoded
from energyd.spool.rows import Row

_GZIP_LEVEL: Final = 1
_GZIP_WINDOW: Final = 31  # zlib's way to say: a gzip header and trailer, window of 32 KiB
_NOT_FINITE: Final = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}


def encode(rows: Sequence[Row], _previous: Row | None = None) -> Encoded:
    """The body of a request. This protocol has no stale markers: a series that has vanished is not told from one that waits."""
    texts = [_group(list(group)) for _, group in groupby(rows, lambda row: id(row.prefixes))]
    body = zlib.compress("".join(texts).encode(), _GZIP_LEVEL, _GZIP_WINDOW)
    return Encoded(body, sum(len(row.prefixes) for row in rows), 0)


def _group(rows: Sequence[Row]) -> str:
    """The lines of rows that have the same series."""
    values = np.stack([row.values for row in rows], axis=1)
    times = [f" {row.at_ms}\n" for row in rows]
    texts = [list(map(repr, column)) for column in values.tolist()]
    if not np.isfinite(values).all():
        texts = [[_NOT_FINITE.get(text, text) for text in column] for column in texts]
    if len(rows) == 1:
        time = times[0]
        return "".join([f"{prefix}{text}{time}" for prefix, [text] in zip(_decoded(rows[0]), texts, strict=True)])
    return "".join(
        [
            f"{prefix}{text}{time}"
            for prefix, column in zip(_decoded(rows[0]), texts, strict=True)
            for text, time in zip(column, times, strict=True)
        ]
    )


def _decoded(row: Row) -> list[str]:
    return [prefix.decode() for prefix in row.prefixes]
