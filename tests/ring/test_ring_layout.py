"""The header of a ring: what is accepted, what is refused, and what the check word finds."""

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd.errors import EnvironmentFault
from energyd.ring import layout
from energyd.samples import RECORD_SIZE

HEADER = layout.Header(8, "rapl.1", bytes(range(16)), 4711, 12, 34, 0, 0, 0, 0)
WHERE = Path("run/rapl.ring")

bodies = st.binary(min_size=56, max_size=56)


def page(header=HEADER, **words):
    content = bytearray(layout.pack_header(header).ljust(layout.HEADER_SIZE, b"\0"))
    for name, value in words.items():
        offset = getattr(layout, name) * layout.WORD
        content[offset : offset + layout.WORD] = value.to_bytes(layout.WORD, "little")
    return bytes(content)


def parse(content, size=None):
    return layout.parse_header(content, WHERE, layout.file_size(8) if size is None else size)


def test_a_header_reads_as_it_was_written():
    assert parse(page()) == HEADER


def test_words_that_change_are_read_too():
    header = parse(page(CLAIM=9, HEAD=8, HEARTBEAT=77, LABELS_LENGTH=55))

    assert (header.claim, header.head, header.heartbeat_ns, header.labels_length) == (9, 8, 77, 55)


def test_words_that_change_lie_on_cache_lines_of_their_own():
    offsets = [word * layout.WORD for word in (layout.CLAIM, layout.HEAD, layout.HEARTBEAT, layout.LABELS_LENGTH)]

    assert all(b - a >= 128 for a, b in itertools.pairwise(offsets))
    assert offsets[0] >= 128 > len(layout.pack_header(HEADER)) - 1
    assert all(offset % 128 == 0 for offset in offsets)


def patched(offset, data):
    content = bytearray(page())
    content[offset : offset + len(data)] = data
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "size", "told"),
    [
        (b"", None, "is not a ring"),
        (page()[:100], None, "is not a ring"),
        (patched(0, b"somebody"), None, "is not a ring"),
        (patched(8, b"\2"), None, "layout 2"),
        (patched(12, b"\x80"), None, "records of 128 bytes"),
        (patched(20, b"\4"), None, "flags 0x4"),
        (patched(16, b"\7"), None, "capacity 7"),
        (patched(16, b"\0"), None, "capacity 0"),
        (page(), layout.file_size(8) - 1, "is damaged"),
    ],
)
def test_a_header_that_is_not_understood_is_refused_with_a_mend(content, size, told):
    with pytest.raises(layout.RefusedRing, match=told) as refusal:
        parse(content, size)

    assert str(WHERE) in str(refusal.value)
    assert "restart its writer" in str(refusal.value)
    assert isinstance(refusal.value, EnvironmentFault)


def test_a_header_is_read_from_a_file_without_numpy(tmp_path):
    path = tmp_path / "rapl.ring"
    path.write_bytes(page(HEAD=5).ljust(layout.file_size(8), b"\0"))

    assert layout.read_header(path).head == 5
    with pytest.raises(OSError):
        layout.read_header(tmp_path / "none.ring")


def test_no_descriptor_is_left_open_by_a_refused_header(tmp_path):
    path = tmp_path / "rapl.ring"
    path.write_bytes(b"text")
    before = len(os.listdir("/proc/self/fd"))

    with pytest.raises(layout.RefusedRing):
        layout.read_header(path)

    assert len(os.listdir("/proc/self/fd")) == before


def test_two_rings_of_one_boot_have_different_identities():
    assert HEADER.identity != HEADER._replace(created_mono_ns=13).identity
    assert HEADER.identity != HEADER._replace(created_real_ns=35).identity
    assert HEADER.identity != HEADER._replace(boot_id=bytes(16)).identity


def test_weights_are_odd_and_all_different():
    assert all(weight % 2 for weight in layout.WEIGHTS)
    assert len(set(layout.WEIGHTS)) == 7


@given(bodies, st.integers(0, 6), st.integers(1, layout.WORD_MASK))
def test_a_change_of_one_word_changes_the_check_word(body, word, difference):
    at = word * layout.WORD
    changed = (int.from_bytes(body[at : at + 8], "little") + difference) & layout.WORD_MASK
    other = body[:at] + changed.to_bytes(8, "little") + body[at + 8 :]

    assert layout.check_word(other) != layout.check_word(body)


@given(bodies, bodies, st.integers(1, 7))
def test_a_mix_of_two_records_does_not_have_the_check_word_of_either(old, new, words):
    mixed = new[: words * 8] + old[words * 8 :]

    for body in (old, new):
        if mixed != body:
            assert layout.seal(mixed)[56:] != layout.seal(body)[56:]


def test_an_empty_slot_is_not_a_record_of_any_index():
    empty = bytes(RECORD_SIZE)

    assert int.from_bytes(empty[:8], "little") == 0, "indices start at 1"


def test_other_machines_are_told_so(monkeypatch):
    monkeypatch.setattr(layout.sys, "byteorder", "big")

    with pytest.raises(EnvironmentFault, match="little-endian"):
        layout.require_supported_machine()
