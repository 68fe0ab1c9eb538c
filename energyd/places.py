"""Where the rings and the state lie when nothing, or nothing usable, is configured, and which run directory is the running one.

Defaults are those of a system service; a user without rights in /run and /var gets the directories of the XDG Base Directory
Specification, and whose run directory is not in memory gets one that is (energyd.ring.location).
"""

import os
from collections.abc import Mapping, Sequence

from energyd import configfile, rundir
from energyd.config import Config
from energyd.errors import ConfigError, EnvironmentFault
from energyd.ring.location import resolve_run_dir

DEFAULTS = Config()


def resolve(config: Config, environ: Mapping[str, str], uid: int) -> tuple[Config, str]:
    """`config` with directories that can be used, and why the run directory is not the configured one ('' = it is).

    Makes the run directory. Raises EnvironmentFault when there is no place for it.
    """
    place, note = resolve_run_dir(run_dir(config, environ, uid))
    return config._replace(run_dir=str(place), state_dir=state_dir(config, environ, uid)), note or ""


def run_dir(config: Config, environ: Mapping[str, str], uid: int) -> str:
    """Where the rings are to lie: as configured, or the user's own place where nothing is and /run may not be written."""
    if uid == 0 or config.run_dir != DEFAULTS.run_dir or _writable(config.run_dir):
        return config.run_dir
    return _user_run_dir(environ) or config.run_dir


def state_dir(config: Config, environ: Mapping[str, str], uid: int) -> str:
    """Where the state lies: as configured, or the user's own place where nothing is configured and /var may not be written."""
    if uid == 0 or config.state_dir != DEFAULTS.state_dir or _writable(config.state_dir):
        return config.state_dir
    home = environ.get("HOME") or os.path.expanduser("~")
    return os.path.join(environ.get("XDG_STATE_HOME") or f"{home}/.local/state", "energyd")


def running(path: str | None, settings: Sequence[tuple[str, str]], environ: Mapping[str, str], uid: int) -> str:
    """The run directory that a running energyd uses: the configured one, the user's, or the fallback in /dev/shm.

    A run_dir in `settings` is taken at its word. A configuration that has become wrong does not hide what runs with the old one;
    but as it does not tell where that is, what was started with another file is not taken for it.
    Raises EnvironmentFault when no directory holds a config.json, ConfigError when that may be the configuration's fault.
    """
    wanted = dict(settings).get("run_dir")
    fault = None
    try:
        configured = configfile.load(path, environ, settings).run_dir
    except ConfigError as error:
        configured, fault = DEFAULTS.run_dir, error
    places = (wanted,) if wanted else (configured, _user_run_dir(environ), f"/dev/shm/energyd-{uid}")
    candidates = [place for place in places if place]
    for candidate in candidates:
        if os.path.exists(rundir.config_file(candidate)) and (fault is None or wanted or _started_with(candidate, path)):
            return candidate
    if fault is not None:
        raise fault
    raise EnvironmentFault(f"energyd does not run: no config.json in {', '.join(candidates)}; start it, or ask as its user (sudo)")


def _started_with(run_dir: str, path: str | None) -> bool:
    """Whether what runs there may have the configuration `path`; units of systemd leave no word about it."""
    saved = rundir.read_json(rundir.invocation_file(run_dir))
    return path is None or saved is None or saved.get("config") == os.path.abspath(path)


def _user_run_dir(environ: Mapping[str, str]) -> str | None:
    runtime = environ.get("XDG_RUNTIME_DIR")
    return f"{runtime}/energyd" if runtime else None


def _writable(path: str) -> bool:
    return os.access(path, os.W_OK | os.X_OK)
