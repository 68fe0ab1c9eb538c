"""Registers of meters that say which period counts beside the count, of lists, and of meters that test their output."""

from collections.abc import Iterator
from typing import Any

import pytest
from batches import Batches

from energyd import samples
from energyd.aggregate.meters import MeterBook
from energyd.aggregate.registers import WORDS_OF_PERIODS
from energyd.aggregate.snapshot import Meter
from energyd.ticfields import FIELDS, REGISTER, SUPPLIER
from energyd.ticprofessional import BY_LABEL
from energyd.units import NS_PER_S


class Line:
    def __init__(self) -> None:
        self.book = MeterBook("works", "meter")
        self.ring = Batches(samples.TIC)
        self.now_ns = 100 * NS_PER_S

    def frame(self, *groups: tuple[str, Any], later_s: float = 2) -> "Line":
        """Says groups as the decoder would write them: texts as bytes, numbers as they are, in one frame."""
        for label, said in groups:
            value, text = (0, said) if isinstance(said, bytes) else (said, b"")
            pieces = [text[i : i + 16] for i in range(0, len(text), 16)] or [b""]
            for piece in pieces:
                status = samples.LAST if piece is pieces[-1] else samples.CONTINUED
                self.ring.add(BY_LABEL[label].id, self.now_ns, (value, 0, piece), status)
            self.ring.next_batch()
        self.ring.service(samples.FRAME, self.now_ns, (len(groups), 0, 0, 0), samples.LAST)
        self.ring.next_batch()
        self.book.fold(self.ring.take())
        self.now_ns += round(later_s * NS_PER_S)
        return self

    def begin(self, *groups: tuple[str, Any]) -> "Line":
        """The first frame twice: a register is believed when the next reading confirms it."""
        return self.frame(*groups).frame(*groups)

    def shot(self) -> Meter:
        return self.book.snapshot(self.now_ns)

    def registers(self) -> dict[str, int]:
        return {register.name: register.energy_wh for register in self.shot().registers}


ADS = ("ADS", b"041436028024")


def test_a_register_that_counts_the_period_in_force_is_one_for_each_period() -> None:
    line = Line().begin(ADS, ("PTCOUR1", b"HPE"), ("EAP_s", 9_649_000), ("PTCOUR2", b"P  "), ("EAP_s2", 77_000))
    line.begin(ADS, ("PTCOUR1", b"HCE"), ("EAP_s", 4_321_000), ("PTCOUR2", b"P  "), ("EAP_s2", 78_000))
    line.frame(ADS, ("PTCOUR1", b"HPE"), ("EAP_s", 9_650_000))

    assert line.registers() == {"EAP_s/HPE": 9_650_000, "EAP_s/HCE": 4_321_000, "EAP_s2/P": 78_000}
    assert {register.name: (register.period, register.scope) for register in line.shot().registers} == {
        "EAP_s/HPE": ("HPE", "supplier"),
        "EAP_s/HCE": ("HCE", "supplier"),
        "EAP_s2/P": ("P", "distributor"),
    }
    assert (line.shot().resets, line.shot().held_back) == (0, 0)


def test_a_frame_tells_the_register_with_its_period_and_each_of_a_list() -> None:
    line = Line()
    frames: list[Any] = []
    line.book.on_frame = frames.append
    line.begin(ADS, ("PTCOUR1", b"HPE"), ("EAP_s", 9_649_000), ("PTCOUR2", b"P  "), ("EAP_s2", 77_000))
    line.begin(("JAUNE", b"10:29:26:08:12:DP:02345:80"), ("ENERG", b"012345:067890:111111:222222"))

    assert frames[1].registers == {"EAP_s/HPE": 9_649_000, "EAP_s2/P": 77_000}
    assert frames[3].registers == {"ENERG/1": 12_345_000, "ENERG/2": 67_890_000, "ENERG/3": 111_111_000, "ENERG/4": 222_222_000}


def test_a_count_whose_period_was_lost_is_left_out() -> None:
    line = Line().begin(ADS, ("PTCOUR1", b"HPE"), ("EAP_s", 9_649_000))
    line.frame(ADS, ("EAP_s", 4_321_000))

    assert line.registers() == {"EAP_s/HPE": 9_649_000}


def test_the_injection_of_an_ice_4q_has_periods_of_its_own() -> None:
    line = Line().begin(("PTCOUR", b"HPE"), ("EApHPE", 1_000), ("PTCOUR/INJECTION", b"4"), ("EApCour", 2_000))

    assert line.registers() == {"EApHPE": 1_000, "EApCour/4": 2_000}
    assert {register.direction for register in line.shot().registers if register.name == "EApCour/4"} == {"injected"}


