"""The standard library's logging in the lines of energyd.service.log, for the process whose libraries log through it."""

import logging
import sys

from energyd.service import log


class Lines(logging.Formatter):
    """An event as `style` has it, its traceback behind the message."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self._lines = style

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        return log.line(self._lines, record.levelname.lower(), record.name, message)


def setup(name: str, level: str, style: str) -> logging.Logger:
    """Log to stderr as `style` ('text', 'json' or 'journal') from `level` up; returns the logger `name`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(style))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    return logging.getLogger(name)
