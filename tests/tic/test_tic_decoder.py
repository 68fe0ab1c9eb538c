"""The decoder against the specification, against real captures, and against everything that a line does to them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energyd import samples, ticfields
from energyd.tic import catalogue
from energyd.tic.checksum import checksum, with_even_parity
from energyd.tic.decoder import BAD_PARITY, Decoder, Event, FrameEnd, Group, Interruption, Refused
from energyd.tic.framing import LIMIT, encode_group
from energyd.ticfields import HISTORIQUE, STANDARD

SHARED = Path(__file__).parents[2].parent / "shared"
CAPTURES = SHARED / "fixtures" / "tic"
needs_captures = pytest.mark.skipif(not CAPTURES.is_dir(), reason="no captures on this machine")

PROFILE = b"00008001 0600C002 22304083" + 8 * b" NONUTILE"
HISTORIQUE_GROUPS = (
    (b"ADCO", b"021861348497"),
    (b"OPTARIF", b"HC.."),
    (b"ISOUSC", b"45"),
    (b"HCHC", b"012345678"),
    (b"HCHP", b"087654321"),
    (b"PTEC", b"HP.."),
    (b"IINST", b"009"),
    (b"IMAX", b"090"),
    (b"PAPP", b"02160"),
    (b"HHPHC", b"A"),
    (b"MOTDETAT", b"000000"),
)
STANDARD_GROUPS = (
    (b"ADSC", b"021976825763"),
    (b"VTIC", b"02"),
    (b"DATE", b"", b"H230301091834"),
    (b"NGTF", b"H PLEINE/CREUSE "),
    (b"EAST", b"080490250"),
    (b"EASD01", b"000000000"),
    (b"IRMS1", b"007"),
    (b"SINSTS", b"01675"),
    (b"SMAXSN-1", b"12717", b"E250306072928"),
    (b"STGE", b"003AC701"),
    (b"MSG1", b"PAS DE          MESSAGE         "),
    (b"PRM", b"14405933300802"),
    (b"PJOURF+1", PROFILE),
)


def frame(mode: str) -> bytes:
    groups: tuple[tuple[bytes, ...], ...] = HISTORIQUE_GROUPS if mode == HISTORIQUE else STANDARD_GROUPS
    return b"\x02" + b"".join(encode_group(mode, *group) for group in groups) + b"\x03"


def decode(data: bytes, chunk: int | None = None, decoder: Decoder | None = None) -> list[Event]:
    decoder = decoder or Decoder()
    chunk = chunk or max(1, len(data))
    events: list[Event] = []
    for begin in range(0, len(data), chunk):
        events += decoder.feed(data[begin : begin + chunk])
    return events + decoder.end()


def groups(events: list[Event]) -> list[Group]:
    return [event for event in events if isinstance(event, Group)]


def values(events: list[Event]) -> list[tuple[str, int, bytes]]:
    return [(group.field.label, group.value, group.text) for group in groups(events)]


def one(mode: str, *group: bytes) -> Event:
    (event,) = decode(encode_group(mode, *group), decoder=Decoder(mode))
    return event


def test_the_catalogue_is_the_table_of_the_specification() -> None:
    """Every label of the reference table with its width, unit and horodate, and no other label."""
    table = SHARED / "reference" / "tic_labels.json"
    if not table.exists():
        pytest.skip("no reference table on this machine")
    expected = {
        (row["mode"], row["label"]): (row["width"], row["horodate"], row["unit"] or "") for row in json.loads(table.read_text())
    }
    packed = {"bits", "s"}

    ours = {
        (mode, label.decode()): (
            entry.width,
            entry.dated != catalogue.PLAIN,
            "" if entry.field.unit in packed else entry.field.unit,
        )
        for mode, entries in catalogue.ENTRIES.items()
        for label, entry in entries.items()
    }

    assert ours == expected
    assert len(ours) == 107


def test_field_ids_are_distinct_and_leave_room_for_the_kinds_that_every_ring_has() -> None:
    ids = [field.id for field in ticfields.FIELDS]

    assert len(set(ids)) == len(ids)
    assert min(ids) > 0
    assert max(ids) < samples.VOID


def test_the_meanings_of_ids_do_not_move() -> None:
    """Rings and state files hold these numbers."""
    pinned = {1: "ADCO", 4: "BASE", 31: "PAPP", 36: "AUTRE", 101: "ADSC", 106: "EAST", 121: "EAIT", 156: "STGE", 171: "PPOINTE"}

    assert {number: ticfields.BY_ID[number].label for number in pinned} == pinned


@pytest.mark.parametrize("mode", [HISTORIQUE, STANDARD])
@pytest.mark.parametrize("parity", [True, False])
def test_a_frame_is_its_groups_in_order_then_its_end(mode: str, parity: bool) -> None:
    data = frame(mode) * 4
    decoder = Decoder()

    events = decode(with_even_parity(data) if parity else data, decoder=decoder)

    sent = HISTORIQUE_GROUPS if mode == HISTORIQUE else STANDARD_GROUPS
    heard = [group.field.label.encode() for group in groups(events)]
    assert heard == [group[0] for group in sent] * 4
    assert [event for event in events if isinstance(event, FrameEnd)] == [FrameEnd(len(sent), 0)] * 4
    assert (decoder.mode, decoder.parity) == (mode, parity)
    assert decoder.counts["groups_ok"] == 4 * len(sent)
    assert decoder.counts["bytes"] == len(data)


def test_values_are_numbers_and_texts_keep_their_padding() -> None:
    events = values(decode(frame(STANDARD)))

    assert ("EAST", 80490250, b"") in events
    assert ("STGE", 0x003AC701, b"") in events
    assert ("NGTF", 0, b"H PLEINE/CREUSE ") in events
    assert ("ADSC", 0, b"021976825763") in events
    assert ("DATE", 1677658714, b"") in events


@pytest.mark.parametrize(
    ("mode", "group", "value"),
    [
        (HISTORIQUE, (b"PPOT", b"02"), 2),
        (STANDARD, (b"RELAIS", b"140"), 140),
        (HISTORIQUE, (b"ADIR3", b"061"), 61),
        (STANDARD, (b"EAIT", b"000671631"), 671631),
    ],
)
def test_packed_and_rare_fields(mode: str, group: tuple[bytes, ...], value: int) -> None:
    event = one(mode, *group)

    assert isinstance(event, Group)
    assert event.value == value


def test_a_lower_case_season_is_a_degraded_clock() -> None:
    event = one(STANDARD, b"SMAXSN", b"00100", b"h251120010203")

    assert isinstance(event, Group)
    assert (event.value, event.degraded, event.horodate_s) == (100, True, 1763596923)


def test_the_season_may_be_blank_for_mobile_peaks_only() -> None:
    peak = one(STANDARD, b"DPM1", b"00", b" 230213060000")
    maximum = one(STANDARD, b"SMAXSN", b"00100", b" 230213060000")

    assert isinstance(peak, Group)
    assert (peak.text, peak.horodate_s) == (b"00", 1676264400)
    assert isinstance(maximum, Refused)
    assert maximum.reason == "bad_width"


@pytest.mark.parametrize(
    ("mode", "group", "reason"),
    [
        (STANDARD, (b"EAST", b"12345678"), "bad_width"),
        (STANDARD, (b"EAST", b"1234567890"), "bad_width"),
        (STANDARD, (b"EAST", b"12345678q"), "bad_width"),
        (STANDARD, (b"STGE", b"003ac701"), "bad_width"),
        (STANDARD, (b"RELAIS", b"256"), "bad_width"),
        (STANDARD, (b"DATE", b"", b"H230230091834"), "bad_width"),
        (STANDARD, (b"DATE", b"", b"X230228091834"), "bad_width"),
        (STANDARD, (b"DATE", b""), "bad_width"),
        (STANDARD, (b"EAST", b"123456789", b"H230301091834"), "bad_width"),
        (STANDARD, (b"PJOURF+1", PROFILE.replace(b"2230", b"2430")), "bad_width"),
        (STANDARD, (b"PAPP", b"02160"), "unknown_label"),
        (HISTORIQUE, (b"PTEC", b"HX.."), "bad_width"),
        (HISTORIQUE, (b"IMAXr", b"090"), "unknown_label"),
        (HISTORIQUE, (b"JAUNE", b"hh:mn"), "bad_width"),
        (HISTORIQUE, (b"VERT", b"hh:mn"), "unknown_label"),
        (HISTORIQUE, (b"ADPS038", b"037"), "unknown_label"),
    ],
)
def test_a_good_checksum_is_not_enough(mode: str, group: tuple[bytes, ...], reason: str) -> None:
    event = one(mode, *group)

    assert isinstance(event, Refused)
    assert event.reason == reason


def test_a_glued_adps_is_an_adps() -> None:
    event = one(HISTORIQUE, b"ADPS037", b"037")

    assert isinstance(event, Group)
    assert (event.field.label, event.value) == ("ADPS", 37)


def test_a_checksum_may_be_a_space() -> None:
    """PTEC HP.. has it in historique mode, EASD01 of zeros in standard mode."""
    assert checksum(b"PTEC HP..") == 0x20
    assert isinstance(one(HISTORIQUE, b"PTEC", b"HP.."), Group)
    assert checksum(b"IINST 009") == 0x20


def test_data_may_hold_the_separator() -> None:
    assert isinstance(one(HISTORIQUE, b"OPTARIF", b"EJP "), Group)


def test_an_interruption_costs_the_group_it_cuts_and_nothing_else() -> None:
    data = frame(HISTORIQUE)
    cut = data.index(b"PTEC") + 3

    events = decode(data[:cut] + b"\x04" + data)

    assert values(events)[5:] == values(decode(data))
    assert [type(event) for event in events[5:7]] == [Refused, Interruption]
    assert events[-1] == FrameEnd(11, 0)


def test_no_etx_is_needed() -> None:
    """An overload stops the long frame with no ETX; STX begins the next."""
    decoder = Decoder()

    events = decode(frame(HISTORIQUE)[:-1] * 3, decoder=decoder)

    assert len(groups(events)) == 33
    assert (decoder.counts["frames"], decoder.counts["resynchronisations"]) == (2, 2)


@pytest.mark.parametrize("ends", [(b"\r", b""), (b"\n", b""), (b"\r", b"\n"), (b"\r\n", b"\n"), (b"\n", b"\r\n")])
@pytest.mark.parametrize("mode", [HISTORIQUE, STANDARD])
def test_any_line_ends_do(mode: str, ends: tuple[bytes, bytes]) -> None:
    """Cooked ttys turn CR into LF, logs lose one of the two, and swallow ETX and EOT."""
    data = frame(mode)
    cooked = data.replace(b"\r", b"%R").replace(b"\n", b"%N").replace(b"%R", ends[0]).replace(b"%N", ends[1]).replace(b"\x03", b"")

    if not ends[1]:
        cooked = cooked.replace(b"\x02", b"\x02" + ends[0])

    assert values(decode(cooked)) == values(decode(data))


def test_nuls_before_a_group_are_no_fault() -> None:
    data = frame(HISTORIQUE)

    events = decode(b"\0\0\0" + data.replace(b"\n", b"\n\0\0"))

    assert values(events) == values(decode(data))
    assert not [event for event in events if isinstance(event, Refused)]


def test_the_mode_is_decided_once() -> None:
    """A historique group in a standard stream passes neither as the one nor as the other."""
    decoder = Decoder()
    decode(frame(STANDARD), decoder=decoder)

    assert values(decoder.feed(encode_group(HISTORIQUE, b"PAPP", b"02160"))) == []
    assert decoder.mode == STANDARD


def test_a_given_mode_refuses_the_other() -> None:
    decoder = Decoder(STANDARD)

    assert groups(decode(frame(HISTORIQUE), decoder=decoder)) == []
    assert decoder.mode == STANDARD


def test_memory_is_bounded() -> None:
    """A line that never ends a group is one refused group, however long it lasts."""
    decoder = Decoder()
    for _ in range(200):
        assert decoder.feed(b"A" * 1000) == []
        assert len(decoder._framer._rest) <= LIMIT + 1

    assert decoder.feed(b"\r") == [Refused("malformed", b"A" * LIMIT)]


def test_the_memory_of_accepted_groups_is_bounded() -> None:
    decoder = Decoder()
    for value in range(5000):
        decoder.feed(encode_group(HISTORIQUE, b"BASE", b"%09d" % value))

    assert decoder.counts["groups_ok"] == 5000
    assert len(decoder._accepted) <= 512


@given(st.binary(max_size=600), st.integers(1, 50))
def test_any_bytes_in_any_chunking_give_the_same_events(data: bytes, chunk: int) -> None:
    assert decode(data, chunk) == decode(data)


NOISY = st.lists(
    st.one_of(
        st.sampled_from(
            [frame(HISTORIQUE), frame(STANDARD), with_even_parity(frame(HISTORIQUE)), with_even_parity(frame(STANDARD))]
        ),
        st.binary(max_size=40),
        st.sampled_from([b"\x02", b"\x03", b"\x04", b"\r", b"\n", b"\0" * 7]),
    ),
    max_size=6,
)


@settings(max_examples=150)
@given(NOISY, st.integers(1, 200))
def test_real_frames_among_noise_in_any_chunking_give_the_same_events(parts: list[bytes], chunk: int) -> None:
    data = b"".join(parts)
    whole, pieces = Decoder(), Decoder()

    assert decode(data, chunk, pieces) == decode(data, decoder=whole)
    assert pieces.counts == whole.counts


@given(st.binary(max_size=400), st.sampled_from([HISTORIQUE, STANDARD]))
def test_garbage_before_a_capture_changes_nothing_after_it(garbage: bytes, mode: str) -> None:
    clean = decode(frame(mode))

    assert decode(garbage + frame(mode))[-len(clean) :] == clean


def flips(mode: str, parity: bool) -> tuple[int, int, int]:
    """Of every single bit flip in the groups of a frame: how many, how many wrong values accepted, how many groups lost at most."""
    data = frame(mode)
    data = with_even_parity(data) if parity else data
    clean = set(values(decode(data)))
    prepared = Decoder()
    prepared.feed(data * 4)
    assert prepared.parity is parity
    flipped = wrong = worst = 0
    for position in range(len(data)):
        for bit in range(8 if parity else 7):
            decoder = Decoder(mode)
            decoder._framer.parity = parity
            damaged = data[:position] + bytes((data[position] ^ 1 << bit,)) + data[position + 1 :]
            heard = set(values(decode(damaged, decoder=decoder)))
            flipped += 1
            wrong += bool(heard - clean)
            worst = max(worst, len(clean - heard))
    return flipped, wrong, worst


@pytest.mark.parametrize("mode", [HISTORIQUE, STANDARD])
def test_with_parity_no_single_bit_flip_is_accepted(mode: str) -> None:
    flipped, wrong, worst = flips(mode, parity=True)

    assert flipped > 1000
    assert wrong == 0
    assert worst <= 2


@pytest.mark.parametrize("mode", [HISTORIQUE, STANDARD])
def test_without_parity_few_single_bit_flips_are_accepted(mode: str) -> None:
    flipped, wrong, _ = flips(mode, parity=False)

    assert wrong / flipped <= 0.025


@pytest.mark.parametrize("mode", [HISTORIQUE, STANDARD])
def test_no_single_bit_flip_is_accepted_while_parity_is_undecided(mode: str) -> None:
    data = with_even_parity(frame(mode))
    clean = set(values(decode(data)))
    for position in range(len(data)):
        for bit in range(8):
            damaged = data[:position] + bytes((data[position] ^ 1 << bit,)) + data[position + 1 :]
            assert set(values(decode(damaged))) <= clean


def test_a_wrong_parity_bit_is_counted_as_such() -> None:
    decoder = Decoder()
    data = with_even_parity(frame(HISTORIQUE))
    decoder.feed(data * 2)
    damaged = data.replace(with_even_parity(b"IMAX"), b"IMAX")

    refused = [event for event in decoder.feed(damaged) if isinstance(event, Refused)]

    assert [event.reason for event in refused] == [BAD_PARITY]
    assert decoder.counts["groups_bad_parity"] == 1


# README of the captures: checksums that verify; then what we accept, and why it differs
CORRUPT_LABEL = "a corrupt label whose checksum passes by chance is no label"
ONE_MODE = "its two SP groups stand in a stream whose mode is HT: a meter never mixes"
CAPTURED: dict[str, tuple[int | None, int, str]] = {
    "corrupt_groups_from_issues.bin": (5, 3, ONE_MODE),
    "hist_mono_cbemm_nostx.txt": (473, 473, ""),
    "hist_mono_enedis_official.txt": (9, 9, ""),
    "hist_mono_hchp_cbemm_esciara.bin": (11, 11, ""),
    "hist_mono_tempo_10frames.bin": (160, 160, ""),
    "hist_tri_base_6frames.bin": (102, 102, ""),
    "hist_tri_rxerrors.bin": (304, 303, CORRUPT_LABEL),
    "std_mono_base_13frames.bin": (467, 467, ""),
    "std_mono_enedis_official.txt": (38, 38, ""),
    "std_mono_enedis_pcoup_bad.txt": (37, 37, ""),
    "std_mono_producer_hchp_ttylog.bin": (431, 431, ""),
    "std_mono_tempo_ppointe_dpm_issue47.bin": (3, 3, ""),
    "std_tri_producer_tempo_openhab.bin": (167, 167, ""),
    "hist_tri_overload_adir_cycle.bin": (None, 270, ""),
    "std_degraded_clock.bin": (None, 11, ""),
    "hist_eot_midgroup.bin": (None, 35, ""),
}


@needs_captures
def test_every_capture_is_in_the_table() -> None:
    assert {path.name for path in CAPTURES.iterdir()} - {"README.md"} == set(CAPTURED)


@needs_captures
@pytest.mark.parametrize("name", sorted(CAPTURED))
@pytest.mark.parametrize("parity", [False, True])
def test_captures_decode_as_their_readme_says(name: str, parity: bool) -> None:
    """Also with the parity bits put back, which the captures' adapters had taken off."""
    verifying, accepted, why = CAPTURED[name]
    readme = [row.split("|") for row in (CAPTURES / "README.md").read_text().splitlines() if row.startswith(f"| {name} ")]
    data = (CAPTURES / name).read_bytes()

    heard = len(groups(decode(with_even_parity(data) if parity else data)))

    assert heard == accepted
    assert verifying == (int(readme[0][5].split("/")[0]) if "/" in readme[0][5] else None)
    assert bool(why) == (verifying not in (None, accepted))


@needs_captures
@pytest.mark.parametrize("name", sorted(CAPTURED))
def test_captures_decode_the_same_byte_by_byte(name: str) -> None:
    data = (CAPTURES / name).read_bytes()

    assert decode(data, 1) == decode(data)


@needs_captures
def test_the_values_of_a_capture() -> None:
    """The official frame of Enedis, field by field."""
    heard: dict[str, Any] = {
        label: value or text for label, value, text in values(decode((CAPTURES / "std_mono_enedis_official.txt").read_bytes()))
    }

    assert (heard["ADSC"], heard["NGTF"], heard["VTIC"]) == (b"031664001115", b"H PLEINE/CREUSE ", b"02")
    assert heard["DATE"] == 1505463361
