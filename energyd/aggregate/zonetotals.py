"""One zone of energy: raw readings in, a total that only grows out, and what of it has been given to whom.

A zone is additive while it is the host or a part of it. That may change while we run: a module is loaded and RAPL takes over from
a battery, permission is given late. What it measured in either role stays in an account of that role, so that no total ever falls
and no joule changes the series that it is in.
"""

from typing import Any, Final

from energyd import samples
from energyd.aggregate.counters import EnergyCounter, PowerIntegral
from energyd.aggregate.idle import IdleBaseline
from energyd.aggregate.timeline import Timeline
from energyd.units import NS_PER_S

POWER_WINDOW_NS: Final = NS_PER_S
STALL_NS: Final = 2 * NS_PER_S  # a zone that misses sweeps for this long no longer holds up the attribution of the others
GONE_NS: Final = 60 * NS_PER_S  # after this long it is not waited for at all: it was pulled out, or is read no more
KEPT_NS: Final = 120 * NS_PER_S  # of an additive zone whose energy waits for CPU times; a ring holds about a minute of these
METER: Final = "meter"
METER_STALL_NS: Final = 12 * NS_PER_S  # frames take up to 2 s and may be bad; the link is given up after 10 s (54E 9.4)


class ZoneTotals:
    """One zone: what is measured, and what of it has been attributed to whom. All energies in microjoules."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.domain = self.parent = self.source = self.shared_by = ""
        self.package: int | None = None
        self.additive = False
        self.dropped = False
        self.readable = False
        self.told_of_users = False  # a driver tells who uses it
        self.awake = False  # has been sampled since our start, and not been given up since
        self._kind: int | None = None  # number of the label that describes us
        self._baseline = ""  # the register behind the zone
        self.counter = EnergyCounter()
        self.integral = PowerIntegral()
        self.timeline = Timeline()  # of the account of our role
        self.idle = IdleBaseline()
        self.energy_uj = 0  # measured while additive
        self.aside_uj = 0  # measured while not
        self.attributed_until_ns: int | None = None  # mono time up to which the parts account for the total
        self.processes_uj = self.exited_uj = self.idle_uj = self.unattributed_uj = 0

    @property
    def attributed_uj(self) -> int:
        return self.processes_uj + self.exited_uj + self.idle_uj + self.unattributed_uj

    @property
    def pending_uj(self) -> int:
        """Measured as a part of the host, and not yet given to anybody."""
        return self.energy_uj - self.attributed_uj

    @property
    def resets(self) -> int:
        """Times that a new baseline was needed."""
        return self.counter.resets + self.integral.gaps

    @property
    def stall_ns(self) -> int:
        """How long a silence of the zone is waited for."""
        return METER_STALL_NS if self.domain == METER else STALL_NS

    def covers(self, mono_ns: int) -> bool:
        """Has all been said about the time until `mono_ns`? Nothing more is expected of a zone that has long been silent."""
        frontier_ns = self.timeline.frontier_ns
        return frontier_ns >= mono_ns or mono_ns - frontier_ns > GONE_NS

    def power_w(self, swept_until_ns: int) -> float | None:
        """Over the last second of samples; None with fewer than two, and when the zone has fallen silent since."""
        if not self.awake or self.timeline.frontier_ns + self.stall_ns < swept_until_ns:
            return None
        return self.timeline.power_w(POWER_WINDOW_NS)

    def describe(self, kind: int, entry: dict[str, Any]) -> None:
        """Take over what the reader's label number `kind` says of the zone, once."""
        if kind == self._kind:
            return
        self._kind = kind
        self.domain, self.parent = str(entry.get("domain", "")), str(entry.get("parent", ""))
        self.source = str(entry.get("source", ""))
        package = entry.get("package")
        self.package = package if isinstance(package, int) and package >= 0 else None
        self.dropped = bool(entry.get("dropped"))
        self._take_role(bool(entry.get("additive", False)) and not self.dropped)
        range_uj = int(entry.get("range_uj", 0))
        baseline = f"{entry.get('source')} {entry.get('baseline', '')}"
        if baseline != self._baseline or 0 != range_uj != self.counter.range_uj != 0:
            self._baseline = baseline
            self.counter.start_anew()
            self.integral.start_anew()
        self.counter.configure(range_uj, int(entry.get("max_power_uw", 0)))

    def forget_label(self) -> None:
        """The same number may mean another label from now on."""
        self._kind = None

    def _take_role(self, additive: bool) -> None:
        if additive == self.additive:
            return
        self.unattributed_uj += self.pending_uj  # nobody waits for it any more
        self.additive = additive
        self.timeline = Timeline()
        self.awake = False
        self.attributed_until_ns = None

    def sample(self, raw: int, status: int, mono_ns: int, suspended_ns: int) -> None:
        """One good reading, `raw` as the RAPL schema has it."""
        meter = self.integral if status & samples.POWER else self.counter
        delta_uj = meter.advance(raw, mono_ns, suspended_ns)
        if self.additive:
            self.energy_uj += delta_uj
        else:
            self.aside_uj += delta_uj
        self.timeline.append(mono_ns, self.energy_uj if self.additive else self.aside_uj)
        self.readable = self.awake = True

    def forget(self) -> None:
        """Drop the samples that neither the power nor, of an additive zone, an attribution can need any more."""
        if self.timeline:
            needed = self.additive or self.told_of_users
            self.timeline.forget_before(self.timeline.frontier_ns - (KEPT_NS if needed else 2 * POWER_WINDOW_NS))

    def state(self) -> dict[str, Any]:
        return {
            "label": [self.domain, self.parent, self.source, self.additive, self.package, self.shared_by],
            "register": [self._kind, self._baseline, self.dropped],
            "range": [self.counter.range_uj, self.counter.max_power_uw],
            "counter": self.counter.state(),
            "integral": self.integral.state(),
            "points": [self.timeline.times_ns, self.timeline.energies_uj],
            "energy_uj": [self.energy_uj, self.aside_uj],
            "until_ns": self.attributed_until_ns,
            "awake": self.awake,
            "parts_uj": [self.processes_uj, self.exited_uj, self.idle_uj, self.unattributed_uj],
            "idle": self.idle.state(),
        }

    def restore(self, state: dict[str, Any], same_boot: bool) -> None:
        self.domain, self.parent, self.source, self.additive, self.package, self.shared_by = state["label"]
        self._kind, self._baseline, self.dropped = state["register"]
        self.counter.range_uj, self.counter.max_power_uw = state["range"]
        self.counter.restore(state["counter"], same_boot)
        self.integral.restore(state["integral"], same_boot)
        self.energy_uj, self.aside_uj = state["energy_uj"]
        self.processes_uj, self.exited_uj, self.idle_uj, self.unattributed_uj = state["parts_uj"]
        self.idle.restore(state["idle"])
        if same_boot:
            self.attributed_until_ns, self.awake = state["until_ns"], state["awake"]
            self.timeline.times_ns, self.timeline.energies_uj = state["points"]
        else:  # the clock has started anew: what was pending can no longer be given to anybody
            self.forget_label()
            self.unattributed_uj += self.pending_uj
