import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from procworld import Children, ProcWorld


@pytest.fixture
def world(tmp_path: Path) -> ProcWorld:
    root = tmp_path / "proc"
    root.mkdir()
    return ProcWorld(root)


@pytest.fixture
def children() -> Iterator[Children]:
    children = Children()
    yield children
    for pid in list(children.pids):
        children.end(pid)


@pytest.fixture
def sleeper(children: Children) -> Callable[[], int]:
    """sleeper() -> pid of a child that does nothing."""
    return lambda: children.fork(signal.pause)


@pytest.fixture
def end(children: Children) -> Callable[[int], None]:
    """end(pid): killed and reaped."""
    return children.end


@pytest.fixture
def burner(children: Children) -> Callable[[float], int]:
    """burner(seconds) -> pid of a child that has used so much CPU and then does nothing."""

    def burn(seconds: float) -> int:
        reading, writing = os.pipe()

        def work() -> None:
            while time.process_time() < seconds:
                pass
            os.write(writing, b"!")
            signal.pause()

        pid = children.fork(work)
        os.read(reading, 1)
        os.close(reading)
        os.close(writing)
        return pid

    return burn
