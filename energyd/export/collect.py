"""A Snapshot as columns: which family, which series, which value. Integers stay the integers that were counted.

Law: no series twice; a sum over a family counts nothing twice (see `energyd.export.catalogue`).
"""

from collections.abc import Iterable, Iterator
from functools import partial

from energyd import ticprofessional
from energyd.aggregate.snapshot import Snapshot
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
from energyd.export.defects import Failed, attempt, raise_the_error
from energyd.export.metric import Family, LabelValues, Row


def collect(snapshot: Snapshot, version: str, failed: Failed = raise_the_error) -> list[Family]:
    """The families of `snapshot` in the order of the catalogue; those without series are left out, and what a defect spoils."""
    rows = _Rows()
    rows.put([(BUILD_INFO, (version,), 1), (SNAPSHOT_TIME, (), snapshot.real_ns)])
    for part in _parts(snapshot):
        attempt(part, rows.put, failed)
    columns: dict[str, Family] = {}
    attempt(partial(processmetrics.families, snapshot.processes, snapshot.host), columns.update, failed)
    attempt(partial(groupmetrics.families, snapshot), columns.update, failed)
    attempt(partial(gpumetrics.families, snapshot), columns.update, failed)
    return rows.families(columns)


def _parts(snapshot: Snapshot) -> Iterator[partial[Iterator[Row]]]:
    """What gives the families that are made row by row, in the order in which their series stand."""
    yield partial(hostmetrics.rows, snapshot.host)
    yield partial(devicemetrics.rows, snapshot.host)
    yield partial(containermetrics.rows, snapshot.containers)
    yield partial(trafficmetrics.rows, snapshot.traffic)
    for zone in snapshot.zones:
        yield partial(zonemetrics.rows, zone)
    yield partial(processmetrics.rows, snapshot.processes, snapshot.host)
    for meter in snapshot.meters:
        yield partial(meterregisters.rows, meter)
        yield partial(meterquantities.rows, meter, snapshot.mono_ns)
        yield partial(metermetrics.rows, meter, snapshot.mono_ns, snapshot.real_ns)
        if meter.mode == ticprofessional.PROFESSIONAL:
            yield partial(professionalmetrics.rows, meter)
    for ring in snapshot.rings:
        yield partial(ringmetrics.rows, ring)


class _Rows:
    """Series by family, each at most once: a later value for the same labels takes the place of the first."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[LabelValues, float]] = {}

    def put(self, rows: Iterable[Row]) -> None:
        for metric, labels, value in list(rows):  # who raises amidst them gives none
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
