"""What a receiver's answer means for what was sent, and its words for people. Values in, values out: no network, no clock.

2xx is taken, unless it is a web page, which only a portal before the receiver answers with. 400, 409 and 422 say that this batch
will never be taken as it is: something in it is refused, or it is too old or out of order for a Prometheus, which says so in the
text (and answers 500 to what is older than its out-of-order window); 413 says that it is too large. 500 may be the receiver's fault
or the batch's. Everything else (502, 503, 504, 429, but also 401 or 404, which somebody may mend) is worth another try, not before
what Retry-After says. Law: whatever an answer holds, it is judged; its words are one short line without secrets.
"""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from aiohttp import hdrs
from yarl import URL

from energyd.redact import redact_text

RETRY_AFTER_MAX_S: Final = 600.0
EXCERPT_BYTES: Final = 1000  # of an answer that are looked at
_WORDS_MAX: Final = 200  # characters of it that are shown

TAKEN: Final = "taken"
LATER: Final = "later"  # not now
SUSPECT: Final = "suspect"  # not now, or never: 500 does not tell
REFUSED: Final = "refused"  # never, as it is
TOO_LARGE: Final = "too_large"
TOO_OLD: Final = "too_old"
OUT_OF_ORDER: Final = "out_of_order"

_REFUSALS: Final = (400, 409, 422)
_MEANINGS: Final = {  # of Prometheus' storage errors, in its answers with 400 and 500
    "out of bounds": TOO_OLD,
    "too old sample": TOO_OLD,
    "out of order": OUT_OF_ORDER,
    "duplicate sample": OUT_OF_ORDER,
}
_TAG: Final = re.compile(r"<[^>]*>?")
_ADVICE: Final = {
    401: "; check username, password, bearer token and headers of the target",
    403: "; check username, password, bearer token and headers of the target",
    404: "; the path of the url is usually /api/v1/import/prometheus (VictoriaMetrics) or /api/v1/write (remote write)",
    415: "; the receiver speaks another protocol: set the target's protocol",
}


class Outcome(NamedTuple):
    """`verdict`, and why it is not TAKEN, without secrets; try again after `retry_after_s`. `cut`: there was no answer at all.

    `lost`: so many samples are refused, and the receiver has written all others; 0 = it has written none.
    """

    verdict: str
    fault: str = ""
    retry_after_s: float = 0.0
    cut: bool = False
    status: int = 0
    headers: Mapping[str, str] = {}
    lost: int = 0

    @property
    def doubtful(self) -> bool:
        """Whether what was sent may have been taken all the same: there was no answer, or perhaps one of somebody on the way."""
        return self.cut or self.status >= 500


def judged(status: int, headers: Mapping[str, str], excerpt: str, url: URL, now_s: float) -> Outcome:
    """The answer of `url`, which begins with `excerpt`; `now_s`: Unix time."""
    html = headers.get(hdrs.CONTENT_TYPE, "").lower().startswith("text/html")
    if 200 <= status < 300 and not html:
        return Outcome(TAKEN, status=status, headers=headers)
    words = "" if headers.get(hdrs.CONTENT_ENCODING) else _words(excerpt)
    fault = f"answered {status}" + (f": {words!r}" if words else "")
    told = next((verdict for text, verdict in _MEANINGS.items() if text in excerpt), None)
    verdict, retry_after_s = LATER, 0.0
    if told is not None and status in (*_REFUSALS, 500):
        verdict = told
    elif status in _REFUSALS:
        verdict = REFUSED
    elif status == 413:
        verdict = TOO_LARGE
    else:
        verdict = SUSPECT if status == 500 else LATER
        retry_after_s = _retry_after_s(headers.get(hdrs.RETRY_AFTER, ""), now_s)
        if 200 <= status < 300:
            fault += ", a web page: no receiver answers so; is the url right, and does nobody want a login before it?"
        elif 300 <= status < 400:
            fault += f", a redirect; set the url it points to{_pointed_to(url, headers.get(hdrs.LOCATION, ''))}"
        fault += _ADVICE.get(status, "")
    return Outcome(verdict, fault, retry_after_s, status=status, headers=headers)


def _words(excerpt: str) -> str:
    """The first line of an answer that says something, of a web page without its tags."""
    text = _TAG.sub(" ", excerpt) if excerpt.lstrip().startswith("<") else excerpt
    return one_line(next((line for line in text.splitlines() if line.strip()), ""))


def one_line(text: str, most: int = _WORDS_MAX) -> str:
    """A text of somebody else's as it may be shown: at most `most` characters, without what looks like a secret."""
    shown = redact_text(" ".join(text.split()))
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _pointed_to(url: URL, location: str) -> str:
    """Where a redirect leads, without what may be secret in it."""
    try:
        return f": {url.join(URL(location)).with_user(None).with_query(None).with_fragment(None)}"
    except ValueError:
        return ", which it does not tell"


def _retry_after_s(text: str, now_s: float) -> float:
    """RFC 9110 section 10.2.3: seconds, or a date; 0 for nonsense."""
    if text.strip().isdecimal():
        return min(float(text), RETRY_AFTER_MAX_S)
    try:
        date = parsedate_to_datetime(text)
        delay_s = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now_s  # asctime's form has no zone
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0
    return min(max(0.0, delay_s), RETRY_AFTER_MAX_S)
