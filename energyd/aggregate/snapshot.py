"""What the aggregator knows at one instant: immutable, in integer base units, ready to be rendered.

Everything that is served or pushed is derived from one Snapshot, so all receivers see the same values and a scrape never
touches a ring. Energies are microjoules, registers watt-hours, times nanoseconds; the exporter converts.
"""

from typing import NamedTuple


class Window(NamedTuple):
    """A power over one sliding window: `seconds` of it have been measured; `quantiles_w` are (quantile, watts)."""

    name: str  # 1m 5m 15m 1h 24h
    seconds: int
    quantiles_w: tuple[tuple[float, float], ...]
    mean_w: float
    max_w: float


class Zone(NamedTuple):
    """One energy counter. `additive` zones partition the host (packages and DRAM, or what stands for them); the others
    (core, uncore, psys) lie inside or around those and must never be summed with them.

    energy_uj == processes_uj + exited_uj + idle_uj + unattributed_uj + pending_uj for additive zones, always.
    """

    name: str  # unique: 'package-0', 'package-0/dram', 'psys'
    domain: str  # package, dram, core, uncore, psys, ...
    parent: str  # name of the enclosing zone, '' at the top
    source: str  # rapl, hwmon, battery, meter, model, simulated
    additive: bool
    readable: bool
    energy_uj: int
    power_w: float | None  # over the last second of samples, None until two of them
    processes_uj: int
    exited_uj: int
    idle_uj: int
    unattributed_uj: int
    pending_uj: int
    resets: int
    shared_by: str = ""  # additive zones: cpu_time, cpu_time_by_last_cpu, memory

    @property
    def measured(self) -> bool:
        """Whether its counter was ever read: energy_uj says nothing before."""
        return self.readable or self.energy_uj > 0


class Process(NamedTuple):
    """A process of the visible top N: its totals since it became visible."""

    pid: int
    comm: str
    cgroup: str
    uid: int
    energy_uj: int
    power_w: float
    cpu_ns: int
    cmdline: str = ""  # without its secrets, cut to a few hundred characters
    group: str = ""
    environment: str = ""
    kind: str = ""  # of its group
    busy_cpus: float = 0.0  # CPUs that it used over the last second


class Processes(NamedTuple):
    """The visible processes, and `other`: everybody else, for ever. visible + hidden + other + gone is what went to processes.

    pid 0 stands for all the tasks of one command that lived too shortly to be seen.
    """

    visible: tuple[Process, ...]
    other_energy_uj: int
    other_power_w: float
    other_cpu_ns: int
    gone_energy_uj: int  # of processes that were visible and have ended
    gone_cpu_ns: int
    alive: int
    hidden_energy_uj: int = 0  # of processes that were visible and are alive out of view: they go on from it when they come back
    hidden_cpu_ns: int = 0


class Group(NamedTuple):
    """A visible group: what its processes, and those that ended in its control groups, have used since it became visible."""

    environment: str
    group: str
    kind: str  # container, pod, vm, job, unit, user, helper, cgroup, kernel, host
    runtime: str
    energy_uj: int
    power_w: float
    cpu_ns: int
    processes: int
    memory_bytes: int | None  # of its control groups; None = it has none that tells
    windows: tuple[Window, ...] = ()  # of its power, if it is one of those that use most
    cost_neur: int | None = None  # nano-euros, each microjoule at the price in force when it was used; None = no price was known
    busy_cpus: float = 0.0  # CPUs that it used over the last second


class Groups(NamedTuple):
    """visible + hidden + other + gone + ungrouped == what went to processes and exited, in energy and in CPU time."""

    visible: tuple[Group, ...] = ()
    other_energy_uj: int = 0
    other_power_w: float = 0.0
    other_cpu_ns: int = 0
    gone_energy_uj: int = 0  # of groups that were visible and have been forgotten
    gone_cpu_ns: int = 0
    ungrouped_energy_uj: int = 0  # of tasks that ended where no control group explains them
    ungrouped_cpu_ns: int = 0
    known: int = 0
    containers: tuple[tuple[str, int], ...] = ()  # (runtime, how many hold processes)
    hidden_energy_uj: int = 0  # of groups that were visible and are out of view: they go on from it when they come back
    hidden_cpu_ns: int = 0
    other_cost_neur: int | None = None  # nano-euros, each microjoule at the price in force; None = no price has been known
    gone_cost_neur: int | None = None
    hidden_cost_neur: int | None = None


