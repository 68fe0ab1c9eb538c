"""What the path of a control group says about who owns it.

Outside truth: the naming of the runtimes themselves. systemd.resource-control(5) and systemd-escape(1) (`\\xNN`); docker,
containerd and cri-o by their systemd and cgroupfs drivers; libpod; lxc.container.conf(5); libvirt (libvirt.org/cgroups.html);
jailer.md of firecracker; cgroup.conf(5) of slurm. A container's own control groups lie below its path, so the deepest that
matches counts, and a container goes before the unit that it happens to be in.

Law: text in, value out; any path is somebody's, if only the host's.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

CONTAINER: Final = "container"
POD: Final = "pod"
VM: Final = "vm"
JOB: Final = "job"
UNIT: Final = "unit"
USER: Final = "user"
HELPER: Final = "helper"  # watches over one container, and is not in it
CGROUP: Final = "cgroup"  # a control group that follows none of the naming rules
KERNEL: Final = "kernel"
HOST: Final = "host"
KINDS: Final = (CONTAINER, POD, VM, JOB, UNIT, USER, HELPER, CGROUP, KERNEL, HOST)
RUNTIMES: Final = (
    "docker", "podman", "containerd", "crio", "nerdctl", "k8s", "lxc", "nspawn", "libvirt", "qemu", "kata", "firecracker",
    "cloud-hypervisor", "crosvm", "slurm", "systemd", "unknown",
)  # fmt: skip


class Owner(NamedTuple):
    """`pod` is the uid of the pod around a container, `unit` and `user` (a numeric id) what systemd made of it; '' = nothing."""

    kind: str
    runtime: str
    id: str
    pod: str = ""
    unit: str = ""
    user: str = ""


_HEX64 = r"([0-9a-f]{64})"
_END = r"(?=[./]|$)"
_UID = r"([0-9a-f]{8}[_-][0-9a-f]{4}[_-][0-9a-f]{4}[_-][0-9a-f]{4}[_-][0-9a-f]{12}|[0-9a-f]{32})"


class _Shape(NamedTuple):
    kind: str
    runtime: str
    find: Callable[[str], list[str]]
    hint: str  # a text that every match contains: looking for it is ten times cheaper


def _shape(kind: str, runtime: str, hint: str, pattern: str) -> _Shape:
    return _Shape(kind, runtime, re.compile(pattern).findall, hint)


# the order decides where several match: what runs inside goes before what it runs in
_SHAPES: Final = (
    _shape(JOB, "slurm", "slurm", r"slurm[^/]*(?:/uid_\d+)?/job_(\d+)(?=/|$)"),
    _shape(VM, "kata", "kata", rf"/kata[_-]{_HEX64}"),
    _shape(HELPER, "podman", "conmon", rf"/libpod-conmon-{_HEX64}{_END}"),
    _shape(HELPER, "crio", "conmon", rf"/crio-conmon-{_HEX64}{_END}"),
    _shape(HELPER, "lxc", "lxc.monitor", r"/lxc\.monitor[./]([^/]+)"),
    _shape(CONTAINER, "podman", "libpod", rf"/libpod-(?:payload-)?{_HEX64}{_END}"),
    _shape(CONTAINER, "crio", "crio", rf"/crio-{_HEX64}{_END}"),
    _shape(CONTAINER, "containerd", "cri-containerd", rf"[:/]cri-containerd[-:]{_HEX64}{_END}"),
    _shape(CONTAINER, "nerdctl", "nerdctl", rf"/nerdctl-{_HEX64}{_END}"),
    _shape(CONTAINER, "containerd", "/", rf"/(?:k8s\.io|default|moby|containerd)/{_HEX64}{_END}"),
    _shape(CONTAINER, "docker", "docker", rf"/docker[-/]{_HEX64}{_END}"),
    _shape(CONTAINER, "k8s", "kubepods", rf"/kubepods.*/(?:[^/]*-)?pod{_UID}(?:\.slice)?/{_HEX64}{_END}"),
    _shape(POD, "k8s", "kubepods", rf"/kubepods.*?[/-]pod{_UID}{_END}"),
    _shape(CONTAINER, "lxc", "lxc.payload", r"/lxc\.payload[./]([^/]+)"),
    _shape(CONTAINER, "lxc", "/lxc/", r"/lxc/([^/]+)"),
    _shape(CONTAINER, "lxc", "machine-lxc-", r"/machine-lxc-\d+-(.+?)\.scope(?=/|$)"),
    _shape(VM, "qemu", "machine-qemu-", r"/machine-qemu-\d+-(.+?)\.scope(?=/|$)"),
    _shape(VM, "qemu", ".libvirt-qemu", r"/machine/(?:qemu-\d+-)?([^/]+)\.libvirt-qemu(?=/|$)"),
    _shape(VM, "qemu", "/qemu.slice/", r"/qemu\.slice/([^/]+)\.scope(?=/|$)"),
    _shape(VM, "firecracker", "/firecracker/", r"/firecracker/([^/]+)"),
    _shape(CONTAINER, "nspawn", "systemd-nspawn@", r"/systemd-nspawn@(.+?)\.service(?=/|$)"),
    _shape(CONTAINER, "nspawn", "machine-", r"/machine\.slice/machine-(.+?)\.scope(?=/|$)"),
    _shape(CONTAINER, "unknown", "/", rf"/{_HEX64}{_END}"),
)  # fmt: skip
_ESCAPE: Final = re.compile(r"\\x([0-9a-f]{2})")
_POD: Final = re.compile(rf"[/-]pod{_UID}{_END}")
_UNIT: Final = re.compile(r"/([^/]+\.(?:service|scope|socket|mount|swap))(?=/|$)")
_SLICE: Final = re.compile(r"/([^/]+\.slice)$")
_USER: Final = re.compile(r"/user-(\d+)\.slice(?=/|$)")


@lru_cache(maxsize=1 << 13)
def owner_of(path: str) -> Owner:
    """The owner of a control group, by its path as in /proc/PID/cgroup. Any text is answered; '' and '/' are the host."""
    plain = _ESCAPE.sub(_unescape, path) if "\\x" in path else path
    unit, user = _last(_UNIT.findall(plain)), _last(_USER.findall(plain))
    for kind, runtime, find, hint in _SHAPES:
        if hint in plain and (found := find(plain)):
            last: str | tuple[str, ...] = found[-1]
            identifier, pod = (last[-1], last[0]) if isinstance(last, tuple) else (last, "")
            if kind == POD:
                identifier = pod = identifier.replace("_", "-")
            elif not pod and "pod" in plain:
                pod = _last(_POD.findall(plain))
            return Owner(kind, runtime, identifier, pod.replace("_", "-"), unit, user)
    if unit:
        return Owner(UNIT, "systemd", unit, "", unit, user)
    if user:
        return Owner(USER, "systemd", user, "", "", user)
    if slices := _SLICE.findall(plain):
        return Owner(UNIT, "systemd", slices[-1], "", slices[-1], "")
    return Owner(HOST, "", "") if plain.strip("/") in ("", "..") else Owner(CGROUP, "", plain)


def _last(found: list[str]) -> str:
    return found[-1] if found else ""


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))
