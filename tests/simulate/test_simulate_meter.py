"""The meter's frames say what its truth file says, and are spoilt where the truth file says so and nowhere else."""

import os
from itertools import pairwise

import pytest

from clocks import TurnedClock
from energyd.errors import EnvironmentFault
from energyd.simulate import faults, frames, memory
from energyd.simulate import truth as truths
from energyd.simulate.faults import Cut, Noise
from energyd.simulate.frames import HISTORIQUE, MODES, STANDARD
from energyd.simulate.line import Line, Pace
from energyd.simulate.meter import GAP_NS, MINUTE_NS, Speaker, Speech, main_loop, parser
from energyd.simulate.telegram import Meter
from energyd.simulate.truth import Truth

S = 10**9
START_NS = 1_767_265_200 * S  # 2026-01-01 12:00 in Paris
SETTINGS = memory.Settings("041876097514", "HCHP", "curve", 1)
METER = Meter(SETTINGS.serial, "09876543210123", "HCHP", 9)


def speech(mode=HISTORIQUE, *, noise=0.0, cut=None, parity=True, frame_per_minute=False):
    return Speech(mode, mode.baud, parity, Noise(noise, 1), cut, frame_per_minute)


@pytest.fixture
def truth_file(tmp_path):
    return str(tmp_path / "truth")


def speaker(spoken, truth):
    dwelling, registers = memory.recall(None, SETTINGS, START_NS)
    return Speaker(METER, dwelling, registers, spoken, truth, START_NS)


def send_frames(spoken, truth_file, count, period_ns=2 * S):
    """`count` frames, `period_ns` apart."""
    with Truth(truth_file) as truth:
        meter = speaker(spoken, truth)
        first_ns = meter.first_ns(0)
        return [meter.frame(first_ns + n * period_ns, 0)[0] for n in range(count)]


def values_in(frame, mode):
    """{label: data} of the groups that verify, each with even parity."""
    separator = bytes((mode.separator,))
    found = {}
    for run in frames.split_groups(bytes(byte & 0x7F for byte in frame)):
        if frames.verifies(run, mode):
            label, data = run[:-2].split(separator, 1)
            found[label.decode()] = data.decode()
    return found


@pytest.mark.parametrize("mode", [HISTORIQUE, STANDARD], ids=lambda mode: mode.name)
def test_the_truth_is_what_the_frame_says(mode, truth_file):
    """Every register in the truth line is the register in the bytes; times and power too. A frame each ten minutes for two days."""
    sent = send_frames(speech(mode), truth_file, 288, 600 * S)
    told = list(truths.read(truth_file))
    assert [line["event"] for line in told] == ["frame"] * 288
    for n, (frame, line) in enumerate(zip(sent, told, strict=True)):
        values = values_in(frame, mode)
        assert {label: int(values[label]) for label in line["registers"]} == line["registers"]
        assert (line["n"], line["real_ns"]) == (n, START_NS + n * 600 * S)
        assert line["groups"] == len(values)
        shown_w = int(values["SINSTS" if mode is STANDARD else "PAPP"])
        assert abs(shown_w - line["power_w"]) <= (0 if mode is STANDARD else 5)
        parts = [value for label, value in line["registers"].items() if label.startswith(("HC", "EASF"))]
        assert sum(parts) == line["total_wh"]
    for before, after in pairwise(told):
        assert after["energy_nj"] >= before["energy_nj"]
        assert all(after["registers"][label] >= value for label, value in before["registers"].items())
    assert told[-1]["total_wh"] - told[0]["total_wh"] == told[-1]["energy_nj"] // (3600 * S)


def test_parity_is_even_or_absent(truth_file):
    with_parity = b"".join(send_frames(speech(), truth_file, 3))
    without = b"".join(send_frames(speech(parity=False), truth_file, 3))
    assert not any(byte.bit_count() & 1 for byte in with_parity)
    assert bytes(byte & 0x7F for byte in with_parity) == without


@pytest.mark.parametrize("mode", [HISTORIQUE, STANDARD], ids=lambda mode: mode.name)
def test_noise_spoils_what_the_truth_says_and_nothing_else(mode, truth_file):
    """The same frames without noise differ from the noisy ones in exactly the groups that are told, byte for byte."""
    noisy = send_frames(speech(mode, noise=0.003), truth_file, 60)
    clean = send_frames(speech(mode), truth_file + ".clean", 60)
    told = {}
    for line in truths.read(truth_file, "corrupted"):
        told.setdefault(line["n"], []).append((bytes.fromhex(line["clean"]), bytes.fromhex(line["sent"])))
    assert told
    for n, (heard, meant) in enumerate(zip(noisy, clean, strict=True)):
        assert len(heard) == len(meant)
        rebuilt, at = bytearray(meant), 0
        for before, after in told.get(n, []):
            at = meant.index(before, at)
            rebuilt[at : at + len(after)] = after
            assert before != after
            at += len(before)
        assert rebuilt == heard


