"""What a register counts, in words of both modes."""

import pytest

from energyd import ticfields
from energyd.ledger.periods import (
    active_register,
    consumed_wh,
    contract_of,
    injected_wh,
    is_injected,
    is_off_peak,
    is_supplied,
    period_of,
    period_of_words,
)


@pytest.mark.parametrize(
    ("texts", "contract"),
    [
        ({"OPTARIF": "BASE"}, "base"),
        ({"OPTARIF": "HC.."}, "hc_hp"),
        ({"OPTARIF": "EJP."}, "ejp"),
        ({"OPTARIF": "BBR("}, "tempo"),
        ({"NGTF": "      BASE      "}, "base"),
        ({"NGTF": "H PLEINE/CREUSE "}, "hc_hp"),
        ({"NGTF": "     TEMPO      "}, "tempo"),
        ({"NGTF": "      EJP       "}, "ejp"),
        ({"NGTF": "HC + WEEK-END"}, "weekend"),
        ({"NGTF": " Zen Flex+ "}, "zen_flex"),
        ({}, ""),
    ],
)
def test_the_contract_is_what_the_meter_calls_it(texts, contract):
    assert contract_of(texts) == contract


@pytest.mark.parametrize(
    ("words", "period"),
    [
        ("      BASE      ", "base"),
        (" HEURE  CREUSE  ", "hc"),
        (" HEURE  PLEINE  ", "hp"),
        ("    HP  BLEU    ", "tempo_blue_hp"),
        ("    HC  BLANC   ", "tempo_white_hc"),
        ("    HP  ROUGE   ", "tempo_red_hp"),
        ("HEURE NORMALE", "ejp_normal"),
        ("POINTE MOBILE", "ejp_peak"),
        ("WEEK-END", "weekend"),
        ("HC WEEK-END", "weekend_hc"),
        ("HEURES PLEINES WEEK-END", "weekend_hp"),
        ("INDEX NON CONSO", ""),
        ("ROUGE", ""),
    ],
)
def test_the_period_is_what_the_meter_calls_it(words, period):
    assert period_of_words(words) == period
    assert period in (*ticfields.PERIODS, "")


def test_the_register_that_counts():
    assert active_register({"PTEC": "HPJR"}, {}) == "BBRHPJR"
    assert active_register({"PTEC": "HC.."}, {}) == "HCHC"
    assert active_register({"PTEC": "PM.."}, {}) == "EJPHPM"
    assert active_register({}, {"NTARF": 3}) == "EASF03"
    assert active_register({}, {}) == ""
    assert active_register({"PTEC": "????"}, {}) == ""


def test_every_register_of_the_historique_mode_has_a_period_of_its_own():
    labels = [f.label for f in ticfields.FIELDS if f.role == ticfields.REGISTER and f.mode == ticfields.HISTORIQUE]
    periods = [period_of(label, "", {}) for label in labels]
    assert set(periods) < set(ticfields.PERIODS)
    assert len(set(periods)) == len(labels)


def test_registers_of_the_standard_mode_follow_the_calendar_until_the_meter_names_them():
    assert [period_of(f"EASF{n:02}", "tempo", {}) for n in (1, 2, 6)] == ["tempo_blue_hc", "tempo_blue_hp", "tempo_red_hp"]
    assert [period_of(f"EASF{n:02}", "hc_hp", {}) for n in (1, 2, 3)] == ["hc", "hp", ""]
    assert period_of("EASF02", "hc_hp", {"EASF02": "weekend_hc"}) == "weekend_hc"
    assert period_of("EASF01", "zen_flex", {}) == ""
    assert period_of("EAIT", "hc_hp", {}) == "injected"


def test_off_peak_is_what_is_called_so():
    off_peak = {period for period in ticfields.PERIODS if is_off_peak(period)}
    assert off_peak == {"hc", "tempo_blue_hc", "tempo_white_hc", "tempo_red_hc", "weekend_hc"}


def test_no_watt_hour_is_in_a_sum_twice():
    registers = {"EAST": 10, "EASF01": 4, "EASF02": 6, "EASD01": 10, "EAIT": 3}
    assert consumed_wh(registers) == 10
    assert injected_wh(registers) == 3
    assert consumed_wh({"EAST": 10, "EASD01": 10}) == 10, "a meter that says no other"
    assert injected_wh({"HCHC": 1}) is None
    assert is_supplied("EAP_s/PM")
    assert is_supplied("EApHPE")
    assert not is_supplied("EAP_s2/PM"), "the second calendar counts the same again"
    assert is_injected("EAp1ID")


def test_every_price_key_is_a_register_that_counts_once_or_a_period():
    periods = {*ticfields.PERIODS, *(period.lower() for period in ticfields.PROFESSIONAL_PERIODS)}
    for key in ticfields.PRICE_KEYS:
        assert key in periods or is_supplied(key) or is_injected(key), key
