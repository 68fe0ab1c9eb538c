"""Names of containers and users from the files in which they are kept, so that no daemon needs to run or to be trusted. Only where
those may not be read, and the socket of the container engine may, is the engine asked (`enginesocket.py`).

Outside truth, each by its own program's storage: docker's containers/ID/config.v2.json (Name, Config.Labels, Config.Image),
podman's overlay-containers/containers.json (containers/storage: id, names, metadata), the kubelet's links in /var/log/containers
(POD_NAMESPACE_NAME-ID.log), passwd(5). Whose files cannot be read keeps its id; the reason is said once.

Law: I/O in one place, bounded: a name once found is remembered, of at most as many containers as the cache holds.
"""

import json
import os
import pwd
import re
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from energyd.groups.enginesocket import EngineSocket
from energyd.groups.rules import Container

DOCKER: Final = "var/lib/docker"
PODMAN: Final = "var/lib/containers/storage"
PODMAN_OF_USERS: Final = "home/*/.local/share/containers/storage"
KUBELET: Final = "var/log/containers"
MAX_BYTES: Final = 4 << 20
MAX_KNOWN: Final = 4096
_HEX64: Final = re.compile(r"[0-9a-f]{64}")
_LOG: Final = re.compile(r"(?P<pod>[^_]+)_(?P<namespace>[^_]+)_(?P<name>.+)-[0-9a-f]{64}\.log")

Fault = Callable[[str, str], None]


class HostNames:
    """Looks below `root` (/ or where the host's is mounted). `fault` takes a key for the kind of a fault and a sentence."""

    def __init__(
        self, root: str = "/", fault: Fault = lambda _kind, _text: None, mono_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._root = Path(root)
        self._fault = fault
        self._engine = EngineSocket(self._root, mono_s)
        self._refused: list[tuple[str, str]] = []  # faults of the question that is being answered
        self._known: dict[str, Container] = {}
        self._podman: dict[Path, tuple[int, dict[str, Container]]] = {}  # by store: its mtime, and what it said then
        self._in_root = root != "/"

    def container(self, _runtime: str, identifier: str, /) -> Container:
        """What the state files say of a container by its full id; an empty Container where none does. 15 us for a miss."""
        known = self._known.get(identifier)
        if known is not None or not _HEX64.fullmatch(identifier):
            return known or Container()
        self._refused = []
        for look in (self._docker, self._podman_stores, self._kubelet, self._asked):
            found = look(identifier)
            if found is not None:
                if len(self._known) >= MAX_KNOWN:
                    del self._known[next(iter(self._known))]
                self._known[identifier] = found
                return found
        for kind, text in self._refused:
            self._fault(kind, text)
        return Container()

    @lru_cache(maxsize=MAX_KNOWN)  # noqa: B019 - lives as long as the process does
    def user(self, uid: int) -> str:
        """The name in the host's passwd, '' where it has none."""
        if self._in_root:
            return _user_of(self._root / "etc/passwd", uid)
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return ""

    def _docker(self, identifier: str) -> Container | None:
        state = self._json(self._root / DOCKER / "containers" / identifier / "config.v2.json", "docker")
        return docker_container(state) if isinstance(state, dict) else None

    def _podman_stores(self, identifier: str) -> Container | None:
        for store in (self._root / PODMAN, *self._root.glob(PODMAN_OF_USERS)):
            path = store / "overlay-containers" / "containers.json"
            try:
                changed_ns = os.stat(path).st_mtime_ns
            except OSError:
                continue
            before_ns, containers = self._podman.get(path, (-1, {}))
            if changed_ns != before_ns:
                containers = podman_containers(self._json(path, "podman"))
                self._podman[path] = changed_ns, containers
            if identifier in containers:
                return containers[identifier]
        return None

    def _kubelet(self, identifier: str) -> Container | None:
        for link in self._root.glob(f"{KUBELET}/*-{identifier}.log"):
            return kubelet_container(link.name)
        return None

    def _asked(self, identifier: str) -> Container | None:
        state = self._engine.inspect(identifier)
        return docker_container(state) if state is not None else None

    def _json(self, path: Path, whose: str) -> Any:
        try:
            with open(path, "rb") as file:
                return json.loads(file.read(MAX_BYTES))
        except FileNotFoundError:
            return None
        except PermissionError as error:
            text = (
                f"{path}: {error.strerror}; {whose} containers are named by their ids. Run the aggregator with CAP_DAC_READ_SEARCH "
                "to name them"
            )
            self._refused.append((f"names {whose}", text))
        except (OSError, ValueError) as error:
            self._refused.append((f"names {whose} damaged", f"{path}: {error}; the container is named by its id"))
        return None


def docker_container(state: dict[str, Any]) -> Container:
    """From a config.v2.json. What is missing or of another shape is empty."""
    config = state.get("Config")
    config = config if isinstance(config, dict) else {}
    labels = _texts(config.get("Labels"))
    return Container(
        name=_text(state.get("Name")).lstrip("/"),
        image=_text(config.get("Image")),
        labels=labels,
        pod=labels.get("io.kubernetes.pod.name", ""),
        namespace=labels.get("io.kubernetes.pod.namespace", ""),
    )


def podman_containers(state: Any) -> dict[str, Container]:
    """By id, from a containers.json."""
    found = {}
    for entry in state if isinstance(state, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            names = entry.get("names")
            try:
                metadata = json.loads(_text(entry.get("metadata")) or "{}")
            except ValueError:
                metadata = {}
            image = _text(metadata.get("image-name")) if isinstance(metadata, dict) else ""
            found[entry["id"]] = Container(_text(names[0]) if isinstance(names, list) and names else "", image)
    return found


def kubelet_container(file_name: str) -> Container | None:
    """From the name of a link in /var/log/containers: the same name is in many pods, so it is told with its pod."""
    found = _LOG.fullmatch(file_name)
    if found is None:
        return None
    namespace, pod, name = found["namespace"], found["pod"], found["name"]
    return Container(f"{namespace}/{pod}/{name}", pod=pod, namespace=namespace)


def _user_of(passwd: Path, uid: int) -> str:
    try:
        lines = passwd.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    fields = (line.split(":") for line in lines)
    return next((parts[0] for parts in fields if len(parts) > 2 and parts[2] == str(uid)), "")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> dict[str, str]:
    return {key: text for key, text in value.items() if isinstance(text, str)} if isinstance(value, dict) else {}
