"""`energyd check-config` says what a configuration amounts to, and leaves what the workers read."""

import argparse
import json
import os

import pytest

from energyd import config, configfile
from energyd.config import Config
from energyd.configfile import add_flags, check_config_main, masked, write
from energyd.errors import ConfigError, EnvironmentFault

SECRET = """
metrics:
  push:
    url: http://vm.example/write?token=s3cret
    username: me
    password: s3cret
    headers: {X-Key: s3cret}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "energyd.yml"
    path.write_text(f"run_dir: {tmp_path}/run\nmeters: [{{device: /dev/ttyUSB0}}]" + SECRET)
    return path


def test_a_good_configuration_is_ok_line_by_line_without_secrets(file, capsys):
    assert check_config_main(["--config", str(file)]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"OK {file}",
        "OK metrics: http://127.0.0.1:9836/metrics",
        "OK push push: http://vm.example/write?*** every 15 s",
        "OK meter linky: /dev/ttyUSB0 (auto)",
    ]
    assert err == ""


def test_without_a_file_that_is_said(capsys):
    assert check_config_main([]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "OK no file, defaults",
        "OK metrics: http://127.0.0.1:9836/metrics",
        "OK meters: none",
    ]


def test_a_mistake_is_one_line_and_exit_100(file, capsys):
    assert check_config_main(["--config", str(file), "--set", "metrics.prot=1"]) == 100
    out, err = capsys.readouterr()
    assert (out, err) == ("", "energyd: --set: metrics.prot: unknown key; did you mean metrics.port?\n")


def test_a_warning_goes_to_stderr_and_is_no_failure(file, capsys):
    assert check_config_main(["--config", str(file), "--set", "metrics.labels.job=x"]) == 0
    assert capsys.readouterr().err.startswith("energyd: warning: --set: metrics.labels.job: Prometheus puts its own there")


def test_json_shows_everything_but_secrets(file, capsys):
    assert check_config_main(["--config", str(file), "--json"]) == 0
    out = capsys.readouterr().out
    assert "s3cret" not in out
    shown = json.loads(out)
    assert shown["config"]["metrics"]["push"][0]["password"] == "***"
    assert shown["config"]["meters"][0]["device"] == "/dev/ttyUSB0"
    assert shown["warnings"] == []


def test_write_leaves_the_configuration_for_the_workers_readable_by_the_group_alone(file, tmp_path, capsys):
    assert check_config_main(["--config", str(file), "--write"]) == 0
    written = tmp_path / "run/config.json"
    assert capsys.readouterr().out.endswith(f"OK wrote {written}\n")
    assert written.stat().st_mode & 0o777 == 0o640
    assert config.read(str(written)) == configfile.load(str(file), {})
    assert os.listdir(tmp_path / "run") == ["config.json"]


def test_write_replaces_what_was_there_and_a_leftover_of_a_death(tmp_path):
    (tmp_path / "config.json.new").write_text("half")
    (tmp_path / "config.json").write_text("old")
    path = write(Config(run_dir=str(tmp_path)))
    assert config.read(path).run_dir == str(tmp_path)
    assert os.listdir(tmp_path) == ["config.json"]


def test_a_run_directory_that_cannot_be_written_is_the_environments_fault(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="set run_dir to a directory you may write"):
        write(Config(run_dir=str(tmp_path / "file")))
    assert check_config_main(["--write", "--set", f"run_dir={tmp_path}/file"]) == 111
    assert capsys.readouterr().err.startswith(f"energyd: {tmp_path}/file/config.json: ")


def test_masking_changes_nothing_but_secrets(file):
    plain = configfile.load(str(file), {})
    assert masked(plain)._replace(metrics=plain.metrics) == plain
    assert masked(Config()) == Config()


def test_flags_are_pairs(capsys):
    parser = argparse.ArgumentParser()
    add_flags(parser)
    arguments = parser.parse_args(["--set", "a.b=c=d", "--set", "e=", "--config", "f"])
    assert (arguments.set, arguments.config) == ([("a.b", "c=d"), ("e", "")], "f")
    with pytest.raises(SystemExit):
        parser.parse_args(["--set", "s3cret"])
    assert "s3cret" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", '{"unknown": 1}', '{"metrics": 5}', '{"metrics": {"prot": 1}}', '{"meters": [{}]}']
)
def test_a_config_json_that_we_did_not_write_is_a_configuration_error(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="check-config --write"):
        config.read(str(path))


def test_a_config_json_that_is_not_there_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match=r"does not exist; `energyd check-config --write` makes it"):
        config.read(str(tmp_path / "config.json"))
