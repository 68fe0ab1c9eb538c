"""Real sources of bytes: pseudo terminals, sockets, ser2net, files. What comes in must come out, all 256 values of it."""

import os
import select
import shutil
import socket
import subprocess
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from energyd.tic import port
from energyd.tic.port import GONE, FilePort, Port, SocketPort, TtyPort, open_port

ALL_BYTES = bytes(range(256))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port, "WAIT_S", 0.05)


@pytest.fixture
def master_and_device() -> Iterator[tuple[int, str]]:
    """A pseudo terminal: the meter's end, and the path of ours, in the cooked state in which the kernel makes it."""
    master, slave = os.openpty()
    device = os.ttyname(slave)
    os.close(slave)
    yield master, device
    try:
        os.close(master)
    except OSError:
        pass


def read_all(source: Port, size: int, tries: int = 60) -> bytes:
    data = b""
    for _ in range(tries):
        if len(data) >= size:
            break
        data += source.read()
    return data


def test_a_tty_passes_every_byte(master_and_device: tuple[int, str]) -> None:
    master, device = master_and_device
    source = TtyPort(device)
    try:
        os.write(master, ALL_BYTES)

        assert read_all(source, 256) == ALL_BYTES
        assert source.read() == b""
    finally:
        source.close()


def test_a_new_speed_forgets_what_was_heard_at_the_old_one(master_and_device: tuple[int, str]) -> None:
    master, device = master_and_device
    source = TtyPort(device)
    try:
        os.write(master, b"old")
        select.select([source._descriptor], [], [], 1)  # a pty hands over in the background
        for baud in port.SPEEDS:
            source.set_speed(baud)
        assert source.speeds == (), "a pty is asked for no speed by the line"
        os.write(master, b"new")

        assert read_all(source, 3) == b"new"
    finally:
        source.close()


def test_a_tty_is_ours_alone(master_and_device: tuple[int, str]) -> None:
    _, device = master_and_device
    first = TtyPort(device)
    try:
        with pytest.raises(OSError, match="lock"):
            TtyPort(device)
    finally:
        first.close()


def test_an_unplugged_tty_raises_what_the_line_expects(master_and_device: tuple[int, str]) -> None:
    master, device = master_and_device
    source = TtyPort(device)
    os.close(master)

    with pytest.raises(GONE):
        source.read()
    source.close()


def test_a_device_that_does_not_exist_raises_its_errno() -> None:
    with pytest.raises(OSError, match="no-such-adapter") as caught:
        open_port("/dev/serial/by-id/no-such-adapter")

    assert caught.value.errno == 2


def test_a_socket_passes_every_byte_and_tells_its_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        source = open_port(f"socket://127.0.0.1:{server.getsockname()[1]}")
        assert isinstance(source, SocketPort)
        peer, _ = server.accept()
        with peer:
            peer.sendall(ALL_BYTES)
            assert read_all(source, 256) == ALL_BYTES
            assert source.read() == b""
        with pytest.raises(GONE):
            source.read()
        source.close()


@pytest.mark.parametrize("url", ["socket://127.0.0.1", "socket://127.0.0.1:99999", "rfc2217://127.0.0.1", "telnet://127.0.0.1:1"])
def test_a_bad_address_is_a_fault_of_the_device(url: str) -> None:
    with pytest.raises(GONE):
        open_port(url)


def test_a_file_is_read_and_then_watched_for_more(tmp_path: Path) -> None:
    capture = tmp_path / "capture"
    capture.write_bytes(ALL_BYTES)
    source = open_port(f"file:{capture}")
    assert isinstance(source, FilePort)

    assert read_all(source, 256) == ALL_BYTES
    assert source.read() == b""
    with capture.open("ab") as more:
        more.write(b"more")
    assert source.read() == b"more"
    source.close()


@pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial's own
@pytest.mark.skipif(shutil.which("ser2net") is None, reason="ser2net is not installed")
def test_an_rfc2217_server_passes_every_byte(master_and_device: tuple[int, str], tmp_path: Path) -> None:
    master, device = master_and_device
    tty.setraw(master)
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    settings = tmp_path / "ser2net.yaml"
    settings.write_text(
        f"connection: &meter\n  accepter: telnet(rfc2217),tcp,127.0.0.1,{number}\n  connector: serialdev,{device},9600n81,local\n"
    )
    server = subprocess.Popen(["ser2net", "-n", "-c", str(settings)], stderr=subprocess.DEVNULL)
    try:
        source = _opened(f"rfc2217://127.0.0.1:{number}")
        source.set_speed(9600)
        os.write(master, ALL_BYTES)

        assert read_all(source, 256) == ALL_BYTES
        source.close()
    finally:
        server.terminate()
        server.wait(5)


def _opened(url: str) -> Port:
    """A server needs a moment to listen."""
    until = time.monotonic() + 5
    while True:
        try:
            return open_port(url)
        except GONE:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
