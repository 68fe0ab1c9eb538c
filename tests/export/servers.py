"""Starting real servers on loopback, and asking them."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def get(url: str, **headers: str) -> str:
    """The body, '' when there is no good answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as response:
            return str(response.read().decode())
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return ""


def query(base: str, expression: str) -> list[dict[str, Any]]:
    """The result of an instant query; both databases speak this API."""
    answer = get(f"{base}/api/v1/query?nocache=1&query={urllib.parse.quote(expression)}")
    return list(json.loads(answer)["data"]["result"]) if answer else []


def wait_until(condition: Any, timeout_s: float = 20) -> Any:
    """What `condition` returns as soon as it is true; AssertionError when it never is."""
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)
    return result


@contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    """`command`, killed at the end."""
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            yield
        finally:
            process.kill()
