"""The metrics of the myelectricaldata client under the names, labels and units that its documentation gives, from the ledger.

A day's values are those of the last day that was measured wholly, months and years those of the present and the one before.
`hc` and `hp` always add up to `daily`: off-peak is what a register named so counts, peak is all else. `pdl` is what the meter calls
PRM or what the configuration says; a meter without one has no such series. `sync` is the reader: a frame is a synchronisation.
Where a meter is simulated, all series carry `source`, which is `simulated` on its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from energyd.aggregate.snapshot import Meter, MeterLedger, Snapshot, Stretch
from energyd.export.metric import COUNTER, FLOAT, GAUGE, INFO, INHERITED_GAUGE, NS, SUMMARY, Family, LabelValues, Metric
from energyd.ledger.periods import is_off_peak

NAME: Final = "myelectricaldata"
SIMULATED: Final = "simulated"
KILO: Final = 3  # watt-hours are thousandths of a kilowatt-hour


def _metric(name: str, kind: str, text: str, labels: tuple[str, ...], decimals: int = 0) -> Metric:
    return Metric(f"{NAME}_{name}", kind, "", text, labels, "meters", decimals)


DAILY = _metric("consumption_daily_kwh", GAUGE, "Energy drawn on the last whole day.", ("pdl", "tariff"), KILO)
HC = _metric("consumption_hc_kwh", GAUGE, "Energy drawn on that day in off-peak hours.", ("pdl",), KILO)
HP = _metric("consumption_hp_kwh", GAUGE, "Energy drawn on that day in all other hours.", ("pdl",), KILO)
MONTHLY = _metric("consumption_monthly_kwh", GAUGE, "Energy drawn this month and the month before.", ("pdl", "month"), KILO)
YEARLY = _metric("consumption_yearly_kwh", GAUGE, "Energy drawn this year and the year before.", ("pdl", "year"), KILO)
MAX_POWER = _metric("max_power_kva", GAUGE, "Highest apparent power of the last whole day.", ("pdl",), KILO)
PRODUCED_DAILY = _metric("production_daily_kwh", GAUGE, "Energy given back on the last whole day.", ("pdl", "tariff"), KILO)
PRODUCED_MONTHLY = _metric(
    "production_monthly_kwh", GAUGE, "Energy given back this month and the month before.", ("pdl", "month"), KILO
)
PRODUCED_YEARLY = _metric("production_yearly_kwh", GAUGE, "Energy given back this year and the year before.", ("pdl", "year"), KILO)
PDL_INFO = _metric("pdl_info", INFO, "Point de livraison, tariff and subscribed power in kVA.", ("pdl", "tariff", "power"))
LAST_SYNC = _metric("last_sync_timestamp", GAUGE, "Unix time of the last whole frame.", ("pdl",), NS)
SYNC_STATUS = _metric("sync_status", GAUGE, "1 while frames come and are whole.", ("pdl",))
SYNCED_DAYS = _metric("synced_days_total", INHERITED_GAUGE, "Days that the ledger holds.", ("pdl",))
SYNCS = _metric("sync_total", COUNTER, "Frames that were whole, and frames that were not.", ("status",))
SYNC_DURATION = _metric("sync_duration_seconds", SUMMARY, "Time that a frame takes.", ("quantile",), FLOAT)
API_REQUESTS = _metric("api_requests_total", COUNTER, "Requests that energyd has answered.", ("endpoint",))

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


class Families:
    """The families of a Snapshot. `requests` is how many requests each endpoint has answered, kept up to date by its owner."""

    def __init__(self, requests: Mapping[str, int]) -> None:
        self._requests = requests

    def __call__(self, snapshot: Snapshot) -> list[Family]:
        rows: dict[str, dict[LabelValues, float]] = {metric.name: {} for metric in METRICS}
        meters = {meter.name: meter for meter in snapshot.meters}
        for house, producer in _by_pdl(snapshot.ledger.meters):
            _drawn(rows, house)
            _given(rows, producer, house)
            _reader(rows, house, meters[house.meter])
        if snapshot.meters:
            rows[SYNCS.name][("success",)] = sum(meter.frames.ok for meter in snapshot.meters)
            rows[SYNCS.name][("error",)] = sum(meter.frames.bad for meter in snapshot.meters)
        for meter in snapshot.meters[:1]:
            for quantile, duration_ns in meter.frames.quantiles_ns:
                rows[SYNC_DURATION.name][(str(quantile),)] = duration_ns / 1e9
        for endpoint, count in self._requests.items():
            rows[API_REQUESTS.name][(endpoint,)] = count
        families = [Family(metric, list(row), list(row.values())) for metric in METRICS if (row := rows[metric.name])]
        simulated = {meter.pdl for meter in snapshot.ledger.meters if meter.source == SIMULATED}
        return [_with_source(family, simulated) for family in families] if simulated else families


def _by_pdl(meters: Sequence[MeterLedger]) -> Iterator[tuple[MeterLedger, MeterLedger]]:
    """For each point de livraison the meter of what is drawn and that of what is given back: usually one and the same.

    A production meter that is configured with the house's `pdl` stands behind it: what it draws itself is in the house's registers.
    """
    for pdl in dict.fromkeys(meter.pdl for meter in meters if meter.pdl):
        here = [meter for meter in meters if meter.pdl == pdl]
        producing = [meter for meter in here if _produces(meter)]
        house = next((meter for meter in here if meter not in producing), here[0])
        yield house, producing[0] if producing else house


def _produces(meter: MeterLedger) -> bool:
    known = [*meter.stretches, *([meter.last_day] if meter.last_day else [])]
    return any(energy.direction == "produced" for stretch in known for energy in stretch.energies)


def _drawn(rows: dict[str, dict[LabelValues, float]], meter: MeterLedger) -> None:
    pdl = meter.pdl
    if meter.last_day is not None:
        consumed, off_peak, _ = _of(meter.last_day)
        if consumed is not None:
            rows[DAILY.name][pdl, meter.contract] = consumed
            rows[HC.name][(pdl,)] = off_peak
            rows[HP.name][(pdl,)] = consumed - off_peak
    for metric, label, stretch in _dated(meter, MONTHLY, YEARLY):
        consumed, _, _ = _of(stretch)
        if consumed is not None:
            rows[metric.name][pdl, label] = consumed
    if meter.last_day_peak_va is not None:
        rows[MAX_POWER.name][(pdl,)] = meter.last_day_peak_va


def _given(rows: dict[str, dict[LabelValues, float]], meter: MeterLedger, house: MeterLedger) -> None:
    """Under the labels of what the house draws, so that the one can be divided by the other."""
    pdl = meter.pdl
    if meter.last_day is not None and (produced := _of(meter.last_day)[2]) is not None:
        rows[PRODUCED_DAILY.name][pdl, house.contract] = produced
    for metric, label, stretch in _dated(meter, PRODUCED_MONTHLY, PRODUCED_YEARLY):
        if (produced := _of(stretch)[2]) is not None:
            rows[metric.name][pdl, label] = produced


def _dated(meter: MeterLedger, monthly: Metric, yearly: Metric) -> Iterator[tuple[Metric, str, Stretch]]:
    """(metric, value of its label month or year, stretch) of what is known of the present and the one before."""
    stretches = {stretch.name: stretch for stretch in meter.stretches}
    for metric, label, name in (
        (monthly, meter.last_month, "last_month"),
        (monthly, meter.month, "this_month"),
        (yearly, meter.last_year, "last_year"),
        (yearly, meter.year, "this_year"),
    ):
        if name in stretches:
            yield metric, label, stretches[name]


def _with_source(family: Family, simulated: set[str]) -> Family:
    """An estimate or a simulation is never shown as a measurement."""
    metric, labels, values = family
    of_meter = metric.labels[:1] == ("pdl",)
    sources = [SIMULATED if not of_meter or row[0] in simulated else "" for row in labels]
    marked = [(*row, source) for row, source in zip(labels, sources, strict=True)]
    return Family(metric._replace(labels=(*metric.labels, "source")), marked, values)


def _of(stretch: Stretch) -> tuple[int | None, int, int | None]:
    """Watt-hours drawn, of those off-peak, and given back; None where the meter has no such register."""
    drawn = [energy for energy in stretch.energies if energy.direction == "consumed"]
    given = [energy.energy_wh for energy in stretch.energies if energy.direction != "consumed"]
    off_peak = sum(energy.energy_wh for energy in drawn if is_off_peak(energy.tariff))
    return sum(energy.energy_wh for energy in drawn) if drawn else None, off_peak, sum(given) if given else None


def _reader(rows: dict[str, dict[LabelValues, float]], ledgered: MeterLedger, meter: Meter) -> None:
    pdl = ledgered.pdl
    power = "" if ledgered.subscribed_va is None else f"{ledgered.subscribed_va / 1000:g}"
    rows[PDL_INFO.name][pdl, ledgered.contract, power] = 1
    if ledgered.last_frame_ns is not None:
        rows[LAST_SYNC.name][(pdl,)] = ledgered.last_frame_ns
    rows[SYNC_STATUS.name][(pdl,)] = int(meter.link_up)
    rows[SYNCED_DAYS.name][(pdl,)] = ledgered.measured_days
