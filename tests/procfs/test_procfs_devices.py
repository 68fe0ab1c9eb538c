"""Cores, disks, interfaces and load: what their files say, and that another device under the same name is another label."""

import os
from pathlib import Path

import pytest
from procworld import ProcWorld

from energyd.procfs.devices import Devices, parse_cores, parse_disks, parse_interfaces, parse_load
from energyd.procfs.files import CounterFiles
from energyd.procfs.scan import Sample
from energyd.procfs.stat import NS_PER_TICK
from energyd.samples import FIELDS, FIGURES, GONE

STAT = b"cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu12 11 0 0 0 0 0 0 0 0 0\nintr 5 1 2\nctxt 7\n"
DISKS = b"""\
   7       0 loop0 1 1 1 1 1 1 1 1 1 1 1
   8       0 sda 10 1 200 30 40 5 600 70 3 80 90 1 2 3 4 5 6
   8       1 sda1 10 1 200 30 40 5 600 70 3 80 90
 259       0 nvme0n1 1 0 2 3 4 0 5 6 0 7 8
 259       1 nvme0n1p1 1 0 2 3 4 0 5 6 0 7 8
 179       0 mmcblk0 1 0 2 3 4 0 5 6 0 7 8
 179       1 mmcblk0p1 1 0 2 3 4 0 5 6 0 7 8
 253       0 dm-0 1 0 2 3 4 0 5 6 0 7 8
"""
NET = b"""\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     900       9    0    0    0     0          0         0      900       9    0    0    0     0       0          0
  eth0:    1000      10    1    2    0     0          0         0     2000      20    3    4    0     0       0          0
 br:0a: 7 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0
"""


def test_each_core_has_its_modes_in_nanoseconds() -> None:
    cores = parse_cores(STAT)
    assert cores[b"0"] == tuple(ticks * NS_PER_TICK for ticks in range(1, 9))
    assert cores[b"12"][0] == 11 * NS_PER_TICK
    assert set(cores) == {b"0", b"12"}


def test_a_core_whose_line_is_cut_off_is_left_out() -> None:
    assert set(parse_cores(STAT[: STAT.index(b"cpu12") + 12])) == {b"0"}
    assert parse_cores(b"") == {}


def test_partitions_and_loops_are_no_disks() -> None:
    disks = parse_disks(DISKS)
    assert set(disks) == {b"sda", b"nvme0n1", b"mmcblk0", b"dm-0"}
    assert dict(zip(FIELDS["disk"], disks[b"sda"], strict=True)) == {
        "reads": 10,
        "read_bytes": 200 * 512,
        "read_ms": 30,
        "writes": 40,
        "written_bytes": 600 * 512,
        "write_ms": 70,
        "busy_ms": 80,
        "weighted_ms": 90,
    }


def test_interfaces_without_the_loopback_and_with_names_that_hold_colons() -> None:
    assert parse_interfaces(NET) == {b"eth0": (1000, 10, 1, 2, 2000, 20, 3, 4), b"br:0a": (7, 1, 0, 0, 8, 1, 0, 0)}


def test_load_is_in_hundredths() -> None:
    assert parse_load(b"0.50 12.25 0.07 1/100 4242\n") == {b"": (50, 1225, 7)}


class Machine:
    """A machine of files; `scan` tells (kind of thing, name, {field: figure}, gone)."""

    def __init__(self, world: ProcWorld, sysfs: Path) -> None:
        self.world, self.sysfs = world, sysfs
        (world.root / "1" / "net").mkdir(parents=True)
        self.stat = STAT
        self.write(diskstats=DISKS, loadavg=b"0.50 0.25 0.10 1/100 4242\n")
        self.net(NET)
        self.devices = Devices(str(world.root), str(sysfs), CounterFiles(0), world.sink)

    def write(self, **files: bytes) -> None:
        for name, content in files.items():
            (self.world.root / name).write_bytes(content)

    def net(self, content: bytes) -> None:
        (self.world.root / "1" / "net" / "dev").write_bytes(content)

    def number(self, place: str, value: int) -> None:
        (self.sysfs / place).parent.mkdir(parents=True, exist_ok=True)
        (self.sysfs / place).write_text(f"{value}\n")

    def scan(self, keyframe: bool = False) -> list[tuple[str, str, dict[str, int], bool]]:
        return [self.told(sample) for sample in self.devices.scan(keyframe, self.stat)]

    def told(self, sample: Sample) -> tuple[str, str, dict[str, int], bool]:
        kind, _, (consumer, first, *figures), status = sample
        assert kind == FIGURES
        entry = self.world.labels[consumer]
        names = FIELDS[entry["kind"]][first : first + 3]
        return entry["kind"], entry["name"], dict(zip(names, figures, strict=False)), bool(status & GONE)


