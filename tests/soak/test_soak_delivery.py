"""The long proof of exact delivery, `make soak`: ten minutes, ten kills each, and a disk that is full for a while.

The state lies on a small file system of its own, which takes the rights of root or user namespaces (unshare(1)).
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from daemon import Daemon
from proof import Proof, prometheus, victoria_metrics

SECONDS = float(os.environ.get("SOAK_SECONDS", "0"))
pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not SECONDS, reason="takes SOAK_SECONDS; `make soak`"),
    pytest.mark.skipif(not (shutil.which("victoria-metrics") and shutil.which("prometheus")), reason="needs both servers"),
]

KILLS = 10
FULL_S = 20.0
STATE_MIB = 256


def fill(place: Path) -> Path:
    """A file that takes all there is."""
    filler = place / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            pass
    return filler


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={STATE_MIB}m", "energyd-soak", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount; run it as root, or with `unshare --user --map-root-user --mount make soak`")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_every_sample_that_was_written_is_there_exactly_once_after_ten_minutes(small_disk):
    with victoria_metrics() as vm, prometheus() as prom:
        daemon = Daemon(Proof.flag(vm, prom))
        daemon.arguments = [part.replace(str(daemon.state_dir), str(small_disk)) for part in daemon.arguments]
        daemon.state_dir = small_disk
        with daemon, Proof(daemon, vm, prom) as proof:
            begin_s = time.time()
            events = [
                event
                for number in range(KILLS)
                for event in (
                    lambda number=number: vm.kill(1 + number % 4),
                    proof.kill_aggregator,
                    lambda number=number: prom.kill(1 + number % 4),
                )
            ]
            events.insert(len(events) // 2, lambda: run_full(small_disk, proof))
            step_s = SECONDS / len(events)
            for number, event in enumerate(events):
                time.sleep(max(0.0, begin_s + number * step_s - time.time()))
                event()
            time.sleep(max(0.0, begin_s + SECONDS - time.time()))
            proof.finish()
            proof.check()
            assert proof.disk_full


def run_full(place: Path, proof: Proof) -> None:
    """No byte more goes to the disk for FULL_S; energyd says so, serves and delivers as before."""
    begin_s = time.time()
    filler = fill(place)
    delivered = proof.told("samples_total", "vm")
    time.sleep(FULL_S)
    assert proof.told("spool_writable", "vm") == 0
    assert proof.told("samples_total", "vm") > delivered
    filler.unlink()
    proof.disk_full.append((begin_s, time.time() + 10))
