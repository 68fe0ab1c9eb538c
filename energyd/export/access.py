"""Who is answered: basic authentication, bearer token, client certificate names, rate limit, and the headers of every answer.

bcrypt costs 50 ms or more by design, so it runs in a thread, one at a time, and what it said is remembered under a keyed digest of
what was asked: a scraper is verified once, not every second. Law: comparing takes as long whether a user exists or not, no
secret is kept in clear text longer than its comparison takes, and none is logged.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from energyd.export.tls import names_of
from energyd.service.clock import Clock
from energyd.service.log import DistinctFaults
from energyd.units import NS_PER_S
from energyd.webconfig import WebConfig

if TYPE_CHECKING:
    from aiohttp.typedefs import Middleware

REMEMBERED_MAX: Final = 100
WAITING_MAX: Final = 32  # verifications under way or waiting for the thread; more are told to come back
_BCRYPT_BYTES: Final = 72  # bcrypt takes no more of a password into account
_RETRY_AFTER_S: Final = 1


class Access:
    """Judges requests by what `use` was told last; before that everybody is answered."""

    def __init__(self, clock: Clock, logger: logging.Logger) -> None:
        self._passwords = Passwords()
        self._limit: RateLimit | None = None
        self._headers: tuple[tuple[str, str], ...] = ()
        self._token: bytes | None = None
        self._sans: frozenset[str] = frozenset()
        self._clock = clock
        self._faults = DistinctFaults(logger.warning, clock.mono_ns)

    def use(self, config: WebConfig, token: bytes | None) -> None:
        """Judge by these from now on."""
        self._passwords.users = dict(config.users)
        self._limit = RateLimit(config.rate_interval_s, config.rate_burst, self._clock) if config.rate_interval_s else None
        self._headers = config.headers
        self._token = token
        self._sans = frozenset(config.tls.client_allowed_sans if config.tls else ())

    def middleware(self) -> "Middleware":
        @web.middleware
        async def judge(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                refusal = await self._refusal(request)
                response = refusal if refusal is not None else await handler(request)  # an answer may be false: it is a mapping
            except web.HTTPException as error:
                error.headers.update(self._headers)
                raise
            response.headers.update(self._headers)
            return response

        return judge

    async def _refusal(self, request: web.Request) -> web.Response | None:
        """None for a request that may be answered."""
        if self._limit is not None and not self._limit.allows():
            return _later(429, "too many requests\n")
        if self._sans and not self._sans & names_of(request.get_extra_info("peercert") or {}):
            self._faults.report(f"san {request.remote}", f"{request.remote}: its certificate has none of client_allowed_sans")
            return web.Response(status=403, text="this certificate is not allowed\n")
        if not self._token and not self._passwords.users:
            return None
        scheme, _, credentials = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        try:
            if scheme.lower() == "bearer" and self._token and _same(credentials.strip().encode(), self._token):
                return None
            if scheme.lower() == "basic" and self._passwords.users and await self._passwords.verify(credentials):
                return None
        except Busy:
            return _later(503, "too many logins at once\n")
        if scheme:
            self._faults.report(f"login {request.remote}", f"{request.remote}: wrong user, password or token")
        wanted = [*(["Basic"] if self._passwords.users else []), *(["Bearer"] if self._token else [])]
        challenge = ", ".join([f'{kind} realm="energyd"' for kind in wanted])
        return web.Response(status=401, text="not authorised\n", headers={hdrs.WWW_AUTHENTICATE: challenge})


class Busy(Exception):
    """Too many verifications at once."""


class Passwords:
    """`users`: name -> bcrypt hash, may be replaced at any time."""

    def __init__(self) -> None:
        self.users: dict[str, str] = {}
        self._key = secrets.token_bytes(32)
        self._verdicts: dict[bytes, bool] = {}
        self._running: dict[bytes, asyncio.Task[bool]] = {}
        self._thread: ThreadPoolExecutor | None = None

    async def verify(self, credentials: str) -> bool:
        """Whether the base64 of `user:password` (RFC 7617) is right. Busy when too many others are being verified."""
        try:
            user, colon, password = base64.b64decode(credentials.strip(), validate=True).partition(b":")
            name = user.decode()
        except (binascii.Error, ValueError):
            return False
        if not colon:
            return False
        hashed = self.users.get(name)
        compared = hashed or next(iter(self.users.values()))  # for an unknown user it takes as long as for a known one
        question = hmac.digest(self._key, b"\0".join([user, (hashed or "").encode(), password]), hashlib.sha256)
        if question in self._verdicts:
            return self._verdicts[question]
        task = self._running.get(question)
        if task is None:
            if len(self._running) >= WAITING_MAX:
                raise Busy
            task = self._running[question] = asyncio.create_task(self._ask(question, password, compared, hashed is not None))
        return await asyncio.shield(task)

    async def _ask(self, question: bytes, password: bytes, hashed: str, known: bool) -> bool:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "bcrypt")
        try:
            verdict = await asyncio.get_running_loop().run_in_executor(self._thread, _matches, password, hashed.encode()) and known
        finally:
            del self._running[question]
        while len(self._verdicts) >= REMEMBERED_MAX:
            del self._verdicts[next(iter(self._verdicts))]
        self._verdicts[question] = verdict
        return verdict


def _matches(password: bytes, hashed: bytes) -> bool:
    import bcrypt  # only who has users pays for it

    try:
        return bcrypt.checkpw(password[:_BCRYPT_BYTES], hashed)
    except ValueError:  # a NUL in the password, which old versions refuse
        return False


class RateLimit:
    """At most `burst` at once and one more each `interval_s`, over all clients together."""

    def __init__(self, interval_s: float, burst: int, clock: Clock) -> None:
        self._interval_ns = max(1, round(interval_s * NS_PER_S))
        self._burst = burst
        self._clock = clock
        self._full_ns = clock.mono_ns()  # when the bucket will be full again

    def allows(self) -> bool:
        now_ns = self._clock.mono_ns()
        full_ns = max(self._full_ns, now_ns) + self._interval_ns
        if full_ns - now_ns > self._burst * self._interval_ns:
            return False
        self._full_ns = full_ns
        return True


def _same(given: bytes, known: bytes) -> bool:
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(known).digest())


def _later(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, headers={hdrs.RETRY_AFTER: str(_RETRY_AFTER_S)})
