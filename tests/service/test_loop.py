import os
import signal

from clocks import TurnedClock
from energyd.service.clock import ScaledClock, suspended_ns
from energyd.service.log import DistinctFaults
from energyd.service.loop import run_periodic
from energyd.service.stop import PARENT_VARIABLE, Stop
from energyd.units import NS_PER_S


class After:
    """Stops a loop after so many ticks."""

    def __init__(self, ticks, seen):
        self.ticks, self.seen = ticks, seen

    def __bool__(self):
        return len(self.seen) >= self.ticks


def test_ticks_keep_to_absolute_deadlines_however_long_the_work_takes():
    clock, seen = TurnedClock(1_000), []

    def work(missed):
        seen.append((clock.now_ns, missed))
        clock.now_ns += 30

    run_periodic(work, 100, After(4, seen), clock)
    assert seen == [(1000, 0), (1100, 0), (1200, 0), (1300, 0)]


def test_missed_ticks_are_counted_not_made_up_for():
    clock, seen = TurnedClock(1_000), []

    def work(missed):
        seen.append((clock.now_ns, missed))
        clock.now_ns += 350 if len(seen) == 1 else 0

    run_periodic(work, 100, After(3, seen), clock)
    assert seen == [(1000, 0), (1350, 2), (1400, 0)]


def test_a_slow_loop_sees_within_half_a_second_that_it_is_to_stop():
    clock, ticks, stop = TurnedClock(1_000), [], Stop()
    wake = clock.sleep_until_ns

    def sleep_until_ns(mono_ns):
        wake(mono_ns)
        if clock.now_ns >= 3 * NS_PER_S:
            stop.request()

    clock.sleep_until_ns = sleep_until_ns
    run_periodic(ticks.append, 100 * NS_PER_S, stop, clock)
    assert len(ticks) == 1
    assert clock.now_ns <= 3.6 * NS_PER_S


def test_a_scaled_clock_runs_faster_from_its_origin_on(monkeypatch):
    monkeypatch.setattr("time.monotonic_ns", lambda: 5_000)
    clock = ScaledClock(60.0, 4_000, 900)
    assert (clock.mono_ns(), clock.real_ns()) == (4_000 + 60_000, 900 + 60_000)


def test_a_signal_is_only_recorded():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        stop = Stop.on_signals()
        assert not stop
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])


def test_a_worker_leaves_when_its_supervisor_is_no_longer_its_parent(monkeypatch):
    parent = os.getppid()
    monkeypatch.setenv(PARENT_VARIABLE, str(parent))
    stop = Stop()
    assert not stop
    monkeypatch.setattr(os, "getppid", lambda: parent + 1)  # whoever inherits us; 1 may be our parent already
    assert stop


def test_a_fault_is_told_once_a_minute_with_what_was_held_back():
    clock, lines = TurnedClock(1_000), []
    faults = DistinctFaults(lines.append, clock.mono_ns)
    for _ in range(5):
        faults.report("zone 3", "zone 3: Permission denied")
    faults.report("zone 4", "zone 4: Permission denied")
    clock.now_ns += 61 * NS_PER_S
    faults.report("zone 3", "zone 3: Permission denied")
    assert lines == [
        "zone 3: Permission denied",
        "zone 4: Permission denied",
        "zone 3: Permission denied (4 more like it in the last minutes)",
    ]


def test_a_fault_that_never_ends_is_told_ever_more_seldom_and_at_once_when_it_had_ended():
    clock, told_s = TurnedClock(1_000), []
    begin_ns = clock.now_ns
    faults = DistinctFaults(lambda _line: told_s.append((clock.now_ns - begin_ns) // NS_PER_S), clock.mono_ns)
    for _ in range(3 * 3600 // 10):
        faults.report("disk", "full")
        clock.now_ns += 10 * NS_PER_S
    assert told_s == [0, 60, 660, 4260, 7860]

    clock.now_ns += 2 * 3600 * NS_PER_S
    again_s = (clock.now_ns - begin_ns) // NS_PER_S
    for _ in range(7):
        faults.report("disk", "full")
        clock.now_ns += 10 * NS_PER_S
    assert told_s[5:] == [again_s, again_s + 60]


def test_a_machine_that_never_slept_has_no_suspended_time_to_speak_of():
    assert suspended_ns() >= 0
