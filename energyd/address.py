"""Where the HTTP server of a configuration answers, and with what it can be asked from this machine."""

import http.client
import ssl
import urllib.request
from typing import Final

from energyd import webconfigfile
from energyd.config import Config
from energyd.errors import ConfigError

NO_ANSWER: Final = (OSError, http.client.HTTPException)
"""Raised where nobody answers, or somebody who does not speak HTTP."""
_ALL: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def url(config: Config) -> str:
    """The URL of the metrics as others reach it. ConfigError if the web configuration file, which says whether by TLS, is wrong."""
    file = config.metrics.web_config_file
    scheme = "https" if file is not None and webconfigfile.read(file).tls is not None else "http"
    return _url(config, scheme, config.metrics.listen)


def local_url(config: Config) -> str:
    """The same from this machine, whatever state its files are in."""
    host = _ALL.get(config.metrics.listen, config.metrics.listen)
    try:
        return _url(config, url(config).partition(":")[0], host)
    except ConfigError:
        return _url(config, "http", host)


def _url(config: Config, scheme: str, host: str) -> str:
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{config.metrics.port}{config.metrics.path}"


def token(config: Config) -> str | None:
    """The bearer token, if there is one and we may read it."""
    if config.metrics.bearer_token_file is None:
        return None
    try:
        with open(config.metrics.bearer_token_file, encoding="ascii") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return None


def request(config: Config) -> urllib.request.Request:
    """For the metrics, with the token if there is one."""
    secret = token(config)
    return urllib.request.Request(local_url(config), headers={"Authorization": f"Bearer {secret}"} if secret else {})


def opener() -> urllib.request.OpenerDirector:
    """For requests to our own server on this machine: by no proxy, and whatever name its certificate bears."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
