"""The plugin inside supervisord: restarts with a capped back-off, kills what hangs, shows the logs, and tidies up at the end.

supervisord (process.py, `finish` and `transition`) alone restarts a program at once for ever, or gives it up for ever. Here
every death is answered by a wait that doubles up to `LONGEST_WAIT_S`; exit code 100 (the configuration is wrong) stays down, by
`autorestart=unexpected` and `exitcodes=100` of the generated file. A program that gives no sign of life (energyd.signsoflife) is
killed, and so comes back like any other. Law: a callback never blocks and never raises, because supervisord would end with it.

Loaded by `[rpcinterface:energyd] supervisor.rpcinterface_factory = energyd.supervision:make`.
"""

import atexit
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from supervisor import events
from supervisor.medusa import asyncore_25 as asyncore
from supervisor.states import ProcessStates, SupervisorStates, getProcessStateDescription

from energyd import config, rundir, signsoflife
from energyd.errors import EXIT_CONFIGURATION, ConfigError
from energyd.relay import STDERR, Relay
from energyd.service import log
from energyd.service.files import write_atomically
from energyd.service.stop import PARENT_VARIABLE
from energyd.units import NS_PER_S

FIRST_WAIT_S: Final = 1
LONGEST_WAIT_S: Final = 30
STEADY_S: Final = 10  # a program that has lived as long as this starts again with the shortest wait
AGGREGATOR: Final = "aggregator"
SIMULATOR: Final = 10  # priority; a device that is not there yet, or vanishes, under its reader would be worth a warning
STOPPING_ROUND_S: Final = 0.1
HEAD_START_S: Final = 5  # at most; readers are started as soon as every simulator has said that it is there


def wait_s(quick_deaths: int) -> int:
    """Seconds to wait before the next start after so many deaths within `STEADY_S`: 0, 1, 2, 4, ... `LONGEST_WAIT_S`."""
    return 0 if quick_deaths <= 1 else int(min(LONGEST_WAIT_S, FIRST_WAIT_S << min(quick_deaths - 2, 10)))


def start_later(process: Any, wait: int) -> None:
    """Make supervisord start `process` in `wait` seconds: BACKOFF with a delay is its own word for that.

    `backoff` must not be less than the delay, because a delay further away is taken for a clock that was set back.
    """
    process.state = ProcessStates.BACKOFF
    process.backoff = wait
    process.delay = time.time() + wait


def silence_alarm() -> None:
    """The interpreter gives SIGALRM its deadly default back while it ends."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)


class Tick1(events.TickEvent):  # type: ignore[misc]
    """One a second: supervisord's own smallest tick, five seconds, is too coarse to see a reader hang in time."""

    period = 1


