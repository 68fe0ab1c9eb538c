"""The reader as a process of its own on lines that come, go and change: pseudo terminals, socat, ser2net, several at once."""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from energyd import samples
from energyd.config import Config, Meter
from energyd.ring.reader import RingReader
from energyd.tic.checksum import with_even_parity
from energyd.tic.framing import encode_group
from energyd.ticfields import BY_LABEL, HISTORIQUE, STANDARD

pytestmark = pytest.mark.e2e
PATIENCE_S = 20


def frame(mode: str, energy_wh: int) -> bytes:
    said: tuple[tuple[bytes, ...], ...] = (
        ((b"ADCO", b"021861348497"), (b"BASE", b"%09d" % energy_wh), (b"PAPP", b"00420"))
        if mode == HISTORIQUE
        else ((b"ADSC", b"021976825763"), (b"EAST", b"%09d" % energy_wh), (b"SINSTS", b"00420"))
    )
    return with_even_parity(b"\x02" + b"".join(encode_group(mode, *group) for group in said) + b"\x03")


class Talker:
    """A meter at the master's end of a pseudo terminal: one frame each tenth of a second, garbage at any speed but its own.

    A terminal passes bytes at whatever speed, but the speed that its slave's end is set to can be seen from here.
    """

    def __init__(self, mode: str, energy_wh: int, baud: int | None = None) -> None:
        self.says = (mode, energy_wh)
        self._baud = baud
        self.master, slave = os.openpty()
        self.device = os.ttyname(slave)
        os.close(slave)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()

    def _talk(self) -> None:
        while not self._stop.wait(0.1):
            with suppress(OSError, termios.error):
                right = self._baud in (None, self._speed())
                data = frame(*self.says) if right else bytes(range(0x80, 0xC0)) + b"\r"
                if select.select([], [self.master], [], 0)[1]:
                    os.write(self.master, data)

    def _speed(self) -> int:
        speeds = {getattr(termios, f"B{baud}"): baud for baud in (1200, 2400, 4800, 9600, 19200)}
        return speeds.get(termios.tcgetattr(self.master)[4], 0)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
        os.close(self.master)


class Reader:
    """`energyd.workers.tic` for one meter, and what its ring says."""

    def __init__(self, run_dir: Path, meter: Meter) -> None:
        path = run_dir / "config.json"
        path.write_text(Config(run_dir=str(run_dir), meters=(meter,)).to_json())
        self.process = subprocess.Popen(
            [sys.executable, "-m", "energyd.workers.tic", str(path), meter.name], stderr=subprocess.PIPE
        )
        self._ring = RingReader(run_dir, f"tic-{meter.name}", samples.TIC, None)
        self.values: list[tuple[int, int]] = []
        self.counters: dict[str, int] = {}

    def hears(self, mode: str, energy_wh: int) -> None:
        """Until the register has been heard with this value."""
        kind = BY_LABEL[mode, "BASE" if mode == HISTORIQUE else "EAST"].id
        wait_for(lambda: (kind, energy_wh) in self._poll(), f"{mode} {energy_wh} not heard; heard {self.values[-3:]}")

    def _poll(self) -> list[tuple[int, int]]:
        records = self._ring.poll().records
        groups = records[records["kind"] < samples.VOID]
        self.values += zip(groups["kind"].tolist(), groups["value"].tolist(), strict=True)
        told = records[records["kind"] == samples.COUNTER]  # fields a and b of a service record lie where value and horodate_s do
        names = samples.COUNTERS[samples.TIC.name]
        self.counters |= {names[a]: b for a, b in zip(told["value"].tolist(), told["horodate_s"].tolist(), strict=True)}
        return self.values

    def counter(self, name: str) -> int:
        self._poll()
        return self.counters.get(name, 0)

    def stop(self) -> bytes:
        """Ends it with SIGTERM, which is obeyed at once; what it logged."""
        self.process.terminate()
        try:
            _, log = self.process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert self.process.returncode == 0
        assert b"Traceback" not in log
        return log


