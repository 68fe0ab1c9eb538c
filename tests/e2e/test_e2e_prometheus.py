"""The whole path, as its user has it: real processes, a real pty, real files, and Debian's Prometheus at the end of it."""

import itertools
import os
import shutil
import signal
import time
from bisect import bisect_left

import pytest
from daemon import PROGRAMS, Daemon, Prometheus, wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's prometheus package"),
]


MOMENT_S = 0.3  # that the last sample, the counter and the line of truth may be apart on a machine that is busy with others


def interpolated(points, at_s):
    """The true value at a Unix time, between the simulator's own lines."""
    times = [point[0] for point in points]
    after = bisect_left(times, at_s)
    if after == 0 or after == len(points):
        raise AssertionError(f"no truth at {at_s}: it spans {times[0]} to {times[-1]}")
    (t0, v0), (t1, v1) = points[after - 1], points[after]
    return v0 + (v1 - v0) * (at_s - t0) / (t1 - t0)


def told(prometheus, selector):
    """(Unix seconds at which it was so, value) of each scrape: a scrape shows what was so a moment before or after its own time."""
    at_s = dict(prometheus.samples("energyd_snapshot_timestamp_seconds"))
    return [(at_s[scraped_s], value) for scraped_s, value in prometheus.samples(selector) if scraped_s in at_s]


def zone_truth(daemon, zone):
    """(Unix seconds, joules) as the simulator emitted them, up to a moment after the call."""
    now_ns = time.time_ns()
    wait_for(lambda: daemon.truths("sim-rapl*")[-1]["host_real_ns"] > now_ns, 5, "the simulator has stopped")
    return [
        (line["host_real_ns"] / 1e9, line["energy_uj"][zone] / 1e6) for line in daemon.truths("sim-rapl*") if "energy_uj" in line
    ]


@pytest.fixture(scope="module")
def scraped():
    """energyd, 30 s of Prometheus at 1 s, with everything still running."""
    with Daemon() as daemon:
        daemon.wait_ready()
        with Prometheus(daemon.port) as prometheus:
            wait_for(lambda: prometheus.query("up") and prometheus.query("up")[0]["value"][1] == "1", 10, "never scraped")
            time.sleep(30)
            yield daemon, prometheus


@pytest.mark.parametrize("zone", ["package-0", "package-0/dram"])
def test_the_joules_that_prometheus_has_are_those_of_the_simulator(scraped, zone):
    """What increase() says between two scrapes equals what the simulated counter truly gained, within half a percent."""
    daemon, prometheus = scraped
    samples = told(prometheus, f'energyd_zone_energy_joules_total{{zone="{zone}"}}')
    truth = zone_truth(daemon, zone)
    first, last = samples[0], samples[-1]

    assert last[0] - first[0] >= 25
    true_j = interpolated(truth, last[0]) - interpolated(truth, first[0])
    assert last[1] - first[1] == pytest.approx(true_j, rel=0.005)


def test_increase_and_rate_answer_as_a_dashboard_asks_them(scraped):
    daemon, prometheus = scraped
    truth = zone_truth(daemon, "package-0")
    [answer] = prometheus.query('increase(energyd_zone_energy_joules_total{zone="package-0"}[20s])')
    now_s, increase_j = float(answer["value"][0]), float(answer["value"][1])

    true_j = interpolated(truth, now_s - 0.5) - interpolated(truth, now_s - 20.5)
    assert increase_j == pytest.approx(true_j, rel=0.05)  # the window's ends are extrapolated over up to a scrape each


SUMS = {
    "what the zones measured is what was given away, and what is pending": (
        ["energyd_zone_energy_joules_total"],
        ["energyd_attributed_energy_joules_total", "energyd_attribution_pending_joules"],
    ),
    "what went to processes is what their series show, and those of the ended and the hidden": (
        ['energyd_attributed_energy_joules_total{part="processes"}'],
        [
            "energyd_process_energy_joules_total",
            "energyd_process_gone_energy_joules_total",
            "energyd_process_hidden_energy_joules",
        ],
    ),
}


@pytest.mark.parametrize("law", SUMS)
def test_at_every_scrape_the_sums_agree_to_the_microjoule(scraped, law):
    _, prometheus = scraped
    left, right = SUMS[law]
    sums = {}
    for selectors, sign in ((left, 1), (right, -1)):
        for selector in selectors:
            for series in prometheus.query(f"{selector}[1m]"):
                for at_s, value in series["values"]:
                    parts = sums.setdefault(at_s, {})
                    parts[selector] = parts.get(selector, 0) + sign * round(float(value) * 1e6)
    whole = [parts for parts in sums.values() if len(parts) == len(left) + len(right)]  # a scrape may come between two queries

    assert len(whole) >= 25
    assert {sum(parts.values()) for parts in whole} == {0}


