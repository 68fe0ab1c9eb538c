"""The share that a host lends its guests, read back by energyd's own reader of powercap trees."""

from pathlib import Path

import pytest

from energyd.aggregate.snapshot import Group
from energyd.export.guests import RANGE_UJ, Guests, directory_name
from energyd.powercap.advice import explain
from energyd.powercap.choice import Choice
from energyd.powercap.rapl import Rapl
from energyd.powercap.sensor import NO_CHANGE, RESCAN_NS, Sensor


def group(name, energy_uj, kind="vm"):
    return Group(kind, name, kind, "qemu", energy_uj, 1.0, 0, 1, None)


class Guest:
    """What a guest sees of the directory that is mounted into it."""

    def __init__(self, root):
        self.now_ns = 0
        self.root = str(root)
        self.sensor = Sensor([Rapl(self.root, "GenuineIntel")], Choice(["auto"]), lambda: self.now_ns)

    def rescan(self):
        self.now_ns += RESCAN_NS
        return self.sensor.rescan()

    def read(self):
        numbers = {zone.name: number for number, zone in enumerate(self.sensor.zones)}
        return [(payload[0], status) for _, _, payload, status in self.sensor.sweep(numbers)]


@pytest.fixture
def guests(tmp_path):
    guests = Guests(tmp_path / "guests", "lent")
    yield guests
    guests.close()


@pytest.fixture
def guest(tmp_path):
    guest = Guest(tmp_path / "guests" / "web1")
    yield guest
    guest.sensor.close()


def test_a_guest_reads_the_microjoules_of_its_group(guests, guest):
    guests.update([group("web1", 5), group("web2", 9_000_000), group("nginx.service", 7, "unit")])
    guest.rescan()
    assert guest.read() == [(5, 0)]

    for energy_uj in (6, 123_456_789_012_345, RANGE_UJ, RANGE_UJ + 1, RANGE_UJ + 8):
        assert guests.update([group("web1", energy_uj)]) == []
        assert guest.read() == [(energy_uj % (RANGE_UJ + 1), 0)]


def test_only_machines_get_a_tree(guests, tmp_path):
    guests.update([group("web1", 5), group("nginx.service", 7, "unit"), group("web", 8, "container")])

    assert [path.name for path in (tmp_path / "guests").iterdir()] == ["web1"]


def test_in_the_guest_it_is_the_host_and_is_said_to_be_lent(guests, guest):
    guests.update([group("web1", 5)])
    (zone,) = guest.rescan().appeared

    assert (zone.name, zone.source, zone.additive, zone.range_uj) == ("package-0", "lent", True, RANGE_UJ)
    assert explain(guest.sensor.zones, guest.root, "/proc") == []


def test_what_a_simulated_host_lends_is_simulated(tmp_path, guest):
    Guests(tmp_path / "guests", "simulated").update([group("web1", 5)])

    assert [zone.source for zone in guest.rescan().appeared] == ["simulated"]


def test_an_open_counter_goes_on_through_a_restart_of_the_host(guests, guest, tmp_path):
    guests.update([group("web1", 5)])
    guest.rescan()
    guests.close()
    again = Guests(tmp_path / "guests", "lent")
    again.update([group("web1", 17)])

    assert guest.read() == [(17, 0)]
    assert guest.rescan() == NO_CHANGE
    again.close()


def test_a_number_is_never_torn(guests, guest):
    """Each reading is one whole number of those that were written, whatever their lengths."""
    guests.update([group("web1", 0)])
    guest.rescan()
    path = Path(guest.root) / "intel-rapl:0" / "energy_uj"
    for energy_uj in (9, 10, 99_999, 3, RANGE_UJ):
        guests.update([group("web1", energy_uj)])
        assert path.stat().st_size == 16
        assert guest.read() == [(energy_uj, 0)]


@pytest.mark.parametrize(("name", "directory"), [("web1", "web1"), ("a/b", "a_b"), ("..", "_."), (".x", "_x"), ("", "_")])
def test_no_name_of_a_machine_leads_out_of_the_directory(name, directory):
    assert directory_name(name) == directory


def test_a_directory_that_cannot_be_made_is_told_and_tried_again(tmp_path):
    (tmp_path / "guests").write_text("")
    guests = Guests(tmp_path / "guests", "lent")

    (fault,) = guests.update([group("web1", 5)])
    assert "energy.guests_dir must be writable" in fault
    (tmp_path / "guests").unlink()
    assert guests.update([group("web1", 5)]) == []
    guests.close()
