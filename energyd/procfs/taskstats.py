"""What the kernel tells of every task that ends: its name, its parent and the CPU time that it used.

Outside truth: Documentation/accounting/taskstats.rst and taskstats-struct.rst, include/uapi/linux/taskstats.h, genetlink.h; a
listener needs CAP_NET_ADMIN in the first user namespace, the first PID namespace and the network namespace of the machine.
Structures from version 12 on tell the process of a thread; version 15 had new fields among the old ones, 16 took them back.

Measured with tasks of 1 to 5 ms: `ac_utime + ac_stime` are ticks, 91 to 100 % in sum; `cpu_run_virtual_total` is in ns, but
without the time since the scheduler last looked at the task, its end, at most a tick: 36 to 43 %.

Law: bytes in, values out; the socket is in `ExitListener` alone and is never waited for.
"""

import errno
import os
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

NETLINK_GENERIC: Final = 16
SO_RCVBUFFORCE: Final = 33
BUFFER_BYTES: Final = 32 << 20
"""Room for some 10 000 ends between two scans; the kernel takes memory for those that wait, not for the room."""
_DATAGRAM: Final = 1 << 14

_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr
_GENERIC: Final = struct.Struct("=BBH")  # genlmsghdr
_ATTRIBUTE: Final = struct.Struct("=HH")  # nlattr
_FLAGS: Final = struct.Struct("=HxxxxxxB")  # version, ac_flag
_NLMSG_ERROR: Final = 2
_REQUEST, _ACK = 1, 4
_CTRL_ID, _CTRL_GETFAMILY, _CTRL_NAME, _CTRL_FAMILY_ID = 16, 3, 2, 1
_CMD_GET, _REGISTER_CPUMASK = 1, 3
_TYPE_STATS, _TYPE_AGGR_PID, _TYPE_AGGR_TGID = 3, 4, 5
_TASK: Final = struct.Struct("=72xQ32s8xI4xII16xQQ")  # cpu_run_virtual, comm, uid, pid, ppid, utime, stime
_TGID: Final = struct.Struct("=368xI")
_GROUP_DEAD: Final = 0x20  # AGROUP of ac_flag: the last thread of its process
FIRST_VERSION: Final = 12
ODD_VERSION: Final = 15


class Exit(NamedTuple):
    """The end of a thread. `last`: its process ended with it. Times are in ns."""

    pid: int
    tgid: int
    ppid: int
    uid: int
    comm: bytes
    last: bool
    ticks_ns: int
    counted_ns: int
    process_ns: int | None  # what all threads of the process had counted, where the kernel tells it (at the last of several)


class Listener(Protocol):
    """Gives out what has ended since the last call; `lost` counts the times that the kernel had no room."""

    lost: int

    def drain(self) -> list[Exit]: ...

    def close(self) -> None: ...


def parse_exit(data: bytes) -> Exit | None:
    """One message of the taskstats family; None when it is none about an end, or of a version that we do not know."""
    task = process_ns = None
    for kind, start, end in _attributes(data, _HEADER.size + _GENERIC.size, len(data)):
        if kind not in (_TYPE_AGGR_PID, _TYPE_AGGR_TGID):
            continue
        for inner, begin, stop in _attributes(data, start, end):
            if inner != _TYPE_STATS or stop - begin < _TGID.size:
                continue
            if kind == _TYPE_AGGR_PID:
                task = begin
            else:
                process_ns = int(_TASK.unpack_from(data, begin)[0])
    if task is None:
        return None
    version, flags = _FLAGS.unpack_from(data, task)
    if version < FIRST_VERSION or version == ODD_VERSION:
        return None
    counted_ns, comm, uid, pid, ppid, utime_us, stime_us = _TASK.unpack_from(data, task)
    [tgid] = _TGID.unpack_from(data, task)
    ticks_ns = (utime_us + stime_us) * 1000
    return Exit(pid, tgid, ppid, uid, comm.partition(b"\0")[0], bool(flags & _GROUP_DEAD), ticks_ns, counted_ns, process_ns)


def _attributes(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(type, begin, end) of each netlink attribute; stops at what is too short to be one."""
    while start + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < _ATTRIBUTE.size or start + length > end:
            return
        yield kind, start + _ATTRIBUTE.size, start + length
        start += (length + 3) & ~3


class ExitListener:
    """Listens to the ends of all tasks of the machine."""

    def __init__(self, cpus: str) -> None:
        """`cpus` as in /sys/devices/system/cpu/possible. Raises OSError when the kernel does not let us listen."""
        import socket  # 0.3 MB that only those need who may listen

        self.lost = 0
        self._socket = socket.socket(16, socket.SOCK_RAW, NETLINK_GENERIC)
        try:
            self._socket.settimeout(2)
            self._socket.bind((0, 0))
            family = self._ask(_CTRL_ID, _CTRL_GETFAMILY, _CTRL_NAME, b"TASKSTATS\0")
            self._family = self._family_id(family)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
            self._ask(self._family, _CMD_GET, _REGISTER_CPUMASK, cpus.encode() + b"\0")
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise

    def _ask(self, family: int, command: int, attribute: int, value: bytes) -> bytes:
        body = (
            _GENERIC.pack(command, 1, 0) + _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), attribute) + value + bytes(-len(value) % 4)
        )
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), family, _REQUEST | _ACK, 1, 0) + body)
        answer = b""
        while True:
            data: bytes = self._socket.recv(_DATAGRAM)
            if _HEADER.unpack_from(data)[1] != _NLMSG_ERROR:
                answer = data
                continue
            [code] = struct.unpack_from("=i", data, _HEADER.size)
            if code:
                raise OSError(-code, os.strerror(-code))
            return answer

    @staticmethod
    def _family_id(answer: bytes) -> int:
        for kind, begin, _ in _attributes(answer, _HEADER.size + _GENERIC.size, len(answer)):
            if kind == _CTRL_FAMILY_ID:
                return int(struct.unpack_from("=H", answer, begin)[0])
        raise OSError(errno.ENOENT, "the kernel does not name its family TASKSTATS")

    def drain(self) -> list[Exit]:
        """Everything that has ended since the last call: 3 to 4 us each, nothing when nothing has ended."""
        exits: list[Exit] = []
        receive = self._socket.recv
        while True:
            try:
                data = receive(_DATAGRAM)
            except BlockingIOError:
                return exits
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.lost += 1
                continue
            if (parsed := parse_exit(data)) is not None:
                exits.append(parsed)

    def close(self) -> None:
        self._socket.close()


class Silence:
    """Where there is nothing to listen to."""

    lost = 0

    def drain(self) -> list[Exit]:
        return []

    def close(self) -> None:
        pass


def listen(sysfs_root: str) -> tuple[Listener, str]:
    """A listener and what it does, in words that fit into a line of the log; without permission one that hears nothing."""
    try:
        with open(f"{sysfs_root}/devices/system/cpu/possible") as file:
            return ExitListener(file.read().strip()), "short-lived processes by taskstats"
    except PermissionError:
        reason = "CAP_NET_ADMIN is missing"
    except OSError as error:
        namespaces = error.errno in (errno.ENOENT, errno.EINVAL)
        reason = "not the machine's own network, PID and user namespaces" if namespaces else str(error.strerror)
    return Silence(), f"short-lived processes without names (taskstats: {reason})"
