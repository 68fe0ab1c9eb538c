"""Sharing the energy of one interval among those who used it, in integer microjoules, to the last one.

The law: processes + exited + idle + unattributed == measured, with no part negative. It holds by construction: every split goes
through `split`, which hands out exactly what it was given.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from energyd.units import NS_PER_S

Int64 = npt.NDArray[np.int64]


def split(energy_uj: int, weights: Int64) -> Int64:
    """`energy_uj` in proportion to `weights` (>= 0, not all zero): int64 of the same shape, each >= 0, their sum exact.

    Cuts the line from 0 to the whole at the cumulated weights, so each share is within 1 uJ of the true one.
    """
    cumulated = np.cumsum(weights, dtype=np.float64)
    cuts = np.floor(cumulated * (energy_uj / cumulated[-1])).astype(np.int64)
    cuts[cumulated == cumulated[-1]] = energy_uj  # the product may round to a microjoule less or more at the end of the line
    shares_uj: Int64 = np.diff(cuts, prepend=np.int64(0))
    return shares_uj


class Shares(NamedTuple):
    """Who got the energy of one zone in one interval, in microjoules."""

    processes_uj: Int64  # aligned with the CPU times given
    exited_uj: int
    idle_uj: int
    unattributed_uj: int


def share(energy_uj: int, elapsed_ns: int, cpu_ns: Int64, exited_ns: int, idle_uw: int | None, proportional: bool) -> Shares:
    """Divide `energy_uj` of an interval of `elapsed_ns` by the CPU time that each process (`cpu_ns`) and the exited used.

    The idle part is what the machine draws doing nothing (`idle_uw`, None while it has not been seen): kept apart, or, if
    `proportional`, shared like the rest. Energy with nobody to give it to is unattributed.
    """
    idle_uj = 0
    if idle_uw is not None and not proportional:
        idle_uj = min(energy_uj, idle_uw * elapsed_ns // NS_PER_S)
    active_uj = energy_uj - idle_uj
    weights = np.append(cpu_ns, np.int64(exited_ns))
    if active_uj == 0 or not weights.any():
        return Shares(np.zeros(len(cpu_ns), np.int64), 0, idle_uj, active_uj)
    shares_uj = split(active_uj, weights)
    return Shares(shares_uj[:-1], int(shares_uj[-1]), idle_uj, 0)
