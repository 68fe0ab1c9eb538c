"""Disk traffic and network interfaces of control groups, in a tree of files and in real namespaces."""

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from procworld import Children, ProcWorld

from energyd.procfs.belongings import DiskTraffic, Networks, parse_io
from energyd.procfs.cgroup import CPUACCT, V2, Mount
from energyd.procfs.files import CounterFiles
from energyd.procfs.scan import Sample
from energyd.samples import GONE

HEAD = b"Inter-|\n face |\n"
LINE = b" %s: %d 1 0 0 0 0 0 0 %d 2 0 0 0 0 0 0\n"


def net(inside: bytes = b"eth0", received: int = 10, sent: int = 20) -> bytes:
    return HEAD + LINE % (b"lo", 1, 1) + LINE % (inside, received, sent)


def test_v2_adds_up_its_devices() -> None:
    data = b"8:0 rbytes=100 wbytes=7 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=10 wbytes=1\n9:0\n"
    assert parse_io(V2, data) == (110, 8)
    assert parse_io(V2, b"") == (0, 0)


def test_v1_adds_up_its_devices_and_not_their_total() -> None:
    data = b"8:0 Read 100\n8:0 Write 7\n8:0 Sync 107\n8:0 Total 107\n8:16 Read 1\nTotal 108\n"
    assert parse_io(CPUACCT, data) == (101, 7)


@pytest.fixture
def io_groups(tmp_path: Path, world: ProcWorld) -> tuple[Path, DiskTraffic]:
    mounts = {
        V2: Mount(frozenset({V2}), b"/", os.fsencode(tmp_path)),
        "blkio": Mount(frozenset({"blkio"}), b"/", os.fsencode(tmp_path)),
    }
    for group in ("a", "b", "old"):
        (tmp_path / group).mkdir()
    (tmp_path / "a/io.stat").write_text("8:0 rbytes=100 wbytes=7\n")
    (tmp_path / "b/io.stat").write_text("")
    (tmp_path / "old/blkio.throttle.io_service_bytes").write_text("8:0 Read 5\n8:0 Write 6\n")
    return tmp_path, DiskTraffic(mounts, CounterFiles(8), world.sink)


def told(world: ProcWorld, samples: list[Sample]) -> list[tuple[Any, ...]]:
    """(control group, name, first two figures, gone)."""
    return [
        (world.labels[consumer]["cgroup"], world.labels[consumer]["name"], (one, two), bool(status & GONE))
        for _, _, (consumer, _first, one, two, _), status in samples
    ]


GROUPS = [(V2, b"/a"), (V2, b"/b"), (CPUACCT, b"/old"), (V2, b"/without")]


def test_groups_without_disk_traffic_are_left_out(world: ProcWorld, io_groups: tuple[Path, DiskTraffic]) -> None:
    tree, traffic = io_groups
    first = told(world, traffic.scan(GROUPS, keyframe=True))
    assert sorted(first) == [("/a", "", (100, 7), False), ("/old", "", (5, 6), False)]
    assert traffic.scan(GROUPS, keyframe=False) == []
    (tree / "b/io.stat").write_text("8:0 rbytes=1 wbytes=0\n")
    assert told(world, traffic.scan(GROUPS, keyframe=False)) == [("/b", "", (1, 0), False)]
    assert told(world, traffic.scan(GROUPS[1:], keyframe=False)) == [("/a", "", (100, 7), True)]
    assert not world.faults


def test_a_controller_that_is_switched_on_later_is_found_at_a_keyframe(
    world: ProcWorld, io_groups: tuple[Path, DiskTraffic]
) -> None:
    tree, traffic = io_groups
    traffic.scan(GROUPS, keyframe=True)
    (tree / "without").mkdir()
    (tree / "without/io.stat").write_text("8:0 rbytes=9 wbytes=9\n")
    assert traffic.scan(GROUPS, keyframe=False) == []
    assert ("/without", "", (9, 9), False) in told(world, traffic.scan(GROUPS, keyframe=True))


def test_relabelled_groups_are_told_under_their_new_labels(world: ProcWorld, io_groups: tuple[Path, DiskTraffic]) -> None:
    _, traffic = io_groups
    before = told(world, traffic.scan(GROUPS, keyframe=True))
    traffic.relabel()
    assert told(world, traffic.scan(GROUPS, keyframe=True)) == before
    assert len(world.labels) == 4


