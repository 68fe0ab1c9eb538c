"""The processes that live, in parallel lists, and the control groups that hold them.

Lists, because a scan hands slices of `handles` to the kernel and compares whole lists of values. Removing moves the last process
into the gap, so births and deaths cost the same however many live.
"""

from energyd.procfs.identity import Process


class Tracked:
    """A living process, as far as the scan needs to know it. `consumer` is the number of its label."""

    __slots__ = ("comm", "consumer", "kernel_thread", "membership", "pid", "rss_bytes", "start_ticks")

    def __init__(self, process: Process, consumer: int) -> None:
        self.pid = process.pid
        self.start_ticks = process.stat.start_ticks
        self.kernel_thread = process.stat.kernel_thread
        self.describe(process, consumer)

    def describe(self, process: Process, consumer: int) -> None:
        self.comm = process.stat.comm
        self.membership = process.membership
        self.rss_bytes = process.stat.rss_bytes
        self.consumer = consumer


class ProcessTable:
    """`position` leads from a pid to its index in `handles`, `values` (cumulative ns) and `tracked`; change them only together."""

    def __init__(self) -> None:
        self.position: dict[int, int] = {}
        self.handles: list[int] = []
        self.values: list[int] = []
        self.tracked: list[Tracked] = []
        self.groups: dict[tuple[str, bytes], int] = {}  # how many processes each control group holds
        self._left_root_ns = 0

    def __len__(self) -> int:
        return len(self.handles)

    def root_group_ns(self) -> int:
        """CPU time that processes used while no control group counted it, ended ones included: a counter that never falls."""
        in_root = [value for value, tracked in zip(self.values, self.tracked, strict=True) if tracked.membership.counted is None]
        return self._left_root_ns + sum(in_root)

    def add(self, tracked: Tracked, handle: int, value: int) -> None:
        self.position[tracked.pid] = len(self.handles)
        self.handles.append(handle)
        self.values.append(value)
        self.tracked.append(tracked)
        self._enter_group(tracked)

    def remove(self, position: int) -> None:
        tracked = self.tracked[position]
        self._leave_group(tracked, self.values[position])
        del self.position[tracked.pid]
        last = self.tracked.pop()
        handle, value = self.handles.pop(), self.values.pop()
        if last is not tracked:
            self.tracked[position], self.handles[position], self.values[position] = last, handle, value
            self.position[last.pid] = position

    def describe(self, position: int, process: Process, consumer: int) -> None:
        """The same process as another program or in another group, under another label."""
        tracked, value = self.tracked[position], self.values[position]
        self._leave_group(tracked, value)
        tracked.describe(process, consumer)
        self._enter_group(tracked)
        if tracked.membership.counted is None:  # what it used until now, other groups have counted
            self._left_root_ns -= value

    def _enter_group(self, tracked: Tracked) -> None:
        group = tracked.membership.counted
        if group is not None:
            self.groups[group] = self.groups.get(group, 0) + 1

    def _leave_group(self, tracked: Tracked, value: int) -> None:
        group = tracked.membership.counted
        if group is None:
            self._left_root_ns += value
        elif self.groups[group] > 1:
            self.groups[group] -= 1
        else:
            del self.groups[group]
