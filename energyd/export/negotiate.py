"""Which format and which encoding a scraper wants: RFC 9110 sections 12.4.2, 12.5.1 and 12.5.3, with q values.

Two formats are on offer: text 0.0.4 and OpenMetrics 1.0.0. A media range of another version does not match; `escaping` (Prometheus
3) is answered with the scheme that was asked for, because all names here are plain and every scheme gives the same bytes.
When nothing matches, the answer is text 0.0.4, the oldest and the most widely understood (as Prometheus' own libraries do).
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

TEXT: Final = "text"
OPENMETRICS: Final = "openmetrics"

_ESCAPINGS: Final = ("allow-utf-8", "underscores", "dots", "values")
_QVALUE: Final = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
_FOR_ANY_CODING: Final = "gzip"  # what a client gets that would take any coding: a newer one has to be asked for by name
_MEMBERS_MAX: Final = 32  # media ranges that are looked at


class Format(NamedTuple):
    """What to render and how to name it in Content-Type."""

    name: str  # TEXT or OPENMETRICS
    content_type: str


class _Range(NamedTuple):
    kind: str
    parameters: dict[str, str]
    q: float


class _Offer(NamedTuple):
    name: str
    kind: str
    version: str


_OFFERS: Final = (_Offer(OPENMETRICS, "application/openmetrics-text", "1.0.0"), _Offer(TEXT, "text/plain", "0.0.4"))
TEXT_FORMAT: Final = Format(TEXT, "text/plain; version=0.0.4; charset=utf-8")


def choose_format(accept: str) -> Format:
    """The format for the value of an Accept header ('' when there is none).

    The highest q wins; at equal q the more specific range, and OpenMetrics before text where both were named. A wildcard alone
    gives text.
    """
    best: tuple[float, int, int] | None = None
    chosen = TEXT_FORMAT
    ranges = _members(accept)
    for preference, offer in enumerate(reversed(_OFFERS)):
        matching = [(fit, media) for media in ranges if (fit := _fit(offer, media))]
        if not matching:
            continue
        fit, media = max(matching, key=lambda pair: pair[0])
        rank = (media.q, fit, preference) if fit > _WILDCARD_FIT else (media.q, fit, -preference)
        if media.q > 0 and (best is None or rank > best):
            best, chosen = rank, Format(offer.name, _content_type(offer, media))
    return chosen


def choose_encoding(accept_encoding: str, offers: Iterable[str]) -> str:
    """The coding for the value of an Accept-Encoding header: of `offers`, the best first, the one with the highest q.

    '' (the body as it is) where none is acceptable, or where the client likes that better.
    """
    codings = {member.kind.removeprefix("x-"): member.q for member in _members(accept_encoding)}
    chosen, best = "", codings.get("identity", 0.0)
    for offer in offers:
        q = codings.get(offer, codings.get("*", 0.0) if offer == _FOR_ANY_CODING else 0.0)
        if q > 0 and (q > best or (q == best and not chosen)):
            chosen, best = offer, q
    return chosen


_WILDCARD_FIT: Final = 2


def _fit(offer: _Offer, media: _Range) -> int:
    """How specifically the range names the offer, 0 when it does not."""
    if media.kind == "*/*":
        return 1
    if media.kind == offer.kind.partition("/")[0] + "/*":
        return _WILDCARD_FIT
    if media.kind != offer.kind:
        return 0
    version = media.parameters.get("version")
    return 0 if version not in (None, offer.version) else 3 if version is None else 4


def _content_type(offer: _Offer, media: _Range) -> str:
    escaping = media.parameters.get("escaping")
    asked = f" escaping={escaping};" if offer.name == OPENMETRICS and escaping in _ESCAPINGS else ""
    return f"{offer.kind}; version={offer.version};{asked} charset=utf-8"


def _members(header: str) -> list[_Range]:
    """The members of a comma-separated list with their parameters; those that make no sense are passed over."""
    members = []
    for text in header.split(",", _MEMBERS_MAX)[:_MEMBERS_MAX]:
        kind, *parameters = [part.strip() for part in text.split(";")]
        named = {name.strip().lower(): value.strip().strip('"') for name, _, value in (p.partition("=") for p in parameters)}
        q = named.pop("q", "1")
        if kind and _QVALUE.fullmatch(q):
            members.append(_Range(kind.lower(), named, float(q)))
    return members
