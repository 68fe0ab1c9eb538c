"""The simulated counters show the energy that is told, wrap like the kernel's, and are never seen half written."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clocks import TurnedClock
from energyd.errors import ConfigError, EnvironmentFault
from energyd.simulate import powercap
from energyd.simulate import truth as truths
from energyd.simulate.power import Constant, Load, Steps, Zone, powers_uw, profile
from energyd.simulate.powercap import RANGE_UJ, Host, Tree, zones_of
from energyd.simulate.truth import Truth

S = 10**9
W = 10**6
ONE = zones_of(1, ("core", "uncore", "dram", "psys"))
TWO = zones_of(2, ("core", "uncore", "dram", "psys"))


class Shown:
    """A counter in memory."""

    def __init__(self, raw_uj):
        self.raw_uj = raw_uj

    def shown(self):
        return self.raw_uj

    def show(self, raw_uj):
        self.raw_uj = raw_uj


@given(
    st.integers(0, 999),
    st.integers(0, 10**9),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=30),
)
def test_the_counter_wraps_at_its_own_range_and_loses_nothing(start_uj, power_uw, waits_ns):
    """At every update: raw == (start + power * elapsed) mod (range + 1), however many wraps lie between."""
    clock, counter = TurnedClock(123 * S), Shown(start_uj)
    host = Host(ONE[:1], [counter], Constant([power_uw]), 999, Truth(None), clock)
    begin_ns = clock.now_ns
    for wait_ns in waits_ns:
        clock.now_ns += wait_ns
        host.update()
        assert counter.raw_uj == (start_uj + power_uw * (clock.now_ns - begin_ns) // S) % 1000


def tree(root, zones=ONE, range_uj=RANGE_UJ, seed=None):
    return Tree(root, zones, range_uj, [95 * W] * len(zones), seed)


def show(root):
    """{zone directory: its attributes} as a reader of class/powercap sees them."""
    shown = root / "class/powercap"
    return {
        entry.name: {file.name: file.read_text() for file in entry.iterdir() if file.is_file()}
        for entry in sorted(shown.iterdir())
        if ":" in entry.name
    }


def test_the_tree_is_that_of_the_kernel(tmp_path):
    """Links in class/powercap, zones nested below devices/virtual, names and ranges where the kernel has them."""
    tree(tmp_path, TWO)
    zones = show(tmp_path)
    names = {directory: files["name"].strip() for directory, files in zones.items()}
    assert names == {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "uncore",
        "intel-rapl:0:2": "dram",
        "intel-rapl:1": "package-1",
        "intel-rapl:1:0": "core",
        "intel-rapl:1:1": "uncore",
        "intel-rapl:1:2": "dram",
        "intel-rapl:2": "psys",
    }
    for files in zones.values():
        assert int(files["max_energy_range_uj"]) == RANGE_UJ
        assert 0 <= int(files["energy_uj"]) <= RANGE_UJ
        assert files["constraint_0_name"] == "long_term\n"
        assert int(files["constraint_0_max_power_uw"]) == 95 * W
    assert (tmp_path / "class/powercap/intel-rapl/enabled").read_text() == "1\n"
    inner = tmp_path / "class/powercap/intel-rapl:1/intel-rapl:1:2/name"
    assert inner.read_text() == "dram\n"
    assert inner.resolve() == (tmp_path / "class/powercap/intel-rapl:1:2/name").resolve()


def test_zone_suffixes_are_hexadecimal():
    assert [zone.directory for zone in zones_of(17, ("psys",))][9:] == [
        f"intel-rapl:{n}" for n in ("9", "a", "b", "c", "d", "e", "f", "10", "11")
    ]


def test_counters_begin_anywhere_and_the_next_run_goes_on(tmp_path):
    """The value that a killed simulator left is where its successor begins, in the same file: a kept descriptor stays good."""
    first = tree(tmp_path)
    kept = os.open(tmp_path / "class/powercap/intel-rapl:0/energy_uj", os.O_RDONLY)
    first.counters[0].show(41)
    second = tree(tmp_path)
    assert [counter.shown() for counter in second.counters] == [counter.shown() for counter in first.counters]
    second.counters[0].show(42)
    assert int(os.pread(kept, 32, 0)) == 42
    os.close(kept)
    assert len({counter.shown() for counter in tree(tmp_path / "other").counters}) == len(ONE)


def test_a_smaller_range_begins_within_it(tmp_path):
    tree(tmp_path).counters[0].show(RANGE_UJ)
    assert all(counter.shown() <= 1000 for counter in tree(tmp_path, range_uj=1000).counters)


def test_another_machine_replaces_the_tree(tmp_path):
    tree(tmp_path, TWO)
    tree(tmp_path, ONE)
    assert list(show(tmp_path)) == [zone.directory for zone in ONE]


def test_a_removed_tree_is_gone(tmp_path):
    tree(tmp_path).remove()
    assert not (tmp_path / "class/powercap").exists()
    assert not (tmp_path / "devices/virtual/powercap").exists()


def test_a_root_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "class").write_text("a file in the way")
    with pytest.raises(EnvironmentFault, match="cannot make the powercap tree"):
        tree(tmp_path)


def test_a_truncated_counter_begins_anew(tmp_path):
    tree(tmp_path)
    file = tmp_path / "class/powercap/intel-rapl:0/energy_uj"
    file.write_text("12\n")
    tree(tmp_path)
    assert len(file.read_bytes()) == powercap.BLOCK


HAMMER = """
import sys
from pathlib import Path
from energyd.simulate.powercap import Counter
counter = Counter(Path(sys.argv[1]))
while True:
    for digit in range(10):
        counter.show(digit * 111_111_111_111_111)
