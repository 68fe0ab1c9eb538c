"""New processes are found by the pids that the kernel gave out, reused ones too; a listing finds the rest."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from energyd.procfs import discovery
from energyd.procfs.clocks import GONE, clock_id
from energyd.procfs.discovery import IN_FLIGHT, CursorDiscovery, Found, ListingDiscovery, tells_newest_pid


class Kernel:
    """Gives out pids; `alive` answer probes; every probe and listing is noted."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.last, self.alive = root, 100, set[int]()
        self.probed: list[int] = []
        self.listings = 0
        self.discovery = CursorDiscovery(str(root), lambda: b"0.1 0.1 0.1 1/80 %d\n" % self.last)
        monkeypatch.setattr(discovery, "read_clock", self._probe)
        monkeypatch.setattr(discovery, "list_pids", self._list)
        self.find({}, listing=True)
        self.listings = 0

    def _probe(self, clock: int) -> int:
        [pid] = [pid for pid in range(40_000) if clock_id(pid) == clock]
        self.probed.append(pid)
        return 0 if pid in self.alive else GONE

    def _list(self, _root: str) -> list[int]:
        self.listings += 1
        return sorted(self.alive)

    def find(self, known: dict[int, int], listing: bool = False) -> Found:
        self.probed = []
        return self.discovery.find(known, listing)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(tmp_path, monkeypatch)


def known(pids: list[int]) -> dict[int, int]:
    return {pid: index for index, pid in enumerate(pids)}


def test_nothing_is_probed_while_no_pid_is_given_out(kernel: Kernel) -> None:
    assert kernel.find(known([1])) == Found([], [])
    assert (kernel.probed, kernel.listings) == ([], 0)


def test_only_pids_given_out_since_are_probed(kernel: Kernel) -> None:
    kernel.last, kernel.alive = 104, {1, 102, 104}
    assert kernel.find(known([1])) == Found([102, 104], [])
    assert (kernel.probed, kernel.listings) == ([101, 102, 103, 104], 0)


def test_a_process_within_its_fork_is_looked_for_once_more(kernel: Kernel) -> None:
    kernel.last = 102
    assert kernel.find({}) == Found([], [])
    kernel.alive = {102}
    assert kernel.find({}) == Found([102], [])
    assert kernel.probed == [101, 102]
    assert kernel.find(known([102])) == Found([], [])
    assert kernel.probed == [], "threads and the dead are not probed for ever"


def test_only_the_newest_of_the_silent_are_looked_for_once_more(kernel: Kernel) -> None:
    kernel.last = 100 + 2 * IN_FLIGHT
    kernel.find(known(list(range(1, 90))))
    kernel.find(known(list(range(1, 90))))
    assert kernel.probed == list(range(101 + IN_FLIGHT, 101 + 2 * IN_FLIGHT))


def test_a_known_pid_that_was_given_out_again_is_a_reuse(kernel: Kernel) -> None:
    kernel.last, kernel.alive = 103, {1, 102, 103}
    assert kernel.find(known([1, 102])) == Found([103], [102])


def test_after_a_wrap_everything_is_listed_and_the_pids_of_the_lap_are_reuses(kernel: Kernel) -> None:
    kernel.last, kernel.alive = 20, {1, 15, 50, 101, 300}
    assert kernel.find(known([1, 15, 50, 101])) == Found([300], [1, 15, 101])
    assert kernel.listings == 1


def test_many_new_pids_are_listed_not_probed(kernel: Kernel) -> None:
    kernel.last, kernel.alive = 5000, {1, 4000}
    assert kernel.find(known([1])) == Found([4000], [])
    assert (kernel.probed, kernel.listings) == ([], 1)


def test_the_periodic_listing_finds_a_pid_that_was_chosen(kernel: Kernel) -> None:
    kernel.alive = {1, 77}
    assert kernel.find(known([1])) == Found([], [])
    assert kernel.find(known([1]), listing=True) == Found([77], [])


def test_in_a_foreign_namespace_the_directory_is_listed(tmp_path: Path) -> None:
    for name in ("1", "42", "self", "sys"):
        (tmp_path / name).mkdir()
    assert ListingDiscovery(str(tmp_path)).find(known([1]), False) == Found([42], [])


@pytest.mark.parametrize(("content", "told"), [(b"0.1 0.1 0.1 1/80 77\n", True), (b"0.1 0.1 0.1 1/80 0\n", False), (b"", False)])
def test_a_loadavg_without_a_newest_pid_is_not_gone_by(tmp_path: Path, content: bytes, told: bool) -> None:
    assert not tells_newest_pid(str(tmp_path))
    (tmp_path / "loadavg").write_bytes(content)
    assert tells_newest_pid(str(tmp_path)) is told


def test_a_loadavg_that_was_mounted_over_the_kernel_s_is_not_gone_by(tmp_path: Path) -> None:
    (tmp_path / "loadavg").symlink_to("/proc/loadavg")
    assert not tells_newest_pid(str(tmp_path)), "it lies on another device"


def test_the_kernel_does_give_out_pids_in_order(sleeper: Callable[[], int]) -> None:
    def loadavg() -> bytes:
        return Path("/proc/loadavg").read_bytes()

    finder = CursorDiscovery("/proc", loadavg)
    finder.find({}, True)
    pids = [sleeper() for _ in range(5)]
    found = finder.find(known([os.getpid()]), False)
    assert set(pids) <= set(found.new)
