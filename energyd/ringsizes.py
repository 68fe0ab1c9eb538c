"""How large the rings of a configuration are: each holds a minute at least, so that an aggregator may be away that long.

The readers make them, and `energyd run` asks beforehand whether they fit into the run directory.
"""

import os
from typing import Final

from energyd.config import Config
from energyd.ring.layout import file_size
from energyd.ring.writer import capacity_for
from energyd.samples import COUNTERS, CPU_MODES, FIELDS, FIGURES_PER_RECORD, KEYFRAME_NS, MEMORY_FIELDS, RAPL, USAGE
from energyd.units import NS_PER_S

TIC_RECORDS_PER_S: Final = 80.0  # 960 characters a second at 9600 baud, and some groups take seven records
HOST_RECORDS: Final = len(CPU_MODES) + 2
CORES: Final = os.cpu_count() or 1
LABEL_BYTES: Final = 512
"""Of a process in the labels of the usage ring: 200 to 240 are measured on servers, and command lines can be longer."""


def tic_capacity() -> int:
    """Records of the ring of one meter."""
    return capacity_for(TIC_RECORDS_PER_S)


def rapl_capacity(rate_hz: float, zones: int) -> int:
    """Records of the ring of `zones` energy counters."""
    return capacity_for(rate_hz * (zones + 1) + len(COUNTERS[RAPL.name]))


def usage_capacity(rate_hz: float, processes: int, cores: int = CORES) -> int:
    """Records for a minute in which up to 256 processes, and a quarter of the others, use CPU between any two scans: 32768 (2 MiB)
    for 200 processes at 2 Hz, 65536 for 1000, 262144 for 5000. Busier machines keep less than a minute."""
    busy = min(processes, 256 + processes // 4)
    # once a second; disks and interfaces are few beside the busy processes
    figures_per_s = len(MEMORY_FIELDS) + cores * -(-len(FIELDS["core"]) // FIGURES_PER_RECORD)
    told_per_s = processes * NS_PER_S / KEYFRAME_NS + len(COUNTERS[USAGE.name]) + figures_per_s
    return capacity_for(rate_hz * (busy + HOST_RECORDS) + told_per_s)


def needed_bytes(config: Config, zones: int, processes: int, cores: int = CORES) -> dict[str, int]:
    """Bytes of each ring of `config` by name, on a machine with so many readable energy counters, processes and cores."""
    capacities = {f"tic-{meter.name}": tic_capacity() for meter in config.meters}
    capacities["rapl"] = rapl_capacity(config.energy.rate_hz, zones)
    capacities["usage"] = usage_capacity(config.usage.rate_hz, processes, cores)
    sizes = {name: file_size(capacity) for name, capacity in capacities.items()}
    return sizes | {"usage": sizes["usage"] + processes * LABEL_BYTES}
