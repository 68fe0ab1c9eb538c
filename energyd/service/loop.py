"""The one blocking loop of the sampling readers: absolute deadlines, so a late tick never shifts the next one."""

from collections.abc import Callable

from energyd.service.clock import Clock
from energyd.units import NS_PER_S

TIMERSLACK_FILE = "/proc/self/timerslack_ns"
NAP_NS = NS_PER_S // 2  # the longest sleep: a signal only sets `stop`, which is looked at between two naps


def sharpen_timers() -> None:
    """Ask for wake-ups within 1 ns of the deadline instead of 50 us (proc(5), /proc/PID/timerslack_ns)."""
    try:
        with open(TIMERSLACK_FILE, "w") as file:
            file.write("1")
    except OSError:  # not this kernel's: ticks are a few microseconds later, and each sample carries its own time
        pass


def run_periodic(tick: Callable[[int], None], period_ns: int, stop: object, clock: Clock) -> None:
    """Call `tick(missed)` at every multiple of `period_ns` after the start until `stop` is true.

    `missed` is how many deadlines went by unserved since the last call (a long tick, a stopped process); they are skipped,
    not made up for: the counters that are read are cumulative, so nothing is lost but resolution.
    """
    deadline_ns = clock.mono_ns()
    while not stop:
        late_ns = clock.mono_ns() - deadline_ns
        missed = max(0, late_ns // period_ns)
        deadline_ns += missed * period_ns
        tick(missed)
        deadline_ns += period_ns
        while not stop and (now_ns := clock.mono_ns()) < deadline_ns:
            clock.sleep_until_ns(min(deadline_ns, now_ns + NAP_NS))
