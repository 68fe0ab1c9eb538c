"""Cores, disks, interfaces, load and containers as metrics: natively, and under the names of node_exporter and cAdvisor.

After a deliberate change: `python tests/export/test_devicemetrics.py` writes the golden scrapes and promtool's complaints anew.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from energyd import samples
from energyd.aggregate.snapshot import Container, Device, Host, Processes, Snapshot, Traffic
from energyd.config import Config
from energyd.export import cadvisormetrics, containermetrics, devicemetrics, nodemetrics, trafficmetrics
from energyd.export.collect import collect
from energyd.export.metric import Family
from energyd.export.render import Renderer

GOLDEN = Path(__file__).parents[1] / "golden"
WEB = "ab" * 32
CORE = Device("0", tuple(seconds * 10**9 for seconds in range(1, 9)))
DISK = Device("sda", (10, 5120, 1500, 20, 10240, 2500, 3500, 4500))
ETH0 = Device("eth0", (1000, 10, 1, 2, 2000, 20, 3, 4))
HOST = Host(
    None, None, "", (), 0, 0, (("MemTotal", 1000), ("MemAvailable", 600)),
    cores=(CORE,), disks=(DISK,), interfaces=(ETH0,), load_hundredths=(50, 25, 10),
)  # fmt: skip
CONTAINERS = (
    Container(f"/docker/{WEB}", "docker", WEB, "web", "nginx:1", "", "", 5 * 10**9, 4096, (512, 1024), (ETH0,)),
    Container("/lxc/bare", "lxc", "bare", "", "", "", "", 10**9, None),
)
SHOT = Snapshot(1, 1, True, HOST, (), Processes((), 0, 0.0, 0, 0, 0, 0), (), (), containers=CONTAINERS)


def native(shot: Snapshot) -> list[Family]:
    mine = {metric.name for metric in (*devicemetrics.METRICS, *containermetrics.METRICS, *trafficmetrics.METRICS)}
    return [family for family in collect(shot, "1") if family.metric.name in mine]


VIEWS: dict[str, Callable[[Snapshot], list[Family]]] = {
    "native": native,
    "node_exporter": nodemetrics.families,
    "cadvisor": cadvisormetrics.families,
}


def values(view: str, shot: Snapshot = SHOT) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """As Prometheus has them: {(name, labels that are not empty): value}."""
    text = Renderer().render(VIEWS[view](shot)).text().decode()
    return {
        (sample.name, tuple((name, value) for name, value in sample.labels.items() if value)): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


def test_the_machine_has_its_cores_disks_interfaces_and_load() -> None:
    found = values("native")
    assert found["energyd_host_core_cpu_seconds_total", (("cpu", "0"), ("mode", "user"))] == 1
    assert found["energyd_host_core_cpu_seconds_total", (("cpu", "0"), ("mode", "idle"))] == 4
    assert found["energyd_host_load_average", (("minutes", "5"),)] == 0.25
    sda, eth0 = (("device", "sda"),), (("device", "eth0"),)
    assert found["energyd_host_disk_read_bytes_total", sda] == 5120
    assert found["energyd_host_disk_busy_seconds_total", sda] == 3.5
    assert found["energyd_host_disk_write_seconds_total", sda] == 2.5
    assert found["energyd_host_network_receive_bytes_total", eth0] == 1000
    assert found["energyd_host_network_transmit_dropped_total", eth0] == 4


def test_a_container_is_named_or_known_by_its_id_and_has_what_is_told_of_it() -> None:
    found = values("native")
    web = (("container", "web"), ("id", WEB), ("runtime", "docker"))
    bare = (("container", "bare"), ("id", "bare"), ("runtime", "lxc"))
    assert found["energyd_container_cpu_seconds_total", web] == 5
    assert found["energyd_container_memory_bytes", web] == 4096
    assert found["energyd_container_disk_written_bytes_total", web] == 1024
    assert found["energyd_container_network_transmit_bytes_total", (*web, ("device", "eth0"))] == 2000
    assert [name for name, labels in found if labels == bare] == ["energyd_container_cpu_seconds_total"]


def test_a_group_has_its_traffic() -> None:
    shot = SHOT._replace(traffic=(Traffic("docker", "web", "container", "docker", (1, 2, 3, 4)),))
    found = values("native", shot)
    labels = (("group", "web"), ("kind", "container"), ("runtime", "docker"), ("environment", "docker"))
    names = ("disk_read", "disk_written", "network_receive", "network_transmit")
    assert [found[f"energyd_group_{name}_bytes_total", labels] for name in names] == [1, 2, 3, 4]


def test_node_exporter_s_names_have_its_labels_and_units() -> None:
    found = values("node_exporter")
    sda, eth0 = (("device", "sda"),), (("device", "eth0"),)
    assert found["node_cpu_seconds_total", (("cpu", "0"), ("mode", "iowait"))] == 5
    assert (found["node_memory_MemTotal_bytes", ()], found["node_memory_MemAvailable_bytes", ()]) == (1000, 600)
    assert [found[f"node_load{minutes}", ()] for minutes in (1, 5, 15)] == [0.5, 0.25, 0.1]
    assert found["node_disk_io_time_seconds_total", sda] == 3.5
    assert found["node_disk_io_time_weighted_seconds_total", sda] == 4.5
    assert (found["node_disk_read_bytes_total", sda], found["node_disk_written_bytes_total", sda]) == (5120, 10240)
    assert (found["node_network_receive_bytes_total", eth0], found["node_network_transmit_bytes_total", eth0]) == (1000, 2000)
    assert (found["node_network_receive_errs_total", eth0], found["node_network_transmit_drop_total", eth0]) == (1, 4)


def test_cadvisor_s_names_have_its_labels_and_units_and_containers_alone() -> None:
    found = values("cadvisor")
    web = (("id", f"/docker/{WEB}"), ("image", "nginx:1"), ("name", "web"))
    assert found["container_cpu_usage_seconds_total", (*web, ("cpu", "total"))] == 5
    assert found["container_memory_usage_bytes", web] == 4096
    assert found["container_network_receive_bytes_total", (*web, ("interface", "eth0"))] == 1000
    assert found["container_network_transmit_packets_dropped_total", (*web, ("interface", "eth0"))] == 4
    assert found["container_fs_reads_bytes_total", web] == 512
    assert len([name for name, _ in found if name == "container_cpu_usage_seconds_total"]) == len(CONTAINERS)


def test_what_has_not_been_read_has_no_series() -> None:
    bare = SHOT._replace(host=Host(None, None, "", (), 0, 0, ()), containers=())
    assert [values(view, bare) for view in VIEWS] == [{}, {}, {}]


@pytest.mark.parametrize("view", VIEWS)
def test_both_formats_are_readable(view: str) -> None:
    families = VIEWS[view](SHOT)
    openmetrics = Renderer().render(families).openmetrics(b"# EOF\n").decode()
    assert {family.name for family in parse_openmetrics(openmetrics)} == {family.metric.family for family in families}


def scrapes(view: str) -> dict[str, str]:
    """What is scraped in both formats, by the name of its golden file."""
    rendered = Renderer().render(VIEWS[view](SHOT))
    return {f"{view}.prom": rendered.text().decode(), f"{view}.openmetrics": rendered.openmetrics(b"# EOF\n").decode()}


def complaints(view: str) -> str:
    """What promtool says of the names that are another exporter's; of ours it has nothing to say."""
    body = Renderer().render(VIEWS[view](SHOT)).text()
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    return (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("view", ["node_exporter", "cadvisor"])
def test_the_scrape_is_the_golden_one(view: str) -> None:
    for name, body in scrapes(view).items():
        assert body.split("\n") == (GOLDEN / name).read_text().split("\n")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_what_promtool_says_is_known_and_of_our_own_names_nothing() -> None:
    assert complaints("native") == ""
    for view in ("node_exporter", "cadvisor"):
        assert complaints(view) == (GOLDEN / f"{view}.promtool").read_text()


def test_every_figure_that_a_reader_writes_has_a_name_in_every_family() -> None:
    assert len(devicemetrics.DISKS) == len(nodemetrics.DISKS) == len(samples.FIELDS["disk"])
    for interfaces in (devicemetrics.INTERFACES, nodemetrics.INTERFACES, containermetrics.NETWORK, cadvisormetrics.NETWORK):
        assert len(interfaces) == len(samples.FIELDS["interface"])
        for metric, field in zip(interfaces, samples.FIELDS["interface"], strict=True):
            assert field.split("_")[0] in metric.name
            assert metric.unit == ("bytes" if field.endswith("bytes") else "")


def test_the_names_of_other_exporters_are_off_as_shipped() -> None:
    assert not {nodemetrics.NAME, cadvisormetrics.NAME} & set(Config().compatibility)


if __name__ == "__main__":
    for each in ("node_exporter", "cadvisor"):
        for file_name, golden in {**scrapes(each), f"{each}.promtool": complaints(each)}.items():
            (GOLDEN / file_name).write_text(golden)
