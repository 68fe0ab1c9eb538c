"""From the groups of a line to the ledger: what is held back on the way must not move energy from one day to another."""

import sys
from pathlib import Path

import pytest
from ledgerworld import World, at

sys.path.insert(0, str(Path(__file__).parents[1] / "aggregate"))
from test_meters import HISTORIQUE, Line

from energyd.units import NS_PER_S

ADCO = b"041876097514"


class House:
    """A real MeterBook between a line and a ledger; both clocks count from 1970."""

    def __init__(self, tmp_path):
        self.world, self.line = World(tmp_path), Line()
        self.world.ledger.follow({"linky": self.line.book})

    def says(self, at_s, hc_wh, hp_wh):
        self.line.now_ns = at_s * NS_PER_S
        self.world.clock.now_s = at_s
        self.line.frame(HISTORIQUE, ADCO=ADCO, OPTARIF=b"HC..", HCHC=hc_wh, HCHP=hp_wh, PTEC=b"HP..")
        self.world.ledger.flush()

    def listens(self, begin, end, hc_wh, hp_wh, power_w=1200):
        """A frame every two seconds of the first ten, then one a minute, drawing in HP."""
        begin_s, end_s = at(begin), at(end)
        for at_s in [*range(begin_s, begin_s + 10, 2), *range(begin_s + 60, end_s + 1, 60)]:
            self.says(at_s, hc_wh, hp_wh + power_w * (at_s - begin_s) // 3600)


@pytest.mark.parametrize("back", ["2026-06-10T00:00", "2026-06-10T00:01"])
def test_a_daemon_that_was_off_when_the_day_began_gives_yesterday_what_is_yesterdays(tmp_path, back):
    """Three hours without a reading: the first one waits for the second, and yet midnight has the first one's registers."""
    house = House(tmp_path)
    house.listens("2026-06-09T00:00", "2026-06-09T21:00", 1_000_000, 5_000_000)
    house.listens(back, "2026-06-10T02:00", 1_000_000, 5_000_000 + 24 * 1200)
    shown = house.world.stretches()
    assert shown["yesterday"] == (24 * 1200, True)
    assert shown["today"][0] == (at("2026-06-10T02:00") - at(back)) * 1200 // 3600


def test_a_corrupt_first_reading_of_all_is_in_no_ledger(tmp_path):
    house = House(tmp_path)
    house.says(at("2026-06-08T23:59") - 2, 1_000_000, 95_000_000)
    house.listens("2026-06-08T23:59", "2026-06-10T01:00", 1_000_000, 5_000_000)
    shown = house.world.stretches()
    assert shown["yesterday"] == (24 * 1200, True)
    assert house.line.shot().held_back == 1


def test_a_corrupt_first_reading_after_a_night_is_in_no_ledger(tmp_path):
    house = House(tmp_path)
    house.listens("2026-06-09T00:00", "2026-06-09T21:00", 1_000_000, 5_000_000)
    house.says(at("2026-06-10T05:00"), 1_000_000, 5_300_000)
    house.listens("2026-06-10T05:00", "2026-06-10T08:00", 1_000_000, 5_000_000 + 29 * 1200)
    shown = house.world.stretches()
    assert shown["yesterday"] == (24 * 1200, False)
    assert shown["today"] == (8 * 1200, False)
