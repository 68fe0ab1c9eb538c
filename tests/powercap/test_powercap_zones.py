"""What is found in a powercap tree: names, parents, packages, what is summed and what is dropped."""

import errno
import os
from pathlib import Path
from typing import ClassVar

import pytest

from energyd.powercap.duplicates import discover
from energyd.powercap.sysfs import Sysfs
from energyd.powercap.zone import NO_PACKAGE, Zone
from energyd.powercap.zones import directories

FIXTURES = Path(__file__).parents[2].parent / "shared" / "fixtures" / "powercap"
RANGE_UJ = 262143328850


def zone(name, energy_uj=1000, **more):
    return {"name": name, "energy_uj": energy_uj} | more


def found(root, vendor="GenuineIntel", **options) -> dict[str, Zone]:
    zones = discover(str(root), vendor, **options)
    by_name = {each.name: each for each in zones}

    assert len(zones) == len(by_name), "names must be unique"
    return by_name


def additive(zones: dict[str, Zone]) -> set[str]:
    return {name for name, each in zones.items() if each.additive}


class Counters:
    """A pread that makes chosen files count: `step_uj` more at every read, of all files that share a register."""

    def __init__(self, registers: dict[str, list[int]], step_uj: int) -> None:
        self.registers = registers
        self.step_uj = step_uj
        self.paths: dict[int, str] = {}

    def open(self, path: str) -> int:
        fd = os.open(path, os.O_RDONLY)
        self.paths[fd] = path
        return fd

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        register = self.registers.get(self.paths[fd])
        if register is None:
            return os.pread(fd, size, offset)
        register[0] += self.step_uj
        return b"%d\n" % register[0]

    def sysfs(self) -> Sysfs:
        return Sysfs(self.open, self.pread, lambda _seconds: None)


@pytest.mark.skipif(not FIXTURES.exists(), reason="captured trees are not here")
class TestCapturedTrees:
    def test_two_packages_one_with_a_hexadecimal_suffix(self):
        zones = found(FIXTURES / "procfs")

        assert set(zones) == {"package-0", "package-0/core", "package-10"}
        assert additive(zones) == {"package-0", "package-10"}
        assert (zones["package-10"].package, zones["package-10"].device) == (10, "intel-rapl:a")
        assert {each.range_uj for each in zones.values()} == {RANGE_UJ}
        assert zones["package-0"].max_power_uw == 95_000_000
        assert zones["package-0/core"].max_power_uw == 0, "the file is there and empty"
        assert zones["package-0/core"].parent == "package-0"
        assert all(each.used for each in zones.values())

    def test_zen_counts_one_die_and_leaves_its_core_zone_alone(self):
        zones = found(FIXTURES / "node_exporter-2301-epyc-7401p", "AuthenticAMD")

        assert set(zones) == {"package-0-die-0", "package-0-die-0/core"}
        assert additive(zones) == {"package-0-die-0"}
        assert zones["package-0-die-0"].range_uj == 65532610987
        assert zones["package-0-die-0/core"].dropped == "AMD counts a single core in it"

    def test_a_laptop_with_psys_whose_counters_were_not_captured(self):
        zones = found(FIXTURES / "powercap-3-i7-8550u-psys-dram")

        assert set(zones) == {"package-0", "package-0/core", "package-0/uncore", "package-0/dram", "psys"}
        assert additive(zones) == {"package-0", "package-0/dram"}
        assert {each.read_errno for each in zones.values()} == {errno.ENOENT}
        assert not any(each.used for each in zones.values())


def test_two_sockets_with_equally_named_children_and_psys_between_them(tree):
    zones = found(
        tree(
            {
                "intel-rapl": {"enabled": 1},
                "intel-rapl:0": zone("package-1"),
                "intel-rapl:0:0": zone("dram"),
                "intel-rapl:1": zone("psys", max_energy_range_uj=4294967295000000),
                "intel-rapl:2": zone("package-0"),
                "intel-rapl:2:0": zone("dram"),
                "intel-rapl:2:1": zone("core"),
            }
        )
    )

    assert set(zones) == {"package-1", "package-1/dram", "psys", "package-0", "package-0/dram", "package-0/core"}
    assert additive(zones) == {"package-0", "package-0/dram", "package-1", "package-1/dram"}
    assert zones["package-1/dram"].package == 1
    assert zones["package-0/dram"].device == "intel-rapl:2:0"
    assert (zones["psys"].package, zones["psys"].range_uj) == (NO_PACKAGE, 4294967295000000)


