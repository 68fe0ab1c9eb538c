"""`energyd measure -- COMMAND`: the energy of a command, as `perf stat` tells its time.

The energy counters are read before, ten times a second during, and after the command; its CPU time is the kernel's own account of
it and of all descendants that it waited for (wait4(2)), the machine's that of the control total. The command gets of the energy
above idle the share that it had of the CPU time, which is what the daemon gives to processes; idle power is what a daemon on this
machine has learnt, or what `--idle S` measures before the first run.

The bound is what the clocks allow: energy registers are updated about every millisecond, at both ends of a run, and a CPU clock
may lag by a scheduler tick (4 ms at 250 Hz). It says nothing of work that heats more per CPU second than its neighbours' does.
"""

import argparse
import contextlib
import json
import math
import os
import select
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from energyd import configfile
from energyd.aggregate.snapshot import Snapshot
from energyd.config import Config
from energyd.errors import EnergydError, EnvironmentFault
from energyd.service import statefile
from energyd.service.clock import SYSTEM_CLOCK as CLOCK
from energyd.tools import numbers
from energyd.tools.localhost import Localhost, Reading
from energyd.tools.settings import current
from energyd.units import NS_PER_S, UJ_PER_J

SWEEP_S: Final = 0.1
REGISTER_S: Final = 0.001
TICK_S: Final = 0.004
NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit codes of a shell for a command that is not there, or cannot be executed."""


class Run(NamedTuple):
    """One run of the command. Energies in joules, None without a power source; `bound_j` belongs to `command_j`."""

    seconds: float
    cpu_s: float
    machine_cpu_s: float
    zones_j: dict[str, float]
    host_j: float | None
    idle_j: float | None
    command_j: float | None
    bound_j: float | None
    source: str
    exit_code: int


def share_of(
    host_j: float, idle_j: float, seconds: float, cpu_s: float, machine_cpu_s: float, recent_w: float = 0.0
) -> tuple[float, float]:
    """Joules of a command that used `cpu_s` of the machine's `machine_cpu_s`, and the bound of their error by the clocks.

    `recent_w` is the host's power around it: registers that did not move during a short command have not stood still.
    """
    active_j = max(0.0, host_j - idle_j)
    busy_s = max(machine_cpu_s, cpu_s)
    if busy_s <= 0 or seconds <= 0:
        return 0.0, active_j
    share = cpu_s / busy_s
    clock_error = min(1.0, 2 * TICK_S / busy_s)
    return active_j * share, active_j * clock_error + 2 * REGISTER_S * max(host_j / seconds, recent_w)


def execute(command: Sequence[str], sweep: Callable[[], None]) -> tuple[float, float, int]:
    """Run `command` to its end, calling `sweep` all the while: (seconds, CPU seconds of its tree, exit code).

    Ctrl-C reaches the command, as it does under a shell, and who ends us ends it; we wait for what it makes of it.
    """
    begin_ns = CLOCK.mono_ns()
    started: list[subprocess.Popen[bytes]] = []
    asked: list[int] = []  # signals; one may come before Popen has returned

    def pass_on(number: int, _frame: object) -> None:
        asked.append(number)
        for child in started:
            child.send_signal(number)

    interrupt = signal.signal(signal.SIGINT, lambda _number, _frame: None)  # a handler, not SIG_IGN: the command would inherit that
    terminate = signal.signal(signal.SIGTERM, pass_on)
    try:
        child = subprocess.Popen(command)
        started.append(child)
        for number in asked:
            child.send_signal(number)
        pidfd = os.pidfd_open(child.pid)
        with contextlib.closing(os.fdopen(pidfd, "rb", buffering=0)):
            while not select.select([pidfd], [], [], SWEEP_S)[0]:
                sweep()
        _, status, usage = os.wait4(child.pid, 0)
        end_ns = CLOCK.mono_ns()
        child.returncode = os.waitstatus_to_exitcode(status)
    finally:
        signal.signal(signal.SIGINT, interrupt)
        signal.signal(signal.SIGTERM, terminate)
    code = child.returncode if child.returncode >= 0 else 128 - child.returncode
    return (end_ns - begin_ns) / NS_PER_S, usage.ru_utime + usage.ru_stime, code


def run_once(command: Sequence[str], host: Localhost, idle_w: float | None) -> Run:
    """One run: counters before, the command, counters after."""
    host.scan()
    host.snapshot()  # takes its time now, not between the first reading and the command
    before = host.read()
    seconds, cpu_s, code = execute(command, host.sweep)
    after = host.read()
    return account(before, after, host.snapshot(), seconds, cpu_s, idle_w, code)


def account(before: Reading, after: Reading, shot: Snapshot, seconds: float, cpu_s: float, idle_w: float | None, code: int) -> Run:
    """What lies between two readings of the zones in `shot`, and the command's share of it."""
    machine_cpu_s = (after.busy_cpu_ns - before.busy_cpu_ns) / NS_PER_S
    zones_uj = {zone.name: after.energy_uj[zone.name] - before.energy_uj.get(zone.name, 0) for zone in shot.zones if zone.readable}
    zones_j = {name: energy_uj / UJ_PER_J for name, energy_uj in zones_uj.items()}
    if not any(zone.additive and zone.readable for zone in shot.zones):
        return Run(seconds, cpu_s, machine_cpu_s, zones_j, None, None, None, None, "", code)
    host_j = sum(zones_j[zone.name] for zone in shot.zones if zone.additive and zone.readable)
    idle_j = None if idle_w is None else min(host_j, idle_w * seconds)
    command_j, bound_j = share_of(host_j, idle_j or 0.0, seconds, cpu_s, machine_cpu_s, shot.host.power_w or 0.0)
    return Run(seconds, cpu_s, machine_cpu_s, zones_j, host_j, idle_j, command_j, bound_j, shot.host.source, code)


