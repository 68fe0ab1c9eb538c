"""Every native metric that energyd exports: the one table from which code, METRICS.md, the lint and the tests are made.

Names follow the Prometheus naming practices (base units, the unit last, `_total` on counters only) and OpenMetrics 1.0 (the unit
is the suffix of the name without `_total`). Meter registers stay in the watt-hours that the meter displays.

Law: each microjoule and each watt-hour increments exactly one series of a family, so a sum over a family is right. Whatever
counts the same energy a second time (zones inside zones, phases of a total, registers of another scope) is another family.
"""

from typing import Final

from energyd.export import efficiencymetrics, groupmetrics, ledgermetrics, metermetrics, professionalmetrics, pushmetrics
from energyd.export.metric import FLOAT, HISTOGRAM, INFO, NS, SUMMARY, UJ, Metric, counter, gauge

_ZONE = ("zone", "domain", "source")
_PROCESS = ("pid", "comm", "cgroup", "uid")
_PROCESSES = "usage.top + 1"

BUILD_INFO = Metric("energyd_build_info", INFO, "", "The version of energyd that answers.", ("version",), "1")
SNAPSHOT_TIME = gauge(
    "energyd_snapshot_timestamp_seconds", "seconds", "Unix time of the instant that all these values belong to.", (), "1", NS
)

HOST_ENERGY = counter(
    "energyd_host_energy_joules_total", "joules", "Energy that the machine has used, as its source sees it.", ("source",), "1", UJ
)
HOST_POWER = gauge("energyd_host_power_watts", "watts", "Power of the machine over the last second.", ("source",), "1", FLOAT)
HOST_WINDOW_QUANTILE = gauge(
    "energyd_host_window_power_quantile_watts",
    "watts",
    "Power that the machine did not exceed in this fraction of the seconds of a sliding window.",
    ("window", "fraction", "source"),
    "20",
    FLOAT,
)
HOST_WINDOW_MEAN = gauge(
    "energyd_host_window_power_mean_watts", "watts", "Mean power of the machine over the window.", ("window", "source"), "5", FLOAT
)
HOST_WINDOW_MAX = gauge(
    "energyd_host_window_power_max_watts",
    "watts",
    "Highest power of the machine in a second of the window.",
    ("window", "source"),
    "5",
    FLOAT,
)
HOST_WINDOW_MEASURED = gauge(
    "energyd_host_window_measured_seconds", "seconds", "How much of the window has been measured.", ("window",), "5"
)
HOST_CPU = counter(
    "energyd_host_cpu_seconds_total", "seconds", "CPU time of the machine by mode, from /proc/stat.", ("mode",), "8", NS
)
HOST_BUSY_CPU = counter(
    "energyd_host_busy_cpu_seconds_total", "seconds", "CPU time of all tasks, those that have ended included.", (), "1", NS
)
EXITED_CPU = counter(
    "energyd_exited_cpu_seconds_total", "seconds", "CPU time of tasks that ended before a sample could name them.", (), "1", NS
)
HOST_MEMORY = gauge("energyd_host_memory_bytes", "bytes", "Memory of the machine by field of /proc/meminfo.", ("field",), "7")

ZONE_ENERGY = counter(
    "energyd_zone_energy_joules_total",
    "joules",
    "Energy of the zones that together make up the machine: packages and memory.",
    _ZONE,
    "additive zones",
    UJ,
)
ZONE_POWER = gauge(
    "energyd_zone_power_watts", "watts", "Power of the additive zones over the last second.", _ZONE, "additive zones", FLOAT
)
SUBZONE_ENERGY = counter(
    "energyd_subzone_energy_joules_total",
    "joules",
    "Energy of zones that lie inside or around others (core, uncore, psys): never add these to a zone.",
    _ZONE,
    "other zones",
    UJ,
)
SUBZONE_POWER = gauge(
    "energyd_subzone_power_watts",
    "watts",
    "Power over the last second of zones that lie inside or around others.",
    _ZONE,
    "other zones",
    FLOAT,
)
ZONE_READABLE = gauge("energyd_zone_readable", "", "1 while the counter of the zone can be read.", ("zone",), "zones")
ZONE_RESETS = counter(
    "energyd_zone_resets_total", "", "Times that the counter of the zone fell without having wrapped.", ("zone",), "zones"
)

ATTRIBUTED_ENERGY = counter(
    "energyd_attributed_energy_joules_total",
    "joules",
    "Energy of a zone by who used it: living processes, exited tasks, the idle machine, nobody known.",
    ("zone", "part", "source"),
    "4 x additive zones",
    UJ,
)
ATTRIBUTION_PENDING = gauge(
    "energyd_attribution_pending_joules",
    "joules",
    "Energy that is measured but not shared out yet, because the usage samples around it are still to come.",
    ("zone",),
    "additive zones",
    UJ,
)
ATTRIBUTION_ERROR = gauge(
    "energyd_attribution_error_joules",
    "joules",
    "Measured energy minus its parts and what is pending: anything but 0 is a defect of energyd.",
    ("zone",),
    "additive zones",
    UJ,
)