def test_psys_of_another_package_carries_its_number(tree):
    zones = found(tree({"intel-rapl:0": zone("psys-2")}))

    assert (zones["psys-2"].domain, zones["psys-2"].package, zones["psys-2"].additive) == ("psys", 2, False)


def test_names_that_nobody_knows_are_listed_and_never_summed(tree):
    zones = found(
        tree(
            {
                "intel-rapl:0": zone("package-0"),
                "intel-rapl:0:0": zone('npu \\ "x"'),
                "arm-scmi:0": zone("soc"),
                "intel-rapl:3": zone("package-x"),
            }
        )
    )

    assert additive(zones) == {"package-0"}
    assert zones['package-0/npu \\ "x"'].domain == 'npu \\ "x"'
    assert zones["soc"].used
    assert zones["package-x"].package == NO_PACKAGE


def test_a_nested_tree_shows_what_the_flat_one_does(tree, tmp_path):
    root = tree(
        {
            "intel-rapl": {"enabled": 1},
            "intel-rapl/intel-rapl:0": zone("package-0"),
            "intel-rapl/intel-rapl:0/intel-rapl:0:0": zone("dram"),
        }
    )
    (root / "intel-rapl/intel-rapl:0/intel-rapl:0:0/device").symlink_to("../")
    (root / "intel-rapl/intel-rapl:0/subsystem").symlink_to(root)

    assert set(found(root)) == {"package-0", "package-0/dram"}


def test_a_class_directory_of_links_shows_each_zone_once(tree, tmp_path):
    devices = tree(
        {"intel-rapl/intel-rapl:0": zone("package-0"), "intel-rapl/intel-rapl:0/intel-rapl:0:0": zone("dram")}, tmp_path / "devices"
    )
    root = tmp_path / "links"
    root.mkdir()
    for path in ("intel-rapl", "intel-rapl/intel-rapl:0", "intel-rapl/intel-rapl:0/intel-rapl:0:0"):
        (root / Path(path).name).symlink_to(devices / path)

    assert list(directories(str(root))) == ["intel-rapl:0", "intel-rapl:0:0"]
    assert set(found(root)) == {"package-0", "package-0/dram"}


def test_sixteen_packages_are_taken_in_the_order_of_their_numbers(tree):
    root = tree({f"intel-rapl:{index:x}": zone(f"package-{index}") for index in range(17)})

    assert list(found(root)) == [f"package-{index}" for index in range(17)]


class TestTwins:
    def tree_of_twins(self, tree, **mmio):
        return tree(
            {
                "intel-rapl-mmio:0": zone("package-0", 7000),
                "intel-rapl-mmio:0:0": zone("dram", 70),
                "intel-rapl:0": zone("package-0", 5000),
                "intel-rapl:0:0": zone("core", 50),
                "intel-rapl:0:2": zone("dram", 55),
            }
        )

    def test_a_package_that_two_control_types_count_is_read_once(self, tree):
        zones = found(self.tree_of_twins(tree))

        assert additive(zones) == {"package-0", "package-0/dram"}
        assert {name for name, each in zones.items() if each.used} == {"package-0", "package-0/core", "package-0/dram"}
        assert zones["package-0"].counter == "intel-rapl"
        assert zones["package-0/dram"].device == "intel-rapl:0:2"
        assert zones["package-0@intel-rapl-mmio:0"].dropped == "twin of intel-rapl:0"
        assert zones["package-0/dram@intel-rapl-mmio:0:0"].dropped == "twin of intel-rapl:0:2"

    def test_the_mapped_registers_stand_in_when_the_others_cannot_be_read(self, tree):
        root = self.tree_of_twins(tree)
        (root / "intel-rapl:0" / "energy_uj").write_text("")

        zones = found(root)

        assert zones["package-0"].counter == "intel-rapl-mmio"
        assert zones["package-0@intel-rapl:0"].dropped == "twin of intel-rapl-mmio:0"
        assert zones["package-0/dram"].device == "intel-rapl:0:2"
        assert zones["package-0/dram"].parent == "package-0"
        assert additive(zones) == {"package-0", "package-0/dram"}

    def test_the_registers_are_preferred_when_neither_can_be_read(self, tree):
        root = tree({"intel-rapl-mmio:0": zone("package-0", ""), "intel-rapl:0": zone("package-0", "")})

        assert found(root)["package-0"].counter == "intel-rapl"

    def test_a_machine_that_has_only_mapped_registers_is_measured_by_them(self, tree):
        zones = found(tree({"intel-rapl-mmio:0": zone("package-0"), "intel-rapl-mmio:0:0": zone("dram")}))

        assert additive(zones) == {"package-0", "package-0/dram"}

    def test_of_three_ways_to_a_package_one_is_read(self, tree):
        """Granite Rapids and later have TPMI, with the mapped registers beside it."""
        zones = found(
            tree(
                {
                    "intel-rapl-mmio:0": zone("package-0"),
                    "intel-rapl-tpmi:0": zone("package-0"),
                    "intel-rapl-tpmi:0:0": zone("dram"),
                    "intel-rapl-tpmi:1": zone("package-1"),
                }
            )
        )

        assert additive(zones) == {"package-0", "package-0/dram", "package-1"}
        assert {each.counter for each in zones.values() if each.used} == {"intel-rapl-tpmi"}

    def test_dram_that_only_the_mapped_registers_have_belongs_to_the_package_that_is_read(self, tree):
        zones = found(
            tree({"intel-rapl-mmio:0": zone("package-0"), "intel-rapl-mmio:0:0": zone("dram"), "intel-rapl:0": zone("package-0")})
        )

        assert additive(zones) == {"package-0", "package-0/dram"}
        assert zones["package-0/dram"].parent == "package-0"