def test_noise_flips_one_bit_as_often_as_asked():
    data = bytes(200_000)
    flipped = [byte for byte in Noise(0.01, 3).disturb(data) if byte]
    assert all(byte.bit_count() == 1 for byte in flipped)
    assert len(flipped) == pytest.approx(2000, rel=0.15)
    assert Noise(0, 3).disturb(data) is data


def test_a_cut_breaks_a_frame_off_with_eot(truth_file):
    """A cut each 5 s: that many bytes of the frame and whole groups as told, EOT, silence; other frames are whole."""
    with Truth(truth_file) as truth:
        meter = speaker(speech(cut=Cut(5 * S, 3 * S)), truth)
        at_ns, sent = meter.first_ns(0), []
        for _ in range(20):
            frame, silence_ns = meter.frame(at_ns, 0)
            sent.append((frame, silence_ns))
            at_ns += round(len(frame) * 10 * S / 1200) + silence_ns + GAP_NS
    cuts = {line["n"]: line for line in truths.read(truth_file, "cut")}
    assert len(cuts) >= 4
    for n, (frame, silence_ns) in enumerate(sent):
        if n in cuts:
            assert frame.endswith(frames.with_even_parity(bytes((frames.EOT,))))
            assert len(frame) == cuts[n]["sent_bytes"] + 1
            assert len(values_in(frame, HISTORIQUE)) == cuts[n]["whole_groups"]
            assert silence_ns == cuts[n]["silence_ns"] == 3 * S
        else:
            assert frame.endswith(frames.with_even_parity(bytes((frames.ETX,))))
            assert len(values_in(frame, HISTORIQUE)) == 11
    times = [line["mono_ns"] for line in cuts.values()]
    assert all(5 * S <= after - before < 9 * S for before, after in pairwise(times))


def test_an_interruption_without_parity_is_a_bare_eot():
    assert faults.interrupted(b"\x02\nADCO", 3, parity=False) == b"\x02\nA\x04"


def run_loop(tmp_path, spoken, seconds, truth_file):
    """The program's loop on a line to which nobody listens, by a clock of its own; returns the clock and the line's losses."""
    clock = TurnedClock(77 * S, START_NS)
    end_ns = clock.now_ns + round(seconds * S)

    class Stop:
        def __bool__(self):
            return clock.now_ns >= end_ns

    with Truth(truth_file) as truth, Line(str(tmp_path / "meter")) as line:
        dwelling, registers = memory.recall(None, SETTINGS, clock.real_ns())
        main_loop(Speaker(METER, dwelling, registers, spoken, truth, START_NS), spoken, line, Pace(clock, Stop()))
        return line.dropped_bytes


@pytest.mark.parametrize(("mode", "size"), [(HISTORIQUE, 170), (STANDARD, 865)], ids=["historique", "standard"])
def test_frames_follow_each_other_at_the_speed_of_the_line(tmp_path, truth_file, mode, size):
    """170 bytes at 1200 baud and 865 at 9600, each followed by a gap of 25 ms: ten minutes hold as many frames as that makes."""
    dropped = run_loop(tmp_path, speech(mode), 600, truth_file)
    told = list(truths.read(truth_file, "frame"))
    period_ns = size * 10 * S / mode.baud + GAP_NS
    assert len(told) == pytest.approx(600 * S / period_ns, abs=1)
    for before, after in pairwise(told):
        assert after["mono_ns"] - before["mono_ns"] == pytest.approx(period_ns, abs=5)
        assert after["real_ns"] - before["real_ns"] == after["mono_ns"] - before["mono_ns"]
    assert dropped == pytest.approx(600 * S / period_ns * size, rel=0.01), "nobody listened, all is told as dropped"


def test_a_frame_a_minute_begins_with_the_minute(tmp_path, truth_file):
    run_loop(tmp_path, speech(frame_per_minute=True), 86400, truth_file)
    told = list(truths.read(truth_file, "frame"))
    assert len(told) == 1440
    assert all(line["real_ns"] % MINUTE_NS == 0 for line in told)
    assert {after["real_ns"] - before["real_ns"] for before, after in pairwise(told)} == {MINUTE_NS}


