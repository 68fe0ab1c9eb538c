"""A GET to somebody else's server, whose answer is JSON: with the user and password of the URL, and by no proxy.

Law: whatever comes, or never ends, is an answer or NoAnswer; the password goes to nobody that the server sends us on to.

Who refuses says why in the body, as JSON or as plain text: Prometheus and VictoriaMetrics under `error`
(prometheus.io/docs/prometheus/latest/querying/api), Grafana under `message`.
"""

import base64
import contextlib
import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any, Final

from energyd.errors import EnvironmentFault

TIMEOUT_S: Final = 10.0
TOO_LATE: Final = 408
MOST_BYTES: Final = 64 << 20
_LONGEST_WORDS: Final = 400
_PIECE_BYTES: Final = 1 << 16
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class NoAnswer(EnvironmentFault):
    """`status` is that of HTTP, TOO_LATE where it took too long or said too much, 0 where nothing answered; `words` are the
    server's own, or ''."""

    def __init__(self, sentence: str, status: int = 0, words: str = "") -> None:
        super().__init__(sentence)
        self.status, self.words = status, words


def ask(url: str, timeout_s: float = TIMEOUT_S) -> Any:
    """The answer. NoAnswer, whose text continues `it ...`, if none comes or it is not JSON."""
    try:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise NoAnswer("does not answer: its URL must begin with http:// or https://")
        request = urllib.request.Request(urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))
        if parts.username:
            secret = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(secret.encode()).decode())
        with _OPENER.open(request, timeout=timeout_s) as answer:
            body = _whole(answer, timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            words = _words(error)
        onward = f" at {error.url}, to which it has sent us" if error.url != request.full_url else ""
        sentence = f"answers {error.code} {error.reason}{onward}" + (f": {words}" if words else "")
        raise NoAnswer(sentence, error.code, words) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise NoAnswer(f"does not answer in {timeout_s:g} s", TOO_LATE) from None
        raise NoAnswer(f"does not answer: {reason or type(error).__name__}") from None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise NoAnswer(f"answers what is not JSON: {body[:40]!r}") from None


@contextlib.contextmanager
def understood(whom: str) -> Iterator[None]:
    """Within it an answer is taken apart: NoAnswer if it is not of the shape that `whom` gives it."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise NoAnswer(f"does not answer as {whom} does") from None


def _whole(answer: http.client.HTTPResponse, timeout_s: float) -> bytes:
    """The body. NoAnswer if it goes on for too long, by its time or its length."""
    until_s = time.monotonic() + timeout_s
    body = bytearray()
    while piece := answer.read1(_PIECE_BYTES):
        body += piece
        if len(body) > MOST_BYTES:
            raise NoAnswer(f"answers with more than {MOST_BYTES >> 20} MiB", TOO_LATE)
        if time.monotonic() > until_s:
            raise NoAnswer(f"has not answered all in {timeout_s:g} s", TOO_LATE)
    return bytes(body)


def _words(error: urllib.error.HTTPError) -> str:
    try:
        text = error.read(_PIECE_BYTES).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException):  # it refuses, and does not even say all of it
        return ""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return "" if text.startswith("<") else text[:_LONGEST_WORDS]  # no page of HTML
    return str(told.get("error") or told.get("message") or "") if isinstance(told, dict) else ""
