import pytest
from batches import Batches

from energyd import samples, ticfields
from energyd.aggregate.meters import MeterBook
from energyd.units import NS_PER_S

HISTORIQUE, STANDARD = ticfields.HISTORIQUE, ticfields.STANDARD


class Line:
    """Says groups to a MeterBook as the decoder would write them."""

    def __init__(self, **settings):
        self.book = MeterBook("house", "meter", **settings)
        self.ring = Batches(samples.TIC)
        self.now_ns = 100 * NS_PER_S

    def say(self, mode, label, value=0, text=b""):
        field = ticfields.BY_LABEL[mode, label]
        pieces = [text[i : i + 16] for i in range(0, len(text), 16)] or [b""]
        for piece in pieces[:-1]:
            self.ring.add(field.id, self.now_ns, (value, 0, piece), samples.CONTINUED)
        self.ring.add(field.id, self.now_ns, (value, 0, pieces[-1]), samples.LAST)
        self.ring.next_batch()

    def frame(self, mode, **groups):
        for label, value in groups.items():
            if isinstance(value, bytes):
                self.say(mode, label, text=value)
            else:
                self.say(mode, label, value)
        self.ring.service(samples.FRAME, self.now_ns, (len(groups), 0, 0, 0), samples.LAST)
        self.ring.next_batch()
        self.now_ns += 2 * NS_PER_S
        self.book.fold(self.ring.take())

    def begin(self, mode, **groups):
        """The first frame twice: a register is believed when the next reading confirms it."""
        self.frame(mode, **groups)
        self.frame(mode, **groups)

    def shot(self, later_s=0):
        return self.book.snapshot(self.now_ns + later_s * NS_PER_S)


def registers(meter):
    return {register.name: register.energy_wh for register in meter.registers}


def test_a_frame_becomes_registers_quantities_and_texts():
    line = Line()
    line.begin(HISTORIQUE, ADCO=b"012345678901", OPTARIF=b"HC..", HCHC=1234, HCHP=5678, PAPP=1200, PTEC=b"HP..")
    meter = line.shot()
    assert (meter.address, meter.mode, meter.link_up) == ("012345678901", "historique", True)
    assert registers(meter) == {"HCHC": 1234, "HCHP": 5678}
    assert dict(meter.quantities) == {"PAPP": 1200}
    assert dict(meter.texts) == {"OPTARIF": "HC..", "PTEC": "HP.."}


def test_a_text_longer_than_a_record_comes_back_whole():
    line = Line()
    message = b"PAS DE          MESSAGE         "
    line.frame(STANDARD, ADSC=b"041876123456", MSG1=message)
    assert dict(line.shot().texts)["MSG1"] == message.decode().rstrip()


def test_a_frame_without_indexes_leaves_the_registers_as_they_were():
    line = Line()
    line.begin(HISTORIQUE, ADCO=b"012345678901", BASE=777)
    for _ in range(20):
        line.frame(HISTORIQUE, ADIR1=35, ADCO=b"012345678901", IINST1=35)
    assert registers(line.shot()) == {"BASE": 777}


def test_the_link_is_down_ten_seconds_after_the_last_good_frame():
    line = Line()
    line.frame(HISTORIQUE, ADCO=b"012345678901", BASE=1)
    assert line.shot(later_s=7).link_up
    assert not line.shot(later_s=9).link_up


def test_quantities_of_a_silent_meter_vanish_and_its_registers_stay():
    line = Line()
    line.begin(HISTORIQUE, ADCO=b"012345678901", BASE=5, PAPP=300)
    later = line.shot(later_s=120)
    assert later.quantities == ()
    assert registers(later) == {"BASE": 5}


def test_one_corrupt_address_resets_nothing_and_another_meter_starts_its_own_registers():
    line = Line()
    line.begin(HISTORIQUE, ADCO=b"012345678901", BASE=900)
    line.frame(HISTORIQUE, ADCO=b"012345678801", BASE=901)
    line.frame(HISTORIQUE, ADCO=b"012345678901", BASE=902)
    assert registers(line.shot()) == {"BASE": 902}
    line.frame(HISTORIQUE, ADCO=b"099999999999", BASE=903)
    line.begin(HISTORIQUE, ADCO=b"099999999999", BASE=12)
    assert (line.shot().address, registers(line.shot())) == ("099999999999", {"BASE": 12})


