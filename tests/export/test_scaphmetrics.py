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

from energyd.aggregate.snapshot import Host, Process, Processes, Snapshot, Zone
from energyd.export.render import Renderer
from energyd.export.scaphmetrics import Scaphandre

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
    nasty = Process(42, 'evil"\n\\', "/x", 0, 10, 12.5, 5, cmdline="dockerd --x")
    storm = Process(0, "true", "/x", 0, 10, 1.0, 5)
    return Snapshot(1, 1, True, host, zones, Processes((nasty, storm), 0, 0.0, 0, 0, 0, 2), (), ())


@pytest.fixture
def procfs(tmp_path):
    for pid, sizes in (("42", "100 20 5 1 0 1 0"), ("self", "300 30 5 1 0 1 0")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "statm").write_text(sizes + "\n")
    (tmp_path / "loadavg").write_text("0.50 0.25 0.10 1/100 4242\n")
    mounts = "/dev/sda1 / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/sda1 /twice ext4 rw 0 0\n/dev/sdb1 /gone xfs rw 0 0\n"
    (tmp_path / "self/mounts").write_text(mounts)
    return tmp_path


def statvfs(path):
    if path == "/gone":
        raise OSError(2, "gone")
    return os.statvfs_result((4096, 4096, 1000, 500, 400, 0, 0, 0, 0, 255))


def values(procfs, source="rapl"):
    """{(name, labels): value} of everything that is shown."""
    shown = {}
    for metric, labels, numbers in Scaphandre(str(procfs), statvfs).families(shot(source)):
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
    assert shown["scaph_process_power_consumption_microwatts"] == [12_500_000]
    assert shown["scaph_process_memory_bytes"] == [20 * 4096]
    assert shown["scaph_process_memory_virtual_bytes"] == [100 * 4096]


def test_load_memory_and_each_disk_once(procfs):
    shown = by_name(procfs)
    assert [shown[f"scaph_host_load_avg_{name}"][0] for name in ("one", "five", "fifteen")] == [0.5, 0.25, 0.1]
    assert (shown["scaph_host_memory_total_bytes"], shown["scaph_host_memory_available_bytes"]) == ([1000], [600])
    assert (shown["scaph_host_disk_total_bytes"], shown["scaph_host_disk_available_bytes"]) == ([4096000], [1638400])
    assert shown["scaph_self_mem_total_program_size"] == [300 * 4096]


def test_only_what_is_simulated_or_modelled_bears_a_source(procfs):
    measured, simulated = values(procfs), values(procfs, "simulated")
    assert not any("source': 'rapl" in labels for _, labels in measured)
    assert ("scaph_host_power_microwatts", "{'value_source': 'powercap_rapl_pkg', 'source': 'simulated'}") in simulated
    assert ("scaph_host_memory_total_bytes", "{}") in simulated


def test_nothing_is_invented_without_a_power_source_or_files(tmp_path):
    bare = shot()._replace(zones=(), host=shot().host._replace(energy_uj=None, power_w=None, source="", memory_bytes=()))
    assert Scaphandre(str(tmp_path)).families(bare) == []


def exposition(procfs):
    return Renderer().render(Scaphandre(str(procfs), statvfs).families(shot()))


def test_both_formats_can_be_read_and_names_survive(procfs):
    rendered = exposition(procfs)
    for families in (parse_text(rendered.text().decode()), parse_openmetrics(rendered.openmetrics().decode() + "# EOF\n")):
        [power] = [s for f in families for s in f.samples if s.name == "scaph_process_power_consumption_microwatts"]
        assert power.labels == {"exe": 'evil"\n\\', "cmdline": "dockerd --x", "pid": "42"}


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
