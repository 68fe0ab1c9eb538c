"""A Snapshot as columns: which family, which series, which value. Integers stay the integers that were counted.

The labels of the meter are those of Enedis-NOI-CPT_54E; a table says which family and which phase, day or point each number of the
moment belongs to. Law: no series twice; a sum over a family counts nothing twice (see `energyd.export.catalogue`).
"""

from functools import lru_cache
from typing import Final

from energyd import ticprofessional
from energyd.aggregate.snapshot import Host, Meter, Process, Processes, Ring, Snapshot, Window, Zone
from energyd.export import catalogue as c
from energyd.export import groupmetrics, metermetrics, professionalmetrics
from energyd.export.catalogue import CATALOGUE
from energyd.export.metric import Family, LabelValues, Metric

TIC_RING_PREFIX: Final = "tic-"

QUANTITIES: Final[dict[str, tuple[Metric, LabelValues, int]]] = {
    # label of the meter: family, its labels between `meter` and `source`, factor to the unit and decimals of the family
    "PAPP": (c.METER_APPARENT_POWER, ("consumed",), 1),
    "SINSTS": (c.METER_APPARENT_POWER, ("consumed",), 1),
    "SINSTI": (c.METER_APPARENT_POWER, ("injected",), 1),
    "SINSTS1": (c.METER_PHASE_APPARENT_POWER, ("1",), 1),
    "SINSTS2": (c.METER_PHASE_APPARENT_POWER, ("2",), 1),
    "SINSTS3": (c.METER_PHASE_APPARENT_POWER, ("3",), 1),
    "SMAXSN": (c.METER_MAX_APPARENT_POWER, ("consumed", "today"), 1),
    "SMAXSN-1": (c.METER_MAX_APPARENT_POWER, ("consumed", "yesterday"), 1),
    "SMAXIN": (c.METER_MAX_APPARENT_POWER, ("injected", "today"), 1),
    "SMAXIN-1": (c.METER_MAX_APPARENT_POWER, ("injected", "yesterday"), 1),
    "SMAXSN1": (c.METER_PHASE_MAX_APPARENT_POWER, ("1", "today"), 1),
    "SMAXSN2": (c.METER_PHASE_MAX_APPARENT_POWER, ("2", "today"), 1),
    "SMAXSN3": (c.METER_PHASE_MAX_APPARENT_POWER, ("3", "today"), 1),
    "SMAXSN1-1": (c.METER_PHASE_MAX_APPARENT_POWER, ("1", "yesterday"), 1),
    "SMAXSN2-1": (c.METER_PHASE_MAX_APPARENT_POWER, ("2", "yesterday"), 1),
    "SMAXSN3-1": (c.METER_PHASE_MAX_APPARENT_POWER, ("3", "yesterday"), 1),
    "PMAX": (c.METER_MAX_POWER, (), 1),
    "CCASN": (c.METER_LOAD_CURVE, ("consumed", "last"), 1),
    "CCASN-1": (c.METER_LOAD_CURVE, ("consumed", "previous"), 1),
    "CCAIN": (c.METER_LOAD_CURVE, ("injected", "last"), 1),
    "CCAIN-1": (c.METER_LOAD_CURVE, ("injected", "previous"), 1),
    "IINST": (c.METER_CURRENT, ("1",), 1),
    "IINST1": (c.METER_CURRENT, ("1",), 1),
    "IINST2": (c.METER_CURRENT, ("2",), 1),
    "IINST3": (c.METER_CURRENT, ("3",), 1),
    "IRMS1": (c.METER_CURRENT, ("1",), 1),
    "IRMS2": (c.METER_CURRENT, ("2",), 1),
    "IRMS3": (c.METER_CURRENT, ("3",), 1),
    "IMAX": (c.METER_MAX_CURRENT, ("1",), 1),
    "IMAX1": (c.METER_MAX_CURRENT, ("1",), 1),
    "IMAX2": (c.METER_MAX_CURRENT, ("2",), 1),
    "IMAX3": (c.METER_MAX_CURRENT, ("3",), 1),
    "ADPS": (c.METER_OVERLOAD_CURRENT, ("1",), 1),
    "ADIR1": (c.METER_OVERLOAD_CURRENT, ("1",), 1),
    "ADIR2": (c.METER_OVERLOAD_CURRENT, ("2",), 1),
    "ADIR3": (c.METER_OVERLOAD_CURRENT, ("3",), 1),
    "URMS1": (c.METER_VOLTAGE, ("1",), 1),
    "URMS2": (c.METER_VOLTAGE, ("2",), 1),
    "URMS3": (c.METER_VOLTAGE, ("3",), 1),
    "UMOY1": (c.METER_MEAN_VOLTAGE, ("1",), 1),
    "UMOY2": (c.METER_MEAN_VOLTAGE, ("2",), 1),
    "UMOY3": (c.METER_MEAN_VOLTAGE, ("3",), 1),
    "PREF": (c.METER_SUBSCRIBED_POWER, (), 1000),
    "PCOUP": (c.METER_CUTOFF_POWER, (), 1000),
    "ISOUSC": (c.METER_SUBSCRIBED_CURRENT, (), 1),
    "PEJP": (c.METER_EJP_NOTICE, (), 60),
    "DATE": (c.METER_CLOCK, (), 1),
    "NTARF": (c.METER_TARIFF_INDEX, (), 1),
    "NJOURF": (c.METER_DAY_INDEX, ("today",), 1),
    "NJOURF+1": (c.METER_DAY_INDEX, ("tomorrow",), 1),
    "STGE": (c.METER_STATUS, (), 1),
    "RELAIS": (c.METER_RELAYS, (), 1),
    "PPOT": (c.METER_ABSENT_PHASES, (), 1),
    "ERQ1": (c.METER_REACTIVE_ENERGY, ("1",), 1),
    "ERQ2": (c.METER_REACTIVE_ENERGY, ("2",), 1),
    "ERQ3": (c.METER_REACTIVE_ENERGY, ("3",), 1),
    "ERQ4": (c.METER_REACTIVE_ENERGY, ("4",), 1),
    "GAZ": (c.METER_FLUID, ("GAZ",), 1),
    "AUTRE": (c.METER_FLUID, ("AUTRE",), 1),
}
PROFESSIONAL_QUANTITIES: Final[dict[str, tuple[Metric, LabelValues, int]]] = {
    "JAUNE": (c.METER_APPARENT_POWER, ("consumed",), 1),
    "PSOUSC/1": (c.METER_SUBSCRIBED_POWER, (), 1),
    "PS kVA": (c.METER_SUBSCRIBED_POWER, (), 1),
    "DATE": (c.METER_CLOCK, (), 1),
    "DATECOUR": (c.METER_CLOCK, (), 1),
}
TEXTS: Final = {
    "OPTARIF": "contract",
    "NGTF": "contract",
    "VTIC": "version",
    "PRM": "prm",
    **dict.fromkeys(("CONTRAT", "MESURES1", "GRILLE_F"), "contract"),
}
TARIFF_TEXTS: Final = {
    "PTEC": "tariff",
    "LTARF": "tariff",
    "DEMAIN": "tomorrow",
    **dict.fromkeys(("PTCOUR", "PTCOUR1", "PTCOURF"), "tariff"),
}

