"""Who used an NVIDIA GPU, by NVML: the driver's own samples of each process' time on the multiprocessors.

nvmlDeviceGetProcessUtilization gives, for the time since a stamp, one entry a process with the percentage of the time that its
kernels ran (smUtil), or of what encodes and decodes for it. Where it is not supported (MIG, some virtual GPUs),
nvmlDeviceGetComputeRunningProcesses_v3 tells who has a context, and each weighs the same. Structures as in nvml.h; nothing was
tried on a GPU yet.
"""

import errno
import struct
from collections.abc import Callable
from typing import Any, Final

_UTILIZATION: Final = struct.Struct("=I4xQIIII")  # pid, timeStamp in us, smUtil, memUtil, encUtil, decUtil
_PROCESS: Final = struct.Struct("=I4xQII")  # pid, usedGpuMemory, gpuInstanceId, computeInstanceId
_MOST: Final = 256  # processes told in one report
_EQUAL: Final = 1


class Users:
    """Of one GPU. `call` raises OSError with the errno of what the library answers."""

    def __init__(self, call: Callable[..., None], handle: Any) -> None:
        self._call = call
        self._handle = handle
        self._seen_us = 0  # stamp of the newest sample that was told
        self._sampled = True  # the driver samples processes

    def told(self) -> list[tuple[int, int]]:
        """(pid, weight) of who has used it since the last call; OSError when nothing is told of users."""
        if self._sampled:
            try:
                return self._utilization()
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
                self._sampled = False
        return self._present()

    def _utilization(self) -> list[tuple[int, int]]:
        import ctypes

        data = ctypes.create_string_buffer(_MOST * _UTILIZATION.size)
        count = ctypes.c_uint(_MOST)
        try:
            self._call(
                "nvmlDeviceGetProcessUtilization", self._handle, data, ctypes.byref(count), ctypes.c_ulonglong(self._seen_us)
            )
        except OSError as error:
            if error.errno == errno.ENOENT:  # no sample since then: nobody
                return []
            raise
        weights: dict[int, int] = {}
        seen_us = self._seen_us
        for pid, stamp_us, *percentages in _UTILIZATION.iter_unpack(data.raw[: min(count.value, _MOST) * _UTILIZATION.size]):
            if pid and stamp_us > self._seen_us:
                sm, _memory, encoder, decoder = percentages
                weights[pid] = weights.get(pid, 0) + (sm or encoder + decoder)
                seen_us = max(seen_us, stamp_us)
        self._seen_us = seen_us
        return [(pid, weight) for pid, weight in weights.items() if weight]

    def _present(self) -> list[tuple[int, int]]:
        import ctypes

        data = ctypes.create_string_buffer(_MOST * _PROCESS.size)
        count = ctypes.c_uint(_MOST)
        self._call("nvmlDeviceGetComputeRunningProcesses_v3", self._handle, ctypes.byref(count), data)
        entries = _PROCESS.iter_unpack(data.raw[: min(count.value, _MOST) * _PROCESS.size])
        return [(pid, _EQUAL) for pid in dict.fromkeys(pid for pid, *_ in entries) if pid]
