"""One request to one receiver: connection, TLS, secrets, limits; what its answer means is told by energyd.export.answers.

Law: no secret leaves this module but in the request; files of secrets and certificates are read for each request, so that a changed
one needs no restart. Of an answer no more is read than is wanted, and nothing in it is unpacked.
"""

import asyncio
import base64
import errno
import io
import os
import re
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import hdrs
from yarl import URL

from energyd.config import Push
from energyd.export.answers import EXCERPT_BYTES, LATER, Outcome, judged, one_line
from energyd.export.tls import no_password
from energyd.redact import is_secret_name
from energyd.service.clock import Clock
from energyd.units import NS_PER_S

TIMEOUT_S: Final = 30.0
WORDS_S: Final = 5.0
NO_CONNECTION: Final = "no connection"  # how the words of a failure begin that came before any request
CONNECTIONS: Final = 3  # fresh samples, backlog, and a look at the receiver's own metrics

_URL: Final = re.compile(r"[a-z]+://[^\s'\"]+")
_FAULT_MAX: Final = 400  # characters
_SECRET_MIN: Final = 4  # characters; what is shorter keeps no secret, and is a word of many sentences
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
_TLS_ALERT: Final = r"\x15\x03"  # how an alert of TLS begins, in the words of aiohttp
_CERTIFICATE: Final = {  # X509_V_ERR_... of OpenSSL's x509_vfy.h, and what mends it
    9: "not valid yet; is the clock of this machine right?",
    10: "expired; renew it there, and look whether the clock of this machine is right",
    62: "made out to another name; use a name of the certificate in the url",
    64: "made out to another address; use a name of the certificate in the url",
}
_UNKNOWN_SIGNER: Final = "signed by nobody known here ({}); tls_ca_file names who has signed it"