TIC_COUNTERS: Final = {
    "bytes": c.METER_BYTES,
    "frames": c.METER_FRAMES,
    "interruptions": c.METER_INTERRUPTIONS,
    "resynchronisations": c.METER_RESYNCHRONISATIONS,
    "reopenings": c.METER_REOPENINGS,
}
GROUPS_PREFIX: Final = "groups_"  # of the counters that become METER_GROUPS, the rest of the name is the result
READER_COUNTERS: Final = {
    "sweeps": c.READER_SWEEPS,
    "scans": c.READER_SCANS,
    "missed_ticks": c.READER_MISSED_TICKS,
    "read_errors": c.READER_READ_ERRORS,
    "zones_appeared": c.READER_ZONES_APPEARED,
    "zones_vanished": c.READER_ZONES_VANISHED,
    "processes_born": c.READER_BORN,
    "processes_gone": c.READER_GONE,
    "exit_records": c.READER_EXIT_RECORDS,
    "exit_records_lost": c.READER_EXIT_RECORDS_LOST,
}
_NONE: Final[tuple[tuple[()], ...]] = ((),) * len(Process._fields)  # the columns of no process
_OTHER: Final = ("", "other", "", "")


def collect(snapshot: Snapshot, version: str) -> list[Family]:
    """The families of `snapshot` in the order of the catalogue; those without series are left out."""
    rows = _Rows()
    rows.put(c.BUILD_INFO, (version,), 1)
    rows.put(c.SNAPSHOT_TIME, (), snapshot.real_ns)
    _host(rows, snapshot.host)
    for zone in snapshot.zones:
        _zone(rows, zone)
    _process_sums(rows, snapshot.processes, snapshot.host)
    for meter in snapshot.meters:
        _meter(rows, meter, snapshot)
    for ring in snapshot.rings:
        _ring(rows, ring)
    return rows.families({**_visible_processes(snapshot.processes, snapshot.host), **groupmetrics.families(snapshot)})


