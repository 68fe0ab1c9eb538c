"""Reading zones while they fail, come, go and become readable; raw values with their own times."""

import errno
import os
import shutil

import pytest

from energyd.powercap.choice import Choice
from energyd.powercap.rapl import Rapl
from energyd.powercap.sensor import LOST_RESCAN_NS, NO_CHANGE, RESCAN_NS, Sensor
from energyd.powercap.sysfs import Sysfs
from energyd.powercap.zone import Reader, Zone
from energyd.samples import FAILED, POWER


class FakeTime:
    """A monotonic clock that takes 10 ns more at every look."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000

    def mono_ns(self) -> int:
        self.now_ns += 10
        return self.now_ns


class Kernel:
    """Calls the real kernel, except for paths that have been told to fail."""

    def __init__(self) -> None:
        self.open_errors: dict[str, int] = {}
        self.read_errors: dict[str, int] = {}
        self.paths: dict[int, str] = {}

    def open(self, path: str) -> int:
        if path in self.open_errors:
            raise OSError(self.open_errors[path], "injected")
        fd = os.open(path, os.O_RDONLY)
        self.paths[fd] = path
        return fd

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        if self.paths[fd] in self.read_errors:
            raise OSError(self.read_errors[self.paths[fd]], "injected")
        return os.pread(fd, size, offset)


@pytest.fixture
def clock():
    return FakeTime()


@pytest.fixture
def kernel():
    return Kernel()


@pytest.fixture
def root(tree):
    return tree(
        {
            "intel-rapl:0": {"name": "package-0", "energy_uj": 100},
            "intel-rapl:0:0": {"name": "dram", "energy_uj": 7},
            "intel-rapl:1": {"name": "psys", "energy_uj": 500},
        }
    )


def sensor_of(root, clock, sysfs=None):
    return Sensor([Rapl(str(root), "GenuineIntel", None, sysfs)], Choice(["rapl"]), clock.mono_ns)


@pytest.fixture
def sensor(root, clock, kernel):
    sensor = sensor_of(root, clock, Sysfs(kernel.open, kernel.pread))
    yield sensor
    sensor.close()


def swept(sensor):
    """{zone: (status, value, mono_ns, read_ns)} of one sweep."""
    names = [zone.name for zone in sensor.zones]
    samples = sensor.sweep({name: number for number, name in enumerate(names)})
    assert all(payload[2:] == (0, 0) for _, _, payload, _ in samples)
    return {names[kind]: (status, payload[0], mono_ns, payload[1]) for kind, mono_ns, payload, status in samples}


def values(sensor):
    return {name: reading[:2] for name, reading in swept(sensor).items()}


def names(zones):
    return sorted(zone.name for zone in zones)


def open_files():
    return len(os.listdir("/proc/self/fd"))


def test_the_first_rescan_announces_every_zone(sensor):
    change = sensor.rescan()

    assert names(change.appeared) == ["package-0", "package-0/dram", "psys"]
    assert change.vanished == ()
    assert values(sensor) == {"package-0": (0, 100), "package-0/dram": (0, 7), "psys": (0, 500)}


def test_nothing_is_looked_for_between_two_rescans(sensor, root, clock):
    sensor.rescan()
    shutil.rmtree(root / "intel-rapl:1")

    assert sensor.rescan() is NO_CHANGE
    clock.now_ns += RESCAN_NS
    assert names(sensor.rescan().vanished) == ["psys"]


def test_raw_values_are_passed_on_as_they_are(sensor, root):
    sensor.rescan()
    for value in (262143328850, 3, 0, (1 << 64) - 1):
        (root / "intel-rapl:0" / "energy_uj").write_text(f"{value}\n")

        assert values(sensor)["package-0"] == (0, value)


def test_every_reading_has_the_time_of_its_own_read(sensor, clock):
    sensor.rescan()
    before_ns = clock.now_ns

    readings = swept(sensor).values()

    assert [mono_ns - before_ns for _, _, mono_ns, _ in readings] == [15, 25, 35]
    assert [read_ns for *_, read_ns in readings] == [10, 10, 10]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENODATA, errno.EIO])
def test_a_read_that_fails_touches_no_other_zone_and_is_tried_again(sensor, root, kernel, number):
    sensor.rescan()
    kernel.read_errors[f"{root}/intel-rapl:0/energy_uj"] = number

    assert values(sensor) == {"package-0": (FAILED, number), "package-0/dram": (0, 7), "psys": (0, 500)}
    assert [(zone.name, why) for zone, why in sensor.failed] == [("package-0", number)]

    kernel.read_errors.clear()
    assert values(sensor)["package-0"] == (0, 100)
    assert sensor.failed == []


@pytest.mark.parametrize("content", ["", "garbage", "-3", str(1 << 64)])
def test_what_is_no_counter_value_is_a_failed_read(sensor, root, content):
    sensor.rescan()
    (root / "intel-rapl:0" / "energy_uj").write_text(content)

    assert values(sensor)["package-0"] == (FAILED, errno.EBADMSG)


@pytest.mark.parametrize("number", [errno.ENODEV, errno.ENOENT, errno.ENXIO])
def test_a_zone_whose_device_has_gone_answers_once_and_is_looked_for_soon(sensor, root, kernel, clock, number):
    sensor.rescan()
    kernel.read_errors[f"{root}/intel-rapl:1/energy_uj"] = number

    assert values(sensor)["psys"] == (FAILED, number)
    assert "psys" not in values(sensor)
    assert sensor.rescan() is NO_CHANGE

    kernel.read_errors.clear()
    clock.now_ns += LOST_RESCAN_NS
    change = sensor.rescan()
    assert names(change.vanished) == ["psys"]
    assert names(change.appeared) == ["psys"]
    assert values(sensor)["psys"] == (0, 500)


def test_a_zone_that_was_made_anew_is_announced_again_under_its_name(sensor, root, tree, clock):
    sensor.rescan()
    (root / "intel-rapl:1").rename(root.parent / "old")
    tree({"intel-rapl:1": {"name": "psys", "energy_uj": 1}})
    assert values(sensor)["psys"] == (0, 500), "the descriptor still shows the old one"

    clock.now_ns += RESCAN_NS
    change = sensor.rescan()

    assert (names(change.vanished), names(change.appeared)) == (["psys"], ["psys"])
    assert values(sensor)["psys"] == (0, 1)


def test_a_zone_that_moves_to_another_index_keeps_its_name(sensor, root, clock):
    sensor.rescan()
    (root / "intel-rapl:1").rename(root / "intel-rapl:2")

    clock.now_ns += RESCAN_NS
    change = sensor.rescan()

    assert (names(change.vanished), names(change.appeared)) == (["psys"], ["psys"])
    assert sensor.zones[-1].device == "intel-rapl:2"


def test_permission_that_is_given_late_is_noticed(sensor, root, kernel, clock):
    path = f"{root}/intel-rapl:0/energy_uj"
    kernel.open_errors[path] = errno.EACCES

    assert next(zone for zone in sensor.rescan().appeared if zone.name == "package-0").read_errno == errno.EACCES
    assert "package-0" not in values(sensor)
    clock.now_ns += RESCAN_NS
    assert sensor.rescan() is not None
    assert names(sensor.zones) == ["package-0", "package-0/dram", "psys"]

    kernel.open_errors.clear()
    clock.now_ns += RESCAN_NS
    change = sensor.rescan()

    assert names(change.appeared) == ["package-0"]
    assert change.appeared[0].used
    assert values(sensor)["package-0"] == (0, 100)


def test_a_zone_that_stays_unreadable_is_announced_once(sensor, root, kernel, clock):
    kernel.open_errors[f"{root}/intel-rapl:0/energy_uj"] = errno.EACCES
    sensor.rescan()

    for _ in range(3):
        clock.now_ns += RESCAN_NS
        change = sensor.rescan()
        assert (change.appeared, change.vanished) == ((), ())


def test_a_range_that_can_be_read_late_is_announced(sensor, root, kernel, clock):
    kernel.open_errors[f"{root}/intel-rapl:1/max_energy_range_uj"] = errno.EACCES
    sensor.rescan()
    kernel.open_errors.clear()
    clock.now_ns += RESCAN_NS

    change = sensor.rescan()

    assert [zone.range_uj for zone in change.vanished] == [0]
    assert [zone.range_uj for zone in change.appeared] == [262143328850]


def test_a_zone_that_goes_between_listing_and_opening_is_looked_for_again(root, kernel, clock):
    path = f"{root}/intel-rapl:1/energy_uj"
    opened = []

    def open_once(wanted):
        opened.append(wanted)
        if wanted == path and opened.count(path) == 2:
            raise OSError(errno.ENOENT, "injected")
        return Kernel.open(kernel, wanted)

    sensor = sensor_of(root, clock, Sysfs(open_once, kernel.pread))
    sensor.rescan()
    assert "psys" not in values(sensor)

    clock.now_ns += LOST_RESCAN_NS
    sensor.rescan()
    assert values(sensor)["psys"] == (0, 500)


def test_zones_that_were_not_there_at_the_start_are_found(tmp_path, tree, clock):
    sensor = sensor_of(tmp_path / "class" / "powercap", clock)
    assert sensor.rescan() is NO_CHANGE
    assert sensor.sweep({}) == []

    tree({"intel-rapl:0": {"name": "package-0", "energy_uj": 3}})
    clock.now_ns += RESCAN_NS

    assert names(sensor.rescan().appeared) == ["package-0"]
    assert values(sensor) == {"package-0": (0, 3)}
    sensor.close()


def test_dropped_zones_are_announced_and_never_opened(tree, clock):
    root = tree(
        {
            "intel-rapl:0": {"name": "package-0", "energy_uj": 3},
            "intel-rapl-mmio:0": {"name": "package-0", "energy_uj": 4},
        }
    )
    sensor = sensor_of(root, clock)

    assert len(sensor.rescan().appeared) == 2
    assert values(sensor) == {"package-0": (0, 3)}
    sensor.close()


def test_descriptors_stay_as_many_while_zones_come_and_go(sensor, root, tree, clock, tmp_path):
    sensor.rescan()
    before = open_files()

    for round_ in range(50):
        (root / "intel-rapl:1").rename(tmp_path / f"old-{round_}")
        clock.now_ns += RESCAN_NS
        sensor.rescan()
        assert open_files() == before - 1
        tree({"intel-rapl:1": {"name": "psys", "energy_uj": round_}})
        clock.now_ns += RESCAN_NS
        sensor.rescan()

    assert open_files() == before
    assert values(sensor)["psys"] == (0, 49)


def test_closing_lets_go_of_every_descriptor(root, clock):
    before = open_files()
    sensor = sensor_of(root, clock)
    sensor.rescan()
    assert open_files() == before + 3

    sensor.close()

    assert open_files() == before


class Indicator:
    """A source of one zone that shows a power, once a second."""

    period_ns = 1_000_000_000

    def __init__(self, name="board", additive=True):
        self.zone = Zone(name, "board", "hwmon", f"hwmon {name}", f"hwmon0/{name}", "", power=True, additive=additive)
        self.reads = 0
        self.closed = 0

    def fingerprint(self):
        return {self.zone.device: 1}

    def discover(self):
        return [self.zone]

    def open(self, zone):
        assert zone.device == self.zone.device
        return Reader(self.read, self.close)

    def read(self):
        self.reads += 1
        return b"5000000\n"

    def close(self):
        self.closed += 1


def test_a_slow_source_is_read_at_its_own_pace_beside_a_fast_one(root, clock):
    board = Indicator()
    sensor = Sensor([Rapl(str(root), ""), board], Choice(["rapl", "hwmon"]), clock.mono_ns)
    sensor.rescan()
    clock.now_ns += 10_000_000_000

    seen = []
    for _ in range(40):
        clock.now_ns += 100_000_000
        seen.append(values(sensor))

    assert [len(each) for each in seen].count(3) == 36
    assert [each["board"] for each in seen if "board" in each] == [(POWER, 5_000_000)] * 4
    sensor.close()
    assert board.closed == 1


def test_only_the_preferred_source_is_the_host(root, clock):
    sensor = Sensor([Rapl(str(root), ""), Indicator()], Choice(["hwmon", "rapl"]), clock.mono_ns)

    assert [zone.name for zone in sensor.rescan().appeared if zone.additive] == ["board"]
    sensor.close()


def test_a_better_source_that_comes_late_takes_over_and_is_not_replaced_when_it_goes(tmp_path, tree, clock):
    board = Indicator()
    root = tmp_path / "class" / "powercap"
    sensor = Sensor([Rapl(str(root), ""), board], Choice(["rapl", "hwmon"]), clock.mono_ns)
    assert [zone.name for zone in sensor.rescan().appeared if zone.additive] == ["board"]

    tree({"intel-rapl:0": {"name": "package-0", "energy_uj": 3}})
    clock.now_ns += RESCAN_NS
    change = sensor.rescan()
    assert [(zone.name, zone.additive) for zone in change.appeared] == [("package-0", True), ("board", False)]
    assert [(zone.name, zone.additive) for zone in change.vanished] == [("board", True)]

    shutil.rmtree(root)
    clock.now_ns += RESCAN_NS
    change = sensor.rescan()
    assert names(change.vanished) == ["package-0"]
    assert change.appeared == (), "the board measures something else than the package that is missing"
    sensor.close()
