"""What a meter says in codes: states, times, the calendar of tomorrow, and what a professional meter says besides."""

import pytest

from energyd import ticfields, ticprofessional
from energyd.aggregate.snapshot import Meter, Register, Snapshot, Stamp
from energyd.export import metermetrics, meterquantities, professionalmetrics
from energyd.export.collect import collect

PROFILE = "00008001 0600C002 22304083" + 8 * " NONUTILE"
REAL_S = 1_795_162_354


def meter(
    mode: str = "standard", quantities: dict[str, int] | None = None, texts: dict[str, str] | None = None, **fields: object
) -> Meter:
    base = Meter("house", "meter", mode, "021", True, 1, (), tuple((quantities or {}).items()), tuple((texts or {}).items()))
    return base._replace(**fields)  # type: ignore[arg-type]


def series(shown: Meter) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for metric, labels, value in metermetrics.rows(shown, 50 * 10**9, REAL_S * 10**9):
        name = metric.name.removeprefix("energyd_meter_")
        assert len(labels) == len(metric.labels)
        assert labels[1:] not in found.setdefault(name, {})
        found[name][labels[1:]] = value
    return found


def holding(states: dict[tuple[str, ...], float]) -> set[tuple[str, ...]]:
    assert set(states.values()) <= {0, 1}
    return {labels for labels, value in states.items() if value}


def test_the_status_register_is_shown_bit_by_bit() -> None:
    """Every code of a captured STGE: index 2, distributor 3, standard mode, Euridis secured, registered on the network."""
    said = series(meter(quantities={"STGE": 0x003AC701}))

    assert holding(said["status_flag"]) == {("contact_open",), ("producer",), ("energy_negative",), ("standard_mode",)}
    assert holding(said["breaker"]) == {("closed",)}
    assert holding(said["euridis"]) == {("secured",)}
    assert holding(said["plc"]) == {("new_locked",)}
    assert said["distributor_tariff_index"] == {(): 4}
    assert (said["mobile_peak_notice"], said["mobile_peak"]) == ({(): 0}, {(): 0})
    assert "colour" not in said


@pytest.mark.parametrize("bit", range(32))
def test_every_bit_of_the_status_register_changes_a_series(bit: int) -> None:
    """But 5 and 18, which mean nothing, 10 to 13, which NTARF says, and codes that the specification does not name."""
    if bit in (5, 10, 11, 12, 13, 18, 19):
        return
    without = series(meter(quantities={"STGE": 0x00200000 if bit != 21 else 0}, texts={"NGTF": "TEMPO"}, last_group_mono_ns=1))
    with_it = series(meter(quantities={"STGE": 0x00200000 | 1 << bit}, texts={"NGTF": "TEMPO"}, last_group_mono_ns=1))

    if bit == 21:
        assert holding(with_it["plc"]) == {("new_locked",)}
        assert holding(without["plc"]) == {("new_unlocked",)}
    elif bit == 22:
        assert holding(with_it["plc"]) == set()  # 11 is no state
    else:
        assert without != with_it


def test_the_colours_of_a_tempo_contract_are_state_sets() -> None:
    said = series(meter(quantities={"STGE": 0x0E000000}))

    assert holding(said["colour"]) == {("today", "white"), ("tomorrow", "red")}
    assert len(said["colour"]) == 8
    unannounced = series(meter(quantities={"STGE": 0}, texts={"NGTF": "     TEMPO"}))
    assert holding(unannounced["colour"]) == {("today", "none"), ("tomorrow", "none")}


@pytest.mark.parametrize(
    ("tariff", "tomorrow", "holds"),
    [
        ("HPJB", "----", {("today", "blue"), ("tomorrow", "none")}),
        ("HCJW", "BLEU", {("today", "white"), ("tomorrow", "blue")}),
        ("HPJR", "BLAN", {("today", "red"), ("tomorrow", "white")}),
        ("HPJR", "ROUG", {("today", "red"), ("tomorrow", "red")}),
        ("HP..", "----", set()),
    ],
)
def test_the_historique_mode_names_its_colours_in_texts(tariff: str, tomorrow: str, holds: set[tuple[str, ...]]) -> None:
    said = series(meter("historique", texts={"PTEC": tariff, "DEMAIN": tomorrow}))

    assert holding(said.get("colour", {})) == holds


