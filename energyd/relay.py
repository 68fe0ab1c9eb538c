"""The lines of many programs to one stderr.

Law: it never waits. supervisord does everything in one loop, so a terminal that was stopped with Ctrl-S must not stop the restarts;
what it does not take is dropped and counted.
"""

import os
import select
from typing import Final

STDERR: Final = 2
PIPE_BUF: Final = 4096  # pipe(7): a pipe that poll calls writable has room for as much as this


class Relay:
    """Whole lines of the programs to `fd`. `dropped` counts what was not taken; `last_line` is the last one of each program."""

    def __init__(self, fd: int = STDERR) -> None:
        self._fd = fd
        self._partial: dict[str, bytes] = {}
        self.last_line: dict[str, str] = {}
        self.dropped = 0

    def feed(self, name: str, data: bytes) -> None:
        *lines, rest = (self._partial.pop(name, b"") + data).split(b"\n")
        if rest:
            self._partial[name] = rest
        for line in lines:
            if line.strip():
                self.last_line[name] = line.decode("utf-8", "backslashreplace").strip()
            self._write(line + b"\n")

    def end(self, name: str) -> None:
        """The program has ended: a last line without its newline is a line too."""
        if name in self._partial:
            self.feed(name, b"\n")

    def write(self, text: str) -> None:
        """A text of our own, whole lines; with `flush` this makes a stream for logging.StreamHandler."""
        self._write(text.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Nothing is held back."""

    def _write(self, line: bytes) -> None:
        for start in range(0, len(line), PIPE_BUF):
            try:
                if not select.select([], [self._fd], [], 0)[1]:
                    self.dropped += 1
                    return
                os.write(self._fd, line[start : start + PIPE_BUF])
            except (OSError, ValueError):  # nobody reads any more
                self.dropped += 1
                return
