"""The scan of control groups: CPU time of all their tasks, ended ones included, and their memory.

Outside truth: `cpuacct.usage` (ns; cgroup-v1/cpuacct.rst), `usage_usec` of `cpu.stat` (us; cgroup-v2.rst); both count the groups
below too, so who adds up groups must take the children out. A removed group answers ENODEV through a descriptor, ENOENT by path.

Law: a group is followed from its first process on until it is removed, also while it is empty, so short-lived processes in it
are counted. A group that was removed and made again under its name, or whose counter falls, is another one: GONE, then a new
label. Descriptors are bounded by `CounterFiles`.
"""

import errno
from collections.abc import Iterable
from typing import Final

from energyd.procfs.cgroup import CPUACCT, V2, Mount
from energyd.procfs.files import CounterFiles
from energyd.procfs.scan import Sample, Sink
from energyd.procfs.stat import text
from energyd.samples import CGROUP, GONE

_CPU_FILE: Final = {CPUACCT: b"/cpuacct.usage", V2: b"/cpu.stat"}
_MEMORY_FILE: Final = {CPUACCT: b"/memory.usage_in_bytes", V2: b"/memory.current"}
_USAGE_USEC: Final = b"usage_usec "
_REMOVED: Final = (errno.ENOENT, errno.ENODEV)


def parse_usage_ns(hierarchy: str, data: bytes) -> int:
    """Cumulative CPU time in ns from the content of a group's CPU file. ValueError when it holds none."""
    if hierarchy == CPUACCT:
        return int(data)
    if not data.startswith(_USAGE_USEC):
        raise ValueError(f"no usage_usec at the beginning of a cpu.stat: {data[:80]!r}")
    return int(data[len(_USAGE_USEC) : data.find(b"\n")]) * 1000


class _Followed:
    __slots__ = ("consumer", "cpu_ns", "cpu_path", "memory_bytes", "memory_path")

    def __init__(self, consumer: int, cpu_ns: int, cpu_path: bytes, memory_path: bytes | None) -> None:
        self.consumer = consumer
        self.cpu_ns = cpu_ns
        self.cpu_path = cpu_path
        self.memory_path = memory_path  # None: no memory controller there
        self.memory_bytes = 0


class GroupScan:
    """All control groups that hold or held processes."""

    def __init__(self, mounts: dict[str, Mount], files: CounterFiles, sink: Sink) -> None:
        self._mounts = mounts
        self._files = files
        self._sink = sink
        self._followed: dict[tuple[str, bytes], _Followed] = {}
        self._unreadable: set[tuple[str, bytes]] = set()
        self.read_errors = 0

    def __len__(self) -> int:
        return len(self._followed)

    def followed(self) -> Iterable[tuple[str, bytes]]:
        """(hierarchy, path) of each."""
        return self._followed.keys()

    def scan(self, holding: Iterable[tuple[str, bytes]], keyframe: bool, memory: bool) -> list[Sample]:
        """What moved; all with `keyframe`. `holding` are the groups that hold processes now; `memory` asks to read it too."""
        samples: list[Sample] = []
        for group, followed in list(self._followed.items()):
            cpu_ns = self._read_cpu(group, followed.cpu_path)
            if cpu_ns is None or cpu_ns < followed.cpu_ns:
                samples.append(self._sample(followed, GONE))
                self._forget(group)
                continue
            moved = cpu_ns != followed.cpu_ns
            followed.cpu_ns = cpu_ns
            if memory:
                moved |= self._read_memory(group, followed)
            if moved or keyframe:
                samples.append(self._sample(followed))
        if keyframe:
            self._unreadable.clear()
        for group in holding:
            if group not in self._followed and group not in self._unreadable:
                samples += self._follow(group)
        return samples

    def relabel(self) -> None:
        """Describe all groups once more, because the labels given out mean nothing any more."""
        for group, followed in self._followed.items():
            followed.consumer = self._label(group)

    def _follow(self, group: tuple[str, bytes]) -> list[Sample]:
        hierarchy, path = group
        directory = self._mounts[hierarchy].directory(path)
        cpu_ns = None if directory is None else self._read_cpu(group, directory + _CPU_FILE[hierarchy])
        if directory is None or cpu_ns is None:
            self._unreadable.add(group)
            return []
        memory_mount = self._mounts.get("memory") if hierarchy == CPUACCT else self._mounts[V2]
        memory_directory = memory_mount.directory(path) if memory_mount else None
        memory_path = memory_directory + _MEMORY_FILE[hierarchy] if memory_directory is not None else None
        followed = _Followed(self._label(group), cpu_ns, directory + _CPU_FILE[hierarchy], memory_path)
        self._read_memory(group, followed)
        self._followed[group] = followed
        return [self._sample(followed)]

    def _label(self, group: tuple[str, bytes]) -> int:
        hierarchy, path = group
        return self._sink.label({"kind": "cgroup", "path": text(path), "controller": hierarchy})

    def _sample(self, followed: _Followed, status: int = 0) -> Sample:
        return (CGROUP, self._sink.mono_ns(), (followed.consumer, 0, 0, followed.cpu_ns, followed.memory_bytes), status)

    def _forget(self, group: tuple[str, bytes]) -> None:
        followed = self._followed.pop(group)
        self._files.forget(followed.cpu_path)
        if followed.memory_path is not None:
            self._files.forget(followed.memory_path)

    def _read_cpu(self, group: tuple[str, bytes], path: bytes) -> int | None:
        try:
            return parse_usage_ns(group[0], self._files.read(path))
        except (OSError, ValueError) as error:
            self._fault(group, error)
            return None

    def _read_memory(self, group: tuple[str, bytes], followed: _Followed) -> bool:
        """Whether memory moved. Where it cannot be read (no memory controller there), it is not asked for again."""
        if followed.memory_path is None:
            return False
        try:
            before, followed.memory_bytes = followed.memory_bytes, int(self._files.read(followed.memory_path))
        except (OSError, ValueError) as error:
            self._fault(group, error)
            self._files.forget(followed.memory_path)
            followed.memory_path = None
            return False
        return followed.memory_bytes != before

    def _fault(self, group: tuple[str, bytes], error: OSError | ValueError) -> None:
        if isinstance(error, OSError) and error.errno in _REMOVED:
            return
        self.read_errors += 1
        kind = error.strerror if isinstance(error, OSError) else "malformed"
        self._sink.fault(f"cgroup {kind}", f"control group {text(group[1])}: {error}; it is left out for now")
