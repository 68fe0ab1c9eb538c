"""Whether the receiver was restarted, and what that has cost: what it acknowledged last it may not have put on its disk.

The receiver's own metrics tell when its process was started. They are looked at when a connection was new, when a failure is over,
and once in WATCH_S. A receiver that shows none is taken to have been restarted when a connection was refused or broken and the next
request succeeds. Law: what was acknowledged within `keep` before a restart is sent again, and nothing else; it is kept until the
receiver has been seen alive `keep` after the acknowledgement.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import aiohttp

from energyd.export import receiver
from energyd.export.answers import TAKEN, Outcome
from energyd.export.delivery import NO_CONNECTION, Delivery
from energyd.service.clock import Clock
from energyd.spool.spool import Spool
from energyd.units import NS_PER_MS, NS_PER_S

WATCH_S: Final = 60.0
IDLE_MS: Final = 30_000  # after which a connection may have been closed, and all behind it have been restarted, unseen
UNKNOWN_MAX: Final = 5  # looks without an answer: if samples are taken meanwhile, such a receiver shows nothing
SLACK_MS: Final = 1000  # between its clock and ours, and in the age that it tells
RESTARTS: Final = "restarts"
_STARTED: Final = "receiver_started"


class Look(NamedTuple):
    """Whether it is another process than before, and what came instead of an answer that tells."""

    other: bool
    unanswered: Outcome | None


class Restarts:
    """The watch over one receiver."""

    def __init__(
        self,
        delivery: Delivery,
        spool: Spool,
        keep_s: float,
        clock: Clock,
        in_thread: Callable[..., Awaitable[Any]],
        complain: Callable[[str, str], None],
        counts: dict[str, int],
    ) -> None:
        self._delivery = delivery
        self._spool = spool
        self._keep_ms = round(keep_s * 1000)
        self._clock = clock
        self._in_thread = in_thread
        self._complain = complain
        self._reason = asyncio.Event()
        self._connections = 0  # when it was last looked at
        self._failures = 1  # the first success is a reason
        self._judged = 0  # failures before the last look that told something
        self._looking = asyncio.Lock()
        self._blind = False
        # an earlier process' acknowledgements are before whatever we see, even by a clock that a power cut has set back
        self._acknowledged_ms = max((entry.at_ms for entry in spool.cursor.acknowledged), default=0)
        self._before_ms = self._acknowledged_ms or None  # the last acknowledgement before something failed
        self._cut = False
        self._unknown = 0  # looks in a row that told nothing
        self._counted: int | None = None
        self._counts = counts
        self.thrown_away: int | None = None

    def failed(self, outcome: Outcome) -> None:
        """A request has failed."""
        self._failures += 1
        self._cut |= outcome.cut
        if self._before_ms is None:
            self._before_ms = self._acknowledged_ms or None

    async def succeeded(self) -> None:
        """The receiver has acknowledged something."""
        self._acknowledged_ms = self._now_ms()
        if self._failed or self._connections != self._delivery.connections:
            self._reason.set()
        if self._unknown >= UNKNOWN_MAX or (self._blind and not self._reason.is_set()):
            await self._in_thread(self._spool.safe, self._acknowledged_ms - self._keep_ms)

    async def reason(self) -> None:
        """Return when it is worth a look."""
        with contextlib.suppress(TimeoutError):  # wait_for of Python 3.11 can swallow a cancellation, timeout does not
            async with asyncio.timeout(WATCH_S):
                await self._reason.wait()
        self._reason.clear()

    @property
    def doubtful(self) -> bool:
        """Whether it may have been restarted since it was looked at, and would tell. Who wants samples in their order is looked at
        first then: what it has lost cannot be sent after what came later."""
        return not self.silent and (self._failed or self._now_ms() - self._acknowledged_ms > IDLE_MS)

    @property
    def silent(self) -> bool:
        """Whether it has not answered looks for so long that it is not worth waiting for."""
        return self._unknown >= UNKNOWN_MAX

    async def look(self, session: aiohttp.ClientSession) -> Look:
        """Look at the receiver's metrics; what it may have lost by a restart waits again then. One look at a time."""
        async with self._looking:
            return await self._look(session)

    async def _look(self, session: aiohttp.ClientSession) -> Look:
        """What fails while the page is waited for is judged by the next look: nobody knows which of both was first."""
        failures, before_ms, cut = self._failures, self._before_ms, self._cut
        self._before_ms, self._cut = None, False
        url = receiver.metrics_url(self._delivery.url)
        outcome, page = await self._delivery.get(session, url, receiver.PAGE_BYTES_MAX)
        self._connections = self._delivery.connections
        if outcome.verdict != TAKEN and (outcome.cut or outcome.status >= 500):
            self._unknown += 1
            self._before_ms, self._cut = before_ms or self._before_ms, cut or self._cut
            # without a connection it is not this page, and the log has it already
            named = outcome.fault if outcome.fault.startswith(NO_CONNECTION) else f"GET {url.path}: {outcome.fault}"
            return Look(False, outcome._replace(fault=named))  # the next success is a reason again
        self._unknown = 0
        seen = receiver.read(page, outcome.headers, self._clock.real_ns() / NS_PER_S) if outcome.verdict == TAKEN else None
        self._judged = failures
        self._blind = seen is None
        if seen is not None:
            return Look(await self._compared(seen, before_ms), None)
        if cut and before_ms is not None:
            await self._restarted(before_ms, before_ms, "was away and shows no start of its process")
        return Look(cut and before_ms is not None, None)

    @property
    def _failed(self) -> bool:
        """Whether something has failed that no look has told of."""
        return self._failures > self._judged

    async def _compared(self, seen: receiver.Receiver, before_ms: int | None) -> bool:
        """Whether it is another process than before, which may have lost something."""
        known = self._spool.notes.get(_STARTED)
        self._count_thrown_away(seen.thrown_away, known in (None, seen.started))
        begun_ms = self._now_ms() - round(seen.age_s * 1000)
        other = known is not None and known != seen.started
        if other:
            again = await self._restarted(max(begun_ms + SLACK_MS, before_ms or 0), before_ms, "was restarted")
        else:
            again = 0 if known == seen.started else await self._restarted(begun_ms - SLACK_MS, None, "was restarted")
        # after what waits again: who dies in between must find out once more
        await self._in_thread(self._spool.note, _STARTED, seen.started)
        if not again:
            await self._in_thread(self._spool.safe, self._now_ms() - self._keep_ms)
        return other or again > 0

    async def _restarted(self, at_ms: int, last_ms: int | None, how: str) -> int:
        """Replay what was acknowledged last before `at_ms`, and tell it if that is anything: there may be several receivers
        behind the address, of which another one answered. Returns how many samples it is."""
        count: int = await self._in_thread(self._spool.replay, at_ms, self._keep_ms, last_ms)
        if count:
            self._counts[RESTARTS] += 1
            told = f"{self._delivery.place} {how}; the {count} samples that it took last are sent again, it may have lost them"
            self._complain(RESTARTS, told)
        return count

    def _count_thrown_away(self, count: int | None, same: bool) -> None:
        if count is None:
            return
        before = count if self._counted is None else self._counted if same else 0
        new, self._counted = count - before, count
        self.thrown_away = (self.thrown_away or 0) + max(0, new)
        if new > 0:
            told = f"{self._delivery.place} counts {new} rows that it acknowledged and did not store, from whomever"
            self._complain("thrown away", f"{told}; its log names them")

    def _now_ms(self) -> int:
        return self._clock.real_ns() // NS_PER_MS