def learnt_idle_w(config: Config, zones: Sequence[str]) -> float | None:
    """Idle watts of these zones as a daemon of this machine has saved them; None if it has not seen all of them idle."""
    try:
        state = statefile.load(Path(config.state_dir) / "totals.state") or {}
        saved = state["engine"]["zones"]["zones"]
        powers_uw = [saved[name]["idle"][0] for name in zones]
    except (EnergydError, statefile.DamagedState, KeyError, IndexError):
        return None
    return None if not powers_uw or None in powers_uw else sum(powers_uw) / UJ_PER_J


def measured_idle_w(host: Localhost, seconds: float) -> float | None:
    """Mean power of the host while nothing of ours runs."""
    host.sweep(every=True)
    before = host.snapshot()
    begin_ns = CLOCK.mono_ns()
    while CLOCK.mono_ns() - begin_ns < seconds * NS_PER_S:
        CLOCK.sleep_until_ns(CLOCK.mono_ns() + round(SWEEP_S * NS_PER_S))
        host.sweep()
    after, elapsed_s = host.snapshot(), (CLOCK.mono_ns() - begin_ns) / NS_PER_S
    if after.host.energy_uj is None:
        return None
    return (after.host.energy_uj - (before.host.energy_uj or 0)) / UJ_PER_J / elapsed_s


def report(command: Sequence[str], runs: Sequence[Run], advice: Sequence[str]) -> str:
    """The figures for people: means, and their spread when the command was run more than once."""
    lines = [f"Energy of `{' '.join(command)}`" + (f", {len(runs)} runs" if len(runs) > 1 else "") + ":", ""]

    def row(name: str, values: list[float], unit: str, note: str = "") -> None:
        spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
        lines.append(f"  {name:<22} {statistics.mean(values):>14.3f} {unit:<2}{spread}{'   ' + note if note else ''}")

    first = runs[0]
    for zone in first.zones_j:
        row(zone, [run.zones_j.get(zone, math.nan) for run in runs], "J")
    if first.host_j is not None:
        row("host", [run.host_j or 0.0 for run in runs], "J", f"source: {first.source}")
        row("host, mean power", [(run.host_j or 0.0) / run.seconds for run in runs], "W")
        if first.idle_j is not None:
            row("of it idle", [run.idle_j or 0.0 for run in runs], "J")
        bound_j = max(run.bound_j or 0.0 for run in runs)
        note = f"within {bound_j:.3f} J by the clocks" + ("" if first.idle_j is not None else "; idle power unknown, so shared too")
        row("the command", [run.command_j or 0.0 for run in runs], "J", note)
    row("seconds", [run.seconds for run in runs], "s")
    row("CPU, the command", [run.cpu_s for run in runs], "s")
    row("CPU, all tasks", [run.machine_cpu_s for run in runs], "s")
    return "\n".join([*lines, *(f"no power: {sentence}" for sentence in advice if first.host_j is None)])


def as_dict(command: Sequence[str], runs: Sequence[Run]) -> dict[str, Any]:
    return {"command": list(command), "runs": [run._asdict() for run in runs]}


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="energyd measure", description="Run a command and tell its energy; its exit status is ours, 128+n for a signal."
    )
    configfile.add_flags(result)
    result.add_argument(
        "--repeat", type=numbers.at_least(1), default=1, metavar="N", help="run it N times; stops at the first that fails"
    )
    result.add_argument("--idle", type=numbers.seconds, metavar="S", help="measure the idle power for S seconds first")
    result.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    result.add_argument("--output", metavar="FILE", help="write there instead of to standard error")
    result.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="what to run, with its arguments")
    return result


def main(argv: Sequence[str]) -> int:
    arguments = parser().parse_args(argv)
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        parser().error("name a command after `--`")
    config = current(arguments)
    host = Localhost(config, top=0)
    try:
        host.sweep()
        zones = [zone.name for zone in host.snapshot().zones if zone.additive]
        idle_w = measured_idle_w(host, arguments.idle) if arguments.idle else learnt_idle_w(config, zones)
        runs: list[Run] = []
        while len(runs) < arguments.repeat and not (runs and runs[-1].exit_code):
            runs.append(run_once(command, host, idle_w))
        advice = host.why_no_power()
    except FileNotFoundError:
        print(f"energyd measure: {command[0]}: command not found", file=sys.stderr)
        return NOT_FOUND
    except OSError as error:  # of a directory, a file without a format, a name too long: what a shell says 126 of
        print(f"energyd measure: {command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_EXECUTABLE
    finally:
        host.close()
    text = json.dumps(as_dict(command, runs)) if arguments.json else report(command, runs, advice)
    write(text + "\n", arguments.output)
    return runs[-1].exit_code


def write(text: str, path: str | None) -> None:
    if path is None:
        sys.stderr.write(text)
        return
    try:
        Path(path).write_text(text)
    except OSError as error:
        raise EnvironmentFault(f"{path}: {error.strerror}; choose another --output") from error
