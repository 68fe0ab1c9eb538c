"""The address that people and programs are told is the one that answers, TLS included."""

from pathlib import Path

import pytest

from energyd import address, configfile
from energyd.config import Config, Metrics
from energyd.errors import ConfigError


def config(place: Path, web: str, **settings: object) -> Config:
    file = place / "web.yml"
    file.write_text(web)
    return Config(metrics=Metrics(web_config_file=str(file), **settings))  # type: ignore[arg-type]


def test_tls_makes_it_https(tmp_path: Path) -> None:
    assert address.url(Config(metrics=Metrics(listen="::1"))) == "http://[::1]:9836/metrics"
    assert address.url(config(tmp_path, "rate_limit: {interval: 1s}")) == "http://127.0.0.1:9836/metrics"
    tls = config(tmp_path, "tls_server_config: {cert_file: c, key_file: k}", listen="0.0.0.0")
    assert address.url(tls) == "https://0.0.0.0:9836/metrics"
    assert address.local_url(tls) == "https://127.0.0.1:9836/metrics"


def test_a_wrong_web_configuration_is_said_where_the_configuration_is_checked_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = config(tmp_path, "tls: 1")
    with pytest.raises(ConfigError, match="tls: unknown key"):
        address.url(wrong)
    assert address.local_url(wrong) == "http://127.0.0.1:9836/metrics"
    assert configfile.main(["--set", f"metrics.web_config_file={tmp_path}/web.yml"]) == 100
    assert "web.yml:1: tls: unknown key" in capsys.readouterr().err


def test_the_token_is_used_where_it_may_be_read(tmp_path: Path) -> None:
    token = tmp_path / "token"
    settings = Config(metrics=Metrics(bearer_token_file=str(token)))
    assert address.token(Config()) is address.token(settings) is None
    token.write_text("abc\n")
    assert address.token(settings) == "abc"
    assert address.request(settings).headers == {"Authorization": "Bearer abc"}
    assert address.request(Config()).headers == {}
