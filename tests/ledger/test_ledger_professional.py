"""Meters of firms in the ledger: their registers by tariff period, what they cost, and meters that have no address."""

import pytest
from ledgerworld import PARIS, World, at, midnight

from energyd import ticfields
from energyd.config import Meter, Tariff
from energyd.ledger.history import DAY, History
from energyd.ledger.ledger import path_of
from energyd.ledger.periods import active_register, contract_of, is_off_peak, period_of
from energyd.ledger.store import Store
from energyd.ticprofessional import FIELDS

WORKS = (Meter("works", "/dev/null"),)
PRICES = Tariff("firm", "2026-01-01", prices=(("hpe", 0.20), ("EAP_s/HCE", 0.10)))


def two_days_of_a_pme_pmi(world, **more):
    """10 kW from 06:00 to 22:00 in the register of HPE, 5 kW at night in that of HCE; each is heard while it counts."""
    counted = {"HPE": 9_649_000, "HCE": 4_321_000}
    for at_s in range(midnight("2026-06-09"), midnight("2026-06-11") + 1, 600):
        local = PARIS.local(at_s)
        period = "HPE" if 6 <= local.hour < 22 else "HCE"
        said = {f"EAP_s/{period}": counted[period], "EAP_s2/P": 10 * (counted["HPE"] + counted["HCE"])}
        texts = {"PTCOUR1": period, "MESURES1": "BT 4 SUP36"}
        world.frame(at_s, said, meter="works", mode="professional", texts=texts, **more)
        counted[period] += 1_666 if period == "HPE" else 833
    return counted


def test_a_day_is_told_by_tariff_period_and_each_has_its_price(tmp_path):
    world = World(tmp_path, meters=WORKS, tariffs=(PRICES,))
    two_days_of_a_pme_pmi(world)
    meter = world.view().meters[0]
    stretches = {stretch.name: stretch for stretch in meter.stretches}
    yesterday = {energy.tariff: energy.energy_wh for energy in stretches["yesterday"].energies}

    assert yesterday["hpe"] == pytest.approx(16 * 6 * 1_666, abs=2 * 1_666)
    assert yesterday["hce"] == pytest.approx(8 * 6 * 833, abs=2 * 1_666)
    assert stretches["yesterday"].complete, "a change of period is no begin of another account"
    assert stretches["yesterday"].cost_neur == yesterday["hpe"] * 200_000 + yesterday["hce"] * 100_000
    assert (meter.contract, meter.price_neur_per_wh) == ("bt_4_sup36", 100_000)


def test_what_was_counted_in_two_days_is_the_difference_of_the_registers(tmp_path):
    world = World(tmp_path, meters=WORKS)
    two_days_of_a_pme_pmi(world)
    world.ledger.close()
    store = Store(path_of(world.config), readonly=True)
    history = History(store, world.config, midnight("2026-06-11"))
    first, second = history.entries(DAY, PARIS.day_of(midnight("2026-06-09")), PARIS.day_of(midnight("2026-06-10")))

    counted = {name: first.registers[name] + second.registers[name] for name in ("EAP_s/HPE", "EAP_s/HCE")}
    assert counted == {"EAP_s/HPE": (2 * 16 * 6 - 1) * 1_666, "EAP_s/HCE": 2 * 8 * 6 * 833}
    assert first.consumed_wh == first.registers["EAP_s/HPE"] + first.registers["EAP_s/HCE"], "EAP_s2 counts the same again"
    assert set(first.tariffs) == {"hpe", "hce"}


def test_a_meter_without_an_address_is_kept_under_its_name(tmp_path):
    world = World(tmp_path, meters=WORKS)
    two_days_of_a_pme_pmi(world, address="")
    assert world.stretches()["yesterday"][1]
    [row] = Store(path_of(world.config), readonly=True).meters()
    assert (row.address, row.name) == ("works (unnamed)", "works")


def test_a_household_meter_without_an_address_is_not_believed(tmp_path):
    world = World(tmp_path)
    world.frame(at("2026-06-09T12:00"), {"HCHP": 5}, address="")
    assert world.view().meters[0].stretches == ()


def test_the_highest_power_of_a_cje_is_that_of_its_head(tmp_path):
    world = World(tmp_path, meters=WORKS)
    for hour, power_va in ((10, 23_450), (11, 19_000)):
        said = {"ENERG/1": 12_345_000, "ENERG/2": 67_890_000}
        world.frame(
            at(f"2026-06-09T{hour}:00"), said, meter="works", address="", mode="professional", texts={"PTCOUR": "HCE"},
            quantities={"JAUNE": power_va},
        )  # fmt: skip
    assert [(peak.day, peak.power_va) for peak in world.view().meters[0].peaks] == [("today", 23_450)]


@pytest.mark.parametrize(
    ("texts", "register"),
    [
        ({"PTCOUR1": "HPE", "PTCOUR2": "P  "}, "EAP_s/HPE"),
        ({"PTCOUR": "HCH"}, "EApHCH"),
        ({"PTCOURF": "HPE", "LIB_p1F": "HCE", "LIB_p2F": "HPE"}, "EAp2SF"),
        ({"PTCOURF": "HPE"}, ""),
        ({"PTCOUR": "24"}, ""),
    ],
)
def test_the_register_that_counts_is_named_by_the_period_in_force(texts, register):
    assert active_register(texts, {}) == register


@pytest.mark.parametrize(
    ("register", "period"),
    [("EApHPE", "hpe"), ("EAP_s/HPE", "hpe"), ("EAp3SF", "3"), ("ENERG/2", "2"), ("EApCour/4", "injected"), ("EAST", "")],
)
def test_the_period_of_a_register_is_what_the_meter_calls_it(register, period):
    assert period_of(register, "", {}) == period


def test_the_contract_is_told_in_the_meters_words():
    assert contract_of({"CONTRAT": "BASE_A5"}) == "base_a5"
    assert contract_of({"GRILLE_F": "HTA 5"}) == "hta_5"


def test_off_peak_hours_of_all_seasons_are_off_peak():
    assert {period for period in ticfields.PROFESSIONAL_PERIODS if is_off_peak(period.lower())} == {"HCE", "HCH", "HCD"}


def test_every_supplied_register_can_have_a_price():
    for field in FIELDS:
        if field.role == ticfields.REGISTER and field.scope == ticfields.SUPPLIER:
            assert any(key.partition("/")[0] == field.label for key in ticfields.PRICE_KEYS), field.label
