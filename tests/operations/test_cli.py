"""The command line: which module answers, and what becomes of errors."""

import importlib
import json
import subprocess
import sys
import types

import pytest

from energyd import __version__, cli
from energyd.errors import ConfigError, EnvironmentFault
from energyd.ring.writer import RingWriter, capacity_for
from energyd.samples import LAST, PROCESS, RAPL, USAGE
from energyd.service.clock import SYSTEM_CLOCK


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_a_module_with_a_main_and_a_help(command, capsys):
    try:
        code = cli.main([command, "--help"])
    except SystemExit as exit_:
        code = exit_.code

    assert code == 0
    assert command in "".join(capsys.readouterr())


def test_the_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])

    said = capsys.readouterr().out
    assert all(f"  {name} " in said and command.help in said for name, command in cli.COMMANDS.items())


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])

    assert capsys.readouterr().out == f"energyd {__version__}\n"


def test_an_unknown_command_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["runn"])

    assert exit_.value.code == 2


@pytest.fixture
def command(monkeypatch):
    """Makes `energyd status` call what the test gives."""

    def use(function):
        module = types.SimpleNamespace(main=function)
        monkeypatch.setattr(importlib, "import_module", lambda name: module)

    return use


@pytest.mark.parametrize(("error", "code"), [(ConfigError("bad key"), 100), (EnvironmentFault("full disk"), 111)])
def test_an_error_is_one_line_and_the_exit_code_of_whose_fault_it_is(command, capsys, error, code):
    def fail(_):
        raise error

    command(fail)

    assert cli.main(["status"]) == code
    assert capsys.readouterr().err == f"energyd: {error}\n"


def test_ctrl_c_is_no_traceback(command):
    def interrupt(_):
        raise KeyboardInterrupt

    command(interrupt)

    assert cli.main(["status"]) == 130


def test_the_rest_of_the_line_goes_to_the_command(command):
    seen = []

    def keep(argv):
        seen.extend(argv)
        return 3

    command(keep)

    assert cli.main(["status", "--json", "--set", "a=b"]) == 3
    assert seen == ["--json", "--set", "a=b"]


def test_importing_the_command_line_costs_nothing_heavy():
    code = "import sys, energyd.cli; print([m for m in ('numpy', 'yaml', 'aiohttp', 'supervisor') if m in sys.modules])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# energyd dump


@pytest.fixture
def ring(run_dir):
    writer = RingWriter.open(run_dir, "usage", USAGE, capacity_for(1), SYSTEM_CLOCK)
    number = writer.label({"kind": "process", "comm": "bash", "pid": 42})
    for cpu_ns in (1000, 2000):
        writer.append(PROCESS, 5_000_000_000, (number, 42, 7, cpu_ns, 0))
        writer.end_batch(5_000_000_000, 4_000_000_000, 0)
    writer.close()
    return run_dir / "usage.ring"


def test_dump_shows_samples_as_json_lines(ring, capsys):
    assert cli.main(["dump", str(ring), "--json"]) == 0

    samples = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [sample["kind"] for sample in samples] == ["process", "end", "process", "end"]
    assert samples[2]["comm"] == "bash"
    assert samples[2]["cpu_ns"] == 2000


def test_dump_shows_only_the_last_samples_and_in_columns(ring, capsys):
    assert cli.main(["dump", str(ring), "--last", "2"]) == 0

    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[:4] == ["3", "5.000000", "2", "process"]
    assert "comm=bash pid=42" in first
    assert second.endswith("[last]")


def test_dump_of_a_ring_that_is_not_there_names_those_that_are(ring, run_dir, capsys):
    (run_dir / "config.json").write_text("{}")

    assert cli.main(["dump", "rapl", "--set", f"run_dir={run_dir}"]) == 111
    assert "rings there: usage" in capsys.readouterr().err
    assert cli.main(["dump", "--set", f"run_dir={run_dir}"]) == 0
    assert capsys.readouterr().out == "usage\n"


def test_dump_names_kinds_of_a_meter_by_their_labels_only_in_a_meters_ring(run_dir, capsys):
    writer = RingWriter.open(run_dir, "rapl", RAPL, capacity_for(1), SYSTEM_CLOCK)
    writer.append(5, 1, (1, 1, 0, 0), status=1)
    writer.close()
    cli.main(["dump", f"{run_dir}/rapl.ring"])

    assert "zone 5" in capsys.readouterr().out


def test_dump_into_a_closed_pipe_ends_quietly(run_dir):
    writer = RingWriter.open(run_dir, "usage", USAGE, 4096, SYSTEM_CLOCK)
    for _ in range(4000):
        writer.append(PROCESS, 1, (1, 1, 1, 1, 1), status=LAST)
    writer.close()
    command = f"{sys.executable} -m energyd dump {run_dir}/usage.ring | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=30)

    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
