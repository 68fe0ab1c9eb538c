"""A server's TLS context from the web configuration."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from energyd.errors import ConfigError
from energyd.webconfig import NO_CLIENT_CERT, TLS13, VERIFY_IF_GIVEN, Tls

_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, TLS13: ssl.TLSVersion.TLSv1_3}


def server_context(tls: Tls) -> ssl.SSLContext:
    """A context for `tls`; ConfigError names the file that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = _VERSIONS[tls.min_version], _VERSIONS[tls.max_version]
    if tls.ciphers:
        try:
            context.set_ciphers(":".join(tls.ciphers))
        except ssl.SSLError:
            raise ConfigError(f"cipher_suites: OpenSSL has none of {', '.join(tls.ciphers)}; leave the key out") from None
    with _file(tls.cert) as cert, _file(tls.key) as key:
        try:
            context.load_cert_chain(cert, key, password=no_password)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{_names(tls)}: {_mend(error)}") from None
    if tls.client_auth != NO_CLIENT_CERT:
        assert tls.client_ca is not None, "BUG: client certificates are to be verified against nothing"
        with _file(tls.client_ca) as client_ca:
            try:
                context.load_verify_locations(client_ca)
            except (OSError, ValueError) as error:
                raise ConfigError(f"{_shown(tls.client_ca, 'client_ca')}: {_mend(error)}") from None
        context.verify_mode = ssl.CERT_OPTIONAL if tls.client_auth == VERIFY_IF_GIVEN else ssl.CERT_REQUIRED
    return context


def names_of(peer: dict[str, Any]) -> set[str]:
    """The subject alternative names of a verified certificate, as `ssl.SSLSocket.getpeercert` tells it."""
    return {str(value) for _, value in peer.get("subjectAltName", ())}


def files(tls: Tls) -> list[str]:
    """The files that the context was made of."""
    return [path for path in (tls.cert, tls.key, tls.client_ca) if path is not None and "\n" not in path]


@contextmanager
def _file(pem: str) -> Iterator[str]:
    """A path for what is a path already, or a text that OpenSSL wants to read from a file."""
    if "\n" not in pem:
        yield pem
        return
    descriptor = os.memfd_create("pem")
    try:
        Path(f"/proc/self/fd/{descriptor}").write_text(pem, encoding="ascii")
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def no_password() -> str:
    """For `load_cert_chain`, which would ask on the terminal otherwise."""
    raise ValueError("the key is encrypted; a daemon has nobody to ask for its password: remove that with `openssl pkey`")


def _names(tls: Tls) -> str:
    return f"{_shown(tls.cert, 'cert')}, {_shown(tls.key, 'key')}"


def _shown(pem: str, key: str) -> str:
    return key if "\n" in pem else pem


def _mend(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the key does not belong to the certificate"
        return "not what OpenSSL understands: PEM with a certificate (chain), and its private key, are wanted"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return str(error.strerror or error) if isinstance(error, OSError) else str(error)
