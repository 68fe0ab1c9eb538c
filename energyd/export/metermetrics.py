"""What a meter says in codes, as metrics: states one by one, times, and the calendar of tomorrow.

A state that can be one of several is a set of series, 1 for the one that holds and 0 for the others, so that `== 1` asks and sums
count. Sources: STGE, RELAIS, PJOURF+1 and PPOINTE of the standard mode (Enedis-NOI-CPT_54E 6.2.3), PTEC, DEMAIN, ADPS and ADIR of
the historique one, PREAVIS of the professional meters (Enedis-NOI-CPT_02E). Law: what the meter has not said has no series.
"""

from collections.abc import Iterator
from typing import Final

from energyd import ticstatus
from energyd.aggregate.snapshot import Meter, Stamp
from energyd.export.metric import INFO, NS, LabelValues, Metric, Row, counter, gauge
from energyd.ledger import periods
from energyd.units import NS_PER_S

STATUS_FLAG = gauge(
    "energyd_meter_status_flag",
    "",
    "A state of the meter that holds or not: contact_open, cover_open, overvoltage, over_reference_power, producer, "
    "energy_negative, clock_degraded, standard_mode, plc_synchronised.",
    ("meter", "flag"),
    "9 x meters",
)
BREAKER = gauge("energyd_meter_breaker", "", "Why the breaker of the meter is open, or closed.", ("meter", "state"), "7 x meters")
EURIDIS = gauge("energyd_meter_euridis", "", "State of the meter's Euridis bus.", ("meter", "state"), "3 x meters")
PLC = gauge("energyd_meter_plc", "", "State of the meter on its power line network.", ("meter", "state"), "3 x meters")
COLOUR = gauge(
    "energyd_meter_colour",
    "",
    "Tempo colour of today and tomorrow; none while it is not announced.",
    ("meter", "day", "colour"),
    "8 x meters",
)
DISTRIBUTOR_INDEX = gauge(
    "energyd_meter_distributor_tariff_index", "", "Number of the distributor's register that counts now.", ("meter",), "meters"
)
PEAK_NOTICE = gauge(
    "energyd_meter_mobile_peak_notice", "", "Number of the mobile peak that is announced, 0 = none.", ("meter",), "meters"
)
PEAK = gauge("energyd_meter_mobile_peak", "", "Number of the mobile peak that runs, 0 = none.", ("meter",), "meters")
PEAK_TIME = gauge(
    "energyd_meter_mobile_peak_timestamp_seconds",
    "seconds",
    "Unix time at which an announced mobile peak begins or ends (DPM, FPM).",
    ("meter", "peak", "edge"),
    "6 x meters",
)
RELAY_CLOSED = gauge(
    "energyd_meter_relay_closed", "", "1 while the relay is closed: 1 is the real contact.", ("meter", "relay"), "8 x meters"
)
PHASE_ABSENT = gauge("energyd_meter_phase_absent", "", "1 while the phase has no voltage.", ("meter", "phase"), "3 x meters")
OVERLOAD = gauge(
    "energyd_meter_overload",
    "",
    "1 while the meter warns that more is drawn than the contract allows (ADPS, ADIR, STGE, PREAVIS DEP).",
    ("meter",),
    "meters",
)
CLOCK_DEGRADED = gauge("energyd_meter_clock_degraded", "", "1 while the meter's clock is not synchronised.", ("meter",), "meters")
CLOCK_OFFSET = gauge(
    "energyd_meter_clock_offset_seconds",
    "seconds",
    "The meter's clock, which has whole seconds, minus this machine's when the meter said it.",
    ("meter",),
    "meters",
    NS,
)
HELD_BACK = counter(
    "energyd_meter_held_back_readings_total",
    "",
    "Readings of registers that no house could have caused, or that the next reading refuted.",
    ("meter",),
    "meters",
)
MAX_POWER_TIME = gauge(
    "energyd_meter_max_apparent_power_timestamp_seconds",
    "seconds",
    "Unix time of the highest apparent power of the day, all phases together.",
    ("meter", "direction", "day"),
    "4 x meters",
)
PHASE_MAX_POWER_TIME = gauge(
    "energyd_meter_phase_max_apparent_power_timestamp_seconds",
    "seconds",
    "Unix time of the highest apparent power drawn on one phase in the day.",
    ("meter", "phase", "day"),
    "6 x meters",
)
LOAD_CURVE_TIME = gauge(
    "energyd_meter_load_curve_timestamp_seconds",
    "seconds",
    "Unix time of a point of the meter's load curve.",
    ("meter", "direction", "point"),
    "4 x meters",
)
MEAN_VOLTAGE_TIME = gauge(
    "energyd_meter_mean_voltage_timestamp_seconds",
    "seconds",
    "Unix time of the mean voltage of a phase.",
    ("meter", "phase"),
    "3 x meters",
)
SWITCH_TIME = gauge(
    "energyd_meter_next_day_switch_seconds",
    "seconds",
    "The meter's own calendar of tomorrow (PJOURF+1) or of the next peak day (PPOINTE): seconds after midnight of each switch.",
    ("meter", "profile", "switch"),
    "22 x meters",
)
SWITCH_INDEX = gauge(
    "energyd_meter_next_day_tariff_index",
    "",
    "The register that counts from that switch on, 0 = no change.",
    ("meter", "profile", "switch"),
    "22 x meters",
)