@pytest.fixture
def machine(world: ProcWorld, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(world, tmp_path_factory.mktemp("sys"))


def test_the_first_scan_tells_everything_and_the_next_only_what_moved(machine: Machine) -> None:
    everything = machine.scan()
    assert {(kind, name) for kind, name, _, _ in everything} >= {
        ("core", "12"),
        ("disk", "sda"),
        ("interface", "eth0"),
        ("load", ""),
    }
    assert machine.scan() == []
    machine.net(NET.replace(b"2000", b"2500"))
    moved = {"transmit_bytes": 2500, "receive_dropped": 2, "transmit_packets": 20}
    assert machine.scan() == [("interface", "eth0", moved, False)]
    assert len(machine.scan(keyframe=True)) == len(everything)


def test_cores_stay_as_they_are_when_their_file_cannot_be_read_for_once(machine: Machine) -> None:
    machine.scan()
    machine.stat = b""
    assert machine.scan() == []


def test_an_interface_that_has_gone_is_said_to_have_gone(machine: Machine) -> None:
    machine.scan()
    machine.net(b"\n".join(NET.splitlines()[:3]))
    assert {(name, gone) for _, name, _, gone in machine.scan()} == {("eth0", True), ("br:0a", True)}
    machine.net(NET)
    assert {(name, gone) for _, name, _, gone in machine.scan()} == {("eth0", False), ("br:0a", False)}


def test_a_counter_that_falls_is_a_wrap_or_another_device_by_its_number(machine: Machine) -> None:
    machine.number("class/net/eth0/ifindex", 2)
    machine.scan()
    labels = len(machine.world.labels)
    machine.net(NET.replace(b"1000", b"5"))
    machine.scan()
    assert len(machine.world.labels) == labels, "the same interface: its counter has wrapped"
    machine.number("class/net/eth0/ifindex", 7)
    machine.net(NET.replace(b"1000", b"4"))
    machine.scan()
    assert [entry["identity"] for entry in list(machine.world.labels.values())[labels:]] == ["7"]


def test_a_disk_is_known_by_its_sequence_number(machine: Machine) -> None:
    machine.number("block/sda/diskseq", 9)
    machine.scan()
    assert {entry["identity"] for entry in machine.world.labels.values() if entry["name"] == "sda"} == {"9"}


def test_relabelled_devices_go_on_under_their_new_labels(machine: Machine) -> None:
    before = machine.scan()
    labels = len(machine.world.labels)
    machine.devices.relabel()
    assert len(machine.world.labels) == 2 * labels
    assert machine.scan(keyframe=True) == before


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(machine: Machine) -> None:
    machine.write(diskstats=b"8 0 sda one two\n")
    (machine.world.root / "loadavg").unlink()
    assert {kind for kind, _, _, _ in machine.scan()} == {"core", "interface"}
    assert {kind for kind, _ in machine.world.faults} == {"devices diskstats", "devices loadavg"}
    assert machine.devices.read_errors == 2


def test_a_file_of_many_pages_is_read_to_its_end(world: ProcWorld) -> None:
    lines = b"".join(b"%5d: %s\n" % (number, b"0 " * 16) for number in range(3000))
    (world.root / "1" / "net").mkdir(parents=True)
    (world.root / "1" / "net" / "dev").write_bytes(NET + lines)
    for limit in (0, 8):
        files = CounterFiles(limit)
        assert len(parse_interfaces(files.read_whole(os.fsencode(world.root / "1/net/dev")))) == 3002
        files.close()


def test_on_this_machine_figures_are_those_of_the_kernel(world: ProcWorld) -> None:
    files = CounterFiles(16)
    devices = Devices("/proc", "/sys", files, world.sink)
    begin = parse_interfaces(Path("/proc/1/net/dev").read_bytes())
    told = devices.scan(True, Path("/proc/stat").read_bytes())
    cores = {world.labels[consumer]["name"] for _, _, (consumer, *_), _ in told if world.labels[consumer]["kind"] == "core"}
    assert len(cores) == os.sysconf("SC_NPROCESSORS_ONLN")
    received = {
        world.labels[consumer]["name"]: one
        for _, _, (consumer, first, one, _, _), _ in told
        if world.labels[consumer]["kind"] == "interface" and first == 0
    }
    assert all(received[name.decode()] >= values[0] for name, values in begin.items())
    assert not world.faults
    files.close()
