"""A Snapshot as columns: which family, which series, which value. Integers stay the integers that were counted.

Law: no series twice; a sum over a family counts nothing twice (see `energyd.export.catalogue`).
"""

from collections.abc import Iterable

from energyd import ticprofessional
from energyd.aggregate.snapshot import Meter, Snapshot
from energyd.export import (
    containermetrics,
    devicemetrics,
    gpumetrics,
    groupmetrics,
    hostmetrics,
    metermetrics,
    meterquantities,
    meterregisters,
    processmetrics,
    professionalmetrics,
    ringmetrics,
    trafficmetrics,
    zonemetrics,
)
from energyd.export.catalogue import BUILD_INFO, CATALOGUE, SNAPSHOT_TIME
from energyd.export.metric import Family, LabelValues, Row


def collect(snapshot: Snapshot, version: str) -> list[Family]:
    """The families of `snapshot` in the order of the catalogue; those without series are left out."""
    rows = _Rows()
    rows.put([(BUILD_INFO, (version,), 1), (SNAPSHOT_TIME, (), snapshot.real_ns)])
    rows.put(hostmetrics.rows(snapshot.host))
    rows.put(devicemetrics.rows(snapshot.host))
    rows.put(containermetrics.rows(snapshot.containers))
    rows.put(trafficmetrics.rows(snapshot.traffic))
    for zone in snapshot.zones:
        rows.put(zonemetrics.rows(zone))
    rows.put(processmetrics.rows(snapshot.processes, snapshot.host))
    for meter in snapshot.meters:
        _meter(rows, meter, snapshot)
    for ring in snapshot.rings:
        rows.put(ringmetrics.rows(ring))
    processes = processmetrics.families(snapshot.processes, snapshot.host)
    return rows.families({**processes, **groupmetrics.families(snapshot), **gpumetrics.families(snapshot)})


def _meter(rows: "_Rows", meter: Meter, snapshot: Snapshot) -> None:
    rows.put(meterregisters.rows(meter))
    rows.put(meterquantities.rows(meter, snapshot.mono_ns))
    rows.put(metermetrics.rows(meter, snapshot.mono_ns, snapshot.real_ns))
    if meter.mode == ticprofessional.PROFESSIONAL:
        rows.put(professionalmetrics.rows(meter))


class _Rows:
    """Series by family, each at most once: a later value for the same labels takes the place of the first."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[LabelValues, float]] = {}

    def put(self, rows: Iterable[Row]) -> None:
        for metric, labels, value in rows:
            self._rows.setdefault(metric.name, {})[labels] = value

    def families(self, columns: dict[str, Family]) -> list[Family]:
        """All that was put and, for the metrics of which nothing was, `columns` by name."""
        families = []
        for metric in CATALOGUE:
            row = self._rows.get(metric.name)
            if row is not None:
                families.append(Family(metric, list(row), list(row.values())))
            elif metric.name in columns:
                families.append(columns[metric.name])
        return families
