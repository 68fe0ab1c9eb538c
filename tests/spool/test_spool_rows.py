"""Rows come back as they were, to the bit, whatever series come and go; damage to one costs no other."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energyd.spool.format import CHAPTER, ROW, Record, pack, scan
from energyd.spool.rows import CHAPTER_ROWS, DamagedRow, Row, RowDecoder, RowEncoder

NAMES = [b'name{label="%d"} ' % i for i in range(60)]
BITS = st.integers(0, 2**64 - 1)


def value(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


ROWS = st.lists(st.dictionaries(st.sampled_from(NAMES), BITS, min_size=1, max_size=40), min_size=1, max_size=12)


def rows_of(samples):
    rows, first = [], 0
    for tick, entry in enumerate(samples):
        values = np.array(list(entry.values()), np.uint64).view(np.float64)
        rows.append(Row(first, 1_795_162_354_000 + tick, list(entry), values))
        first = rows[-1].end
    return rows


def encoded(rows):
    encoder, content = RowEncoder(), b""
    for row in rows:
        content += encoder.encode(row, len(content))
    return content


def decoded(content):
    decoders, rows = {}, []
    for entry in scan(content):
        if isinstance(entry, Record) and entry.kind == CHAPTER:
            decoders[entry.offset] = RowDecoder(entry)
        elif isinstance(entry, Record):
            rows.append(decoders[entry.chapter].row(entry))
    return rows


def plain(row):
    """A row as a mapping of series to bits: the order of series in a row is of no importance."""
    return row.first, row.at_ms, dict(zip(row.prefixes, row.values.view(np.uint64).tolist(), strict=True))


@settings(max_examples=60)
@given(ROWS)
def test_rows_come_back_to_the_bit(samples):
    rows = rows_of(samples)
    assert list(map(plain, decoded(encoded(rows)))) == list(map(plain, rows))


def test_rows_of_the_same_series_share_their_list_and_a_chapter_ends_in_time():
    prefixes = NAMES[:20]
    rows = [Row(20 * i, 1000 + i, prefixes, np.full(20, float(i))) for i in range(3 * CHAPTER_ROWS)]
    content = encoded(rows)
    chapters = [entry for entry in scan(content) if isinstance(entry, Record) and entry.kind == CHAPTER]
    assert len(chapters) == 3
    back = decoded(content)
    assert all(row.prefixes is back[0].prefixes for row in back[:CHAPTER_ROWS])


def test_series_that_come_and_go_need_no_new_chapter_until_they_are_many():
    rows, first = [], 0
    for tick in range(10):
        prefixes = NAMES[:20] + NAMES[20 + tick : 25 + tick]
        rows.append(Row(first, 1000 + tick, prefixes, np.arange(len(prefixes), dtype=float)))
        first = rows[-1].end
    content = encoded(rows)
    assert len([entry for entry in scan(content) if isinstance(entry, Record) and entry.kind == CHAPTER]) == 1
    others = [b"other_%d " % i for i in range(50)]
    rows.append(Row(first, 2000, others, np.zeros(50)))
    content = encoded(rows)
    assert len([entry for entry in scan(content) if isinstance(entry, Record) and entry.kind == CHAPTER]) == 2
    assert list(map(plain, decoded(content))) == list(map(plain, rows))


def test_what_has_not_changed_costs_next_to_nothing():
    prefixes = [b'energyd_process_energy_joules_total{pid="%d"} ' % i for i in range(500)]
    values = np.random.default_rng(1).random(500) * 1e6
    rows = [Row(500 * i, 1000 + i, prefixes, values) for i in range(60)]
    assert len(encoded(rows)) < 500 * 60  # of 16 bytes a sample


def test_a_forgotten_chapter_is_written_again():
    encoder = RowEncoder()
    row = Row(0, 1, NAMES[:3], np.zeros(3))
    first = encoder.encode(row, 0)
    assert len(encoder.encode(row, len(first))) < len(first)
    encoder.forget()
    assert encoder.encode(row, 0) == first


@pytest.mark.parametrize(
    "payload",
    [
        b"not zlib",
        zlib.compress(b""),
        zlib.compress(struct.pack("<II", 2, 3) + b"one"),
        zlib.compress(struct.pack("<II", 0, 0) + b"\xff"),
        zlib.compress(struct.pack("<II", 0, 0) + b"\xe0" + bytes(23)),
    ],
)
def test_bytes_that_make_no_sense_are_a_damaged_row(payload):
    chapter = next(entry for entry in scan(RowEncoder().encode(Row(0, 1, NAMES[:3], np.zeros(3)), 0)) if isinstance(entry, Record))
    record = next(iter(scan(pack(ROW, 0, 1, 3, 0, payload))))
    with pytest.raises(DamagedRow):
        RowDecoder(chapter).row(record)
