"""Which virtual machine a process is, by its command line: the monitors that run one guest per process.

Outside truth: qemu(1) (-name, -uuid, -M), firecracker's docs/getting-started.md and jailer.md (--id), cloud-hypervisor(1)
(--api-socket), crosvm run --help. Law: words in, value out; a process that is no monitor is None.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

QEMU: Final = "qemu"
_QEMU: Final = re.compile(r"qemu-system-\w+|qemu-kvm|kvm")
_MONITORS: Final = {"firecracker": "firecracker", "cloud-hypervisor": "cloud-hypervisor", "crosvm": "crosvm"}
_NAME_OPTIONS: Final = {
    "firecracker": ("--id",),
    "cloud-hypervisor": ("--api-socket",),
    "crosvm": ("--name", "--socket", "-s"),
}
_GUEST: Final = re.compile(r"(?:^|,)guest=((?:[^,]|,,)*)")


class Guest(NamedTuple):
    """`name` is what the command line calls the guest, '' when it gives no name."""

    runtime: str
    name: str


def base_name(word: str) -> str:
    """The last part of a path. A login shell's `-bash` keeps its hyphen."""
    return word.rstrip("/").rpartition("/")[2] or word


def guest_of(argv: Sequence[str]) -> Guest | None:
    """The guest that a process with these words runs, or None."""
    if not argv:
        return None
    program = base_name(argv[0])
    if _QEMU.fullmatch(program):
        return Guest(QEMU, _qemu_name(argv))
    runtime = _MONITORS.get(program)
    if runtime is None:
        return None
    named = next((value for option in _NAME_OPTIONS[runtime] if (value := option_value(argv, option))), "")
    if runtime != "firecracker" and "/" in named:  # a socket stands for its guest
        named = base_name(named).removesuffix(".sock").removesuffix(".socket")
    return Guest(runtime, named)


def option_value(argv: Sequence[str], option: str) -> str:
    """What follows `option`, or stands behind its `=`; '' without it."""
    for index, word in enumerate(argv):
        if word == option:
            return argv[index + 1] if index + 1 < len(argv) else ""
        if word.startswith(option + "="):
            return word[len(option) + 1 :]
    return ""


def _qemu_name(argv: Sequence[str]) -> str:
    """-name guest=NAME,debug-threads=on or -name NAME; a comma in a name is doubled. Else the uuid."""
    said = option_value(argv, "-name") or option_value(argv, "--name")
    guest = _GUEST.search(said)
    name = guest[1] if guest else re.split(r"(?<!,),(?!,)", said, maxsplit=1)[0]
    return name.replace(",,", ",") or option_value(argv, "-uuid")
