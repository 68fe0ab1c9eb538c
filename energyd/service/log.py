"""Logging for all processes: one line an event on stderr, text or JSON, and each distinct fault at most once a minute."""

import json
import logging
import sys
from collections.abc import Callable

from energyd.units import NS_PER_S

_JOURNAL_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: level, name, message."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({"level": record.levelname.lower(), "name": record.name, "message": record.getMessage()})


class JournalFormatter(logging.Formatter):
    """`<N>name: message`, the priority prefix that systemd-journald reads (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"<{_JOURNAL_PRIORITY.get(record.levelno, 6)}>{record.name}: {record.getMessage()}"
        return text + "\n" + self.formatException(record.exc_info) if record.exc_info else text


def formatter(style: str) -> logging.Formatter:
    """How a line looks: 'text', 'json' or 'journal'."""
    formatters: dict[str, logging.Formatter] = {
        "text": logging.Formatter("%(levelname)s %(name)s: %(message)s"),
        "json": JsonFormatter(),
        "journal": JournalFormatter(),
    }
    return formatters[style]


def setup(name: str, level: str, style: str) -> logging.Logger:
    """Log to stderr as `style` ('text', 'json' or 'journal') from `level` up; returns the logger `name`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(style))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    return logging.getLogger(name)


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
