"""One batch to one receiver of VictoriaMetrics' /api/v1/import/prometheus: text with millisecond timestamps, gzip.

What an answer means: 2xx is taken; 400, 409, 413, 415 and 422 say that this batch will never be taken; everything else (no
connection, 5xx, 429, but also 401 or 404, which somebody may mend) is worth another try, not before what Retry-After says. The
receiver answers 204 to lines it could not read, too; its own `vm_rows_invalid_total` counts those. Law: no secret leaves this
module but in the request.
"""

import base64
import io
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
from aiohttp import hdrs
from yarl import URL

from energyd.config import Push
from energyd.service.clock import Clock
from energyd.units import NS_PER_S

TIMEOUT_S: Final = 30.0
RETRY_AFTER_MAX_S: Final = 600.0
_POISON: Final = (400, 409, 413, 415, 422)
_EXCERPT: Final = 200  # bytes of a refusal that are shown


class Outcome(NamedTuple):
    """`taken`, or `refused` for ever, or neither: try again after `retry_after_s`. `fault` says why, without secrets."""

    taken: bool
    refused: bool = False
    fault: str = ""
    retry_after_s: float = 0.0


class Delivery:
    """The way to one receiver. `password_file` is read for each request, so a changed secret needs no restart."""

    def __init__(self, target: Push, version: str, clock: Clock) -> None:
        url = URL(target.url)
        self._url = url.with_user(None)
        self._username = target.username if target.username is not None else url.user
        self._password = target.password if target.password is not None else url.password
        self._password_file = target.password_file
        self._clock = clock
        self._headers = {
            hdrs.CONTENT_TYPE: "text/plain; version=0.0.4",
            hdrs.CONTENT_ENCODING: "gzip",
            hdrs.USER_AGENT: f"energyd/{version}",
            **dict(target.headers),
        }
        self.place = f"{self._url.scheme}://{self._url.host}:{self._url.port}"

    @staticmethod
    def session() -> aiohttp.ClientSession:
        """One connection, kept between batches; no cookies, no proxy from the environment."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, keepalive_timeout=2 * TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )

    async def send(self, session: aiohttp.ClientSession, body: bytes) -> Outcome:
        """POST the gzip `body`; never raises for what a receiver, a network or a missing secret does."""
        try:
            headers = self._headers | self._authorization()
            async with session.post(self._url, data=io.BytesIO(body), headers=headers, allow_redirects=False) as response:
                excerpt = (await response.content.read(_EXCERPT)).decode("utf-8", "replace")
                return self._judged(response.status, response.headers, excerpt)
        except TimeoutError:
            return Outcome(False, fault=f"no answer within {TIMEOUT_S:.0f} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(False, fault=f"{error or type(error).__name__}")

    def _authorization(self) -> dict[str, str]:
        password = self._password
        if self._password_file is not None:
            password = Path(self._password_file).read_text(encoding="utf-8").rstrip("\r\n")
        if self._username is None:
            return {}
        credentials = base64.b64encode(f"{self._username}:{password or ''}".encode()).decode()
        return {hdrs.AUTHORIZATION: f"Basic {credentials}"}

    def _judged(self, status: int, headers: Mapping[str, str], excerpt: str) -> Outcome:
        if 200 <= status < 300:
            return Outcome(True)
        fault = f"answered {status}"
        if status in _POISON:
            return Outcome(False, refused=True, fault=f"{fault}: {excerpt!r}")
        if 300 <= status < 400:
            fault += f", a redirect; set the url it points to: {URL(headers.get(hdrs.LOCATION, '')).with_user(None)}"
        elif status in (401, 403):
            fault += "; check username, password and headers of the target"
        elif status == 404:
            fault += "; the path of the url is usually /api/v1/import/prometheus"
        return Outcome(False, fault=fault, retry_after_s=self._retry_after_s(headers.get(hdrs.RETRY_AFTER, "")))

    def _retry_after_s(self, text: str) -> float:
        """RFC 9110 section 10.2.3: seconds, or a date; 0 for nonsense."""
        if text.strip().isdecimal():
            return min(float(text), RETRY_AFTER_MAX_S)
        try:
            delay_s = parsedate_to_datetime(text).timestamp() - self._clock.real_ns() / NS_PER_S
        except (ValueError, TypeError, OverflowError):
            return 0.0
        return min(max(0.0, delay_s), RETRY_AFTER_MAX_S)