class _Rows:
    """Series by family, each at most once: a later value for the same labels takes the place of the first."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[LabelValues, float]] = {}

    def put(self, metric: Metric, labels: LabelValues, value: float) -> None:
        self._rows.setdefault(metric.name, {})[labels] = value

    def families(self, columns: dict[str, Family]) -> list[Family]:
        families = []
        for metric in CATALOGUE:
            row = self._rows.get(metric.name)
            if row is not None:
                families.append(Family(metric, list(row), list(row.values())))
            elif metric.name in columns:
                families.append(columns[metric.name])
        return families


def _host(rows: _Rows, host: Host) -> None:
    if host.energy_uj is not None:
        rows.put(c.HOST_ENERGY, (host.source,), host.energy_uj)
    if host.power_w is not None:
        rows.put(c.HOST_POWER, (host.source,), float(host.power_w))
    for window in host.windows:
        rows.put(c.HOST_WINDOW_MEASURED, (window.name,), window.seconds)
        _window(rows, window, (c.HOST_WINDOW_QUANTILE, c.HOST_WINDOW_MEAN, c.HOST_WINDOW_MAX), (), host.source)
    for mode, cpu_ns in host.cpu_ns:
        rows.put(c.HOST_CPU, (mode,), cpu_ns)
    rows.put(c.HOST_BUSY_CPU, (), host.busy_cpu_ns)
    rows.put(c.EXITED_CPU, (), host.exited_cpu_ns)
    for field, memory_bytes in host.memory_bytes:
        rows.put(c.HOST_MEMORY, (field,), memory_bytes)


def _window(rows: _Rows, window: Window, metrics: tuple[Metric, Metric, Metric], first: LabelValues, source: str) -> None:
    quantile, mean, highest = metrics
    for part, power in window.quantiles_w:
        rows.put(quantile, (*first, window.name, str(part), source), float(power))
    rows.put(mean, (*first, window.name, source), float(window.mean_w))
    rows.put(highest, (*first, window.name, source), float(window.max_w))


def _zone(rows: _Rows, zone: Zone) -> None:
    labels = (zone.name, zone.domain, zone.source)
    energy, power = (c.ZONE_ENERGY, c.ZONE_POWER) if zone.additive else (c.SUBZONE_ENERGY, c.SUBZONE_POWER)
    rows.put(energy, labels, zone.energy_uj)
    if zone.power_w is not None:
        rows.put(power, labels, float(zone.power_w))
    rows.put(c.ZONE_READABLE, (zone.name,), int(zone.readable))
    rows.put(c.ZONE_RESETS, (zone.name,), zone.resets)
    if zone.additive:
        parts = {
            "processes": zone.processes_uj,
            "exited": zone.exited_uj,
            "idle": zone.idle_uj,
            "unattributed": zone.unattributed_uj,
        }
        for part, energy_uj in parts.items():
            rows.put(c.ATTRIBUTED_ENERGY, (zone.name, part, zone.source), energy_uj)
        rows.put(c.ATTRIBUTION_PENDING, (zone.name,), zone.pending_uj)
        rows.put(c.ATTRIBUTION_ERROR, (zone.name,), zone.energy_uj - sum(parts.values()) - zone.pending_uj)


def _process_sums(rows: _Rows, processes: Processes, host: Host) -> None:
    rows.put(c.PROCESSES, (), processes.alive)
    rows.put(c.PROCESS_GONE_CPU, (), processes.gone_cpu_ns)
    rows.put(c.PROCESS_HIDDEN_CPU, (), processes.hidden_cpu_ns)
    if host.energy_uj is not None:
        rows.put(c.PROCESS_GONE_ENERGY, (host.source,), processes.gone_energy_uj)
        rows.put(c.PROCESS_HIDDEN_ENERGY, (host.source,), processes.hidden_energy_uj)


def _visible_processes(processes: Processes, host: Host) -> dict[str, Family]:
    """The families with a series for each visible process and one for all others."""
    # column by column: at thousands of processes four times faster than one by one
    pids, comms, cgroups, uids, energies_uj, powers_w, cpus_ns, *_ = (
        zip(*processes.visible, strict=True) if processes.visible else _NONE
    )
    labels = _process_labels(pids, comms, cgroups, uids)
    columns = [Family(c.PROCESS_CPU, labels, [*cpus_ns, processes.other_cpu_ns])]
    if host.energy_uj is not None:
        labels = _process_labels(pids, comms, cgroups, uids, host.source)
        columns.append(Family(c.PROCESS_ENERGY, labels, [*energies_uj, processes.other_energy_uj]))
        columns.append(Family(c.PROCESS_POWER, labels, list(map(float, (*powers_w, processes.other_power_w)))))
    return {family.metric.name: family for family in columns}


@lru_cache(maxsize=4)  # as long as the same processes are visible, the very same list: the renderer sees it at once
def _process_labels(
    pids: tuple[int, ...], comms: tuple[str, ...], cgroups: tuple[str, ...], uids: tuple[int, ...], *source: str
) -> list[LabelValues]:
    rows = zip((str(pid) if pid else "" for pid in pids), comms, cgroups, map(str, uids), strict=True)
    return [(*row, *source) for row in (*rows, _OTHER)]


def _meter(rows: _Rows, meter: Meter, snapshot: Snapshot) -> None:
    _meter_texts(rows, meter)
    for register in meter.registers:
        labels = (meter.name, register.name, register.direction, register.period, meter.source)
        rows.put(_register_family(register.scope, register.direction), labels, register.energy_wh)
    professional = meter.mode == ticprofessional.PROFESSIONAL
    families = PROFESSIONAL_QUANTITIES if professional else QUANTITIES
    for label, value in meter.quantities:
        if label in families:
            metric, places, factor = families[label]
            labels_of_value = (meter.name, *places, *((meter.source,) if "source" in metric.labels else ()))
            rows.put(metric, labels_of_value, value * factor)
    for window in meter.windows_va:
        rows.put(c.METER_WINDOW_MEASURED, (meter.name, window.name), window.seconds)
        metrics = (c.METER_WINDOW_QUANTILE, c.METER_WINDOW_MEAN, c.METER_WINDOW_MAX)
        _window(rows, window, metrics, (meter.name,), meter.source)
    for row in metermetrics.rows(meter, snapshot.mono_ns, snapshot.real_ns):
        rows.put(*row)
    for row in professionalmetrics.rows(meter) if professional else ():
        rows.put(*row)
    rows.put(c.METER_RESETS, (meter.name,), meter.resets)
    rows.put(c.METER_LINK_UP, (meter.name,), int(meter.link_up))
    if meter.last_group_mono_ns:
        rows.put(c.METER_LAST_GROUP_AGE, (meter.name,), max(0, snapshot.mono_ns - meter.last_group_mono_ns))


def _register_family(scope: str, direction: str) -> Metric:
    if scope == "distributor":
        return c.METER_DISTRIBUTOR_ENERGY
    # what is drawn is told twice, in all and by tariff; what is injected only in all
    return c.METER_ALL_TARIFFS_ENERGY if scope == "total" and direction == "consumed" else c.METER_ENERGY


def _meter_texts(rows: _Rows, meter: Meter) -> None:
    said = dict.fromkeys((*TEXTS.values(), *TARIFF_TEXTS.values()), "")
    for label, text in meter.texts:
        if label in TEXTS or label in TARIFF_TEXTS:
            said[TEXTS.get(label) or TARIFF_TEXTS[label]] = text.strip()
    rows.put(
        c.METER_INFO,
        (meter.name, meter.address, said["prm"], meter.mode, said["contract"], said["version"], meter.source),
        1,
    )
    if said["tariff"]:
        rows.put(c.METER_TARIFF_INFO, (meter.name, said["tariff"], said["tomorrow"]), 1)


def _ring(rows: _Rows, ring: Ring) -> None:
    rows.put(c.RING_SAMPLES, (ring.name,), ring.samples)
    rows.put(c.RING_OVERRUNS, (ring.name,), ring.overruns)
    rows.put(c.RING_REFUSED, (ring.name,), ring.refused)
    if ring.heartbeat_age_ns is not None:
        rows.put(c.RING_HEARTBEAT_AGE, (ring.name,), max(0, ring.heartbeat_age_ns))
    meter = ring.name.removeprefix(TIC_RING_PREFIX)
    for counter, value in ring.counters:
        if ring.name == meter:
            if counter in READER_COUNTERS:
                rows.put(READER_COUNTERS[counter], (ring.name,), value)
        elif counter.startswith(GROUPS_PREFIX):
            rows.put(c.METER_GROUPS, (meter, counter.removeprefix(GROUPS_PREFIX)), value)
        elif counter in TIC_COUNTERS:
            rows.put(TIC_COUNTERS[counter], (meter,), value)
