"""Names of containers from the engine's own socket, where its state files may not be read and the socket may.

Outside truth: Docker Engine API, `GET /containers/ID/json`, which podman's service answers alike; over HTTP/1.0 the answer is whole
and ends with the connection. Who may use the socket is root or in the engine's group; we only ever ask this one question.

Law: bounded: TIMEOUT_S for a question, MAX_BYTES for an answer, and after an engine was silent or strange no question to it
for AGAIN_S, so that an engine that hangs costs the aggregator a quarter of a second a minute.
"""

import json
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

TIMEOUT_S: Final = 0.25
AGAIN_S: Final = 60.0
MAX_BYTES: Final = 1 << 20
MAX_UNKNOWN: Final = 1024
SOCKETS: Final = ("run/docker.sock", "run/podman/podman.sock", "run/user/*/podman/podman.sock", "run/user/*/docker.sock")


class EngineSocket:
    """The sockets below `root`; `mono_s` is a monotonic clock."""

    def __init__(self, root: Path, mono_s: Callable[[], float]) -> None:
        self._root = root
        self._mono_s = mono_s
        self._silent_until_s: dict[Path, float] = {}
        self._unknown: dict[str, float] = {}  # containers that no engine knew, and until when that is believed

    def inspect(self, identifier: str) -> dict[str, Any] | None:
        """What an engine says of a container by its full id; None where none says anything."""
        now_s = self._mono_s()
        if self._unknown.get(identifier, 0) > now_s:
            return None
        for path in self._paths():
            if self._silent_until_s.get(path, 0) > now_s:
                continue
            try:
                answer = self._ask(path, identifier)
            except (OSError, ValueError):
                self._silent_until_s[path] = self._mono_s() + AGAIN_S
                continue
            if answer is not None:
                return answer
        if len(self._unknown) >= MAX_UNKNOWN:
            self._unknown.clear()
        self._unknown[identifier] = now_s + AGAIN_S
        return None

    def _paths(self) -> Iterable[Path]:
        for pattern in SOCKETS:
            yield from self._root.glob(pattern)

    def _ask(self, path: Path, identifier: str) -> dict[str, Any] | None:
        """OSError or ValueError when it does not answer as it should; None when it does not know the container."""
        deadline_s = self._mono_s() + TIMEOUT_S
        data = b""
        with socket.socket(socket.AF_UNIX) as engine:
            engine.settimeout(TIMEOUT_S)
            engine.connect(str(path))
            engine.sendall(b"GET /containers/%s/json HTTP/1.0\r\nHost: localhost\r\n\r\n" % identifier.encode())
            while piece := engine.recv(1 << 16):
                data += piece
                if len(data) > MAX_BYTES:
                    raise ValueError("an answer without end")
                engine.settimeout(max(0.001, deadline_s - self._mono_s()))
        head, _, body = data.partition(b"\r\n\r\n")
        status = head.split(b" ", 2)[1:2]
        if status == [b"404"]:
            return None
        if status != [b"200"]:
            raise ValueError(f"answered {status}")
        answer = json.loads(body)
        return answer if isinstance(answer, dict) else None
