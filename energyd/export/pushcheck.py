"""Trying out a receiver: one sample of a probe series goes there, is read back, and is deleted again.

A receiver's answer proves nothing (VictoriaMetrics answers 204 to what it cannot read, and to a body of remote write 2.0 that it
does not understand), so the sample is looked for where the receiver can be asked. Law: the probe goes the same way as everything
else, and what could not be proved is said.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import aiohttp
import numpy as np
from yarl import URL

from energyd.config import Push
from energyd.export.answers import TAKEN
from energyd.export.delivery import Delivery
from energyd.export.receiver import base_url
from energyd.export.sender import COUNTS, TEXT, Sender
from energyd.service.clock import Clock
from energyd.spool.rows import Row
from energyd.units import NS_PER_MS

PROBE: Final = "energyd_push_check"
VALUE: Final = 42.0
VISIBLE_S: Final = 15.0  # VictoriaMetrics shows a new series after up to 10 s
_ASK_AGAIN_S: Final = 0.5
_ANSWER_BYTES_MAX: Final = 1 << 20


class Checked(NamedTuple):
    """What was found out about one receiver: whether samples arrive, and sentences about it."""

    good: bool
    sentences: tuple[str, ...]


async def check(target: Push, version: str, clock: Clock, visible_s: float = VISIBLE_S) -> Checked:
    """Send a probe to `target`, read it back, delete it."""
    sender = Sender(target, version, clock, _at_once, dict.fromkeys(COUNTS, 0))
    now_ms = clock.real_ns() // NS_PER_MS
    probe = Row(0, now_ms, [b'%s{target="%s"} ' % (PROBE.encode(), target.name.encode())], np.array([VALUE]))
    async with sender.delivery.session() as session:
        begin_s = time.monotonic()
        delivered = await sender.deliver(session, [probe], None)
        if delivered.stop is not None:
            return Checked(False, (f"{sender.delivery.place}: {delivered.stop.fault}",))
        [(_, bad)] = delivered.done
        if bad:
            return Checked(False, (f"{sender.delivery.place}: {bad[0].outcome.fault}",))
        spoken = "lines of text" if sender.protocol == TEXT else f"remote write {sender.version}"
        taken = f"{sender.delivery.place}: took a sample ({spoken}) in {1000 * (time.monotonic() - begin_s):.0f} ms"
        read = await _read_back(sender.delivery, session, target.name, now_ms, visible_s)
        if isinstance(read, str):
            return Checked(True, (taken, read))
        if not read:
            return Checked(
                False,
                (
                    taken,
                    f"but it is not there after {visible_s:.0f} s; the receiver's log says why, or it is read at another address",
                ),
            )
        return Checked(
            True, (taken, f"read it back after {time.monotonic() - begin_s:.1f} s", await _deleted(sender, session, probe))
        )


async def _read_back(delivery: Delivery, session: aiohttp.ClientSession, name: str, at_ms: int, visible_s: float) -> bool | str:
    """Whether the sample is there; a sentence when nobody can be asked."""
    base = base_url(delivery.url)
    export, query = _beside(base, "/api/v1/export"), _beside(base, "/api/v1/query")
    selector = _selector(name)
    deadline_s = time.monotonic() + visible_s
    while True:
        for url, understood in (
            (export.with_query({"match[]": selector}), _exported),
            (query.with_query({"query": f"{selector}[1h]"}), _queried),
        ):
            outcome, page = await delivery.get(session, url, _ANSWER_BYTES_MAX)
            if outcome.verdict == TAKEN:
                if at_ms in understood(page):
                    return True
                break
        else:
            return f"it cannot be read back: {export.path} and {query.path} beside it give no answer ({outcome.fault})"
        if time.monotonic() > deadline_s:
            return False
        await asyncio.sleep(_ASK_AGAIN_S)


async def _deleted(sender: Sender, session: aiohttp.ClientSession, probe: Row) -> str:
    """Delete the probe, or end it at least."""
    name = probe.prefixes[0].decode().partition('"')[2].partition('"')[0]
    url = _beside(base_url(sender.delivery.url), "/api/v1/admin/tsdb/delete_series").with_query({"match[]": _selector(name)})
    outcome = await sender.delivery.post(session, url)
    if outcome.verdict == TAKEN:
        return "deleted it"
    if sender.protocol != TEXT:  # a stale marker ends it
        await sender.deliver(session, [Row(1, probe.at_ms + 1, [], np.empty(0))], probe)
    advice = "; Prometheus deletes only with --web.enable-admin-api" if sender.protocol != TEXT else ""
    return f"{PROBE} stays there until its retention ends, because it could not be deleted ({outcome.fault}{advice})"


def _selector(name: str) -> str:
    return f'{PROBE}{{target="{name}"}}'


def _beside(base: URL, path: str) -> URL:
    return base.with_path(base.path.rstrip("/") + path)


def _exported(page: bytes) -> list[int]:
    """The times in an answer of VictoriaMetrics' export: a JSON object a line."""
    return [at_ms for line in page.splitlines() for at_ms in _found(line, lambda entry: list(entry["timestamps"]))]


def _queried(page: bytes) -> list[int]:
    """The times in an answer to a query of a range vector."""
    return _found(
        page, lambda answer: [round(float(at_s) * 1000) for one in answer["data"]["result"] for at_s, _ in one.get("values", [])]
    )


def _found(text: bytes, times: Callable[[Any], list[int]]) -> list[int]:
    """What `times` finds in a JSON text of somebody else's; nothing when it is something else."""
    try:
        return times(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return []


async def _at_once(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)