class TestMirrors:
    DIES: ClassVar = {
        "intel-rapl:0": zone("package-0-die-0", 2535552910),
        "intel-rapl:0:0": zone("core", 1),
        "intel-rapl:1": zone("package-0-die-1", 2535552910),
        "intel-rapl:1:0": zone("core", 1),
    }

    def test_dies_that_show_one_moving_register_are_one(self, tree):
        root = tree(self.DIES)
        register = [2535552910]
        counters = Counters({f"{root}/intel-rapl:0/energy_uj": register, f"{root}/intel-rapl:1/energy_uj": register}, 15)

        zones = found(root, "AuthenticAMD", sysfs=counters.sysfs())

        assert additive(zones) == {"package-0-die-0"}
        assert zones["package-0-die-1"].dropped == "mirror of intel-rapl:0"
        assert zones["package-0-die-1/core"].dropped == "inside intel-rapl:1, which is a mirror"

    def test_dies_with_counters_of_their_own_stay(self, tree):
        root = tree(self.DIES)
        counters = Counters({f"{root}/intel-rapl:0/energy_uj": [2535552910], f"{root}/intel-rapl:1/energy_uj": [2535990000]}, 15)

        assert additive(found(root, sysfs=counters.sysfs())) == {"package-0-die-0", "package-0-die-1"}

    def test_dies_that_agree_once_and_then_part_stay(self, tree):
        root = tree(self.DIES)
        reads = {f"{root}/intel-rapl:0/energy_uj": iter([9, 9, 9, 30, 30]), f"{root}/intel-rapl:1/energy_uj": iter([9, 9, 20])}
        counters = Counters({}, 0)

        def pread(fd, size, offset):
            values = reads.get(counters.paths[fd])
            return b"%d\n" % next(values) if values else os.pread(fd, size, offset)

        sysfs = counters.sysfs()._replace(pread=pread)
        assert additive(found(root, sysfs=sysfs)) == {"package-0-die-0", "package-0-die-1"}

    def test_a_register_that_wraps_during_the_comparison_is_still_recognised(self, tree):
        root = tree(self.DIES)
        reads = iter([100, 5, 8, 11, 14, 17, 20, 23, 26, 29, 32, 35])
        counters = Counters({}, 0)
        paths = {f"{root}/intel-rapl:0/energy_uj", f"{root}/intel-rapl:1/energy_uj"}
        sysfs = counters.sysfs()._replace(
            pread=lambda fd, size, offset: b"%d\n" % next(reads) if counters.paths[fd] in paths else os.pread(fd, size, offset)
        )

        assert additive(found(root, "AuthenticAMD", sysfs=sysfs)) == {"package-0-die-0"}

    def test_registers_that_stand_still_at_one_value_are_taken_for_one(self, tree):
        waits = []
        zones = found(tree(self.DIES), sysfs=Sysfs(sleep=waits.append))

        assert additive(zones) == {"package-0-die-0"}
        assert 0.1 < sum(waits) < 1

    def test_registers_that_stand_still_at_zero_tell_nothing_and_stay(self, tree):
        root = tree({"intel-rapl:0": zone("package-0-die-0", 0), "intel-rapl:1": zone("package-0-die-1", 0)})

        assert additive(found(root, sysfs=Sysfs(sleep=lambda _s: None))) == {"package-0-die-0", "package-0-die-1"}

    def test_equal_counters_of_two_packages_are_no_mirrors(self, tree):
        root = tree({"intel-rapl:0": zone("package-0-die-0", 5), "intel-rapl:1": zone("package-1-die-0", 5)})

        assert additive(found(root)) == {"package-0-die-0", "package-1-die-0"}

    def test_a_die_that_cannot_be_read_is_not_compared(self, tree):
        root = tree({"intel-rapl:0": zone("package-0-die-0", 5), "intel-rapl:1": zone("package-0-die-1", "")})

        assert found(root)["package-0-die-1"].dropped == ""


