"""The only place that subtracts: raw counters in, increments of totals that only grow out.

Six kinds of reading reach the aggregator, and each fails in its own way:

* energy (powercap `energy_uj`) wraps at its own `max_energy_range_uj` and restarts at resets (Documentation/power/powercap);
* power (hwmon, batteries) is that of a moment: energy is what lies between two of them, unless they are too far apart;
* CPU time of a process or cgroup never wraps; if it falls, it is another process behind the same number;
* counters of devices wrap at 32 bits, or begin anew with the device; those of cores waver;
* counters that a reader keeps in memory restart at zero with the reader;
* a meter's register only grows, but a line with bit errors can pass the checksum and show a wild value.

Each class takes the next raw value and returns by how much the total grew: an int >= 0, zero when it cannot be known.
"""

from typing import Any

from energyd.units import NS_PER_S

FALLBACK_MAX_POWER_UW = 1_000_000_000  # 1 kW: above every socket on sale, and the bound only has to tell a wrap from a reset
POWER_MARGIN = 4  # short-term limits (PL2, PL4) exceed the long-term limit that the kernel names by 2 to 3 times
COUNTER_LAG_NS = 20_000_000  # the register is updated about every ms, jittered: two reads may straddle more than their own time
SUSPEND_NS = NS_PER_S // 2  # a machine that slept longer may have restarted its counters


class EnergyCounter:
    """A powercap counter of `range_uj` (0 = unknown): wraps are added up, resets and implausible jumps start a new baseline.

    The exact modulus is the range plus one unit of the register (at most 61 uJ), which sysfs does not tell; range + 1 is used.
    A gap so long that a wrap could have gone unseen at full power counts what is certain and says so in `ambiguous`.
    """

    __slots__ = ("_mono_ns", "_raw_uj", "_suspended_ns", "ambiguous", "max_power_uw", "range_uj", "resets")

    def __init__(self, range_uj: int = 0, max_power_uw: int = 0) -> None:
        self.configure(range_uj, max_power_uw)
        self._raw_uj: int | None = None
        self._mono_ns = 0
        self._suspended_ns = 0
        self.resets = 0
        self.ambiguous = 0

    def configure(self, range_uj: int, max_power_uw: int) -> None:
        """The zone has been found (again): its range and power limit as the kernel states them now."""
        self.range_uj = range_uj
        self.max_power_uw = max_power_uw * POWER_MARGIN or FALLBACK_MAX_POWER_UW

    def start_anew(self) -> None:
        """Another register from now on: its first value is a baseline."""
        self._raw_uj = None

    def advance(self, raw_uj: int, mono_ns: int, suspended_ns: int) -> int:
        """Microjoules since the last good read. Times are those of this read; `suspended_ns` is BOOTTIME - MONOTONIC."""
        before_uj, elapsed_ns = self._raw_uj, mono_ns - self._mono_ns
        slept = suspended_ns - self._suspended_ns > SUSPEND_NS
        self._raw_uj, self._mono_ns, self._suspended_ns = raw_uj, mono_ns, suspended_ns
        if before_uj is None:
            return 0
        delta_uj = raw_uj - before_uj
        possible_uj = self.max_power_uw * (max(0, elapsed_ns) + COUNTER_LAG_NS) // NS_PER_S
        if delta_uj < 0 and self.range_uj and not slept:
            delta_uj += self.range_uj + 1
        if delta_uj < 0 or delta_uj > possible_uj:
            self.resets += 1
            return 0
        if self.range_uj and possible_uj > self.range_uj:
            self.ambiguous += 1
        return delta_uj

    def state(self) -> list[int | None]:
        return [self._raw_uj, self._mono_ns, self._suspended_ns, self.resets, self.ambiguous]

    def restore(self, state: list[Any], same_boot: bool) -> None:
        """Take up a saved baseline; after a reboot only the counts of faults are still true."""
        self._raw_uj, self._mono_ns, self._suspended_ns, self.resets, self.ambiguous = state
        if not same_boot:
            self._raw_uj = None


