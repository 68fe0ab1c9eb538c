"""Files of secrets and certificates that a configuration names are looked for when somebody checks it."""

import os
from pathlib import Path

import pytest

from energyd.config import Config, Metrics, Push
from energyd.configfile import check_config_main
from energyd.doctor import command
from energyd.namedfiles import faults

KEYS = ("password_file", "bearer_token_file", "tls_ca_file", "tls_cert_file", "tls_key_file")


@pytest.mark.parametrize("key", KEYS)
def test_a_file_that_is_not_there_is_named_with_its_setting_and_receiver(key, tmp_path):
    missing = str(tmp_path / "missing")
    target = Push("vm", "http://127.0.0.1/write", **{key: missing})
    found = faults(Config(metrics=Metrics(push=(target,))))
    assert found.missing == (f"metrics.push vm: {key}: {missing}: No such file or directory; make the file, or correct the path",)
    assert found.unreadable == ()


def test_a_token_file_of_the_server_has_to_be_a_file(tmp_path):
    [sentence] = faults(Config(metrics=Metrics(bearer_token_file=str(tmp_path)))).missing
    assert sentence == f"metrics.bearer_token_file: {tmp_path}: is a directory; name the file"


def test_files_that_are_there_are_no_fault(tmp_path):
    (tmp_path / "secret").write_text("x")
    named = Push("vm", "http://127.0.0.1/write", **dict.fromkeys(KEYS, str(tmp_path / "secret")))
    assert faults(Config(metrics=Metrics(push=(named,)))) == ((), ())


def test_what_only_this_user_may_not_read_is_a_warning(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("x")
    config = Config(metrics=Metrics(push=(Push("vm", "http://127.0.0.1/write", password_file=str(tmp_path / "secret")),)))
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    found = faults(config)
    assert found.missing == ()
    assert "may not be read by this user" in found.unreadable[0]

    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "stat", refuse)
    assert "may not be looked at by this user" in faults(config).unreadable[0]


def _configuration(tmp_path: Path) -> str:
    path = tmp_path / "energyd.yml"
    path.write_text(f"metrics: {{push: {{url: http://vm.example/write, username: me, password_file: {tmp_path}/absent}}}}")
    return str(path)


def test_check_config_finds_them(tmp_path, capsys):
    assert check_config_main(["--config", _configuration(tmp_path)]) == 100
    out, err = capsys.readouterr()
    assert out == ""
    advice = "No such file or directory; make the file, or correct the path"
    assert err == f"energyd: metrics.push push: password_file: {tmp_path}/absent: {advice}\n"


def test_check_config_says_which_setting_names_a_web_configuration_that_is_not_there(tmp_path, capsys):
    path = tmp_path / "energyd.yml"
    path.write_text(f"metrics: {{web_config_file: {tmp_path}/absent}}")
    assert check_config_main(["--config", str(path)]) == 100
    assert capsys.readouterr().err.endswith("name an existing file with metrics.web_config_file\n")


def test_doctor_finds_them_too(tmp_path):
    arguments = command.parser().parse_args(["--config", _configuration(tmp_path)])
    checks, config = command.configured(arguments)
    assert config is not None
    assert [(check.verdict, check.mend) for check in checks] == [("failure", "make the file, or correct the path")]