PROCESS_ENERGY = counter(
    "energyd_process_energy_joules_total",
    "joules",
    "Energy of the processes that use most, each since it became visible; comm=other without pid is everybody else, any other "
    "comm without pid all the tasks of that name that lived too shortly to be seen.",
    (*_PROCESS, "source"),
    _PROCESSES,
    UJ,
)
PROCESS_POWER = gauge(
    "energyd_process_power_watts", "watts", "Power of the processes that use most.", (*_PROCESS, "source"), _PROCESSES, FLOAT
)
PROCESS_CPU = counter(
    "energyd_process_cpu_seconds_total",
    "seconds",
    "CPU time of the same processes, all threads, each since it became visible.",
    _PROCESS,
    _PROCESSES,
    NS,
)
PROCESS_GONE_ENERGY = counter(
    "energyd_process_gone_energy_joules_total",
    "joules",
    "Energy of processes that were visible and have ended: what their vanished series had counted.",
    ("source",),
    "1",
    UJ,
)
PROCESS_GONE_CPU = counter(
    "energyd_process_gone_cpu_seconds_total", "seconds", "CPU time of processes that were visible and have ended.", (), "1", NS
)
PROCESS_HIDDEN_ENERGY = gauge(
    "energyd_process_hidden_energy_joules",
    "joules",
    "Energy that living processes out of view had counted while they were visible; they go on from it when they come back.",
    ("source",),
    "1",
    UJ,
)
PROCESS_HIDDEN_CPU = gauge(
    "energyd_process_hidden_cpu_seconds", "seconds", "CPU time of the same processes, likewise.", (), "1", NS
)
PROCESSES = gauge("energyd_processes", "", "Processes alive.", (), "1")

METER_INFO = Metric(
    "energyd_meter_info",
    INFO,
    "",
    "Who the meter is: address, mode, contract and version as it says them.",
    ("meter", "address", "prm", "mode", "contract", "version", "source"),
    "meters",
)
METER_TARIFF_INFO = Metric(
    "energyd_meter_tariff_info",
    INFO,
    "",
    "The tariff period of the moment, and the colour of tomorrow where the contract has one.",
    ("meter", "tariff", "tomorrow"),
    "meters",
)
_REGISTER = ("meter", "register", "direction", "period", "source")
METER_ENERGY = counter(
    "energyd_meter_energy_watthours_total",
    "watthours",
    "Active energy by register of the supplier's tariff, and what was injected: their sum per direction is the meter's total.",
    _REGISTER,
    "11 x meters, professional ones 24",
)
METER_ALL_TARIFFS_ENERGY = counter(
    "energyd_meter_all_tariffs_energy_watthours_total",
    "watthours",
    "Active energy drawn in all tariffs together, where the meter says it (EAST).",
    _REGISTER,
    "meters",
)
METER_DISTRIBUTOR_ENERGY = counter(
    "energyd_meter_distributor_energy_watthours_total",
    "watthours",
    "The same energy by register of the distributor's tariff.",
    _REGISTER,
    "4 x meters, professional ones 12",
)
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

_WORKERS: Final = "readers + 4"
WORKER_UP = gauge("energyd_worker_up", "", "1 while the process lives.", ("worker",), _WORKERS)
WORKER_RESTARTS = counter(
    "energyd_worker_restarts_total",
    "",
    "Times that the process was started again, since its supervisor runs.",
    ("worker",),
    _WORKERS,
)
WORKER_CPU = counter(
    "energyd_worker_cpu_seconds_total", "seconds", "CPU time of the process since it was started.", ("worker",), _WORKERS, NS
)
WORKER_MEMORY = gauge(
    "energyd_worker_resident_memory_bytes",
    "bytes",
    "Memory of the process that is in RAM, shared pages included.",
    ("worker",),
    _WORKERS,
)

HTTP_REQUESTS = counter(
    "energyd_http_requests_total", "", "Requests that energyd has answered.", ("handler", "method", "status"), "200"
)
HTTP_DURATION = Metric(
    "energyd_http_request_duration_seconds",
    HISTOGRAM,
    "seconds",
    "Time from the request to the last byte of the answer.",
    ("handler", "method"),
    "500",
    FLOAT,
)
HTTP_IN_PROGRESS = gauge("energyd_http_requests_in_progress", "", "Requests that are being answered.", ("handler", "method"), "20")
HTTP_REQUEST_SIZE = Metric(
    "energyd_http_request_size_bytes",
    SUMMARY,
    "bytes",
    "Size of the bodies of requests.",
    ("handler", "method", "status"),
    "200",
    FLOAT,
)
HTTP_RESPONSE_SIZE = Metric(
    "energyd_http_response_size_bytes",
    SUMMARY,
    "bytes",
    "Size of the bodies of answers as they were sent, compressed or not.",
    ("handler", "method", "status"),
    "200",
    FLOAT,
)
FRESHNESS = Metric(
    "energyd_freshness_seconds",
    HISTOGRAM,
    "seconds",
    "Time from the newest sample of zones or meters, or from the end of what is attributed, to the scrape that shows it.",
    ("data",),
    "50",
    FLOAT,
)

CATALOGUE: Final[tuple[Metric, ...]] = (
    *(value for value in list(globals().values()) if isinstance(value, Metric)),
    *efficiencymetrics.METRICS,
    *groupmetrics.METRICS,
    *metermetrics.METRICS,
    *professionalmetrics.METRICS,
    *pushmetrics.METRICS,
    *ledgermetrics.METRICS,
)
