"""The families of Scaphandre: what its dashboards query, in its units, from a machine whose figures are known.

After a deliberate change: `python tests/export/test_scaphmetrics.py` writes the golden file of promtool's complaints anew.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from energyd.aggregate.snapshot import Container, Host, Process, Processes, Snapshot, Zone
from energyd.export.render import Renderer
from energyd.export.scaphfiles import Files, Kernel
from energyd.export.scaphmetrics import Scaphandre
from energyd.units import NS_PER_S

GOLDEN = Path(__file__).parents[1] / "golden" / "scaph.promtool"


def zone(name, domain, parent, energy_uj, power_w, **more):
    return Zone(name, domain, parent, "rapl", domain in ("package", "dram"), True, energy_uj, power_w, 0, 0, 0, 0, 0, 0)._replace(
        **more
    )


def shot(source="rapl"):
    zones = (
        zone("package-0", "package", "", 5_000_001, 40.5),
        zone("package-0/core", "core", "package-0", 3_000_000, 30.0),
        zone("package-0/dram", "dram", "package-0", 1_000_000, 9.25),
        zone("package-1", "package", "", 7_000_000, None),
    )
    zones = tuple(each._replace(source=source) for each in zones)
    host = Host(13_000_001, 90.0, source, (), 0, 0, (("MemTotal", 1000), ("MemAvailable", 600), ("SwapFree", 5)))
    nasty = Process(42, 'evil"\n\\', "/x", 0, 10, 12.5, 5, cmdline="dockerd --x", busy_cpus=0.5)
    guest = Process(43, "qemu", "/y", 0, 10, 2.5, 5, "qemu -M microvm", "fast", "microvm", "vm", 0.25)
    storm = Process(0, "true", "/x", 0, 10, 1.0, 5)
    return Snapshot(1, 1, True, host, zones, Processes((nasty, storm, guest), 0, 0.0, 0, 0, 0, 2), (), ())


@pytest.fixture
def procfs(tmp_path):
    (tmp_path / "self").mkdir()
    for pid, sizes in (("42", "100 20 5 1 0 1 0"), ("7", "300 30 5 1 0 1 0"), ("8", "30 3 5 1 0 1 0")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "statm").write_text(sizes + "\n")
        (tmp_path / pid / "stat").write_text(f"{pid} (a) b) S 1 1 1 0 -1 4194560 1 1 1 1 30 20 0 0 20 0 1 0 9 1 1\n")
    (tmp_path / "42/io").write_text("rchar: 9\nwchar: 9\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n")
    (tmp_path / "stat").write_text(
        "cpu  1 2 3\ncpu0 1 2\ncpu1 1 2\nintr 5 1 2\nctxt 777\nbtime 9\nprocesses 55\nprocs_running 3\nprocs_blocked 1\n"
    )
    (tmp_path / "loadavg").write_text("0.50 0.25 0.10 1/100 4242\n")
    mounts = "/dev/sda1 / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/sda1 /twice ext4 rw 0 0\n/dev/sdb1 /gone xfs rw 0 0\n"
    (tmp_path / "self/mounts").write_text(mounts)
    return tmp_path


def statvfs(path):
    if path == "/gone":
        raise OSError(2, "gone")
    return os.statvfs_result((4096, 4096, 1000, 500, 400, 0, 0, 0, 0, 255))


def scaphandre(procfs, pids=(7, 8, 0, 99)):
    files = Files(str(procfs), 4096, statvfs)
    return Scaphandre(files, files, lambda: pids, "1.0.2")


def values(procfs, source="rapl"):
    """{(name, labels): value} of everything that is shown."""
    shown = {}
    for metric, labels, numbers in scaphandre(procfs).families(shot(source)):
        for each, number in zip(labels, numbers, strict=True):
            shown[metric.name, dict(zip(metric.labels, each, strict=True)).__repr__()] = number
    return shown


def by_name(procfs, source="rapl"):
    names = {}
    for (name, _), number in values(procfs, source).items():
        names.setdefault(name, []).append(number)
    return names


def test_the_host_its_sockets_and_domains_are_in_micro_units(procfs):
    shown = by_name(procfs)
    assert shown["scaph_host_energy_microjoules"] == [13_000_001]
    assert shown["scaph_host_power_microwatts"] == [90_000_000]
    assert shown["scaph_socket_energy_microjoules"] == [5_000_001, 7_000_000]
    assert shown["scaph_socket_power_microwatts"] == [40_500_000]  # the second socket has no power yet, which is not 0 W
    assert shown["scaph_domain_energy_microjoules"] == [3_000_000, 1_000_000]
    assert shown["scaph_domain_power_microwatts"] == [30_000_000, 9_250_000]


def test_a_process_has_its_power_and_memory_and_the_short_lived_are_no_process(procfs):
    shown = by_name(procfs)
    assert shown["scaph_process_power_consumption_microwatts"] == [12_500_000, 2_500_000]
    assert shown["scaph_process_cpu_usage_percentage"] == [25.0, 12.5], "of both CPUs"
    assert shown["scaph_process_disk_total_read_bytes"] == [4096]
    assert shown["scaph_process_disk_total_write_bytes"] == [8192]
    assert shown["scaph_process_memory_bytes"] == [20 * 4096]
    assert shown["scaph_process_memory_virtual_bytes"] == [100 * 4096]


def test_load_memory_and_each_disk_once(procfs):
    shown = by_name(procfs)
    assert [shown[f"scaph_host_load_avg_{name}"][0] for name in ("one", "five", "fifteen")] == [0.5, 0.25, 0.1]
    assert (shown["scaph_host_memory_total_bytes"], shown["scaph_host_memory_available_bytes"]) == ([1000], [600])
    assert (shown["scaph_host_disk_total_bytes"], shown["scaph_host_disk_available_bytes"]) == ([4096000], [1638400])
    assert [shown[f"scaph_{name}"] for name in ("forks_since_boot_total", "context_switches_total")] == [[55], [777]]
    assert [shown[f"scaph_processes_{name}_current"] for name in ("running", "blocked")] == [[3], [1]]


def test_energyd_shows_what_all_its_processes_cost(procfs):
    view = scaphandre(procfs)

    def own(mono_ns):
        families = view.families(shot()._replace(mono_ns=mono_ns))
        return {family.metric.name: family.values[0] for family in families if family.metric.name.startswith("scaph_self")}

    shown = own(1)
    assert shown["scaph_self_mem_total_program_size"] == shown["scaph_self_memory_virtual_bytes"] == 330 * 4096
    assert shown["scaph_self_memory_bytes"] == 33 * 4096
    assert shown["scaph_self_version"] == 1.02
    assert shown["scaph_self_topo_procs_nb"] == 2
    assert "scaph_self_cpu_usage_percent" not in shown, "from one look nobody knows"
    stat = (procfs / "8/stat").read_text().replace(" 30 20 ", " 40 30 ")
    (procfs / "8/stat").write_text(stat)
    assert own(2_000_000_001)["scaph_self_cpu_usage_percent"] == pytest.approx(5), "0.2 s in 2 s on 2 CPUs"
    assert own(2_000_000_002)["scaph_self_cpu_usage_percent"] == pytest.approx(5), "who asks again at once sees the same"
    assert (scaphandre(procfs, pids=()).families(shot())[-1].metric.name).startswith("scaph_self") is False


def test_only_a_virtual_machine_has_a_name_of_one(procfs):
    labels = [labels for name, labels in values(procfs) if name == "scaph_process_cpu_usage_percentage"]
    assert [eval(each)["vmname"] for each in labels] == ["", "fast"]


def test_a_process_in_a_container_says_in_which(procfs):
    inside = Process(42, "nginx", "/docker/abc/inner", 0, 10, 1.0, 5)
    container = Container("/docker/abc", "docker", "abc", "web", "nginx:1", "pod-1", "ns", 0, None)
    now = shot()._replace(processes=Processes((inside,), 0, 0.0, 0, 0, 0, 1), containers=(container,))
    [power] = [family for family in scaphandre(procfs).families(now) if "power_consumption" in family.metric.name]
    assert dict(zip(power.metric.labels, power.labels[0], strict=True)) == {
        "exe": "nginx",
        "cmdline": "",
        "pid": "42",
        "vmname": "",
        "container_id": "abc",
        "container_names": "web",
        "container_runtime": "docker",
        "kubernetes_pod_name": "pod-1",
        "kubernetes_pod_namespace": "ns",
    }


def test_the_first_container_and_the_end_of_the_last_change_the_labels_of_a_family_that_is_shown(procfs):
    view, renderer = scaphandre(procfs), Renderer()
    container = Container("/docker/abc", "docker", "abc", "web", "nginx:1", "", "", 0, None)
    for containers in ((), (container,), ()):
        families = view.families(shot()._replace(containers=containers))
        assert renderer.render(families) == Renderer().render(families)


def test_files_are_read_once_a_second_and_what_is_no_number_is_left_out(procfs):
    view = scaphandre(procfs)
    view.families(shot())
    (procfs / "42/statm").unlink()
    (procfs / "42/io").write_text("nonsense")
    assert view._details["42"][1].read_bytes == 4096
    view.families(shot()._replace(mono_ns=NS_PER_S))
    assert view._details["42"][1].read_bytes == 4096
    view.families(shot()._replace(mono_ns=NS_PER_S + 1))
    assert view._details["42"] == (None, None)
    files = Files(str(procfs / "nothing"), 4096)
    assert (files.kernel(), files.load_averages(), list(files.disks()), files.cpu_ns("1")) == (Kernel(0, {}), [], [], 0)
    for version, number in (("2", 2.0), ("0.1.0", 0.1), ("1.2.3rc1", 1.2), ("x", 0.0)):
        assert Scaphandre(files, files, list, version)._version == number


def test_only_what_is_simulated_or_modelled_bears_a_source(procfs):
    measured, simulated = values(procfs), values(procfs, "simulated")
    assert not any("source': 'rapl" in labels for _, labels in measured)
    assert ("scaph_host_power_microwatts", "{'value_source': 'powercap_rapl_pkg', 'source': 'simulated'}") in simulated
    assert ("scaph_host_memory_total_bytes", "{}") in simulated


def test_nothing_is_invented_without_a_power_source_or_files(tmp_path):
    bare = shot()._replace(zones=(), host=shot().host._replace(energy_uj=None, power_w=None, source="", memory_bytes=()))
    files = Files(str(tmp_path), 4096)
    shown = {family.metric.name for family in Scaphandre(files, files, list, "1").families(bare)}
    assert shown == set()


def exposition(procfs):
    return Renderer().render(scaphandre(procfs).families(shot()))


def test_both_formats_can_be_read_and_names_survive(procfs):
    rendered = exposition(procfs)
    for families in (parse_text(rendered.text().decode()), parse_openmetrics(rendered.openmetrics().decode() + "# EOF\n")):
        [power, _] = [s for f in families for s in f.samples if s.name == "scaph_process_power_consumption_microwatts"]
        assert power.labels == {"exe": 'evil"\n\\', "cmdline": "dockerd --x", "pid": "42", "vmname": ""}


def complaints(body):
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    return (done.stdout + done.stderr).decode()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_what_promtool_says_of_the_inherited_names_is_known(procfs):
    assert complaints(exposition(procfs).text()) == GOLDEN.read_text()


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        GOLDEN.write_text(complaints(exposition(procfs.__wrapped__(Path(directory))).text()))
