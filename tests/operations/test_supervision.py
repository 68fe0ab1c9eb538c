"""The plugin's answers to what supervisord tells it, with supervisord's own events and a stand-in for its processes."""

import json
import os
import signal
import time
from types import SimpleNamespace

import pytest
from supervisor import events
from supervisor.states import ProcessStates, SupervisorStates

from energyd import programs, rundir, signsoflife, supervision
from energyd.config import Config, Meter
from energyd.relay import Relay
from energyd.ring.writer import RingWriter, capacity_for
from energyd.samples import USAGE
from energyd.service.clock import SYSTEM_CLOCK
from energyd.service.notify import notify
from energyd.units import NS_PER_S


class Recorder(Relay):
    """A relay whose stderr is a list."""

    def __init__(self):
        super().__init__()
        self.written = []

    def _write(self, line):
        self.written.append(line.decode())


class Process(SimpleNamespace):
    """As much of supervisor.process.Subprocess as the plugin sees."""

    def __init__(self, name, priority=20):
        super().__init__(
            config=SimpleNamespace(name=name, priority=priority),
            state=ProcessStates.STOPPED,
            pid=0,
            exitstatus=None,
            spawnerr=None,
            backoff=0,
            delay=0,
        )

    def starts(self, pid):
        before, self.state, self.pid = self.state, ProcessStates.STARTING, 0
        events.notify(events.ProcessStateStartingEvent(self, before))
        self.state, self.pid = ProcessStates.RUNNING, pid
        events.notify(events.ProcessStateRunningEvent(self, ProcessStates.STARTING))

    def ends(self, exitstatus):
        self.state, self.exitstatus = ProcessStates.EXITED, exitstatus
        events.notify(events.ProcessStateExitedEvent(self, ProcessStates.RUNNING, expected=exitstatus == 100))


class World:
    """A supervisord with the programs that a test names, a clock that it turns, and what the plugin said."""

    def __init__(self, run_dir):
        self.now_ns = 1000 * NS_PER_S
        self.run_dir = run_dir
        self.relay = Recorder()
        self.supervisord = SimpleNamespace(options=SimpleNamespace(mood=SupervisorStates.RUNNING), process_groups={})
        self.notifications = 0
        supervision.Plugin(self.supervisord, str(run_dir), self.relay, lambda: self.notifications, mono_ns=lambda: self.now_ns)

    def add(self, name, priority=20):
        process = Process(name, priority)
        group = SimpleNamespace(config=SimpleNamespace(priority=priority), processes={name: process}, stopped=False)
        group.stop_all = lambda: setattr(group, "stopped", True)
        self.supervisord.process_groups[name] = group
        return process

    def pass_time(self, seconds):
        """With a tick of supervisord in each."""
        for _ in range(seconds):
            self.now_ns += NS_PER_S
            events.notify(supervision.Tick1(0, self.supervisord))

    def report(self, name):
        return json.loads((self.run_dir / "workers.json").read_text())["programs"][name]


@pytest.fixture
def world(tmp_path):
    events.clear()
    yield World(tmp_path)
    events.clear()
    if supervision.Tick1 in events.TICK_EVENTS:
        events.TICK_EVENTS.remove(supervision.Tick1)


def test_the_wait_doubles_from_nothing_up_to_the_cap():
    assert [supervision.wait_s(deaths) for deaths in (0, 1, 2, 3, 4, 5, 6, 7, 1000)] == [0, 0, 1, 2, 4, 8, 16, 30, 30]


def test_a_killed_program_is_started_again_at_once(world):
    process = world.add("rapl")
    process.starts(10)
    world.now_ns += 60 * NS_PER_S
    process.ends(-1)

    assert process.state == ProcessStates.BACKOFF
    assert process.delay <= time.time()
    assert "rapl: killed by a signal; it is started again at once" in world.relay.written[-1]


