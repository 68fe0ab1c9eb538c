"""The professional meters of Enedis-NOI-CPT_02E 2.6 to 2.10, in frames that are made here from its tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energyd import samples, ticfields, ticprofessional
from energyd.tic import catalogue, professional
from energyd.tic.checksum import with_even_parity
from energyd.tic.decoder import Decoder, Event, FrameEnd, Group, Refused
from energyd.tic.framing import encode_group
from energyd.ticfields import HISTORIQUE, STANDARD

JAUNE = (
    ("JAUNE", "10:29:26:08:12:DP:02345:80"),
    ("ENERG", "012345:067890:111111:222222"),
    ("PERCC", "14:08:02:01"),
    ("PMAXC", "03600:04200"),
    ("TDEPA", "00012:00000"),
    ("PERCP", "14:07:02:01"),
    ("PMAXP", "03700:04100"),
    ("PSOUSC", "04200:04800"),
    ("PSOUSP", "04200:04800"),
    ("FCOU", "22:10:45"),
)
PME_PMI = (
    ("ADS", "041436028024"),
    ("MESURES1", "BT 4 SUP36"),
    ("DATE", "26/08/16 10:29:04"),
    ("EA_s", "422Wh"),
    ("ER+_s", "0varh"),
    ("ER-_s", "189varh"),
    ("EAPP_s", "495VAh"),
    ("PTCOUR1", "HPE"),
    ("TARIFDYN", "INACTIF"),
    ("ETATDYN1", "000"),
    ("PREAVIS1", "TD- ? "),
    ("TDYN1FD", "26/08/16 12:00:00-PM "),
    ("CONFIG", "PROD"),
    ("DATEPA1", "26/08/16 10:20:00"),
    ("PA1_s", "6kW"),
    ("PA1_i", "0TkW"),
    ("DebP", "14/08/16 02:50:00"),
    ("EAP_s", "9649kWh"),
    ("EAP_i", "12kWh"),
    ("ER+P_s", "229kvarh"),
    ("EAP-1_s", "9256kWh"),
    ("EaP-1_i", "11kWh"),
    ("ER-P-1_i", "0kvarh"),
    ("PS", "42kVA"),
    ("PREAVIS", "DEP "),
    ("PA1MN", "6kW"),
    ("PMAX_s", "15kVA"),
    ("PMAX_i", "3kW"),
    ("TGPHI_s", "-0,39"),
    ("TGPHI_i", "99999.99"),
    ("MESURES2", "HTA 5     "),
    ("PTCOUR2", "P  "),
    ("EAP_s2", "9649kWh"),
    ("EaP-1_s2", "9256kWh"),
)
ICE_4Q = (
    ("CONTRAT", "BASE_A5"),
    ("DATECOUR", "26/08/16 10/29/04"),
    ("EA", "422Wh"),
    ("ERP", "11varh"),
    ("PTCOUR", "HPE"),
    ("DATEPA1", "26/08/16 10/20/00"),
    ("PA1", "123H.kW"),
    ("DEBUTp", "01/08/16 00/00/00"),
    ("CAFp", "42"),
    ("EApHPE", "1234567kWh"),
    ("EApP", "0kWh"),
    ("ERPpHPE", "99kvarh"),
    ("KDC", "95%"),
    ("PSHPE", "500kW"),
    ("PA1MN", "321kW"),
    ("PREA1MN", "-12kvar"),
    ("TGPHI", "0,40"),
    ("U10MN", "400V"),
    ("Appli", "INJECTION"),
    ("DATECOUR", "26/08/16 10/29/04"),
    ("EA", "7Wh"),
    ("PTCOUR", "4"),
    ("P1", "5kW"),
    ("EApCour", "77kWh"),
    ("EAp1P8", "66kWh"),
    ("PRapCour", "250kW"),
    ("IPA1MN", "5kW"),
    ("I1", "1,234A"),
    ("TGPHI", "-0,10"),
)
SAPHIR = (
    ("LG_TRM", "TRM_LONGUE"),
    ("ADS", "041899000001"),
    ("DATE", "26/08/16 10/29/04"),
    ("MESSAGE", "RIEN A SIGNALER"),
    ("TD", "10"),
    ("EAS", "422Wh"),
    ("EAI", "1Wh"),
    ("ER+S", "9varh"),
    ("I2I", "12,345A"),
    ("GRILLE_D", "HTA5"),
    ("PTCOURD", "HPE"),
    ("TDYND", "d-26/08/16 12/00/00-1"),
    ("ETATDYND", "0"),
    ("PA1S", "123kW"),
    ("PR-6I", "1C.kvar"),
    ("UMOY1", "20123V"),
    ("EAp4SD", "123456789kWh"),
    ("ER-p8ID", "5kvarh"),
    ("EAp4SD1", "123456000kWh"),
    ("PSp4", "500kW"),
    ("LIB_p4D", "HPE"),
    ("LIB_p1D", "P  "),
    ("TGPHIS", "0,40"),
    ("EAp1SF", "42kWh"),
)
METERS = {"CJE": JAUNE, "PME-PMI": PME_PMI, "ICE-4Q": ICE_4Q, "SAPHIR": SAPHIR}


def frame(groups: tuple[tuple[str, str], ...], mode: str = HISTORIQUE) -> bytes:
    return b"\x02" + b"".join(encode_group(mode, label.encode(), data.encode()) for label, data in groups) + b"\x03"


def decode(data: bytes) -> list[Event]:
    decoder = Decoder()
    return decoder.feed(data) + decoder.end()


def heard(groups: tuple[tuple[str, str], ...], mode: str = HISTORIQUE) -> dict[str, Group]:
    return {event.field.label: event for event in decode(frame(groups, mode)) if isinstance(event, Group)}


@pytest.mark.parametrize("name", METERS)
@pytest.mark.parametrize("parity", [True, False])
@pytest.mark.parametrize("mode", [HISTORIQUE, STANDARD])
def test_every_group_of_a_meter_is_accepted(name: str, parity: bool, mode: str) -> None:
    """A SAPHIR has frames with HT too; the others would be read if they had."""
    data = frame(METERS[name], mode) * 3

    events = decode(with_even_parity(data) if parity else data)

    assert [event for event in events if isinstance(event, Refused)] == []
    assert [event for event in events if isinstance(event, FrameEnd)] == [FrameEnd(len(METERS[name]), 0)] * 3


@pytest.mark.parametrize(
    ("name", "label", "value"),
    [
        ("PME-PMI", "EAP_s", 9_649_000),
        ("PME-PMI", "EAP_s2", 9_649_000),
        ("PME-PMI", "EAP-1_i", 11_000),
        ("PME-PMI", "EA_s", 422),
        ("PME-PMI", "PS kVA", 42_000),
        ("PME-PMI", "PMAX_s kVA", 15_000),
        ("PME-PMI", "PMAX_i kW", 3_000),
        ("PME-PMI", "TGPHI_s", -39),
        ("PME-PMI", "TGPHI_i", 9_999_999),
        ("PME-PMI", "DATE", 1472200144),
        ("ICE-4Q", "EApHPE", 1_234_567_000),
        ("ICE-4Q", "ERPpHPE", 99_000),
        ("ICE-4Q", "DATECOUR", 1472200144),
        ("ICE-4Q", "PREA1MN", -12_000),
        ("ICE-4Q", "KDC", 95),
        ("ICE-4Q", "PrapCour", 250_000),
        ("ICE-4Q", "I1", 1_234),
        ("SAPHIR", "EAp4SD", 123_456_789_000),
        ("SAPHIR", "UMOY1", 20_123),
        ("SAPHIR", "TD", 10),
    ],
)
def test_a_number_is_in_the_unit_of_its_field_whatever_stands_on_the_line(name: str, label: str, value: int) -> None:
    assert heard(METERS[name])[label].value == value


def test_what_is_injected_is_told_from_what_is_drawn_though_the_labels_are_the_same() -> None:
    groups = heard(ICE_4Q)

    assert (groups["EA"].value, groups["EA/INJECTION"].value) == (422, 7)
    assert (groups["PTCOUR"].text, groups["PTCOUR/INJECTION"].text) == (b"HPE", b"4")
    assert (groups["TGPHI"].value, groups["TGPHI/INJECTION"].value) == (40, -10)


@pytest.mark.parametrize("cut", ["end", "EOT", "contract"])
def test_the_second_half_of_a_frame_ends_with_the_frame(cut: str) -> None:
    """Also where the frame is broken off, or where the characters around the next one are lost; heard again, from the cache."""
    once = frame(ICE_4Q)
    begun = {"end": once, "EOT": once[:-1] + b"\x04", "contract": once[:-1]}[cut]
    following = once[1:] if cut == "contract" else once

    groups = [event for event in decode(begun + following * 2) if isinstance(event, Group)]

    assert [group.value for group in groups if group.field.label == "EA"] == [422] * 3
    assert [group.value for group in groups if group.field.label == "EA/INJECTION"] == [7] * 3


def test_a_mean_that_was_cut_short_keeps_the_mark() -> None:
    assert heard(PME_PMI)["PA1_i"].text == b"T"
    assert (heard(ICE_4Q)["PA1"].value, heard(ICE_4Q)["PA1"].text) == (123_000, b"H.")


def test_a_dated_text_has_its_time() -> None:
    """14:00 in legal summer time is 12:00 UTC."""
    assert (heard(PME_PMI)["TDYN1FD"].text, heard(PME_PMI)["TDYN1FD"].horodate_s) == (b"26/08/16 12:00:00-PM ", 1472205600)
    assert heard(SAPHIR)["TDYND"].horodate_s == 1472205600


@pytest.mark.parametrize(
    ("label", "data"),
    [
        ("EAP_s", "9649Wh"),
        ("EAP_s", "9649"),
        ("EAP_s", "-1kWh"),
        ("EAP_s", "1234567890kWh"),
        ("EA_s", "9kWh"),
        ("PS", "42kW h"),
        ("DATE", "31/02/16 10:29:04"),
        ("DATE", "26/08/16 25:29:04"),
        ("TDYN1CD", "31/02/16 10:29:04-HPE"),
        ("TGPHI_s", "0,4"),
        ("ADS", "04143602802"),
        ("CONFIG", "CONS0"),
        ("PTCOUR1", "HPEE"),
        ("JAUNE", "24:29:26:08:12:DP:02345:80"),
        ("JAUNE", "10:29:26:08:32:DP:02345:80"),
        ("ENERG", "012345:067890"),
    ],
)
def test_what_the_specification_does_not_allow_is_refused(label: str, data: str) -> None:
    decoder = Decoder()
    decoder.feed(frame(PME_PMI) * 2)

    (event,) = decoder.feed(encode_group(HISTORIQUE, label.encode(), data.encode()))

    assert isinstance(event, Refused)
    assert event.reason == "bad_width"


def test_the_labels_of_the_other_kind_of_meter_are_unknown_once_the_kind_is() -> None:
    jaune, linky = Decoder(), Decoder()
    jaune.feed(frame(JAUNE))
    linky.feed(frame((("ADCO", "021861348497"), ("BASE", "012345678"), ("PAPP", "00420"))))

    (papp,) = jaune.feed(encode_group(HISTORIQUE, b"PAPP", b"00420"))
    (energ,) = linky.feed(encode_group(HISTORIQUE, b"ENERG", b"012345:067890:111111:222222"))

    assert isinstance(papp, Refused)
    assert isinstance(energ, Refused)
    assert (papp.reason, energ.reason) == ("unknown_label", "unknown_label")
    assert (jaune.professional, linky.professional) == (True, False)


def test_a_group_that_verifies_and_that_nobody_knows_makes_no_frame_a_bad_one() -> None:
    """02E 3.5.4, table 15: a frame is good when all its checksums are."""
    events = decode(frame((*JAUNE, ("NEUF", "1"), ("ENERG", "1"))))

    assert [event for event in events if isinstance(event, FrameEnd)] == [FrameEnd(len(JAUNE) + 2, 0)]
    assert [event.reason for event in events if isinstance(event, Refused)] == ["unknown_label", "bad_width"]


def test_a_concentrator_has_a_digit_less_in_its_indexes() -> None:
    said = (("ADCO", "021861348497"), ("OPTARIF", "HC.."), ("HCHC", "12345678"), ("HCHP", "87654321"), ("GAZ", "1234567"))

    groups = heard(said)

    assert (groups["HCHC"].value, groups["HCHP"].value, groups["GAZ"].value) == (12345678, 87654321, 1234567)
    assert isinstance(decode(frame((*said, ("HCHC", "1234567"))))[-2], Refused)


def test_ids_are_distinct_from_all_others_and_fit_a_sample() -> None:
    ids = [field.id for field in (*ticfields.FIELDS, *ticprofessional.FIELDS)]

    assert len(set(ids)) == len(ids)
    assert max(ids) < samples.VOID


def test_the_meanings_of_ids_do_not_move() -> None:
    """Rings and state files hold these numbers: one of each block, its last."""
    pinned = {
        210: "FCOU", 220: "ADS", 275: "LIB_p8F", 327: "FINP1", 351: "CAFp1", 356: "KDCD", 361: "TC", 370: "TGPHII", 380: "I3I",
        391: "UMOY6", 405: "EAI", 420: "ER-I", 426: "EAPP_i", 433: "IPATMN", 443: "IPREATMN", 467: "PA6S", 487: "PA6I",
        501: "PR-6S", 516: "PR-6I", 543: "PS kW", 550: "PS kVA", 556: "PMAX_i kW", 561: "PMAX_i kVA", 613: "EApDSM",
        620: "EApCour", 621: "EAP_s", 622: "EAP_i", 623: "EAP_s2", 637: "EAp8SF", 647: "EAp8SD", 657: "EAp8ID", 673: "ERPpDSM",
        693: "ERNpDSM", 705: "ER-P_i", 725: "ER-p8SD", 745: "ER-p8ID", 771: "EAp1P8", 782: "EAP-1_s2", 813: "EAp8ID1",
        841: "ERPp1P8", 871: "ERNp1P8", 883: "ER-P-1_i", 905: "ER-p8SD1", 925: "ER-p8ID1",
    }  # fmt: skip

    assert {number: ticprofessional.BY_ID[number].label for number in pinned} == pinned
    assert len(ticprofessional.FIELDS) == 472


def test_no_label_is_that_of_a_household_meter_with_another_meaning_in_the_same_frame() -> None:
    """DATE and UMOY are, in frames with HT: what follows them tells the two apart."""
    shared = set(professional.LABELS) & set(catalogue.ENTRIES[STANDARD])

    assert set(professional.LABELS) & set(catalogue.ENTRIES[HISTORIQUE]) == set()
    assert shared == {b"DATE", b"UMOY1", b"UMOY2", b"UMOY3"}


def test_a_period_register_names_a_field_that_says_the_period() -> None:
    for register, period in ticprofessional.EACH_PERIOD.items():
        assert ticprofessional.BY_LABEL[register].role in (ticfields.REGISTER, ticfields.COUNTER)
        assert ticprofessional.BY_LABEL[period].role == ticfields.TEXT


@pytest.mark.parametrize("name", METERS)
@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_any_chunking_gives_the_same_events(name: str, chunk: int) -> None:
    data = with_even_parity(frame(METERS[name]) * 3)
    decoder = Decoder()
    events = [event for begin in range(0, len(data), chunk) for event in decoder.feed(data[begin : begin + chunk])]

    assert events == Decoder().feed(data)


@given(st.binary(max_size=300), st.sampled_from(sorted(METERS)))
def test_noise_before_a_frame_changes_nothing_after_it(noise: bytes, name: str) -> None:
    clean, noisy = Decoder(), Decoder()
    clean.feed(with_even_parity(frame(METERS[name]) * 2))
    noisy.feed(with_even_parity(frame(METERS[name]) * 2) + noise + b"\r")

    following = with_even_parity(frame(METERS[name]))
    heard = [event for event in noisy.feed(following) if isinstance(event, Group)]
    assert heard == [event for event in clean.feed(following) if isinstance(event, Group)]


@pytest.mark.parametrize("name", METERS)
def test_few_single_bit_flips_are_accepted_without_parity_and_none_with(name: str) -> None:
    for parity in (False, True):
        decoder = Decoder()
        decoder.feed(with_even_parity(frame(METERS[name])) * 2 if parity else frame(METERS[name]) * 2)
        flipped = accepted = 0
        for label, data in METERS[name]:
            group = encode_group(HISTORIQUE, label.encode(), data.encode())
            group = with_even_parity(group) if parity else group
            for bit in range(8 * len(group) if parity else 7 * len(group)):
                position, shift = divmod(bit, 8 if parity else 7)
                wrong = group[:position] + bytes((group[position] ^ 1 << shift,)) + group[position + 1 :]
                events = decoder.feed(wrong + b"\r")
                flipped += 1
                good = decoder.feed(group)
                said = [event for event in events if isinstance(event, Group) and event not in good]
                accepted += bool(said)
        assert accepted == 0 if parity else accepted / flipped < 0.025