class GpuZone(NamedTuple):
    """processes_uj + unknown_uj + idle_uj + pending_uj == what the GPU used since its driver first told who uses it."""

    name: str
    source: str
    processes_uj: int
    unknown_uj: int  # of processes that the driver names and nobody knows
    idle_uj: int
    pending_uj: int


class GpuProcess(NamedTuple):
    """A living process that has used a GPU."""

    pid: int
    comm: str
    cgroup: str
    uid: int
    energy_uj: int


class GpuUse(NamedTuple):
    """Who used the GPUs. processes + other + gone == groups + other + gone == processes_uj of all zones."""

    zones: tuple[GpuZone, ...] = ()
    processes: tuple[GpuProcess, ...] = ()
    other_process_uj: int = 0
    gone_process_uj: int = 0  # of processes that have ended
    groups: tuple[tuple[str, str, str, str, int], ...] = ()  # environment, group, kind, runtime, energy_uj
    other_group_uj: int = 0
    gone_group_uj: int = 0  # of groups that have been forgotten


class Register(NamedTuple):
    """A cumulative register of a meter, monotone per meter id. `name` is the TIC label (HCHC, EASF01, ...)."""

    name: str
    direction: str  # consumed | injected
    scope: str  # total | supplier | distributor: only registers of one scope may be added
    energy_wh: int
    period: str = ""  # what it says of its period: hc, tempo_red_hp, HPE, or its number in a calendar; never changes


class Stamp(NamedTuple):
    """The time that a meter gave to what it said: `utc_s` of the event, `age_ns` since it was heard."""

    label: str
    utc_s: int
    age_ns: int
    degraded: bool  # the meter's clock was not synchronised


class Frames(NamedTuple):
    """How the frames of a meter arrive: whole and broken ones, and (quantile, nanoseconds) of the time that a whole one takes."""

    ok: int = 0
    bad: int = 0
    quantiles_ns: tuple[tuple[float, int], ...] = ()


class Meter(NamedTuple):
    """A meter as it last spoke. Quantities are (label, value) in the meter's own unit; texts are its identity and tariff."""

    name: str
    source: str  # meter | simulated
    mode: str  # historique | standard | '' while unknown
    address: str  # ADCO or ADSC, '' while unknown
    link_up: bool
    last_group_mono_ns: int  # 0 = never
    registers: tuple[Register, ...]
    quantities: tuple[tuple[str, int], ...]
    texts: tuple[tuple[str, str], ...]
    windows_va: tuple[Window, ...] = ()  # of the apparent power, in volt-amperes
    resets: int = 0  # how often a register of this meter fell
    frames: Frames = Frames()
    last_frame_mono_ns: int | None = None  # of the last whole frame, in the time of the samples
    stamps: tuple[Stamp, ...] = ()
    held_back: int = 0  # readings of registers that were not believed until the next one


class Ring(NamedTuple):
    """What can be said of a ring without reading its samples, and what reading them has cost."""

    name: str
    samples: int  # accepted
    overruns: int  # overwritten before they were read
    refused: int  # torn, stale or aborted
    heartbeat_age_ns: int | None  # None = no such ring
    writer_pid: int
    counters: tuple[tuple[str, int], ...]  # of its reader process, monotone across its restarts
    newest_mono_ns: int = 0  # when its newest sample was taken; 0 = none since the aggregator started


class Efficiency(NamedTuple):
    """Over the last minute: busy share of the machine's CPU, and what it cost. None = idle power has not been seen yet."""

    busy_ratio: float
    watts_per_percent: float
    active_j_per_cpu_s: float | None


class Device(NamedTuple):
    """A core, disk or network interface: its figures since the machine was started, in the order that samples.FIELDS has for it."""

    name: str
    figures: tuple[int, ...]


class Container(NamedTuple):
    """A container that holds processes, as its control groups and its network namespace tell. None = it is not told."""

    cgroup: str  # its outermost
    runtime: str
    id: str
    name: str
    image: str
    pod: str
    namespace: str
    cpu_ns: int
    memory_bytes: int | None
    disk_bytes: tuple[int, int] | None = None  # read, written
    interfaces: tuple[Device, ...] = ()


