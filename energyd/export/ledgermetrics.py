"""What the ledger knows, as metrics: kilowatt-hours and euros of today, this month, this year and of those before.

Calendar periods are values of the label `period`, never dates, so no series is born at midnight. Every comparison has its pair:
`today` beside `yesterday_so_far`, `same_day_last_week_so_far` and `same_day_last_month_so_far` (those days until the same time of
day), `this_month` beside `last_month_so_far`. Law: a sum over a family and one value of `period` counts nothing twice.
"""

from typing import Final

from energyd.aggregate.snapshot import Ledger, MeterLedger, Snapshot, Stretch
from energyd.export.metric import Family, LabelValues, Metric, counter, gauge

_PERIODS: Final = "12 x meters"
NEUR: Final = 9
DAY_S: Final = 86400
PRICE_DECIMALS: Final = 6  # nano-euros per watt-hour are millionths of a euro per kilowatt-hour

PERIOD_ENERGY = gauge(
    "energyd_meter_period_energy_watthours",
    "watthours",
    "Energy of a calendar period in the meter's time zone, by register and by the tariff period that the register counts.",
    ("meter", "register", "tariff", "direction", "period", "source"),
    "11 x 12 x meters",
)
PERIOD_COMPLETE = gauge(
    "energyd_meter_period_complete",
    "",
    "1 if the period was measured from its begin to its end, or until now; 0 if a part is not known or was estimated.",
    ("meter", "period"),
    _PERIODS,
)
PERIOD_ESTIMATED = gauge(
    "energyd_meter_period_estimated_energy_watthours",
    "watthours",
    "Energy drawn in gaps at the ends of days of the period: known in all, its share of each day is taken as even.",
    ("meter", "period"),
    _PERIODS,
)
PEAK_POWER = gauge(
    "energyd_meter_day_peak_apparent_power_voltamperes",
    "voltamperes",
    "Highest apparent power of the day: said by the meter (origin=said), or the highest that was heard.",
    ("meter", "direction", "day", "origin", "source"),
    "4 x meters",
)
PEAK_TIME = gauge(
    "energyd_meter_day_peak_timestamp_seconds",
    "seconds",
    "When the highest apparent power of the day was.",
    ("meter", "direction", "day", "origin", "source"),
    "4 x meters",
)
SELF_CONSUMED = gauge(
    "energyd_self_consumed_period_energy_watthours",
    "watthours",
    "Energy that was produced and not injected; only where a meter of role production is configured.",
    ("period",),
    "12",
)
PERIOD_COST = gauge(
    "energyd_meter_period_cost_euros",
    "euros",
    "Cost of a calendar period at the prices of each of its days: energy drawn, and the share of the subscription.",
    ("meter", "part", "period", "source"),
    "24 x meters",
    NEUR,
)
PERIOD_REVENUE = gauge(
    "energyd_meter_period_revenue_euros",
    "euros",
    "What the energy injected in a calendar period is paid, at the prices of each of its days.",
    ("meter", "period", "source"),
    _PERIODS,
    NEUR,
)
COST = counter(
    "energyd_cost_euros_total",
    "euros",
    "Cost of the energy drawn since the ledger began, each watt-hour at the price of its register on its day.",
    ("meter", "register", "tariff", "source"),
    "10 x meters",
    NEUR,
)
REVENUE = counter(
    "energyd_revenue_euros_total",
    "euros",
    "What the injected energy is paid since the ledger began.",
    ("meter", "source"),
    "meters",
    NEUR,
)
SUBSCRIPTION = counter(
    "energyd_subscription_euros_total",
    "euros",
    "Subscription since the day that the ledger began, each month spread evenly over its seconds.",
    ("meter", "source"),
    "meters",
    NEUR,
)
PRICE = gauge(
    "energyd_price_euros_per_kwh",
    "",
    "Price of a kilowatt-hour at the moment, by the tariff that the meter says is in force.",
    ("meter",),
    "meters",
    PRICE_DECIMALS,
)
TARIFF_PRICE = gauge(
    "energyd_tariff_price_euros_per_kwh",
    "",
    "Price today of a kilowatt-hour in each register, in force or not.",
    ("meter", "register", "tariff"),
    "11 x meters",
    PRICE_DECIMALS,
)
HOST_PRICE = gauge(
    "energyd_host_price_euros_per_kwh",
    "",
    "Price of a kilowatt-hour that the host's energy is charged with at the moment.",
    (),
    "1",
    PRICE_DECIMALS,
)
HOST_COST = counter(
    "energyd_host_cost_euros_total",
    "euros",
    "Cost of the energy that the machine has used, each joule at the price in force when it was used.",
    ("source",),
    "1",
    NEUR,
)
LEDGER_MEASURED = gauge(
    "energyd_ledger_measured_seconds", "seconds", "Time that the ledger holds, in whole days of 86400 s.", ("meter",), "meters"
)
LEDGER_FAILURES = counter("energyd_ledger_write_failures_total", "", "Failed attempts to write or read the ledger.", (), "1")
LEDGER_WAITING = gauge("energyd_ledger_waiting_marks", "", "Register values that wait until the ledger can be written.", (), "1")
LEDGER_BEHIND = counter(
    "energyd_ledger_old_readings_total",
    "",
    "Readings left out because they are dated before the newest of the ledger: a clock was set back.",
    (),
    "1",
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


class _Columns:
    """Series by family, in the order of METRICS."""

    def __init__(self) -> None:
        self._columns: dict[str, tuple[list[LabelValues], list[float]]] = {}

    def put(self, metric: Metric, labels: LabelValues, value: float) -> None:
        names, values = self._columns.setdefault(metric.name, ([], []))
        names.append(labels)
        values.append(value)

    def families(self) -> list[Family]:
        return [Family(metric, *self._columns[metric.name]) for metric in METRICS if metric.name in self._columns]


def families(snapshot: Snapshot) -> list[Family]:
    """The families of the Snapshot's ledger; those without series are left out."""
    columns, ledger = _Columns(), snapshot.ledger
    for meter in ledger.meters:
        _meter(columns, meter)
    for period, energy_wh in ledger.self_consumed:
        columns.put(SELF_CONSUMED, (period,), energy_wh)
    _host(columns, ledger, snapshot.host.source)
    if snapshot.meters:
        columns.put(LEDGER_FAILURES, (), ledger.write_failures)
        columns.put(LEDGER_WAITING, (), ledger.waiting)
        columns.put(LEDGER_BEHIND, (), ledger.behind)
    return columns.families()


def _host(columns: _Columns, ledger: Ledger, source: str) -> None:
    if ledger.price_neur_per_wh is not None:
        columns.put(HOST_PRICE, (), ledger.price_neur_per_wh)
    if ledger.host_cost_neur is not None:
        columns.put(HOST_COST, (source,), ledger.host_cost_neur)


def _meter(columns: _Columns, meter: MeterLedger) -> None:
    name, source = meter.meter, meter.source
    for stretch in meter.stretches:
        _stretch(columns, meter, stretch)
    for peak in meter.peaks:
        labels = (name, peak.direction, peak.day, "said" if peak.said else "heard", source)
        columns.put(PEAK_POWER, labels, peak.power_va)
        columns.put(PEAK_TIME, labels, peak.at_s)
    for register, tariff, cost_neur in meter.costs_neur:
        columns.put(COST, (name, register, tariff, source), cost_neur)
    if meter.revenue_neur:
        columns.put(REVENUE, (name, source), meter.revenue_neur)
    if meter.subscription_neur:
        columns.put(SUBSCRIPTION, (name, source), meter.subscription_neur)
    if meter.price_neur_per_wh is not None:
        columns.put(PRICE, (name,), meter.price_neur_per_wh)
    for register, tariff, price in meter.prices_neur_per_wh:
        columns.put(TARIFF_PRICE, (name, register, tariff), price)
    columns.put(LEDGER_MEASURED, (name,), meter.measured_days * DAY_S)


def _stretch(columns: _Columns, meter: MeterLedger, stretch: Stretch) -> None:
    name, period, source = meter.meter, stretch.name, meter.source
    if not stretch.energies:
        return
    for register, tariff, direction, energy_wh in stretch.energies:
        columns.put(PERIOD_ENERGY, (name, register, tariff, direction, period, source), energy_wh)
    columns.put(PERIOD_COMPLETE, (name, period), int(stretch.complete))
    columns.put(PERIOD_ESTIMATED, (name, period), stretch.estimated_wh)
    if stretch.cost_neur is not None:
        columns.put(PERIOD_COST, (name, "energy", period, source), stretch.cost_neur)
        columns.put(PERIOD_COST, (name, "subscription", period, source), stretch.subscription_neur)
    if stretch.revenue_neur:
        columns.put(PERIOD_REVENUE, (name, period, source), stretch.revenue_neur)
