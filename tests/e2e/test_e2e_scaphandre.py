"""The queries of a Scaphandre dashboard and of a comparison built on it: answered by a real Prometheus, and with what is true."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cpuaccount import BURNER
from daemon import Daemon, Prometheus, wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed"),
]

COMMANDS = {
    "dockerd": "dockerd -H unix://",
    "qemu-system-x86_64": "qemu-system-x86_64 -M microvm -name fast --password=hunter2",
    "kraft": "kraft run unikernel-test",
}
HOST = (
    "scaph_host_power_microwatts",
    "scaph_host_power_microwatts / 1000000",
    "increase(scaph_host_energy_microjoules[10s]) / 1000000",
    "rate(scaph_host_energy_microjoules[10s]) / 1000000",
    "(increase(scaph_host_energy_microjoules[10s]) / 1000000 / 3600000) * 0.15",
    "delta(scaph_host_power_microwatts[10s]) / 1000000",
    "sum(avg_over_time(scaph_host_power_microwatts[10s])) / 1000000",
    "scaph_socket_power_microwatts",
    "scaph_socket_power_microwatts / 1000000",
    "scaph_socket_energy_microjoules",
    "scaph_domain_power_microwatts / 1000000",
    "sum(scaph_domain_power_microwatts) / 1000000",
    "scaph_domain_energy_microjoules",
    "scaph_host_load_avg_one",
    "scaph_host_load_avg_five",
    "scaph_host_load_avg_fifteen",
    "scaph_host_memory_total_bytes - scaph_host_memory_available_bytes",
    "scaph_forks_since_boot_total",
    "scaph_context_switches_total",
    "scaph_processes_running_current",
)
PROCESSES = (
    "topk(10, scaph_process_power_consumption_microwatts / 1000000)",
    "topk(5, scaph_process_power_consumption_microwatts / 1000000)",
    "sum(scaph_process_power_consumption_microwatts) / 1000000",
    "scaph_process_power_consumption_microwatts / 1000000 > 0.01",
    'scaph_process_power_consumption_microwatts{cmdline=~".*docker.*"} / 1000000',
    'scaph_process_power_consumption_microwatts{cmdline=~".*qemu.*microvm.*"} / 1000000',
    'scaph_process_power_consumption_microwatts{cmdline=~".*unikernel.*"} / 1000000',
    'avg by (environment) (scaph_process_power_consumption_microwatts{cmdline=~".*test.*"}) / 1000000',
    'scaph_process_cpu_usage_percentage{cmdline=~".*qemu.*"}',
    'scaph_process_memory_bytes{cmdline=~".*qemu.*"}',
    'scaph_process_memory_virtual_bytes{cmdline=~".*qemu.*"}',
    'scaph_process_disk_total_read_bytes{cmdline=~".*energyd.*"}',  # of others': CAP_SYS_PTRACE, not for a server
    'scaph_process_power_consumption_microwatts{vmname="fast"}',
)
SELF = (
    "scaph_self_version",
    "scaph_self_cpu_usage_percent",
    "scaph_self_memory_bytes",
    "scaph_self_memory_virtual_bytes",
    "scaph_self_mem_total_program_size",
    "scaph_self_topo_procs_nb",
)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A daemon with simulated sockets, beside three programs that burn a tenth of a CPU each, scraped every second."""
    script = tmp_path_factory.mktemp("burner") / "burner.py"
    script.write_text(BURNER)
    with ExitStack() as stack:
        for program, command in COMMANDS.items():
            arguments = [program, str(script), "0.1", *command.split()[1:]]
            burner = stack.enter_context(
                subprocess.Popen(arguments, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            )
            stack.callback(burner.kill)
            assert burner.stdin is not None
            burner.stdin.write(b"!")
            burner.stdin.flush()
        daemon = stack.enter_context(Daemon("usage.top=200"))
        daemon.wait_ready()
        prometheus = stack.enter_context(Prometheus(daemon.port))
        wait_for(lambda: prometheus.query("count_over_time(scaph_self_cpu_usage_percent[30s]) >= 10"), 40, "not scraped")
        yield prometheus


@pytest.mark.parametrize("query", [*HOST, *PROCESSES, *SELF])
def test_every_query_is_answered(prometheus: Prometheus, query: str) -> None:
    found = prometheus.query(query)
    assert found
    assert all(float(series["value"][1]) >= 0 or "delta" in query for series in found)


def test_the_same_power_is_told_in_both_families(prometheus: Prometheus) -> None:
    assert prometheus.value("scaph_host_power_microwatts / 1e6 - on () energyd_host_power_watts") == pytest.approx(0, abs=1e-6)
    sockets = "sum(scaph_socket_energy_microjoules) / 1e6"
    assert prometheus.value(f'{sockets} - sum(energyd_zone_energy_joules_total{{zone!~".*/.*"}})') == pytest.approx(0, abs=1e-3)


def test_the_processes_have_no_more_than_the_host(prometheus: Prometheus) -> None:
    """Over ten seconds: a process' power is of a little earlier than the host's, since it waits for the energy of its time."""
    processes = prometheus.value("avg_over_time(sum(scaph_process_power_consumption_microwatts)[10s:1s])")
    assert 0 < processes <= 1.25 * prometheus.value("avg_over_time(scaph_host_power_microwatts[10s])")


def test_the_energy_of_a_counter_is_the_power_of_the_gauge(prometheus: Prometheus) -> None:
    """Scaphandre's own differ by 1.93 when one zone wraps; here they agree as far as the extrapolation of `increase` allows."""
    energy_w = prometheus.value("rate(scaph_host_energy_microjoules[10s]) / 1e6")
    assert energy_w == pytest.approx(prometheus.value("avg_over_time(scaph_host_power_microwatts[10s]) / 1e6"), rel=0.2)


def test_the_cpu_of_a_process_is_a_part_of_all_cpus(prometheus: Prometheus) -> None:
    cpus = Path("/proc/stat").read_text().count("\ncpu")
    percent = prometheus.value('avg_over_time(scaph_process_cpu_usage_percentage{cmdline=~".*microvm.*"}[10s])')
    assert percent == pytest.approx(10 / cpus, rel=0.35)


def test_a_secret_is_masked_here_too_and_a_guest_has_its_name(prometheus: Prometheus) -> None:
    [series] = prometheus.query('scaph_process_power_consumption_microwatts{vmname="fast"}')
    assert "--password=***" in series["metric"]["cmdline"]
    assert series["metric"]["source"] == "simulated", "what is simulated says so"