"""


@pytest.mark.stress
def test_no_reader_ever_sees_half_a_number(tmp_path):
    """A second of reading as fast as possible while another process changes all digits: only whole numbers are seen."""
    file = tmp_path / "energy_uj"
    file.write_bytes(b"%015d\n" % 0)
    fd, allowed, seen = os.open(file, os.O_RDONLY), {b"%015d\n" % (digit * 111_111_111_111_111) for digit in range(10)}, set()
    writer = subprocess.Popen([sys.executable, "-c", HAMMER, str(file)])
    try:
        limit = time.monotonic() + 20
        while os.pread(fd, 32, 0) == b"%015d\n" % 0 and time.monotonic() < limit:
            assert writer.poll() is None
        end = time.monotonic() + 1
        while time.monotonic() < end:
            seen.update(os.pread(fd, 32, 0) for _ in range(500))
    finally:
        writer.kill()
        writer.wait()
        os.close(fd)
    assert seen <= allowed
    assert len(seen) > 1


def host_on(counters, truth, clock, source=None, range_uj=10**6):
    return Host(ONE[:1], counters, source or Constant([30 * W]), range_uj, truth, clock)


def test_the_truth_is_what_the_counter_shows(tmp_path):
    """At each line's instant: energy is power times time, raw is what the file shows, and lines come each 100 ms."""
    clock, counter, path = TurnedClock(123 * S), Shown(999_990), str(tmp_path / "truth")
    with Truth(path) as truth:
        host = host_on([counter], truth, clock)
        host.begin(None)
        shown = []
        for _ in range(100):
            clock.now_ns += 10_000_000
            host.update()
            shown.append((clock.now_ns, counter.raw_uj))
        host.update(final=True)
    start, *told = truths.read(path)
    assert start["event"] == "start"
    assert (start["energy_uj"], start["raw_uj"], start["range_uj"]) == ({"package-0": 0}, {"package-0": 999_990}, 10**6)
    assert len(told) == 11
    for line in told:
        elapsed_ns = line["mono_ns"] - start["mono_ns"]
        assert line["energy_uj"]["package-0"] == 30 * W * elapsed_ns // S
        assert (line["mono_ns"], line["raw_uj"]["package-0"]) in shown
    assert told[-1]["mono_ns"] == clock.now_ns


@pytest.mark.parametrize("unseen_updates", [0, 3])
def test_the_truth_goes_on_after_a_kill(tmp_path, unseen_updates):
    """Killed between an update and its truth line, over a wrap: the next run counts what the counter shows, once."""
    clock, counter, path = TurnedClock(123 * S), Shown(900_000), str(tmp_path / "truth")
    with Truth(path) as truth:
        first = host_on([counter], truth, clock)
        first.begin(None)
        for _ in range(5 + unseen_updates):
            clock.now_ns += 2_000_000
            first.update()
    clock.now_ns += 60 * S  # dead for a minute: no energy is counted, and none goes back
    with Truth(path) as truth:
        second = host_on([counter], truth, clock)
        second.begin(truths.last(path, ("start", "energy")))
        clock.now_ns += S
        second.update()
    told = list(truths.read(path))
    restart = [line for line in told if line["event"] == "start"][1]
    assert restart["energy_uj"]["package-0"] == (5 + unseen_updates) * 60_000
    assert told[-1]["energy_uj"]["package-0"] == (5 + unseen_updates) * 60_000 + 30 * W
    assert told[-1]["raw_uj"]["package-0"] == counter.raw_uj


