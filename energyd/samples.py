"""The vocabulary that every process shares: what one 64-byte sample means.

A sample is 24 bytes of head, 32 of payload and 8 of check, little-endian and 8-byte aligned, so a ring reads as u64[n, 8]:

    head     seq u8 | mono_ns i8 | batch u4 | kind u2 | status u2
    TIC      value i8 | horodate_s i8 (UTC seconds, 0 = none) | text S16
    RAPL     energy_uj u8 (raw counter; microwatts with POWER) | read_ns u8 (duration of read) | pid u8 (with USED) | reserved u8
    USAGE    consumer u4 (labels id) | pid u4 | start_ticks u8 | cpu_ns u8 (cumulative) | mem_bytes u8
    SERVICE  a u8 | b u8 | c u8 | d u8       kinds >= VOID, the same in every ring
    tail     check u8

`mono_ns` is CLOCK_MONOTONIC beside the read. `batch` numbers samples taken together; the record with LAST in its status closes
the batch, and only closed batches are folded. Readers pack the payload formats below with `struct`; the aggregator views the
dtypes of `energyd.ring.dtypes`; a test asserts that both say the same. This module imports nothing that a reader process
would have to pay for.
"""

from typing import Final, NamedTuple

RECORD_SIZE: Final = 64
HEAD_FORMAT: Final = "<QqIHH"
SERVICE_FORMAT: Final = "QQQQ"


class Schema(NamedTuple):
    """What the payload of a ring holds: `name` goes into the ring header, `payload` is a struct format of 32 bytes."""

    name: str
    payload: str
    fields: tuple[tuple[str, str], ...]  # (field, numpy type), in order


TIC: Final = Schema("tic.1", "qq16s", (("value", "<i8"), ("horodate_s", "<i8"), ("text", "S16")))
RAPL: Final = Schema("rapl.1", "QQQQ", (("energy_uj", "<u8"), ("read_ns", "<u8"), ("pid", "<u8"), ("reserved", "<u8")))
USAGE: Final = Schema(
    "usage.1",
    "IIQQQ",
    (("consumer", "<u4"), ("pid", "<u4"), ("start_ticks", "<u8"), ("cpu_ns", "<u8"), ("mem_bytes", "<u8")),
)
SERVICE: Final = Schema("service.1", SERVICE_FORMAT, (("a", "<u8"), ("b", "<u8"), ("c", "<u8"), ("d", "<u8")))
SCHEMAS: Final = {schema.name: schema for schema in (TIC, RAPL, USAGE)}

# status bits
LAST: Final = 0x0001  # closes its batch
CONTINUED: Final = 0x0002  # TIC: the text goes on in the next record of the batch
FAILED: Final = 0x0004  # RAPL: the read failed, energy_uj holds the errno, the baseline stays
GONE: Final = 0x0008  # USAGE: the process has ended, cpu_ns is the last value read
KEYFRAME: Final = 0x0010  # USAGE, on END: this batch holds every consumer that lives
KEYFRAME_NS: Final = 30_000_000_000  # from one to the next
DEGRADED: Final = 0x0020  # TIC: the meter's clock is degraded (lower-case season)
POWER: Final = 0x0040  # RAPL: energy_uj is no counter but the power of the moment, in microwatts
USED: Final = 0x0080
"""RAPL: who used a GPU since the report before: one record with pid 0, then one a process, whose weight stands in energy_uj."""

# kinds below VOID belong to the schema: TIC field ids (energyd.tic.catalogue), RAPL zone ids (labels), USAGE kinds (below)
PROCESS: Final = 1  # consumer = labels id; pid, start_ticks; cpu_ns = POSIX CPU clock
CGROUP: Final = 2  # consumer = labels id; cpu_ns = cumulative, exited children included; mem_bytes = memory.current
CONTROL: Final = 3  # cpu_ns = CPU time of all tasks of the machine, dead ones too: the control total
HOST_CPU: Final = 4  # consumer = index into CPU_MODES, cpu_ns = /proc/stat, all CPUs together
HOST_MEMORY: Final = 5  # consumer = index into MEMORY_FIELDS, mem_bytes
EXITED: Final = 6
"""Tasks that ended in this batch and that no scan saw, all of one command: consumer = labels id, pid = nearest ancestor that lives
(0 = unknown), start_ticks = how many, cpu_ns = their CPU time in ticks of the kernel, mem_bytes = what of it their run queue had
counted in ns (a part of it). An event, not a counter."""

FIGURES: Final = 7
"""Up to three neighbouring figures of a thing that has a label: consumer = labels id, pid = index of the first of them in the table
that FIELDS has for the kind of the label, start_ticks, cpu_ns and mem_bytes = the figures. GONE: the thing is no longer there."""

PACKAGE_SHIFT: Final = 8
"""USAGE, on PROCESS: the upper byte of status is 1 + the package of the CPU it last ran on; 0 = unknown, or there is only one."""

CPU_MODES: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
MEMORY_FIELDS: Final = ("MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapTotal", "SwapFree")

_INTERFACE_FIELDS: Final = (
    *("receive_bytes", "receive_packets", "receive_errors", "receive_dropped"),
    *("transmit_bytes", "transmit_packets", "transmit_errors", "transmit_dropped"),
)
FIELDS: Final = {
    "core": CPU_MODES,  # in ns
    "load": ("load1", "load5", "load15"),  # in hundredths
    "disk": ("reads", "read_bytes", "read_ms", "writes", "written_bytes", "write_ms", "busy_ms", "weighted_ms"),
    "interface": _INTERFACE_FIELDS,
    "container_interface": _INTERFACE_FIELDS,
    "cgroup_io": ("read_bytes", "written_bytes"),
}
"""What FIGURES records tell of each kind of thing, by the `kind` of its label. Such labels are {"kind", "name", "identity"}, with
"cgroup" and "hierarchy" where it belongs to a control group: a thing of the same name and another identity (interface index, disk
sequence number, "" = none) is another thing."""
FIGURES_PER_RECORD: Final = 3

# kinds of SERVICE records
VOID: Final = 0xFFF0  # a slot filled after a death in mid-write; means nothing
END: Final = 0xFFF1  # closes a batch: a = samples in it, b = mono_ns of its begin, c = BOOTTIME - MONOTONIC in ns (suspended time)
COUNTER: Final = 0xFFF2  # a = index into the counters of the schema, b = its value since the writer's start
ERROR: Final = 0xFFF3  # a = labels id of the text, b = how often since the writer's start
FRAME: Final = 0xFFF4  # TIC: a frame has ended; a = good groups in it, b = refused groups in it

COUNTERS: Final = {
    TIC.name: (
        "bytes",
        "groups_ok",
        "groups_bad_parity",
        "groups_bad_checksum",
        "groups_malformed",
        "groups_unknown_label",
        "groups_bad_width",
        "frames",
        "interruptions",
        "resynchronisations",
        "reopenings",
    ),
    RAPL.name: ("sweeps", "missed_ticks", "read_errors", "zones_appeared", "zones_vanished"),
    USAGE.name: (
        "scans",
        "missed_ticks",
        "read_errors",
        "processes_born",
        "processes_gone",
        "exit_records",
        "exit_records_lost",
    ),
}
"""Names of the COUNTER records of each schema, by index: each is cumulative since the writer's start."""