def test_kilowatt_hours_may_come_all_at_once() -> None:
    """A step of 1000 Wh within a second is the resolution of the meter, not 3.6 MW."""
    line = Line().begin(ADS, ("EAp4SD", 123_000))
    line.frame(ADS, ("EAp4SD", 124_000))

    assert line.registers() == {"EAp4SD": 124_000}
    assert line.shot().held_back == 0


def test_the_groups_of_a_cje_are_unpacked() -> None:
    line = Line().begin(
        ("JAUNE", b"10:29:26:08:12:DP:02345:80"),
        ("ENERG", b"012345:067890:111111:222222"),
        ("PSOUSC", b"04200:04800"),
        ("TDEPA", b"00012"),
    )
    shot = line.shot()

    assert line.registers() == {"ENERG/1": 12_345_000, "ENERG/2": 67_890_000, "ENERG/3": 111_111_000, "ENERG/4": 222_222_000}
    assert dict(shot.quantities) == {"JAUNE": 23_450, "PSOUSC/1": 42_000, "PSOUSC/2": 48_000, "TDEPA/1": 12}
    assert dict(shot.texts) == {"PTCOUR": "HCE", "PREAVIS": "DEP"}
    assert shot.mode == "professional"


def test_the_power_of_a_cje_is_the_power_of_the_house() -> None:
    line = Line()
    for _ in range(5):
        line.frame(("JAUNE", b"10:29:26:08:12:  :02345:80"), ("ENERG", b"012345:067890:111111:222222"))

    assert line.shot().windows_va[0].max_w == pytest.approx(23_450, rel=0.01)


def test_a_notice_is_forgotten_when_it_is_no_longer_said() -> None:
    line = Line().frame(ADS, ("PREAVIS", b"DEP "), ("MODE", b"CONTROLE"), ("CONFIG", b"CONSO"), later_s=59)
    assert "PREAVIS" in dict(line.shot().texts)

    line.frame(ADS, ("CONFIG", b"CONSO"))

    assert dict(line.shot().texts) == {"CONFIG": "CONSO"}


def test_what_a_meter_says_while_it_tests_its_output_is_not_believed() -> None:
    """02E 2.9.3 (W): TRAME TEST begins a frame in which nothing is so, not even the address."""
    line = Line().begin(ADS, ("PTCOUR1", b"HPE"), ("EAP_s", 1_000))
    for period in (b"HPE", b"HCE", b"XXX"):
        line.frame(("TRAME", b"TEST"), ("ADS", b"000000000000"), ("PTCOUR1", period), ("PREAVIS", b"DEP"))

    shot = line.shot()
    assert (shot.address, dict(shot.texts)["PTCOUR1"]) == ("041436028024", "HPE")
    assert line.registers() == {"EAP_s/HPE": 1_000}
    line.frame(ADS, ("PTCOUR1", b"HCE"), ("EAP_s", 5_000))
    assert dict(line.shot().texts)["PTCOUR1"] == "HCE"


def test_registers_go_on_after_a_restart() -> None:
    line = Line().begin(ADS, ("PTCOUR1", b"HPE"), ("EAP_s", 9_649_000), ("EAp4SD", 5_000))
    for same_boot in (True, False):
        again = Line()
        again.book.restore(line.book.state(), same_boot)
        assert again.registers() == {"EAP_s/HPE": 9_649_000, "EAp4SD": 5_000}


def test_what_was_held_back_and_what_fell_is_counted_through_restarts_and_replacements() -> None:
    line = Line().begin(ADS, ("EAp4SD", 500_000_000))
    line.frame(ADS, ("EAp4SD", 900_000_000))  # not believed
    line.frame(ADS, ("EAp4SD", 500_000_000))
    line.frame(ADS, ("EAp4SD", 1_000)).frame(ADS, ("EAp4SD", 1_000))  # fell, and is confirmed
    assert (line.shot().held_back, line.shot().resets) == (2, 1)

    again = Line()
    again.book.restore(line.book.state(), same_boot=True)
    for _ in range(3):
        again.frame(("ADS", b"999999999999"), ("EAp4SD", 7))

    assert (again.shot().held_back, again.shot().resets) == (3, 1)  # once more before the other meter was believed
    assert again.registers() == {"EAp4SD": 7}


def every_household_register() -> Iterator[str]:
    return (field.label for field in FIELDS if field.role == REGISTER and field.scope == SUPPLIER)


def test_every_register_of_a_tariff_names_its_period() -> None:
    assert set(every_household_register()) <= set(WORDS_OF_PERIODS)
    assert WORDS_OF_PERIODS["BBRHPJR"] == "tempo_red_hp"
    assert WORDS_OF_PERIODS["EASF10"] == "10"
    assert WORDS_OF_PERIODS["EApDSM"] == "DSM"
