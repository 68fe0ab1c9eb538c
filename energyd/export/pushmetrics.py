"""What pushing tells about itself: the rows of the catalogue, and their series from the state of each target."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from energyd.export.metric import NS, Family, LabelValues, Metric, counter, gauge

_TARGET: Final = ("target",)
_TARGETS: Final = "push targets"


def _counter(name: str, text: str, unit: str = "") -> Metric:
    return counter(f"energyd_push_{name}", unit, text, _TARGET, _TARGETS)


def _gauge(name: str, text: str, unit: str = "", decimals: int = 0) -> Metric:
    return gauge(f"energyd_push_{name}", unit, text, _TARGET, _TARGETS, decimals)


RENDERED: Final = _counter("rendered_samples_total", "Samples that were put into the spool to be sent.")
SAMPLES: Final = _counter("samples_total", "Samples that the receiver has acknowledged, each once.")
SENT: Final = _counter("sent_samples_total", "Samples in all requests that were answered, those refused or sent again included.")
REPLAYED: Final = _counter(
    "replayed_samples_total",
    "Samples sent and acknowledged again because the receiver had been restarted after it had acknowledged them.",
)
MARKERS: Final = _counter("stale_markers_total", "Stale markers sent for series that have vanished.")
BATCHES: Final = _counter("batches_total", "Batches that the receiver has acknowledged.")
BYTES: Final = _counter("bytes_total", "Compressed bytes that the receiver has acknowledged.", "bytes")
FAILURES: Final = _counter("failures_total", "Requests that failed.")
DROPPED: Final = counter(
    "energyd_push_dropped_samples_total",
    "",
    "Samples that will not be delivered: spool_full, too_old (spool.max_age, or the receiver takes none so old), damaged on disk, "
    "unwritten (lost with the process, or the disk took none), refused (quarantined), out_of_order, clock (not set, or set back).",
    ("target", "reason"),
    "7 x push targets",
)
MISSED_TICKS: Final = _counter(
    "missed_ticks_total",
    "Ticks of the resolution that came too late and were skipped, or passed between the death of energyd's aggregator and the "
    "first samples of the next one; not those while energyd was stopped or the machine was off.",
)
RESTARTS: Final = _counter("receiver_restarts_total", "Times that the receiver was seen to have been restarted.")
THROWN_AWAY: Final = _counter(
    "receiver_discarded_rows_total",
    "Rows, of whomever, that the receiver has acknowledged and says it could not read or did not store, since we look.",
)
BACKLOG: Final = _gauge("backlog_samples", "Samples that wait to be acknowledged.")
SPOOL_SIZE: Final = _gauge("spool_size_bytes", "Size of the spool on disk.", "bytes")
SPOOL_WRITABLE: Final = _gauge("spool_writable", "1 while the disk takes samples, 0 while they wait in memory.")
SPOOL_WRITES: Final = _counter("spool_writes_total", "Records written to the spool's files; the disk sees them with the next sync.")
SPOOL_WRITTEN: Final = _counter("spool_written_bytes_total", "Bytes written to the spool's files.", "bytes")
SPOOL_SYNCS: Final = _counter("spool_syncs_total", "Times that the spool was forced to the disk.")
LAST_SUCCESS: Final = _gauge("last_success_timestamp_seconds", "Unix time of the last acknowledged batch.", "seconds", NS)

METRICS: Final[tuple[Metric, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))


class State(NamedTuple):
    """One target: its name, the plain values by metric, what was dropped by reason."""

    target: str
    values: dict[Metric, int | None]  # None: no series yet
    dropped: dict[str, int]


def families(states: Iterable[State]) -> list[Family]:
    """The series of all targets; a family without series has empty columns."""
    states = list(states)
    result = []
    for metric in METRICS:
        if metric is DROPPED:
            rows: list[tuple[LabelValues, int | None]] = [
                ((state.target, reason), count) for state in states for reason, count in state.dropped.items()
            ]
        else:
            rows = [((state.target,), state.values[metric]) for state in states]
        known = [(labels, value) for labels, value in rows if value is not None]
        result.append(Family(metric, [labels for labels, _ in known], [value for _, value in known]))
    return result
