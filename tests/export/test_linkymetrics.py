"""The families of linky-exporter: what its dashboards and queries find, in both modes, and what promtool says of inherited names.

After a deliberate change: `python tests/export/test_linkymetrics.py` writes the golden files anew.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from energyd.aggregate.snapshot import Host, Meter, Processes, Register, Snapshot
from energyd.export.linkymetrics import LABELS, LinkyExporter
from energyd.export.metric import Family
from energyd.export.render import Rendered, Renderer

GOLDEN = Path(__file__).parents[1] / "golden"
NS_PER_S = 1_000_000_000


def meter(mode: str, registers: dict[str, int], quantities: dict[str, int], texts: dict[str, str], **fields: object) -> Meter:
    shown = tuple(
        Register(name, "injected" if name == "EAIT" else "consumed", "total" if name == "EAST" else "supplier", energy_wh)
        for name, energy_wh in registers.items()
    )
    base = Meter(
        name="house",
        source="meter",
        mode=mode,
        address="021861348497",
        link_up=True,
        last_group_mono_ns=NS_PER_S,
        registers=shown,
        quantities=tuple(quantities.items()),
        texts=tuple(texts.items()),
        last_frame_mono_ns=NS_PER_S,
    )
    return base._replace(**fields)  # type: ignore[arg-type]


BASE = meter(
    "historique",
    {"BASE": 2_354_780},
    {"ISOUSC": 30, "IINST": 11, "PAPP": 2610, "IMAX": 90},
    {"OPTARIF": "BASE", "PTEC": "TH..", "HHPHC": "A", "MOTDETAT": "000000"},
)
TEMPO_REGISTERS = {
    f"BBR{hours}J{colour}": 1000 + n for n, (hours, colour) in enumerate((h, c) for c in "BWR" for h in ("HC", "HP"))
}
TEMPO = meter(
    "historique", TEMPO_REGISTERS, {"ISOUSC": 45, "PAPP": 500, "IMAX": 90}, {"OPTARIF": "BBR(", "PTEC": "HPJR", "DEMAIN": "BLEU"}
)
EJP = meter(
    "historique", {"EJPHN": 7, "EJPHPM": 8}, {"ISOUSC": 45}, {"OPTARIF": "EJP.", "PTEC": "HN.."}, name="shed", address="0" * 12
)
STANDARD_HCHP = meter(
    "standard",
    {"EAST": 4000, "EASF01": 1500, "EASF02": 2500, "EASF03": 0, "EAIT": 9},
    {"PREF": 9, "IRMS1": 7, "SINSTS": 1675, "NTARF": 2},
    {"NGTF": "H PLEINE/CREUSE", "LTARF": " HEURE  PLEINE"},
)


def shot(*meters: Meter) -> Snapshot:
    return Snapshot(
        mono_ns=NS_PER_S,
        real_ns=NS_PER_S,
        ready=True,
        host=Host(None, None, "", (), 0, 0, ()),
        zones=(),
        processes=Processes((), 0, 0.0, 0, 0, 0, 0),
        meters=meters,
        rings=(),
    )


def families(*meters: Meter, job: str = "linky-exporter") -> list[Family]:
    return LinkyExporter(job).families(shot(*meters))


def values(*meters: Meter) -> dict[str, list[float]]:
    return {family.metric.name: list(family.values) for family in families(*meters)}


def labels(family: Family) -> list[dict[str, str]]:
    return [dict(zip(family.metric.labels, each, strict=True)) for each in family.labels]


def rendered(meters: Sequence[Meter] = (BASE, TEMPO._replace(address="111111111111"), EJP)) -> Rendered:
    return Renderer().render(families(*meters))


def test_a_meter_has_the_series_of_the_documented_example() -> None:
    [base] = [family for family in families(BASE) if family.metric.name == "linky_base"]

    assert values(BASE) == {
        "linky_isousc": [30],
        "linky_iinst": [11],
        "linky_papp": [2610],
        "linky_base": [2_354_780],
        "linky_base_total": [2_354_780],
    }
    assert labels(base) == [
        {
            "adco": "021861348497",
            "hhphc": "A",
            "imax": "090",
            "job": "linky-exporter",
            "motdetat": "000000",
            "optarif": "BASE",
            "ptec": "TH..",
        }
    ]


def test_the_name_of_the_job_is_configured() -> None:
    assert {each["job"] for family in families(BASE, job="maison") for each in labels(family)} == {"maison"}


def test_tempo_and_ejp_have_their_registers_too() -> None:
    assert {name: value for name, value in values(TEMPO).items() if "bbr" in name and "total" not in name} == {
        f"linky_{label.lower()}": [energy_wh] for label, energy_wh in TEMPO_REGISTERS.items()
    }
    assert values(EJP) == {
        "linky_isousc": [45],
        "linky_ejphn": [7],
        "linky_ejphn_total": [7],
        "linky_ejphpm": [8],
        "linky_ejphpm_total": [8],
    }


def test_a_meter_in_standard_mode_fills_what_means_the_same() -> None:
    said = families(STANDARD_HCHP)

    assert {family.metric.name: family.values for family in said if "total" not in family.metric.name} == {
        "linky_isousc": [45],
        "linky_iinst": [7],
        "linky_papp": [1675],
        "linky_hchc": [1500],
        "linky_hchp": [2500],
    }
    assert {(each["optarif"], each["ptec"], each["imax"], each["hhphc"]) for each in labels(said[0])} == {("HC..", "HP..", "", "")}


@pytest.mark.parametrize(
    ("calendar", "tariff", "number", "option", "ptec", "register"),
    [
        ("BASE", "BASE", 1, "BASE", "TH..", "linky_base"),
        ("TEMPO", "HC  ROUGE", 5, "BBR", "HCJR", "linky_bbrhcjr"),
        ("EJP", "HEURE POINTE", 2, "EJP.", "PM..", "linky_ejphpm"),
    ],
)
def test_the_contract_says_what_the_registers_of_the_standard_mode_count(
    calendar: str, tariff: str, number: int, option: str, ptec: str, register: str
) -> None:
    registers = {"EAST": 999, **{f"EASF{n:02}": n for n in range(1, 11)}}
    said = families(meter("standard", registers, {"NTARF": number}, {"NGTF": calendar, "LTARF": tariff}))

    assert (labels(said[0])[0]["optarif"], labels(said[0])[0]["ptec"]) == (option, ptec)
    assert {family.metric.name: family.values for family in said}[register] == [number]


def test_a_contract_that_the_old_mode_does_not_know_is_counted_as_a_linky_would() -> None:
    """54E 6.1: BASE holds all of it and the tariff is that of all hours."""
    said = families(
        meter("standard", {"EAST": 30, "EASF01": 10, "EASF02": 20}, {"NTARF": 2}, {"NGTF": "WEEK-END", "LTARF": "SEMAINE"})
    )

    assert {family.metric.name: family.values for family in said} == {"linky_base": [30], "linky_base_total": [30]}
    assert (labels(said[0])[0]["optarif"], labels(said[0])[0]["ptec"]) == ("BASE", "TH..")


def test_three_phases_share_the_subscribed_power_and_have_no_one_current() -> None:
    """As in the historique mode, where IINST is said for each phase apart."""
    said = values(meter("standard", {}, {"PREF": 18, "IRMS1": 1, "IRMS2": 2, "IRMS3": 3, "SINSTS": 6}, {}))

    assert said == {"linky_isousc": [30], "linky_papp": [6]}


@pytest.mark.parametrize(
    "silent",
    [
        BASE._replace(address=""),
        BASE._replace(quantities=()),
        BASE._replace(last_frame_mono_ns=None),
        BASE._replace(mode="professional"),
        BASE._replace(mode=""),
    ],
)
def test_nothing_is_said_while_the_labels_could_not_all_be(silent: Meter) -> None:
    assert families(silent) == []


def test_two_names_for_one_meter_are_no_two_series() -> None:
    assert len(families(BASE, BASE._replace(name="again"))[0].labels) == 1


def test_only_a_simulated_meter_bears_a_source() -> None:
    assert families(BASE)[0].metric.labels == LABELS
    both = families(BASE, EJP._replace(source="simulated"))[0]
    assert [each["source"] for each in labels(both)] == ["", "simulated"]


@pytest.mark.parametrize("name", ["linky.prom", "linky.openmetrics"])
def test_the_exposition_is_the_golden_one(name: str) -> None:
    assert bodies()[name].decode().split("\n") == (GOLDEN / name).read_bytes().decode().split("\n")


def test_the_oracle_reads_both_formats() -> None:
    """In text the counters are counters; in OpenMetrics, where their names forbid it, their type is unknown."""
    text = {family.name: family for family in parse_text(rendered().text().decode())}
    openmetrics = {family.name: family for family in parse_openmetrics(rendered().openmetrics().decode() + "# EOF\n")}

    assert text["linky_base"].type == "counter"
    assert openmetrics["linky_base"].type == openmetrics["linky_base_total"].type == "unknown"
    assert openmetrics["linky_papp"].type == "gauge"
    assert [sample.value for sample in openmetrics["linky_base"].samples] == [2_354_780]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_says_of_the_inherited_names_what_is_known() -> None:
    assert complaints() == (GOLDEN / "linky.promtool").read_text()


def complaints() -> str:
    done = subprocess.run(["promtool", "check", "metrics"], input=rendered().text(), capture_output=True, check=False)
    return "".join(sorted((done.stdout + done.stderr).decode().splitlines(keepends=True)))


def bodies() -> dict[str, bytes]:
    return {"linky.prom": rendered().text(), "linky.openmetrics": rendered().openmetrics() + b"# EOF\n"}


if __name__ == "__main__":
    for file_name, body in bodies().items():
        (GOLDEN / file_name).write_bytes(body)
    (GOLDEN / "linky.promtool").write_text(complaints())
