"""`energyd run`: look, decide, write, say what will happen, and become supervisord.

The parent checks all that can be checked before a process is started (configuration, directories, port, a second instance), so
that what is wrong is one line and an exit code, not a restart loop. execv keeps the process id and the lock on the run directory.
"""

import argparse
import contextlib
import errno
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from energyd import __version__, address, configfile, machine, places, privileges, programs, rundir
from energyd.config import Config
from energyd.errors import EnergydError, EnvironmentFault
from energyd.procfs.discovery import count_processes
from energyd.ring import layout
from energyd.ringsizes import needed_bytes
from energyd.room import require_room
from energyd.service import onewriter
from energyd.service.files import write_atomically

PRIVATE = 0o600
"""config.json and invocation.json may hold passwords."""


class Invocation(NamedTuple):
    """How `energyd run` was called, as `energyd reload` needs it to come to the same decisions."""

    config: str | None
    settings: tuple[tuple[str, str], ...]
    simulate: str
    truth_dir: str | None
    environment: Mapping[str, str]


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="energyd run", description="Start everything in the foreground; Ctrl-C stops it.")
    configfile.add_flags(result)
    result.add_argument(
        "--simulate",
        default="none",
        metavar="WHAT",
        help="`missing`: what this machine lacks; `meter`, `rapl` or `meter,rapl`: these in any case; default: none",
    )
    result.add_argument(
        "--truth", metavar="DIR", help="let the simulators write there what they emit; these files grow without end"
    )
    return result


def main(argv: Sequence[str]) -> int:
    """Never returns when all is well: this process is supervisord from then on."""
    arguments = parser().parse_args(argv)
    config_path = os.path.abspath(arguments.config) if arguments.config else None
    truth_dir = os.path.abspath(arguments.truth) if arguments.truth else None
    variables = configfile.own_variables(os.environ)
    invocation = Invocation(config_path, tuple(arguments.set), arguments.simulate, truth_dir, variables)
    start(invocation, os.environ, os.getuid(), os.execv)
    return 0


def decide(invocation: Invocation, environ: Mapping[str, str], uid: int) -> tuple[machine.Setup, str]:
    """The configuration that is to run, and a note about where its rings are ('' = as configured)."""
    loaded = configfile.load_with_warnings(invocation.config, invocation.environment, invocation.settings)
    for warning in loaded.warnings:
        print(f"energyd: warning: {warning}", file=sys.stderr)
    configfile.require_outlets(loaded.config)
    config, note = places.resolve(loaded.config, environ, uid)
    keys = [key for key, _ in invocation.settings]
    return machine.set_up(config, machine.parse_simulate(invocation.simulate), keys), note