def test_a_crash_loop_is_slowed_down_and_never_given_up(world):
    process = world.add("rapl")
    waits = []
    for attempt in range(40):
        process.starts(10 + attempt)
        process.ends(1)
        waits.append(process.delay - time.time())
        assert process.state == ProcessStates.BACKOFF
        assert process.backoff >= waits[-1] - 0.01  # else supervisord believes that the clock was set back and starts it now

    assert waits[-1] == pytest.approx(30, abs=0.5)


def test_a_program_that_lived_long_starts_with_the_shortest_wait_again(world):
    process = world.add("rapl")
    for _ in range(10):
        process.starts(10)
        process.ends(1)
    process.starts(10)
    world.now_ns += 11 * NS_PER_S
    process.ends(1)

    assert process.delay <= time.time()


def test_exit_code_100_stays_down_and_says_why(world):
    process = world.add("tic-linky")
    process.starts(10)
    events.notify(events.ProcessLogStdoutEvent(process, 10, b"energyd.yml:3: unknown key"))
    process.ends(100)

    assert process.state == ProcessStates.EXITED
    assert world.relay.written == [
        "energyd.yml:3: unknown key\n",
        "ERROR supervisor: tic-linky ended with exit code 100: its configuration is wrong (energyd.yml:3: unknown key). "
        "It stays down; correct that, then `energyd reload`\n",
    ]
    assert world.report("tic-linky")["why"] == "energyd.yml:3: unknown key"


def test_a_program_that_cannot_be_spawned_is_tried_again_within_the_cap(world):
    process = world.add("rapl")
    for _ in range(20):
        process.state, process.spawnerr = ProcessStates.BACKOFF, "too many open files"
        process.backoff, process.delay = 500, time.time() + 500
        events.notify(events.ProcessStateBackoffEvent(process, ProcessStates.STARTING))

    assert process.delay - time.time() <= 30
    assert world.report("rapl")["why"] == "too many open files"


def test_what_supervisord_gives_up_is_taken_up_again_but_not_while_it_stops(world):
    process = world.add("rapl")
    process.state = ProcessStates.FATAL
    events.notify(events.ProcessStateFatalEvent(process, ProcessStates.BACKOFF))
    assert process.state == ProcessStates.BACKOFF

    world.supervisord.options.mood = SupervisorStates.SHUTDOWN
    process.state = ProcessStates.FATAL
    events.notify(events.ProcessStateFatalEvent(process, ProcessStates.BACKOFF))
    assert process.state == ProcessStates.FATAL


@pytest.fixture
def killed(monkeypatch):
    """(pid, signal) of everything that the plugin kills."""
    killed = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    return killed


def test_a_program_whose_ring_has_no_heartbeat_is_killed_even_if_stopped(world, killed):
    writer = RingWriter.open(world.run_dir, "usage", USAGE, capacity_for(1), SYSTEM_CLOCK)
    process = world.add("usage")
    process.starts(4711)
    writer.heartbeat()
    world.pass_time(11)
    assert killed == []

    world.pass_time(1)
    writer.close()

    assert killed == [(4711, signal.SIGKILL)]
    assert "usage (pid 4711) has not given a sign of life for 11 s" in world.relay.written[-1]
    process.ends(-1)
    assert world.report("usage")["hung"] == 1


def test_a_program_without_a_ring_or_just_started_is_left_alone(world, killed):
    RingWriter.open(world.run_dir, "usage", USAGE, capacity_for(1), SYSTEM_CLOCK).close()
    simulator, usage = world.add("sim-rapl", 10), world.add("usage")
    simulator.starts(10)
    world.pass_time(3600)
    usage.starts(11)  # the ring is an old one
    world.pass_time(9)

    assert killed == []


