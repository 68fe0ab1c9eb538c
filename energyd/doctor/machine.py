"""What the machine has and permits: power, processes, clock, disks, ports. Roots and clocks are parameters; nothing is changed."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from energyd.config import Config
from energyd.doctor.check import Check, failure, ok, warning
from energyd.errors import EnvironmentFault
from energyd.hostsensor import advice_of, sensor_of
from energyd.procfs.clocks import clocks_reach
from energyd.ring.layout import require_supported_machine
from energyd.ring.location import filesystem_of
from energyd.service.clock import SYSTEM_CLOCK, Clock, is_plausible
from energyd.units import NS_PER_S

LOW_DISK_BYTES: Final = 100 << 20
LOW_TMPFS_BYTES: Final = 64 << 20
LISTEN: Final = "0A"  # the state of a listening socket in /proc/net/tcp (proc(5))


def architecture() -> Check:
    try:
        require_supported_machine()
    except EnvironmentFault as fault:
        reason, _, mend = str(fault).partition("; ")
        return failure("machine", reason, mend)
    return ok("machine", "64 bits, little-endian")


def power(config: Config) -> Iterator[Check]:
    """Which counters there are, and what keeps the others from being read."""
    if "rapl" in config.simulated:
        yield warning("power", "simulated, because energyd was started so", "start it without --simulate on a machine with RAPL")
        return
    sources = sensor_of(config, SYSTEM_CLOCK.mono_ns)
    try:
        sources.rescan()
        used = [zone.name for zone in sources.zones if zone.used and not zone.read_errno]
        sentences = advice_of(config, sources.zones)
    finally:
        sources.close()
    if used:
        yield ok("power", f"{', '.join(used)} can be read")
    for sentence in sentences:
        reason, _, mend = sentence.partition("; ")
        yield (warning if used or config.meters else failure)("power", reason, mend)  # a meter alone is a use of its own


def processes(config: Config) -> Check:
    if clocks_reach(config.procfs_root):
        return ok("processes", f"{config.procfs_root}: CPU clocks of every process, in nanoseconds")
    return warning(
        "processes",
        f"{config.procfs_root} is another PID namespace's: stat files are read instead, in ticks of 10 ms",
        "run energyd in the host's PID namespace (docker: --pid=host)",
    )


def clock(machine: Clock = SYSTEM_CLOCK) -> Check:
    if not is_plausible(machine.real_ns() / NS_PER_S):
        return failure(
            "clock",
            "the date is before 2024 or after 2099: pushes and days wait for a plausible one",
            "`sudo timedatectl set-ntp true`, or an RTC",
        )
    return ok("clock", "the date is plausible")


def directories(config: Config) -> Iterator[Check]:
    """The state on disk, the rings in memory."""
    yield _room("state", config.state_dir, LOW_DISK_BYTES, "state_dir")
    yield _room("rings", config.run_dir, LOW_TMPFS_BYTES, "run_dir")
    if os.path.isdir(config.run_dir) and _filesystem(config.run_dir, config.procfs_root) != "tmpfs":
        yield warning(
            "rings", f"{config.run_dir} is not on a tmpfs: each sample would go to the disk", "set run_dir to a directory in /run"
        )


def _filesystem(path: str, procfs_root: str) -> str | None:
    return filesystem_of(os.stat(path).st_dev, Path(f"{procfs_root}/self/mountinfo").read_text())


def _room(subject: str, path: str, least_bytes: int, key: str) -> Check:
    existing = Path(path)
    while not os.path.exists(existing):  # that of a Path raises where a directory above is closed
        existing = existing.parent
    if os.statvfs(existing).f_flag & os.ST_RDONLY:
        place = _mount_point(existing)
        return failure(
            subject,
            f"{existing} is on a file system that is mounted read-only",
            f"`sudo mount -o remount,rw {place}`, or set {key} to another disk",
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        uid, owner = os.getuid(), existing.stat().st_uid
        make = f"`sudo install -d -m 0750 -o {uid} {path}`, or set {key}"
        # what is there is another's, who may be using it: it is not taken away
        leave = f"set {key} to a directory of your own, or call as its owner: `sudo -u '#{owner}' energyd doctor`"
        return failure(subject, f"{existing} may not be written by uid {uid}", leave if existing == Path(path) else make)
    free = shutil.disk_usage(existing).free
    if free < least_bytes:
        return failure(subject, f"{existing} has {free >> 20} MiB left", f"free some space there, or set {key} to another disk")
    return ok(subject, f"{path}: {free >> 20} MiB free")


def _mount_point(path: Path) -> Path:
    return path if os.path.ismount(path) or path == path.parent else _mount_point(path.parent)


def port(config: Config, ours: int | None) -> Check:
    """Whether the port is free, or held by our own aggregator, whose pid is `ours`."""
    number = config.metrics.port
    subject = f"port {number}"
    if not config.metrics.enabled:
        return ok(subject, "not used: metrics.enabled is false")
    holder = holder_of(number, config.procfs_root)
    if holder is None:
        return ok(subject, "free")
    pid, command = holder
    if pid and pid == ours:
        return ok(subject, f"our aggregator listens, process {pid}")
    who = f"process {pid} ({command})" if pid else "a process that only root may name"
    stop = f"`sudo kill {pid}`" if pid else f"stop it (`sudo ss -ltnp 'sport = :{number}'` names it)"
    return failure(subject, f"held by {who}", f"{stop}, or set metrics.port")


def holder_of(number: int, procfs_root: str) -> tuple[int, str] | None:
    """(pid, command line) of what listens on a TCP port; (0, '') if it may not be known; None if nobody does."""
    inodes = {inode for name in ("tcp", "tcp6") for inode in _listeners(f"{procfs_root}/net/{name}", number)}
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for entry in Path(procfs_root).iterdir():
        if entry.name.isdigit() and _holds(entry / "fd", wanted):
            return int(entry.name), _command(entry)
    return 0, ""


def _command(process: Path) -> str:
    """The first words of its command line, '' if it has none or has just ended."""
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return b" ".join(words[:4]).decode(errors="backslashreplace").strip()


def _listeners(path: str, number: int) -> Iterator[str]:
    try:
        lines = Path(path).read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        fields = line.split()
        if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == number:
            yield fields[9]


def _holds(directory: Path, wanted: set[str]) -> bool:
    try:
        return any(os.readlink(link) in wanted for link in directory.iterdir())
    except OSError:
        return False


def address(config: Config) -> Check:
    """Whether others can reach what is served, which is a decision, not a fault."""
    listen = config.metrics.listen
    try:
        family = socket.getaddrinfo(listen, None)[0][4][0]
    except socket.gaierror:
        return failure("address", f"{listen} is no address of this machine", "set metrics.listen")
    loopback = str(family).startswith("127.") or family == "::1"
    if loopback or config.metrics.web_config_file:
        return ok("address", f"{listen}: " + ("only this machine" if loopback else "with metrics.web_config_file"))
    return warning(
        "address", f"{listen}: everybody on the network can read the metrics", "set metrics.web_config_file, or listen on 127.0.0.1"
    )