def start(invocation: Invocation, environ: Mapping[str, str], uid: int, execv: Callable[[str, list[str]], object]) -> None:
    """Raises ConfigError or EnvironmentFault, with nothing started, when something stands in the way."""
    layout.require_supported_machine()
    setup, note = decide(invocation, environ, uid)
    config = setup.config
    require_supervisor()
    make_directories(config)
    lock = _lock(config.run_dir, note)
    try:
        require_state(config.state_dir)
        if config.metrics.enabled:
            require_port(config.metrics.listen, config.metrics.port)
        require_room(config.run_dir, needed_bytes(config, setup.zones, count_processes(config.procfs_root)))
        write(config, invocation)
    except EnergydError:
        rundir.unlock(config.run_dir, lock)
        raise
    print(banner(setup, note), flush=True)
    execv(sys.executable, [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", rundir.supervisord_conf(config.run_dir)])


def _lock(run_dir: str, note: str) -> int:
    """As rundir.lock; who is told that a directory is taken must be told why it is not the one that was configured."""
    try:
        return rundir.lock(run_dir)
    except EnvironmentFault as fault:
        raise EnvironmentFault(f"{note}; {fault}" if note else str(fault)) from fault


def require_supervisor() -> None:
    """Import what will be executed, because supervisor 4.2 cannot run beside a setuptools without pkg_resources."""
    try:
        import supervisor.options  # noqa: F401
    except ImportError as error:
        raise EnvironmentFault(
            f"supervisor cannot be used ({error}); install it with `pip install 'supervisor>=4.3'`, "
            "on Debian `sudo apt-get install supervisor` and `sudo systemctl disable --now supervisor`"
        ) from error


def make_directories(config: Config) -> None:
    for path in (config.run_dir, config.state_dir):
        try:
            os.makedirs(path, 0o750, exist_ok=True)
        except OSError as error:
            raise EnvironmentFault(
                f"{path}: {error.strerror}; choose directories that you may write with --set run_dir=DIR and --set state_dir=DIR"
            ) from error
    status = os.stat(config.run_dir)
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise EnvironmentFault(
            f"{config.run_dir} belongs to uid {status.st_uid} or others may write it, so they could change what we read; "
            "remove it, or choose another with --set run_dir=DIR"
        )


def require_state(state_dir: str) -> None:
    """EnvironmentFault when another energyd writes there, which may have another run directory and another port."""
    with contextlib.suppress(OSError):  # a disk that takes nothing: the aggregator goes on without
        descriptor = onewriter.hold(state_dir)
        if descriptor != onewriter.NOT_HELD:
            os.close(descriptor)


def require_port(host: str, port: int) -> None:
    """Try the address that the aggregator will listen on."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise EnvironmentFault(f"cannot listen on {host}:{port}: {error.strerror}; {_port_mend(error, port)}") from error


def _port_mend(error: OSError, port: int) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "ports below 1024 are for root: choose another with --set metrics.port=N"
    if error.errno == errno.EADDRINUSE:
        return f"stop what listens there (`ss -ltnp sport = :{port}` names it), or choose another port with --set metrics.port=N"
    return "`ip -brief address` lists the addresses of this machine: choose one with --set metrics.listen=ADDRESS"


def write(config: Config, invocation: Invocation) -> None:
    """The three files that the programs, `energyd reload` and supervisord read."""
    rights = privileges.rights(os.geteuid())
    if rights.permitted and not rights.droppable:
        print(f"energyd: warning: {privileges.TOOL} cannot be used here, so every program has all of our rights", file=sys.stderr)
    supervisord = programs.supervisord_conf(config, sys.executable, invocation.truth_dir, rights)
    files = (
        (rundir.config_file(config.run_dir), config.to_json(), PRIVATE),
        (rundir.invocation_file(config.run_dir), json.dumps(invocation._asdict()), PRIVATE),
        (rundir.supervisord_conf(config.run_dir), supervisord, 0o640),
    )
    if config.simulated:
        os.makedirs(rundir.simulation_dir(config.run_dir), 0o750, exist_ok=True)
    for path, text, mode in files:
        try:
            write_atomically(path, text, mode)
        except OSError as error:
            raise EnvironmentFault(f"{path}: {error.strerror}; free some space there, or choose --set run_dir=DIR") from error


def command() -> str:
    """How `energyd` is called here: it need not be on the PATH of who has started us from an environment."""
    return sys.argv[0] if os.path.basename(sys.argv[0]) == "energyd" and not shutil.which("energyd") else "energyd"


def banner(setup: machine.Setup, note: str) -> str:
    """What was found, what is simulated and why, and where to look, in a few lines."""
    config = setup.config
    lines = list(setup.lines)
    lines.append(("processes", f"{config.procfs_root}, every process of this machine"))
    lines.append(("rings", note or config.run_dir))
    lines.append(("state", config.state_dir))
    if config.metrics.enabled:
        lines.append(("metrics", address.url(config)))
    if config.metrics.push_enabled:
        lines += [("push", f"to {push.name} every {push.interval_s:g} s") for push in config.metrics.push]
    lines.append(("look", f"{command()} status"))
    lines.append(("stop", "Ctrl-C"))
    width = max(len(subject) for subject, _ in lines)
    return "\n".join([f"energyd {__version__}", *(f"  {subject:<{width}}  {sentence}" for subject, sentence in lines)])
