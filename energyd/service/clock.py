"""Time as a parameter: every program takes a clock, and tests hand in one that they turn by hand."""

import time
from typing import Final, NamedTuple, Protocol

from energyd.units import NS_PER_S

_PLAUSIBLE_FROM_S: Final = 1_704_067_200  # 2024-01-01
_PLAUSIBLE_BEFORE_S: Final = 4_102_444_800  # 2100-01-01


def is_plausible(unix_s: float) -> bool:
    """Whether it is 2024 to 2099: any other date is that of a machine without a clock, or with a broken one."""
    return _PLAUSIBLE_FROM_S <= unix_s < _PLAUSIBLE_BEFORE_S


class Clock(Protocol):
    """Monotonic and civil time in nanoseconds, and a way to wait."""

    def mono_ns(self) -> int:
        """CLOCK_MONOTONIC: never steps, stops in suspend."""

    def real_ns(self) -> int:
        """CLOCK_REALTIME: nanoseconds since 1970, UTC."""

    def sleep_until_ns(self, mono_ns: int) -> None:
        """Return at `mono_ns`, or at once if that is past. A signal does not cut it short (PEP 475)."""


class SystemClock:
    """The machine's own clocks."""

    mono_ns = staticmethod(time.monotonic_ns)
    real_ns = staticmethod(time.time_ns)

    @staticmethod
    def sleep_until_ns(mono_ns: int) -> None:
        delay_ns = mono_ns - time.monotonic_ns()
        if delay_ns > 0:
            time.sleep(delay_ns / NS_PER_S)


class ScaledClock(NamedTuple):
    """A clock that runs `rate` times as fast as the machine's from (mono0_ns, real0_ns) on. Only simulated meters use it."""

    rate: float
    mono0_ns: int
    real0_ns: int

    def at(self, mono_ns: int) -> int:
        """This clock's monotonic time when the machine's is `mono_ns`."""
        return self.mono0_ns + round((mono_ns - self.mono0_ns) * self.rate)

    def mono_ns(self) -> int:
        return self.at(time.monotonic_ns())

    def real_ns(self) -> int:
        return self.real0_ns + round((time.monotonic_ns() - self.mono0_ns) * self.rate)

    def sleep_until_ns(self, mono_ns: int) -> None:
        delay_ns = (mono_ns - self.mono_ns()) / self.rate
        if delay_ns > 0:
            time.sleep(delay_ns / NS_PER_S)


SYSTEM_CLOCK = SystemClock()


def suspended_ns() -> int:
    """Nanoseconds that the machine has spent suspended since boot: CLOCK_BOOTTIME - CLOCK_MONOTONIC (clock_gettime(2))."""
    mono_before = time.monotonic_ns()
    boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return max(0, boot - (mono_before + time.monotonic_ns()) // 2)