@pytest.mark.parametrize(
    ("mode", "quantities", "texts", "overload"),
    [
        ("historique", {"PAPP": 1}, {}, 0),
        ("historique", {"ADPS": 46}, {}, 1),
        ("historique", {"ADIR3": 61}, {}, 1),
        ("standard", {"STGE": 1 << 7}, {}, 1),
        ("standard", {"STGE": 0}, {}, 0),
        ("professional", {}, {"PREAVIS": "DEP"}, 1),
        ("professional", {}, {"PREAVIS": "EJP"}, 0),
    ],
)
def test_an_overload_is_said_in_four_ways(mode: str, quantities: dict[str, int], texts: dict[str, str], overload: int) -> None:
    assert series(meter(mode, quantities, texts))["overload"] == {(): overload}


def test_a_meter_that_was_never_heard_says_nothing_of_itself() -> None:
    assert set(series(meter("", last_group_mono_ns=0))) == {"held_back_readings_total"}


def test_relays_and_phases_are_shown_one_by_one() -> None:
    said = series(meter("historique", {"RELAIS": 140, "PPOT": 0b0100}))

    assert holding(said["relay_closed"]) == {("3",), ("4",), ("8",)}
    assert len(said["relay_closed"]) == 8
    assert holding(said["phase_absent"]) == {("2",)}


def test_the_calendar_of_tomorrow_is_a_series_for_each_switch() -> None:
    said = series(meter(texts={"PJOURF+1": PROFILE, "PPOINTE": PROFILE.replace("0600", "0730")}))

    assert said["next_day_switch_seconds"][("day", "2")] == 6 * 3600
    assert said["next_day_switch_seconds"][("peak", "2")] == 7.5 * 3600
    assert [said["next_day_tariff_index"][("day", str(number))] for number in (1, 2, 3)] == [1, 2, 3]
    assert len(said["next_day_switch_seconds"]) == 6


def test_a_calendar_of_which_a_part_was_lost_is_left_out() -> None:
    assert "next_day_switch_seconds" not in series(meter(texts={"PJOURF+1": PROFILE[16:]}))


def test_maxima_and_notices_have_their_time() -> None:
    labels = ("SMAXSN", "SMAXSN-1", "SMAXIN", "SMAXSN2-1", "CCASN", "CCAIN-1", "UMOY3", "DPM1", "FPM3")
    said = series(meter(stamps=tuple(Stamp(label, 1000 + n, 0, False) for n, label in enumerate(labels))))

    assert said["max_apparent_power_timestamp_seconds"] == {
        ("consumed", "today"): 1000,
        ("consumed", "yesterday"): 1001,
        ("injected", "today"): 1002,
    }
    assert said["phase_max_apparent_power_timestamp_seconds"] == {("2", "yesterday"): 1003}
    assert said["load_curve_timestamp_seconds"] == {("consumed", "last"): 1004, ("injected", "previous"): 1005}
    assert said["mean_voltage_timestamp_seconds"] == {("3",): 1006}
    assert said["mobile_peak_timestamp_seconds"] == {("1", "begin"): 1007, ("3", "end"): 1008}


def test_the_clock_of_the_meter_is_compared_with_ours_at_the_moment_it_was_said() -> None:
    said = series(meter(stamps=(Stamp("DATE", REAL_S - 42, 2_500_000_000, True),)))

    assert said["clock_offset_seconds"] == {(): -39_500_000_000}
    assert said["clock_degraded"] == {(): 1}


def test_the_status_register_may_say_that_the_clock_is_degraded() -> None:
    stamps = (Stamp("DATE", REAL_S, 0, False),)

    assert series(meter(quantities={"STGE": 1 << 16}, stamps=stamps))["clock_degraded"] == {(): 1}
    assert series(meter(quantities={"STGE": 0}, stamps=stamps))["clock_degraded"] == {(): 0}


def test_the_last_whole_frame_has_an_age() -> None:
    assert series(meter(last_frame_mono_ns=48 * 10**9))["last_frame_age_seconds"] == {(): 2 * 10**9}


@pytest.mark.parametrize(
    ("tariff", "quantities", "notice", "peak"), [("HN..", {}, 0, 0), ("HN..", {"PEJP": 30}, 1, 0), ("PM..", {}, 0, 1)]
)
def test_the_mobile_peak_of_ejp_is_announced_and_runs(tariff: str, quantities: dict[str, int], notice: int, peak: int) -> None:
    said = series(meter("historique", quantities, {"OPTARIF": "EJP.", "PTEC": tariff}))

    assert (said["mobile_peak_notice"], said["mobile_peak"]) == ({(): notice}, {(): peak})


