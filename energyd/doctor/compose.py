"""A composition of containers, such as conf/compose, before it is started and after: the engine, and the ports that it publishes.

Outside truth: `docker version` fails where no engine answers, `docker compose` where it is not installed. A port of a service is
`[ADDRESS:]PUBLISHED:CONTAINER[/PROTOCOL]` or a mapping with `published` (Docker's "Compose file reference"), and held by a
docker-proxy of its own unless that is switched off.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any, Final

import yaml

from energyd.doctor.check import Check, failure, ok, warning
from energyd.doctor.machine import holder_of

TIMEOUT_S: Final = 10.0
PROXIES: Final = ("docker-proxy", "rootlessport")
_PORT: Final = re.compile(r"(?:.*:)?(?P<published>\d+):\d+(?:/tcp)?")


def compose(path: str, procfs_root: str) -> Iterator[Check]:
    """Is there an engine that answers, the second generation of compose, and is every port free or published already."""
    docker = shutil.which("docker")
    if docker is None:
        yield failure("docker", "is not installed", "`sudo apt install docker.io`, or docs.docker.com/engine/install")
    else:
        yield _engine(docker)
        yield _generation(docker)
    try:
        with open(path, encoding="utf-8") as file:
            ports = list(published(yaml.safe_load(file)))
    except (OSError, ValueError, yaml.YAMLError, AttributeError) as error:
        yield failure("compose file", f"{path} cannot be read: {' '.join(str(error).split())}", "give the path of compose.yml")
        return
    for service, number in ports:
        yield _port(service, number, path, procfs_root)


def published(model: Any) -> Iterator[tuple[str, int]]:
    """(service, TCP port of this machine) of every port with a number of its own."""
    for name, service in (model.get("services") or {}).items():
        for port in service.get("ports") or ():
            text = f"{port.get('published')}:0/{port.get('protocol', 'tcp')}" if isinstance(port, dict) else str(port)
            if found := _PORT.fullmatch(text):
                yield name, int(found["published"])


def _run(command: Sequence[str]) -> tuple[bool, str]:
    """(whether it succeeded, the first line of what it said)"""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, str(error)
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode == 0, lines[0].strip() if lines else f"exit status {done.returncode}"


def _engine(docker: str) -> Check:
    good, said = _run([docker, "version", "--format", "{{.Server.Version}}"])
    if good:
        return ok("docker", f"version {said}")
    mend = "`sudo adduser $USER docker`, then log in anew" if "permission denied" in said else "`sudo systemctl start docker`"
    return failure("docker", f"its engine does not answer: {said}", mend)


def _generation(docker: str) -> Check:
    good, said = _run([docker, "compose", "version", "--short"])
    if good:
        return ok("docker compose", f"version {said}")
    mend = "`sudo apt install docker-compose` (Debian 13), or docker-compose-plugin of docs.docker.com/engine/install"
    return failure("docker compose", f"is not there: {said}", mend)


def _port(service: str, number: int, path: str, procfs_root: str) -> Check:
    subject = f"port {number}"
    holder = holder_of(number, procfs_root)
    if holder is None:
        return ok(subject, f"free for {service}")
    pid, command = holder
    if not pid:
        return warning(subject, "held by a process that only root may name", f"`sudo energyd doctor --compose {path}`")
    if command.partition(" ")[0].rpartition("/")[2] in PROXIES:
        return ok(subject, f"published by the engine, process {pid}: {service} runs")
    return failure(
        subject,
        f"held by process {pid} ({command}), and {service} needs it",
        f"`sudo kill {pid}`, or publish another port in {path}",
    )
