"""Each program gets the rights that it needs, and not all that `energyd run` was started with.

Outside truth: capabilities(7), setpriv(1). A program that is executed as uid 0 is given all of its bounding set; any other is given
its ambient set. setpriv narrows both and then becomes the program, so nothing more runs and no reader pays for it. What belongs to
uid 0 stays open to a program of uid 0. Law: rights are only ever taken away, and none that is not there is asked for.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

TOOL: Final = "setpriv"
OWN_STATUS: Final = Path("/proc/self/status")
NUMBERS: Final = {"dac_override": 1, "net_bind_service": 10, "net_admin": 12, "sys_ptrace": 19, "perfmon": 38}
"""Those that some program may keep (include/uapi/linux/capability.h)."""


class Rights(NamedTuple):
    """`permitted`: the capabilities of this process, a bit each. `droppable`: whether the tool can take them from a program."""

    uid: int = -1
    permitted: int = 0
    droppable: bool = False

    def command(self, kept: Sequence[str]) -> tuple[str, ...]:
        """What stands before a program that keeps no more than these capabilities."""
        if not self.droppable:
            return ()
        held = [name for name in kept if self.permitted >> NUMBERS[name] & 1]
        narrowed = ",".join(["-all", *(f"+{name}" for name in held)])
        if self.uid == 0:
            return (TOOL, f"--bounding-set={narrowed}", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs", "--")
        return (TOOL, f"--inh-caps={narrowed}", f"--ambient-caps={narrowed}", "--no-new-privs", "--")


NO_RIGHTS: Final = Rights()
"""Of who has nothing that could be dropped."""


def permitted(status: str) -> int:
    """The permitted capabilities of a process whose /proc/PID/status is this (proc(5)); 0 where it says nothing of them."""
    return next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapPrm:")), 0)


def rights(uid: int) -> Rights:
    """Of this process. What the tool does is looked at, because a container may have taken from root the right to take rights away
    (CAP_SETPCAP), of which the tool says nothing."""
    held = permitted(OWN_STATUS.read_text())
    if not held or shutil.which(TOOL) is None:
        return Rights(uid, held)
    wanted = Rights(uid, held, droppable=True)
    tried = subprocess.run([*wanted.command(()), "cat", OWN_STATUS], capture_output=True, text=True, check=False)
    return wanted._replace(droppable=tried.returncode == 0 and not permitted(tried.stdout))
