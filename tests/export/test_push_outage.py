"""The log of a receiver that is away: what, where, for how long and what waits; seldom, and not before it is well for good."""

import pytest

from energyd.export import outage
from energyd.export.answers import LATER, Outcome
from energyd.export.outage import Outage
from energyd.units import NS_PER_S

REFUSED = Outcome(LATER, "no connection: Connection refused; is it running, and at this port?", cut=True)


class Log:
    """The lines of an outage with the seconds at which they were written."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.lines: list[tuple[float, str]] = []
        self.outage = Outage("push vm: http://vm:8428", self._line, self._line, lambda: round(self.now_s * NS_PER_S))

    def _line(self, text: str) -> None:
        self.lines.append((self.now_s - 1000, text))

    def times_s(self) -> list[float]:
        return [at_s for at_s, _ in self.lines]

    def fail(self, for_s: float, every_s: float = 30, outcome: Outcome = REFUSED) -> None:
        end_s = self.now_s + for_s
        while self.now_s < end_s:
            self.outage.failed(outcome, 17)
            self.now_s += every_s

    def succeed(self) -> None:
        self.outage.succeeded(5)


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_receiver_that_is_dead_for_long_is_told_ever_more_seldom(log: Log) -> None:
    log.fail(3 * 3600 + 60)
    assert log.times_s() == [0, 60, 600, 3600, 7200, 10800]
    assert log.lines[0][1] == f"push vm: http://vm:8428: {REFUSED.fault} (17 samples wait in the spool)"
    assert log.lines[2][1].endswith("(for 10 min and 21 failures now; 17 samples wait in the spool)")
    assert "(for 3 h and 361 failures now;" in log.lines[-1][1]


def test_one_line_tells_that_it_is_back_and_what_it_was(log: Log) -> None:
    log.succeed()
    assert not log.lines
    log.fail(3 * 86400, 60)
    log.lines.clear()
    log.succeed()
    log.succeed()
    [(_, line)] = log.lines
    assert (
        line
        == "push vm: http://vm:8428: takes samples again (after 3 days and 4320 failures; 5 samples that waited are on their way)"
    )


def test_a_receiver_that_fails_every_other_time_floods_nothing(log: Log) -> None:
    for _ in range(3600):
        log.fail(1, 1)
        log.succeed()
        log.now_s += 1
    assert len(log.lines) <= 8
    assert "(301 outages within 10 min; 17 samples wait" in log.lines[4][1]
    assert log.lines[5][1].endswith("takes samples again (after 1 s and 1 failure; 5 samples that waited are on their way)")


def test_an_outage_after_a_time_without_any_is_told_at_once(log: Log) -> None:
    log.fail(3 * 3600)
    log.succeed()
    log.now_s += outage.STEADY_S
    log.lines.clear()
    log.fail(60)
    assert len(log.lines) == 1
    assert "failures" not in log.lines[0][1]


def test_another_fault_meanwhile_is_told_at_once_but_not_for_ever(log: Log) -> None:
    log.fail(30, outcome=Outcome(LATER, "answered 503", status=503))
    log.fail(30, outcome=Outcome(LATER, "answered 503: 'request 4711'", status=503))
    log.fail(30)
    assert [line.split(": ", 2)[2].partition(" (")[0] for _, line in log.lines] == ["answered 503", REFUSED.fault]
    log.lines.clear()
    for i in range(1000):
        log.fail(0.03, 0.03, Outcome(LATER, f"garbage {i}"))
    assert len(log.lines) <= 10
