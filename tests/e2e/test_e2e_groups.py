"""Groups through the whole daemon: a process in a control group of its own, in scrapes that add up to the last microjoule."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from cpuaccount import BURNER, cgroup_root
from daemon import Daemon, Prometheus, get, wait_for

from energyd.procfs.clocks import clocks_reach

ROOT = cgroup_root()
NAME = f"energyd-e2e-{os.getpid()}-group.service"
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(ROOT is None, reason="no control groups may be made here"),
    pytest.mark.skipif(not clocks_reach("/proc"), reason="this /proc is of another PID namespace"),
]
SERIES = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")


def scrape(daemon: Daemon) -> list[tuple[str, str, Decimal]]:
    """(family, labels, value) of one exposition."""
    found = (SERIES.fullmatch(line) for line in get(daemon.url).decode().split("\n") if not line.startswith("#"))
    return [(series[1], series[2] or "", Decimal(series[3])) for series in found if series]


def total(series: list[tuple[str, str, Decimal]], family: str, *labels: str) -> Decimal:
    return sum((value for name, text, value in series if name == family and all(label in text for label in labels)), Decimal(0))


def assert_adds_up(series: list[tuple[str, str, Decimal]]) -> None:
    """Family by family: groups, processes and what has no owner are the host."""

    def of(name: str, *labels: str) -> Decimal:
        return total(series, f"energyd_{name}", *labels)

    parts = {
        part: of("attributed_energy_joules_total", f'part="{part}"') for part in ("processes", "exited", "idle", "unattributed")
    }
    for kind in ("process", "group"):
        counted = of(f"{kind}_energy_joules_total") + of(f"{kind}_gone_energy_joules_total") + of(f"{kind}_hidden_energy_joules")
        ungrouped = of("ungrouped_energy_joules_total") - parts["exited"] if kind == "group" else 0
        assert counted + ungrouped == parts["processes"], kind
    assert sum(parts.values()) + of("attribution_pending_joules") == of("host_energy_joules_total")
    assert of("attribution_error_joules") == 0


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    rules = [{"name": "burner of {user}", "environment": "test", "cmdline": ["--secret-token=(?P<x>.)"]}]
    with Daemon("groups=" + json.dumps(rules), "usage.top=20") as daemon:
        daemon.wait_ready()
        yield daemon


@pytest.fixture
def burner() -> Iterator[subprocess.Popen[bytes]]:
    assert ROOT is not None
    cgroup = ROOT / NAME
    cgroup.mkdir()
    process = subprocess.Popen([sys.executable, "-c", BURNER, "0.5"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    (cgroup / "cgroup.procs").write_text(str(process.pid))
    assert process.stdin is not None
    process.stdin.write(b"!")
    process.stdin.flush()
    yield process
    process.kill()
    process.communicate()
    cgroup.rmdir()


def test_a_unit_has_its_energy_and_the_scrape_adds_up_while_it_runs_and_after(
    daemon: Daemon, burner: subprocess.Popen[bytes]
) -> None:
    own = f'group="{NAME}"'
    wait_for(lambda: total(scrape(daemon), "energyd_group_cpu_seconds_total", own) > 1, 20, "the unit has no CPU time")
    series = scrape(daemon)
    [labels] = [text for name, text, _ in series if name == "energyd_group_power_watts" and own in text]
    assert 'kind="unit",runtime="systemd",environment="systemd"' in labels
    assert total(series, "energyd_group_energy_joules_total", own) > 0
    assert total(series, "energyd_group_processes", own) == 1
    assert_adds_up(series)
    answer = json.loads(
        subprocess.run(
            [sys.executable, "-m", "energyd", "whois", str(burner.pid), "--json"], capture_output=True, text=True, check=True
        ).stdout
    )
    assert (answer["group"], answer["environment"], answer["kind"]) == (NAME, "systemd", "unit")
    burner.kill()
    burner.wait()
    wait_for(lambda: total(scrape(daemon), "energyd_group_processes", own) == 0, 10, "it is still counted as alive")
    before = total(series, "energyd_group_energy_joules_total", own)
    after = scrape(daemon)
    assert total(after, "energyd_group_energy_joules_total", own) >= before, "what it used stays visible"
    assert_adds_up(after)


def test_rules_of_the_configuration_group_and_secrets_are_nowhere_in_the_scrape(daemon: Daemon, tmp_path: Path) -> None:
    secret = "hunter2hunter2"
    script = tmp_path / "burner.py"
    script.write_text(BURNER)
    process = subprocess.Popen(
        [sys.executable, str(script), "0.3", f"--secret-token={secret}"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    try:
        assert process.stdin is not None
        process.stdin.write(b"!")
        process.stdin.flush()
        pid = f'pid="{process.pid}"'
        wait_for(lambda: total(scrape(daemon), "energyd_process_info", pid) == 1, 20, "its command line is not told")
        body = get(daemon.url).decode()
        [info] = [line for line in body.splitlines() if line.startswith("energyd_process_info") and pid in line]
        assert "--secret-token=*" in info
        assert 'environment="test"' in info
        assert f'group="burner of {Path("/etc/passwd").read_text().split(":", 1)[0]}"' in info or os.getuid() != 0
        assert secret not in body
        assert total(scrape(daemon), "energyd_group_energy_joules_total", 'environment="test"') > 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
def test_environments_compare_in_one_query_and_command_lines_can_be_asked_for(daemon: Daemon, tmp_path: Path) -> None:
    """The queries of a comparison of containers, microVMs and unikernels, with a real Prometheus."""
    script = tmp_path / "guest.py"
    script.write_text(BURNER)
    arguments = ["qemu-system-x86_64", str(script), "0.3", "-M", "microvm", "-name", "fast", "--password=hunter2hunter2"]
    microvm = subprocess.Popen(arguments, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        assert microvm.stdin is not None
        microvm.stdin.write(b"!")
        microvm.stdin.flush()
        with Prometheus(daemon.port) as prometheus:
            by_environment = "sum by (environment) (energyd_group_power_watts)"

            def powers() -> dict[str, float]:
                return {each["metric"].get("environment", ""): float(each["value"][1]) for each in prometheus.query(by_environment)}

            assert wait_for(lambda: powers().get("microvm", 0) > 0, 20, "no power of microVMs")
            by_command = (
                'energyd_process_power_watts * on (pid) group_left (cmdline) energyd_process_info{cmdline=~".*qemu.*microvm.*"}'
            )
            [series] = wait_for(lambda: prometheus.query(by_command), 10, "no process by its command line")
            assert "-name fast --password=***" in series["metric"]["cmdline"]
            assert float(series["value"][1]) > 0
            grown = 'sum(increase(energyd_group_energy_joules_total{group="fast",kind="vm",runtime="qemu"}[10s])) > 0'
            assert wait_for(lambda: prometheus.query(grown), 20, "no increase of its energy")
    finally:
        microvm.kill()
        microvm.communicate()
