"""RAPL through perf_event: events, packages and permissions, with a kernel that the test plays, and once with the real one."""

import errno
import os
import struct

import pytest

from clocks import TurnedClock
from energyd.powercap.advice import explain
from energyd.powercap.choice import Choice
from energyd.powercap.perf import PerfEvents, open_event, parse_cpus
from energyd.powercap.rapl import Rapl
from energyd.powercap.sensor import NO_CHANGE, RESCAN_NS, Sensor

SCALE = "2.3283064365386962890625e-10"
EVENTS = {"energy-cores": 1, "energy-pkg": 2, "energy-ram": 3, "energy-gpu": 4, "energy-psys": 5}
JOULE = 1 << 32


class Kernel:
    """perf_event_open that gives out pipes; `counts` are what the events show, by (config, cpu)."""

    def __init__(self, tmp_path):
        self.tmp_path = tmp_path
        self.refused = 0
        self.opened = []

    def open(self, pmu_type, config, cpu):
        if self.refused:
            raise OSError(self.refused, os.strerror(self.refused))
        assert pmu_type == 9
        self.opened.append((config, cpu))
        path = self.tmp_path / f"event-{config}-{cpu}"
        path.write_bytes(struct.pack("<Q", 0))
        return os.open(path, os.O_RDONLY)

    def count(self, config, cpu, joules):
        """Read by os.read, which goes on behind what it has read: the file grows by what it shows now."""
        with open(self.tmp_path / f"event-{config}-{cpu}", "ab") as file:
            file.write(struct.pack("<Q", round(joules * JOULE)))


@pytest.fixture
def kernel(tmp_path):
    return Kernel(tmp_path)


@pytest.fixture
def sysfs(tmp_path):
    def make(events=EVENTS, cpumask="0", topology=((0, 0, 0),)):
        power = tmp_path / "devices/power"
        (power / "events").mkdir(parents=True)
        (power / "type").write_text("9\n")
        (power / "cpumask").write_text(f"{cpumask}\n")
        for name, code in events.items():
            (power / "events" / name).write_text(f"event=0x{code:02x}\n")
            (power / "events" / f"{name}.scale").write_text(f"{SCALE}\n")
        for cpu, package, die in topology:
            directory = tmp_path / f"devices/system/cpu/cpu{cpu}/topology"
            directory.mkdir(parents=True)
            (directory / "physical_package_id").write_text(f"{package}\n")
            (directory / "die_id").write_text(f"{die}\n")
        return str(tmp_path)

    return make


def perf(root, kernel, vendor="GenuineIntel"):
    return PerfEvents(root, vendor, lambda: 77, kernel.open)


def test_each_event_is_a_zone_of_its_package(sysfs, kernel):
    zones = perf(sysfs(cpumask="0,24", topology=((0, 0, 0), (24, 1, 0))), kernel).zones()

    assert [(zone.name, zone.parent, zone.package, zone.additive) for zone in zones] == [
        ("package-0", "", 0, True),
        ("package-1", "", 1, True),
        ("package-0/dram", "package-0", 0, True),
        ("package-1/dram", "package-1", 1, True),
        ("package-0/core", "package-0", 0, False),
        ("package-1/core", "package-1", 1, False),
        ("package-0/uncore", "package-0", 0, False),
        ("package-1/uncore", "package-1", 1, False),
        ("psys", "", -1, False),
    ]
    assert {zone.source for zone in zones} == {"rapl"}
    assert kernel.opened.count((5, 0)) == 1
    assert (5, 24) not in kernel.opened, "the platform is counted once"


def test_dies_of_a_package_are_zones_of_their_own(sysfs, kernel):
    zones = perf(sysfs({"energy-pkg": 2}, "0,8", ((0, 0, 0), (8, 0, 1))), kernel).zones()

    assert [(zone.name, zone.die) for zone in zones] == [("package-0-die-0", 0), ("package-0-die-1", 1)]


def test_of_an_amd_processor_only_the_package_is_believed(sysfs, kernel):
    assert [zone.name for zone in perf(sysfs(), kernel, "AuthenticAMD").zones()] == ["package-0"]


def test_counts_are_microjoules_by_the_scale_of_the_event(sysfs, kernel):
    events = perf(sysfs({"energy-pkg": 2}), kernel)
    (zone,) = events.zones()
    reader = events.open(zone)
    kernel.count(2, 0, 1234.5)
    kernel.count(2, 0, 4_000_000_000)

    assert [reader.read() for _ in range(3)] == [0, 1_234_500_000, 4_000_000_000_000_000]
    events.close()


