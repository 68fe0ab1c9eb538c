"""What the web configuration and the token file say, and whether they have changed since."""

import os
import re
import ssl
from collections.abc import Iterable
from typing import Final, NamedTuple

from energyd.errors import ConfigError
from energyd.export import tls
from energyd.webconfig import WebConfig

_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")  # b64token of RFC 6750 section 2.1
_TOKEN_BYTES_MAX: Final = 4096


class Loaded(NamedTuple):
    """`context` None: no TLS; `token` None: none is asked for."""

    config: WebConfig
    context: ssl.SSLContext | None
    token: bytes | None


class WebFiles:
    """Reads the two files (either may be None) and those that they name."""

    def __init__(self, web_config_file: str | None, bearer_token_file: str | None) -> None:
        self._web_config_file = web_config_file
        self._bearer_token_file = bearer_token_file
        self._seen: dict[str, tuple[int, ...] | None] = {}
        self.named = [path for path in (web_config_file, bearer_token_file) if path is not None]

    def load(self) -> Loaded:
        """What they say now; ConfigError if one of them cannot be used."""
        self._seen = _signatures(self.named)  # before reading: what changes meanwhile will be seen as a change
        config = _read(self._web_config_file) if self._web_config_file is not None else WebConfig()
        context = None
        if config.tls is not None:
            self._seen |= _signatures(tls.files(config.tls))
            context = tls.server_context(config.tls)
        return Loaded(config, context, read_token(self._bearer_token_file) if self._bearer_token_file is not None else None)

    def changed(self) -> bool:
        """Whether one of the files is another than when it was loaded last."""
        return _signatures(self._seen) != self._seen


def _read(path: str) -> WebConfig:
    from energyd import webconfigfile  # brings YAML, 2 MB that only who has such a file pays

    return webconfigfile.read(path)


def read_token(path: str) -> bytes:
    """The token in the file, without the white space around it; ConfigError if there is none."""
    try:
        with open(path, "rb") as file:
            token = file.read(_TOKEN_BYTES_MAX + 1).strip()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; metrics.bearer_token_file names a file that energyd may read") from None
    if not _TOKEN.fullmatch(token) or len(token) > _TOKEN_BYTES_MAX:
        raise ConfigError(f"{path}: must hold one token of letters, digits and ._~+/-= (`openssl rand -hex 32` makes one)")
    return token


def _signatures(paths: Iterable[str]) -> dict[str, tuple[int, ...] | None]:
    """What is different when a file was written or replaced; None for one that is not there."""
    return {path: _signature(path) for path in paths}


def _signature(path: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
