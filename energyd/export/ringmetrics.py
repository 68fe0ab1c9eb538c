"""What the readers count, and how their rings do, as metrics: lines of meters, sweeps, scans, overruns."""

from collections.abc import Iterator
from typing import Final

from energyd.aggregate.snapshot import Ring
from energyd.export.metric import NS, Metric, Row, counter, gauge

TIC_RING_PREFIX: Final = "tic-"

METER_GROUPS = counter(
    "energyd_meter_groups_total", "", "Groups received from the meter by what came of them.", ("meter", "result"), "6 x meters"
)
METER_FRAMES = counter("energyd_meter_frames_total", "", "Frames received from the meter.", ("meter",), "meters")
METER_BYTES = counter("energyd_meter_received_bytes_total", "bytes", "Bytes received from the meter.", ("meter",), "meters")
METER_INTERRUPTIONS = counter("energyd_meter_interruptions_total", "", "Frames that the meter broke off.", ("meter",), "meters")
METER_RESYNCHRONISATIONS = counter(
    "energyd_meter_resynchronisations_total", "", "Times that the start of a frame had to be found again.", ("meter",), "meters"
)
METER_REOPENINGS = counter(
    "energyd_meter_reopenings_total", "", "Times that the device was opened again after a fault.", ("meter",), "meters"
)

RING_SAMPLES = counter("energyd_ring_samples_total", "", "Samples taken over from the ring.", ("ring",), "rings")
RING_OVERRUNS = counter("energyd_ring_overruns_total", "", "Samples overwritten before they were taken over.", ("ring",), "rings")
RING_REFUSED = counter(
    "energyd_ring_refused_total", "", "Samples refused because they were torn, stale or never finished.", ("ring",), "rings"
)
RING_HEARTBEAT_AGE = gauge(
    "energyd_ring_heartbeat_age_seconds", "seconds", "Time since the reader process showed itself.", ("ring",), "rings", NS
)
READER_SWEEPS = counter("energyd_reader_sweeps_total", "", "Sweeps over all energy counters.", ("ring",), "rings")
READER_SCANS = counter("energyd_reader_scans_total", "", "Scans over all processes.", ("ring",), "rings")
READER_MISSED_TICKS = counter(
    "energyd_reader_missed_ticks_total", "", "Ticks that came too late and were skipped.", ("ring",), "rings"
)
READER_READ_ERRORS = counter("energyd_reader_read_errors_total", "", "Reads of a counter that failed.", ("ring",), "rings")
READER_ZONES_APPEARED = counter("energyd_reader_zones_appeared_total", "", "Zones that have appeared.", ("ring",), "rings")
READER_ZONES_VANISHED = counter("energyd_reader_zones_vanished_total", "", "Zones that have vanished.", ("ring",), "rings")
READER_BORN = counter("energyd_reader_processes_born_total", "", "Processes seen for the first time.", ("ring",), "rings")
READER_GONE = counter("energyd_reader_processes_gone_total", "", "Processes that have ended.", ("ring",), "rings")
READER_EXIT_RECORDS = counter(
    "energyd_reader_exit_records_total", "", "Tasks whose end the kernel has told (taskstats).", ("ring",), "rings"
)
READER_EXIT_RECORDS_LOST = counter(
    "energyd_reader_exit_records_lost_total",
    "",
    "Times that the kernel had more ended tasks to tell than fitted.",
    ("ring",),
    "rings",
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

TIC_COUNTERS: Final = {
    "bytes": METER_BYTES,
    "frames": METER_FRAMES,
    "interruptions": METER_INTERRUPTIONS,
    "resynchronisations": METER_RESYNCHRONISATIONS,
    "reopenings": METER_REOPENINGS,
}
GROUPS_PREFIX: Final = "groups_"  # of the counters that become METER_GROUPS, the rest of the name is the result
READER_COUNTERS: Final = {
    "sweeps": READER_SWEEPS,
    "scans": READER_SCANS,
    "missed_ticks": READER_MISSED_TICKS,
    "read_errors": READER_READ_ERRORS,
    "zones_appeared": READER_ZONES_APPEARED,
    "zones_vanished": READER_ZONES_VANISHED,
    "processes_born": READER_BORN,
    "processes_gone": READER_GONE,
    "exit_records": READER_EXIT_RECORDS,
    "exit_records_lost": READER_EXIT_RECORDS_LOST,
}


def rows(ring: Ring) -> Iterator[Row]:
    yield RING_SAMPLES, (ring.name,), ring.samples
    yield RING_OVERRUNS, (ring.name,), ring.overruns
    yield RING_REFUSED, (ring.name,), ring.refused
    if ring.heartbeat_age_ns is not None:
        yield RING_HEARTBEAT_AGE, (ring.name,), max(0, ring.heartbeat_age_ns)
    meter = ring.name.removeprefix(TIC_RING_PREFIX)
    for counter_name, value in ring.counters:
        if ring.name == meter:
            if counter_name in READER_COUNTERS:
                yield READER_COUNTERS[counter_name], (ring.name,), value
        elif counter_name.startswith(GROUPS_PREFIX):
            yield METER_GROUPS, (meter, counter_name.removeprefix(GROUPS_PREFIX)), value
        elif counter_name in TIC_COUNTERS:
            yield TIC_COUNTERS[counter_name], (meter,), value