def test_the_command_line_refuses_what_makes_no_sense(capsys):
    for arguments in (
        ["--cut", "0"],
        ["--cut", "5:-1"],
        ["--serial", "12"],
        ["--clock", "1,2"],
        ["--subscribed-kva", "2"],
        ["--mode", "x"],
        ["--start", "2026-01-01", "--clock", "1,2,3"],
    ):
        with pytest.raises(SystemExit) as stopped:
            parser().parse_args(["--link", "x", *arguments])
        assert stopped.value.code == 2
        assert arguments[0] in capsys.readouterr().err
    assert sorted(MODES) == ["historique", "standard"]


class TestMemory:
    """What a meter remembers while nobody simulates it."""

    @pytest.fixture
    def state(self, tmp_path):
        return str(tmp_path / "state")

    def test_a_meter_counts_on_while_its_simulator_is_dead(self, state):
        """Killed at any time and started a week later: the registers of one that ran all the time."""
        _, first = memory.recall(state, SETTINGS, START_NS)
        _, second = memory.recall(state, SETTINGS, START_NS + 7 * 86400 * S)
        assert second.read(START_NS + 8 * 86400 * S) == first.read(START_NS + 8 * 86400 * S)

    @pytest.mark.parametrize("change", [{"contract": "TEMPO"}, {"power": "constant:100"}, {"seed": 9}], ids=str)
    def test_other_settings_go_on_from_the_same_registers(self, state, change):
        _, before = memory.recall(state, SETTINGS, START_NS)
        later = START_NS + 40 * 86400 * S
        _, after = memory.recall(state, SETTINGS._replace(**change), later)
        assert after.read(later).total_wh == before.read(later).total_wh
        assert after.read(later + 30 * 86400 * S).total_wh > before.read(later).total_wh
        _, again = memory.recall(state, SETTINGS._replace(**change), later + 86400 * S)
        assert again.read(later + 40 * 86400 * S).total_wh == after.read(later + 40 * 86400 * S).total_wh

    def test_another_serial_number_is_another_meter(self, state):
        _, old = memory.recall(state, SETTINGS, START_NS)
        _, new = memory.recall(state, SETTINGS._replace(serial="041876000001"), START_NS)
        assert new.read(START_NS).total_wh != old.read(START_NS).total_wh

    @pytest.mark.parametrize("content", ["", "{}", '{"cells": 3}', "[1]"])
    def test_a_damaged_state_is_told(self, state, content):
        with open(state, "w") as file:
            file.write(content)
        with pytest.raises(EnvironmentFault, match="remove it"):
            memory.recall(state, SETTINGS, START_NS)

    def test_a_state_that_cannot_be_written_is_told(self, tmp_path):
        with pytest.raises(EnvironmentFault, match="cannot write"):
            memory.recall(str(tmp_path / "absent" / "state"), SETTINGS, START_NS)

    @pytest.mark.parametrize("power", ["", "constant", "constant:", "constant:-3", "constant:1.5", "sine"])
    def test_an_unknown_power_is_refused(self, power):
        with pytest.raises(ValueError, match="whole watts"):
            memory.profile(SETTINGS._replace(power=power))


class TestTruth:
    """The truth file itself."""

    def test_lines_are_appended_and_read_back(self, truth_file):
        for n in (1, 2):
            with Truth(truth_file) as truth:
                truth.write("frame", n=n)
        assert [line["n"] for line in truths.read(truth_file)] == [1, 2]
        assert truths.last(truth_file, ("frame",))["n"] == 2

    def test_a_line_that_a_kill_left_unfinished_is_left_out(self, truth_file):
        with Truth(truth_file) as truth:
            truth.write("frame", n=1)
        with open(truth_file, "a") as file:
            file.write('{"event":"frame","n":')
        assert [line["n"] for line in truths.read(truth_file, "frame")] == [1]
        assert truths.last(truth_file, ("frame",))["n"] == 1

    def test_the_last_line_of_a_long_file_is_found(self, truth_file):
        with Truth(truth_file) as truth:
            for n in range(3000):
                truth.write("frame", n=n)
        assert os.path.getsize(truth_file) > 65536
        assert truths.last(truth_file, ("frame",))["n"] == 2999
        assert truths.last(truth_file, ("cut",)) is None
        assert truths.last(truth_file + ".absent", ("cut",)) is None

    def test_without_a_path_nothing_is_written(self):
        with Truth(None) as truth:
            truth.write("frame", n=1)

    def test_a_place_that_cannot_be_written_is_told(self, tmp_path):
        with pytest.raises(EnvironmentFault, match="truth file"):
            Truth(str(tmp_path / "absent" / "truth"))

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
    def test_a_full_disk_is_told(self):
        with Truth("/dev/full") as truth, pytest.raises(EnvironmentFault, match="No space left"):
            truth.write("frame", n=1)
