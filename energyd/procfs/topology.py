"""Which package each CPU belongs to, and where a process ran last: only of use where there is more than one package.

Outside truth: Documentation/ABI/stable/sysfs-devices-system-cpu (topology/physical_package_id), field 39 of proc_pid_stat(5). The
kernel tells the last CPU of the main thread only, and only now; over many scans that is where the process ran, on the average.
"""

import os
from collections.abc import Callable

from energyd.procfs.stat import parse_last_cpu


def packages(sysfs_root: str) -> dict[int, int]:
    """Package by CPU, of those that are online; empty when sysfs does not tell."""
    found: dict[int, int] = {}
    directory = f"{sysfs_root}/devices/system/cpu"
    try:
        names = os.listdir(directory)
    except OSError:
        return found
    for name in names:
        if name.startswith("cpu") and name[3:].isdigit():
            try:
                with open(f"{directory}/{name}/topology/physical_package_id") as file:
                    found[int(name[3:])] = int(file.read())
            except (OSError, ValueError):
                continue
    return found


def package_finder(procfs_root: str, sysfs_root: str) -> Callable[[int], int] | None:
    """A function that gives 1 + the package where a process ran last, 0 when it cannot be told; None where one package is all."""
    package_of_cpu = packages(sysfs_root)
    if len({package for package in package_of_cpu.values() if 0 <= package < 255}) < 2:
        return None

    def package_of(pid: int) -> int:
        try:
            with open(f"{procfs_root}/{pid}/stat", "rb", buffering=0) as file:
                return 1 + package_of_cpu.get(parse_last_cpu(file.read(1024)), -1)
        except (OSError, ValueError, IndexError):
            return 0

    return package_of
