"""What surrounds a worker's three functions: exit codes, one line of complaint, and nothing left open."""

import signal

import pytest

from energyd.errors import ConfigError, EnvironmentFault
from energyd.service import worker


@pytest.fixture(autouse=True)
def signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_worker_starts_loops_until_it_is_stopped_and_shuts_down():
    said = []

    def main_loop(state, stop):
        said.append(state)
        assert not stop
        signal.raise_signal(signal.SIGTERM)
        assert stop

    assert worker.run("w", lambda: "state", main_loop, lambda state: said.append(f"{state} closed")) == 0
    assert said == ["state", "state closed"]


@pytest.mark.parametrize(("fault", "code"), [(ConfigError("wrong key"), 100), (EnvironmentFault("wrong key"), 111)])
def test_a_fault_at_the_start_is_one_line_and_an_exit_code(capsys, fault, code):
    def startup():
        raise fault

    assert worker.run("w", startup, lambda _state, _stop: None, lambda _state: None) == code
    assert capsys.readouterr().err == "w: wrong key\n"


@pytest.fixture
def failing():
    """Runs a worker whose loop raises `fault`; returns its exit code and what was closed."""

    def run(fault):
        closed = []

        def main_loop(_state, _stop):
            raise fault

        try:
            return worker.run("w", lambda: 1, main_loop, closed.append), closed
        except AssertionError:
            return None, closed

    return run


@pytest.mark.parametrize(("fault", "code"), [(EnvironmentFault("disk full"), 111), (AssertionError("BUG"), None)])
def test_whatever_ends_the_loop_what_was_opened_is_closed(failing, fault, code):
    assert failing(fault) == (code, [1])
