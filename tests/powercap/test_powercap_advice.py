"""What the user is told: why there is no energy, and the command that mends it."""

import errno
import os
import subprocess
import sys

import pytest

from energyd.powercap.advice import Account, cpu_vendor, explain, explain_absence
from energyd.powercap.duplicates import discover
from energyd.powercap.sysfs import Sysfs

PACKAGED = Account("alice", has_group=True)
FROM_SOURCE = Account("alice", has_group=False)
INTEL = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vme\n\nprocessor\t: 1\nvendor_id\t: AuthenticAMD\n"


def refusing(number: int, *suffixes: str) -> Sysfs:
    plain = Sysfs()

    def refuse(path: str) -> int:
        if path.endswith(suffixes):
            raise OSError(number, os.strerror(number))
        return plain.open(path)

    return Sysfs(open=refuse)


def test_the_vendor_is_that_of_the_first_processor(proc):
    assert cpu_vendor(proc(cpuinfo=INTEL)) == "GenuineIntel"
    assert cpu_vendor(proc(cpuinfo="processor\t: 0\nBogoMIPS\t: 38.40\n")) == ""
    assert cpu_vendor("/nowhere") == ""


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"cpuinfo": INTEL}, "sudo modprobe intel_rapl_msr"),
        ({"cpuinfo": INTEL, "modules": "intel_rapl_msr 20480 0 - Live 0x0\n"}, "dmesg | grep -i rapl"),
        ({"cpuinfo": INTEL.replace("fpu vme", "fpu hypervisor vme")}, "virtual machine"),
        ({"cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\n"}, "has no RAPL"),
        (
            {"cpuinfo": INTEL, "self__mountinfo": "40 30 0:5 / /sys/devices/virtual/powercap ro - tmpfs tmpfs ro\n"},
            "-v /sys:/host/sys:ro",
        ),
        ({}, "sudo modprobe intel_rapl_msr"),
    ],
)
def test_a_missing_tree_has_a_cause_and_a_remedy(tmp_path, proc, files, words):
    proc(empty="")
    text = explain_absence(str(tmp_path / "powercap"), proc(**files))

    assert str(tmp_path / "powercap") in text
    assert words in text


def test_links_that_lead_nowhere_are_a_container_that_hides_the_tree(tmp_path, proc):
    (tmp_path / "intel-rapl:0").symlink_to("../../devices/virtual/powercap/intel-rapl/intel-rapl:0")

    assert "container" in explain_absence(str(tmp_path), proc(cpuinfo=INTEL))


def test_zones_without_names_are_not_called_a_missing_module(tree, proc):
    root = tree({"intel-rapl:0": {"energy_uj": 1}})

    assert "readable `name`" in explain_absence(str(root), proc(cpuinfo=INTEL))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_directory_that_may_not_be_listed_is_said(tmp_path):
    """As another user, because root may list everything."""
    program = (
        "import os, sys\n"
        "from energyd.powercap.advice import explain_absence\n"
        "os.chdir(sys.argv[1])\n"
        "os.setuid(65534)\n"
        "print(explain_absence('.', '/proc'))\n"
    )
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)

    said = subprocess.run([sys.executable, "-c", program, str(locked)], capture_output=True, text=True, check=True).stdout

    assert "sudo chmod a+rx ." in said


def test_all_is_well_and_nothing_is_said(tree):
    root = str(tree({"intel-rapl:0": {"name": "package-0", "energy_uj": 1}}))

    assert explain(discover(root, ""), root, "/proc") == []


def test_no_zones_at_all_are_explained(tmp_path):
    assert len(explain([], str(tmp_path), "/proc")) == 1


def test_where_a_meter_is_the_host_nothing_is_missed(tmp_path):
    assert explain([], str(tmp_path), "/proc", host=False) == []


def test_a_denied_counter_comes_with_the_commands_that_open_it(tree):
    root = str(
        tree(
            {
                "intel-rapl:0": {"name": "package-0", "energy_uj": 1},
                "intel-rapl:0:0": {"name": "dram", "energy_uj": 1},
                "intel-rapl:1": {"name": "psys", "energy_uj": 1},
            }
        )
    )
    zones = discover(root, "", refusing(errno.EACCES, "intel-rapl:0/energy_uj", "intel-rapl:0:0/energy_uj"))

    (sentence,) = explain(zones, root, "/proc", account=PACKAGED)

    assert sentence.startswith("package-0, package-0/dram: ")
    assert "EACCES" in sentence
    assert f"sudo chgrp energyd {root}/*/energy_uj && sudo chmod g+r {root}/*/energy_uj`" in sentence
    assert f"z {root}/*/energy_uj 0440 root energyd" in sentence
    assert "CAP_DAC_READ_SEARCH" in sentence


