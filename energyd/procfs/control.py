"""The control total: CPU time of all tasks of the machine, those that have ended too, in step with the process clocks.

Measured on Linux 6.18 (2 CPUs) against the sum of all process clocks over 2 s, idle and beside a burner:

    source                         differs by      why
    cpuacct.usage of the v1 root   0.4 to 3 ms     charged in the same place as the clocks (update_curr), in ns
    v2: groups + tasks in root     the same        usage_usec of the groups below the root is charged there too, in us
    /proc/stat                     up to 10 ms     ticks; a process between two ticks is not seen at all
    cpu.stat of the v2 root        up to 10 ms     the kernel makes it from the same ticks as /proc/stat, so it is not used

`/proc/stat` is user + nice + system + irq + softirq: a kernel without CONFIG_IRQ_TIME_ACCOUNTING charges interrupts to the task
that they interrupt (a loop over UDP: 2037 ms of clocks, 1760 ms without the two, 2020 ms with them). Steal is other machines'.
Guests' time is part of user. Only the true root will do: inside a container the hierarchy may begin at the container's own group.

Law: a total never falls while its source lives. The v2 sum keeps what removed groups had; of the root itself it misses what tasks
that live shorter than a scan used there (under systemd only the kernel's own are in it).
"""

import os
from collections.abc import Callable
from typing import Final, Protocol

from energyd.procfs.cgroup import CPUACCT, V2, Mount
from energyd.procfs.files import CounterFiles
from energyd.procfs.groups import parse_usage_ns
from energyd.samples import CPU_MODES

_TASK_MODES: Final = tuple(CPU_MODES.index(mode) for mode in ("user", "nice", "system", "irq", "softirq"))


class Control(Protocol):
    """`source` names the kernel interface. `total_ns` raises OSError or ValueError when it cannot be read."""

    source: str

    def total_ns(self, host_cpu_ns: list[int]) -> int: ...


class CpuacctRoot:
    """v1: one file."""

    source = "cpuacct.usage"

    def __init__(self, mount: Mount, files: CounterFiles) -> None:
        self._path = mount.point + b"/cpuacct.usage"
        self._files = files

    def total_ns(self, _host_cpu_ns: list[int]) -> int:
        return parse_usage_ns(CPUACCT, self._files.read(self._path))


class GroupsAndRootTasks:
    """v2: the groups right below the root, and the clocks of the tasks that are in the root itself (kernel threads mostly)."""

    source = "cpu.stat"

    def __init__(self, mount: Mount, files: CounterFiles, root_tasks_ns: Callable[[], int]) -> None:
        self._root = mount.point
        self._files = files
        self._root_tasks_ns = root_tasks_ns
        self._links = -1
        self._usage_ns: dict[bytes, int] = {}
        self._removed_ns = 0

    def total_ns(self, _host_cpu_ns: list[int]) -> int:
        links = os.stat(self._root).st_nlink  # of a kernfs directory: its subdirectories and two
        if links != self._links:
            self._links = links
            self._list()
        for path, before_ns in list(self._usage_ns.items()):
            try:
                now_ns = parse_usage_ns(V2, self._files.read(path))
            except OSError:
                self._remove(path)
                self._links = -1  # maybe made again under its name
                continue
            if now_ns < before_ns:  # it was
                self._removed_ns += before_ns
            self._usage_ns[path] = now_ns
        return sum(self._usage_ns.values()) + self._removed_ns + self._root_tasks_ns()

    def _list(self) -> None:
        with os.scandir(self._root) as entries:
            found = {entry.path + b"/cpu.stat" for entry in entries if entry.is_dir(follow_symlinks=False)}
        for path in self._usage_ns.keys() - found:
            self._remove(path)
        for path in found - self._usage_ns.keys():
            self._usage_ns[path] = 0

    def _remove(self, path: bytes) -> None:
        self._removed_ns += self._usage_ns.pop(path)
        self._files.forget(path)


class HostTicks:
    """Anywhere: /proc/stat, in steps of 10 ms."""

    source = "/proc/stat"

    def total_ns(self, host_cpu_ns: list[int]) -> int:
        return sum(host_cpu_ns[mode] for mode in _TASK_MODES)


def choose_control(mounts: dict[str, Mount], files: CounterFiles, root_tasks_ns: Callable[[], int]) -> Control:
    """The best source that can be read here: cpuacct, then v2, then ticks."""
    candidates: list[Control] = []
    if CPUACCT in mounts and os.path.exists(mounts[CPUACCT].point + b"/release_agent"):  # only the true root has it
        candidates.append(CpuacctRoot(mounts[CPUACCT], files))
    if V2 in mounts and mounts[V2].root == b"/" and not os.path.exists(mounts[V2].point + b"/cgroup.type"):  # only it lacks it
        candidates.append(GroupsAndRootTasks(mounts[V2], files, root_tasks_ns))
    for candidate in candidates:
        try:
            candidate.total_ns([])
        except (OSError, ValueError):
            continue
        return candidate
    return HostTicks()