class PowerIntegral:
    """Microwatts at moments, as microjoules between them: the mean of both ends times the measured time, to the last one.

    Over a gap longer than GAP_NS, and over a sleep, nobody knows what was drawn: nothing is counted, and `gaps` says so.
    """

    __slots__ = ("_mono_ns", "_power_uw", "_rest", "_suspended_ns", "gaps")

    GAP_NS = 30 * NS_PER_S  # three periods of the slowest rate, 0.1 Hz

    def __init__(self) -> None:
        self._power_uw: int | None = None
        self._mono_ns = 0
        self._suspended_ns = 0
        self._rest = 0  # of the last division, carried so that small powers at high rates are not lost
        self.gaps = 0

    def start_anew(self) -> None:
        """Another indicator from now on."""
        self._power_uw = None

    def advance(self, power_uw: int, mono_ns: int, suspended_ns: int) -> int:
        """Microjoules since the last reading. Times are those of this one; `suspended_ns` is BOOTTIME - MONOTONIC."""
        before_uw, elapsed_ns = self._power_uw, mono_ns - self._mono_ns
        slept = suspended_ns - self._suspended_ns > SUSPEND_NS
        self._power_uw, self._mono_ns, self._suspended_ns = power_uw, mono_ns, suspended_ns
        if before_uw is None:
            return 0
        if slept or elapsed_ns > self.GAP_NS:
            self.gaps += 1
            return 0
        energy_uj, self._rest = divmod((before_uw + power_uw) * max(0, elapsed_ns) + self._rest, 2 * NS_PER_S)
        return energy_uj

    def state(self) -> list[int | None]:
        return [self._power_uw, self._mono_ns, self._suspended_ns, self._rest, self.gaps]

    def restore(self, state: list[Any], same_boot: bool) -> None:
        self._power_uw, self._mono_ns, self._suspended_ns, self._rest, self.gaps = state
        if not same_boot:
            self._power_uw = None


class RestartingCounter:
    """A counter that lives in a reader's memory: a fall means that the reader has started anew from zero."""

    __slots__ = ("raw", "total")

    def __init__(self, raw: int = 0, total: int = 0) -> None:
        self.raw = raw
        self.total = total

    def advance(self, raw: int) -> int:
        delta = raw - self.raw if raw >= self.raw else raw
        self.raw = raw
        self.total += delta
        return delta


class GrowingCounter:
    """A cumulative kernel counter (CPU time of the machine): the first value is the baseline, a fall starts a new one."""

    __slots__ = ("raw",)

    def __init__(self, raw: int | None = None) -> None:
        self.raw = raw

    def advance(self, raw: int) -> int:
        delta = 0 if self.raw is None else max(0, raw - self.raw)
        self.raw = raw
        return delta


class TickCounter:
    """CPU time of one core in one mode since the machine was started: a running maximum.

    proc_stat(5): iowait, and idle with it, can go back a little. A core that was switched off and on may begin again at zero.
    """

    __slots__ = ("raw", "total")

    JITTER_NS = 3 * NS_PER_S

    def __init__(self, raw: int = 0, total: int = 0) -> None:
        self.raw = raw
        self.total = total

    def advance(self, raw: int) -> int:
        fall = self.raw - raw
        if 0 < fall <= self.JITTER_NS and raw:
            return 0
        delta = raw if fall > 0 else -fall
        self.raw = raw
        self.total += delta
        return delta


class DeviceCounter:
    """What a disk or a network interface has counted since it appeared. Some counters have 32 bits, whatever the machine has.

    A fall from the upper half of 32 bits to the lower is a wrap, any other one a device that was set back to zero. What a driver
    has taken below zero, which Linux shows as an unsigned number of 64 bits, counts nothing.
    """

    __slots__ = ("raw", "total")

    MODULUS = 1 << 32
    NEGATIVE = 1 << 63

    def __init__(self, raw: int = 0, total: int = 0) -> None:
        self.raw = raw
        self.total = total

    def advance(self, raw: int) -> int:
        if raw >= self.NEGATIVE:
            return 0
        delta = raw - self.raw
        if delta < 0:
            wrapped = self.raw < self.MODULUS and -delta > self.MODULUS // 2
            delta = delta + self.MODULUS if wrapped else raw
        self.raw = raw
        self.total += delta
        return delta