def test_a_denied_range_is_opened_by_the_same_command(tree):
    root = str(tree({"intel-rapl:0": {"name": "package-0", "energy_uj": 1}}))
    zones = discover(root, "", refusing(errno.EACCES, "energy_uj", "max_energy_range_uj"))

    (sentence,) = explain(zones, root, "/proc", account=PACKAGED)

    assert f"chmod g+r {root}/*/energy_uj {root}/*/max_energy_range_uj`" in sentence


def test_without_the_package_the_counters_are_given_to_the_user_alone(tree):
    root = str(tree({"intel-rapl:0": {"name": "package-0", "energy_uj": 1}}))
    zones = discover(root, "", refusing(errno.EACCES, "energy_uj"))

    (sentence,) = explain(zones, root, "/proc", account=FROM_SOURCE)

    assert f"`sudo chown alice {root}/*/energy_uj`" in sentence
    assert f"z {root}/*/energy_uj 0400 alice root" in sentence
    assert "run energyd as root" in sentence
    assert "energyd " + root not in sentence, "there is no group of that name"


def test_who_is_not_in_the_group_of_the_package_is_put_into_it(tree):
    root = str(tree({"intel-rapl:0": {"name": "package-0", "energy_uj": 1}}))
    zones = discover(root, "", refusing(errno.EACCES, "energy_uj"))

    (sentence,) = explain(zones, root, "/proc", account=PACKAGED._replace(member=False))

    assert f"sudo chgrp energyd {root}/*/energy_uj && sudo chmod g+r {root}/*/energy_uj && sudo adduser alice energyd`" in sentence
    assert "a new login" in sentence


def test_who_is_root_only_in_a_container_is_told_so(tree):
    root = str(tree({"intel-rapl:0": {"name": "package-0", "energy_uj": 1}}))
    zones = discover(root, "", refusing(errno.EACCES, "energy_uj"))

    (sentence,) = explain(zones, root, "/proc", account=Account("root", has_group=False))

    assert "not root of the machine" in sentence
    assert "sudo" not in sentence


def test_in_a_nested_tree_the_files_are_named_one_by_one(tree):
    root = str(tree({"intel-rapl/intel-rapl:0": {"name": "package-0", "energy_uj": 1}}))

    (sentence,) = explain(discover(root, "", refusing(errno.EACCES, "energy_uj")), root, "/proc", account=PACKAGED)

    assert f"chgrp energyd {root}/intel-rapl/intel-rapl:0/energy_uj &&" in sentence


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EINVAL, "EINVAL: Invalid argument"), (errno.ENODATA, "ENODATA"), (599, "(599: ")]
)
def test_other_failures_are_named_and_tried_again(tree, number, words):
    root = str(tree({"intel-rapl:0": {"name": "package-0", "energy_uj": 1}}))

    (sentence,) = explain(discover(root, "", refusing(number, "energy_uj")), root, "/proc")

    assert words in sentence
    assert "tried again" in sentence


def test_a_zone_without_a_counter_is_called_that(tree):
    root = str(tree({"dtpm:0": {"name": "soc", "energy_uj": None}}))

    assert "no energy counter" in explain(discover(root, ""), root, "/proc")[0]


def test_an_unknown_range_is_a_warning(tree):
    root = str(tree({"intel-rapl:0": {"name": "package-0", "energy_uj": 1, "max_energy_range_uj": 0}}))

    assert explain(discover(root, ""), root, "/proc")[0].startswith("package-0: max_energy_range_uj is 0")


def test_a_dropped_zone_that_cannot_be_read_is_no_news(tree):
    root = str(
        tree({"intel-rapl:0": {"name": "package-0", "energy_uj": 1}, "intel-rapl-mmio:0": {"name": "package-0", "energy_uj": ""}})
    )

    assert explain(discover(root, ""), root, "/proc") == []