class Wakeup:
    """Makes supervisord's poll return at once on a signal; alone it would notice SIGTERM or a dead child up to a second later."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        asyncore.socket_map[self._reader.fileno()] = self
        self._writer.send(b"\0")  # supervisord starts programs after its first poll, which would last a second

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        try:
            self._reader.recv(4096)
        except BlockingIOError:
            pass

    def handle_error(self) -> None:
        raise AssertionError("BUG: reading the wake-up socket cannot fail")

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        asyncore.socket_map.pop(self._reader.fileno(), None)
        self._reader.close()
        self._writer.close()


class Program:
    """What we remember of one program."""

    def __init__(self, mono_ns: int) -> None:
        self.state = "STARTING"
        self.pid = 0
        self.since_mono_ns = mono_ns
        self.started_mono_ns = mono_ns
        self.starts = 0
        self.quick_deaths = 0
        self.hung = 0
        self.last_exit = ""
        self.why = ""
        self.silence = signsoflife.Silence(None, signsoflife.READER)

    def as_dict(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "pid": self.pid,
            "since_mono_ns": self.since_mono_ns,
            "restarts": max(0, self.starts - 1),
            "hung": self.hung,
            "last_exit": self.last_exit,
            "why": self.why,
        }


class Plugin:
    """No public method: supervisord offers those of an rpcinterface to every client of its socket."""

    def __init__(
        self,
        supervisord: Any,
        run_dir: str,
        relay: Relay,
        notifications: Callable[[], int],
        log_format: str = "text",
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._supervisord = supervisord
        self._run_dir = run_dir
        self._relay = relay
        self._logger = log.Log("supervisor", "info", log_format, relay)
        self._notifications = notifications
        self._mono_ns = mono_ns
        self._looked_ns = mono_ns()
        self._programs: dict[str, Program] = {}
        self._fault = ""
        self._expected: set[str] = set()  # simulators that have not said anything yet
        self._held: list[Any] = []  # readers that wait for them
        self._on_state = {
            events.ProcessStateStartingEvent: self._starting,
            events.ProcessStateExitedEvent: self._exited,
            events.ProcessStateBackoffEvent: self._not_started,
            events.ProcessStateFatalEvent: self._given_up,
        }
        events.subscribe(events.ProcessStateEvent, self._state_changed)
        events.subscribe(events.ProcessLogEvent, self._output)
        events.subscribe(events.ProcessGroupRemovedEvent, self._removed)
        events.subscribe(events.SupervisorRunningEvent, self._running)
        events.subscribe(events.SupervisorStoppingEvent, self._stopping)
        events.subscribe(Tick1, self._tick)
        if Tick1 not in events.TICK_EVENTS:
            events.TICK_EVENTS.append(Tick1)

    def _state_changed(self, event: Any) -> None:
        process = event.process
        program = self._programs.setdefault(process.config.name, Program(self._mono_ns()))
        program.since_mono_ns = self._mono_ns()
        program.pid = process.pid
        react = self._on_state.get(type(event))
        if react is not None:
            react(process, program)
        program.state = getProcessStateDescription(process.state)
        self._write()

    def _starting(self, process: Any, program: Program) -> None:
        name = process.config.name
        patience = signsoflife.NOTIFIER if name == AGGREGATOR else signsoflife.READER
        program.silence = signsoflife.Silence(self._sign(name), patience)
        program.started_mono_ns = self._mono_ns()
        program.starts += 1
        program.pid = 0

    def _exited(self, process: Any, program: Program) -> None:
        """It ended by itself. supervisord starts it again at its next round unless we make it wait."""
        name = process.config.name
        program.pid = 0
        self._relay.end(name)
        program.why = self._relay.last_line.get(name, "")
        program.last_exit = "killed by a signal" if process.exitstatus < 0 else f"exit code {process.exitstatus}"
        if process.exitstatus == EXIT_CONFIGURATION:
            self._logger.error(
                f"{name} ended with {program.last_exit}: its configuration is wrong ({program.why}). "
                "It stays down; correct that, then `energyd reload`"
            )
            return
        lived_ns = self._mono_ns() - program.started_mono_ns
        program.quick_deaths = program.quick_deaths + 1 if lived_ns < STEADY_S * NS_PER_S else 0
        self._delay(process, program)

    def _not_started(self, process: Any, program: Program) -> None:
        """It could not be spawned; supervisord's own wait grows without a bound and ends in giving up."""
        program.quick_deaths += 1
        program.last_exit = "could not be started"
        program.why = str(process.spawnerr or "")
        self._delay(process, program)

    def _given_up(self, process: Any, program: Program) -> None:
        if self._supervisord.options.mood == SupervisorStates.RUNNING:
            self._not_started(process, program)

    def _delay(self, process: Any, program: Program) -> None:
        wait = wait_s(program.quick_deaths)
        start_later(process, wait)
        when = f"in {wait} s" if wait else "at once"
        self._logger.warning(f"{process.config.name}: {program.last_exit}; it is started again {when}")

    def _output(self, event: Any) -> None:
        name = event.process.config.name
        self._relay.feed(name, event.data)
        self._expected.discard(name)
        if self._held and not self._expected:
            for process in self._held:
                process.delay = 0
            self._held = []

    def _removed(self, event: Any) -> None:
        self._programs.pop(event.group, None)
        self._write()

    def _running(self, _event: Any) -> None:
        """Nothing has been started yet: what is simulated gets a head start.

        supervisord restarts itself on SIGHUP, which is also what a terminal sends when its window is closed: that is an end.
        """
        if os.isatty(STDERR):
            receiver = self._supervisord.options.signal_receiver
            signal.signal(signal.SIGHUP, lambda _number, frame: receiver.receive(signal.SIGTERM, frame))
        groups = self._supervisord.process_groups.values()
        self._expected = {name for group in groups if group.config.priority == SIMULATOR for name in group.processes}
        if self._expected:
            self._held = [process for group in groups if group.config.priority > SIMULATOR for process in group.processes.values()]
            for process in self._held:
                start_later(process, HEAD_START_S)

    def _stopping(self, _event: Any) -> None:
        """supervisord stops one group after the other, by priority; together they need as long as the slowest.

        It looks once a second whether the time of one that hangs is over; the alarm makes that `STOPPING_ROUND_S`.
        """
        self._logger.info("everything is stopped: we were told to end, by a signal or by supervisorctl")
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, STOPPING_ROUND_S, STOPPING_ROUND_S)
        atexit.register(silence_alarm)
        for group in self._supervisord.process_groups.values():
            if group.config.priority != SIMULATOR:
                group.stop_all()

    def _tick(self, _event: Any) -> None:
        now_ns = self._mono_ns()
        elapsed_ns, self._looked_ns = now_ns - self._looked_ns, now_ns
        for group in self._supervisord.process_groups.values():
            for name, process in group.processes.items():
                if process.state == ProcessStates.RUNNING and name in self._programs:
                    self._kill_if_hung(name, process, self._programs[name], elapsed_ns)

    def _sign(self, name: str) -> int | None:
        return self._notifications() if name == AGGREGATOR else rundir.heartbeat_ns(self._run_dir, name)

    def _kill_if_hung(self, name: str, process: Any, program: Program, elapsed_ns: int) -> None:
        silent_s = program.silence.look(self._sign(name), elapsed_ns)
        if silent_s is None:
            return
        program.hung += 1
        self._logger.error(f"{name} (pid {process.pid}) has not given a sign of life for {silent_s:.0f} s; it is killed")
        try:
            os.kill(process.pid, signal.SIGKILL)  # a stopped process takes no other signal
        except ProcessLookupError:  # it has just ended by itself
            pass

    def _write(self) -> None:
        report = {
            "supervisor_pid": os.getpid(),
            "log_lines_dropped": self._relay.dropped,
            "programs": {name: program.as_dict() for name, program in sorted(self._programs.items())},
        }
        try:
            write_atomically(rundir.workers_file(self._run_dir), json.dumps(report, indent=1))
        except OSError as error:
            if str(error) != self._fault:
                self._fault = str(error)
                self._logger.error(f"`energyd status` will show old states: {error}")


class Interface:
    """What supervisord holds on to: the plugin and its parts, and nothing that a client of the socket could call."""

    def __init__(self, *held: object) -> None:
        self._held = held


def make(supervisord: Any, run_dir: str) -> Interface:
    """The rpcinterface factory; supervisord calls it once it has made its groups and before it starts a program.

    Programs leave when the process named in ENERGYD_PARENT is no longer their parent (energyd.service.stop): none outlives us.
    """
    os.environ[PARENT_VARIABLE] = str(os.getpid())
    atexit.register(rundir.clean, run_dir)
    try:
        log_format = config.read(rundir.config_file(run_dir)).log.format
    except ConfigError:  # the programs will say so, each for itself
        log_format = config.Log().format
    notify_socket = signsoflife.NotifySocket(run_dir)
    return Interface(Plugin(supervisord, run_dir, Relay(), notify_socket.count, log_format), Wakeup(), notify_socket)
