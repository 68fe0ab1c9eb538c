"""Who is answered, over real sockets: users, tokens, certificates, rates; and nobody learns a secret or waits for a login."""

import asyncio
import base64
import json
import logging
import shutil
import ssl
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest
import uvloop

from energyd.aggregate.snapshot import Snapshot
from energyd.errors import ConfigError
from energyd.export import access as access_module
from energyd.export import server as server_module
from energyd.export.access import Access, Passwords, RateLimit
from energyd.export.http import application
from energyd.export.httpmetrics import HttpMetrics
from energyd.export.served import Served
from energyd.export.server import start
from energyd.export.webfiles import WebFiles, read_token
from energyd.service.clock import SystemClock

SECRET = "correct horse"
HASH = bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(4)).decode()
TOKEN = "b64token-0123456789~"
PATHS = ("/", "/metrics", "/api/v1/snapshot", "/-/healthy", "/-/ready", "/nothing")


class Site:
    """energyd's server with a web configuration, and how to ask it."""

    def __init__(self, place: Path, web: str | None, token: str | None) -> None:
        self.place = place
        self.web, self.token = place / "web.yml", place / "token"
        if web is not None:
            self.web.write_text(web)
        if token is not None:
            self.token.write_text(token + "\n")
        self.files = WebFiles(str(self.web) if web is not None else None, str(self.token) if token is not None else None)
        self.port = 0
        self.access = Access(SystemClock(), logging.getLogger("energyd.http"))
        self.session: aiohttp.ClientSession

    async def get(
        self, path: str = "/metrics", scheme: str = "http", context: Any = None, **headers: str
    ) -> tuple[int, Any, bytes]:
        url = f"{scheme}://127.0.0.1:{self.port}{path}"
        async with self.session.get(url, headers=headers, ssl=context or False) as response:
            return response.status, response.headers, await response.read()


def serve(
    snapshot: Snapshot, place: Path, scenario: Callable[[Site], Awaitable[None]], web: str | None = None, token: str | None = None
) -> None:
    async def main() -> None:
        site, clock = Site(place, web, token), SystemClock()
        metrics = HttpMetrics(clock)
        served = Served(lambda: snapshot, clock, "1", tail=metrics.exposition)
        app = application(served, metrics, path="/metrics", rings=(), version="1", clock=clock, access=site.access)
        server = await start(app, "127.0.0.1", 0, site.access, site.files)
        try:
            site.port = server.addresses[0][1]
            async with aiohttp.ClientSession() as site.session:
                await scenario(site)
        finally:
            await asyncio.wait_for(server.cleanup(), 3)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


USERS = f"basic_auth_users: {{alice: {HASH}}}\n"