def test_an_aggregator_that_is_silent_for_more_than_half_a_minute_is_killed(world, killed):
    world.add("aggregator", 5).starts(4712)
    for _ in range(100):
        world.notifications += 1
        world.pass_time(1)
    world.pass_time(30)
    assert killed == []

    world.pass_time(1)
    assert killed == [(4712, signal.SIGKILL)]
    assert "aggregator (pid 4712) has not given a sign of life for 31 s" in world.relay.written[-1]


def test_an_aggregator_may_take_longer_to_start_and_what_its_predecessor_said_does_not_count(world, killed):
    world.notifications = 7
    aggregator = world.add("aggregator", 5)
    aggregator.starts(10)
    world.pass_time(90)
    assert killed == []

    world.pass_time(1)
    assert killed == [(10, signal.SIGKILL)]
    aggregator.ends(-1)
    aggregator.starts(11)
    world.pass_time(90)
    assert killed == [(10, signal.SIGKILL)]


def test_time_in_which_the_supervisor_did_not_run_is_nobodys_silence(world, killed):
    """A virtual machine that was paused for an hour: its programs have had no more time than we."""
    RingWriter.open(world.run_dir, "usage", USAGE, capacity_for(1), SYSTEM_CLOCK).close()
    world.add("usage").starts(10)
    world.add("aggregator", 5).starts(11)
    world.notifications = 1
    world.pass_time(2)
    world.now_ns += 3600 * NS_PER_S
    world.pass_time(5)

    assert killed == []


def test_the_notify_socket_counts_what_the_aggregator_sends_and_is_for_nobody_else(run_dir, monkeypatch):
    """Also when a killed supervisor has left its own there."""
    signsoflife.NotifySocket(str(run_dir)).close()
    receiver = signsoflife.NotifySocket(str(run_dir))
    monkeypatch.setenv("NOTIFY_SOCKET", rundir.notify_socket(str(run_dir)))
    counts = [receiver.count()]
    notify("READY=1")
    notify("WATCHDOG=1")
    counts += [receiver.count(), receiver.count()]
    mode = os.stat(rundir.notify_socket(str(run_dir))).st_mode & 0o777
    receiver.close()

    assert counts == [0, 2, 2]
    assert mode == 0o600


def test_whoever_notifies_does_not_wait_for_a_supervisor_that_hangs(run_dir, monkeypatch):
    receiver = signsoflife.NotifySocket(str(run_dir))
    monkeypatch.setenv("NOTIFY_SOCKET", rundir.notify_socket(str(run_dir)))
    for _ in range(1000):
        notify("WATCHDOG=1")
    receiver.close()
    notify("WATCHDOG=1")


def test_at_the_end_all_but_the_simulators_are_stopped_together(world, monkeypatch):
    timers = []
    monkeypatch.setattr(signal, "setitimer", lambda *arguments: timers.append(arguments))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    for program in programs.programs(Config(meters=(Meter("a", "/x", simulated=True),), simulated=("meter", "rapl"))):
        world.add(program.name, program.priority)

    events.notify(events.SupervisorStoppingEvent())

    stopped = {name for name, group in world.supervisord.process_groups.items() if group.stopped}
    assert stopped == {"tic-a", "rapl", "usage", "aggregator"}
    assert timers == [(signal.ITIMER_REAL, 0.1, 0.1)]
    assert "everything is stopped: we were told to end" in world.relay.written[-1]


def test_readers_are_started_when_every_simulator_has_said_that_it_is_there(world):
    programs_ = (("aggregator", 5), ("sim-rapl", 10), ("sim-meter-a", 10), ("rapl", 20))
    processes = {name: world.add(name, priority) for name, priority in programs_}
    events.notify(events.SupervisorRunningEvent())

    states = {name: process.state for name, process in processes.items()}
    assert states == {**dict.fromkeys(states, ProcessStates.STOPPED), "rapl": ProcessStates.BACKOFF}
    assert processes["rapl"].delay > time.time() + 4
    events.notify(events.ProcessLogStdoutEvent(processes["sim-rapl"], 1, b"there\n"))
    assert processes["rapl"].delay > time.time() + 4
    events.notify(events.ProcessLogStdoutEvent(processes["sim-meter-a"], 1, b"there\n"))
    assert processes["rapl"].delay == 0


