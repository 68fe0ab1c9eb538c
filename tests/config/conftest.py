"""Configurations are written into a temporary directory; the machine's own configuration is out of sight."""

from collections.abc import Callable
from pathlib import Path

import pytest

from energyd import configfile
from energyd.config import Config
from energyd.errors import ConfigError


@pytest.fixture(autouse=True)
def _no_configuration_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(configfile, "DEFAULT_PATH", str(tmp_path / "absent.yml"))
    monkeypatch.delenv("TZ", raising=False)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """load(text, environ={}, overrides=()) reads `text` as energyd.yml of the current directory."""
    monkeypatch.chdir(tmp_path)

    def loaded(text: str | bytes, environ: dict[str, str] | None = None, overrides: tuple[tuple[str, str], ...] = ()) -> Config:
        Path("energyd.yml").write_bytes(text.encode() if isinstance(text, str) else text)
        return configfile.load("energyd.yml", environ or {}, overrides)

    return loaded


@pytest.fixture
def refused(load: Callable[..., Config]) -> Callable[..., str]:
    """The message of the ConfigError that the same arguments bring."""

    def message(*arguments: object) -> str:
        with pytest.raises(ConfigError) as caught:
            load(*arguments)
        assert "\n" not in str(caught.value), "an error is one line"
        return str(caught.value)

    return message