class Delivery:
    """The way to one receiver."""

    def __init__(self, target: Push, version: str, clock: Clock) -> None:
        url = URL(target.url)
        self.url = url.with_user(None)
        self._target = target
        self._username = target.username if target.username is not None else url.user
        self._password = target.password if target.password is not None else url.password
        self._clock = clock
        self._headers = {hdrs.USER_AGENT: f"energyd/{version}", hdrs.ACCEPT_ENCODING: "identity", **dict(target.headers)}
        self._standing = self._secrets = self._standing_secrets()
        self._tls: tuple[tuple[float, ...], ssl.SSLContext] | None = None
        self.place = f"{self.url.scheme}://{self.url.host}:{self.url.port}"
        self.title = f"push {target.name}: {self.place}"  # how lines in the log begin
        self.connections = 0  # made so far

    def session(self) -> aiohttp.ClientSession:
        """Connections that are kept between batches; no cookies, no proxy from the environment."""
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._connected)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=2 * TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # a few kilobytes can be told to be gigabytes
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            trace_configs=[trace],
        )

    async def send(self, session: aiohttp.ClientSession, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """POST `body`; never raises for what a receiver, a network or a missing secret does."""
        return await self._request(session, hdrs.METH_POST, self.url, {**self._headers, **headers}, body)

    async def get(self, session: aiohttp.ClientSession, url: URL, most: int) -> tuple[Outcome, bytes]:
        """At most `most` bytes of a page of the receiver's, as whoever may push there."""
        chunks: list[bytes] = []
        outcome = await self._request(session, hdrs.METH_GET, url, self._headers, None, most, chunks)
        return outcome, b"".join(chunks)

    async def post(self, session: aiohttp.ClientSession, url: URL) -> Outcome:
        """POST nothing to another address of the receiver's."""
        return await self._request(session, hdrs.METH_POST, url, self._headers, b"")

    async def _request(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | None,
        most: int = EXCERPT_BYTES,
        chunks: list[bytes] | None = None,
    ) -> Outcome:
        chunks, target = [] if chunks is None else chunks, self._target
        try:
            authorization = self._authorization()
            tls = self._tls_context() if url.scheme == "https" else False
        except (OSError, ValueError) as error:
            return Outcome(LATER, f"nothing is sent: {_unusable(error)}")
        try:
            request = session.request(
                method,
                url,
                data=None if body is None else io.BytesIO(body),
                headers={**headers, **authorization},
                allow_redirects=False,
                proxy=target.proxy,
                ssl=tls,
            )
            async with request as response:
                await _read(response, most, chunks, WORDS_S if method == hdrs.METH_POST else None)
                excerpt = self._masked(b"".join(chunks)[:EXCERPT_BYTES].decode("utf-8", "replace"))
                return judged(response.status, response.headers, excerpt, url, self._clock.real_ns() / NS_PER_S)
        except TimeoutError:
            return Outcome(LATER, f"no answer within {TIMEOUT_S:.0f} s", cut=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(LATER, one_line(self._masked(_said(error)), _FAULT_MAX), cut=True)

    async def _connected(self, *_: object) -> None:
        self.connections += 1

    def _authorization(self) -> dict[str, str]:
        target = self._target
        token = _secret(target.bearer_token, target.bearer_token_file)
        if token is not None:
            self._secrets = self._standing | {token}
            return {hdrs.AUTHORIZATION: f"Bearer {token}"}
        if self._username is None:
            return {}
        password = _secret(self._password, target.password_file) or ""
        credentials = _basic(self._username, password)
        self._secrets = self._standing | {password, credentials}
        return {hdrs.AUTHORIZATION: f"Basic {credentials}"}

    def _tls_context(self) -> ssl.SSLContext:
        """The context of the target's certificates, made anew when one of its files has changed."""
        target = self._target
        files = [file for file in (target.tls_ca_file, target.tls_cert_file, target.tls_key_file) if file is not None]
        changed = tuple(Path(file).stat().st_mtime for file in files)
        if self._tls is None or self._tls[0] != changed:
            context = ssl.create_default_context(cafile=target.tls_ca_file)
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # since Python 3.13 it refuses what `openssl req -x509` makes
            if target.tls_cert_file is not None:
                context.load_cert_chain(target.tls_cert_file, target.tls_key_file, no_password)
            self._tls = changed, context
        return self._tls[1]

    def _standing_secrets(self) -> set[str]:
        """What is secret in the settings: people put it into the query of the url, and into headers, too."""
        target, proxy = self._target, URL(self._target.proxy or "")
        query = {self.url.raw_query_string, self.url.query_string, *self.url.query.values()}
        headers = {value for name, value in target.headers if is_secret_name(name)}
        ours = (self._password, target.bearer_token, proxy.password, _basic(proxy.user, proxy.password))
        return {secret for secret in (*query, *headers, *ours) if secret}

    def _masked(self, text: str) -> str:
        """`text`, of a receiver or a library, without the secrets of the request that it may repeat."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            if len(secret) >= _SECRET_MIN:
                text = text.replace(secret, "***")
        return text


def _basic(username: str | None, password: str | None) -> str:
    """Both in one, as RFC 7617 has them."""
    return base64.b64encode(f"{username or ''}:{password or ''}".encode()).decode()


async def _read(response: aiohttp.ClientResponse, most: int, chunks: list[bytes], words_s: float | None) -> None:
    """At most `most` bytes of the answer, of mere words no more than come within `words_s`: the status has told what counts."""
    try:
        async with asyncio.timeout(words_s):
            async for chunk in response.content.iter_any():
                chunks.append(chunk[: max(0, most)])
                most -= len(chunk)
                if most <= 0:
                    break
    except TimeoutError:
        if words_s is None:
            raise


def _said(error: Exception) -> str:
    """The words of an error with what mends it; those of aiohttp hold addresses of objects and the url with its secrets."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is {_refusal(error.certificate_error)}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status} ({error.message})"
    if isinstance(error, aiohttp.ClientResponseError):
        tls = "it speaks TLS there; write https:// in the url: " if _TLS_ALERT in error.message else ""
        return f"its answer is not understood: {tls}{error.message}"
    if not isinstance(error, aiohttp.ClientConnectorError):
        return _URL.sub("URL", str(error)).strip() or type(error).__name__
    reason = error.os_error
    if isinstance(reason, ssl.SSLError) and reason.reason in _NO_TLS:
        return f"{NO_CONNECTION}: it does not speak TLS there; write http:// in the url, unless it did so until now"
    if isinstance(reason, ConnectionResetError | ssl.SSLEOFError):
        return f"{NO_CONNECTION}: it accepts and hangs up; its log tells why"
    peer = " to the proxy" if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
    code = reason.errno or 0  # those of getaddrinfo are below 0, and in words already
    words = os.strerror(code) if code > 0 else reason.strerror or str(reason) or type(reason).__name__
    return f"{NO_CONNECTION}{peer}: {words}{_advice(error)}"


def _refusal(error: Exception) -> str:
    """Why a certificate is refused, and what mends it."""
    known = _CERTIFICATE.get(getattr(error, "verify_code", 0))
    return known or _UNKNOWN_SIGNER.format(getattr(error, "verify_message", "") or error)


def _advice(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error.os_error, socket.gaierror):
        return f"; is {error.host!r} its name, and does the name server answer? `getent hosts {error.host}` tries it"
    return "; is it running, and at this port?" if error.os_error.errno == errno.ECONNREFUSED else ""


def _unusable(error: Exception) -> str:
    """What is wrong with a file of the target's, as far as the error tells which."""
    if isinstance(error, ssl.SSLError):
        return f"tls_ca_file, tls_cert_file or tls_key_file is not what OpenSSL understands ({error.reason or error})"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; `energyd check-config` tells which setting names it"
    return str(error)


def _secret(text: str | None, file: str | None) -> str | None:
    return Path(file).read_text(encoding="utf-8").rstrip("\r\n") if file is not None else text
