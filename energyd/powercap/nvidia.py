"""NVIDIA GPUs by NVML, the driver's own library: millijoules since the driver was loaded, or milliwatts on older chips.

nvmlDeviceGetTotalEnergyConsumption (Volta and newer) is cumulative; nvmlDeviceGetPowerUsage stands in where it is not supported.
libnvidia-ml.so.1 comes with the driver; ctypes is loaded only when it is there, because a reader pays a megabyte for it.
The law: a GPU is shown beside the host and never summed into it: who used it, no CPU clock can tell. Where the driver samples the
processes on it (nvmlDeviceGetProcessUtilization) it does, or else who is there (nvmlDeviceGetComputeRunningProcesses_v3).
"""

import errno
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from energyd.powercap.nvidiausers import Users
from energyd.powercap.zone import Reader, Zone
from energyd.units import NS_PER_S

if TYPE_CHECKING:
    import ctypes

LIBRARY: Final = "libnvidia-ml.so.1"
DIRECTORIES: Final = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/nvidia/lib64",
)
UJ_PER_MJ: Final = 1000
_UUID_SIZE: Final = 96  # NVML_DEVICE_UUID_V2_BUFFER_SIZE
_NOT_SUPPORTED, _NO_PERMISSION, _NOT_FOUND, _INSUFFICIENT_SIZE, _GPU_IS_LOST = 3, 4, 6, 7, 15
_ERRNO: Final = {
    _NOT_SUPPORTED: errno.EOPNOTSUPP,
    _NO_PERMISSION: errno.EACCES,
    _NOT_FOUND: errno.ENOENT,
    _INSUFFICIENT_SIZE: errno.ENOSPC,
    _GPU_IS_LOST: errno.ENODEV,
}


def find_library(directories: Sequence[str] = DIRECTORIES) -> str:
    """The path of NVML, '' where there is none."""
    paths = (f"{directory}/{LIBRARY}" for directory in directories)
    return next((path for path in paths if os.path.exists(path)), "")


class Nvidia:
    """The GPUs that the library at `path` finds ('' = no library, no GPU)."""

    period_ns = NS_PER_S // 10  # the counter moves every 20 to 100 ms

    def __init__(self, path: str) -> None:
        self._path = path
        self._library: ctypes.CDLL | None = None

    def fingerprint(self) -> dict[str, int]:
        return {"nvml": _inode(self._path)} if self._path else {}

    def discover(self) -> list[Zone]:
        """A zone for each GPU; none when the driver is not loaded."""
        if not self._path:
            return []
        try:
            return [self._zone(index) for index in range(self._count())]
        except OSError:
            return []

    def _zone(self, index: int) -> Zone:
        import ctypes

        handle = self._handle(index)
        uuid = ctypes.create_string_buffer(_UUID_SIZE)
        self._call("nvmlDeviceGetUUID", handle, uuid, ctypes.c_uint(_UUID_SIZE))
        name = uuid.value.decode("ascii", "backslashreplace")
        zone = Zone(
            name=f"gpu-{index}", domain="gpu", source="nvidia", counter=f"nvml {name}", device=f"nvml/{index}/{name}", path=""
        )
        try:
            self._energy_uj(handle)
        except OSError:
            try:
                self._power_uw(handle)
            except OSError as error:
                return zone._replace(read_errno=error.errno or errno.EIO)
            return zone._replace(power=True)
        return zone

    def open(self, zone: Zone) -> Reader:
        handle = self._handle(int(zone.device.split("/")[1]))
        read: Callable[[Any], int] = self._power_uw if zone.power else self._energy_uj
        return Reader(partial(read, handle), _nothing, Users(self._call, handle).told)

    def _energy_uj(self, handle: Any) -> int:
        import ctypes

        millijoules = ctypes.c_ulonglong()
        self._call("nvmlDeviceGetTotalEnergyConsumption", handle, ctypes.byref(millijoules))
        return millijoules.value * UJ_PER_MJ

    def _power_uw(self, handle: Any) -> int:
        import ctypes

        milliwatts = ctypes.c_uint()
        self._call("nvmlDeviceGetPowerUsage", handle, ctypes.byref(milliwatts))
        return milliwatts.value * UJ_PER_MJ

    def _handle(self, index: int) -> Any:
        import ctypes

        handle = ctypes.c_void_p()
        self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(handle))
        return handle

    def _count(self) -> int:
        import ctypes

        count = ctypes.c_uint()
        self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        return count.value

    def _call(self, function: str, *arguments: Any) -> None:
        """OSError when the library cannot be loaded, the driver is not there, or the call fails."""
        import ctypes

        if self._library is None:
            library = ctypes.CDLL(self._path)
            _check("nvmlInit_v2", library.nvmlInit_v2())
            self._library = library
        called = getattr(self._library, function, None)
        _check(function, called(*arguments) if called is not None else _NOT_SUPPORTED)  # an older driver lacks the newest


def _check(function: str, result: int) -> None:
    if result:
        raise OSError(_ERRNO.get(result, errno.EIO), f"{function} answered {result}")


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _nothing() -> None:
    pass
