"""Why there is no energy, and the command that mends it: one sentence for the user per cause.

Outside truth: energy_uj is 0400 root since Linux 5.10 (CVE-2020-8694, INTEL-SA-00389); container runtimes mount something empty
over /sys/devices/virtual/powercap (GHSA-jq35-85cj-fj4p); hypervisors do not hand RAPL on and set the `hypervisor` flag of cpuid;
intel_rapl_msr is the module that registers the zones, of AMD too; perf_event_open(2) asks for CAP_PERFMON or
kernel.perf_event_paranoid <= 0 to count what all tasks do.
The law: say what is missing, where, and what to type.
"""

import errno
import grp
import os
import pwd
from collections.abc import Sequence
from typing import Final, NamedTuple

from energyd.powercap.zone import LENT, SIMULATED, Zone
from energyd.powercap.zones import directories

_READ_SIZE = 1 << 16  # the first processor of cpuinfo with all its flags; a whole mountinfo or modules
_RAPL_VENDORS = ("GenuineIntel", "AuthenticAMD", "HygonGenuine")
DENIED = (errno.EACCES, errno.EPERM)
GROUP: Final = "energyd"
"""What the package calls the group that may read the counters."""
_ESTIMATE = "or let it be estimated: `energy.sources: [auto, model]` with `energy.model_idle_w` and `energy.model_max_w`"


class Account(NamedTuple):
    """Who reads: a user of the machine ('root' for uid 0 of any user namespace), and whether the package's group is there.

    `member`: whether that user is in it.
    """

    user: str
    has_group: bool
    member: bool = True


def _own_account() -> Account:
    uid = os.geteuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's nameless user
        user = str(uid)
    try:
        gid = grp.getgrnam(GROUP).gr_gid
        return Account(user, has_group=True, member=gid in (os.getegid(), *os.getgroups()))
    except KeyError:
        return Account(user, has_group=False)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_READ_SIZE)
    except OSError:
        return ""


def _cpuinfo(procfs_root: str) -> dict[str, str]:
    """The fields of the first processor."""
    first, _, _ = _text(f"{procfs_root}/cpuinfo").partition("\n\n")
    return {key.strip(): value.strip() for key, colon, value in (line.partition(":") for line in first.splitlines()) if colon}


def cpu_vendor(procfs_root: str) -> str:
    """vendor_id of /proc/cpuinfo (GenuineIntel, AuthenticAMD, ...), '' where there is none (ARM)."""
    return _cpuinfo(procfs_root).get("vendor_id", "")


def explain_absence(root: str, procfs_root: str) -> str:
    """Why the powercap tree `root` shows no zone, and what to do. `procfs_root` is /proc or what stands for it."""
    return f"no RAPL zone under {root}: {_cause(root, procfs_root)}"


def _cause(root: str, procfs_root: str) -> str:
    try:
        entries = os.listdir(root)
    except PermissionError:
        return f"the directory may not be listed; run the reader as root or `sudo chmod a+rx {root}`"
    except OSError:
        entries = []
    mounts = (line.split() for line in _text(f"{procfs_root}/self/mountinfo").splitlines())
    masked = any(len(mount) > 4 and mount[4].endswith(("/virtual/powercap", "/class/powercap")) for mount in mounts)
    dangling = any(not os.path.exists(f"{root}/{entry}") for entry in entries)
    if masked or dangling:
        return (
            "the container runtime hides it; start the container with `-v /sys:/host/sys:ro` and set `sysfs_root: /host/sys`, "
            "or with `--security-opt systempaths=unconfined`"
        )
    if directories(root):
        return "the directories are there but none has a readable `name`; check them with `ls -lR`"
    cpu = _cpuinfo(procfs_root)
    if "hypervisor" in cpu.get("flags", "").split():
        return (
            "this is a virtual machine and its hypervisor does not hand RAPL on; run energyd on the host and let it lend the "
            f"machine its share (`energy.guests_dir` there, `powercap_root` here), {_ESTIMATE}"
        )
    if cpu and cpu.get("vendor_id") not in _RAPL_VENDORS:
        return (
            f"this processor has no RAPL (Intel has it since Sandy Bridge, AMD since Zen); use a power sensor (hwmon), {_ESTIMATE}"
        )
    modules = {line.partition(" ")[0] for line in _text(f"{procfs_root}/modules").splitlines()}
    if "intel_rapl_msr" in modules:
        return "intel_rapl_msr is loaded and does not know this processor; see `dmesg | grep -i rapl`, a newer kernel may"
    return (
        "the kernel module is missing; `sudo modprobe intel_rapl_msr`, "
        "and for ever `echo intel_rapl_msr | sudo tee /etc/modules-load.d/energyd.conf`"
    )