class Namespaces:
    """Processes with a net/dev each; those that share a namespace share the file."""

    def __init__(self, world: ProcWorld) -> None:
        self.world = world
        world.process(1)
        self.write(1, net(b"host0"))
        (world.root / "self").symlink_to(world.root / "1")
        mounts = {V2: Mount(frozenset({V2}), b"/", b"/none")}
        self.scanner = world.scanner(mounts)
        self.networks = Networks(str(world.root), self.scanner.table, world.sink)

    def write(self, pid: int, content: bytes) -> None:
        (self.world.root / str(pid) / "net").mkdir(exist_ok=True)
        (self.world.root / str(pid) / "net/dev").write_bytes(content)

    def process(self, pid: int, cgroup: bytes, shared_with: int = 0, content: bytes = b"") -> None:
        self.world.process(pid, cgroup=b"0::" + cgroup + b"\n", start_ticks=pid)
        if shared_with:
            (self.world.root / str(pid) / "net").mkdir()
            os.link(self.world.root / str(shared_with) / "net/dev", self.world.root / str(pid) / "net/dev")
        else:
            self.write(pid, content)

    def end(self, pid: int) -> None:
        shutil.rmtree(self.world.root / str(pid) / "net")
        self.world.end(pid)

    def scan(self, keyframe: bool = False) -> list[tuple[Any, ...]]:
        self.scanner.scan(listing=True, keyframe=keyframe)
        return [row for row in told(self.world, self.networks.scan(keyframe)) if row[2] != (0, 0)]


@pytest.fixture
def namespaces(world: ProcWorld) -> Namespaces:
    return Namespaces(world)


def test_a_namespace_of_its_own_is_its_groups_and_the_machines_is_not(namespaces: Namespaces) -> None:
    namespaces.process(10, b"/docker/c1", content=net(received=100))
    namespaces.process(11, b"/unit", shared_with=1)
    assert {(group, name) for group, name, _, _ in namespaces.scan()} == {("/docker/c1", "eth0")}


def test_a_namespace_of_several_groups_is_told_once_and_stays_with_the_first(namespaces: Namespaces) -> None:
    namespaces.process(10, b"/pod/pause", content=net(received=100))
    namespaces.process(12, b"/pod/app", shared_with=10)
    assert {group for group, _, _, _ in namespaces.scan()} == {"/pod/pause"}
    namespaces.process(13, b"/pod/app2", shared_with=10)
    namespaces.write(10, net(received=200))
    assert {(group, gone) for group, _, _, gone in namespaces.scan(keyframe=True)} == {("/pod/pause", False)}


def test_another_process_speaks_when_the_first_has_ended(namespaces: Namespaces) -> None:
    namespaces.process(10, b"/docker/c1", content=net(received=100))
    namespaces.process(12, b"/docker/c1", shared_with=10)
    namespaces.scan()
    (namespaces.world.root / "12/net/dev").write_bytes(net(received=300))
    namespaces.end(10)
    rows = namespaces.scan()
    assert {(group, gone) for group, _, _, gone in rows} == {("/docker/c1", False)}
    assert rows[0][2][0] == 300
    namespaces.end(12)
    assert {gone for _, _, _, gone in namespaces.scan()} == {True}


def test_who_may_not_see_processes_is_told_so(namespaces: Namespaces, monkeypatch: pytest.MonkeyPatch) -> None:
    namespaces.process(10, b"/docker/c1", content=net())

    def refuse(path: bytes) -> os.stat_result:
        raise PermissionError(13, "Permission denied", path)

    namespaces.scanner.scan(listing=True, keyframe=True)
    monkeypatch.setattr(os, "stat", refuse)
    assert namespaces.networks.scan(keyframe=True) == []
    monkeypatch.undo()
    assert {kind for kind, _ in namespaces.world.faults} == {"network"}
    assert namespaces.networks.read_errors > 0


def test_the_kernel_has_one_inode_for_each_namespace(children: Children) -> None:
    if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a network namespace")
    pid = children.fork(lambda: os.execvp("unshare", ["unshare", "--net", "sleep", "60"]))
    own = Path("/proc/self/net/dev").stat().st_ino
    assert Path("/proc/1/net/dev").stat().st_ino == own
    until = time.monotonic() + 10
    while Path(f"/proc/{pid}/net/dev").stat().st_ino == own:
        assert time.monotonic() < until
        time.sleep(0.01)
