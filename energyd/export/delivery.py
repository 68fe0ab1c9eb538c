"""One request to one receiver, and what its answer means for what was sent.

2xx is taken. 400, 409 and 422 say that this batch will never be taken as it is: something in it is refused, or it is too old or out
of order for a Prometheus, which says so in the text (and answers 500 to what is older than its out-of-order window); 413 says that
it is too large. 500 may be the receiver's fault or the batch's. Everything else (no connection, 502, 503, 504, 429, but also 401
or 404, which somebody may mend) is worth another try, not before what Retry-After says.

Law: no secret leaves this module but in the request; files of secrets and certificates are read for each request, so that a changed
one needs no restart.
"""

import base64
import errno
import io
import os
import re
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
from aiohttp import hdrs
from yarl import URL

from energyd.config import Push
from energyd.export.tls import no_password
from energyd.service.clock import Clock
from energyd.units import NS_PER_S

TIMEOUT_S: Final = 30.0
RETRY_AFTER_MAX_S: Final = 600.0
CONNECTIONS: Final = 3  # fresh samples, backlog, and a look at the receiver's own metrics

TAKEN: Final = "taken"
LATER: Final = "later"  # not now
SUSPECT: Final = "suspect"  # not now, or never: 500 does not tell
REFUSED: Final = "refused"  # never, as it is
TOO_LARGE: Final = "too_large"
TOO_OLD: Final = "too_old"
OUT_OF_ORDER: Final = "out_of_order"

_REFUSALS: Final = (400, 409, 422)
_WORDS: Final = {  # of Prometheus' storage errors, in its answers with 400 and 500
    "out of bounds": TOO_OLD,
    "too old sample": TOO_OLD,
    "out of order": OUT_OF_ORDER,
    "duplicate sample": OUT_OF_ORDER,
}
_URL: Final = re.compile(r"[a-z]+://[^\s'\"]+")
_SECRET_MIN: Final = 4  # characters; what is shorter keeps no secret, and is a word of many sentences
_EXCERPT: Final = 400  # bytes of an answer that are looked at and shown
_ADVICE: Final = {
    401: "; check username, password, bearer token and headers of the target",
    403: "; check username, password, bearer token and headers of the target",
    404: "; the path of the url is usually /api/v1/import/prometheus (VictoriaMetrics) or /api/v1/write (remote write)",
    415: "; the receiver speaks another protocol: set the target's protocol",
}


class Outcome(NamedTuple):
    """`verdict`, and why it is not TAKEN, without secrets; try again after `retry_after_s`. `cut`: there was no answer at all."""

    verdict: str
    fault: str = ""
    retry_after_s: float = 0.0
    cut: bool = False
    status: int = 0
    headers: Mapping[str, str] = {}


