"""A Snapshot with everything in it, fixed for ever: the golden scrape is made from it."""

import pytest

from clocks import TurnedClock
from energyd.aggregate.snapshot import (
    GpuProcess,
    GpuUse,
    GpuZone,
    Group,
    Groups,
    Host,
    Meter,
    Process,
    Processes,
    Register,
    Ring,
    Snapshot,
    Window,
    Zone,
)

NASTY_NAMES = (
    'quo"te',
    "back\\slash",
    "new\nline",
    "\\n",
    'trailing\\"',
    "café 🔌",
    "tab\there\r",
    '{a="b"} 1',
    "bad\\xff",
    "lone\ud800",
    "",
)


def zone(name: str, energy_uj: int, additive: bool = True, **fields: object) -> Zone:
    parts = {"processes_uj": 0, "exited_uj": 0, "idle_uj": 0, "unattributed_uj": 0, "pending_uj": 0}
    if additive:
        pieces = [energy_uj * share // 100 for share in (60, 5, 30, 1)]
        parts = dict(zip(parts, [*pieces, energy_uj - sum(pieces)], strict=True))
    domain = name.rpartition("/")[2].split("-")[0]
    base = Zone(name, domain, name.rpartition("/")[0], "rapl", additive, True, energy_uj, 12.25, **parts, resets=0)
    return base._replace(**fields)  # type: ignore[arg-type]


def make_snapshot() -> Snapshot:
    processes = tuple(
        Process(1000 + i, name, f"/system.slice/{name}.service", i, 1_000_001 * (i + 1), 0.1 * (i + 1), 1_000_000_007 * (i + 1))
        for i, name in enumerate(NASTY_NAMES)
    )
    linky = Meter(
        "house",
        "meter",
        "standard",
        "021961000000",
        True,
        999_500_000_000,
        (
            Register("EAST", "consumed", "total", 12_345_678),
            Register("EASF01", "consumed", "supplier", 8_000_000),
            Register("EASF02", "consumed", "supplier", 4_345_678),
            Register("EASD01", "consumed", "distributor", 12_345_678),
            Register("EAIT", "injected", "total", 99),
        ),
        (("SINSTS", 1234), ("SINSTS1", 600), ("IRMS1", 5), ("URMS1", 231), ("PREF", 9), ("SMAXSN", 4321), ("STGE", 0x003A0401)),
        (("NGTF", "H PLEINE/CREUSE "), ("LTARF", "HEURE CREUSE    "), ("VTIC", "02"), ("PRM", "01234567890123")),
        (Window("15m", 900, ((0.5, 1200.0), (0.9, 1500.5)), 1250.25, 4321.0),),
    )
    old = Meter("shed", "simulated", "", "", False, 0, (), (), ())
    tic = (("bytes", 123456), ("groups_ok", 4000), ("groups_bad_checksum", 3), ("frames", 99), ("reopenings", 1))
    group_windows = (Window("5m", 299, ((0.5, 2.25), (0.99, 4.5)), 2.5, 4.75),)
    return Snapshot(
        mono_ns=1_000_000_000_000,
        real_ns=1_795_162_354_123_456_789,
        ready=True,
        host=Host(
            energy_uj=9_007_199_254_740_993,  # 2**53 + 1: no float holds it
            power_w=37.123456789,
            source="rapl",
            cpu_ns=(("user", 123_456_789_000_000), ("idle", 5)),
            busy_cpu_ns=777_000_000_001,
            exited_cpu_ns=42,
            memory_bytes=(("MemTotal", 137_438_953_472), ("MemFree", 1024)),
            windows=(Window("1m", 60, ((0.5, 30.5), (0.99, 64.25)), 33.125, 65.0), Window("24h", 77, ((0.5, 1.0),), 1.0, 1.0)),
        ),
        gpus=GpuUse(
            (GpuZone("gpu-0", "nvidia", 1_000_101, 7, 11, 13),),
            (GpuProcess(1000, "train", "/system.slice/x", 0, 600_000),),
            *(400_000, 101),
            (("docker", 'quo"te', "container", "docker", 1_000_001),),
            *(0, 100),
        ),
        groups=Groups(
            (
                Group(
                    "docker",
                    'quo"te',
                    "container",
                    "docker",
                    1_000_007,
                    2.5,
                    3_000_000_001,
                    4,
                    5_368_709_120,
                    group_windows,
                    1_234_567_890,
                ),
                Group("systemd", "ssh.service", "unit", "systemd", 0, 0.0, 0, 1, None, cost_neur=0),
            ),
            *(7_000_009, 0.25, 11, 13, 17, 19, 23, 40),
            (("docker", 1),),
            other_cost_neur=29,
            gone_cost_neur=31,
            hidden_cost_neur=37,
        ),
        zones=(
            zone("package-0", 9_007_199_254_740_992, shared_by="cpu_time"),
            zone("package-0/dram", 1, power_w=None),
            zone("package-0/core", 123_456_789, additive=False),
            zone("psys", 5, additive=False, readable=False, resets=2),
        ),
        processes=Processes(processes, 5_000_000_000_005, 1e-7, 88, 999_999, 1, 321),
        meters=(linky, old),
        rings=(
            Ring("tic-house", 4003, 0, 0, 100_000_000, 11, tic),
            Ring("rapl", 10_000, 12, 1, 1_500_000_000, 12, (("sweeps", 10_013), ("missed_ticks", 4), ("read_errors", 0))),
            Ring("usage", 10_000, 0, 0, None, 13, (("scans", 77), ("processes_born", 400), ("processes_gone", 79))),
        ),
    )


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(real_offset_ns=1_795_161_354_123_456_789)


@pytest.fixture
def snapshot() -> Snapshot:
    return make_snapshot()
