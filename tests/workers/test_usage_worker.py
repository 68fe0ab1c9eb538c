"""The usage reader as a real process: what it puts into its ring is what processes really used."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from energyd.config import Config, Usage
from energyd.errors import ConfigError
from energyd.procfs.clocks import clocks_reach
from energyd.ring.dtypes import SERVICE
from energyd.ring.reader import RingReader
from energyd.samples import CONTROL, COUNTER, COUNTERS, CPU_MODES, END, ERROR, GONE, HOST_CPU, HOST_MEMORY, KEYFRAME, PROCESS, USAGE
from energyd.workers import usage
from energyd.workers.usage import UsageReader

pytestmark = pytest.mark.skipif(not clocks_reach("/proc"), reason="this /proc is of another PID namespace")

BURN = """
import sys, time
sys.stdin.readline()
begin = time.process_time_ns()
until = time.monotonic() + 1.2
while time.monotonic() < until:
    pass
print(time.process_time_ns() - begin, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def run_dir() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="energyd-test-", dir="/dev/shm"))
    yield directory
    shutil.rmtree(directory)


def start(run_dir: Path) -> subprocess.Popen[bytes]:
    (run_dir / "config.json").write_text(Config(run_dir=str(run_dir), usage=Usage(rate_hz=20.0)).to_json())
    return subprocess.Popen([sys.executable, "-m", "energyd.workers.usage", str(run_dir / "config.json")], stderr=subprocess.PIPE)


def wait_for(reader: RingReader, worker: subprocess.Popen[bytes]) -> np.ndarray:
    """The first closed batches."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        drained = reader.poll()
        if len(drained.records):
            return drained.records
        assert worker.poll() is None, worker.communicate()[1].decode()
        time.sleep(0.02)
    raise AssertionError("nothing came into the ring")


@pytest.mark.e2e
def test_what_a_child_burns_is_in_the_ring_within_5_percent(run_dir: Path) -> None:
    burner = subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    worker = start(run_dir)
    try:
        assert burner.stdin is not None
        assert burner.stdout is not None
        reader = RingReader(run_dir, "usage", USAGE, None)
        first = wait_for(reader, worker)
        burner.stdin.write(b"go\n")
        burner.stdin.flush()
        burned_ns = int(burner.stdout.readline())
        time.sleep(0.2)
        burner.communicate(b"end\n")
        time.sleep(0.3)
        records = np.concatenate([first, reader.poll().records])

        own = records[(records["kind"] == PROCESS) & (records["pid"] == burner.pid)]
        labels = dict(reader.labels())
        assert {labels[int(consumer)]["pid"] for consumer in own["consumer"]} == {burner.pid}
        assert labels[int(own["consumer"][0])]["argv"][:2] == [sys.executable, "-c"]
        assert int(own["cpu_ns"][-1]) - int(own["cpu_ns"][0]) == pytest.approx(burned_ns, rel=0.05)
        assert (np.diff(own["cpu_ns"].astype(np.int64)) >= 0).all()
        assert [int(status) & GONE for status in own["status"]] == [0] * (len(own) - 1) + [GONE]

        control = records[records["kind"] == CONTROL]["cpu_ns"].astype(np.int64)
        assert control[-1] - control[0] >= 0.95 * burned_ns

        ends = records[records["kind"] == END]
        assert int(ends["status"][0]) & KEYFRAME
        assert not int(ends["status"][1]) & KEYFRAME
        for batch in records["batch"][records["kind"] == END][:3]:
            kinds = records["kind"][records["batch"] == batch]
            assert (kinds == HOST_CPU).sum() == len(CPU_MODES)
            assert (kinds == CONTROL).sum() == 1
        assert (records["kind"] == HOST_MEMORY).any()
        counters = records[records["kind"] == COUNTER].view(SERVICE)[["a", "b"]].tolist()
        last = {COUNTERS[USAGE.name][index]: value for index, value in counters}
        assert last["scans"] >= 10
        assert last["processes_born"] > 0
    finally:
        burner.kill()
        burner.wait()
        worker.send_signal(signal.SIGTERM)
        message = worker.communicate(timeout=5)[1].decode()
    assert worker.returncode == 0, message
    assert message.count("\n") == 1, f"one line says where the figures come from: {message}"
    assert "control total by" in message


@pytest.mark.e2e
def test_a_directory_that_cannot_hold_a_ring_is_named_and_ends_with_111(run_dir: Path) -> None:
    (run_dir / "file").touch()
    (run_dir / "config.json").write_text(Config(run_dir=str(run_dir / "file")).to_json())
    ended = subprocess.run(
        [sys.executable, "-m", "energyd.workers.usage", str(run_dir / "config.json")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 111
    assert ended.stderr.startswith("energyd.usage: ")
    assert str(run_dir / "file") in ended.stderr


@pytest.mark.e2e
def test_without_a_configuration_it_ends_with_100(run_dir: Path) -> None:
    absent = [sys.executable, "-m", "energyd.workers.usage", str(run_dir / "config.json")]
    assert subprocess.run(absent, capture_output=True, check=False).returncode == 100


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_procfs_that_is_not_there_is_a_configuration_error(run_dir: Path) -> None:
    (run_dir / "config.json").write_text(Config(run_dir=str(run_dir), procfs_root=str(run_dir / "absent")).to_json())
    with pytest.raises(ConfigError, match="procfs_root"):
        usage.startup(str(run_dir / "config.json"))


@pytest.fixture
def reader(run_dir: Path) -> Iterator[UsageReader]:
    (run_dir / "config.json").write_text(Config(run_dir=str(run_dir)).to_json())
    reader = usage.startup(str(run_dir / "config.json"))
    yield reader
    usage.shutdown(reader)


def test_when_the_labels_are_full_of_the_dead_the_living_are_named_again_in_a_new_ring(run_dir: Path, reader: UsageReader) -> None:
    ring = RingReader(run_dir, "usage", USAGE, None)
    reader.tick(0)
    ring.poll()
    ring.labels()
    reader.labelled = 10 * len(reader.machine.processes.table)
    full = SimpleNamespace(
        **{name: getattr(reader.writer, name) for name in ("write_batch", "service", "next_batch", "heartbeat", "label")}
    )
    full.rotate, full.close, full.labels_full = reader.writer.rotate, reader.writer.close, True
    reader.writer = full  # type: ignore[assignment]
    reader.tick(0)
    reader.tick(0)
    drained = ring.poll()
    while not drained.rotated:
        drained = ring.poll()
    records = drained.records if len(drained.records) else ring.poll().records
    labels = dict(ring.labels())
    processes = records[records["kind"] == PROCESS]
    assert os.getpid() in {labels[int(consumer)]["pid"] for consumer in processes["consumer"]}
    assert int(records[records["kind"] == END]["status"][0]) & KEYFRAME
    assert reader.labelled < 2 * len(reader.machine.processes.table) + 100, "the second full ring was not rotated at once"


def test_faults_are_in_the_ring_once_with_their_number(run_dir: Path, reader: UsageReader) -> None:
    ring = RingReader(run_dir, "usage", USAGE, None)
    for _ in range(3):
        reader.reporter.fault("process Permission denied", "a process cannot be read")
    reader.tick(0)
    services = ring.poll().services
    [(number, text)] = [(number, entry["error"]) for number, entry in ring.labels() if "error" in entry]
    assert text == "a process cannot be read"
    assert services[services["kind"] == ERROR][["a", "b"]].tolist() == [(number, 3)]