class Delivery:
    """The way to one receiver."""

    def __init__(self, target: Push, version: str, clock: Clock) -> None:
        url = URL(target.url)
        self.url = url.with_user(None)
        self._target = target
        self._username = target.username if target.username is not None else url.user
        self._password = target.password if target.password is not None else url.password
        self._clock = clock
        self._headers = {hdrs.USER_AGENT: f"energyd/{version}", **dict(target.headers)}
        self._tls: tuple[tuple[float, ...], ssl.SSLContext] | None = None
        self.place = f"{self.url.scheme}://{self.url.host}:{self.url.port}"
        self.connections = 0  # made so far

    def session(self) -> aiohttp.ClientSession:
        """Connections that are kept between batches; no cookies, no proxy from the environment."""
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._connected)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=2 * TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
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
        most: int = _EXCERPT,
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
                async for chunk in response.content.iter_any():
                    chunks.append(chunk[: max(0, most)])
                    most -= len(chunk)
                    if most <= 0:
                        break
                return self._judged(response.status, response.headers, b"".join(chunks)[:_EXCERPT].decode("utf-8", "replace"))
        except TimeoutError:
            return Outcome(LATER, f"no answer within {TIMEOUT_S:.0f} s", cut=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(LATER, self._masked(_said(error)), cut=True)

    async def _connected(self, *_: object) -> None:
        self.connections += 1

    def _authorization(self) -> dict[str, str]:
        target = self._target
        token = _secret(target.bearer_token, target.bearer_token_file)
        if token is not None:
            return {hdrs.AUTHORIZATION: f"Bearer {token}"}
        if self._username is None:
            return {}
        password = _secret(self._password, target.password_file)
        credentials = base64.b64encode(f"{self._username}:{password or ''}".encode()).decode()
        return {hdrs.AUTHORIZATION: f"Basic {credentials}"}

    def _tls_context(self) -> ssl.SSLContext:
        """The context of the target's certificates, made anew when one of its files has changed."""
        target = self._target
        files = [file for file in (target.tls_ca_file, target.tls_cert_file, target.tls_key_file) if file is not None]
        changed = tuple(Path(file).stat().st_mtime for file in files)
        if self._tls is None or self._tls[0] != changed:
            context = ssl.create_default_context(cafile=target.tls_ca_file)
            if target.tls_cert_file is not None:
                context.load_cert_chain(target.tls_cert_file, target.tls_key_file, no_password)
            self._tls = changed, context
        return self._tls[1]

    def _judged(self, status: int, headers: Mapping[str, str], excerpt: str) -> Outcome:
        outcome = self._verdict(status, headers, excerpt)
        return outcome._replace(fault=self._masked(outcome.fault), status=status, headers=headers)

    def _masked(self, text: str) -> str:
        """`text` without what an answer repeats of the url's query, where people put secrets."""
        query = {self.url.raw_query_string, self.url.query_string, *self.url.query.values()}
        for secret in sorted(query, key=len, reverse=True):
            if len(secret) >= _SECRET_MIN:
                text = text.replace(secret, "***")
        return text

    def _verdict(self, status: int, headers: Mapping[str, str], excerpt: str) -> Outcome:
        if 200 <= status < 300:
            return Outcome(TAKEN)
        fault = f"answered {status}"
        told = next((verdict for words, verdict in _WORDS.items() if words in excerpt), None)
        if told is not None and status in (*_REFUSALS, 500):
            return Outcome(told, f"{fault}: {excerpt!r}")
        if status in _REFUSALS:
            return Outcome(REFUSED, f"{fault}: {excerpt!r}")
        if status == 413:
            return Outcome(TOO_LARGE, f"{fault}: {excerpt!r}")
        if 300 <= status < 400:
            fault += (
                f", a redirect; set the url it points to: {URL(headers.get(hdrs.LOCATION, '')).with_user(None).with_query(None)}"
            )
        fault += _ADVICE.get(status, "")
        retry_after_s = self._retry_after_s(headers.get(hdrs.RETRY_AFTER, ""))
        return Outcome(SUSPECT if status == 500 else LATER, fault, retry_after_s)

    def _retry_after_s(self, text: str) -> float:
        """RFC 9110 section 10.2.3: seconds, or a date; 0 for nonsense."""
        if text.strip().isdecimal():
            return min(float(text), RETRY_AFTER_MAX_S)
        try:
            delay_s = parsedate_to_datetime(text).timestamp() - self._clock.real_ns() / NS_PER_S
        except (ValueError, TypeError, OverflowError):
            return 0.0
        return min(max(0.0, delay_s), RETRY_AFTER_MAX_S)


def _said(error: Exception) -> str:
    """The words of an error with what mends it; those of aiohttp hold addresses of objects and the url with its secrets."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is refused: {error.certificate_error}; tls_ca_file names who has signed it"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status} ({error.message})"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"its answer is not understood: {' '.join(error.message.split())[:_EXCERPT]}"
    if not isinstance(error, aiohttp.ClientConnectorError):
        return " ".join(_URL.sub("URL", str(error)).split()) or type(error).__name__
    reason = error.os_error
    if isinstance(reason, ssl.SSLError) and reason.reason == "WRONG_VERSION_NUMBER":
        return "no connection: it does not speak TLS there; write http:// in the url"
    peer = " to the proxy" if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
    code = reason.errno or 0  # those of getaddrinfo are below 0, and in words already
    advice = "; is it running, and at this port?" if code == errno.ECONNREFUSED else ""
    return (
        f"no connection{peer}: {os.strerror(code) if code > 0 else reason.strerror or str(reason) or type(reason).__name__}{advice}"
    )


def _unusable(error: Exception) -> str:
    """What is wrong with a file of the target's, as far as the error tells which."""
    if isinstance(error, ssl.SSLError):
        return f"tls_ca_file, tls_cert_file or tls_key_file is not what OpenSSL understands ({error.reason or error})"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; `energyd check-config` tells which setting names it"
    return str(error)


def _secret(text: str | None, file: str | None) -> str | None:
    return Path(file).read_text(encoding="utf-8").rstrip("\r\n") if file is not None else text