class Traffic(NamedTuple):
    """A visible group's bytes read from disks, written to them, received and sent."""

    environment: str
    group: str
    kind: str
    runtime: str
    bytes: tuple[int, ...]


class Host(NamedTuple):
    """The machine as a whole. energy_uj is the sum of the additive zones, or psys where that is the chosen source."""

    energy_uj: int | None  # None = no power source
    power_w: float | None
    source: str
    cpu_ns: tuple[tuple[str, int], ...]  # by mode of /proc/stat
    busy_cpu_ns: int  # control total: dead tasks too
    exited_cpu_ns: int
    memory_bytes: tuple[tuple[str, int], ...]
    windows: tuple[Window, ...] = ()
    efficiency: Efficiency | None = None
    cores: tuple[Device, ...] = ()  # CPU time in ns
    disks: tuple[Device, ...] = ()
    interfaces: tuple[Device, ...] = ()
    load_hundredths: tuple[int, ...] = ()  # 1, 5 and 15 min


class Energy(NamedTuple):
    """Energy of a register. `tariff`: the period that it counts (hc, tempo_red_hp, ..., '' unknown)."""

    register: str
    tariff: str
    direction: str  # consumed | injected | produced
    energy_wh: int


class Stretch(NamedTuple):
    """Energy and money of a stretch of time. `complete`: measured from its begin to its end, or until now if it has not ended."""

    name: str  # today, yesterday, this_month, ...
    energies: tuple[Energy, ...]
    complete: bool
    estimated_wh: int  # of the energy drawn, what depends on how a gap was spread
    cost_neur: int | None = None  # nano-euros; None = no tariff is configured
    revenue_neur: int = 0
    subscription_neur: int = 0


class PeakPower(NamedTuple):
    """Highest apparent power of a local day and when it was. `said`: by the meter itself, otherwise the highest heard."""

    day: str  # today | yesterday
    direction: str
    power_va: int
    at_s: int
    said: bool


class MeterLedger(NamedTuple):
    """What the ledger knows of a meter. Money is in nano-euros, a price in nano-euros per watt-hour."""

    meter: str
    source: str
    pdl: str  # '' = unknown
    contract: str  # base, hc_hp, tempo, ejp, weekend, ...
    subscribed_va: int | None
    month: str  # this month and the last, this year and the last, as YYYY-MM and YYYY
    last_month: str
    year: str
    last_year: str
    stretches: tuple[Stretch, ...] = ()
    last_day: Stretch | None = None  # the last day that was measured wholly
    peaks: tuple[PeakPower, ...] = ()
    last_day_peak_va: int | None = None
    costs_neur: tuple[tuple[str, str, int], ...] = ()  # (register, tariff, since the ledger began)
    revenue_neur: int = 0
    subscription_neur: int = 0
    price_neur_per_wh: int | None = None  # of the moment
    prices_neur_per_wh: tuple[tuple[str, str, int], ...] = ()  # (register, tariff, today)
    measured_days: int = 0
    last_frame_ns: int | None = None  # civil time of the last whole frame


class Ledger(NamedTuple):
    """The ledger of all meters. `price_neur_per_wh` is what the host's energy costs at the moment."""

    meters: tuple[MeterLedger, ...] = ()
    price_neur_per_wh: int | None = None
    host_cost_neur: int | None = None  # None = no price is known, so nothing was charged
    self_consumed: tuple[tuple[str, int], ...] = ()  # (stretch, watt-hours), only where a meter counts what is produced
    write_failures: int = 0
    waiting: int = 0  # marks that could not be written yet
    behind: int = 0  # readings dated before the newest of the ledger


class Snapshot(NamedTuple):
    mono_ns: int
    real_ns: int
    ready: bool  # everything written before our start has been replayed
    host: Host
    zones: tuple[Zone, ...]
    processes: Processes
    meters: tuple[Meter, ...]
    rings: tuple[Ring, ...]
    groups: Groups = Groups()
    attributed_mono_ns: int = 0  # up to here the energy of every zone has been given to its users; 0 = never
    ledger: Ledger = Ledger()
    containers: tuple[Container, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    gpus: GpuUse = GpuUse()
