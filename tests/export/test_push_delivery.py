"""One request to a receiver: what goes over the wire, what its answer means, and that no secret is told to anyone else."""

import asyncio
import base64
import gzip
import os
import ssl
import subprocess
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from faultyproxy import FaultyProxy, request
from pushworld import Receiver

from energyd.config import Push
from energyd.export import answers, delivery
from energyd.export.answers import Outcome
from energyd.export.delivery import Delivery

BODY = gzip.compress(b"x 1\n")
HEADERS = {"Content-Encoding": "gzip", "Content-Type": "text/plain"}


def with_delivery(
    clock: Any, scenario: Callable[[Delivery, Receiver, aiohttp.ClientSession], Awaitable[None]], **settings: Any
) -> None:
    """Run `scenario` with a way to a receiver."""

    async def main() -> None:
        async with Receiver() as receiver:
            way = Delivery(Push("vm", **{"url": receiver.url, **settings}), "1.2.3", clock)
            async with way.session() as session:
                await scenario(way, receiver, session)

    asyncio.run(main())


def sent(clock: Any, *answers: web.Response, **settings: Any) -> list[Outcome]:
    """What comes of one request an answer."""
    outcomes = []

    async def scenario(way: Delivery, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        for answer in answers:
            receiver.answers.append(answer)
            outcomes.append(await way.send(session, BODY, HEADERS))

    with_delivery(clock, scenario, **settings)
    return outcomes


def test_the_request_carries_the_body_and_the_headers_of_the_target(clock: Any) -> None:
    async def scenario(way: Delivery, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        assert (await way.send(session, BODY, HEADERS)).verdict == "taken"
        headers, body = receiver.requests[0]
        assert body == b"x 1\n"
        assert headers["User-Agent"] == "energyd/1.2.3"
        assert headers["Accept-Encoding"] == "identity"
        assert headers["X-Scope-OrgID"] == "home"
        assert "Authorization" not in headers

    with_delivery(clock, scenario, headers=(("X-Scope-OrgID", "home"),))


def test_basic_authentication_takes_any_text(clock: Any) -> None:
    async def scenario(way: Delivery, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        await way.send(session, BODY, HEADERS)
        sent = receiver.requests[0][0]["Authorization"].removeprefix("Basic ")
        assert base64.b64decode(sent).decode() == "jürg:pass:wörd"

    with_delivery(clock, scenario, username="jürg", password="pass:wörd")


def test_credentials_in_the_url_are_used_when_no_others_are_given(clock: Any) -> None:
    async def main() -> None:
        async with Receiver() as receiver:
            way = Delivery(Push("vm", receiver.url.replace("http://", "http://joe:s%20cret@")), "1", clock)
            async with way.session() as session:
                assert (await way.send(session, BODY, HEADERS)).verdict == "taken"
            credentials = receiver.requests[0][0]["Authorization"].removeprefix("Basic ")
            assert base64.b64decode(credentials) == b"joe:s cret"

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["password", "bearer_token"])
def test_a_file_of_a_secret_is_read_for_each_request(clock: Any, tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"

    async def scenario(way: Delivery, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        outcome = await way.send(session, BODY, HEADERS)
        assert (outcome.verdict, outcome.cut) == ("later", False)
        assert f"{secret}: No such file or directory" in outcome.fault
        for text in ("first", "second"):
            secret.write_text(text + "\n")
            await way.send(session, BODY, HEADERS)
        sent = [headers["Authorization"] for headers, _ in receiver.requests]
        if kind == "password":
            sent = [base64.b64decode(text.removeprefix("Basic ")).decode() for text in sent]
        assert sent == (["u:first", "u:second"] if kind == "password" else ["Bearer first", "Bearer second"])

    user = {"username": "u"} if kind == "password" else {}
    with_delivery(clock, scenario, **user, **{f"{kind}_file": str(secret)})


VERDICTS = [
    (200, "", "taken"),
    (204, "", "taken"),
    (400, "cannot parse", "refused"),
    (409, "", "refused"),
    (422, "", "refused"),
    (400, "out of bounds", "too_old"),
    (500, "too old sample", "too_old"),
    (400, "out of order sample", "out_of_order"),
    (400, "duplicate sample for timestamp", "out_of_order"),
    (413, "", "too_large"),
    (500, "boom", "suspect"),
    (502, "out of order", "later"),
    (503, "", "later"),
    (429, "", "later"),
    (401, "", "later"),
    (404, "", "later"),
    (415, "", "later"),
]


def test_an_answer_means_what_the_specifications_say(clock: Any) -> None:
    answers = [web.Response(status=status, text=text) for status, text, _ in VERDICTS]
    assert [(outcome.status, outcome.verdict) for outcome in sent(clock, *answers)] == [
        (status, verdict) for status, _, verdict in VERDICTS
    ]


def test_retry_after_is_understood_in_seconds_and_as_a_date(clock: Any) -> None:
    def at(seconds: float) -> str:
        return format_datetime(datetime.fromtimestamp(clock.real_ns() / 1e9 + seconds, UTC), usegmt=True)

    waits = [("30", 30.0), ("nonsense", 0.0), ("99999", answers.RETRY_AFTER_MAX_S), (at(120), 120.0), (at(-120), 0.0)]
    outcomes = sent(clock, *[web.Response(status=503, headers={"Retry-After": text}) for text, _ in waits])
    assert [outcome.retry_after_s for outcome in outcomes] == [pytest.approx(wait_s, abs=1) for _, wait_s in waits]


def test_a_redirect_is_not_followed_because_it_would_carry_the_password_elsewhere(clock: Any) -> None:
    [outcome] = sent(clock, web.Response(status=308, headers={"Location": "http://user:hunter2@elsewhere/x"}))
    assert outcome.verdict == "later"
    assert "http://elsewhere/x" in outcome.fault
    assert "hunter2" not in outcome.fault


def test_no_answer_within_the_time_limit_is_worth_another_try(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "TIMEOUT_S", 0.05)

    async def scenario(way: Delivery, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        given_up = asyncio.Event()

        async def hang() -> web.Response:
            await given_up.wait()
            return web.Response()

        receiver.answers.append(hang)
        outcome = await way.send(session, BODY, HEADERS)
        given_up.set()
        assert (outcome.verdict, outcome.cut, outcome.fault) == ("later", True, "no answer within 0 s")

    with_delivery(clock, scenario)


def test_an_answer_that_drips_for_ever_ends_at_the_time_limit(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "TIMEOUT_S", 0.2)

    async def scenario(way: Delivery, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            try:
                for byte in b"HTTP/1.1 204 No Content\r\n" + b"X: " + b"y" * 1000:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.02)
            except OSError:
                pass
            writer.close()

        async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            dripped = Delivery(Push("vm", f"http://127.0.0.1:{port}/"), "1", clock)
            async with dripped.session() as other:
                assert (await dripped.send(other, BODY, HEADERS)).cut
            server.close()
            await asyncio.sleep(0.05)

    with_delivery(clock, scenario)


def test_a_host_without_address_and_a_port_without_server_are_worth_another_try(clock: Any) -> None:
    async def main(url: str) -> Outcome:
        way = Delivery(Push("vm", url), "1", clock)
        async with way.session() as session:
            return await way.send(session, BODY, HEADERS)

    for url, reason in (
        (
            "http://no-such-host.invalid/x",
            "no connection: Name or service not known; is 'no-such-host.invalid' its name, and does the name server answer? "
            "`getent hosts no-such-host.invalid` tries it",
        ),
        ("http://127.0.0.1:1/x", "no connection: Connection refused; is it running, and at this port?"),
    ):
        outcome = asyncio.run(main(url))
        assert (outcome.verdict, outcome.cut, outcome.status, outcome.fault) == ("later", True, 0, reason)


def test_whoever_is_not_there_or_speaks_otherwise_is_named(clock: Any) -> None:
    async def main() -> None:
        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            for push, reason in (
                (Push("vm", f"https://127.0.0.1:{port}/"), "no connection: it does not speak TLS there; write http:// in the url"),
                (Push("vm", "http://vm.example/", proxy="http://127.0.0.1:1"), "no connection to the proxy: Connection refused"),
            ):
                way = Delivery(push, "1", clock)
                async with way.session() as session:
                    assert (await way.send(session, BODY, HEADERS)).fault.startswith(reason)
            server.close()

    asyncio.run(main())


def test_secrets_are_in_no_fault(clock: Any) -> None:
    async def main(url: str) -> Outcome:
        settings = {"password": "hunter2", "headers": (("Authorization-Token", "hunter2"),)}
        way = Delivery(Push("vm", url, **settings), "1", clock)
        async with way.session() as session:
            return await way.send(session, BODY, HEADERS)

    for url in ("http://joe:hunter2@127.0.0.1:1/x?token=hunter2", "http://joe:hunter2@no-such-host.invalid/x"):
        outcome = asyncio.run(main(url))
        assert outcome.fault
        assert "hunter2" not in outcome.fault


def test_of_a_secret_that_begins_like_another_nothing_is_left(clock: Any) -> None:
    async def main() -> Outcome:
        async with Receiver() as receiver:
            receiver.answers.append(web.Response(status=400, text="I know hunter2 and hunter2forever"))
            way = Delivery(Push("vm", receiver.url, password="hunter2", bearer_token="hunter2forever"), "1", clock)
            async with way.session() as session:
                return await way.send(session, BODY, HEADERS)

    assert asyncio.run(main()).fault == "answered 400: 'I know *** and ***'"


ANSWERS = {
    "no HTTP": b"garbage\r\n\r\n",
    "a head that is too large": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    "no such coding": b"HTTP/1.1 400 Bad\r\nContent-Encoding: nonsense\r\nContent-Length: 3\r\n\r\nabc",
    "no gzip": b"HTTP/1.1 400 Bad\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "the proxy's login": b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: https://joe:hunter2@h/x?token=hunter2\r\nContent-Length: 0\r\n\r\n",
    "the request repeated": b"HTTP/1.1 400 Bad\r\nContent-Length: 36\r\n\r\ncannot parse at /x?token=hunter2&a=1",
    "more than was announced": b"HTTP/1.1 400 Bad\r\nContent-Length: 3\r\n\r\ncannot parse at /x?token=hunter2&a=1",
    "a word of ours repeated": b"HTTP/1.1 401 No\r\nContent-Length: 37\r\n\r\nI know of no am9lOmh1bnRlcjI= hunter2",
    "a head that repeats": b"HTTP/1.1 200 OK\r\nhunter2 hunter2\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_whatever_is_answered_secrets_are_in_no_fault(clock: Any, answer: bytes) -> None:
    async def main() -> None:
        async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        async with await asyncio.start_server(peer, "127.0.0.1", 0) as server:
            place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            for push in (
                Push("vm", f"http://{place}/x?token=hunter2&a=1", username="joe", password="hunter2"),
                Push("vm", "https://vm.example/x?token=hunter2", proxy=f"http://joe:hunter2@{place}"),
                Push("vm", "http://vm.example/x?token=hunter2", proxy=f"http://joe:hunter2@{place}"),
            ):
                way = Delivery(push, "1", clock)
                async with way.session() as session:
                    outcome = await way.send(session, BODY, HEADERS)
                assert outcome.verdict != "taken"
                assert outcome.fault.strip()
                assert "hunter2" not in outcome.fault
                assert "am9lOmh1bnRlcjI" not in outcome.fault, "both in one, as the header of the request has them"
                assert "\n" not in outcome.fault
            server.close()

    asyncio.run(main())


def bomb() -> bytes:
    """64 MiB of zeros in 64 KiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = packer.compress(bytes(1 << 26)) + packer.flush()
    return b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS: dict[str, tuple[bytes, bytes, str]] = {  # the answer, what follows for ever, and what is made of it
    "chunks": (b"HTTP/1.1 500 X\r\n" + CHUNKED, b"1000\r\n" + b"a" * 4096 + b"\r\n", "suspect"),
    "chunks of what was taken": (b"HTTP/1.1 200 OK\r\n" + CHUNKED, b"1000\r\n" + b"a" * 4096 + b"\r\n", "taken"),
    "slow chunks": (b"HTTP/1.1 400 X\r\n" + CHUNKED, b"", "refused"),
    "slow chunks of what was taken": (b"HTTP/1.1 204 OK\r\nContent-Length: 9\r\n\r\n", b"", "taken"),
    "the size of a chunk": (b"HTTP/1.1 503 X\r\n" + CHUNKED + b"1;", b"a" * 4096, "later"),
    "a header": (b"HTTP/1.1 204 X\r\nX: ", b"a" * 4096, "later"),
    "headers": (b"HTTP/1.1 204 X\r\n", b"X: aaaa\r\n" * 400, "later"),
    "not yet": (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100, "later"),
    "another protocol": (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", b"aaaa", "later"),
    "a gzip bomb": (b"HTTP/1.1 500 X\r\n" + bomb(), b"", "suspect"),
    "nothing": (b"", b"", "later"),
}


@pytest.mark.parametrize(("begin", "piece", "verdict"), ENDLESS.values(), ids=ENDLESS.keys())
def test_an_answer_without_end_holds_up_nothing_and_takes_no_memory(
    clock: Any, monkeypatch: pytest.MonkeyPatch, begin: bytes, piece: bytes, verdict: str
) -> None:
    monkeypatch.setattr(delivery, "TIMEOUT_S", 0.4)
    monkeypatch.setattr(delivery, "WORDS_S", 0.1)

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(begin)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)

    async def main() -> Outcome:
        async with FaultyProxy(0) as peer:
            peer.fault = babble
            way = Delivery(Push("vm", f"http://127.0.0.1:{peer.port}/"), "1", clock)
            async with way.session() as session:
                return await way.send(session, BODY, HEADERS)

    tracemalloc.start()
    try:
        outcome = asyncio.run(main())
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert outcome.verdict == verdict
    assert len(outcome.fault) <= 500
    assert most_bytes < 32 << 20  # aiohttp 3.8 counts no headers


def test_an_answer_is_judged_without_being_unpacked(clock: Any) -> None:
    for body in (b"no gzip", gzip.compress(b"cannot parse line 7")):
        [outcome] = sent(clock, web.Response(status=400, body=body, headers={"Content-Encoding": "gzip"}))
        assert (outcome.verdict, outcome.fault) == ("refused", "answered 400")


def test_what_a_page_of_metrics_lacks_is_no_page(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of it could tell half of the counters."""
    monkeypatch.setattr(delivery, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(delivery, "WORDS_S", 0.1)

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nvm_app_start_timestamp 1\n")
        await asyncio.sleep(3600)

    async def main() -> Outcome:
        async with FaultyProxy(0) as peer:
            peer.fault = half
            way = Delivery(Push("vm", f"http://127.0.0.1:{peer.port}/"), "1", clock)
            async with way.session() as session:
                outcome, _ = await way.get(session, way.url, 1000)
                return outcome

    assert asyncio.run(main()).verdict == "later"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server of its own name, and a client."""
    home = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=home, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority")
    (home / "server.cnf").write_text("subjectAltName=IP:127.0.0.1\n")
    for name, extra in (("server", ("-extfile", "server.cnf")), ("client", ())):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.pem")
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, *extra)
    return home


def test_certificates_are_checked_on_both_sides_and_read_again_when_they_change(
    clock: Any, certificates: Path, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_bytes((certificates / "client.pem").read_bytes())  # no authority of the server's

    async def taken(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    async def main() -> list[str]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.pem"))
        context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as our own server, and Python before 3.13
        app = web.Application()
        app.router.add_post("/", taken)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        url = f"https://127.0.0.1:{runner.addresses[0][1]}/"
        own = {"tls_cert_file": str(certificates / "client.pem"), "tls_key_file": str(certificates / "client.key")}
        ways = [
            Delivery(Push("a", url, **settings), "1", clock)
            for settings in ({}, {"tls_ca_file": str(certificates / "ca.pem")}, {"tls_ca_file": str(tmp_path / "ca.pem"), **own})
        ]
        async with ways[-1].session() as session:
            assert (await ways[-1].send(session, BODY, HEADERS)).verdict == "later"
        results = []
        for way in (*ways, ways[-1]):
            async with way.session() as session:
                results.append((await way.send(session, BODY, HEADERS)).verdict)
            (tmp_path / "ca.pem").write_bytes((certificates / "ca.pem").read_bytes())
            os.utime(tmp_path / "ca.pem", (len(results), len(results)))
        await runner.cleanup()
        return results

    assert asyncio.run(main()) == ["later", "later", "taken", "taken"]


def test_certificates_that_cannot_be_used_are_said_and_nobody_is_asked_for_the_password_of_a_key(
    clock: Any, certificates: Path, tmp_path: Path
) -> None:
    encrypt = [
        "openssl",
        "rsa",
        "-in",
        certificates / "client.key",
        "-aes128",
        "-passout",
        "pass:hunter2",
        "-out",
        tmp_path / "key",
    ]
    subprocess.run(encrypt, check=True, capture_output=True)
    (tmp_path / "garbage").write_text("no certificate\n")

    async def fault(**files: Path) -> str:
        way = Delivery(Push("vm", "https://127.0.0.1:1/", **{name: str(file) for name, file in files.items()}), "1", clock)
        async with way.session() as session:
            outcome = await way.send(session, BODY, HEADERS)
        assert (outcome.verdict, outcome.cut) == ("later", False)
        return outcome.fault

    assert "the key is encrypted" in asyncio.run(fault(tls_cert_file=certificates / "client.pem", tls_key_file=tmp_path / "key"))
    assert "not what OpenSSL understands" in asyncio.run(fault(tls_ca_file=tmp_path / "garbage"))
    assert "absent: No such file" in asyncio.run(fault(tls_ca_file=tmp_path / "absent"))


def test_a_proxy_is_asked_for_the_receivers_address(clock: Any) -> None:
    async def main() -> None:
        asked = []

        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            way = Delivery(Push("vm", "http://vm.example/write", proxy=f"http://127.0.0.1:{port}"), "1", clock)
            async with way.session() as session:
                assert (await way.send(session, BODY, HEADERS)).verdict == "taken"
            server.close()
        assert asked == [b"POST http://vm.example/write HTTP/1.1"]

    asyncio.run(main())
