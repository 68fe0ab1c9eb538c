"""Records are found again whatever happens to the bytes between and in them."""

from hypothesis import given
from hypothesis import strategies as st

from energyd.spool.format import HEADER_BYTES, ROW, SYNC, Record, Skipped, pack, scan

PAYLOADS = st.lists(st.binary(max_size=60) | st.just(SYNC) | st.just(SYNC + bytes(40)), max_size=8)


def packed(payloads):
    return [pack(ROW, 100 + i, 1_795_162_354_000 + i, i, 7, payload) for i, payload in enumerate(payloads)]


def found(content):
    return [entry for entry in scan(content) if isinstance(entry, Record)]


@given(PAYLOADS)
def test_what_was_packed_is_found_in_order_and_nothing_else(payloads):
    entries = list(scan(b"".join(packed(payloads))))
    assert [
        (entry.kind, entry.first, entry.at_ms, entry.samples, entry.chapter, entry.payload)
        for entry in entries
        if isinstance(entry, Record)
    ] == [(ROW, 100 + i, 1_795_162_354_000 + i, i, 7, payload) for i, payload in enumerate(payloads)]
    assert not [entry for entry in entries if isinstance(entry, Skipped)]


@given(PAYLOADS, st.data())
def test_a_tail_torn_at_any_byte_costs_only_the_record_that_it_tears(payloads, data):
    content = b"".join(packed(payloads))
    cut = data.draw(st.integers(0, len(content)))
    entries = list(scan(content[:cut]))
    whole = 0
    for record in packed(payloads):
        if cut < len(record):
            break
        cut -= len(record)
        whole += 1
    assert [entry.payload for entry in entries if isinstance(entry, Record)] == payloads[:whole]
    assert sum(entry.end - entry.offset for entry in entries if isinstance(entry, Skipped)) == cut


@given(PAYLOADS.filter(bool), st.data())
def test_a_flipped_bit_costs_one_record(payloads, data):
    records = packed(payloads)
    content = bytearray(b"".join(records))
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    hit, offset = 0, bit // 8
    while offset >= len(records[hit]):
        offset -= len(records[hit])
        hit += 1
    assert [entry.first for entry in found(bytes(content))] == [100 + i for i in range(len(payloads)) if i != hit]


@given(st.binary(max_size=400), PAYLOADS)
def test_foreign_bytes_are_skipped_and_their_size_is_told(junk, payloads):
    content = b"".join([*packed(payloads), junk, *packed(payloads)])
    entries = list(scan(content))
    assert len([entry for entry in entries if isinstance(entry, Record)]) == 2 * len(payloads)
    assert sum(entry.end - entry.offset for entry in entries if isinstance(entry, Skipped)) == len(junk)


def test_a_length_beyond_the_end_is_a_torn_record():
    record = bytearray(pack(ROW, 1, 2, 3, 4, b"payload"))
    record[8:12] = b"\xff\xff\xff\xff"
    assert list(scan(bytes(record))) == [Skipped(0, len(record))]
    assert HEADER_BYTES == 40
