"""The reader process of a meter: what stands in its ring after what its line has said."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from energyd import samples, ticfields
from energyd.config import Config, Meter, SimulationClock
from energyd.ring.reader import RingReader
from energyd.service.clock import ScaledClock
from energyd.tic.checksum import with_even_parity
from energyd.tic.decoder import Decoder, FrameEnd, Group, Refused
from energyd.tic.framing import encode_group
from energyd.ticfields import HISTORIQUE, STANDARD
from energyd.workers import tic

PROFILE = b"00008001 0600C002 22304083" + 8 * b" NONUTILE"
MODULE = [sys.executable, "-m", "energyd.workers.tic"]


def frame(energy_wh: int) -> bytes:
    groups = ((b"ADCO", b"021861348497"), (b"BASE", b"%09d" % energy_wh), (b"PAPP", b"00420"))
    return with_even_parity(b"\x02" + b"".join(encode_group(HISTORIQUE, *group) for group in groups) + b"\x03")


def group(label: str, mode: str = STANDARD, value: int = 0, text: bytes = b"", degraded: bool = False) -> Group:
    return Group(ticfields.BY_LABEL[mode, label], value, text, 0, degraded)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[tic.Recorder]:
    line, recorder = tic.listen(Config(run_dir=str(tmp_path)), Meter("home", str(tmp_path / "no-device")))
    yield recorder
    line.close()
    recorder.close()


@pytest.fixture
def reader(tmp_path: Path) -> RingReader:
    return RingReader(tmp_path, "tic-home", samples.TIC, None)


def test_a_group_is_a_closed_batch_of_its_own(recorder: tic.Recorder, reader: RingReader) -> None:
    recorder.record([group("EAST", value=80490250), group("SINSTS", value=1675)])

    records = reader.poll().records

    assert records["kind"].tolist() == [106, 134]
    assert records["value"].tolist() == [80490250, 1675]
    assert records["status"].tolist() == [samples.LAST] * 2
    assert len(set(records["batch"].tolist())) == 2


def test_a_long_text_continues_in_the_records_of_its_batch(recorder: tic.Recorder, reader: RingReader) -> None:
    recorder.record([group("PJOURF+1", text=PROFILE)])

    records = reader.poll().records

    assert b"".join(records["text"].tolist()) == PROFILE
    assert records["status"].tolist() == [samples.CONTINUED] * 6 + [samples.LAST]
    assert len(set(records["batch"].tolist())) == 1


def test_a_degraded_clock_is_in_the_status(recorder: tic.Recorder, reader: RingReader) -> None:
    recorder.record([group("DATE", value=1, degraded=True)])

    assert reader.poll().records["status"].tolist() == [samples.DEGRADED | samples.LAST]


def test_the_end_of_a_frame_is_recorded(recorder: tic.Recorder, reader: RingReader) -> None:
    recorder.record([FrameEnd(11, 1)])

    assert reader.poll().records["kind"].tolist() == [samples.FRAME]


def test_only_counters_that_changed_are_written(recorder: tic.Recorder, reader: RingReader) -> None:
    counts = Decoder().counts
    recorder.beat(dict(counts))
    first = len(reader.poll().records)
    recorder.beat(dict(counts))
    recorder.beat(counts | {"groups_ok": 3, "reopenings": 1})

    records = reader.poll().records

    assert first == len(counts)
    assert records["kind"].tolist() == [samples.COUNTER] * 2
    assert records["status"].tolist() == [0, samples.LAST]


def test_an_unknown_group_is_offered_raw_once(recorder: tic.Recorder, reader: RingReader) -> None:
    unknown = Refused("unknown_label", b"JAUNE hh:mn  X")
    recorder.record([unknown, unknown, Refused("bad_checksum", b"PAPP 00420 X")])

    reader.poll()
    assert [entry for _, entry in reader.labels()] == [{"label": "JAUNE", "raw": "JAUNE hh:mn  X"}]


def test_labels_of_unknown_groups_are_bounded(recorder: tic.Recorder, reader: RingReader) -> None:
    recorder.record([Refused("unknown_label", b"X%03d 1 X" % number) for number in range(500)])

    reader.poll()
    assert len(reader.labels()) == tic.UNKNOWN_LABELS


def test_a_fault_is_a_label_and_a_count(recorder: tic.Recorder, reader: RingReader) -> None:
    for _ in range(2):
        recorder.fault("/dev/meter is silent")
        recorder.fault("")
        recorder.fault("/dev/meter is silent")
        recorder.fault("")
        recorder.beat({})

    records = reader.poll().records

    assert records["kind"].tolist() == [samples.ERROR] * 2
    ((number, entry),) = reader.labels()
    assert entry == {"error": "/dev/meter is silent"}
    assert records["value"].tolist() == [number, number]  # SERVICE field a lies where value does
    assert records["horodate_s"].tolist() == [2, 4]  # and b where horodate_s does


def test_a_simulated_meter_that_runs_faster_is_stamped_with_its_own_clock(tmp_path: Path) -> None:
    settings = Config(run_dir=str(tmp_path), clock=SimulationClock(60.0, 0, 0))

    _, simulated = tic.listen(settings, Meter("fast", "/dev/none", simulated=True))
    _, real = tic.listen(settings, Meter("real", "/dev/none"))

    assert simulated._clock == ScaledClock(60.0, 0, 0)
    assert not isinstance(real._clock, ScaledClock)
    simulated.close()
    real.close()


def test_a_meter_that_is_not_configured_is_an_error_of_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    path.write_text(Config(run_dir=str(tmp_path), meters=(Meter("home", "/dev/none"),)).to_json())
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    try:
        assert tic.main([str(path), "away"]) == 100
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)

    assert "no meter named 'away'; it names ['home']" in capsys.readouterr().err


def test_the_reader_of_a_meter_is_small() -> None:
    """What the import alone brings into the process."""
    forbidden = ("numpy", "asyncio", "yaml", "dataclasses", "aiohttp")
    program = "import sys, energyd.workers.tic; print(*[name for name in sys.argv[1:] if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", program, *forbidden], capture_output=True, text=True, check=True).stdout

    assert loaded.split() == []


@pytest.mark.e2e
def test_an_adapter_that_is_unplugged_and_plugged_in_again(tmp_path: Path, reader: RingReader) -> None:
    """Under the same name, as /dev/serial/by-id has it; the process stays, and SIGTERM ends it at once."""
    device = tmp_path / "adapter"
    path = tmp_path / "config.json"
    path.write_text(Config(run_dir=str(tmp_path), meters=(Meter("home", str(device)),)).to_json())
    process = subprocess.Popen([*MODULE, str(path), "home"], stderr=subprocess.PIPE)
    try:
        for plugged, energy_wh in enumerate((100, 200)):
            master, slave = os.openpty()
            device.unlink(missing_ok=True)
            device.symlink_to(os.ttyname(slave))
            os.close(slave)
            values = _until_heard(reader, master, energy_wh)
            os.close(master)
            assert energy_wh in values, f"after {plugged} times unplugged"
        begin = time.monotonic()
        process.terminate()
        assert process.wait(3) == 0
        assert time.monotonic() - begin < 1.5
    finally:
        process.kill()
        _, log = process.communicate()
    records = reader.poll().records
    reopenings = samples.COUNTERS["tic.1"].index("reopenings")
    assert ((records["kind"] == samples.COUNTER) & (records["value"] == reopenings)).any()
    assert b"Traceback" not in log


def _until_heard(reader: RingReader, master: int, energy_wh: int) -> list[Any]:
    """Speak until the ring holds the reading; the reader looks for its device with growing patience."""
    deadline = time.monotonic() + 8
    values: list[Any] = []
    while time.monotonic() < deadline and energy_wh not in values:
        _, writable, _ = select.select([], [master], [], 0)
        if writable:
            os.write(master, frame(energy_wh))
        time.sleep(0.05)
        records = reader.poll().records
        values += records["value"][records["kind"] == 4].tolist()
    return values