def test_without_simulators_everything_is_started_at_once(world):
    process = world.add("rapl")
    events.notify(events.SupervisorRunningEvent())

    assert process.state == ProcessStates.STOPPED


def test_workers_json_tells_state_restarts_and_last_exit_of_each(world):
    process = world.add("rapl")
    process.starts(10)
    process.ends(-1)
    process.starts(12)

    assert world.report("rapl") == {
        "state": "RUNNING",
        "pid": 12,
        "since_mono_ns": world.now_ns,
        "restarts": 1,
        "hung": 0,
        "last_exit": "killed by a signal",
        "why": "",
    }


def test_a_removed_program_leaves_workers_json(world):
    world.add("rapl").starts(10)
    events.notify(events.ProcessGroupRemovedEvent("rapl"))

    assert json.loads((world.run_dir / "workers.json").read_text())["programs"] == {}


def test_a_full_disk_is_said_once_and_stops_nothing(world, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(supervision, "write_atomically", full)
    process = world.add("rapl")
    process.starts(10)
    process.starts(11)

    assert len([line for line in world.relay.written if "No space left" in line]) == 1


def test_our_own_lines_have_the_format_of_the_others(tmp_path):
    relay = Recorder()
    plugin = supervision.Plugin(SimpleNamespace(), str(tmp_path), relay, lambda: 0, "json")
    plugin._logger.warning("rapl: gone")
    events.clear()

    assert json.loads(relay.written[0]) == {"level": "warning", "name": "supervisor", "message": "rapl: gone"}


def test_closing_the_terminal_is_the_end_and_no_restart(world, monkeypatch):
    received = []
    world.supervisord.options.signal_receiver = SimpleNamespace(receive=lambda number, frame: received.append(number))
    before = signal.getsignal(signal.SIGHUP)
    monkeypatch.setattr(os, "isatty", lambda fd: True)
    events.notify(events.SupervisorRunningEvent())
    os.kill(os.getpid(), signal.SIGHUP)
    signal.signal(signal.SIGHUP, before)

    assert received == [signal.SIGTERM]


def test_the_relay_writes_whole_lines_and_remembers_the_last(tmp_path):
    reader, writer = os.pipe()
    relay = Relay(writer)
    relay.feed("a", b"one\ntw")
    relay.feed("b", b"other\n")
    relay.feed("a", b"o\nthr")
    relay.end("a")

    assert os.read(reader, 100) == b"one\nother\ntwo\nthr\n"
    assert relay.last_line == {"a": "thr", "b": "other"}
    os.close(reader)
    relay.feed("a", b"nobody reads\n")
    assert relay.dropped == 1
    os.close(writer)


def test_the_relay_drops_what_a_stopped_terminal_does_not_take():
    reader, writer = os.pipe()
    relay = Relay(writer)
    line = b"x" * 4000 + b"\n"
    for _ in range(40):
        relay.feed("a", line)

    assert relay.dropped > 0
    os.close(reader)
    os.close(writer)


def test_a_signal_makes_the_wake_up_socket_readable():
    from supervisor.medusa import asyncore_25 as asyncore

    before = dict(asyncore.socket_map)
    old = signal.signal(signal.SIGUSR1, lambda *_: None)
    wakeup = supervision.Wakeup()
    try:
        assert wakeup._reader.recv(10)  # the first round does not wait either
        os.kill(os.getpid(), signal.SIGUSR1)
        assert wakeup._reader.recv(10)
        wakeup.handle_read_event()  # nothing to read is no error
    finally:
        wakeup.close()
        signal.signal(signal.SIGUSR1, old)

    assert asyncore.socket_map == before
