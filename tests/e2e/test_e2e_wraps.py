"""A host whose true power is known and whose counters wrap as often in a minute as real ones in three hours at 220 W.

energyd takes the simulated tree for hardware: two sockets, with memory and psys. SOAK_SECONDS makes the run longer (`make soak`);
the range of the counters grows with it, so the number of wraps stays.
"""

import itertools
import os
import shutil
import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon, Prometheus, wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's prometheus package"),
]

SECONDS = int(os.environ.get("SOAK_SECONDS", "60"))
PACKAGE_W, DRAM_W = 100, 10
HOST_W = 2 * (PACKAGE_W + DRAM_W)
WRAPS = 12  # of a package; 262 kJ at 220 W wrap 9 times in three hours
RANGE_UJ = PACKAGE_W * SECONDS * 1_000_000 // WRAPS
TOLERANCE = 0.001


class TwoSockets(Daemon):
    """energyd on a tree that a simulator keeps counting; what it counts is in the truth file."""

    def __init__(self) -> None:
        super().__init__("energy.rate_hz=100", simulate="none")
        self.sysfs = self.home / "sys"
        self.arguments += ["--set", f"sysfs_root={self.sysfs}"]

    def start(self) -> None:
        power = f"constant:{PACKAGE_W},dram={DRAM_W}"
        options = ["--sockets", "2", "--power", power, "--range-uj", str(RANGE_UJ), "--rate-hz", "1000"]
        truth = ["--truth", str(self.truth / "sim-rapl.truth.jsonl")]
        command = [sys.executable, "-m", "energyd.simulate", "powercap", "--root", str(self.sysfs), *options, *truth]
        self.simulator = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        wait_for((self.sysfs / "class/powercap/intel-rapl:1/energy_uj").exists, 10, "no tree")
        super().start()

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self.simulator.wait()

    def true_joules(self, zones: tuple[str, ...]) -> "Line":
        """What the zones have truly used together, by Unix time."""
        now_ns = time.time_ns()
        wait_for(lambda: self.truths("sim-rapl*")[-1]["host_real_ns"] > now_ns, 5, "the simulator has stopped")
        lines = [line for line in self.truths("sim-rapl*") if "energy_uj" in line]
        return Line([(line["host_real_ns"] / 1e9, sum(line["energy_uj"][zone] for zone in zones) / 1e6) for line in lines])


class Line:
    """A known quantity at any time between its points."""

    def __init__(self, points: list[tuple[float, float]]) -> None:
        self.points = points

    def at(self, time_s: float) -> float:
        after = bisect_left(self.points, (time_s,))
        (t0, v0), (t1, v1) = self.points[after - 1], self.points[after]
        return v0 + (v1 - v0) * (time_s - t0) / (t1 - t0)


@pytest.fixture(scope="module")
def scraped() -> Iterator[tuple[TwoSockets, dict[str, Prometheus]]]:
    with TwoSockets() as daemon:
        wait_for(lambda: daemon.value("energyd_host_power_watts") > HOST_W / 2, 20, "no host power")
        with Prometheus(daemon.port, "1s") as often, Prometheus(daemon.port, "5s") as seldom:
            time.sleep(SECONDS + 6)
            yield daemon, {"1s": often, "5s": seldom}


ZONES = {
    'energyd_zone_energy_joules_total{zone="package-0"}': ("package-0",),
    'energyd_zone_energy_joules_total{zone="package-1/dram"}': ("package-1/dram",),
    "energyd_host_energy_joules_total": ("package-0", "package-0/dram", "package-1", "package-1/dram"),
}


@pytest.mark.parametrize("interval", ["1s", "5s"])
@pytest.mark.parametrize("series", ZONES)
def test_what_prometheus_saw_grow_is_what_was_used(scraped, interval, series):
    """From the first scrape to the last, each value against the truth of the instant that it says it belongs to."""
    daemon, servers = scraped
    prometheus = servers[interval]
    values = prometheus.samples(series, f"{SECONDS + 60}s")
    instants = dict(prometheus.samples("energyd_snapshot_timestamp_seconds", f"{SECONDS + 60}s"))
    samples = [(instants[at_s], value) for at_s, value in values]
    (first_s, first_j), (last_s, last_j) = samples[0], samples[-1]
    truth = daemon.true_joules(ZONES[series])  # asked for last: it must reach beyond the last scrape

    assert last_s - first_s >= SECONDS - 10
    assert last_j - first_j == pytest.approx(truth.at(last_s) - truth.at(first_s), rel=TOLERANCE)
    assert all(after >= before for (_, before), (_, after) in itertools.pairwise(samples))


@pytest.mark.parametrize("interval", ["1s", "5s"])
def test_increase_is_the_power_times_the_window(scraped, interval):
    """What a dashboard asks for: Prometheus extrapolates from the scrapes within the window to its ends."""
    _, servers = scraped
    window_s = SECONDS - 10
    [answer] = servers[interval].query(f"increase(energyd_host_energy_joules_total[{window_s}s])")

    assert float(answer["value"][1]) == pytest.approx(HOST_W * window_s, rel=3 * TOLERANCE)


def test_the_counters_did_wrap_and_no_wrap_was_taken_for_a_reset(scraped):
    daemon, _ = scraped
    raw = [line["raw_uj"]["package-0"] for line in daemon.truths("sim-rapl*") if "raw_uj" in line]

    assert sum(after < before for before, after in itertools.pairwise(raw)) >= WRAPS
    assert daemon.value("energyd_zone_resets_total") == 0
    assert daemon.value("energyd_host_power_watts") == pytest.approx(HOST_W, rel=0.02)


def test_psys_is_beside_the_host_and_not_in_it(scraped):
    daemon, _ = scraped

    assert daemon.value("energyd_subzone_power_watts", zone="psys") > HOST_W
    with pytest.raises(KeyError):
        daemon.value("energyd_zone_power_watts", zone="psys")


def test_it_is_taken_for_hardware(scraped):
    daemon, _ = scraped

    assert daemon.value("energyd_host_energy_joules_total", source="rapl") > 0
    assert not Path(daemon.run_dir / "sim").exists()
