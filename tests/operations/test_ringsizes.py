"""How large rings are, and what is said where they have no room."""

import os
import re

import pytest

from energyd.config import Config, Energy, Meter, Usage
from energyd.errors import EnvironmentFault
from energyd.ring.layout import file_size
from energyd.ring.writer import RingWriter
from energyd.ringsizes import LABEL_BYTES, needed_bytes, rapl_capacity, usage_capacity
from energyd.room import require_room
from energyd.samples import RAPL
from energyd.service.clock import SYSTEM_CLOCK


def test_the_capacity_holds_a_minute_of_a_machine_with_that_many_processes():
    assert [usage_capacity(2.0, processes, cores=2) for processes in (200, 1000, 5000)] == [32768, 65536, 262144]
    assert usage_capacity(2.0, 200, cores=256) == 131072


def test_the_capacity_holds_a_minute_of_sweeps():
    assert rapl_capacity(10.0, 5) >= 60 * 10 * 6
    assert rapl_capacity(1000.0, 5) >= 60 * 1000 * 6


def test_every_ring_of_a_configuration_is_counted():
    config = Config(meters=(Meter("a", "/dev/a"), Meter("b", "/dev/b")), energy=Energy(rate_hz=10.0), usage=Usage(rate_hz=2.0))

    assert needed_bytes(config, 5, 200, cores=2) == {
        "tic-a": file_size(8192),
        "tic-b": file_size(8192),
        "rapl": file_size(4096),
        "usage": file_size(32768) + 200 * LABEL_BYTES,
    }


def test_a_ring_without_room_is_refused_with_what_mends_it(run_dir):
    free_mib = os.statvfs(run_dir).f_bavail * os.statvfs(run_dir).f_frsize >> 20

    require_room(str(run_dir), {"rapl": 1 << 20})
    with pytest.raises(EnvironmentFault) as refused:
        require_room(str(run_dir), {"rapl": 1 << 20, "usage": (free_mib + 100) << 20})

    said = str(refused.value)
    assert said.startswith(f"{run_dir}: the rings need {free_mib + 101}.0 MiB (rapl 1.0, usage {free_mib + 100}.0), ")
    size_mib, place = re.search(r"`sudo mount -o remount,size=(\d+)m (\S+)`", said).groups()
    assert os.path.ismount(place)
    assert int(size_mib) > free_mib + 100
    assert "\n" not in said


def test_the_rings_of_an_earlier_run_need_no_room_again(run_dir):
    RingWriter.open(run_dir, "rapl", RAPL, 4096, SYSTEM_CLOCK).close()
    there = (run_dir / "rapl.ring").stat().st_size
    status = os.statvfs(run_dir)

    require_room(str(run_dir), {"rapl": there + status.f_bavail * status.f_frsize // 2})
