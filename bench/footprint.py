"""What processes hold and use while time goes by: memory, file descriptors, CPU time.

PSS (proc_pid_smaps_rollup(5)) shares each page among the processes that map it, so it may be summed; the anonymous part is what a
leak would be in, because the mapped rings fill up during their first round.
"""

import os
import statistics
from typing import Final, NamedTuple

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
GROWTH_KIB: Final = 1024
GROWTH_RATIO: Final = 0.05
"""How much more the last fifth may hold than the first after the warm-up: the larger of the two."""
DESCRIPTORS: Final = 2
"""The fewest of each fifth are compared: some come and go with scrapes, and with the control groups of the machine."""


class Look(NamedTuple):
    """One process at one instant."""

    at_s: float
    pss_kib: int
    anonymous_kib: int
    descriptors: int
    cpu_s: float


def look(pid: int, at_s: float) -> Look:
    """Raises OSError when the process has ended."""
    sizes = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii", errors="replace") as file:
        next(file)
        for line in file:
            name, value = line.split(":")
            sizes[name] = int(value.split()[0])
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    return Look(at_s, sizes["Pss"], sizes["Pss_Anon"], len(os.listdir(f"/proc/{pid}/fd")), cpu_s)


class Footprints:
    """The looks at each process of a table {name: pid}; a process that was started anew is another one, and said."""

    def __init__(self) -> None:
        self._pids: dict[str, int] = {}
        self._looks: dict[str, list[Look]] = {}
        self.ended: list[str] = []

    def take(self, pids: dict[str, int], at_s: float) -> None:
        for name, pid in pids.items():
            if self._pids.setdefault(name, pid) != pid:
                self.ended.append(name)
                self._pids[name] = pid
            try:
                self._looks.setdefault(name, []).append(look(pid, at_s))
            except OSError:
                self.ended.append(name)

    def report(self, warm_s: float) -> tuple[str, list[str]]:
        """A table of the first and last fifth after `warm_s`, and a sentence for each thing that grew."""
        heads = ("process", "PSS MiB", "", "anonymous MiB", "", "descriptors", "", "CPU %")
        lines = [f"{heads[0]:<18}{heads[1]:>10}{heads[2]:>10}{heads[3]:>15}{heads[4]:>10}{heads[5]:>13}{heads[6]:>7}{heads[7]:>8}"]
        faults = [f"{name} has ended" for name in self.ended]
        sums = [0.0] * 5
        for name, looks in sorted(self._looks.items()):
            steady = [each for each in looks if each.at_s >= warm_s]
            fifth = max(1, len(steady) // 5)
            first, last = steady[:fifth], steady[-fifth:]
            cpu_percent = 100 * (steady[-1].cpu_s - steady[0].cpu_s) / max(1e-9, steady[-1].at_s - steady[0].at_s)
            cells = [median(part, field) / 1024 for field in ("pss_kib", "anonymous_kib") for part in (first, last)]
            cells += [float(min(each.descriptors for each in part)) for part in (first, last)]
            lines.append(
                f"{name:<18}{cells[0]:>10.1f}{cells[1]:>10.1f}{cells[2]:>15.2f}{cells[3]:>10.2f}"
                f"{cells[4]:>13.0f}{cells[5]:>7.0f}{cpu_percent:>8.2f}"
            )
            sums = [total + cell for total, cell in zip(sums, (*cells[:4], cpu_percent), strict=True)]
            grown_mib = cells[3] - cells[2]
            if grown_mib > max(GROWTH_KIB / 1024, GROWTH_RATIO * cells[2]):
                faults.append(f"{name} holds {grown_mib:.1f} MiB more than at first")
            if cells[5] - cells[4] > DESCRIPTORS:
                faults.append(f"{name} holds {cells[5] - cells[4]:.0f} descriptors more than at first")
        lines.append(f"{'sum':<18}{sums[0]:>10.1f}{sums[1]:>10.1f}{sums[2]:>15.2f}{sums[3]:>10.2f}{'':>20}{sums[4]:>8.2f}")
        return "\n".join(lines), faults


def median(looks: list[Look], field: str) -> float:
    return float(statistics.median(getattr(each, field) for each in looks))
