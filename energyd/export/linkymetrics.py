"""`linky_*`: the families of linky-exporter, so that dashboards and queries made for it go on (source: its documentation).

Names, labels and units are its own, faults included: labels that change stand on counters, which therefore begin a new series at
every change of tariff; the native families do not. A meter in standard mode fills the same families from what means the same:
EASFnn by the supplier's calendar, SINSTS, IRMS1, PREF. Tempo and EJP, which the original lacks, follow its pattern.
Each counter also exists under a name that ends in `_total`, as the original announces it in its metadata.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from energyd.aggregate.snapshot import Meter, Snapshot
from energyd.export.metric import GAUGE, INHERITED_COUNTER, Family, LabelValues, Metric
from energyd.ledger.periods import TOTAL_REGISTER, active_register, contract_of, period_of
from energyd.ticfields import CONSUMED, HISTORIQUE, STANDARD

NAME: Final = "linky_exporter"
"""Its name in the list `compatibility` of the configuration."""

LABELS: Final = ("adco", "hhphc", "imax", "job", "motdetat", "optarif", "ptec")
SOURCE: Final = "source"  # added where what speaks is a simulator

_GAUGES: Final = {
    "isousc": "Subscribed current in amperes.",
    "iinst": "Current in amperes.",
    "papp": "Apparent power in volt-amperes.",
}
_REGISTERS: Final = {
    "base": ("base", "all hours"),
    "hchc": ("hc", "off-peak hours"),
    "hchp": ("hp", "peak hours"),
    "ejphn": ("ejp_normal", "normal hours of EJP"),
    "ejphpm": ("ejp_peak", "mobile peak of EJP"),
    "bbrhcjb": ("tempo_blue_hc", "off-peak hours of blue days"),
    "bbrhpjb": ("tempo_blue_hp", "peak hours of blue days"),
    "bbrhcjw": ("tempo_white_hc", "off-peak hours of white days"),
    "bbrhpjw": ("tempo_white_hp", "peak hours of white days"),
    "bbrhcjr": ("tempo_red_hc", "off-peak hours of red days"),
    "bbrhpjr": ("tempo_red_hp", "peak hours of red days"),
}


def _metrics() -> Iterator[Metric]:
    for name, text in _GAUGES.items():
        yield Metric(f"linky_{name}", GAUGE, "", text, LABELS, "meters")
    for name, (_, hours) in _REGISTERS.items():
        for suffix in ("", "_total"):
            text = f"Energy drawn in watt-hours, {hours}."
            yield Metric(
                f"linky_{name}{suffix}", INHERITED_COUNTER, "", text, LABELS, "meters, a new series at each change of tariff"
            )


METRICS: Final[tuple[Metric, ...]] = tuple(_metrics())

_BY_PERIOD: Final = {period: name for name, (period, _) in _REGISTERS.items()}
_OPTIONS: Final = {"base": "BASE", "hc_hp": "HC..", "ejp": "EJP.", "tempo": "BBR"}
_TARIFFS: Final = {
    "base": "TH..",
    "hc": "HC..",
    "hp": "HP..",
    "ejp_normal": "HN..",
    "ejp_peak": "PM..",
    **{
        f"tempo_{colour}_{hours}": f"{hours.upper()}J{letter}"
        for hours in ("hc", "hp")
        for colour, letter in (("blue", "B"), ("white", "W"), ("red", "R"))
    },
}
_VOLTS: Final = 200  # by which a subscribed power is a subscribed current (54E 6.1)


class LinkyExporter:
    """The families of a Snapshot; `job` is the value of the label of that name."""

    def __init__(self, job: str) -> None:
        self._job = job

    def families(self, snapshot: Snapshot) -> list[Family]:
        simulated = any(meter.source == "simulated" for meter in snapshot.meters)
        rows: dict[str, dict[LabelValues, int]] = {}
        for meter in snapshot.meters:
            for name, labels, value in self._meter(meter):
                rows.setdefault(name, {})[(*labels, _source(meter)) if simulated else labels] = value
        families = []
        for metric in METRICS:
            if metric.name in rows:
                shown = metric._replace(labels=(*LABELS, SOURCE)) if simulated else metric
                families.append(Family(shown, list(rows[metric.name]), list(rows[metric.name].values())))
        return families

    def _meter(self, meter: Meter) -> Iterator[tuple[str, LabelValues, int]]:
        """Nothing before the first whole frame, which has all that the labels say, nor once the meter has fallen silent."""
        if not (meter.address and meter.quantities and meter.last_frame_mono_ns is not None):
            return
        said = _SAID[meter.mode](meter) if meter.mode in _SAID else None
        if said is None:
            return
        texts, quantities = dict(meter.texts), dict(meter.quantities)
        labels = (
            meter.address,
            texts.get("HHPHC", ""),
            f"{quantities['IMAX']:03}" if "IMAX" in quantities else "",
            self._job,
            texts.get("MOTDETAT", ""),
            said.option,
            said.tariff,
        )
        for name, value in said.values:
            yield f"linky_{name}", labels, value
            if name in _REGISTERS:
                yield f"linky_{name}_total", labels, value


class _Said(NamedTuple):
    """OPTARIF, PTEC, and the values by the names of their families."""

    option: str
    tariff: str
    values: tuple[tuple[str, int], ...]


def _historique(meter: Meter) -> _Said:
    texts = dict(meter.texts)
    values = [(label.lower(), value) for label, value in meter.quantities if label.lower() in _GAUGES]
    values += [(register.name.lower(), register.energy_wh) for register in meter.registers if register.name.lower() in _REGISTERS]
    return _Said(texts.get("OPTARIF", ""), texts.get("PTEC", ""), tuple(values))


def _standard(meter: Meter) -> _Said:
    """As a Linky in historique mode would say it; a contract that this mode does not know is counted in `base` (54E 6.1)."""
    texts, quantities = dict(meter.texts), dict(meter.quantities)
    contract = contract_of(texts)
    three_phases = "IRMS2" in quantities
    values = {}
    if "PREF" in quantities:
        values["isousc"] = quantities["PREF"] * 1000 // (_VOLTS * (3 if three_phases else 1))
    if "IRMS1" in quantities and not three_phases:
        values["iinst"] = quantities["IRMS1"]
    if "SINSTS" in quantities:
        values["papp"] = quantities["SINSTS"]
    known = contract in _OPTIONS
    for register in meter.registers:
        name = (
            _BY_PERIOD.get(period_of(register.name, contract, {})) if known else "base" if register.name == TOTAL_REGISTER else None
        )
        if name is not None and register.direction == CONSUMED:
            values[name] = register.energy_wh
    period = period_of(active_register(texts, quantities), contract, {}) if known else "base"
    return _Said(_OPTIONS.get(contract, _OPTIONS["base"]), _TARIFFS.get(period, ""), tuple(values.items()))


_SAID: Final = {HISTORIQUE: _historique, STANDARD: _standard}


def _source(meter: Meter) -> str:
    return meter.source if meter.source == "simulated" else ""
