"""Every native metric that energyd exports: the one table from which code, METRICS.md, the lint and the tests are made.

Names follow the Prometheus naming practices (base units, the unit last, `_total` on counters only) and OpenMetrics 1.0 (the unit
is the suffix of the name without `_total`). Meter registers stay in the watt-hours that the meter displays.

Law: each microjoule and each watt-hour increments exactly one series of a family, so a sum over a family is right. Whatever
counts the same energy a second time (zones inside zones, phases of a total, registers of another scope) is another family.
"""

from typing import Final

from energyd.export import (
    containermetrics,
    devicemetrics,
    efficiencymetrics,
    gpumetrics,
    groupmetrics,
    hostmetrics,
    ledgermetrics,
    metermetrics,
    meterquantities,
    meterregisters,
    processmetrics,
    professionalmetrics,
    pushmetrics,
    ringmetrics,
    selfmetrics,
    servermetrics,
    trafficmetrics,
    zonemetrics,
)
from energyd.export.metric import INFO, NS, Metric, gauge

BUILD_INFO = Metric("energyd_build_info", INFO, "", "The version of energyd that answers.", ("version",), "1")
SNAPSHOT_TIME = gauge(
    "energyd_snapshot_timestamp_seconds", "seconds", "Unix time of the instant that all these values belong to.", (), "1", NS
)

CATALOGUE: Final[tuple[Metric, ...]] = (
    BUILD_INFO,
    SNAPSHOT_TIME,
    *hostmetrics.METRICS,
    *devicemetrics.METRICS,
    *zonemetrics.METRICS,
    *processmetrics.METRICS,
    *meterregisters.METRICS,
    *meterquantities.METRICS,
    *ringmetrics.METRICS,
    *selfmetrics.METRICS,
    *servermetrics.METRICS,
    *efficiencymetrics.METRICS,
    *groupmetrics.METRICS,
    *gpumetrics.METRICS,
    *trafficmetrics.METRICS,
    *containermetrics.METRICS,
    *metermetrics.METRICS,
    *professionalmetrics.METRICS,
    *pushmetrics.METRICS,
    *ledgermetrics.METRICS,
)
