"""The files that Enedis lets its customers download; the tables are made here after the published shapes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgerworld import PARIS, at, midnight

from energyd.ledger.enedis import Download, NotUnderstood, parse
from energyd.ledger.store import Interval, Peak

HEAD = "Identifiant PRM;Type de donnees;Date de debut;Date de fin;Grandeur physique;Grandeur metier;Etape metier;Unite"
INDEXES = f"""\ufeff{HEAD}
12345678901234;Index;01/02/2025;10/02/2025;Energie active;Consommation;Comptage Brut;Wh

Horodate;Type de releve;EAS F1;EAS F2;EAS F3;EAS D1;EAS T
2025-02-02T00:00:00+01:00;Arrêté quotidien;1000;2000;;2500;3000
2025-02-03T00:00:00+01:00;Arrêté quotidien;1100;2300;;2600;3400
2025-02-04T00:00:00+01:00;Arrêté quotidien;;;;;
Periode;Identifiant calendrier fournisseur;Libelle calendrier fournisseur
Du 2025-02-02T00:00:00+01:00 au;AA000000;Option Heures Creuses
"""
CURVE = f"""{HEAD};Pas en minutes
12345678901234;Courbe de charge;07/06/2025;08/06/2025;Energie active;Consommation;Comptage Brut;W;
Horodate;Valeur
2025-06-07T00:30:00+02:00;1345
2025-06-07T01:00:00+02:00;
2025-06-07T01:30:00+02:00;201
2025-06-07T01:40:00+02:00;600
2025-06-07T01:50:00+02:00;600
"""


def only(download):
    (interval,) = download.intervals
    return interval


def test_indexes_become_readings_of_registers_and_an_empty_one_is_not_known():
    assert parse(INDEXES, PARIS) == Download(
        "12345678901234",
        (
            (midnight("2025-02-02"), {"EASF01": 1000, "EASF02": 2000, "EASD01": 2500, "EAST": 3000}),
            (midnight("2025-02-03"), {"EASF01": 1100, "EASF02": 2300, "EASD01": 2600, "EAST": 3400}),
        ),
        (),
        (),
    )


def test_a_load_curve_is_mean_power_over_the_step_that_ends_at_its_time():
    begin_s = midnight("2025-06-07")
    assert parse(CURVE, PARIS).intervals == (
        Interval("consumed", begin_s, begin_s + 1800, 1345 * 1800),
        Interval("consumed", begin_s + 3600, begin_s + 5400, 201 * 1800),
        Interval("consumed", begin_s + 5400, begin_s + 6000, 600 * 600),
        Interval("consumed", begin_s + 6000, begin_s + 6600, 600 * 600),
    )


def test_the_step_that_the_head_gives_needs_no_neighbour():
    text = (
        CURVE.split("Horodate", maxsplit=1)[0].replace("Brut;W;", "Brut;W;60") + "Horodate;Valeur\n2025-06-07T01:00:00+02:00;500\n"
    )
    assert only(parse(text, PARIS)) == Interval("consumed", midnight("2025-06-07"), midnight("2025-06-07") + 3600, 500 * 3600)


def test_a_single_point_without_a_step_is_named_by_its_line():
    with pytest.raises(NotUnderstood, match="line 4: no neighbour tells how long this step is"):
        parse("\n".join(CURVE.splitlines()[:4]), PARIS)


def test_daily_energies_of_either_unit_and_date():
    iso = f"{HEAD}\n12345678901234;Injection quotidienne;01/06/2026;03/06/2026\n\nDate;Valeur (en Wh)\n2026-06-01;12571\n"
    assert only(parse(iso, PARIS)) == Interval("injected", midnight("2026-06-01"), midnight("2026-06-02"), 12571 * 3600)
    french = "Date;Consommation (en kWh)\n25/10/2026;12,5\n26/10/2026;\n"
    assert only(parse(french, PARIS)) == Interval("consumed", midnight("2026-10-25"), midnight("2026-10-26"), 12500 * 3600)
    assert midnight("2026-10-26") - midnight("2026-10-25") == 25 * 3600


def test_stretches_in_local_time_across_the_hour_that_comes_twice():
    rows = ["26/10/2025 01:30:00;26/10/2025 02:00:00;1,000", "26/10/2025 02:00:00;26/10/2025 02:30:00;2,000"]
    rows += ["26/10/2025 02:30:00;26/10/2025 03:00:00;3,000"]
    first = parse("Début;Fin;Valeur (en Kw)\n" + "\n".join(rows[:2]), PARIS).intervals
    assert [interval.energy_j for interval in first] == [1000 * 1800, 2000 * 1800]
    twice = ["26/10/2025 02:00:00;26/10/2025 02:30:00;2,000", "26/10/2025 02:30:00;26/10/2025 02:00:00;3,000"]
    twice += ["26/10/2025 02:00:00;26/10/2025 02:30:00;4,000"]
    with pytest.raises(NotUnderstood, match="line 3: ends before it begins"):
        parse("Début;Fin;Valeur (en Kw)\n" + "\n".join(twice), PARIS)
    again = ["26/10/2025 02:00:00;26/10/2025 02:30:00;2,000", "26/10/2025 02:00:00;26/10/2025 02:30:00;4,000"]
    early, late = parse("Début;Fin;Valeur (en kW)\n" + "\n".join(again), PARIS).intervals
    assert late.begin_s - early.begin_s == 3600


def test_peaks_of_days():
    text = f"{HEAD}\n12345678901234;Puissance maximale quotidienne;30/03/2026;31/03/2026;Puissance maximale;Consommation;;VA\n"
    text += "Horodate;Valeur\n2026-03-30T19:32:00+02:00;6120\n2026-03-31T00:00:00+02:00;\n"
    assert parse(text, PARIS).peaks == (Peak("2026-03-30", "consumed", 6120, at("2026-03-30T19:32"), True),)


def test_several_tables_in_one_file():
    both = parse(INDEXES + "\n" + CURVE, PARIS)
    assert len(both.readings) == 2
    assert len(both.intervals) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no table of Enedis in it"),
        ("a;b\n1;2\n", "no table of Enedis in it"),
        ("Date;Valeur\n2026-06-01;5\n", "line 2: a table of an unknown kind without a unit that is known"),
        ("Date;Valeur (en Wh)\nyesterday 5;5\n", "line 2: 'yesterday 5' is no date or time"),
        ("Date;Valeur (en Wh)\n2026-06-01;-5\n", "line 2: '-5' is no energy and no power"),
        ("Date;Valeur (en Wh)\n2026-06-01;much\n", "line 2: 'much' is no energy and no power"),
        ("Date;Valeur (en Wh)\n2026-06-01;NaN\n", "line 2: 'NaN' is no energy and no power"),
        ("Début;Fin;Valeur (en kW)\n01/06/2026;01/06/2027;5\n", "line 2: ends before it begins, or after more than a day"),
        ("Date;Valeur (en Wh)\n99/06/2026;5\n", "line 2: '99/06/2026' is no date or time"),
        ("Date;Valeur (en Wh)\n01/06/2026 a:b;5\n", "line 2: '01/06/2026 a:b' is no date or time"),
    ],
)
def test_what_cannot_be_understood_is_named_by_its_line(text, message):
    with pytest.raises(NotUnderstood, match=message):
        parse(text, PARIS)


@given(
    text=st.one_of(st.text(), st.lists(st.sampled_from([*INDEXES.splitlines(), *CURVE.splitlines(), ";;;", "x;1"])).map("\n".join))
)
def test_any_text_is_read_or_refused(text):
    try:
        download = parse(text, PARIS)
    except NotUnderstood:
        return
    assert all(interval.end_s > interval.begin_s and interval.energy_j >= 0 for interval in download.intervals)
