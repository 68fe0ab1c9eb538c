"""Logging for all processes: one line an event on stderr, text or JSON, and each distinct fault at most once a minute.

The readers and supervisord write their lines by `Log`: the standard library's logging takes 0.7 MB of every process that loads it,
most of it for threads and tracebacks. The aggregator, whose libraries log through it, has the same lines by energyd.service.stdlog.
"""

import contextlib
import json
import sys
from collections.abc import Callable
from typing import Final, Protocol

from energyd.units import NS_PER_S

PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""The levels of the configuration, by sd-daemon(3)."""


def line(style: str, level: str, name: str, message: str) -> str:
    """One event as 'text', as 'json' or as 'journal': `<N>name: message`, the priority prefix that systemd-journald reads."""
    if style == "json":
        return json.dumps({"level": level, "name": name, "message": message})
    if style == "journal":
        return f"<{PRIORITIES.get(level, PRIORITIES['info'])}>{name}: {message}"
    return f"{level.upper()} {name}: {message}"


class Stream(Protocol):
    """Where lines go to."""

    def write(self, text: str, /) -> object: ...


class Log:
    """The lines of `name` from `level` up, on stderr or `stream`. Law: what cannot be written is lost, and stops nobody."""

    def __init__(self, name: str, level: str, style: str, stream: Stream | None = None) -> None:
        self._name = name
        self._least = PRIORITIES[level]
        self._style = style
        self._stream = stream

    def info(self, message: str) -> None:
        self._write("info", message)

    def warning(self, message: str) -> None:
        self._write("warning", message)

    def error(self, message: str) -> None:
        self._write("error", message)

    def _write(self, level: str, message: str) -> None:
        if PRIORITIES[level] <= self._least:
            with contextlib.suppress(OSError, ValueError, AttributeError):  # a full disk, a closed stream, none at all
                (self._stream or sys.stderr).write(line(self._style, level, self._name, message) + "\n")


class DistinctFaults:
    """Passes on each distinct key at most once a minute, one that never ends after ten and then once an hour, and counts what it
    held back: a failing device cannot fill a disk."""

    INTERVAL_NS = 60 * NS_PER_S
    INTERVAL_MAX_NS = 3600 * NS_PER_S
    LIMIT = 1000  # distinct keys remembered; more are one key

    def __init__(self, emit: Callable[[str], None], mono_ns: Callable[[], int]) -> None:
        self._emit = emit
        self._mono_ns = mono_ns
        self._seen: dict[str, tuple[int, int, int]] = {}  # key -> (mono_ns from which on it is passed on, held back, interval)

    def report(self, key: str, message: str) -> None:
        now_ns = self._mono_ns()
        if key not in self._seen and len(self._seen) >= self.LIMIT:
            key = "(other)"
        due_ns, held, interval_ns = self._seen.get(key, (now_ns, 0, 0))
        if now_ns < due_ns:
            self._seen[key] = (due_ns, held + 1, interval_ns)
            return
        self._emit(message + (f" ({held} more like it in the last minutes)" if held else ""))
        went_on = held and now_ns < due_ns + interval_ns
        interval_ns = min(10 * interval_ns, self.INTERVAL_MAX_NS) if went_on else self.INTERVAL_NS
        self._seen[key] = (now_ns + interval_ns, 0, interval_ns)
