"""Where the meter's bytes come from: a tty, a TCP socket, an RFC 2217 server, or a file.

A tty is opened raw with 8 bits and no parity, whatever the meter sends: pyserial clears INPCK, so a port opened 7E1 would
deliver a character with wrong parity as a good one, and with 8 bits the decoder sees the parity bit itself. Law: `read` waits
at most WAIT_S, gives all that is there, b"" if nothing is, and raises one of GONE once the source has ended.
"""

import errno
import os
import select
import termios
import time
from typing import Final, Protocol

import serial

WAIT_S: Final = 0.5
CONNECT_S: Final = 2.0
GONE: Final = (OSError, termios.error)
"""What an adapter raises when it is unplugged; pyserial's own exception is an OSError, and lets termios.error through."""
SPEEDS: Final = (1200, 9600, 2400, 4800, 19200)
"""Historique, standard, then what a PME-PMI can be set to (Enedis-NOI-CPT_02E 1.4)."""

_CHUNK: Final = 65536
_PTY_MAJORS: Final = range(136, 144)  # Documentation/admin-guide/devices.txt: UNIX98 pseudo terminals


class Port(Protocol):
    """An open source of bytes. `speeds` is empty where there is none to choose, `remote` sources can die without a sign, and
    `if_silent` is what to do about one that says nothing."""

    speeds: tuple[int, ...]
    remote: bool
    if_silent: str

    def read(self) -> bytes: ...

    def set_speed(self, baud: int) -> None:
        """Listen at `baud` from now on; what was heard before is forgotten."""

    def close(self) -> None: ...


def open_port(device: str) -> Port:
    """A port for /dev/..., socket://host:port, rfc2217://host:port or file:PATH; raises one of GONE."""
    if device.startswith("file:"):
        return FilePort(device.removeprefix("file:"))
    if device.startswith("socket://"):
        return SocketPort(device)
    return Rfc2217Port(device) if "://" in device else TtyPort(device)


def _read_descriptor(descriptor: int) -> bytes:
    """What a descriptor that does not block has, waiting for it if need be. Only one that is ready and has nothing has ended."""
    data = _read_now(descriptor)
    if not data and select.select([descriptor], [], [], WAIT_S)[0]:
        data = _read_now(descriptor)
        if not data:
            raise OSError(errno.EIO, "disconnected")
    return data


def _read_now(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return b""


class TtyPort:
    """A serial adapter, or a pseudo terminal, which has no speed; for us alone."""

    remote = False
    if_silent = "check the wires between the adapter and the meter's terminals I1 and I2"

    def __init__(self, device: str) -> None:
        self._serial = serial.Serial(device, SPEEDS[0], timeout=0, exclusive=True)
        self._descriptor = self._serial.fileno()
        self.speeds: tuple[int, ...] = () if os.major(os.fstat(self._descriptor).st_rdev) in _PTY_MAJORS else SPEEDS

    def read(self) -> bytes:
        return _read_descriptor(self._descriptor)

    def set_speed(self, baud: int) -> None:
        self._serial.baudrate = baud
        self._serial.reset_input_buffer()

    def close(self) -> None:
        self._serial.close()


class SocketPort:
    """A serial server that forwards raw bytes, as `socat` and ser2net do."""

    speeds: tuple[int, ...] = ()
    remote = True
    if_silent = "check the wires of its adapter, or whether the server still runs"

    def __init__(self, url: str) -> None:
        import socket  # with this and the next, 0.8 MB that a serial line does not need
        from urllib.parse import urlsplit

        try:
            address = urlsplit(url)
            host, port = address.hostname or "", address.port or 0
        except ValueError as error:
            raise OSError(errno.EINVAL, f"{error}; write socket://HOST:PORT") from None
        self._socket = socket.create_connection((host, port), CONNECT_S)

    def read(self) -> bytes:
        return _read_descriptor(self._socket.fileno())

    def set_speed(self, baud: int) -> None:
        raise AssertionError(f"BUG: {baud} baud asked of a socket")

    def close(self) -> None:
        self._socket.close()


class Rfc2217Port:
    """A serial server whose speed can be set over the network (RFC 2217), through pyserial."""

    speeds: tuple[int, ...] = SPEEDS
    remote = True
    if_silent = "check the wires of its adapter, or whether the server still runs"

    def __init__(self, url: str) -> None:
        # servers of ports without modem lines never acknowledge DTR and RTS, which a meter does not need
        url += "&ign_set_control" if "?" in url else "?ign_set_control"
        try:
            self._serial = serial.serial_for_url(url, SPEEDS[0], timeout=WAIT_S)
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error)) from None

    def read(self) -> bytes:
        first: bytes = self._serial.read(1)
        return first + self._serial.read(self._serial.in_waiting) if first else b""

    def set_speed(self, baud: int) -> None:
        self._serial.baudrate = baud
        self._serial.reset_input_buffer()

    def close(self) -> None:
        self._serial.close()


class FilePort:
    """A capture, read as fast as it can be; at its end we wait for more, as for a meter that pauses."""

    speeds: tuple[int, ...] = ()
    remote = False
    if_silent = "waiting for the file to grow"

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self) -> bytes:
        data = os.read(self._descriptor, _CHUNK)
        if not data:
            time.sleep(WAIT_S)
        return data

    def set_speed(self, baud: int) -> None:
        raise AssertionError(f"BUG: {baud} baud asked of a file")

    def close(self) -> None:
        os.close(self._descriptor)
