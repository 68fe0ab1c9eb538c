"""What the web configuration file of the HTTP server says (see `energyd.webconfigfile`, which reads it and brings YAML)."""

from typing import Final, NamedTuple

NO_CLIENT_CERT: Final = "NoClientCert"
VERIFY_IF_GIVEN: Final = "VerifyClientCertIfGiven"
REQUIRE_AND_VERIFY: Final = "RequireAndVerifyClientCert"
TLS12: Final = "TLS12"
TLS13: Final = "TLS13"


class Tls(NamedTuple):
    """`cert`, `key` and `client_ca` are a path, or PEM text if they hold a newline. `ciphers` are OpenSSL's names, () = its own."""

    cert: str
    key: str
    client_auth: str = NO_CLIENT_CERT
    client_ca: str | None = None
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = TLS12
    max_version: str = TLS13
    ciphers: tuple[str, ...] = ()


class WebConfig(NamedTuple):
    """`users`: (name, bcrypt hash). `rate_interval_s` 0 = no limit. `notes`: what is accepted without effect, a sentence each."""

    tls: Tls | None = None
    users: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    rate_interval_s: float = 0.0
    rate_burst: int = 1
    notes: tuple[str, ...] = ()
