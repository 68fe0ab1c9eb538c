"""Each configured meter: is its device there, may we read it, who else does, and does a meter speak on it."""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from energyd.config import Config, Meter
from energyd.doctor.check import Check, failure, ok, warning
from energyd.service.clock import SYSTEM_CLOCK
from energyd.tic.line import Line
from energyd.units import NS_PER_S

LISTEN_S: Final = 20.0  # every speed gets its turn


def meters(config: Config, listen_s: float = LISTEN_S) -> Iterator[Check]:
    """Checks of every configured meter; a device that its own reader holds is judged by what that reader hears."""
    if not config.meters:
        yield warning("meters", "none is configured", "list yours under `meters:` (name, device), see energyd.yml(5)")
    for meter in config.meters:
        subject = f"meter {meter.name}"
        if meter.simulated:
            yield warning(subject, "simulated, because energyd was started so", "list the real one under `meters:`")
            continue
        fault = _device(subject, meter.device) if meter.device.startswith("/") else None
        if fault is not None:
            yield fault
            continue
        holder = _reader_of(meter.device, config.procfs_root)
        if holder is None:
            yield _listen(subject, meter, listen_s)
        elif b"energyd.workers.tic" in holder[1]:
            yield ok(subject, f"{meter.device} is read by our process {holder[0]}")
        else:
            command = holder[1].replace(b"\0", b" ").decode(errors="backslashreplace").strip()
            yield failure(
                subject, f"{meter.device} is in use by process {holder[0]} ({command})", f"stop it: `sudo kill {holder[0]}`"
            )


def _device(subject: str, device: str) -> Check | None:
    """What is wrong with a device file, None if it can be opened for reading."""
    try:
        mode = os.stat(device)
    except FileNotFoundError:
        there = sorted(str(path) for path in Path("/dev/serial/by-id").glob("*"))
        return failure(
            subject, f"{device} does not exist", f"plug the adapter in; serial adapters here: {', '.join(there) or 'none'}"
        )
    except OSError as error:  # a directory above it is closed, or none
        return failure(subject, f"{device}: {error.strerror}", f"`namei -l {device}` shows where the way to it ends")
    if not stat.S_ISCHR(mode.st_mode):
        return failure(subject, f"{device} is not a serial device", "name a tty, or write file:PATH for a capture")
    if os.access(device, os.R_OK | os.W_OK):
        return None
    group, user = _group_name(mode.st_gid), _user_name(os.getuid())
    reason = f"{device} belongs to group {group} and may not be opened by {user}"
    if mode.st_gid in os.getgroups() or mode.st_gid == 0:
        return failure(subject, reason, f"`sudo chgrp dialout {device} && sudo chmod g+rw {device}`; for ever by a rule of udev(7)")
    return failure(subject, reason, f"`sudo adduser {user} {group}`, then start energyd in a new login")


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _reader_of(device: str, procfs_root: str) -> tuple[int, bytes] | None:
    """(pid, command line) of a process that has the device open, as far as it may be known.

    In a container the same path is another device, so the file is compared too; but only then, because looking at a file of a
    server that is away takes for ever.
    """
    wanted = os.path.realpath(device)
    for entry in Path(procfs_root).iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if any(os.readlink(link) == wanted and link.samefile(wanted) for link in (entry / "fd").iterdir()):
                return int(entry.name), (entry / "cmdline").read_bytes()
        except OSError:
            continue
    return None


def _listen(subject: str, meter: Meter, listen_s: float) -> Check:
    """Listen as the reader would, until a meter is understood or the time is over."""
    faults: list[str] = []
    line = Line(meter.device, meter.mode, SYSTEM_CLOCK, faults.append)
    until_ns = SYSTEM_CLOCK.mono_ns() + round(listen_s * NS_PER_S)
    try:
        while SYSTEM_CLOCK.mono_ns() < until_ns and not line.understood:
            line.poll()
    finally:
        line.close()
    counts = line.counts()
    if line.understood:
        parity = {True: "even parity", False: "parity stripped", None: "parity undecided"}[line.parity]
        speed = f" at {line.speed} baud" if line.speed else ""
        return ok(subject, f"{meter.device}: {line.mode}{speed}, {parity}, {counts['groups_ok']} good groups")
    if faults:
        reason, _, mend = faults[-1].partition("; ")
        return failure(subject, reason, mend)
    if counts["bytes"]:
        return failure(
            subject,
            f"{meter.device}: {counts['bytes']} bytes in {listen_s:g} s, and no meter among them",
            f"check the adapter's wiring and its type; `energyd tic probe {meter.device}` tries every speed for longer",
        )
    return failure(
        subject,
        f"{meter.device}: not a byte in {listen_s:g} s",
        "check the wires to I1 and I2 of the meter, and that its TIC is on",
    )