class MeterRegister:
    """A meter's own register in Wh. What cannot be checked against the reading before it waits for the reading after it.

    So wait a jump that no house can make, a fall, the very first reading, and a jump after a silence: what a house can use in a
    night is also what a corrupt digit adds. The next reading confirms it or takes its place. 54E 6.2: nine digits; 36 kVA is the
    most that a Linky is sold for. A confirmed fall stands: the display is the truth.
    """

    __slots__ = (
        *("_candidate_ns", "_candidate_wh", "_max_power_w", "_mono_ns", "_slack_wh", "_told"),
        *("confirmed", "energy_wh", "held_back", "resets"),
    )

    MAX_POWER_W = 40_000
    SLACK_WH = 100  # registers may be sent late by some minutes
    SILENCE_NS = 120 * NS_PER_S  # twice what an overload hides the registers for

    def __init__(
        self, energy_wh: int | None = None, mono_ns: int = 0, *, max_power_w: int = MAX_POWER_W, slack_wh: int = SLACK_WH
    ) -> None:
        self._max_power_w, self._slack_wh = max_power_w, slack_wh
        self.held_back = self.resets = 0
        self.confirmed: tuple[int, int] | None = None  # (Wh, mono_ns) of the reading that waited for the last one
        self.resume(energy_wh, mono_ns)

    def resume(self, energy_wh: int | None, mono_ns: int, waiting: tuple[int, int] | None = None) -> None:
        """Go on from a reading that was accepted at `mono_ns`; `waiting`: (Wh, mono_ns) of one that waits."""
        self.energy_wh = energy_wh
        self._mono_ns = mono_ns
        self._candidate_wh: int | None = waiting[0] if waiting else None
        self._candidate_ns = waiting[1] if waiting else 0
        self._told = False  # the candidate is among those that were held back

    def advance(self, reading_wh: int, mono_ns: int) -> int:
        """Wh since the last accepted reading; `energy_wh` is the register as accepted, None before the first."""
        checked = self._follows(reading_wh, mono_ns, self.energy_wh, self._mono_ns)
        if not checked and not self._follows(reading_wh, mono_ns, self._candidate_wh, self._candidate_ns):
            self._hold(reading_wh, mono_ns)
            return 0
        if checked:
            self._refute(mono_ns)
        self.confirmed = None if checked else self.waiting
        delta_wh = 0 if self.energy_wh is None else reading_wh - self.energy_wh
        self.resets += delta_wh < 0
        self.resume(reading_wh, mono_ns)
        return max(0, delta_wh)

    def _possible_wh(self, elapsed_ns: int) -> float:
        return self._slack_wh + self._max_power_w * max(0, elapsed_ns) / (3600 * NS_PER_S)

    def _follows(self, reading_wh: int, mono_ns: int, before_wh: int | None, before_ns: int) -> bool:
        """Whether a reading can be checked against an earlier one, and agrees with it."""
        if before_wh is None:
            return False
        return 0 <= reading_wh - before_wh <= self._possible_wh(min(mono_ns - before_ns, self.SILENCE_NS))

    @property
    def waiting(self) -> tuple[int, int] | None:
        """(Wh, mono_ns) of the reading that waits."""
        return None if self._candidate_wh is None else (self._candidate_wh, self._candidate_ns)

    def _hold(self, reading_wh: int, mono_ns: int) -> None:
        self._refute(mono_ns)
        delta_wh = 0 if self.energy_wh is None else reading_wh - self.energy_wh
        self._told = not 0 <= delta_wh <= self._possible_wh(mono_ns - self._mono_ns)
        self.held_back += self._told
        self._candidate_wh, self._candidate_ns = reading_wh, mono_ns

    def _refute(self, mono_ns: int) -> None:
        """Another reading takes the place of the one that waited."""
        recent = mono_ns - self._candidate_ns <= self.SILENCE_NS
        self.held_back += self._candidate_wh is not None and not self._told and recent


REGISTER_CAPACITY_WH = 10**9  # nine digits (54E 6.2)


def register_increment(before_wh: int, after_wh: int) -> int:
    """Wh between two accepted readings of one register, however far apart: it starts again at zero after its ninth digit.

    A fall that is no such start is that of a register that was set back; what it counted before is kept and nothing is added.
    """
    delta_wh = after_wh - before_wh
    if delta_wh < 0 and delta_wh + REGISTER_CAPACITY_WH < REGISTER_CAPACITY_WH // 2:
        return delta_wh + REGISTER_CAPACITY_WH
    return max(0, delta_wh)


def process_increment(before_ns: int, now_ns: int, born_within: bool) -> int:
    """CPU nanoseconds that a process used since `before_ns` (-1 = never seen).

    One that was born within the interval counts from zero; one that is merely seen for the first time starts its account here,
    since what it used before is already among the exited.
    """
    if before_ns < 0:
        return now_ns if born_within else 0
    return max(0, now_ns - before_ns)