def explain(zones: Sequence[Zone], root: str, procfs_root: str, *, host: bool = True, account: Account | None = None) -> list[str]:
    """One sentence for each thing that is amiss with what was found; [] when every zone can be read and understood.

    `root` is the powercap tree. Whether another source is the host, and RAPL is not missed, the zones say themselves; `host` is
    False where none of them is meant to be. `account` is who reads, by default this process.
    """
    sentences = []
    if host and not any(zone.source in ("rapl", LENT, SIMULATED) or zone.additive for zone in zones):
        sentences.append(explain_absence(root, procfs_root))
    causes: dict[tuple[str, bool, int], list[Zone]] = {}
    for zone in zones:
        if zone.read_errno and not zone.dropped:
            causes.setdefault((zone.source, bool(zone.path), zone.read_errno), []).append(zone)
    sentences += [_unreadable(number, among, root, account or _own_account()) for (_, _, number), among in causes.items()]
    rangeless = [zone.name for zone in zones if zone.used and zone.rangeless]
    if rangeless:
        sentences.append(
            f"{', '.join(rangeless)}: max_energy_range_uj is 0 or unreadable; a wrap of the counter is taken for a reset"
        )
    return sentences


def _unreadable(number: int, zones: list[Zone], root: str, account: Account) -> str:
    subject = f"{', '.join(zone.name for zone in zones)}: {zones[0].path or zones[0].device}"
    if number in DENIED and zones[0].source == "rapl" and not zones[0].path:
        return (
            f"{subject} may not be counted ({errno.errorcode[number]}); `sudo sysctl kernel.perf_event_paranoid=0`, "
            "or give the reader CAP_PERFMON"
        )
    if number in DENIED and zones[0].path:
        return f"{subject} may not be read ({errno.errorcode[number]}); {_mend_command(zones, root, account)}"
    if number == errno.ENOENT:
        return f"{subject} does not exist; the zone has no energy counter"
    return f"{subject} cannot be read ({errno.errorcode.get(number, number)}: {os.strerror(number)}); it is tried again"


def _mend_command(zones: list[Zone], root: str, account: Account) -> str:
    """What gives the account the counters: until the next boot, for ever, and without touching files.

    The package has a group for it; elsewhere the user gets them alone, because whoever reads them learns secrets of other programs.
    """
    files = [zone.path for zone in zones]
    if all(os.path.dirname(zone.directory) == root for zone in zones):
        files = [f"{root}/*/energy_uj"]
    if any(zone.rangeless for zone in zones):
        files += [file.replace("/energy_uj", "/max_energy_range_uj") for file in files]
    paths, login = " ".join(files), ""
    if account.has_group:
        give, to = f"sudo chgrp {GROUP} {paths} && sudo chmod g+r {paths}", f"0440 root {GROUP}"
        if not account.member and account.user != "root":
            give, login = f"{give} && sudo adduser {account.user} {GROUP}", " and a new login"
    elif account.user != "root":
        give, to = f"sudo chown {account.user} {paths}", f"0400 {account.user} root"
    else:
        return "root of this container is not root of the machine; start it without user namespace, or run energyd outside of it"
    return (
        f"until the next boot: `{give}`{login}; for ever: in /etc/tmpfiles.d/energyd.conf `z {files[0]} {to}`; "
        "or run energyd as root, or give the reader CAP_DAC_READ_SEARCH"
    )
