"""The standard library's logging in the lines of energyd.service.log, for the process whose libraries log through it."""

import logging
import sys

from energyd.service import log


class Lines(logging.Formatter):
    """An event as `style` has it, with its traceback unless the line is JSON."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self._lines = style

    def format(self, record: logging.LogRecord) -> str:
        text = log.line(self._lines, record.levelname.lower(), record.name, record.getMessage())
        return text + "\n" + self.formatException(record.exc_info) if record.exc_info and self._lines != "json" else text


def setup(name: str, level: str, style: str) -> logging.Logger:
    """Log to stderr as `style` ('text', 'json' or 'journal') from `level` up; returns the logger `name`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(style))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    return logging.getLogger(name)