def wait_for(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start(stack: ExitStack, tmp_path: Path) -> Callable[..., Reader]:
    def start(device: str, name: str = "home", **settings: Any) -> Reader:
        (tmp_path / name).mkdir()
        reader = Reader(tmp_path / name, Meter(name, device, **settings))
        stack.callback(lambda: reader.process.poll() is None and reader.process.kill())
        return reader

    return start


@pytest.fixture
def talk(stack: ExitStack) -> Callable[..., Talker]:
    def talk(*says: Any, **settings: Any) -> Talker:
        talker = Talker(*says, **settings)
        stack.callback(talker.close)
        return talker

    return talk


def server(stack: ExitStack, command: list[str], port: int) -> "subprocess.Popen[bytes]":
    """Starts `command`, which listens at `port` before long."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    stack.callback(kill, process)

    def listens() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return True
        return False

    wait_for(listens, f"{command[0]} does not listen")
    return process


def kill(server: "subprocess.Popen[bytes]") -> None:
    """The server and those that it has forked for its connections."""
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def test_a_device_that_appears_late_is_used(start: Callable[..., Reader], talk: Callable[..., Talker], tmp_path: Path) -> None:
    """Under the name that /dev/serial/by-id gives it."""
    device = tmp_path / "usb-FTDI_TIC-if00-port0"
    reader = start(str(device))
    time.sleep(2)
    assert reader.process.poll() is None

    device.symlink_to(talk(HISTORIQUE, 100).device)

    reader.hears(HISTORIQUE, 100)
    assert b"does not exist" in reader.stop()


def test_an_adapter_may_be_pulled_and_another_one_put_in(
    start: Callable[..., Reader], talk: Callable[..., Talker], stack: ExitStack, tmp_path: Path
) -> None:
    device = tmp_path / "adapter"
    first = Talker(HISTORIQUE, 100)
    device.symlink_to(first.device)
    reader = start(str(device))
    reader.hears(HISTORIQUE, 100)

    first.close()
    device.unlink()
    time.sleep(1)
    device.symlink_to(talk(STANDARD, 200).device)

    reader.hears(STANDARD, 200)
    wait_for(lambda: reader.counter("reopenings") >= 1, "no reopening counted")
    reader.stop()


def test_several_meters_are_heard_at_once_each_by_its_own_reader(start: Callable[..., Reader], talk: Callable[..., Talker]) -> None:
    """One of them dies, and the others do not notice."""
    talkers = {"house": talk(HISTORIQUE, 1), "shed": talk(STANDARD, 2), "roof": talk(STANDARD, 3)}
    readers = {name: start(talker.device, name) for name, talker in talkers.items()}
    for name, talker in talkers.items():
        readers[name].hears(*talker.says)

    readers["shed"].process.kill()
    readers["shed"].process.communicate()
    for name in ("house", "roof"):
        talkers[name].says = (talkers[name].says[0], 77)
        readers[name].hears(*talkers[name].says)
        readers[name].stop()


def test_a_meter_that_changes_its_mode_is_understood_again(start: Callable[..., Reader], talk: Callable[..., Talker]) -> None:
    """The distributor switches a Linky to standard mode while we listen; after link_timeout without a good frame we look again."""
    talker = talk(HISTORIQUE, 100)
    reader = start(talker.device, link_timeout_s=2.0)
    reader.hears(HISTORIQUE, 100)

    talker.says = (STANDARD, 200)

    reader.hears(STANDARD, 200)
    assert b"no good frame" in reader.stop()


@pytest.mark.skipif(shutil.which("socat") is None, reason="socat is not installed")
def test_a_line_behind_socat_survives_it(start: Callable[..., Reader], talk: Callable[..., Talker], stack: ExitStack) -> None:
    talker, port = talk(HISTORIQUE, 100), free_port()
    command = ["socat", f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork", f"OPEN:{talker.device},raw,echo=0,nonblock"]
    reader = start(f"socket://127.0.0.1:{port}")
    relay = server(stack, command, port)
    reader.hears(HISTORIQUE, 100)

    kill(relay)
    time.sleep(1)
    assert reader.process.poll() is None
    talker.says = (HISTORIQUE, 200)
    server(stack, command, port)

    reader.hears(HISTORIQUE, 200)
    wait_for(lambda: reader.counter("reopenings") >= 1, "no reopening counted")
    reader.stop()


@pytest.mark.skipif(shutil.which("ser2net") is None, reason="ser2net is not installed")
def test_a_line_behind_ser2net_is_set_to_its_speed_and_found_again_at_another(
    start: Callable[..., Reader], talk: Callable[..., Talker], stack: ExitStack, tmp_path: Path
) -> None:
    """RFC 2217 carries the speed to the terminal, where the meter's end sees it; the server dies and comes back meanwhile."""
    talker, port = talk(STANDARD, 100, baud=9600), free_port()
    settings = tmp_path / "ser2net.yaml"
    settings.write_text(
        f"connection: &meter\n  accepter: telnet(rfc2217),tcp,127.0.0.1,{port}\n"
        f"  connector: serialdev,{talker.device},1200n81,local\n  options: {{kickolduser: true}}\n"
    )
    command = ["ser2net", "-n", "-c", str(settings)]
    relay = server(stack, command, port)
    reader = start(f"rfc2217://127.0.0.1:{port}", link_timeout_s=3.0)
    reader.hears(STANDARD, 100)

    talker._baud, talker.says = 1200, (HISTORIQUE, 200)
    reader.hears(HISTORIQUE, 200)

    kill(relay)
    time.sleep(1)
    talker.says = (HISTORIQUE, 300)
    server(stack, command, port)
    reader.hears(HISTORIQUE, 300)
    wait_for(lambda: reader.counter("reopenings") >= 1, "no reopening counted")
    reader.stop()