def test_without_a_web_configuration_everybody_is_answered(snapshot: Snapshot, tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        for path in PATHS:
            assert (await site.get(path))[0] in (200, 404, 503), path

    serve(snapshot, tmp_path, scenario)


def test_with_users_nothing_is_answered_without_a_login_not_even_nowhere(
    snapshot: Snapshot, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(site: Site) -> None:
        for path in PATHS:
            status, headers, body = await site.get(path)
            assert (status, headers["WWW-Authenticate"]) == (401, 'Basic realm="energyd"')
            assert b"energyd_" not in body
            assert (await site.get(path, Authorization=basic("alice", SECRET)))[0] in (200, 404, 503)
        for wrong in (
            basic("alice", "wrong"), basic("bob", SECRET), basic("", ""), "Basic", "Basic !!", "Basic YWxpY2U=",
            "Bearer " + SECRET, SECRET, basic("alice", SECRET + "\0"), basic("alice", "x" * 1000), "Basic /w==",
        ):  # fmt: skip
            assert (await site.get(Authorization=wrong))[0] == 401, wrong

    serve(snapshot, tmp_path, scenario, USERS)
    assert "127.0.0.1: wrong user, password or token" in caplog.text
    for secret in (SECRET, HASH, base64.b64encode(SECRET.encode()).decode(), "alice"):
        assert secret not in caplog.text


def test_a_token_or_a_user_will_do_where_both_are_configured(snapshot: Snapshot, tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        assert (await site.get(Authorization=f"Bearer {TOKEN}"))[0] == 200
        assert (await site.get(Authorization=f"bearer {TOKEN}"))[0] == 200
        assert (await site.get(Authorization=basic("alice", SECRET)))[0] == 200
        for wrong in (f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ", "Bearer", TOKEN):
            status, headers, _ = await site.get(Authorization=wrong)
            assert (status, headers["WWW-Authenticate"]) == (401, 'Basic realm="energyd", Bearer realm="energyd"')

    serve(snapshot, tmp_path, scenario, USERS, TOKEN)


def test_a_token_alone_closes_the_door_too(snapshot: Snapshot, tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        assert (await site.get())[0] == 401
        assert (await site.get(Authorization=f"Bearer {TOKEN}"))[0] == 200
        assert (await site.get(Authorization=basic("alice", SECRET)))[0] == 401

    serve(snapshot, tmp_path, scenario, token=TOKEN)


def test_headers_of_the_configuration_are_on_every_answer(snapshot: Snapshot, tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        for path in ("/metrics", "/nothing"):
            assert (await site.get(path))[1]["X-Frame-Options"] == "deny"

    serve(snapshot, tmp_path, scenario, "http_server_config: {headers: {X-Frame-Options: deny}}\n")


def test_above_the_rate_limit_clients_are_told_to_come_back(snapshot: Snapshot, tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        answers = [await site.get("/-/healthy") for _ in range(4)]
        assert [status for status, _, _ in answers] == [200, 200, 429, 429]
        assert answers[-1][1]["Retry-After"] == "1"

    serve(snapshot, tmp_path, scenario, "rate_limit: {interval: 1h, burst: 2}\n")


def test_the_bucket_of_the_rate_limit_fills_with_time(clock: Any) -> None:
    limit = RateLimit(0.1, 3, clock)
    assert [limit.allows() for _ in range(5)] == [True, True, True, False, False]
    clock.now_ns += 100_000_000
    assert [limit.allows() for _ in range(2)] == [True, False]
    clock.now_ns += 10_000_000_000
    assert [limit.allows() for _ in range(4)] == [True, True, True, False]


def test_a_password_is_verified_once_and_never_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def slow(password: bytes, hashed: bytes) -> bool:
        calls.append(password)
        time.sleep(0.05)
        return password == b"right"

    monkeypatch.setattr(access_module, "_matches", slow)

    async def main() -> None:
        passwords = Passwords()
        passwords.users = {"alice": HASH}
        right, wrong = (basic("alice", text).removeprefix("Basic ") for text in ("right", "wrong"))
        longest, before = 0.0, time.perf_counter()

        async def heartbeat() -> None:
            nonlocal longest, before
            while True:
                await asyncio.sleep(0.001)
                longest, before = max(longest, time.perf_counter() - before), time.perf_counter()

        beating = asyncio.create_task(heartbeat())
        assert await asyncio.gather(*[passwords.verify(right) for _ in range(20)]) == [True] * 20
        assert await passwords.verify(wrong) is False
        assert await passwords.verify(wrong) is False
        assert await passwords.verify(right) is True
        beating.cancel()
        assert calls == [b"right", b"wrong"]
        assert longest < 0.045
        passwords.users = {"alice": HASH.replace("$2b$", "$2a$")}
        await passwords.verify(right)
        assert len(calls) == 3

    asyncio.run(main())


def test_an_unknown_user_costs_as_much_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr(access_module, "_matches", lambda _password, hashed: compared.append(hashed) or True)

    async def main() -> None:
        passwords = Passwords()
        passwords.users = {"alice": HASH}
        assert await passwords.verify(basic("alice", "x").removeprefix("Basic ")) is True
        assert await passwords.verify(basic("mallory", "x").removeprefix("Basic ")) is False

    asyncio.run(main())
    assert compared == [HASH.encode()] * 2


def test_too_many_logins_at_once_are_told_to_come_back_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "_matches", lambda _password, _hashed: bool(time.sleep(0.002)))

    async def main() -> None:
        passwords = Passwords()
        passwords.users = {"alice": HASH}
        guesses = [basic("alice", str(i)).removeprefix("Basic ") for i in range(access_module.WAITING_MAX + 5)]
        answers = await asyncio.gather(*[passwords.verify(guess) for guess in guesses], return_exceptions=True)
        assert [type(answer) for answer in answers[-5:]] == [access_module.Busy] * 5
        assert answers[:-5] == [False] * access_module.WAITING_MAX
        for i in range(access_module.REMEMBERED_MAX + 10):
            await passwords.verify(basic("alice", f"more {i}").removeprefix("Basic "))
        assert len(passwords._verdicts) == access_module.REMEMBERED_MAX

    asyncio.run(main())


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"caf\xc3\xa9", b"x" * 5000])
def test_a_token_file_without_a_token_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="must hold one token") as caught:
        read_token(str(path))
    assert "words" not in str(caught.value)
    with pytest.raises(ConfigError, match="No such file"):
        read_token(str(tmp_path / "none"))


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, two server certificates and a client's, as openssl makes them."""
    place = tmp_path_factory.mktemp("pki")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=place, check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test CA")
    for name, alternative in (("one", "IP:127.0.0.1"), ("two", "IP:127.0.0.1"), ("client", "DNS:prometheus.example.org")):
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (place / "ext").write_text(f"subjectAltName={alternative}")
        signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "ext")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signing)
    return place


def client_context(pki: Path, with_certificate: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as scrapers do, and Python before 3.13
    if with_certificate:
        context.load_cert_chain(pki / "client.crt", pki / "client.key")
    return context


def tls_of(pki: Path, name: str, more: str = "") -> str:
    return f"tls_server_config: {{cert_file: {pki}/{name}.crt, key_file: {pki}/{name}.key{more}}}\n"


def serial_of(port: int) -> str:
    """The subject of the certificate that a new connection is shown."""
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    shown = subprocess.run(["openssl", "x509", "-noout", "-subject"], input=pem.encode(), capture_output=True, check=True)
    return shown.stdout.decode().strip().rpartition("=")[2].strip()


@needs_openssl
def test_tls_is_spoken_and_plain_http_is_not(snapshot: Snapshot, tmp_path: Path, pki: Path) -> None:
    async def scenario(site: Site) -> None:
        status, _, body = await site.get(scheme="https", context=client_context(pki))
        assert (status, b"energyd_build_info" in body) == (200, True)
        with pytest.raises(aiohttp.ClientError):
            await site.get()
        old = client_context(pki)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(aiohttp.ClientError):
            await site.get(scheme="https", context=old)

    serve(snapshot, tmp_path, scenario, tls_of(pki, "one", ", min_version: TLS13"))


@needs_openssl
def test_connections_that_never_begin_tls_are_not_waited_for_and_others_answered_meanwhile(
    snapshot: Snapshot, tmp_path: Path, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "HANDSHAKE_S", 0.5)

    async def scenario(site: Site) -> None:
        silent = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(200)]
        assert (await site.get(scheme="https", context=client_context(pki)))[0] == 200
        for reader, writer in silent:
            assert not await asyncio.wait_for(reader.read(), 5)
            writer.close()

    serve(snapshot, tmp_path, scenario, tls_of(pki, "one"))


@needs_openssl
def test_clients_prove_who_they_are_where_that_is_asked(snapshot: Snapshot, tmp_path: Path, pki: Path) -> None:
    async def scenario(site: Site) -> None:
        assert (await site.get(scheme="https", context=client_context(pki, with_certificate=True)))[0] == 200
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await site.get(scheme="https", context=client_context(pki))

    more = f", client_auth_type: RequireAndVerifyClientCert, client_ca_file: {pki}/ca.crt"
    serve(snapshot, tmp_path, scenario, tls_of(pki, "one", more + ", client_allowed_sans: [prometheus.example.org]"))


@needs_openssl
def test_a_certificate_with_none_of_the_allowed_names_is_turned_away(snapshot: Snapshot, tmp_path: Path, pki: Path) -> None:
    async def scenario(site: Site) -> None:
        assert (await site.get(scheme="https", context=client_context(pki, with_certificate=True)))[0] == 403
        assert (await site.get(scheme="https", context=client_context(pki)))[0] == 403

    more = f", client_auth_type: VerifyClientCertIfGiven, client_ca_file: {pki}/ca.crt"
    serve(snapshot, tmp_path, scenario, tls_of(pki, "one", more + ", client_allowed_sans: [other.example.org]"))


@needs_openssl
def test_changes_of_the_files_take_effect_while_scrapes_go_on_and_broken_ones_do_not(
    snapshot: Snapshot, tmp_path: Path, pki: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_module, "RELOAD_S", 0.02)
    for kind in ("crt", "key"):
        shutil.copy(pki / f"one.{kind}", tmp_path / f"server.{kind}")
    tls = f"tls_server_config: {{cert_file: {tmp_path}/server.crt, key_file: {tmp_path}/server.key}}\n"

    async def until(condition: Callable[[], Awaitable[bool]]) -> None:
        for _ in range(150):
            if await condition():
                return
            await asyncio.sleep(0.02)
        pytest.fail("the change has no effect")

    async def scenario(site: Site) -> None:
        context = client_context(pki)

        async def shows(name: str) -> bool:
            return await asyncio.to_thread(serial_of, site.port) == name

        assert await shows("one")
        for kind in ("key", "crt"):  # one after the other: between the two they do not fit together
            shutil.copy(pki / f"two.{kind}", tmp_path / f"server.{kind}")
            await asyncio.sleep(0.1)
            assert (await site.get(scheme="https", context=context))[0] == 200
        await until(lambda: shows("two"))
        site.web.write_text(tls + USERS)

        async def closed() -> bool:
            return (await site.get(scheme="https", context=context))[0] == 401

        await until(closed)
        site.web.write_text("tls_server_config: [")
        await asyncio.sleep(0.1)
        assert await closed()
        site.web.write_text(USERS)

        async def plain() -> bool:
            try:
                return (await site.get(Authorization=basic("alice", SECRET)))[0] == 200
            except (aiohttp.ClientError, ConnectionError):
                return False

        await until(plain)

    with caplog.at_level(logging.INFO):
        serve(snapshot, tmp_path, scenario, tls)
    assert "the key does not belong to the certificate; going on" in caplog.text
    assert "not YAML" in caplog.text
    assert SECRET not in caplog.text


@needs_openssl
@pytest.mark.parametrize(
    ("cert", "key", "message"),
    [
        ("one.crt", "two.key", "the key does not belong to the certificate"),
        ("one.key", "one.key", "not what OpenSSL understands"),
        ("none.crt", "one.key", "no such file"),
    ],
)
def test_certificates_that_cannot_be_used_are_named(tmp_path: Path, pki: Path, cert: str, key: str, message: str) -> None:
    web = tmp_path / "web.yml"
    web.write_text(f"tls_server_config: {{cert_file: {pki}/{cert}, key_file: {pki}/{key}}}\n")
    with pytest.raises(ConfigError, match=message) as caught:
        WebFiles(str(web), None).load()
    assert cert in str(caught.value)


@needs_openssl
def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(tmp_path: Path, pki: Path) -> None:
    subprocess.run(
        ["openssl", "pkey", "-in", str(pki / "one.key"), "-aes256", "-passout", "pass:x", "-out", str(tmp_path / "locked.key")],
        check=True, capture_output=True,
    )  # fmt: skip
    web = tmp_path / "web.yml"
    web.write_text(f"tls_server_config: {{cert_file: {pki}/one.crt, key_file: locked.key}}\n")
    with pytest.raises(ConfigError, match=r"locked\.key: the key is encrypted"):
        WebFiles(str(web), None).load()


@needs_openssl
def test_certificate_and_key_inside_the_file_are_as_good_as_beside_it(snapshot: Snapshot, tmp_path: Path, pki: Path) -> None:
    async def scenario(site: Site) -> None:
        assert (await site.get(scheme="https", context=client_context(pki)))[0] == 200

    texts = {"cert": (pki / "one.crt").read_text(), "key": (pki / "one.key").read_text()}
    serve(snapshot, tmp_path, scenario, json.dumps({"tls_server_config": texts}))
