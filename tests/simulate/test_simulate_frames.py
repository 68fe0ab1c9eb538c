"""The frame builder says what Enedis' own frames say, byte for byte."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd.simulate import frames
from energyd.simulate.frames import HISTORIQUE, STANDARD, Group

CAPTURES = Path(__file__).parents[3] / "shared" / "fixtures" / "tic"

COUNTS = [  # capture, mode, groups that verify, groups that do not; as its README counts them
    ("hist_mono_enedis_official.txt", HISTORIQUE, 9, 0),
    ("hist_mono_hchp_cbemm_esciara.bin", HISTORIQUE, 11, 0),
    ("hist_mono_tempo_10frames.bin", HISTORIQUE, 160, 0),
    ("hist_mono_cbemm_nostx.txt", HISTORIQUE, 473, 57),
    ("std_mono_enedis_official.txt", STANDARD, 38, 0),
    ("std_mono_enedis_pcoup_bad.txt", STANDARD, 37, 1),
    ("std_mono_base_13frames.bin", STANDARD, 467, 2),
    ("std_tri_producer_tempo_openhab.bin", STANDARD, 167, 1),
]


@pytest.mark.parametrize(("name", "mode", "good", "bad"), COUNTS, ids=[row[0] for row in COUNTS])
def test_real_captures_verify(name, mode, good, bad):
    """The checker accepts what real meters sent and refuses what their lines spoiled."""
    path = CAPTURES / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    verdicts = [frames.verifies(run, mode) for run in frames.split_groups(path.read_bytes())]
    assert (verdicts.count(True), verdicts.count(False)) == (good, bad)


@pytest.mark.parametrize(
    ("group", "mode", "wire"),
    [
        (Group("PTEC", "HP.."), HISTORIQUE, b"\nPTEC HP..  \r"),  # the checksum is a space
        (Group("HCHC", "094939439"), HISTORIQUE, b"\nHCHC 094939439 8\r"),
        (Group("IINST", "009"), HISTORIQUE, b"\nIINST 009  \r"),
        (Group("EASD01", "000000000"), STANDARD, b"\nEASD01\t000000000\t \r"),
        (Group("DATE", "", "E170915101601"), STANDARD, b"\nDATE\tE170915101601\t\t>\r"),
        (Group("SMAXSN", "00000", "E170915100926"), STANDARD, b"\nSMAXSN\tE170915100926\t00000\t3\r"),
        (Group("MSG1", "PAS DE          MESSAGE         "), STANDARD, b"\nMSG1\tPAS DE          MESSAGE         \t<\r"),
    ],
    ids=lambda value: getattr(value, "label", ""),
)
def test_groups_are_those_of_real_meters(group, mode, wire):
    """Groups copied from real frames, spaces as checksums and empty data included."""
    assert frames.encode(group, mode) == wire


def test_a_frame_is_enclosed_by_stx_and_etx():
    assert b"".join(frames.encode_frame([Group("PAPP", "02160")], HISTORIQUE)) == b"\x02\nPAPP 02160 *\r\x03"


@given(st.binary().map(lambda data: bytes(byte & 0x7F for byte in data)))
def test_even_parity_makes_the_ones_even_and_keeps_the_text(data):
    """Every byte has an even number of ones, its low seven bits are the character, and a second pass changes nothing."""
    sent = frames.with_even_parity(data)
    assert all(byte.bit_count() % 2 == 0 for byte in sent)
    assert bytes(byte & 0x7F for byte in sent) == data
    assert frames.with_even_parity(sent) == sent


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=8), st.integers(0, 6), st.data())
def test_a_flipped_low_bit_is_refused(label, bit, data):
    """The six-bit sum sees every single flip but those of bit 6, as the specification's arithmetic says."""
    text = frames.encode(Group(label, "012345"), STANDARD)[1:-1]
    place = data.draw(st.integers(0, len(label) - 1))
    spoilt = text[:place] + bytes((text[place] ^ 1 << bit,)) + text[place + 1 :]
    if spoilt[place] != STANDARD.separator:
        assert frames.verifies(spoilt, STANDARD) == (bit == 6)


@pytest.mark.parametrize("text", [b"", b"A", b"A 1", b"A  ", b"AB 1x", b"ABCDE"])
def test_what_is_no_group_is_refused(text):
    assert not frames.verifies(text, HISTORIQUE)
