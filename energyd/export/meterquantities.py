"""What a meter measures, as metrics: powers, currents, voltages, fluids, the contract's limits; and whether it is heard.

The labels of the meter are those of Enedis-NOI-CPT_54E and CPT_02E; a table says which family and which phase, day or point each
number of the moment belongs to.
"""

from collections.abc import Iterator
from typing import Final

from energyd import ticprofessional
from energyd.aggregate.snapshot import Meter
from energyd.export import windows
from energyd.export.metric import FLOAT, NS, LabelValues, Metric, Row, counter, gauge

METER_REACTIVE_ENERGY = counter(
    "energyd_meter_reactive_energy_varhours_total", "varhours", "Reactive energy by quadrant.", ("meter", "quadrant"), "4 x meters"
)
METER_FLUID = counter(
    "energyd_meter_fluid_cubic_meters_total",
    "cubic_meters",
    "Gas or water that the meter passes on (GAZ, AUTRE).",
    ("meter", "register"),
    "2 x meters",
    2,
)
METER_RESETS = counter("energyd_meter_resets_total", "", "Times that a register of the same meter fell.", ("meter",), "meters")
METER_APPARENT_POWER = gauge(
    "energyd_meter_apparent_power_voltamperes",
    "voltamperes",
    "Apparent power of all phases together.",
    ("meter", "direction", "source"),
    "2 x meters",
)
METER_PHASE_APPARENT_POWER = gauge(
    "energyd_meter_phase_apparent_power_voltamperes",
    "voltamperes",
    "Apparent power drawn on one phase.",
    ("meter", "phase", "source"),
    "3 x meters",
)
METER_MAX_APPARENT_POWER = gauge(
    "energyd_meter_max_apparent_power_voltamperes",
    "voltamperes",
    "Highest apparent power of the day, all phases together.",
    ("meter", "direction", "day"),
    "4 x meters",
)
METER_PHASE_MAX_APPARENT_POWER = gauge(
    "energyd_meter_phase_max_apparent_power_voltamperes",
    "voltamperes",
    "Highest apparent power drawn on one phase in the day.",
    ("meter", "phase", "day"),
    "6 x meters",
)
METER_WINDOW_QUANTILE = gauge(
    "energyd_meter_window_apparent_power_quantile_voltamperes",
    "voltamperes",
    "Apparent power not exceeded in this fraction of the seconds of a sliding window.",
    ("meter", "window", "fraction", "source"),
    "20 x meters",
    FLOAT,
)
METER_WINDOW_MEAN = gauge(
    "energyd_meter_window_apparent_power_mean_voltamperes",
    "voltamperes",
    "Mean apparent power over the window.",
    ("meter", "window", "source"),
    "5 x meters",
    FLOAT,
)
METER_WINDOW_MAX = gauge(
    "energyd_meter_window_apparent_power_max_voltamperes",
    "voltamperes",
    "Highest apparent power in a second of the window.",
    ("meter", "window", "source"),
    "5 x meters",
    FLOAT,
)
METER_WINDOW_MEASURED = gauge(
    "energyd_meter_window_measured_seconds",
    "seconds",
    "How much of the window has been measured.",
    ("meter", "window"),
    "5 x meters",
)
METER_MAX_POWER = gauge(
    "energyd_meter_max_power_watts",
    "watts",
    "PMAX as a three-phase meter sends it: watts by its specification, volt-amperes of the day before on a Linky.",
    ("meter",),
    "meters",
)
METER_LOAD_CURVE = gauge(
    "energyd_meter_load_curve_watts",
    "watts",
    "Mean power over one point of the meter's load curve.",
    ("meter", "direction", "point"),
    "4 x meters",
)
METER_CURRENT = gauge("energyd_meter_current_amperes", "amperes", "Current of a phase.", ("meter", "phase", "source"), "3 x meters")
METER_MAX_CURRENT = gauge(
    "energyd_meter_max_current_amperes", "amperes", "Highest current of a phase.", ("meter", "phase"), "3 x meters"
)
METER_OVERLOAD_CURRENT = gauge(
    "energyd_meter_overload_current_amperes",
    "amperes",
    "Current of a phase when the meter last warned of an overload.",
    ("meter", "phase"),
    "3 x meters",
)
METER_VOLTAGE = gauge("energyd_meter_voltage_volts", "volts", "Voltage of a phase.", ("meter", "phase", "source"), "3 x meters")
METER_MEAN_VOLTAGE = gauge(
    "energyd_meter_mean_voltage_volts", "volts", "Mean voltage of a phase over ten minutes.", ("meter", "phase"), "3 x meters"
)
METER_SUBSCRIBED_POWER = gauge(
    "energyd_meter_subscribed_apparent_power_voltamperes",
    "voltamperes",
    "Apparent power of the contract (PREF).",
    ("meter",),
    "meters",
)
METER_SUBSCRIBED_CURRENT = gauge(
    "energyd_meter_subscribed_current_amperes", "amperes", "Current of the contract (ISOUSC).", ("meter",), "meters"
)
METER_CUTOFF_POWER = gauge(
    "energyd_meter_cutoff_apparent_power_voltamperes",
    "voltamperes",
    "Apparent power at which the meter cuts off (PCOUP).",
    ("meter",),
    "meters",
)
METER_EJP_NOTICE = gauge(
    "energyd_meter_ejp_notice_seconds", "seconds", "Notice before the mobile peak begins (PEJP).", ("meter",), "meters"
)
METER_CLOCK = gauge("energyd_meter_clock_timestamp_seconds", "seconds", "Unix time by the meter's own clock.", ("meter",), "meters")
METER_TARIFF_INDEX = gauge(
    "energyd_meter_tariff_index", "", "Number of the register that counts now (NTARF).", ("meter",), "meters"
)
METER_DAY_INDEX = gauge(
    "energyd_meter_day_index", "", "Number of the day in the supplier's calendar.", ("meter", "day"), "2 x meters"
)
METER_STATUS = gauge("energyd_meter_status_register", "", "The status register as a number (STGE).", ("meter",), "meters")
METER_RELAYS = gauge(
    "energyd_meter_relay_mask", "", "The relays as a number: bit k-1 is set while relay k is closed.", ("meter",), "meters"
)
METER_ABSENT_PHASES = gauge(
    "energyd_meter_absent_phase_mask", "", "Bit n is set while phase n has no voltage (PPOT).", ("meter",), "meters"
)
METER_LINK_UP = gauge("energyd_meter_link_up", "", "1 while the meter is heard.", ("meter",), "meters")
METER_LAST_GROUP_AGE = gauge(
    "energyd_meter_last_group_age_seconds", "seconds", "Time since the last good group of the meter.", ("meter",), "meters", NS
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

QUANTITIES: Final[dict[str, tuple[Metric, LabelValues, int]]] = {
    # label of the meter: family, its labels between `meter` and `source`, factor to the unit and decimals of the family
    "PAPP": (METER_APPARENT_POWER, ("consumed",), 1),
    "SINSTS": (METER_APPARENT_POWER, ("consumed",), 1),
    "SINSTI": (METER_APPARENT_POWER, ("injected",), 1),
    "SINSTS1": (METER_PHASE_APPARENT_POWER, ("1",), 1),
    "SINSTS2": (METER_PHASE_APPARENT_POWER, ("2",), 1),
    "SINSTS3": (METER_PHASE_APPARENT_POWER, ("3",), 1),
    "SMAXSN": (METER_MAX_APPARENT_POWER, ("consumed", "today"), 1),
    "SMAXSN-1": (METER_MAX_APPARENT_POWER, ("consumed", "yesterday"), 1),
    "SMAXIN": (METER_MAX_APPARENT_POWER, ("injected", "today"), 1),
    "SMAXIN-1": (METER_MAX_APPARENT_POWER, ("injected", "yesterday"), 1),
    "SMAXSN1": (METER_PHASE_MAX_APPARENT_POWER, ("1", "today"), 1),
    "SMAXSN2": (METER_PHASE_MAX_APPARENT_POWER, ("2", "today"), 1),
    "SMAXSN3": (METER_PHASE_MAX_APPARENT_POWER, ("3", "today"), 1),
    "SMAXSN1-1": (METER_PHASE_MAX_APPARENT_POWER, ("1", "yesterday"), 1),
    "SMAXSN2-1": (METER_PHASE_MAX_APPARENT_POWER, ("2", "yesterday"), 1),
    "SMAXSN3-1": (METER_PHASE_MAX_APPARENT_POWER, ("3", "yesterday"), 1),
    "PMAX": (METER_MAX_POWER, (), 1),
    "CCASN": (METER_LOAD_CURVE, ("consumed", "last"), 1),
    "CCASN-1": (METER_LOAD_CURVE, ("consumed", "previous"), 1),
    "CCAIN": (METER_LOAD_CURVE, ("injected", "last"), 1),
    "CCAIN-1": (METER_LOAD_CURVE, ("injected", "previous"), 1),
    "IINST": (METER_CURRENT, ("1",), 1),
    "IINST1": (METER_CURRENT, ("1",), 1),
    "IINST2": (METER_CURRENT, ("2",), 1),
    "IINST3": (METER_CURRENT, ("3",), 1),
    "IRMS1": (METER_CURRENT, ("1",), 1),
    "IRMS2": (METER_CURRENT, ("2",), 1),
    "IRMS3": (METER_CURRENT, ("3",), 1),
    "IMAX": (METER_MAX_CURRENT, ("1",), 1),
    "IMAX1": (METER_MAX_CURRENT, ("1",), 1),
    "IMAX2": (METER_MAX_CURRENT, ("2",), 1),
    "IMAX3": (METER_MAX_CURRENT, ("3",), 1),
    "ADPS": (METER_OVERLOAD_CURRENT, ("1",), 1),
    "ADIR1": (METER_OVERLOAD_CURRENT, ("1",), 1),
    "ADIR2": (METER_OVERLOAD_CURRENT, ("2",), 1),
    "ADIR3": (METER_OVERLOAD_CURRENT, ("3",), 1),
    "URMS1": (METER_VOLTAGE, ("1",), 1),
    "URMS2": (METER_VOLTAGE, ("2",), 1),
    "URMS3": (METER_VOLTAGE, ("3",), 1),
    "UMOY1": (METER_MEAN_VOLTAGE, ("1",), 1),
    "UMOY2": (METER_MEAN_VOLTAGE, ("2",), 1),
    "UMOY3": (METER_MEAN_VOLTAGE, ("3",), 1),
    "PREF": (METER_SUBSCRIBED_POWER, (), 1000),
    "PCOUP": (METER_CUTOFF_POWER, (), 1000),
    "ISOUSC": (METER_SUBSCRIBED_CURRENT, (), 1),
    "PEJP": (METER_EJP_NOTICE, (), 60),
    "DATE": (METER_CLOCK, (), 1),
    "NTARF": (METER_TARIFF_INDEX, (), 1),
    "NJOURF": (METER_DAY_INDEX, ("today",), 1),
    "NJOURF+1": (METER_DAY_INDEX, ("tomorrow",), 1),
    "STGE": (METER_STATUS, (), 1),
    "RELAIS": (METER_RELAYS, (), 1),
    "PPOT": (METER_ABSENT_PHASES, (), 1),
    "ERQ1": (METER_REACTIVE_ENERGY, ("1",), 1),
    "ERQ2": (METER_REACTIVE_ENERGY, ("2",), 1),
    "ERQ3": (METER_REACTIVE_ENERGY, ("3",), 1),
    "ERQ4": (METER_REACTIVE_ENERGY, ("4",), 1),
    "GAZ": (METER_FLUID, ("GAZ",), 1),
    "AUTRE": (METER_FLUID, ("AUTRE",), 1),
}
PROFESSIONAL_QUANTITIES: Final[dict[str, tuple[Metric, LabelValues, int]]] = {
    "JAUNE": (METER_APPARENT_POWER, ("consumed",), 1),
    "PSOUSC/1": (METER_SUBSCRIBED_POWER, (), 1),
    "PS kVA": (METER_SUBSCRIBED_POWER, (), 1),
    "DATE": (METER_CLOCK, (), 1),
    "DATECOUR": (METER_CLOCK, (), 1),
}


def rows(meter: Meter, mono_ns: int) -> Iterator[Row]:
    """`mono_ns` is the instant of the snapshot."""
    families = PROFESSIONAL_QUANTITIES if meter.mode == ticprofessional.PROFESSIONAL else QUANTITIES
    for label, value in meter.quantities:
        if label in families:
            metric, places, factor = families[label]
            labels = (meter.name, *places, *((meter.source,) if "source" in metric.labels else ()))
            yield metric, labels, value * factor
    for window in meter.windows_va:
        yield METER_WINDOW_MEASURED, (meter.name, window.name), window.seconds
        yield from windows.rows(window, METER_WINDOW_QUANTILE, METER_WINDOW_MEAN, METER_WINDOW_MAX, (meter.name,), meter.source)
    yield METER_RESETS, (meter.name,), meter.resets
    yield METER_LINK_UP, (meter.name,), int(meter.link_up)
    if meter.last_group_mono_ns:
        yield METER_LAST_GROUP_AGE, (meter.name,), max(0, mono_ns - meter.last_group_mono_ns)
