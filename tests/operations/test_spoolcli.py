"""`energyd spool` looks without touching, and sends what it is asked to."""

import asyncio
import re
import zlib
from pathlib import Path

import numpy as np
import pytest

from energyd import pushcli, spoolcli
from energyd.errors import ConfigError, EnvironmentFault
from energyd.service.clock import SYSTEM_CLOCK
from energyd.spool.spool import Limits, Spool, mark_file

START_MS = 1_795_162_354_000


@pytest.fixture
def flags(tmp_path):
    """The flags of an energyd whose state lies in tmp_path, with a spool of ten rows of which four are delivered."""
    spool = Spool(
        tmp_path / "state" / "spool" / "vm", mark_file(tmp_path / "run", "vm"), Limits(1 << 24, 1e9), SYSTEM_CLOCK, lambda *_: None
    )
    for tick in range(10):
        spool.append(START_MS + 1000 * tick, [b'energyd_a{x="1"} ', b"energyd_b "], np.array([tick, tick + 0.5]))
    spool.acknowledge(0, 8)
    spool.close()
    (tmp_path / "energyd.yml").write_text(f"state_dir: {tmp_path}/state\nrun_dir: {tmp_path}/run\n")
    return ["--config", str(tmp_path / "energyd.yml"), "--set", f"state_dir={tmp_path}/state"]


def files(tmp_path):
    return {path: path.read_bytes() for path in (tmp_path / "state").rglob("*.spool")}


def test_the_list_says_what_waits_and_changes_nothing(flags, tmp_path, capsys):
    before = files(tmp_path)
    assert spoolcli.main(["list", *flags]) == 0
    said = capsys.readouterr().out
    assert said.startswith("vm (not configured): 12 samples wait, 8 delivered, on disk 20 samples in 1 files")
    assert "from 2026-11-20 08:12:34 UTC to 2026-11-20 08:12:43 UTC" in said
    assert files(tmp_path) == before


def test_without_a_command_it_lists(flags, capsys):
    assert spoolcli.main(flags) == 0
    assert capsys.readouterr().out.startswith("vm (not configured): 12 samples wait")


def test_without_a_spool_the_list_says_so(tmp_path, capsys):
    assert spoolcli.main(["list", "--set", f"state_dir={tmp_path}"]) == 0
    assert "no spool" in capsys.readouterr().out


def test_show_prints_lines_that_can_be_imported(flags, capsys):
    assert spoolcli.main(["show", "vm", *flags, "--from", str(START_MS / 1000 + 8), "--match", ".*_a"]) == 0
    assert capsys.readouterr().out == (f'energyd_a{{x="1"}} 8.0 {START_MS + 8000}\nenergyd_a{{x="1"}} 9.0 {START_MS + 9000}\n')
    assert spoolcli.main(["show", "vm", *flags, "--until", "2026-11-20T08:12:34+00:00"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("arguments", [["show", "nobody"], ["replay", "nobody", "--to", "http://127.0.0.1:1/"]])
def test_a_spool_that_is_not_there_is_said(flags, arguments):
    with pytest.raises(EnvironmentFault, match="does not exist"):
        spoolcli.main([*arguments, *flags])


def test_a_replay_without_an_address_needs_a_receiver(flags):
    with pytest.raises(ConfigError, match="--to URL"):
        spoolcli.main(["replay", "vm", *flags])


def test_a_series_to_match_must_be_a_regular_expression(flags, capsys):
    with pytest.raises(SystemExit):
        spoolcli.main(["show", "vm", *flags, "--match", "energyd_("])
    assert "--match: must be a regular expression: missing )" in capsys.readouterr().err


def test_a_time_is_seconds_or_iso_8601(flags, capsys):
    with pytest.raises(SystemExit):
        spoolcli.main(["show", "vm", *flags, "--from", "yesterday"])
    assert "ISO 8601" in capsys.readouterr().err


def test_a_replay_sends_what_is_there_and_leaves_the_book_as_it_is(flags, tmp_path, capsys, monkeypatch):
    received = []

    async def receive(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"Content-Length: (\d+)", head)[1])
        received.append(zlib.decompress(await reader.readexactly(length), 31).decode())
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    real = spoolcli.resend

    async def beside_a_receiver(target, *arguments):
        async with await asyncio.start_server(receive, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            sent = await real(target._replace(url=f"http://127.0.0.1:{port}/api/v1/import/prometheus"), *arguments)
            server.close()
        return sent

    monkeypatch.setattr(spoolcli, "resend", beside_a_receiver)
    before = files(tmp_path)
    assert spoolcli.main(["replay", "vm", *flags, "--to", "http://127.0.0.1:1/api/v1/import/prometheus"]) == 0
    assert capsys.readouterr().out == "20 samples of 10 rows sent, 0 refused\n"
    assert len("".join(received).splitlines()) == 20
    assert files(tmp_path) == before


def test_a_replay_to_nobody_gives_up(flags, capsys, monkeypatch):
    monkeypatch.setattr("energyd.export.resend._PAUSE_S", 0.0)
    assert spoolcli.main(["replay", "vm", *flags, "--to", "http://127.0.0.1:1/write"]) == 1
    assert "no connection" in capsys.readouterr().out


def test_a_check_needs_a_receiver(tmp_path):
    (tmp_path / "energyd.yml").write_text("metrics: {push: {name: vm, url: http://127.0.0.1:1/}}\n")
    with pytest.raises(ConfigError, match="no receiver prom is configured; there are vm"):
        pushcli.main(["--check", "prom", "--config", str(tmp_path / "energyd.yml")])
    Path(tmp_path / "energyd.yml").write_text("")
    with pytest.raises(ConfigError, match="set metrics"):
        pushcli.main(["--check", "--config", str(tmp_path / "energyd.yml")])


def test_a_check_of_nobody_fails_and_says_why(tmp_path, capsys):
    (tmp_path / "energyd.yml").write_text("metrics: {push: {name: vm, url: http://127.0.0.1:1/}}\n")
    assert pushcli.main(["--check", "--config", str(tmp_path / "energyd.yml")]) == 1
    assert (
        capsys.readouterr().out
        == "FAIL vm: http://127.0.0.1:1: no connection: Connection refused; is it running, and at this port?\n"
    )
