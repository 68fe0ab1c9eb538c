"""Batches over the wire: in which protocol, what was counted, and what came of each row.

Remote write is spoken in version 2.0 only to a receiver that has confirmed, in the header that 2.0 prescribes, how many samples of
a first row it has written: others answer 204 to a body that they do not understand, or 5xx again and again. With a refusal the
header confirms as well. Who has no use for 2.0, which some say as if there were nothing at the address, gets 1.0 at once; whoever
says so to the version that was found out, or to both, is asked again. What may be there already goes in 1.0 until then: Prometheus
refuses it, with a line in its log for each request of 1.0 and for each sample of 2.0. Law: `deliver` raises nothing for what a
receiver does, and tells of each row whether it is done with.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

import aiohttp
from aiohttp import hdrs

from energyd.config import Push
from energyd.export import importtext
from energyd.export.answers import LATER, OUT_OF_ORDER, REFUSED, SUSPECT, TAKEN, TOO_LARGE, TOO_OLD, Outcome
from energyd.export.delivery import Delivery
from energyd.export.remotewrite import Encoded, RemoteWrite
from energyd.export.sieve import Bad, Sieve
from energyd.service.clock import Clock
from energyd.spool.rows import Row
from energyd.units import NS_PER_S

TEXT: Final = "victoriametrics"
REMOTE_WRITE: Final = "remote_write"
VERSION_1_0: Final = "1.0"
VERSION_2_0: Final = "2.0"
SAMPLES_MAX: Final = 20_000  # in a request
SAMPLES_MIN: Final = 100
SUSPICIONS: Final = 4  # answers of 500 in a row before the batch itself is suspected
PATIENCE_S: Final = 600.0  # and so long: where a part of a cluster is away, 500 is the answer to some series while others are taken
PICKY_S: Final = 3600.0  # so long is a receiver known for answering 500 to samples: each batch would have to wait
SENT: Final = "sent"
MARKERS: Final = "markers"
BATCHES: Final = "batches"
BYTES: Final = "bytes"
FAILURES: Final = "failures"
COUNTS: Final = (SENT, MARKERS, BATCHES, BYTES, FAILURES)
_REMOTE_WRITE_PATHS: Final = ("/write", "/push", "/receive")
_CONFIRMED: Final = "X-Prometheus-Remote-Write-Samples-Written"
_TEXT_HEADERS: Final[dict[str, str]] = {hdrs.CONTENT_TYPE: "text/plain; version=0.0.4", hdrs.CONTENT_ENCODING: "gzip"}
_HEADERS_1_0: Final[dict[str, str]] = {
    hdrs.CONTENT_TYPE: "application/x-protobuf",
    hdrs.CONTENT_ENCODING: "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
_HEADERS_2_0: Final[dict[str, str]] = {
    hdrs.CONTENT_TYPE: "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    hdrs.CONTENT_ENCODING: "snappy",
    "X-Prometheus-Remote-Write-Version": "2.0.0",
}

_REFUSALS: Final = (REFUSED, TOO_OLD, OUT_OF_ORDER)  # of what a receiver does not understand, too
_UNSUPPORTED: Final = (404, 405, 406, 415, 501)  # the other version, perhaps
InThread = Callable[..., Awaitable[Any]]


class Delivered(NamedTuple):
    """Rows that are done with, each with what was bad in it, and why it is not all of them (None: it is)."""

    done: Sequence[tuple[Row, Sequence[Bad]]]
    stop: Outcome | None


class Sender:
    """The wire to one receiver. `in_thread(function, *arguments)` runs what takes time elsewhere; `counts` outlive the process."""

    def __init__(self, settings: Push, version: str, clock: Clock, in_thread: InThread, counts: dict[str, int]) -> None:
        self.protocol = protocol_of(settings)
        self.delivery = Delivery(settings, version, clock)
        if self.protocol == TEXT and settings.labels:
            extra = [("extra_label", f"{name}={value}") for name, value in settings.labels]
            self.delivery.url = self.delivery.url.update_query([*self.delivery.url.query.items(), *extra])
        self._in_thread = in_thread
        self._remote_write = RemoteWrite(settings.labels)
        self.describe = self._remote_write.describe
        self.version: str | None = None  # of remote write, None = the receiver has not been asked
        self._known: Row | None = None  # one sample that the receiver has taken
        self._clock = clock
        self.patience_s = PATIENCE_S
        self._suspicions = 0
        self._suspected_ns = 0  # the first of them
        self._picky_ns: int | None = None  # when samples were last given up for answers of 500
        self._unanswered = 0  # questions for the version in a row that were answered with 5xx
        self.samples_max = SAMPLES_MAX
        self.doubtful_end = 0  # what ends there may have been taken without our knowing it
        self.counts = counts

    async def deliver(self, session: aiohttp.ClientSession, rows: Sequence[Row], previous: Row | None) -> Delivered:
        """Send `rows`; `previous` is the row before them, as far as it is known."""
        outcome: Outcome | None = None
        if self.protocol == REMOTE_WRITE and self.version is None:
            if rows[0].end <= self.doubtful_end:
                outcome = await self._send(session, rows, previous)
            if outcome is None or outcome.status in _UNSUPPORTED:
                confirmed = await self._ask_version(session, rows[0], previous)
                if confirmed is not None:
                    return confirmed
                if self.version == VERSION_2_0:
                    outcome = None
        outcome = outcome or await self._send(session, rows, previous)
        if outcome.verdict == TAKEN:
            self._taken(rows)
            return Delivered([(row, ()) for row in rows], None)
        self._doubt(outcome, rows[-1])
        if outcome.status in _UNSUPPORTED:
            self.ask_again()
        if outcome.verdict == TOO_LARGE and len(rows) > 1:
            self.samples_max = max(SAMPLES_MIN, sum(len(row.prefixes) for row in rows) // 2)
            return Delivered((), None)
        if not self._is_to_blame(outcome):
            return Delivered((), outcome._replace(verdict=LATER))
        sieve = Sieve(lambda part, before: self._send(session, part, before), self._known, self.doubtful_end)
        done, stop = await sieve.run(rows, previous, outcome)
        self._taken([row for row, bad in done if not bad])
        if any(each.outcome.verdict == SUSPECT for _, bad in done for each in bad):
            self._picky_ns, self._suspicions = self._clock.mono_ns(), 0
        if stop is not None:
            self._doubt(stop, rows[-1])
        return Delivered(done, stop)

    def ask_again(self) -> None:
        """The receiver may speak another version than it did, as another process of it may."""
        self.version = None
        self._unanswered = 0

    async def _ask_version(self, session: aiohttp.ClientSession, row: Row, previous: Row | None) -> Delivered | None:
        """Try 2.0 with one row; what became of it, or None when it is to be sent in 1.0."""
        encoded: Encoded = await self._in_thread(self._remote_write.encode_2_0, [row], previous)
        outcome = await self.delivery.send(session, encoded.body, _HEADERS_2_0)
        written = _written(outcome)
        if outcome.status:
            self.counts[SENT] += encoded.samples
        if outcome.verdict == TAKEN and written == encoded.samples + encoded.markers:
            self.version = VERSION_2_0
            self._count(encoded)
            self._taken([row])
            return Delivered([(row, ())], None)
        if outcome.verdict in (TAKEN, TOO_LARGE, *_REFUSALS) or outcome.status in _UNSUPPORTED:
            self.version = VERSION_1_0 if outcome.verdict == TAKEN or written is None else VERSION_2_0
            return None
        self.counts[FAILURES] += 1
        self._doubt(outcome, row)
        self._unanswered = self._unanswered + 1 if outcome.status >= 500 else 0
        if self._unanswered == SUSPICIONS:  # what was in doubt in between has gone in 1.0, unless that is unsupported
            self.version = VERSION_1_0
            return None
        return Delivered((), outcome._replace(verdict=LATER))

    async def _send(self, session: aiohttp.ClientSession, rows: Sequence[Row], previous: Row | None) -> Outcome:
        encode, headers = self._encoding()
        encoded: Encoded = await self._in_thread(encode, rows, previous)
        outcome = await self.delivery.send(session, encoded.body, headers)
        if outcome.status:
            self.counts[SENT] += encoded.samples
        if outcome.verdict == TAKEN:
            self._count(encoded)
        else:
            self.counts[FAILURES] += 1
        if self.version == VERSION_2_0 and outcome.verdict in _REFUSALS and (written := _written(outcome)):
            return outcome._replace(lost=min(encoded.samples, max(0, encoded.samples + encoded.markers - written)))
        return outcome

    def _encoding(self) -> tuple[Callable[..., Encoded], dict[str, str]]:
        if self.protocol == TEXT:
            return importtext.encode, _TEXT_HEADERS
        if self.version == VERSION_2_0:
            return self._remote_write.encode_2_0, _HEADERS_2_0
        return self._remote_write.encode, _HEADERS_1_0

    def _count(self, encoded: Encoded) -> None:
        self.counts[MARKERS] += encoded.markers
        self.counts[BATCHES] += 1
        self.counts[BYTES] += len(encoded.body)

    def _doubt(self, outcome: Outcome, last: Row) -> None:
        """What ends with `last` was sent, and `outcome` came of it."""
        if outcome.doubtful:
            self.doubtful_end = max(self.doubtful_end, last.end)

    def _is_to_blame(self, outcome: Outcome) -> bool:
        """Whether the batch is, and not the receiver, for this answer; nobody knows at the first of 500."""
        if outcome.verdict != SUSPECT:
            self._suspicions = 0
            return outcome.verdict != LATER
        now_ns = self._clock.mono_ns()
        if not self._suspicions:
            self._suspected_ns = now_ns
        self._suspicions += 1
        picky = self._picky_ns is not None and now_ns - self._picky_ns < PICKY_S * NS_PER_S
        return picky or (self._suspicions >= SUSPICIONS and now_ns - self._suspected_ns >= self.patience_s * NS_PER_S)

    def _taken(self, rows: Sequence[Row]) -> None:
        if rows:
            self._suspicions = 0
            row = rows[-1]
            self._known = Row(row.first, row.at_ms, row.prefixes[:1], row.values[:1])


def _written(outcome: Outcome) -> int | None:
    """How many samples and stale markers the receiver says it has written; None when it does not, as every one of 2.0 does."""
    text = outcome.headers.get(_CONFIRMED, "")
    return int(text) if text.isdecimal() else None


def protocol_of(settings: Push) -> str:
    """What a target speaks; auto goes by the end of the path."""
    if settings.protocol != "auto":
        return settings.protocol
    path = settings.url.partition("?")[0].rstrip("/")
    return REMOTE_WRITE if path.endswith(_REMOTE_WRITE_PATHS) else TEXT
