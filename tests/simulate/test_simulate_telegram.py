"""The groups of a frame: those of a single-phase Linky, in its order, with its widths, saying what the house does."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from energyd.simulate import frames, memory
from energyd.simulate.frames import HISTORIQUE, STANDARD
from energyd.simulate.registers import Registers
from energyd.simulate.telegram import Meter, groups, horodate, registers_of

SHARED = Path(__file__).parents[3] / "shared"
METER = {
    contract: Meter(serial="041876097514", prm="09876543210123", contract=contract, subscribed_kva=9)
    for contract in ("BASE", "HCHP", "TEMPO")
}


def utc_ns(*fields):
    return int(datetime(*fields, tzinfo=UTC).timestamp()) * 10**9


NOON, NIGHT = utc_ns(2026, 1, 15, 11, 0, 7), utc_ns(2026, 1, 15, 23, 59, 59)


def said(contract, mode, at_ns=NOON, power="curve"):
    """{label: group} of the frame that the meter of a contract begins at `at_ns`."""
    settings = memory.Settings(METER[contract].serial, contract, power, seed=1)
    dwelling = memory.house(settings)
    reading = Registers(dwelling, at_ns - 10**9, memory.first_cells(settings)).read(at_ns)
    found = groups(METER[contract], dwelling, reading, mode)
    assert len({group.label for group in found}) == len(found), "a label is said once a frame"
    return {group.label: group for group in found}


@pytest.mark.parametrize("name", ["std_mono_enedis_official.txt", "std_mono_base_13frames.bin"])
def test_a_standard_frame_has_the_groups_of_a_real_one_in_its_order(name):
    path = SHARED / "fixtures" / "tic" / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    frame = next(part for part in path.read_bytes().split(b"\x02")[1:] if b"\x03" in part)
    real = [(run.split(b"\t")[0].decode(), len(run)) for run in frames.split_groups(frame)]
    ours = [(group.label, len(frames.encode(group, STANDARD)) - 2) for group in said("HCHP", STANDARD).values()]
    assert ours == real
    assert len(ours) == 38


@pytest.mark.parametrize(
    ("contract", "labels"),
    [
        ("BASE", "ADCO OPTARIF ISOUSC BASE PTEC IINST IMAX PAPP HHPHC MOTDETAT"),
        ("HCHP", "ADCO OPTARIF ISOUSC HCHC HCHP PTEC IINST IMAX PAPP HHPHC MOTDETAT"),
        (
            "TEMPO",
            "ADCO OPTARIF ISOUSC BBRHCJB BBRHPJB BBRHCJW BBRHPJW BBRHCJR BBRHPJR PTEC DEMAIN IINST IMAX PAPP HHPHC MOTDETAT",
        ),
    ],
)
def test_a_historique_frame_has_the_groups_of_its_contract(contract, labels):
    assert " ".join(said(contract, HISTORIQUE)) == labels


@pytest.mark.parametrize("mode", [HISTORIQUE, STANDARD], ids=lambda mode: mode.name)
@pytest.mark.parametrize("contract", METER)
@pytest.mark.parametrize("power", ["curve", "constant:0", "constant:23000", "constant:99999999"])
def test_every_value_has_the_width_of_the_specification(contract, mode, power):
    """Even where the house draws more than the digits can show; and every group verifies."""
    table = SHARED / "reference" / "tic_labels.json"
    if not table.exists():
        pytest.skip(f"{table} is not there")
    specified = {row["label"]: row for row in json.loads(table.read_text()) if row["mode"] == mode.name}
    for label, group in said(contract, mode, power=power).items():
        assert len(group.data) == specified[label]["width"], label
        assert (group.horodate is not None) == specified[label]["horodate"], label
        assert group.horodate is None or len(group.horodate) == 13
        assert frames.verifies(frames.encode(group, mode)[1:-1], mode)


def test_values_are_those_of_the_house():
    """2.306 kW: 10 A at the voltage that is shown, rounded to 10 VA in historique, exact in standard."""
    historique, standard = said("HCHP", HISTORIQUE, power="constant:2306"), said("HCHP", STANDARD, power="constant:2306")
    assert historique["PAPP"].data == "02310"
    assert standard["SINSTS"].data == "02306"
    assert int(standard["IRMS1"].data) == round(2306 / int(standard["URMS1"].data)) == int(historique["IINST"].data)
    assert standard["CCASN"].data == standard["CCASN-1"].data == "02306"
    assert standard["SMAXSN"].data == standard["SMAXSN-1"].data == "02306"
    assert historique["ISOUSC"].data == "45"


def test_horodates_are_local_and_name_the_season():
    """12:00:07 in winter is 11:00:07 UTC; the load curve points end on the half-hour, the mean voltage on ten minutes."""
    standard = said("HCHP", STANDARD)
    assert standard["DATE"].horodate == "H260115120007"
    assert standard["CCASN"].horodate == "H260115120000"
    assert standard["CCASN-1"].horodate == "H260115113000"
    assert standard["UMOY1"].horodate == "H260115120000"
    assert standard["SMAXSN-1"].horodate.startswith("H260114")
    calendar = memory.house(memory.Settings("0", "BASE", "curve", 1)).calendar
    assert horodate(calendar, utc_ns(2026, 3, 29, 0, 59, 59)) == "H260329015959"
    assert horodate(calendar, utc_ns(2026, 3, 29, 1)) == "E260329030000"
    assert horodate(calendar, utc_ns(2026, 10, 25, 0, 30)) == "E261025023000"
    assert horodate(calendar, utc_ns(2026, 10, 25, 1, 30)) == "H261025023000"


def test_the_tariff_in_force_is_said_in_every_place():
    peak, off_peak = said("HCHP", STANDARD), said("HCHP", STANDARD, NIGHT)
    assert (peak["NTARF"].data, peak["LTARF"].data) == ("02", " HEURE  PLEINE  ")
    assert (off_peak["NTARF"].data, off_peak["LTARF"].data) == ("01", " HEURE  CREUSE  ")
    assert int(peak["STGE"].data, 16) >> 10 & 0xF == 1
    assert int(off_peak["STGE"].data, 16) >> 10 & 0xF == 0
    assert said("HCHP", HISTORIQUE)["PTEC"].data == "HP.."
    assert said("HCHP", HISTORIQUE, NIGHT)["PTEC"].data == "HC.."
    assert said("BASE", HISTORIQUE)["PTEC"].data == "TH.."
    assert said("TEMPO", HISTORIQUE)["PTEC"].data in {"HPJB", "HPJW", "HPJR"}
    assert said("TEMPO", HISTORIQUE)["DEMAIN"].data == "----"
    assert said("TEMPO", HISTORIQUE, NIGHT)["DEMAIN"].data in {"BLEU", "BLAN", "ROUG"}


def test_an_overload_is_said():
    """More than the subscribed power: ADPS in historique, bit 7 of the status word in standard; otherwise neither."""
    assert (
        said("HCHP", HISTORIQUE, power="constant:12000")["ADPS"].data
        == said("HCHP", HISTORIQUE, power="constant:12000")["IINST"].data
    )
    assert "ADPS" not in said("HCHP", HISTORIQUE)
    assert int(said("HCHP", STANDARD, power="constant:12000")["STGE"].data, 16) >> 7 & 1
    assert not int(said("HCHP", STANDARD)["STGE"].data, 16) >> 7 & 1


def test_registers_show_nine_digits():
    """A register that has passed 999 999 999 Wh begins again at 0."""
    settings = memory.Settings("041876097514", "BASE", "constant:3600", 1)
    dwelling = memory.house(settings)
    reading = Registers(dwelling, NOON, {(1, 1): 999_999_999}).read(NOON + 2 * 10**9)
    assert registers_of(METER["BASE"], reading, HISTORIQUE) == {"BASE": 1}
