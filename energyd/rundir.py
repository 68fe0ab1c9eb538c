"""What lies in the run directory besides the rings, who may use it, and how it is left empty.

Everything in it is worth nothing once the programs have ended. One `energyd run` at a time holds `energyd.lock` (flock(2): the
kernel releases it whatever the end). Law: `clean` removes only names that energyd gives, never what else lies there.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

from energyd.errors import EnvironmentFault
from energyd.ring import layout

OURS: Final = (
    "*.ring",
    "*.ring.new",
    "*.ring.old",
    "*.lock",
    "*.labels",
    "*.labels.new",
    "*.labels.old",
    "*.json",
    "*.json.new",
    "*.mark",
    "*.mark.new",
    "supervisord.conf",
    "supervisord.conf.new",
    "supervisord.sock",
    "supervisord.sock.*",
    "supervisord.pid",
    "notify.sock",
)


def config_file(run_dir: str) -> str:
    """What the workers read."""
    return f"{run_dir}/config.json"


def invocation_file(run_dir: str) -> str:
    """How `energyd run` was called, for `energyd reload`."""
    return f"{run_dir}/invocation.json"


def workers_file(run_dir: str) -> str:
    """What the supervisor knows of each program."""
    return f"{run_dir}/workers.json"


def supervisord_conf(run_dir: str) -> str:
    return f"{run_dir}/supervisord.conf"


def supervisor_socket(run_dir: str) -> str:
    return f"{run_dir}/supervisord.sock"


def notify_socket(run_dir: str) -> str:
    """Where the supervisor hears that the aggregator lives."""
    return f"{run_dir}/notify.sock"


def simulation_dir(run_dir: str) -> str:
    """Simulated devices and the truth files of what they emitted."""
    return f"{run_dir}/sim"


def read_json(path: str) -> dict[str, Any] | None:
    """One of the files above; None when it is not there or not (yet) ours."""
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def lock(run_dir: str) -> int:
    """Hold the run directory for this process and what it becomes by execv; returns the descriptor of the lock.

    Raises EnvironmentFault when another `energyd run` holds it, or when the directory cannot be written.
    """
    path = f"{run_dir}/energyd.lock"
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(path) and os.path.samestat(os.fstat(fd), os.stat(path)):
                os.set_inheritable(fd, True)
                return fd
        except BlockingIOError:
            raise EnvironmentFault(
                f"{run_dir} is in use by another energyd; stop that one, or give this one a directory with --set run_dir=DIR"
            ) from None
        except OSError as error:
            raise EnvironmentFault(f"{path}: {_mend(error)}") from error
        os.close(fd)  # the one before has removed the file between our two calls


def unlock(run_dir: str, fd: int) -> None:
    """Give the directory back without having started anything: rings of an earlier run stay, it goes if nothing is left in it."""
    for path in (config_file(run_dir), invocation_file(run_dir), supervisord_conf(run_dir), f"{run_dir}/energyd.lock"):
        Path(path).unlink(missing_ok=True)
    os.close(fd)
    _remove_if_empty(simulation_dir(run_dir))
    _remove_if_empty(run_dir)


def _remove_if_empty(directory: str) -> None:
    try:
        os.rmdir(directory)
    except OSError:  # something else is in it, or it is not ours to remove
        pass


def _mend(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"{error.strerror}; free some space there, or choose another directory with --set run_dir=DIR"
    return f"{error.strerror}; choose a directory that you may write with --set run_dir=DIR"


def clean(run_dir: str) -> None:
    """Remove what energyd has made, and the directory if nothing else is in it. For the end, when no program runs any more."""
    place = Path(run_dir)
    shutil.rmtree(simulation_dir(run_dir), ignore_errors=True)
    for pattern in OURS:
        for path in place.glob(pattern):
            with contextlib.suppress(OSError):  # a directory of that name: not ours
                path.unlink()
    _remove_if_empty(run_dir)


def heartbeat_ns(run_dir: str, name: str) -> int | None:
    """CLOCK_MONOTONIC of the last sign of life of the writer of the ring `name`; None when there is no such ring."""
    try:
        return layout.read_header(layout.ring_path(run_dir, name)).heartbeat_ns
    except (OSError, layout.RefusedRing):
        return None
