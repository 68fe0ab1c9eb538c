"""What is read of a process at its birth, and what happens when it cannot be read."""

import os
from pathlib import Path

import pytest
from procworld import ProcWorld

from energyd.procfs.identity import ARGV_BYTES, read_process, read_stat, read_vitals


def test_a_process_is_described_with_everything_that_procfs_tells(world: ProcWorld) -> None:
    world.process(7, b"worker", 99, cgroup=b"0::/system.slice/x\n")
    process = read_process(str(world.root), 7, {})
    assert process is not None
    assert process.entry() == {
        "kind": "process",
        "pid": 7,
        "start_ticks": 99,
        "comm": "worker",
        "argv": ["/bin/worker", "--flag"],
        "uid": 1000,
        "ppid": 1,
        "cgroup": "/system.slice/x",
        "hierarchy": "",
    }


def test_names_that_are_not_text_can_still_be_carried(world: ProcWorld) -> None:
    world.process(7, b'a) "\\\n\xff')
    process = read_process(str(world.root), 7, {})
    assert process is not None
    assert process.entry()["comm"] == 'a) "\\\n\\xff'
    assert process.entry()["argv"] == ['/bin/a) "\\\n\\xff', "--flag"]


def test_a_kernel_thread_has_no_arguments(world: ProcWorld) -> None:
    world.process(2, b"kthreadd")
    (world.root / "2" / "cmdline").write_bytes(b"")
    process = read_process(str(world.root), 2, {})
    assert process is not None
    assert (process.argv, process.entry()["comm"]) == ([], "kthreadd")


def test_a_very_long_command_line_is_cut(world: ProcWorld) -> None:
    world.process(7)
    (world.root / "7" / "cmdline").write_bytes(b"java\0" + b"x" * 100_000)
    process = read_process(str(world.root), 7, {})
    assert process is not None
    assert sum(map(len, process.argv)) < ARGV_BYTES


def test_a_process_that_has_gone_is_none(world: ProcWorld) -> None:
    assert read_process(str(world.root), 7, {}) is None
    assert read_stat(str(world.root), 7) is None
    assert read_vitals(str(world.root), 7, {}) is None


@pytest.mark.parametrize("file", ["stat", "status", "cmdline", "cgroup"])
def test_a_process_that_goes_while_it_is_read_is_none(world: ProcWorld, file: str) -> None:
    world.process(7)
    (world.root / "7" / file).unlink()
    assert read_process(str(world.root), 7, {}) is None


def refuse(monkeypatch: pytest.MonkeyPatch, refused: set[str]) -> None:
    real_open = os.open

    def guarded(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if Path(path).name in refused:
            raise PermissionError(13, "Permission denied", path)
        return real_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", guarded)


def test_what_may_not_be_read_is_left_empty(world: ProcWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.process(7, b"secret", 5)
    refuse(monkeypatch, {"status", "cmdline", "cgroup"})
    process = read_process(str(world.root), 7, {})
    assert process is not None
    assert (process.stat.comm, process.argv, process.uid, process.membership.shown) == (b"secret", [], -1, b"/")


def test_without_its_start_time_a_process_has_no_identity(world: ProcWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world.process(7)
    refuse(monkeypatch, {"stat"})
    with pytest.raises(PermissionError):
        read_process(str(world.root), 7, {})


def test_our_own_process_reads_as_we_know_it() -> None:
    process = read_process("/proc", os.getpid(), {})
    assert process is not None
    assert (process.uid, process.stat.ppid) == (os.getuid(), os.getppid())
    assert process.argv
    assert process.stat.rss_bytes > 1 << 20