@pytest.mark.parametrize(
    ("calendar", "named"),
    [
        ("H PLEINE/CREUSE", {("EASF01", "hc"), ("EASF02", "hp")}),
        ("BASE", {("EASF01", "base")}),
        ("UN CALENDRIER", set()),
    ],
)
def test_a_register_is_named_by_the_contract(calendar: str, named: set[tuple[str, str]]) -> None:
    registers = tuple(Register(name, "consumed", "supplier", 1) for name in ("EASF01", "EASF02", "EASD01"))

    assert set(series(meter(texts={"NGTF": calendar}, registers=registers)).get("register_info", {})) == named


def test_readings_that_were_not_believed_are_counted() -> None:
    assert series(meter(held_back=3))["held_back_readings_total"] == {(): 3}


def test_every_number_of_a_professional_meter_has_a_family() -> None:
    numbers = {
        field.label
        for field in ticprofessional.FIELDS
        if field.role in (ticfields.QUANTITY, ticfields.COUNTER, ticprofessional.INDEX)
    }
    packed = {"JAUNE", *(f"{label}/{place}" for label in ("PMAXC", "PMAXP", "PSOUSC", "PSOUSP", "TDEPA") for place in "1234")}
    shown = meter("professional", dict.fromkeys(sorted(numbers | packed), 7))

    labels = [labels[1] for _, labels, _ in professionalmetrics.rows(shown)]

    assert set(labels) | professionalmetrics.IN_COMMON == numbers | packed
    assert len(labels) == len(set(labels))
    assert set(meterquantities.PROFESSIONAL_QUANTITIES) == professionalmetrics.IN_COMMON


def test_the_bound_of_each_professional_family_is_what_the_specification_has() -> None:
    numbers = [
        field.label
        for field in ticprofessional.FIELDS
        if field.role in (ticfields.QUANTITY, ticfields.COUNTER, ticprofessional.INDEX)
    ]
    packed = [f"{label}/{place}" for label in ("PMAXC", "PMAXP", "PSOUSC", "PSOUSP", "TDEPA") for place in "1234"]
    said = professionalmetrics.rows(meter("professional", dict.fromkeys((*numbers, *packed), 1)))
    counts: dict[str, int] = {}
    for metric, _, _ in said:
        counts[metric.name] = counts.get(metric.name, 0) + 1

    assert {metric.name: f"{counts[metric.name]} x meters" for metric in professionalmetrics.METRICS} == {
        metric.name: metric.bound for metric in professionalmetrics.METRICS
    }


def test_the_numbers_of_a_professional_meter_are_in_base_units(snapshot: Snapshot) -> None:
    quantities = {
        "TGPHI_s": -39,
        "I1": 1234,
        "TD": 10,
        "EAP-1_s": 9256000,
        "PS kVA": 42000,
        "PA1MN": 6000,
        "UMOY1": 400,
        "DATE": REAL_S,
    }
    quiet = snapshot._replace(processes=snapshot.processes._replace(visible=()))
    shown = quiet._replace(meters=(meter("professional", quantities, {"MESURES1": "BT 4 SUP36", "PTCOUR1": "HPE"}),))
    families = {family.metric.name.removeprefix("energyd_meter_"): family for family in collect(shown, "1")}
    values = {name: dict(zip(family.labels, family.values, strict=True)) for name, family in families.items()}

    assert values["professional_ratio"] == {("house", "TGPHI_s"): -39}
    assert families["professional_ratio"].metric.decimals == 2
    assert values["professional_amperes"] == {("house", "I1"): 1234}
    assert values["professional_seconds"] == {("house", "TD"): 600}
    assert values["professional_watthours"] == {("house", "EAP-1_s"): 9256000}
    assert values["professional_watts"] == {("house", "PA1MN"): 6000}
    assert values["professional_volts"] == {("house", "UMOY1"): 400}
    assert values["subscribed_apparent_power_voltamperes"] == {("house",): 42000}
    assert values["clock_timestamp_seconds"] == {("house",): REAL_S}
    assert "mean_voltage_volts" not in values
    assert values["info"] == {("house", "021", "", "professional", "BT 4 SUP36", "", "meter"): 1}
    assert values["tariff_info"] == {("house", "HPE", ""): 1}
