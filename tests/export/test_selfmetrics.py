"""energyd tells what it costs itself: of each of its processes, under any supervisor."""

import os
from pathlib import Path
from typing import Any

import pytest

from energyd.aggregate.snapshot import Ring
from energyd.export.selfmetrics import SelfMetrics, Worker

HZ, PAGE = 100, 4096


def stat(pid: int, state: str = "S", utime: int = 0, stime: int = 0, pages: int = 0) -> str:
    """A line of /proc/PID/stat; the name is as nasty as a name may be."""
    fields = [state, *["0"] * 10, str(utime), str(stime), *["0"] * 8, str(pages), *["0"] * 28]
    return f"{pid} (a) S 1 (b c) {' '.join(fields)}\n"


class World:
    def __init__(self, root: Path, clock: Any) -> None:
        self.root = root / "proc"
        self.report: Any = None
        self.rings: list[Ring] = []
        self.own = SelfMetrics(
            lambda: self.report, lambda: self.rings, 10, clock, ticks_per_s=HZ, page_bytes=PAGE, procfs=self.root
        )

    def process(self, pid: int, **fields: Any) -> None:
        place = self.root / str(pid)
        place.mkdir(parents=True, exist_ok=True)
        (place / "stat").write_text(stat(pid, **fields))

    def tell(self, supervisor_pid: int, **programs: tuple[int, int]) -> None:
        told = {name: {"state": "RUNNING", "pid": pid, "restarts": restarts} for name, (pid, restarts) in programs.items()}
        self.report = {"supervisor_pid": supervisor_pid, "programs": told}

    def values(self, name: str) -> dict[str, float]:
        [family] = [family for family in self.own.families() if family.metric.name == name]
        return {labels[0]: value for labels, value in zip(family.labels, family.values, strict=True)}


@pytest.fixture
def world(tmp_path: Path, clock: Any) -> World:
    return World(tmp_path, clock)


def ring(name: str, pid: int) -> Ring:
    return Ring(name, 0, 0, 0, 0, pid, ())


def test_with_a_supervisor_its_report_says_who_there_is_and_how_often_it_was_started(world: World) -> None:
    world.tell(1, aggregator=(10, 0), rapl=(11, 3), usage=(0, 1))
    world.rings = [ring("rapl", 9), ring("usage", 12)]
    world.process(1, utime=1, pages=2)
    world.process(10, utime=150, stime=50, pages=1000)
    world.process(11, utime=7)
    world.process(12)
    assert world.values("energyd_worker_up") == {"aggregator": 1, "rapl": 1, "supervisor": 1, "usage": 0}
    assert world.values("energyd_worker_restarts_total") == {"aggregator": 0, "rapl": 3, "supervisor": 0, "usage": 1}
    assert world.values("energyd_worker_cpu_seconds_total") == {"aggregator": 2 * 10**9, "rapl": 7 * 10**7, "supervisor": 10**7}
    assert world.values("energyd_worker_resident_memory_bytes")["aggregator"] == 1000 * PAGE


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("RUNNING", "running"),
        ("STARTING", "starting"),
        ("BACKOFF", "backoff"),
        ("STOPPED", "stopped"),
        ("STOPPING", "stopped"),
        ("MASKED", "stopped"),
        ("EXITED", "failed"),
        ("FATAL", "failed"),
        ("UNKNOWN", "failed"),
    ],
)
def test_each_process_is_in_one_state(world: World, word: str, state: str) -> None:
    world.report = {"programs": {"rapl": {"state": word, "pid": 0, "restarts": 0}}}
    [family] = [family for family in world.own.families() if family.metric.name == "energyd_worker_state"]
    assert {labels for labels, value in zip(family.labels, family.values, strict=True) if value} == {("rapl", state)}
    assert len(family.labels) == 5


def test_without_a_supervisor_the_writers_of_the_rings_are_watched(world: World, clock: Any) -> None:
    world.rings = [ring("tic-house", 20), ring("rapl", 21), ring("usage", 0)]
    for pid in (10, 20, 21):
        world.process(pid)
    assert world.values("energyd_worker_up") == {"aggregator": 1, "rapl": 1, "tic-house": 1, "usage": 0}
    assert set(world.values("energyd_worker_restarts_total").values()) == {0}
    world.rings = [ring("tic-house", 30), ring("rapl", 21), ring("usage", 22)]
    clock.now_ns += 10**9
    restarts = world.values("energyd_worker_restarts_total")
    assert restarts == {"aggregator": 0, "rapl": 0, "tic-house": 1, "usage": 0}
    assert world.values("energyd_worker_up")["tic-house"] == 0
    clock.now_ns += 10**9
    assert world.values("energyd_worker_restarts_total") == restarts


@pytest.mark.parametrize(
    "report",
    [None, {}, {"programs": {"rapl": {}}}, {"programs": []}, {"programs": {"x": None}}, {"programs": {"x": {"state": []}}}],
)
def test_a_report_that_makes_no_sense_is_none(world: World, report: Any) -> None:
    world.report = report
    world.rings = [ring("rapl", 21)]
    assert [worker for worker in world.own.workers() if worker.restarts is not None] == []
    assert Worker("rapl", 21) in world.own.workers()


@pytest.mark.parametrize("state", ["Z", "X"])
def test_a_dead_process_that_nobody_has_buried_is_not_up(world: World, state: str) -> None:
    world.process(10, state=state)
    assert world.values("energyd_worker_up") == {"aggregator": 0}
    assert world.values("energyd_worker_cpu_seconds_total") == {}


def test_it_is_read_at_most_once_a_second(world: World, clock: Any) -> None:
    world.process(10, utime=1)
    first = world.values("energyd_worker_cpu_seconds_total")
    world.process(10, utime=2)
    clock.now_ns += 999_999_999
    assert world.values("energyd_worker_cpu_seconds_total") == first
    clock.now_ns += 1
    assert world.values("energyd_worker_cpu_seconds_total") == {"aggregator": 2 * 10**7}


def test_the_kernels_own_file_is_understood(clock: Any, tmp_path: Path) -> None:
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    own = SelfMetrics(lambda: None, list, os.getpid(), clock, ticks_per_s=ticks, page_bytes=page)
    values = {family.metric.name: family.values for family in own.families()}
    assert values["energyd_worker_up"] == [1]
    assert 0 < values["energyd_worker_cpu_seconds_total"][0] < 3600 * 10**9
    assert 1 << 20 < values["energyd_worker_resident_memory_bytes"][0] < 1 << 32
