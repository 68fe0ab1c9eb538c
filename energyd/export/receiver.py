"""What a receiver tells about itself on its own /metrics: when it was started, and how many rows it has thrown away.

VictoriaMetrics: vm_app_start_timestamp and vm_app_uptime_seconds; it answers 204 to lines that it could not read, and only counts
them (vm_rows_invalid_total, vm_rows_ignored_total). Prometheus, and everything else that uses a Prometheus client:
process_start_time_seconds, which the Date of the answer makes an age. Nothing here knows how the page is fetched.
"""

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from aiohttp import hdrs
from yarl import URL

PAGE_BYTES_MAX: Final = 4 << 20
_INGESTION: Final = re.compile(r"(/api/v1/import/prometheus|/api/v1/write|/api/v1/push|/write)(/.*)?$")
_START: Final = re.compile(rb"^(?:vm_app_start_timestamp|process_start_time_seconds)(?:\{\})? (\S+)", re.MULTILINE)
_UPTIME: Final = re.compile(rb"^vm_app_uptime_seconds (\S+)", re.MULTILINE)
_THROWN_AWAY: Final = re.compile(rb"^vm_rows_(?:invalid|ignored)_total(?:\{[^}]*\})? (\S+)", re.MULTILINE)


class Receiver(NamedTuple):
    """`started` tells processes apart, `age_s` is how long it runs, `thrown_away` counts rows of anybody's; None if it does not."""

    started: float
    age_s: float
    thrown_away: int | None


def base_url(url: URL) -> URL:
    """The address of the receiver itself, without the path of ingestion: other paths are beside it."""
    match = _INGESTION.search(url.path)
    return url.with_path(url.path[: match.start()] if match else "/").with_query(None)


def metrics_url(url: URL) -> URL:
    """Where the receiver at the ingestion address `url` shows its own metrics."""
    base = base_url(url)
    return base.with_path(base.path.rstrip("/") + "/metrics")


def read(page: bytes, headers: Mapping[str, str], now_s: float) -> Receiver | None:
    """What the page says; None when it does not tell the start of the process. `now_s`: our time, for want of its own."""
    start = _START.search(page)
    if start is None:
        return None
    try:
        started = float(start[1])
        uptime = _UPTIME.search(page)
        age_s = float(uptime[1]) if uptime else _date_s(headers, now_s) - started
        thrown_away = [int(float(count)) for count in _THROWN_AWAY.findall(page)]
    except (ValueError, OverflowError):
        return None
    if not (math.isfinite(started) and math.isfinite(age_s)):
        return None
    return Receiver(started, max(0.0, age_s), sum(thrown_away) if thrown_away else None)


def _date_s(headers: Mapping[str, str], now_s: float) -> float:
    try:
        return parsedate_to_datetime(headers.get(hdrs.DATE, "")).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return now_s
