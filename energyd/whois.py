"""`energyd whois PID`, `energyd whois --cgroup PATH`: to whom a process or control group belongs, and in which group it counts.

The same rules, names and configuration as those of the aggregator, asked once, without a daemon. Law: what a running energyd says
of a process is what whois says of it, unless a rule has it inherit from a parent that has ended meanwhile.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from energyd import configfile
from energyd.errors import EXIT_OK, EnvironmentFault
from energyd.groups.grouper import Grouper, GroupKey, Member, served_pid
from energyd.groups.names import HostNames
from energyd.groups.rules import FIELDS, Facts
from energyd.procfs.cgroup import Mount
from energyd.procfs.identity import read_process
from energyd.procfs.machine import read_mounts
from energyd.redact import redact
from energyd.terminal import plain

CMDLINE_CHARS: Final = 512
MAX_ANCESTORS: Final = 64
_NAME_FIELDS: Final = {"container": "container_name", "vm": "vm", "pod": "pod"}


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="energyd whois", description="To whom a process or a control group belongs, and in which group its energy counts."
    )
    configfile.add_flags(result)
    result.add_argument("pid", nargs="?", type=int, metavar="PID", help="a process")
    result.add_argument("--cgroup", metavar="PATH", help="a control group instead, as in /proc/PID/cgroup, or its directory")
    result.add_argument("--json", action="store_true", help="one JSON object")
    return result


class Asker:
    """Answers about the processes below `procfs_root`."""

    def __init__(self, procfs_root: str, sysfs_root: str, grouper: Grouper) -> None:
        self._root = procfs_root
        self._mounts: Mapping[str, Mount] = read_mounts(procfs_root, sysfs_root)
        self._grouper = grouper

    def process(self, pid: int) -> dict[str, Any]:
        """Everything that is known of a process; EnvironmentFault when there is none or it may not be read."""
        line: list[dict[str, Any]] = []
        while pid > 0 and len(line) < MAX_ANCESTORS and pid not in [entry["pid"] for entry in line]:
            entry = self._entry(pid, needed=not line)
            if entry is None:
                break
            line.append(entry)
            pid = served_pid(entry) or int(entry["ppid"])
        facts, member = self._place(line)
        said = {"pid": facts.pid, "comm": str(line[0]["comm"]), "cmdline": redact(facts.argv, CMDLINE_CHARS)}
        return {**said, **_told(facts, member.group)}

    def _entry(self, pid: int, needed: bool) -> dict[str, Any] | None:
        try:
            process = read_process(self._root, pid, dict(self._mounts))
        except (OSError, ValueError) as error:
            if not needed:
                return None
            raise EnvironmentFault(f"{self._root}/{pid}: {error}; use the user of energyd or root") from error
        if process is None and needed:
            raise EnvironmentFault(f"no process {pid} under {self._root}; `ps` lists those that there are")
        return None if process is None else process.entry()

    def _place(self, line: list[dict[str, Any]]) -> tuple[Facts, Member]:
        """Of the first in line, whose ancestors are the others."""
        member: Member | None = None
        for entry in reversed(line):
            facts = self._grouper.facts(entry)
            if member is None or not served_pid(entry):
                member = self._grouper.member(facts, member)
        assert member is not None, "BUG: nobody in line"
        return facts, member

    def cgroup(self, path: str) -> dict[str, Any]:
        """Of a control group, whether it exists or not; also by its directory, as /sys/fs/cgroup/system.slice/cron.service."""
        for mount in self._mounts.values():
            point = os.fsdecode(mount.point)
            if path == point or path.startswith(point + "/"):
                path = os.fsdecode(mount.root).rstrip("/") + path[len(point) :]
                break
        return _told(self._grouper.facts_of_cgroup(path), self._grouper.of_cgroup(path))


def _told(facts: Facts, group: GroupKey) -> dict[str, Any]:
    identifier = facts.owner.id if facts.kind == facts.owner.kind else FIELDS["vm"](facts)
    return {
        "cgroup": facts.cgroup,
        "kind": facts.kind,
        "runtime": facts.runtime,
        "id": identifier,
        "name": FIELDS[_NAME_FIELDS[facts.kind]](facts) if facts.kind in _NAME_FIELDS else identifier,
        "image": facts.container.image,
        "pod": FIELDS["pod"](facts),
        "unit": facts.owner.unit,
        "user": FIELDS["user"](facts),
        "group": group.name,
        "environment": group.environment,
    }


def main(argv: Sequence[str]) -> int:
    arguments = parser().parse_args(argv)
    if arguments.pid is not None and arguments.pid < 1:
        parser().error(f"PID: must be at least 1, not {arguments.pid}")
    if (arguments.pid is None) == (arguments.cgroup is None):
        parser().error("give a PID or --cgroup PATH")
    config = configfile.load(arguments.config, os.environ, arguments.set)
    names = HostNames(str(Path(config.procfs_root).parent), lambda _kind, text: print(f"energyd: {text}", file=sys.stderr))
    asker = Asker(config.procfs_root, config.sysfs_root, Grouper(config.groups, names))
    answer = asker.cgroup(arguments.cgroup) if arguments.pid is None else asker.process(arguments.pid)
    if answer["cgroup"].startswith("/.."):
        print(f"energyd: {answer['cgroup']} is seen from another cgroup namespace; ask on the host", file=sys.stderr)
    if arguments.json:
        print(json.dumps(answer))
    else:
        print("\n".join(f"{key:<12} {plain(str(value))}" for key, value in answer.items() if value != ""))
    return EXIT_OK
