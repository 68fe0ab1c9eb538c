"""Dashboards made for node_exporter, cAdvisor and Scaphandre find all that they ask for in energyd alone, with the same figures."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cpuaccount import cgroup_roots
from daemon import Daemon, Prometheus, free_port, get, wait_for
from prometheus_client.parser import text_string_to_metric_families

ROOTS = cgroup_roots()
MEMORY = Path("/sys/fs/cgroup/memory")
IDS = [f"{number}{os.getpid():011x}{0:052x}" for number in (1, 2)]
FRAME_BYTES, FRAMES = 1000, 500
SPEAKER = f"""
import socket, subprocess, sys, time
subprocess.run("ip link add eth0 type veth peer name far && ip link set eth0 up && ip link set far up", shell=True, check=True)
sys.stdin.readline()
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
    wire.bind(("eth0", 0))
    for _ in range({FRAMES}):
        wire.send(b"\\xff" * 12 + b"\\x88\\xb5" + bytes({FRAME_BYTES - 14}))
print("sent", flush=True)
end = time.monotonic() + 300
while time.monotonic() < end:
    if time.process_time() < 0.1 * (300 - end + time.monotonic()):
        continue
    time.sleep(0.05)
"""
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's prometheus package"),
]


class Containers:
    """Two processes in control groups named as docker names them, each with a network of its own."""

    def __init__(self) -> None:
        hierarchy = "cpuacct" if "cpuacct" in ROOTS else "v2"
        self.groups = [ROOTS[hierarchy] / "docker" / identifier for identifier in IDS]
        if hierarchy == "cpuacct" and MEMORY.is_dir():
            self.groups += [MEMORY / "docker" / identifier for identifier in IDS]
        self.processes: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        for group in self.groups:
            group.mkdir(parents=True)
        for identifier in IDS:
            process = subprocess.Popen(
                ["unshare", "--net", sys.executable, "-c", SPEAKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            self.processes.append(process)
            for group in self.groups:
                if group.name == identifier:
                    (group / "cgroup.procs").write_text(str(process.pid))

    def speak(self) -> None:
        for process in self.processes:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "sent\n"

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()
        for group in self.groups:
            with contextlib.suppress(OSError):
                group.rmdir()
                group.parent.rmdir()


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers | None]:
    if not ROOTS or subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode:
        yield None
        return
    running = Containers()
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def scraped(containers: Containers | None) -> Iterator[tuple[Daemon, Prometheus]]:
    with Daemon("compatibility=[scaphandre,node_exporter,cadvisor]", simulate="meter,rapl") as daemon:
        daemon.wait_ready()
        with Prometheus(daemon.port) as prometheus:
            if containers:
                containers.speak()
            wait_for(lambda: prometheus.query("count_over_time(up[1m]) >= 3"), 15, "not scraped three times")
            if containers:
                wait_for(lambda: daemon.value("energyd_container_network_receive_bytes_total") > 0, 10, "no network of containers")
            yield daemon, prometheus


MACHINE = {
    "CPU in %": '100 - (avg by (instance)(irate(node_cpu_seconds_total{mode="idle"}[5m]))*100)',
    "CPU by core": '100 - (avg by (cpu)(irate(node_cpu_seconds_total{mode="idle"}[5m]))*100)',
    "memory in %": "(node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes) / node_memory_MemTotal_bytes * 100",
    "memory that is there": "node_memory_MemAvailable_bytes",
    "disk utilisation": "rate(node_disk_io_time_seconds_total[5m])",
    "disk bytes": "rate(node_disk_read_bytes_total[5m]) + rate(node_disk_written_bytes_total[5m])",
    "network": "rate(node_network_receive_bytes_total[5m]) + rate(node_network_transmit_bytes_total[5m])",
    "load": "node_load1 + node_load5 + node_load15",
    "host power": "scaph_host_power_microwatts / 1000000",
    "socket power": "scaph_socket_power_microwatts / 1000000",
    "leading processes": "topk(5, scaph_process_power_consumption_microwatts / 1000000)",
    "joules of 5 min": "increase(scaph_host_energy_microjoules[5m]) / 1000000",
    "its own memory": "scaph_self_mem_total_program_size",
    "watts per % of CPU, matched": "(scaph_host_power_microwatts / 1000000) / on() group_left() "
    '(100 - (avg(irate(node_cpu_seconds_total{mode="idle"}[5m])) * 100))',
    "natively: CPU by core": "sum by (cpu, mode) (rate(energyd_host_core_cpu_seconds_total[5m]))",
    "natively: disk utilisation": "rate(energyd_host_disk_busy_seconds_total[5m])",
    "natively: network": "rate(energyd_host_network_receive_bytes_total[5m])",
    "natively: load": "energyd_host_load_average",
}
CONTAINERS = {
    "CPU": "sum by (name) (rate(container_cpu_usage_seconds_total[5m]))",
    "memory": "container_memory_usage_bytes",
    "network": "container_network_receive_bytes_total",
    "natively: CPU": "sum by (container) (rate(energyd_container_cpu_seconds_total[5m]))",
    "natively: network": "energyd_container_network_receive_bytes_total",
}


@pytest.mark.parametrize("what", MACHINE)
def test_a_query_of_the_machine_answers(scraped: tuple[Daemon, Prometheus], what: str) -> None:
    _, prometheus = scraped
    answer = prometheus.query(MACHINE[what])
    assert answer, MACHINE[what]
    values = [float(series["value"][1]) for series in answer]
    assert all(value >= 0 for value in values)
    if "%" in what and "watts" not in what:
        assert all(value <= 100.5 for value in values)


def test_cpu_by_core_names_every_core_and_agrees_with_the_machine_s_own(scraped: tuple[Daemon, Prometheus]) -> None:
    _, prometheus = scraped
    cores = prometheus.query("sum by (cpu) (node_cpu_seconds_total)")
    assert len(cores) == os.sysconf("SC_NPROCESSORS_ONLN")
    [summed] = prometheus.query('sum(node_cpu_seconds_total{mode!~"idle|iowait"})')
    [native] = prometheus.query('sum(energyd_host_cpu_seconds_total{mode!~"idle|iowait"})')
    assert float(summed["value"][1]) == pytest.approx(float(native["value"][1]), rel=0.01)


@pytest.mark.parametrize("what", CONTAINERS)
def test_a_query_of_containers_answers_for_each_of_them(
    scraped: tuple[Daemon, Prometheus], containers: Containers | None, what: str
) -> None:
    if containers is None:
        pytest.skip("needs the right to make control groups and network namespaces")
    if "memory" in what and not (MEMORY.is_dir() or "v2" in ROOTS):
        pytest.skip("no memory controller here")
    _, prometheus = scraped
    named = prometheus.query(CONTAINERS[what])
    found = {series["metric"].get("name") or series["metric"]["container"] for series in named}
    assert found >= set(IDS)
    assert all(float(series["value"][1]) >= 0 for series in named)


def test_containers_are_counted_without_the_root_and_the_slices(
    scraped: tuple[Daemon, Prometheus], containers: Containers | None
) -> None:
    if containers is None:
        pytest.skip("needs the right to make control groups and network namespaces")
    _, prometheus = scraped
    [count] = prometheus.query("count(rate(container_cpu_usage_seconds_total[5m]))")
    [native] = prometheus.query("sum(energyd_containers)")
    assert float(count["value"][1]) == float(native["value"][1]) >= len(IDS)


def test_the_bytes_of_a_container_are_those_that_its_own_kernel_tables_have(
    scraped: tuple[Daemon, Prometheus], containers: Containers | None
) -> None:
    if containers is None:
        pytest.skip("needs the right to make control groups and network namespaces")
    daemon, _ = scraped
    for identifier in IDS:
        for direction, interface in (("transmit", "eth0"), ("receive", "far")):
            own = {"id": f"/docker/{identifier}", "interface": interface}

            def told(own: dict[str, str] = own, direction: str = direction) -> float:
                return daemon.value(f"container_network_{direction}_bytes_total", **own)

            wait_for(lambda told=told: told() >= FRAMES * FRAME_BYTES, 10, "what was sent is not told")
            assert told() == pytest.approx(FRAMES * FRAME_BYTES, rel=0.02)  # neighbour discovery besides
            native = daemon.value(f"energyd_container_network_{direction}_bytes_total", id=identifier, device=interface)
            assert native == pytest.approx(told(), rel=0.02)
        grouped = [
            series for series in daemon.metrics() if series.startswith("energyd_group_network_") and identifier[:12] in series
        ]
        assert len(grouped) == 2


COUNTERS = {
    "node_cpu_seconds_total": 3.0,
    "node_disk_reads_completed_total": 50,
    "node_disk_read_bytes_total": 5e7,
    "node_disk_writes_completed_total": 2000,
    "node_disk_written_bytes_total": 1e8,
    "node_disk_read_time_seconds_total": 5,
    "node_disk_write_time_seconds_total": 20,
    "node_disk_io_time_seconds_total": 3,
    "node_disk_io_time_weighted_seconds_total": 30,
    "node_network_receive_bytes_total": 1e7,
    "node_network_receive_packets_total": 1e4,
    "node_network_receive_errs_total": 0,
    "node_network_receive_drop_total": 5,
    "node_network_transmit_bytes_total": 1e7,
    "node_network_transmit_packets_total": 1e4,
    "node_network_transmit_errs_total": 0,
    "node_network_transmit_drop_total": 5,
}
"""What may have happened in the second or two between both readings, besides 2 % of the value."""
GAUGES = (
    "node_memory_MemTotal_bytes",
    "node_memory_MemAvailable_bytes",
    "node_memory_MemFree_bytes",
    "node_memory_Cached_bytes",
    "node_memory_Buffers_bytes",
    "node_memory_SwapTotal_bytes",
    "node_memory_SwapFree_bytes",
    "node_load15",
)


def series_of(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.skipif(shutil.which("prometheus-node-exporter") is None, reason="needs Debian's prometheus-node-exporter package")
def test_figures_are_those_of_node_exporter_beside_it(scraped: tuple[Daemon, Prometheus]) -> None:
    daemon, _ = scraped
    port = free_port()
    collectors = ["cpu", "meminfo", "loadavg", "diskstats", "netdev"]
    command = ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{port}", "--collector.disable-defaults"]
    exporter = subprocess.Popen(
        [*command, *(f"--collector.{name}" for name in collectors)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}/metrics"
        wait_for(lambda: get(url), 10, "node_exporter does not answer")
        theirs, ours = series_of(get(url).decode()), series_of(get(daemon.url).decode())
    finally:
        exporter.send_signal(signal.SIGTERM)
        exporter.wait()
    compared = 0
    for (name, labels), value in theirs.items():
        if name in COUNTERS and ("device", "lo") not in labels:
            assert ours[name, labels] == pytest.approx(value, rel=0.02, abs=COUNTERS[name]), (name, labels)
            compared += 1
        elif name in GAUGES:
            assert ours[name, labels] == pytest.approx(value, rel=0.1), name
            compared += 1
    assert compared > 8 * os.sysconf("SC_NPROCESSORS_ONLN") + len(GAUGES)


def test_no_counter_falls_when_reader_and_aggregator_are_killed(scraped: tuple[Daemon, Prometheus]) -> None:
    daemon, prometheus = scraped
    for program in ("usage", "aggregator"):
        pid = daemon.pid_of(program)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda was=pid, who=program: daemon.pid_of(who) != was, 5, f"{program} did not come back")
        time.sleep(1)
    wait_for(lambda: daemon.value("node_load1") >= 0, 10, "nothing is told any more")
    time.sleep(2)
    families = {series.partition("{")[0] for series in daemon.metrics()}
    mine = ("node_", "container_", "energyd_host_core", "energyd_host_disk", "energyd_host_network", "energyd_container_")
    counters = [name for name in families if name.startswith(mine) and name.endswith("_total")]
    assert len(counters) > 30
    for name in counters:
        assert prometheus.query(f"resets({name}[5m]) > 0") == [], name
