"""exporter-toolkit's web configuration file is taken as it is, and whatever is wrong with it is named without its secrets."""

from pathlib import Path

import pytest

from energyd import webconfigfile
from energyd.errors import ConfigError
from energyd.webconfig import REQUIRE_AND_VERIFY, Tls, WebConfig

HASH = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"

FULL = f"""\
tls_server_config:
  cert_file: server.crt
  key_file: /etc/keys/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca/clients.pem
  client_allowed_sans: [prometheus.example.org, 10.0.0.1]
  min_version: TLS13
  max_version: TLS13
  cipher_suites:
    - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    - TLS_AES_128_GCM_SHA256
  prefer_server_cipher_suites: true
  curve_preferences: [X25519]
http_server_config:
  http2: true
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Frame-Options: deny
basic_auth_users:
  alice: {HASH}
  bob: "{HASH}"
rate_limit:
  interval: 1m30s
  burst: 20
"""


def write(place: Path, text: str) -> str:
    path = place / "web.yml"
    path.write_text(text)
    return str(path)


def test_every_key_of_the_documentation_is_understood(tmp_path: Path) -> None:
    config = webconfigfile.read(write(tmp_path, FULL))
    assert config.tls == Tls(
        cert=str(tmp_path / "server.crt"),
        key="/etc/keys/server.key",
        client_auth=REQUIRE_AND_VERIFY,
        client_ca=str(tmp_path / "ca/clients.pem"),
        client_allowed_sans=("prometheus.example.org", "10.0.0.1"),
        min_version="TLS13",
        max_version="TLS13",
        ciphers=("ECDHE-RSA-AES128-GCM-SHA256",),
    )
    assert config.users == (("alice", HASH), ("bob", HASH))
    assert config.headers == (("Strict-Transport-Security", "max-age=31536000"), ("X-Frame-Options", "deny"))
    assert (config.rate_interval_s, config.rate_burst) == (90.0, 20)
    assert [note.split(" ")[0] for note in config.notes] == ["curve_preferences", "cipher_suites:", "http2"]


@pytest.mark.parametrize("text", ["", "{}", "tls_server_config: {}", "basic_auth_users:", "rate_limit: {interval: 0}"])
def test_an_empty_file_asks_for_nothing(tmp_path: Path, text: str) -> None:
    assert webconfigfile.read(write(tmp_path, text)) == WebConfig()


def test_certificate_and_key_may_stand_in_the_file_itself(tmp_path: Path) -> None:
    text = "tls_server_config:\n  cert: |\n    -----BEGIN\n    x\n  key: |\n    -----BEGIN\n    y\n"
    tls = webconfigfile.read(write(tmp_path, text)).tls
    assert tls is not None
    assert (tls.cert, tls.key) == ("-----BEGIN\nx\n", "-----BEGIN\ny\n")


def test_what_weakens_nothing_is_noted_and_done_without(tmp_path: Path) -> None:
    text = "tls_server_config: {cert_file: c, key_file: k, client_auth_type: RequestClientCert, min_version: TLS10}"
    config = webconfigfile.read(write(tmp_path, text))
    assert config.tls is not None
    assert (config.tls.client_auth, config.tls.min_version) == ("NoClientCert", "TLS12")
    assert len(config.notes) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tls_server: {}", "1: tls_server: unknown key"),
        ("[]", "the web configuration: must be a mapping"),
        ("tls_server_config: {cert_file: c}", "1: tls_server_config.key_file: missing"),
        ("tls_server_config: {key_file: c}", "1: tls_server_config.cert_file: missing"),
        ("tls_server_config: {cert_file: c, cert: d, key_file: k}", "tls_server_config.cert: stands there beside cert_file"),
        ("tls_server_config:\n  cert_file: c\n  key_file: k\n  min_version: SSL3", "4: tls_server_config.min_version: must be"),
        ("tls_server_config: {cert_file: c, key_file: k, max_version: TLS11}", "max_version: must be TLS12 or above"),
        ("tls_server_config: {cert_file: c, key_file: k, client_auth_type: RequireAnyClientCert}", "RequireAndVerifyClientCert"),
        ("tls_server_config: {cert_file: c, key_file: k, client_auth_type: VerifyClientCertIfGiven}", "client_ca_file: missing"),
        ("tls_server_config: {cert_file: c, key_file: k, client_ca_file: a}", "client_auth_type: missing"),
        ("tls_server_config: {cert_file: c, key_file: k, cipher_suites: TLS_X}", "cipher_suites: must be a list"),
        ("tls_server_config: {cert_file: c, key_file: k, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}", "is unknown or unsafe"),
        ("http_server_config: {http2: 1}", "http_server_config.http2: must be true or false"),
        ("http_server_config: {headers: {X-Other: a}}", "http_server_config.headers.X-Other: unknown key"),
        ('http_server_config: {headers: {X-Frame-Options: "a\\nb"}}', "must be one line"),
        ("basic_auth_users: [a]", "basic_auth_users: must be a mapping"),
        ("basic_auth_users: {'a:b': x}", "a user must have a name without colons"),
        ("basic_auth_users: {alice: hunter2}", "basic_auth_users.alice: must be a bcrypt hash"),
        ("rate_limit: {interval: 5}", "rate_limit.interval: must be a duration"),
        ("rate_limit: {interval: 1s, burst: 0}", "rate_limit.burst: must be an integer from 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line_and_without_secrets(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=r"web\.yml") as caught:
        webconfigfile.read(write(tmp_path, text))
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_example_is_one() -> None:
    place = Path(__file__).parents[2] / "conf/examples"
    config = webconfigfile.read(str(place / "web.yml"))
    assert config.tls == Tls(str(place / "energyd.crt"), str(place / "energyd.key"))
    assert config.headers == (("X-Content-Type-Options", "nosniff"),)


def test_a_file_that_is_not_there_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"web\.yml: No such file"):
        webconfigfile.read(str(tmp_path / "web.yml"))


@pytest.mark.parametrize("cipher", sorted(set(webconfigfile.CIPHERS.values())))
def test_every_cipher_is_one_of_openssls(cipher: str) -> None:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(cipher + ":@SECLEVEL=0")
    assert cipher in {suite["name"] for suite in context.get_ciphers()}
