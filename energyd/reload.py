"""`energyd reload`: make what runs take over a changed configuration, and leave alone what has not changed.

The new configuration is decided as `energyd run` decided the old one (same file, same flags, same variables). If it is wrong, the
running one stays: exit code 100. Otherwise config.json and supervisord.conf are replaced, and supervisord itself finds out which
programs are other ones, because each carries a digest of its part of the configuration (energyd.programs). Never SIGHUP:
supervisord would stop everything. Where no `energyd run` but units run, it is `systemctl reload energyd`.
"""

import argparse
import http.client
import os
import socket
import sys
import xmlrpc.client
from collections.abc import Sequence
from typing import Any, Final

from energyd import config as configuration
from energyd import configfile, places, run, rundir, unitstates
from energyd.errors import EXIT_OK, ConfigError, EnvironmentFault

ANSWER_S: Final = 10.0
EXITED: Final = 100
"""supervisor.states.ProcessStates.EXITED: left with exit code 100 and waiting for us."""
FIXED: Final = ("run_dir", "state_dir", "simulated")


class _UnixConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_S)
        try:
            self.sock.connect(self.host)
        except OSError:
            self.sock.close()
            raise


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, _host: Any) -> http.client.HTTPConnection:
        return _UnixConnection(self._path)


def supervisor(run_dir: str) -> Any:
    """The `supervisor` namespace of the running supervisord's XML-RPC interface."""
    proxy = xmlrpc.client.ServerProxy("http://supervisor/RPC2", transport=_UnixTransport(rundir.supervisor_socket(run_dir)))
    return proxy.supervisor


def apply(server: Any) -> list[str]:
    """Let supervisord re-read its file and do what follows from it; returns a word about each program that changed."""
    ((added, changed, removed),) = server.reloadConfig()
    for name in (*removed, *changed):
        server.stopProcessGroup(name)
        server.removeProcessGroup(name)
    for name in (*added, *changed):
        server.addProcessGroup(name)
    down = [info["name"] for info in server.getAllProcessInfo() if info["state"] == EXITED]
    for name in down:
        server.startProcess(name, False)
    words = {"added": added, "restarted": changed, "removed": removed, "started again": down}
    return [f"{name} {word}" for word, names in words.items() for name in names]


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="energyd reload", description="Make a running energyd take over a changed configuration.")
    configfile.add_flags(result)
    return result


def main(argv: Sequence[str]) -> int:
    arguments = parser().parse_args(argv)
    run_dir = places.running(arguments.config, arguments.set, os.environ, os.getuid())
    saved = rundir.read_json(rundir.invocation_file(run_dir))
    if saved is None:
        unitstates.systemctl(["reload-or-restart", "energyd.service"])  # what was stopped is started
        return EXIT_OK
    pairs = tuple((key, text) for key, text in saved["settings"])
    invocation = run.Invocation(saved["config"], pairs, saved["simulate"], saved["truth_dir"], saved["environment"])
    old = configuration.read(rundir.config_file(run_dir))
    setup, _ = run.decide(invocation, os.environ, os.getuid())
    new = setup.config
    for key in FIXED:
        if getattr(new, key) != getattr(old, key):
            raise ConfigError(f"{key} cannot change while energyd runs; stop it and start it again")
    if new.metrics.enabled and (new.metrics.listen, new.metrics.port) != (old.metrics.listen, old.metrics.port):
        run.require_port(new.metrics.listen, new.metrics.port)
    run.write(new, invocation)
    try:
        done = apply(supervisor(run_dir))
    except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
        raise EnvironmentFault(
            f"the supervisor in {run_dir} does not take it ({error}); stop energyd and start it again"
        ) from error
    print("\n".join(done) if done else "nothing has changed", file=sys.stdout)
    return 0
