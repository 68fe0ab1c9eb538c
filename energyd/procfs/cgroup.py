"""Where control groups are mounted, and which one a process belongs to.

Outside truth: cgroups(7), proc_pid_mountinfo(5), Documentation/admin-guide/cgroup-v1/cpuacct.rst and cgroup-v2.rst. Of the two
hierarchies that count CPU time, v1 `cpuacct` and v2, a machine can have either or both (hybrid): a process is counted in the
first of the two where it is not in the root, because the root is the whole machine. v2 counts CPU time in every group, whether
the cpu controller is on or not. The kernel refuses newlines in names of groups.

Law: bytes in, values out.
"""

import re
from typing import Final, NamedTuple

from energyd.procfs.stat import text

CPUACCT: Final = "cpuacct"
V2: Final = "v2"
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """A mounted hierarchy. `root` is the group that appears at `point`: `/`, or a container's own."""

    controllers: frozenset[str]
    root: bytes
    point: bytes

    def directory(self, group: bytes) -> bytes | None:
        """The directory of `group` (as named in /proc/PID/cgroup); None when it lies outside of what is mounted."""
        if group.startswith(b"/.."):  # seen from a cgroup namespace that does not hold it
            return None
        if self.root != b"/":
            if group != self.root and not group.startswith(self.root + b"/"):
                return None
            group = group[len(self.root) :]
        return self.point + group.rstrip(b"/")


class Membership(NamedTuple):
    """`counted` is where the CPU time of a process is counted, (hierarchy, group), or None; `shown` is the path that says most."""

    counted: tuple[str, bytes] | None
    shown: bytes

    def entry(self) -> dict[str, object]:
        """What the labels of the ring say of it: `hierarchy` is that in which it is counted, '' = none."""
        return {"cgroup": text(self.shown), "hierarchy": self.counted[0] if self.counted else ""}


def parse_mounts(data: bytes, preferred_root: bytes = b"/sys") -> dict[str, Mount]:
    """Mounts of control groups by controller ("v2", "cpuacct", "memory", "blkio") from a mountinfo.

    Of several mounts of a hierarchy the one under `preferred_root` is taken (a container may see the host's /sys elsewhere),
    then one that shows all of it, then the first.
    """
    mounts: dict[str, Mount] = {}
    for line in data.splitlines():
        left, _, right = line.partition(b" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == b"cgroup2":
            controllers = frozenset({V2})
        elif kind[0] == b"cgroup":
            controllers = frozenset(kind[2].decode("ascii", "replace").split(",")) & {CPUACCT, "memory", "blkio"}
        else:
            continue
        root, point = (_OCTAL.sub(lambda octal: bytes([int(octal[1], 8)]), field) for field in fields[3:5])
        mount = Mount(controllers, root, point)
        for controller in controllers:
            if controller not in mounts or _rank(mount, preferred_root) > _rank(mounts[controller], preferred_root):
                mounts[controller] = mount
    return mounts


def _rank(mount: Mount, preferred_root: bytes) -> tuple[bool, bool]:
    return mount.point.startswith(preferred_root.rstrip(b"/") + b"/"), mount.root == b"/"


def parse_membership(data: bytes, mounts: dict[str, Mount]) -> Membership:
    """From /proc/PID/cgroup. Lines that do not say what they should are passed over."""
    paths: dict[str, bytes] = {}
    for line in data.splitlines():
        number, _, rest = line.partition(b":")
        controllers, _, path = rest.partition(b":")
        path = path.removesuffix(b" (deleted)")
        if number == b"0" and not controllers:
            paths[V2] = path
        else:
            for controller in controllers.decode("ascii", "replace").split(","):
                paths[controller] = path
    for hierarchy in (CPUACCT, V2):
        path = paths.get(hierarchy, b"/")
        if path != b"/" and hierarchy in mounts:
            return Membership((hierarchy, path), path)
    shown = [paths.get(name, b"/") for name in (V2, CPUACCT, "name=systemd")] + sorted(paths.values(), key=len, reverse=True)
    return Membership(None, next((path for path in shown if path != b"/"), b"/"))
