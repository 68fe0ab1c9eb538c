"""The RAPL reader as a real process on a tree of files: what ends up in its ring, and how it behaves when zones come and go."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from energyd.config import Config, Energy, Log
from energyd.ring.reader import RingReader
from energyd.ring.writer import RingWriter
from energyd.samples import COUNTER, COUNTERS, END, ERROR, FAILED, RAPL, VOID
from energyd.service.clock import SYSTEM_CLOCK
from energyd.units import NS_PER_S

PATIENCE_S = 10.0
RATE_HZ = 100.0


class Machine:
    """A tree of zones, a run directory, and the reader process on them."""

    def __init__(self, root: Path) -> None:
        self.powercap = root / "powercap"
        self.powercap.mkdir()
        self.run_dir = root / "run"
        self.run_dir.mkdir()
        self.errors = root / "errors"
        self.reader = RingReader(self.run_dir, "rapl", RAPL)
        self.labels: dict[int, dict[str, object]] = {}
        self.records: list[np.ndarray] = []
        self.process: subprocess.Popen[bytes] | None = None

    def zone(self, device: str, name: str, energy_uj: object) -> Path:
        directory = self.powercap / device
        directory.mkdir()
        (directory / "max_energy_range_uj").write_text("262143328850\n")
        (directory / "energy_uj").write_text(f"{energy_uj}\n")
        (directory / "name").write_text(f"{name}\n")
        return directory

    def start(
        self, *, rate_hz: float = RATE_HZ, simulated: tuple[str, ...] = (), environment: dict[str, str] | None = None
    ) -> None:
        config = Config(
            run_dir=str(self.run_dir),
            powercap_root=str(self.powercap),
            energy=Energy(rate_hz=rate_hz),
            simulated=simulated,
            log=Log(level="info"),
        )
        path = self.run_dir / "config.json"
        path.write_text(config.to_json())
        with self.errors.open("ab") as errors:
            command = [sys.executable, "-m", "energyd.workers.rapl", str(path)]
            self.process = subprocess.Popen(command, stderr=errors, env=os.environ | (environment or {}))

    def poll(self) -> None:
        drained = self.reader.poll()
        if drained.rotated:
            self.labels.clear()
        self.labels |= dict(self.reader.labels())
        self.records.append(drained.records)

    def all(self) -> np.ndarray:
        return np.concatenate(self.records)

    def samples(self, zone: str) -> np.ndarray:
        numbers = [number for number, entry in self.labels.items() if entry.get("zone") == zone]
        return self.all()[np.isin(self.all()["kind"], numbers)]

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.poll()
            if condition():
                return
            assert self.process is None or self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, f"{condition} did not come true; the reader said: {self.said()}"
            time.sleep(0.02)

    def counters(self) -> dict[str, int]:
        told = self.all()[self.all()["kind"] == COUNTER]
        return {
            COUNTERS[RAPL.name][int(index)]: int(value) for index, value in zip(told["energy_uj"], told["read_ns"], strict=True)
        }

    def said(self) -> str:
        return self.errors.read_text()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=PATIENCE_S)
        self.process = None
        self.poll()
        return code

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.kill()


def test_every_zone_is_in_the_ring_with_raw_values_and_labels(machine):
    machine.zone("intel-rapl:0", "package-0", 262143328000)
    machine.zone("intel-rapl:0:0", "dram", 77)
    machine.zone("intel-rapl:1", "psys", "broken")
    machine.start()
    machine.until(lambda: len(machine.samples("package-0")) > RATE_HZ / 2)
    (machine.powercap / "intel-rapl:0" / "energy_uj").write_text("12\n")
    machine.until(lambda: machine.samples("package-0")["energy_uj"][-1] == 12)

    assert machine.stop() == 0
    entries = {entry["zone"]: entry for entry in machine.labels.values() if "zone" in entry}
    assert entries["package-0/dram"] == {
        "zone": "package-0/dram",
        "domain": "dram",
        "parent": "package-0",
        "package": 0,
        "die": 0,
        "baseline": "intel-rapl",
        "source": "rapl",
        "range_uj": 262143328850,
        "additive": True,
        "max_power_uw": 0,
        "dropped": "",
    }
    package = machine.samples("package-0")
    assert set(package["energy_uj"][package["status"] == 0].tolist()) == {262143328000, 12}
    assert set(machine.samples("package-0/dram")["energy_uj"].tolist()) == {77}
    assert machine.samples("psys")["status"].tolist() == [FAILED], "it could never be opened as a counter, and that is said once"
    assert f"psys: {machine.powercap}/intel-rapl:1/energy_uj cannot be read" in machine.said()
    records = machine.all()
    ends = records[records["kind"] == END]
    assert set((ends["energy_uj"][1:] % 2).tolist()) == {0}, "each batch holds both zones, of one sweep or of two that came close"
    assert len(ends) == len(np.unique(records["batch"][records["kind"] < VOID]))
    assert (np.diff(records[records["kind"] < VOID]["mono_ns"].astype(np.int64)) > 0).all()
    assert (package["read_ns"] < NS_PER_S).all()


def test_ticks_keep_their_absolute_times_and_late_ones_are_counted(machine):
    machine.zone("intel-rapl:0", "package-0", 1)
    machine.start()
    machine.until(lambda: len(machine.samples("package-0")) > 10)
    machine.process.send_signal(signal.SIGSTOP)
    time.sleep(0.3)
    machine.process.send_signal(signal.SIGCONT)
    stopped = machine.counters().get("missed_ticks", 0)
    machine.until(lambda: machine.counters().get("missed_ticks", 0) > stopped + 20)
    machine.stop()

    times_ns = machine.samples("package-0")["mono_ns"].astype(np.int64)
    phases_ns = (times_ns - times_ns[0]) % round(NS_PER_S / RATE_HZ)
    spread_ns = np.minimum(phases_ns, round(NS_PER_S / RATE_HZ) - phases_ns)
    assert np.median(spread_ns) < 3_000_000
    assert machine.counters()["sweeps"] <= len(times_ns)


def test_a_simulated_tree_is_called_simulated(machine):
    machine.zone("intel-rapl:0", "package-0", 1)
    machine.zone("intel-rapl:0:0", "core", 1)
    machine.start(simulated=("rapl",))
    machine.until(lambda: len(machine.samples("package-0/core")) > 0)

    assert {entry["source"] for entry in machine.labels.values() if "zone" in entry} == {"simulated"}


def test_without_any_zone_it_stays_says_why_and_finds_what_comes(machine):
    machine.start(rate_hz=10)
    machine.until(lambda: machine.counters().get("sweeps", 0) > 0)
    assert machine.said().count("no RAPL zone under") == 1
    before = machine.reader.header

    for index in range(16):
        machine.zone(f"intel-rapl:{index:x}", f"package-{index}", index)
    machine.until(lambda: len(machine.samples("package-15")) > 0)

    after = machine.reader.header
    assert after.heartbeat_ns > before.heartbeat_ns
    assert after.capacity >= 60 * 10 * 17 > before.capacity, "60 s of all zones fit into the new ring"
    assert machine.counters().get("read_errors", 0) == 0


def test_zones_that_go_and_come_back_keep_their_name_and_get_a_new_number(machine, tmp_path):
    machine.zone("intel-rapl:0", "package-0", 1)
    gone = machine.zone("intel-rapl:1", "psys", 2)
    machine.start()
    machine.until(lambda: len(machine.samples("psys")) > 0)

    gone.rename(tmp_path / "gone")
    machine.until(lambda: bool(machine.samples("psys")["status"][-1] & FAILED))
    assert machine.samples("psys")["energy_uj"][-1] == errno.ENODEV
    machine.zone("intel-rapl:1", "psys", 3)
    machine.until(lambda: machine.samples("psys")["energy_uj"][-1] == 3)
    machine.until(lambda: machine.counters().get("zones_appeared", 0) == 3)

    assert len(set(machine.samples("psys")["kind"].tolist())) == 2
    assert machine.counters()["zones_vanished"] == 1
    assert "psys has gone" in machine.said()


def test_a_zone_that_fails_is_counted_named_and_leaves_the_others_alone(machine):
    machine.zone("intel-rapl:0", "package-0", 1)
    failing = machine.zone("intel-rapl:1", "psys", 2)
    machine.start()
    machine.until(lambda: len(machine.samples("psys")) > 0)
    (failing / "energy_uj").write_text("")
    machine.until(lambda: machine.counters().get("read_errors", 0) > 10)
    machine.stop()

    failed = machine.samples("psys")[machine.samples("psys")["status"] & FAILED != 0]
    assert set(failed["energy_uj"].tolist()) == {errno.EBADMSG}
    assert not (machine.samples("package-0")["status"] & FAILED).any()
    errors = machine.all()[machine.all()["kind"] == ERROR]
    assert "EBADMSG" in str(machine.labels[int(errors["energy_uj"][-1])]["error"])
    assert machine.said().count("EBADMSG") == 1, "one line, not one a tick"


def test_a_reader_that_was_killed_goes_on_in_the_same_ring(machine):
    machine.zone("intel-rapl:0", "package-0", 1)
    machine.start()
    machine.until(lambda: len(machine.samples("package-0")) > 5)
    machine.kill()
    machine.start()
    before = len(machine.samples("package-0"))
    machine.until(lambda: len(machine.samples("package-0")) > before + 5)

    assert machine.reader.header.writer_pid == machine.process.pid


def test_a_ring_full_of_labels_is_replaced(machine):
    machine.zone("intel-rapl:0", "package-0", 1)
    writer = RingWriter.open(machine.run_dir, "rapl", RAPL, 1 << 15, SYSTEM_CLOCK)
    for _ in range(0x8000):
        writer.label({"error": "x"})
    assert writer.labels_full
    writer.close()

    machine.start(rate_hz=250)
    machine.until(lambda: len(machine.samples("package-0")) > 0)

    assert len(machine.labels) < 10


def test_a_manager_is_told_when_it_is_ready_and_when_it_stops(machine, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_S)
        machine.start(environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})

        assert manager.recv(100) == b"READY=1\nWATCHDOG=1", "with no zone at all, too"
        assert machine.stop() == 0
        assert manager.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize(("run_dir", "code"), [("/dev/null/run", 111), (None, 100)])
def test_what_keeps_it_from_starting_is_one_line_and_an_exit_code(tmp_path, run_dir, code):
    path = tmp_path / "config.json"
    if run_dir is not None:
        path.write_text(Config(run_dir=run_dir, powercap_root=str(tmp_path)).to_json())

    command = [sys.executable, "-m", "energyd.workers.rapl", str(path)]
    answer = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)

    assert answer.returncode == code
    assert answer.stderr.splitlines()[-1].startswith("energyd.rapl: ")
    assert "Traceback" not in answer.stderr


def test_the_process_is_small():
    program = "import sys, json, energyd.workers.rapl; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert {"numpy", "asyncio", "yaml", "dataclasses", "aiohttp"} & set(json.loads(answer.stdout)) == set()
