"""The machine as a whole: CPU time by mode and memory, from /proc/stat and /proc/meminfo."""

import os

from energyd.procfs.files import CounterFiles
from energyd.procfs.scan import Sample, Sink
from energyd.procfs.stat import parse_host_cpu, parse_memory
from energyd.samples import HOST_CPU, HOST_MEMORY


class Host:
    """Reads through `files`. What cannot be read is counted, told and left out."""

    def __init__(self, procfs_root: str, files: CounterFiles, sink: Sink) -> None:
        self._stat = os.fsencode(f"{procfs_root}/stat")
        self._meminfo = os.fsencode(f"{procfs_root}/meminfo")
        self._files = files
        self._sink = sink
        self.stat = b""  # /proc/stat as it was read last, empty when it could not be read
        self.read_errors = 0

    def cpu_ns(self) -> list[int]:
        """CPU time in ns by CPU_MODES; empty when it cannot be read."""
        self.stat = b""
        try:
            self.stat = self._files.read(self._stat)
            return parse_host_cpu(self.stat)
        except (OSError, ValueError) as error:
            self._fault(error)
            return []

    def cpu(self, cpu_ns: list[int]) -> list[Sample]:
        mono_ns = self._sink.mono_ns()
        return [(HOST_CPU, mono_ns, (mode, 0, 0, value, 0), 0) for mode, value in enumerate(cpu_ns)]

    def memory(self) -> list[Sample]:
        try:
            fields = parse_memory(self._files.read(self._meminfo))
        except (OSError, ValueError) as error:
            self._fault(error)
            return []
        mono_ns = self._sink.mono_ns()
        return [(HOST_MEMORY, mono_ns, (index, 0, 0, 0, value), 0) for index, value in fields.items()]

    def _fault(self, error: OSError | ValueError) -> None:
        self.read_errors += 1
        self._sink.fault("host", f"{error}; the machine's own CPU time and memory are incomplete")