class TestPower:
    """What a profile's text means, and the energies that follow."""

    def test_zones_that_are_not_named_follow_their_package(self):
        assert powers_uw("40", ONE) == [40 * W, 24 * W, 2 * W, 4_800_000, 49_800_000]

    def test_zones_are_named_by_their_own_name_or_by_their_domain(self):
        powers = dict(
            zip((zone.name for zone in TWO), powers_uw("40,core=10,package-1=80,package-1/dram=9,psys=7.5", TWO), strict=True)
        )
        assert powers["package-0"] == 40 * W
        assert powers["package-0/core"] == powers["package-1/core"] == 10 * W
        assert powers["package-0/dram"] == 4_800_000
        assert powers["package-1"] == 80 * W
        assert powers["package-1/dram"] == 9 * W
        assert powers["psys"] == 7_500_000

    def test_a_package_keeps_its_own_power_beside_the_common_one(self):
        assert powers_uw("1,package-0=5,package-1=6", zones_of(2, ())) == [5 * W, 6 * W]

    @given(st.integers(0, 10**13), st.integers(0, 10**13))
    def test_constant_power_never_turns_back(self, first_ns, second_ns):
        source = Constant([123_456_789])
        assert source.energies_uj(first_ns)[0] <= source.energies_uj(first_ns + second_ns)[0]

    @given(
        st.lists(st.tuples(st.integers(1, 5), st.integers(0, 100)), min_size=1, max_size=5),
        st.integers(0, 60),
    )
    def test_steps_repeat_and_add_up(self, steps, seconds):
        """The same as adding up second by second."""
        source = Steps([(duration * S, [watts * W]) for duration, watts in steps])
        by_second = [watts for duration, watts in steps for _ in range(duration)]
        expected = sum(by_second[second % len(by_second)] for second in range(seconds)) * W
        assert source.energies_uj(seconds * S) == [expected]
        assert source.highest_uw() == [max(watts for _, watts in steps) * W]

    def test_steps_are_read_from_a_file(self, tmp_path):
        file = tmp_path / "steps"
        file.write_text("# a burst\n1.5 10\n\n0.5 100,core=90   # short\n")
        source = profile(f"steps:{file}", ONE, "/proc")
        assert source.energies_uj(2 * S)[:2] == [15 * W + 50 * W, 9 * W + 45 * W]

    @pytest.mark.parametrize("text", ["1\n", "1 2 3\n", "x 5\n", "1 nonsense=4\n", "1 4,nonsense=4\n", "", "0 5\n"])
    def test_a_wrong_steps_file_is_told(self, tmp_path, text):
        file = tmp_path / "steps"
        file.write_text(text)
        with pytest.raises(ConfigError):
            profile(f"steps:{file}", ONE, "/proc")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "constant",
            "constant:",
            "constant:-1",
            "constant:nan",
            "constant:inf",
            "constant:4,x=1",
            "steps:/absent",
            "load:a",
            "?",
        ],
    )
    def test_a_wrong_power_is_told(self, text):
        with pytest.raises(ConfigError):
            profile(text, ONE, "/proc")

    def test_load_follows_the_busy_time_of_the_cpus(self, tmp_path):
        """8 W idle and 6 W per busy CPU: 3 busy CPU-seconds in 2 s are 16 + 18 J; guest, idle, iowait and steal are not work."""
        stat = tmp_path / "stat"
        ticks = os.sysconf("SC_CLK_TCK")
        stat.write_text(f"cpu  {5 * ticks} 0 0 100 7 0 0 9 3 0\ncpu0 1 2 3\n")
        source = profile("load", zones_of(1, ()), str(tmp_path))
        assert source.energies_uj(0) == [0]
        stat.write_text(f"cpu  {6 * ticks} {ticks} {ticks} 900 70 0 0 90 4 0\ncpu0 1 2 3\n")
        assert source.energies_uj(2 * S) == [34 * W]
        stat.write_text(f"cpu  {5 * ticks} 0 0 900 70 0 0 90 4 0\ncpu0 1 2 3\n")
        assert source.energies_uj(2 * S) == [34 * W], "a falling reading takes nothing back"

    def test_load_is_shared_by_the_sockets(self, tmp_path):
        (tmp_path / "stat").write_text("cpu  0 0 0 0 0 0 0 0 0 0\n")
        zones = [*zones_of(2, ()), Zone("intel-rapl:2", "psys")]
        source = profile("load:10,8", zones, str(tmp_path))
        assert isinstance(source, Load)
        (tmp_path / "stat").write_text(f"cpu  {os.sysconf('SC_CLK_TCK')} 0 0 0 0 0 0 0 0 0\n")
        package_0, package_1, psys = source.energies_uj(0)
        assert package_0 == package_1 == 4 * W
        assert psys == 8 * W * 112 // 100, "packages and their memory, once"


@pytest.mark.parametrize(
    "arguments", [["--sockets", "0"], ["--range-uj", "0"], ["--range-uj", "1" + "0" * 15], ["--rate-hz", "0"], ["--domains", "gpu"]]
)
def test_the_command_line_refuses_what_makes_no_sense(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        powercap.parser().parse_args(["--root", "x", *arguments])
    assert stopped.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_tree_is_read_by_name_and_parent(tmp_path):
    """The package that reads powercap trees finds what was simulated: zones, ranges, and a power that it may believe."""
    zones = pytest.importorskip("energyd.powercap.zones")
    sysfs = pytest.importorskip("energyd.powercap.sysfs")
    tree(tmp_path, TWO, range_uj=10**8)
    found = {zone.name: zone for zone in zones.read_tree(str(Path(tmp_path) / "class/powercap"), sysfs.Sysfs())}
    assert set(found) == {zone.name for zone in TWO}
    assert {zone.range_uj for zone in found.values()} == {10**8}
    assert all(zone.used for zone in found.values())