def test_registers_survive_a_restart_and_a_reboot():
    line = Line()
    line.begin(STANDARD, ADSC=b"041876123456", EAST=4000, EASF01=1500, EASF02=2500)
    for same_boot in (True, False):
        again = Line()
        again.book.restore(line.book.state(), same_boot)
        assert registers(again.shot()) == {"EAST": 4000, "EASF01": 1500, "EASF02": 2500}


def test_a_wild_register_is_not_shown():
    line = Line()
    line.begin(STANDARD, ADSC=b"041876123456", EAST=4000)
    line.frame(STANDARD, ADSC=b"041876123456", EAST=804000)
    assert registers(line.shot()) == {"EAST": 4000}


@pytest.mark.parametrize(
    ("label", "scope", "direction"),
    [("EAST", "total", "consumed"), ("EAIT", "total", "injected"), ("EASD01", "distributor", "consumed")],
)
def test_registers_say_which_of_them_may_be_added(label, scope, direction):
    line = Line()
    line.begin(STANDARD, ADSC=b"041876123456", **{label: 5})
    [register] = line.shot().registers
    assert (register.scope, register.direction) == (scope, direction)


def test_a_field_that_nobody_knows_is_passed_over():
    line = Line()
    line.ring.add(999, line.now_ns, (1, 0, b""), samples.LAST)
    line.begin(HISTORIQUE, ADCO=b"012345678901", BASE=5)
    assert registers(line.shot()) == {"BASE": 5}


@pytest.mark.parametrize(("settings", "up_s"), [({}, 10), ({"link_timeout_s": 30.0}, 30)])
def test_a_link_is_up_for_as_long_after_a_good_frame_as_is_configured(settings, up_s):
    line = Line(**settings)
    line.frame(HISTORIQUE, ADCO=b"012345678901", BASE=5)
    assert line.shot(later_s=up_s - 2).link_up
    assert not line.shot(later_s=up_s - 1).link_up


def test_a_meter_whose_output_sleeps_has_no_link():
    """54E 9.4: frames that hold nothing but the address."""
    line = Line()
    line.frame(HISTORIQUE, ADCO=b"012345678901")
    assert not line.shot().link_up


def test_a_warning_of_an_overload_ends_sooner_than_other_quantities():
    """ADIR stands in 20 of 21 frames while it lasts (02E 2.5.2)."""
    line = Line()
    line.frame(HISTORIQUE, ADIR1=61, ADCO=b"012345678901", IINST1=61)
    assert {"ADIR1", "IINST1"} <= set(dict(line.shot(later_s=8).quantities))
    assert "ADIR1" not in dict(line.shot(later_s=9).quantities)
    assert "IINST1" in dict(line.shot(later_s=50).quantities)


def test_what_a_meter_dates_has_its_time():
    line = Line()
    field = ticfields.BY_LABEL[STANDARD, "SMAXSN"]
    line.ring.add(field.id, line.now_ns, (4321, 1677658714, b""), samples.LAST | samples.DEGRADED)
    line.ring.next_batch()
    line.frame(STANDARD, ADSC=b"041876123456")
    [stamp] = line.shot().stamps
    assert stamp == ("SMAXSN", 1677658714, 2 * NS_PER_S, True)
    assert line.shot(later_s=60).stamps == ()


def test_the_announcement_of_a_mobile_peak_is_forgotten_when_it_is_no_longer_said():
    line = Line()
    line.frame(STANDARD, ADSC=b"041876123456", DPM1=b"00", PPOINTE=b"x" * 98, MSG1=b"PAS DE MESSAGE")
    assert {"DPM1", "PPOINTE", "MSG1"} <= set(dict(line.shot().texts))
    assert set(dict(line.shot(later_s=59).texts)) == {"MSG1"}
