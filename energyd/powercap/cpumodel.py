"""Not a measurement: idle power, plus a share of the rest for each busy CPU. For machines that measure nothing, and only on demand.

The two powers come from the configuration (a wall meter, the maker's sheet); busy is user, nice, system, irq and softirq of
/proc/stat (proc(5)), in ticks of 10 ms. What it gives is a cumulative energy, a function of two clocks that only grow.
The law: its zone is called model, and its source is `model` wherever it is shown.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import Final

from energyd.powercap.zone import Reader, Zone
from energyd.units import NS_PER_S, UW_PER_W

_BUSY: Final = (1, 2, 3, 6, 7)  # fields of the line `cpu`; guests are within user, steal is another machine's
_FIRST_LINE: Final = 256


class CpuModel:
    """`idle_w` with all CPUs idle, `max_w` with all busy. `mono_ns` is CLOCK_MONOTONIC."""

    period_ns = NS_PER_S // 10

    def __init__(self, procfs_root: str, idle_w: float, max_w: float, mono_ns: Callable[[], int]) -> None:
        self._path = f"{procfs_root}/stat"
        self._idle_uw = round(idle_w * UW_PER_W)
        self._mono_ns = mono_ns
        self._cpus = os.sysconf("SC_NPROCESSORS_ONLN")
        self._cpu_uw = (round(max_w * UW_PER_W) - self._idle_uw) // self._cpus
        self._tick_ns = NS_PER_S // os.sysconf("SC_CLK_TCK")

    def fingerprint(self) -> dict[str, int]:
        return {"model": 1}

    def discover(self) -> list[Zone]:
        return [
            Zone(
                name="model",
                domain="system",
                source="model",
                counter=f"model of {self._idle_uw} uW and {self._cpus} CPUs of {self._cpu_uw} uW",
                device="model",
                path=self._path,
                additive=True,
            )
        ]

    def open(self, zone: Zone) -> Reader:
        fd = os.open(zone.path, os.O_RDONLY | os.O_CLOEXEC)
        return Reader(partial(self._read_uj, fd), partial(os.close, fd))

    def _read_uj(self, fd: int) -> int:
        fields = os.pread(fd, _FIRST_LINE, 0).split(maxsplit=9)
        busy_ns = sum(int(fields[index]) for index in _BUSY) * self._tick_ns
        return (self._idle_uw * self._mono_ns() + self._cpu_uw * busy_ns) // NS_PER_S
