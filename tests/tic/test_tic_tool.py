"""`energyd tic decode` and `energyd tic probe`, as a user types them."""

import io
import json
import socket
import sys
import threading
from pathlib import Path

import pytest

from energyd.errors import EnvironmentFault
from energyd.tic.checksum import with_even_parity
from energyd.tic.framing import encode_group
from energyd.tic.tool import main
from energyd.ticfields import HISTORIQUE, STANDARD

PROFILE = b"00008001 0600C002" + 9 * b" NONUTILE"
FRAME = (
    b"\x02"
    + b"".join(
        encode_group(STANDARD, *group)
        for group in (
            (b"ADSC", b"021976825763"),
            (b"DATE", b"", b"h230301091834"),
            (b"EAST", b"080490250"),
            (b"LTARF", b" HEURE  PLEINE  "),
            (b"STGE", b"003AC701"),
            (b"RELAIS", b"140"),
            (b"PJOURF+1", PROFILE),
        )
    )
    + b"\x03"
)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "capture"
    path.write_bytes(FRAME * 4 + b"\nPREF\t12\tZ\r\n\xb1\xff\x1b[2J\r")
    return path


def test_each_group_is_an_object_and_refused_ones_say_why(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "--json", str(capture)]) == 0

    out, err = capsys.readouterr()
    objects = [json.loads(line) for line in out.splitlines()]
    assert [set(each) for each in objects] == [{"label", "value", "horodate", "ok", "reason"}] * 30
    assert objects[0] == {"label": "ADSC", "value": "021976825763", "horodate": None, "ok": True, "reason": None}
    assert objects[1]["horodate"] == "2023-03-01T08:18:34+00:00"
    assert [each["value"] for each in objects[2:6]] == [80490250, " HEURE  PLEINE  ", "003AC701", 140]
    assert objects[28] == {"label": "PREF", "value": "PREF\\t12\\tZ", "horodate": None, "ok": False, "reason": "bad_checksum"}
    assert (objects[29]["label"], objects[29]["reason"]) == (None, "bad_parity")
    assert err.splitlines()[0].startswith("bytes=")
    assert "groups_ok=28" in err


def test_the_text_unpacks_packed_fields(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", str(capture)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert "EAST       80490250 Wh" in lines
    assert "DATE       2023-03-01T08:18:34+00:00 clock degraded" in lines
    assert any(line.startswith("STGE       003AC701 ") and "distributor index: 4" in line for line in lines)
    assert "RELAIS     140 closed: 3, 4, 8" in lines
    assert any(line.endswith("00:00 index 1, contact open; 06:00 index 2, contact closed") for line in lines)


def test_a_professional_meter_is_shown_in_its_own_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = (
        (b"EAP_s", b"9649kWh"),
        (b"TGPHI_s", b"-0,39"),
        (b"I1", b"1,234A"),
        (b"PA1_s", b"6TkW"),
        (b"DebP", b"14/08/16 02:50:00"),
    )
    capture = tmp_path / "capture"
    capture.write_bytes(b"\x02" + b"".join(encode_group(HISTORIQUE, *group) for group in said) + b"\x03")

    main(["decode", str(capture)])
    lines = capsys.readouterr().out.splitlines()
    main(["decode", "--json", str(capture)])
    values = [json.loads(line)["value"] for line in capsys.readouterr().out.splitlines()]

    assert lines == [
        "EAP_s      9649000 Wh",
        "TGPHI_s    -0.39",
        "I1         1.234 A",
        "PA1_s      6000 W cut short: T",
        "DebP       2016-08-14T00:50:00+00:00",
    ]
    assert values == [9649000, -0.39, 1.234, 6000, 1471135800]


def test_nothing_that_a_line_says_reaches_the_terminal_as_a_control(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["decode", str(capture)])

    assert all(character.isprintable() or character == "\n" for character in capsys.readouterr().out)


def test_a_capture_can_come_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(FRAME)))

    assert main(["decode", "-"]) == 0
    assert "EAST       80490250 Wh" in capsys.readouterr().out


def test_a_capture_that_is_not_there_is_named() -> None:
    with pytest.raises(EnvironmentFault, match="no/such/file: No such file"):
        main(["decode", "no/such/file"])


def test_a_disk_that_is_full_is_not_the_capture_s_fault(capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(EnvironmentFault, match="the output: No space left on device"):
            main(["decode", str(capture)])
        monkeypatch.undo()
        with pytest.raises(OSError, match="No space"):
            full.close()


def test_a_probe_says_what_the_line_is(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(with_even_parity(FRAME) * 5)

        speaker = threading.Thread(target=speak)
        speaker.start()
        assert main(["probe", f"socket://127.0.0.1:{server.getsockname()[1]}"]) == 0
        speaker.join()

    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "speed    not ours to choose",
        "mode     standard",
        "parity   even, checked",
        "meter    ADSC 021976825763",
        "groups   35 good, 0 refused (0.0%)",
    ]


def test_a_probe_that_hears_nothing_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", str(tmp_path / "no-device"), "--seconds", "0.1"]) == 111

    err = capsys.readouterr().err
    assert "does not exist" in err
    assert "no meter understood in 0.1 s" in err
