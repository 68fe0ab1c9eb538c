"""A GET to somebody else's server, whose answer is JSON: with the user and password of the URL, and by no proxy.

Who refuses says why in the body, as JSON or as plain text: Prometheus and VictoriaMetrics under `error`
(prometheus.io/docs/prometheus/latest/querying/api), Grafana under `message`.
"""

import base64
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Final

from energyd.errors import EnvironmentFault

TIMEOUT_S: Final = 10.0
TOO_LATE: Final = 408
_LONGEST_WORDS: Final = 400
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class NoAnswer(EnvironmentFault):
    """`status` is that of HTTP, TOO_LATE where it took too long, 0 where nothing answered; `words` are the server's own, or ''."""

    def __init__(self, sentence: str, status: int = 0, words: str = "") -> None:
        super().__init__(sentence)
        self.status, self.words = status, words


def ask(url: str, timeout_s: float = TIMEOUT_S) -> Any:
    """The answer. NoAnswer, whose text continues `it ...`, if none comes or it is not JSON."""
    try:
        parts = urllib.parse.urlsplit(url)
        request = urllib.request.Request(urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))
        if parts.username:
            secret = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            request.add_header("Authorization", "Basic " + base64.b64encode(secret.encode()).decode())
        with _OPENER.open(request, timeout=timeout_s) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            words = _words(error.read())
        sentence = f"answers {error.code} {error.reason}" + (f": {words}" if words else "")
        raise NoAnswer(sentence, error.code, words) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise NoAnswer(f"does not answer in {timeout_s:g} s", TOO_LATE) from None
        raise NoAnswer(f"does not answer: {reason or type(error).__name__}") from None
    try:
        return json.loads(body)
    except ValueError:
        raise NoAnswer(f"answers what is not JSON: {body[:40]!r}") from None


def _words(body: bytes) -> str:
    text = body.decode(errors="replace").strip()
    try:
        told = json.loads(text)
    except ValueError:
        return "" if text.startswith("<") else text[:_LONGEST_WORDS]  # no page of HTML
    return str(told.get("error") or told.get("message") or "") if isinstance(told, dict) else ""
