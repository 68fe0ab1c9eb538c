"""Whether the rings fit into the memory that their directory has, asked before anything is started."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from energyd.errors import EnvironmentFault
from energyd.ring import layout

_MIB: Final = 1 << 20


def require_room(run_dir: str, ring_bytes: Mapping[str, int]) -> None:
    """EnvironmentFault when rings of these sizes have no room in `run_dir`; those that lie there already need none."""
    status = os.statvfs(run_dir)
    free_bytes = status.f_bavail * status.f_frsize
    there = {name: _allocated_bytes(layout.ring_path(run_dir, name)) for name in ring_bytes}
    needed_bytes = sum(max(0, size - there[name]) for name, size in ring_bytes.items())
    if needed_bytes <= free_bytes:
        return
    total_mib = -(-(status.f_blocks * status.f_frsize + needed_bytes - free_bytes) // _MIB)
    rings = ", ".join(f"{name} {size / _MIB:.1f}" for name, size in ring_bytes.items())
    raise EnvironmentFault(
        f"{run_dir}: the rings need {needed_bytes / _MIB:.1f} MiB ({rings}), {free_bytes / _MIB:.1f} are free; "
        f"`sudo mount -o remount,size={total_mib}m {_mount_of(run_dir)}`, lower energy.rate_hz and usage.rate_hz, "
        "or choose another directory with --set run_dir=DIR"
    )


def _allocated_bytes(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _mount_of(directory: str) -> str:
    place = Path(os.path.realpath(directory))
    while not place.is_mount():
        place = place.parent
    return str(place)