def test_the_house_and_the_host_have_a_power(scraped):
    daemon, prometheus = scraped
    [house] = prometheus.query("energyd_meter_apparent_power_voltamperes")
    [host] = prometheus.query("energyd_host_power_watts")
    [load] = prometheus.query("energyd_host_energy_joules_total")

    assert float(house["value"][1]) > 0
    assert house["metric"]["source"] == host["metric"]["source"] == load["metric"]["source"] == "simulated"
    watts = [line["power_w"] for line in daemon.truths("sim-meter*") if line["event"] == "frame"]
    assert any(float(house["value"][1]) == pytest.approx(value, rel=0.1, abs=20) for value in watts[-10:])


def test_registers_are_those_that_the_meter_sent(scraped):
    daemon, _ = scraped
    frames = [line["registers"] for line in daemon.truths("sim-meter*") if line["event"] == "frame"]
    name = "EAST"

    shown = daemon.value("energyd_meter_all_tariffs_energy_watthours_total", register=name)
    assert shown in [frame[name] for frame in frames[-3:]]


def test_prometheus_has_nothing_to_complain_about(scraped):
    _, prometheus = scraped
    assert prometheus.complaints() == []


def test_any_process_may_be_killed_while_prometheus_looks_on():
    """kill -9 of each in turn: back within 5 s, no gap above 10 s, no counter that ever went back."""
    with Daemon() as daemon:
        daemon.wait_ready()
        with Prometheus(daemon.port) as prometheus:
            time.sleep(3)
            for program in PROGRAMS:
                pid = daemon.pid_of(program)
                os.kill(pid, signal.SIGKILL)
                wait_for(lambda was=pid, who=program: daemon.pid_of(who) != was, 5, f"{program} did not come back")
                time.sleep(2)
            daemon.wait_ready()
            time.sleep(3)
            selector = "energyd_host_energy_joules_total"
            times = [at_s for at_s, _ in prometheus.samples(selector)]
            gaps = [after - before for before, after in itertools.pairwise(times)]

            assert max(gaps) <= 10
            for family in (
                selector,
                "energyd_zone_energy_joules_total",
                "energyd_attributed_energy_joules_total",
                "energyd_process_energy_joules_total",
                "energyd_process_cpu_seconds_total",
                "energyd_meter_energy_watthours_total",
                "energyd_host_busy_cpu_seconds_total",
                "energyd_exited_cpu_seconds_total",
                "energyd_ring_samples_total",
            ):
                fell = [series["metric"] for series in prometheus.query(f"resets({family}[5m]) > 0")]
                assert fell == [], family
            samples = told(prometheus, selector)
            first, last = samples[0], samples[-1]
            time.sleep(MOMENT_S)
            truth = [
                (at_s, package + dram)
                for (at_s, package), (_, dram) in zip(
                    zone_truth(daemon, "package-0"), zone_truth(daemon, "package-0/dram"), strict=False
                )
            ]

            def true_j(slack_s):
                return interpolated(truth, last[0] + slack_s) - interpolated(truth, first[0] - slack_s)

            assert true_j(-MOMENT_S) <= last[1] - first[1] <= true_j(MOMENT_S)


def test_a_stopped_aggregator_counts_the_seconds_that_it_missed():
    """SIGSTOP for 20 s: afterwards those 20 s are in the totals."""
    with Daemon() as daemon:
        daemon.wait_ready()
        pid = daemon.pid_of("aggregator")
        before_j, before_s = daemon.value("energyd_zone_energy_joules_total", zone="package-0"), time.time()
        os.kill(pid, signal.SIGSTOP)
        time.sleep(20)
        os.kill(pid, signal.SIGCONT)
        time.sleep(1)
        after_j, after_s = daemon.value("energyd_zone_energy_joules_total", zone="package-0"), time.time()
        truth = zone_truth(daemon, "package-0")

        true_j = interpolated(truth, after_s) - interpolated(truth, before_s)
        assert after_j - before_j == pytest.approx(true_j, rel=0.02)
        assert daemon.pid_of("aggregator") == pid
        assert daemon.value("energyd_attribution_error_joules") == 0