@pytest.mark.parametrize("vendor", ["AuthenticAMD", "HygonGenuine"])
def test_core_zones_of_amd_are_off_unless_asked_for(tree, vendor):
    root = tree({"intel-rapl:0": zone("package-0"), "intel-rapl:0:0": zone("core")})

    assert found(root, vendor)["package-0/core"].dropped
    assert found(root, vendor, amd_core=True)["package-0/core"].used
    assert found(root, "GenuineIntel")["package-0/core"].used
    assert found(root, "")["package-0/core"].used


@pytest.mark.parametrize(
    ("content", "number"),
    [
        ("", errno.EBADMSG),
        ("n/a", errno.EBADMSG),
        ("-5", errno.EBADMSG),
        ("1.5", errno.EBADMSG),
        (1 << 64, errno.EBADMSG),
        (None, errno.ENOENT),
    ],
)
def test_a_counter_that_is_no_number_fails_alone(tree, content, number):
    zones = found(tree({"intel-rapl:0": zone("package-0", content), "intel-rapl:1": zone("package-1", (1 << 64) - 1)}))

    assert zones["package-0"].read_errno == number
    assert zones["package-0"].additive, "it will count as soon as it can be read"
    assert zones["package-1"].used


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENODATA, errno.EINVAL])
def test_an_error_of_one_attribute_touches_no_other(tree, number):
    root = tree(
        {"intel-rapl:0": zone("package-0", constraint_0_max_power_uw=5, constraint_1_max_power_uw=9), "intel-rapl:1": zone("psys")}
    )
    plain = Sysfs()

    def refuse(path):
        if path.endswith(("intel-rapl:0/energy_uj", "constraint_1_max_power_uw")):
            raise OSError(number, os.strerror(number))
        return plain.open(path)

    zones = found(root, sysfs=Sysfs(open=refuse))

    assert zones["package-0"].read_errno == number
    assert zones["package-0"].max_power_uw == 5
    assert zones["psys"].used


@pytest.mark.parametrize("content", [None, "", "0", "many"])
def test_a_range_that_is_not_told_is_unknown(tree, content):
    zones = found(tree({"intel-rapl:0": zone("package-0", max_energy_range_uj=content)}))

    assert zones["package-0"].range_uj == 0
    assert zones["package-0"].used


def test_a_zone_without_a_name_is_no_zone(tree):
    assert found(tree({"intel-rapl:0": {"energy_uj": 1}, "intel-rapl:1": {"name": "", "energy_uj": 1}})) == {}


def test_a_child_whose_parent_is_missing_is_listed_and_not_summed(tree):
    zones = found(tree({"intel-rapl:4:0": zone("dram")}))

    assert (zones["dram"].parent, zones["dram"].additive) == ("", False)


def test_one_name_twice_in_a_control_type_stays_two_zones(tree):
    root = tree(
        {
            "intel-rapl:0": zone("package-0", 10),
            "intel-rapl:1": zone("package-0", 5000),
            "intel-rapl:1:0": zone("dram"),
        }
    )

    zones = found(root)

    assert additive(zones) == {"package-0", "package-0@intel-rapl:1", "package-0/dram"}
    assert zones["package-0/dram"].parent == "package-0@intel-rapl:1"


def test_a_missing_tree_has_no_zones(tmp_path):
    assert discover(str(tmp_path / "nowhere"), "GenuineIntel") == []


def test_reading_leaves_no_descriptor_open(tree):
    root = tree(
        {"intel-rapl:0": zone("package-0"), "intel-rapl:1": zone("package-0-die-1", ""), "intel-rapl:2": zone("psys", None)}
    )
    before = len(os.listdir("/proc/self/fd"))

    discover(str(root), "GenuineIntel")

    assert len(os.listdir("/proc/self/fd")) == before
