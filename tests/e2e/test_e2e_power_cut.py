"""The power fails for energyd, VictoriaMetrics, Prometheus and the page cache at once: what had been forced to the disk arrives."""

import os
import shutil
import signal
import time
from collections import deque
from pathlib import Path

import pytest
from daemon import Daemon, wait_for
from proof import Proof, Server, Watcher, prometheus, victoria_metrics

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (shutil.which("victoria-metrics") and shutil.which("prometheus")), reason="needs both servers"),
]

# what the receiver wrote within them is lost; Linux writes back after 30 s at the latest (dirty_expire_centisecs)
PAGE_CACHE_S = 12.0
WATCHER = """\
import os

def watched(really):
    def force(descriptor):
        really(descriptor)
        status = os.fstat(descriptor)
        with open({journal!r}, "a") as file:
            file.write(f"{{status.st_ino}} {{status.st_size}}\\n")
    return force

os.fsync, os.fdatasync = watched(os.fsync), watched(os.fdatasync)
"""


class Sizes(Watcher):
    """How long the files of a directory were of late, to cut off what was written within PAGE_CACHE_S."""

    def __init__(self, directory: Path) -> None:
        super().__init__(0.5)
        self._directory = directory
        self._seen: deque[dict[Path, int]] = deque(maxlen=round(PAGE_CACHE_S / 0.5))

    def look(self) -> None:
        self._seen.append({path: path.stat().st_size for path in self._directory.glob("*") if path.is_file()})

    def lose(self) -> int:
        """Cut the files, which nobody may write to any more; returns how many bytes are gone."""
        self.stop()
        lost = 0
        for path in [path for path in self._directory.glob("*") if path.is_file()]:
            kept = self._seen[0].get(path, 0)
            lost += path.stat().st_size - kept
            os.truncate(path, kept)
        return lost


def cut_power(daemon: Daemon, servers: tuple[Server, ...], journal: Path) -> None:
    """Everything is killed; of the spools what was forced to the disk is left, and nothing of what is in memory."""
    os.killpg(daemon.process.pid, signal.SIGKILL)
    daemon.process.wait()
    for pid in daemon.leftovers():
        os.kill(pid, signal.SIGKILL)
    for server in servers:
        server.process.kill()
        server.process.wait()
    forced = {int(inode): int(size) for inode, size in (line.split() for line in journal.read_text().splitlines())}
    unforced = 0
    for path in daemon.state_dir.rglob("*.spool"):
        size = forced.get(path.stat().st_ino, 0)
        unforced += path.stat().st_size - size
        os.truncate(path, size)
    assert unforced > 0, "otherwise nothing is proved"
    shutil.rmtree(daemon.run_dir)


def test_a_power_cut_of_everything_costs_nothing_that_was_forced_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "journal"
    (tmp_path / "sitecustomize.py").write_text(WATCHER.format(journal=str(journal)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with victoria_metrics() as vm, prometheus() as prom, Daemon(Proof.flag(vm, prom)) as daemon, Proof(daemon, vm, prom) as proof:
        with Sizes(prom.home / "data" / "wal") as wal:
            time.sleep(25)
            at_s = time.time()
            cut_power(daemon, (vm, prom), journal)
            assert wal.lose() > 0
        for server in (vm, prom):
            server.start()
            server.killed.append((at_s - Proof.COMMIT_S - 1, time.time()))
        proof.disk_full.append((at_s - Proof.COMMIT_S - 1, at_s))
        daemon.start()
        daemon.wait_ready()
        for name in ("vm", "prom"):
            wait_for(lambda name=name: proof.told("replayed_samples_total", name) > 0, 60, f"nothing is sent to {name} again")
        time.sleep(5)
        proof.finish()
        proof.check()
        assert proof.compared["vm"] > 2000 * 20