LAST_FRAME_AGE = gauge(
    "energyd_meter_last_frame_age_seconds", "seconds", "Time since the last whole frame of the meter.", ("meter",), "meters", NS
)
REGISTER_INFO = Metric(
    "energyd_meter_register_info",
    INFO,
    "",
    "The tariff that a register of the supplier counts under the contract of now: hc, hp, tempo_red_hp, ...",
    ("meter", "register", "tariff"),
    "10 x meters",
)

METRICS: Final[tuple[Metric, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

_FLAGS: Final = (
    *("contact_open", "cover_open", "overvoltage", "over_reference_power", "producer", "energy_negative"),
    *("clock_degraded", "standard_mode", "plc_synchronised"),
)
_UNNAMED: Final = "?"  # a code that the specification does not name
_COLOURS: Final = {"": "none", "----": "none", "BLEU": "blue", "BLAN": "white", "ROUG": "red"}
_LETTERS: Final = {"B": "blue", "W": "white", "R": "red"}
_TIMES: Final = {
    **{f"SMAX{way}N{ago}": (MAX_POWER_TIME, (kind, day)) for way, kind in (("S", "consumed"), ("I", "injected"))
       for ago, day in (("", "today"), ("-1", "yesterday"))},
    **{f"SMAXSN{phase}{ago}": (PHASE_MAX_POWER_TIME, (phase, day)) for phase in "123"
       for ago, day in (("", "today"), ("-1", "yesterday"))},
    **{f"CCA{way}N{ago}": (LOAD_CURVE_TIME, (kind, point)) for way, kind in (("S", "consumed"), ("I", "injected"))
       for ago, point in (("", "last"), ("-1", "previous"))},
    **{f"UMOY{phase}": (MEAN_VOLTAGE_TIME, (phase,)) for phase in "123"},
    **{f"{letter}PM{peak}": (PEAK_TIME, (peak, edge)) for letter, edge in (("D", "begin"), ("F", "end")) for peak in "123"},
}  # fmt: skip
_OVERLOADS: Final = ("ADPS", "ADIR1", "ADIR2", "ADIR3")
_CLOCKS: Final = ("DATE", "DATECOUR")
_PROFILE_WIDTH: Final = 98


def rows(meter: Meter, mono_ns: int, real_ns: int) -> Iterator[Row]:
    """The series of one meter at the instant that both clocks name."""
    name, quantities, texts = meter.name, dict(meter.quantities), dict(meter.texts)
    stamps = {stamp.label: stamp for stamp in meter.stamps}
    yield HELD_BACK, (name,), meter.held_back
    if meter.last_frame_mono_ns is not None:
        yield LAST_FRAME_AGE, (name,), max(0, mono_ns - meter.last_frame_mono_ns)
    yield from _registers(meter, texts)
    if "STGE" in quantities:
        yield from _status(name, ticstatus.unpack_status(quantities["STGE"]), _has_colours(texts))
    if "RELAIS" in quantities:
        closed = ticstatus.closed_relays(quantities["RELAIS"])
        yield from ((RELAY_CLOSED, (name, str(relay)), int(relay in closed)) for relay in range(1, 9))
    if "PPOT" in quantities:
        missing = ticstatus.missing_phases(quantities["PPOT"])
        yield from ((PHASE_ABSENT, (name, str(phase)), int(phase in missing)) for phase in (1, 2, 3))
    if meter.mode == "historique":
        yield from _historique_colours(name, texts)
        if texts.get("OPTARIF", "").startswith("EJP"):
            yield PEAK_NOTICE, (name,), int("PEJP" in quantities)
            yield PEAK, (name,), int(texts.get("PTEC") == "PM..")
    for label, profile in (("PJOURF+1", "day"), ("PPOINTE", "peak")):
        if len(texts.get(label, "")) == _PROFILE_WIDTH:
            yield from _profile(name, profile, texts[label])
    yield from _overload(meter, quantities, texts)
    yield from _clock(name, stamps, quantities, real_ns)
    if meter.mode == "standard":
        for label, (metric, places) in _TIMES.items():
            if label in stamps:
                yield metric, (name, *places), stamps[label].utc_s


def _registers(meter: Meter, texts: dict[str, str]) -> Iterator[Row]:
    contract = periods.contract_of(texts)
    for register in meter.registers:
        tariff = periods.period_of(register.name, contract, {}) if periods.is_supplied(register.name) else ""
        if tariff:
            yield REGISTER_INFO, (meter.name, register.name, tariff), 1


def _states(metric: Metric, labels: LabelValues, states: tuple[str, ...], state: str) -> Iterator[Row]:
    for each in states:
        if each != _UNNAMED:
            yield metric, (*labels, each.replace(",", "").replace(" ", "_")), int(each == state)


def _status(name: str, status: ticstatus.Status, colours: bool) -> Iterator[Row]:
    for flag in _FLAGS:
        yield STATUS_FLAG, (name, flag), int(getattr(status, flag))
    yield from _states(BREAKER, (name,), ticstatus.BREAKER, status.breaker)
    yield from _states(EURIDIS, (name,), ticstatus.EURIDIS, status.euridis)
    yield from _states(PLC, (name,), ticstatus.PLC, status.plc)
    yield DISTRIBUTOR_INDEX, (name,), status.distributor_index
    yield PEAK_NOTICE, (name,), status.peak_notice
    yield PEAK, (name,), status.peak_running
    if colours or status.colour_today != "none" or status.colour_tomorrow != "none":
        yield from _states(COLOUR, (name, "today"), ticstatus.COLOURS, status.colour_today)
        yield from _states(COLOUR, (name, "tomorrow"), ticstatus.COLOURS, status.colour_tomorrow)


def _has_colours(texts: dict[str, str]) -> bool:
    return "TEMPO" in texts.get("NGTF", "").upper()


def _historique_colours(name: str, texts: dict[str, str]) -> Iterator[Row]:
    """PTEC names the colour of now (HPJR), DEMAIN that of tomorrow."""
    tariff, tomorrow = texts.get("PTEC", ""), _COLOURS.get(texts.get("DEMAIN", "").strip())
    if tariff[2:3] == "J" and tariff[3:] in _LETTERS:
        yield from _states(COLOUR, (name, "today"), ticstatus.COLOURS, _LETTERS[tariff[3:]])
        if tomorrow is not None:
            yield from _states(COLOUR, (name, "tomorrow"), ticstatus.COLOURS, tomorrow)


def _profile(name: str, profile: str, text: str) -> Iterator[Row]:
    for number, action in enumerate(ticstatus.unpack_profile(text.encode()), 1):
        yield SWITCH_TIME, (name, profile, str(number)), action.minute * 60
        yield SWITCH_INDEX, (name, profile, str(number)), action.tariff_index


def _overload(meter: Meter, quantities: dict[str, int], texts: dict[str, str]) -> Iterator[Row]:
    """Every meter can warn; one that has not been heard has nothing to say."""
    if meter.last_group_mono_ns:
        warned = any(label in quantities for label in _OVERLOADS) or texts.get("PREAVIS", "").strip() == "DEP"
        status = "STGE" in quantities and ticstatus.unpack_status(quantities["STGE"]).over_reference_power
        yield OVERLOAD, (meter.name,), int(warned or status)


def _clock(name: str, stamps: dict[str, Stamp], quantities: dict[str, int], real_ns: int) -> Iterator[Row]:
    stamp = next((stamps[label] for label in _CLOCKS if label in stamps), None)
    if stamp is not None:
        status = "STGE" in quantities and ticstatus.unpack_status(quantities["STGE"]).clock_degraded
        yield CLOCK_DEGRADED, (name,), int(stamp.degraded or status)
        yield CLOCK_OFFSET, (name,), stamp.utc_s * NS_PER_S - (real_ns - stamp.age_ns)