def test_an_event_stays_open_and_is_the_same_register_when_it_is_found_again(sysfs, kernel):
    events = perf(sysfs({"energy-pkg": 2}), kernel)
    (first,) = events.zones()
    events.open(first).close()
    (again,) = events.zones()

    assert first == again
    assert first.baseline == "perf_event@77"
    assert kernel.opened == [(2, 0)]
    events.close()


@pytest.mark.parametrize("missing", ["devices/power/type", "devices/power/events/energy-pkg"])
def test_without_the_pmu_or_its_package_there_is_nothing(sysfs, kernel, tmp_path, missing):
    """A guest's kernel lists energy-psys alone, and it shows 0 for ever."""
    root = sysfs()
    (tmp_path / missing).unlink()

    assert perf(root, kernel).zones() == []
    assert perf("/nowhere", kernel).zones() == []


def test_where_it_is_not_allowed_the_zones_say_so_and_the_advice_says_how(sysfs, kernel, tmp_path):
    kernel.refused = errno.EACCES
    root = sysfs({"energy-pkg": 2})
    zones = perf(root, kernel).zones()

    assert [zone.read_errno for zone in zones] == [errno.EACCES]
    (sentence,) = explain(zones, f"{root}/class/powercap", "/proc")
    assert "sudo sysctl kernel.perf_event_paranoid=0" in sentence
    assert "CAP_PERFMON" in sentence


def sensor(root, kernel, clock):
    rapl = Rapl(f"{root}/class/powercap", "GenuineIntel", perf(root, kernel))
    return Sensor([rapl], Choice(["rapl"]), clock.mono_ns)


def used(found):
    return {zone.name: zone.counter for zone in found.zones if zone.used}


def test_it_stands_in_for_a_powercap_tree_that_is_missing(sysfs, kernel):
    found = sensor(sysfs({"energy-pkg": 2}), kernel, TurnedClock(0))
    found.rescan()

    assert used(found) == {"package-0": "perf_event"}


def test_it_is_not_even_opened_where_the_tree_can_be_read(sysfs, kernel, tree):
    root = sysfs({"energy-pkg": 2})
    tree({"intel-rapl:0": {"name": "package-0", "energy_uj": 5}})
    found = sensor(root, kernel, TurnedClock(0))
    found.rescan()

    assert used(found) == {"package-0": "intel-rapl"}
    assert kernel.opened == []
    found.close()


def test_it_stands_in_for_counters_that_may_not_be_read_and_stays_when_they_may(sysfs, kernel, tree):
    """Both are the same register: a change would cost a baseline and gain nothing."""
    root, clock = sysfs({"energy-pkg": 2}), TurnedClock(0)
    tree({"intel-rapl:0": {"name": "package-0", "energy_uj": ""}, "intel-rapl:0:0": {"name": "core", "energy_uj": 7}})
    found = sensor(root, kernel, clock)
    found.rescan()
    assert used(found) == {"package-0": "perf_event", "package-0/core": "intel-rapl"}
    assert [zone.dropped for zone in found.zones if zone.device == "intel-rapl:0"] == ["twin of power/energy-pkg@cpu0"]

    with open(f"{root}/class/powercap/intel-rapl:0/energy_uj", "w") as file:
        file.write("5\n")
    clock.now_ns += RESCAN_NS

    assert found.rescan() == NO_CHANGE
    found.close()


@pytest.mark.parametrize(("text", "cpus"), [("0", [0]), ("0-2,8", [0, 1, 2, 8]), ("", []), ("none", [])])
def test_lists_of_cpus(text, cpus):
    assert parse_cpus(text) == cpus


def test_the_real_kernel_takes_our_attribute():
    """PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK on CPU 0: another PMU, the same system call and the same structure."""
    try:
        fd = open_event(1, 0, 0)
    except OSError as error:
        pytest.skip(f"perf_event_open is not for this user or machine: {error}")
    try:
        first, second = (struct.unpack("<Q", os.read(fd, 8))[0] for _ in range(2))
        assert 0 < first < second
    finally:
        os.close(fd)


def test_a_pmu_that_is_not_there_is_an_errno():
    with pytest.raises(OSError, match=r".+"):
        open_event(0xFFFFFF, 0, 0)
