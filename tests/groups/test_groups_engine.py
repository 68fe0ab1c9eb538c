"""The socket of a container engine: asked over HTTP by a real server behind a real unix socket, and never for long."""

import json
import os
import socketserver
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from energyd.groups.enginesocket import AGAIN_S, MAX_BYTES, MAX_UNKNOWN, TIMEOUT_S, EngineSocket
from energyd.groups.names import HostNames
from energyd.groups.rules import Container

HEX, OTHER = "0123456789abcdef" * 4, "f" * 64
STATE = {"Id": HEX, "Name": "/web01", "Config": {"Image": "nginx:1", "Labels": {"com.optivolt.environment": "docker"}}}


class Engine(socketserver.ThreadingUnixStreamServer):
    """Docker's API as far as we use it; `body` is what it says of HEX, `hang` how long it thinks."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.asked: list[str] = []
        self.body, self.status, self.hang_s = json.dumps(STATE).encode(), 200, 0.0
        super().__init__(str(path), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Engine

    def do_GET(self) -> None:
        engine = self.server
        engine.asked.append(self.path)
        time.sleep(engine.hang_s)
        known = self.path == f"/containers/{HEX}/json"
        body = engine.body if known else b'{"message":"No such container"}'
        try:
            self.send_response(engine.status if known else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # who asked has gone
            pass

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    Path("run").mkdir()
    server = Engine(Path("run/docker.sock"))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Clock:
    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_an_engine_names_a_container_whose_state_file_may_not_be_read(engine: Engine, clock: Clock) -> None:
    faults: list[tuple[str, str]] = []
    names = HostNames(".", lambda kind, text: faults.append((kind, text)), clock)
    file = Path("var/lib/docker/containers") / HEX / "config.v2.json"
    file.parent.mkdir(parents=True)
    os.symlink(file.name, file)  # a file that cannot be opened, for root either
    assert names.container("docker", HEX) == Container("web01", "nginx:1", {"com.optivolt.environment": "docker"})
    assert faults == [], "it is named: nothing to complain of"
    names.container("docker", HEX)
    assert engine.asked == [f"/containers/{HEX}/json"], "once"


def test_a_state_file_that_tells_spares_the_question(engine: Engine, clock: Clock) -> None:
    file = Path("var/lib/docker/containers") / HEX / "config.v2.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"Name": "/from-the-file"}))
    assert HostNames(".", mono_s=clock).container("docker", HEX).name == "from-the-file"
    assert engine.asked == []


def test_what_no_engine_knows_is_asked_again_only_after_a_while(engine: Engine, clock: Clock) -> None:
    sockets = EngineSocket(Path(), clock)
    assert sockets.inspect(OTHER) is None
    assert sockets.inspect(OTHER) is None
    assert len(engine.asked) == 1
    clock.ahead_s = AGAIN_S + 1
    assert sockets.inspect(OTHER) is None
    assert len(engine.asked) == 2
    assert sockets.inspect(HEX) == STATE
    for number in range(MAX_UNKNOWN + 1):
        sockets._unknown[str(number)] = 1e12
    sockets.inspect("e" * 64)
    assert list(sockets._unknown) == ["e" * 64], "what is remembered is bounded"


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"not json", 200), (b"", 500), (b"x" * (MAX_BYTES + 1), 200)],
    ids=["no json", "its own fault", "endless"],
)
def test_a_strange_engine_is_left_alone_for_a_while(engine: Engine, clock: Clock, body: bytes, status: int) -> None:
    engine.body, engine.status = body, status
    sockets = EngineSocket(Path(), clock)
    assert sockets.inspect(HEX) is None
    assert sockets.inspect(OTHER) is None
    assert len(engine.asked) == 1
    engine.body, engine.status, clock.ahead_s = json.dumps(STATE).encode(), 200, AGAIN_S + 1
    assert sockets.inspect(HEX) == STATE


def test_a_list_is_no_container(engine: Engine, clock: Clock) -> None:
    engine.body = b"[]"
    assert EngineSocket(Path(), clock).inspect(HEX) is None


def test_an_engine_that_hangs_costs_a_quarter_of_a_second_once_a_minute(engine: Engine, clock: Clock) -> None:
    engine.hang_s = 3 * TIMEOUT_S
    sockets = EngineSocket(Path(), clock)
    begin = time.monotonic()
    for number in range(50):
        assert sockets.inspect(f"{number:064x}") is None
    assert time.monotonic() - begin < 3 * TIMEOUT_S + 2


def test_without_a_socket_nobody_is_asked(tmp_path: Path, clock: Clock) -> None:
    assert EngineSocket(tmp_path, clock).inspect(HEX) is None
    (tmp_path / "run").mkdir()
    (tmp_path / "run/docker.sock").write_text("no socket")
    assert EngineSocket(tmp_path, clock).inspect(HEX) is None
