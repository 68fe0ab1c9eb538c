"""Truth files: what a simulator emitted, one JSON object a line, appended and visible before the thing itself is.

A line is one `write` to a file opened for appending, so a reader sees whole lines, and a killed simulator leaves at most its
last line unfinished. Every line carries `event` and `host_real_ns`, the machine's CLOCK_REALTIME, to which servers' timestamps
can be compared; simulated times are fields of their own.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from energyd.errors import EnvironmentFault

_TAIL = 65536


class Truth:
    """Appends to `path`; without a path nothing is written."""

    def __init__(self, path: str | None) -> None:
        self._fd = -1
        if path is not None:
            try:
                self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise EnvironmentFault(f"cannot write the truth file {path}: {error.strerror}") from error

    def write(self, event: str, **fields: Any) -> None:
        if self._fd >= 0:
            line = {"event": event, "host_real_ns": time.time_ns()} | fields
            text = json.dumps(line, separators=(",", ":")).encode() + b"\n"
            try:
                whole = os.write(self._fd, text) == len(text)
            except OSError as error:
                raise EnvironmentFault(f"cannot write the truth file: {error.strerror}") from error
            if not whole:
                raise EnvironmentFault("cannot write the truth file: the disk is full")

    def __enter__(self) -> "Truth":
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read(path: str | Path, event: str | None = None) -> Iterator[dict[str, Any]]:
    """The lines of a truth file, or those of one event; a last line that a kill left unfinished is left out."""
    with open(path, "rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                entry = json.loads(line)
                if event is None or entry["event"] == event:
                    yield entry


def last(path: str | Path, events: tuple[str, ...]) -> dict[str, Any] | None:
    """The last line of a truth file that tells one of `events`; None when its last 64 KB hold none, or there is no file."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return None
    for line in reversed(lines[:-1]):
        if line.startswith(b'{"event"'):  # the first line may be cut
            entry: dict[str, Any] = json.loads(line)
            if entry["event"] in events:
                return entry
    return None
