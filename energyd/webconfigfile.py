"""The web configuration file of exporter-toolkit, as node_exporter and Prometheus read it: TLS, users, headers, rate limit.

Outside truth: prometheus/exporter-toolkit, docs/web-configuration.md. Every key that stands there is accepted; what this server
cannot do is answered with a note if leaving it out weakens nothing, and refused otherwise. Paths are relative to the file. Law: no
key, password or hash is ever part of a message.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from energyd.configtree import Node, parse_file, shown
from energyd.errors import ConfigError
from energyd.settingtypes import Boolean, Choice, Integer, Text
from energyd.webconfig import NO_CLIENT_CERT, REQUIRE_AND_VERIFY, TLS12, TLS13, VERIFY_IF_GIVEN, Tls, WebConfig

_TLS_SECTION: Final = "tls_server_config"
_REQUEST: Final = "RequestClientCert"
_REQUIRE_ANY: Final = "RequireAnyClientCert"
_CLIENT_AUTH: Final = (NO_CLIENT_CERT, _REQUEST, _REQUIRE_ANY, VERIFY_IF_GIVEN, REQUIRE_AND_VERIFY)
_VERSIONS: Final = ("TLS10", "TLS11", "TLS12", "TLS13")
_HEADERS: Final = (
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
)
_BCRYPT: Final = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def read(path: str) -> WebConfig:
    """The file at `path`; ConfigError "path:line: key: what is wrong" if it is not what exporter-toolkit describes."""
    notes: list[str] = []
    sections = _mapping(
        parse_file(path, "metrics.web_config_file"),
        "",
        (_TLS_SECTION, "http_server_config", "basic_auth_users", "rate_limit"),
    )
    tls = None
    if _TLS_SECTION in sections:
        tls = _tls(sections[_TLS_SECTION], Path(path).parent, notes)
    headers = _http(sections["http_server_config"], notes) if "http_server_config" in sections else ()
    users = _users(sections["basic_auth_users"]) if "basic_auth_users" in sections else ()
    interval_s, burst = _rate(sections["rate_limit"]) if "rate_limit" in sections else (0.0, 1)
    return WebConfig(tls, users, headers, interval_s, burst, tuple(notes))


def _tls(node: Node, place: Path, notes: list[str]) -> Tls | None:
    name = _TLS_SECTION
    # fmt: off
    entries = _mapping(node, name, (
        "cert_file", "key_file", "cert", "key", "client_auth_type", "client_ca_file", "client_ca", "client_allowed_sans",
        "min_version", "max_version", "cipher_suites", "prefer_server_cipher_suites", "curve_preferences",
    ))
    # fmt: on
    cert, key, client_ca = (_pem(entries, name, what, place) for what in ("cert", "key", "client_ca"))
    client_auth = _read(entries, name, "client_auth_type", Choice(_CLIENT_AUTH).read, NO_CLIENT_CERT)
    if cert is None and key is None and client_ca is None and client_auth == NO_CLIENT_CERT:
        return None
    if cert is None or key is None:
        missing = "cert_file" if cert is None else "key_file"
        raise ConfigError(f"{node.where}: {name}.{missing}: missing; TLS needs a certificate and its key")
    if "curve_preferences" in entries:
        notes.append("curve_preferences is without effect: OpenSSL chooses the curve")
    client_auth = _client_auth(node, entries, client_auth, client_ca, notes)
    sans = _texts(entries, name, "client_allowed_sans")
    return Tls(cert, key, client_auth, client_ca, sans, *_versions(entries, notes), _ciphers(entries, name, notes))


def _client_auth(node: Node, entries: dict[str, Node], asked: str, client_ca: str | None, notes: list[str]) -> str:
    """How clients show who they are, of what is `asked` for and can be had."""
    name = _TLS_SECTION
    if asked == _REQUIRE_ANY:
        raise ConfigError(
            f"{entries['client_auth_type'].where}: {name}.client_auth_type: {_REQUIRE_ANY} would let in every certificate, "
            f"which Python's TLS cannot; write {REQUIRE_AND_VERIFY} with client_ca_file"
        )
    if asked == _REQUEST:
        notes.append(f"client_auth_type {_REQUEST} is without effect: a certificate that nobody verifies is not asked for")
        asked = NO_CLIENT_CERT
    if asked in (VERIFY_IF_GIVEN, REQUIRE_AND_VERIFY) and client_ca is None:
        raise ConfigError(f"{node.where}: {name}.client_ca_file: missing; {asked} verifies against it")
    if client_ca is not None and asked == NO_CLIENT_CERT:
        raise ConfigError(f"{node.where}: {name}.client_auth_type: missing; a client CA without it has no effect")
    return asked


def _versions(entries: dict[str, Node], notes: list[str]) -> tuple[str, str]:
    """The lowest and the highest version of TLS that are spoken."""
    name = _TLS_SECTION
    lowest = _read(entries, name, "min_version", Choice(_VERSIONS).read, TLS12)
    highest = _read(entries, name, "max_version", Choice(_VERSIONS).read, TLS13)
    if highest < max(lowest, TLS12):
        raise ConfigError(f"{entries['max_version'].where}: {name}.max_version: must be {max(lowest, TLS12)} or above")
    if lowest < TLS12:
        notes.append(f"min_version {lowest} is taken as {TLS12}: older versions are not spoken")
    return max(lowest, TLS12), highest


def _pem(entries: dict[str, Node], section: str, what: str, place: Path) -> str | None:
    """The path in `what`_file, made absolute, or the text in `what`; None when there is neither."""
    file, inline = entries.get(f"{what}_file"), entries.get(what)
    if file is not None and inline is not None:
        raise ConfigError(f"{inline.where}: {section}.{what}: stands there beside {what}_file; keep one")
    if file is not None:
        text = _read(entries, section, f"{what}_file", _TEXT.read, "")
        return str(place / text) if text else None
    text = _read(entries, section, what, _SECRET.read, "") if inline is not None else ""
    return text.strip() + "\n" if text else None


def _ciphers(entries: dict[str, Node], section: str, notes: list[str]) -> tuple[str, ...]:
    chosen = []
    for name in _texts(entries, section, "cipher_suites"):
        if name in _TLS13_SUITES:
            notes.append(f"cipher_suites: {name} is always on offer with TLS 1.3")
        elif name in CIPHERS:
            chosen.append(CIPHERS[name])
        else:
            where = entries["cipher_suites"].where
            raise ConfigError(f"{where}: {section}.cipher_suites: {shown(name)} is unknown or unsafe; known: {', '.join(CIPHERS)}")
    return tuple(chosen)


_TLS13_SUITES: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_BULK: Final = {
    "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "AES_128_CBC_SHA256": "AES128-SHA256",
    "AES_128_CBC_SHA": "AES128-SHA",
    "AES_256_CBC_SHA": "AES256-SHA",
    "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
    "CHACHA20_POLY1305": "CHACHA20-POLY1305",
}
_EXCHANGES: Final = {"ECDHE_ECDSA": "ECDHE-ECDSA-", "ECDHE_RSA": "ECDHE-RSA-", "RSA": ""}
CIPHERS: Final = {
    f"TLS_{exchange}_WITH_{bulk}": prefix + name
    for exchange, prefix in _EXCHANGES.items()
    for bulk, name in _BULK.items()
    if prefix or "CHACHA20" not in bulk
}
"""Go's names (crypto/tls) of the suites of TLS 1.2, and OpenSSL's."""


def _http(node: Node, notes: list[str]) -> tuple[tuple[str, str], ...]:
    name = "http_server_config"
    entries = _mapping(node, name, ("http2", "headers"))
    if _read(entries, name, "http2", Boolean().read, False):
        notes.append("http2 is accepted and ignored: energyd speaks HTTP/1.1")
    if "headers" not in entries:
        return ()
    headers = _mapping(entries["headers"], f"{name}.headers", _HEADERS)
    values = {key: _read(headers, f"{name}.headers", key, _HEADER.read, "") for key in headers}
    return tuple((key, text) for key, text in values.items() if text)


def _users(node: Node) -> tuple[tuple[str, str], ...]:
    name = "basic_auth_users"
    entries = _mapping(node, name, None)
    for user in entries:
        if not user or ":" in user or not user.isprintable():
            raise ConfigError(f"{entries[user].where}: {name}: a user must have a name without colons")
    return tuple((user, _read(entries, name, user, _HASH.read, "")) for user in entries)


def _rate(node: Node) -> tuple[float, int]:
    name = "rate_limit"
    entries = _mapping(node, name, ("interval", "burst"))
    return _read(entries, name, "interval", _duration_s, 0.0), _read(entries, name, "burst", Integer(1, 1_000_000).read, 1)


def _duration_s(node: Node) -> float:
    """A duration as Go writes it: 1s, 100ms, 1m30s; 0 without a unit."""
    text = node.text.strip('"')
    if text == "0":
        return 0.0
    if not _DURATION.sub("", text) and text:
        return sum(float(count) * _SECONDS[unit] for count, unit in _DURATION.findall(text))
    raise ValueError("must be a duration such as 1s or 100ms")


def _one_line(text: str) -> str:
    if not text.isprintable() or not text.isascii():
        raise ValueError("must be one line of ASCII")
    return text


def _bcrypt(text: str) -> str:
    if not _BCRYPT.fullmatch(text):
        raise ValueError("must be a bcrypt hash, as `htpasswd -nBC 10 '' | tr -d ':'` makes it")
    return text


def _any(text: str) -> str:
    return text


_TEXT: Final = Text("a text", _any)
_SECRET: Final = Text("PEM text", _any, secret=True)
_HEADER: Final = Text("a text", _one_line)
_HASH: Final = Text("a bcrypt hash", _bcrypt, secret=True)


def _mapping(node: Node, name: str, known: tuple[str, ...] | None) -> dict[str, Node]:
    """The entries of a section; None as `known` allows all."""
    entries = {} if node.value is None else node.value
    if not isinstance(entries, dict):
        raise ConfigError(f"{node.where}: {name or 'the web configuration'}: must be a mapping (key: value)")
    for key, entry in entries.items():
        if known is not None and key not in known:
            raise ConfigError(
                f"{entry.where}: {name + '.' if name else ''}{shown(key)}: unknown key; valid here: {', '.join(known)}"
            )
    return entries


def _read(entries: dict[str, Node], section: str, key: str, read: Callable[[Node], Any], default: Any) -> Any:
    node = entries.get(key)
    if node is None or node.value is None:
        return default
    try:
        return read(node)
    except ValueError as error:
        raise ConfigError(f"{node.where}: {section}.{shown(key)}: {error}") from None


def _texts(entries: dict[str, Node], section: str, key: str) -> tuple[str, ...]:
    node = entries.get(key)
    if node is None or node.value is None:
        return ()
    if not isinstance(node.value, list):
        raise ConfigError(f"{node.where}: {section}.{key}: must be a list (each item begins with '- ')")
    return tuple(_read({key: item}, section, key, _TEXT.read, "") for item in node.value)
