"""From what the labels of the usage ring say of a process to the group that it belongs to.

A process matches a rule if it does so itself or if its parent belongs to that rule by what the parent is (`comm`, `exe`,
`cmdline`); the first rule that matches wins. Kinship ends at the border of a container, a virtual machine or a job. The rules of
the configuration come first, the shipped ones after them.

Law: every process and every control group has exactly one group. What is looked up elsewhere (names of containers and users) comes
in through `Names`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from energyd.config import GroupRule
from energyd.groups.cgrouppath import CGROUP as PLAIN
from energyd.groups.cgrouppath import CONTAINER, HOST, JOB, KERNEL, POD, UNIT, USER, VM, Owner, owner_of
from energyd.groups.rules import Container, Facts, Rule
from energyd.groups.shipped import SHIPPED
from energyd.groups.vmm import guest_of

_KTHREADD: Final = 2
_SERVES: Final = re.compile(r"(?:vhost|kvm-pit|kvm-nx-lpage-re|kvm-nx-lpage-recovery)[-/](\d+)")
"""Kernel threads that work for one process bear its pid (drivers/vhost before Linux 6.4, arch/x86/kvm)."""
_CLOSED: Final = (CONTAINER, POD, VM, JOB)


class GroupKey(NamedTuple):
    """What makes a group: all that its series are labelled with."""

    environment: str
    name: str
    kind: str
    runtime: str


class Member(NamedTuple):
    """Where a process belongs and why: `rule` is the place of the rule, `heritable` whether its children share it."""

    group: GroupKey
    rule: int
    heritable: bool
    within: str  # the container, machine or job around it, '' = none

    @classmethod
    def restored(cls, saved: Sequence[Any]) -> "Member":
        """From [[environment, name, kind, runtime], rule, heritable, within]."""
        group, rule, heritable, within = saved
        return cls(GroupKey(*group), rule, heritable, within)


class Names(Protocol):
    """Looks up what the kernel does not know. Must answer, with something empty if need be, and may answer from memory."""

    def container(self, runtime: str, identifier: str, /) -> Container: ...

    def user(self, uid: int, /) -> str: ...


class Nameless:
    """Knows no names."""

    def container(self, _runtime: str, _identifier: str, /) -> Container:
        return Container()

    def user(self, _uid: int, /) -> str:
        return ""


class Grouper:
    """Rules and names. `fingerprint` is another one when the rules are others."""

    def __init__(self, rules: Sequence[GroupRule] = (), names: Names | None = None) -> None:
        self._rules = [Rule(rule) for rule in (*rules, *SHIPPED)]
        self._names = names or Nameless()
        self.fingerprint = repr((*rules, *SHIPPED))

    def facts(self, entry: Mapping[str, Any]) -> Facts:
        """Of a process, from its label: pid, start_ticks, comm, argv, uid, ppid, cgroup; all but the pid may be missing."""
        argv, comm, uid = entry.get("argv", ()), str(entry.get("comm", "")), int(entry.get("uid", -1))
        path = str(entry.get("cgroup", "/"))
        owner = owner_of(path)
        guest = guest_of(argv) if owner.kind not in (JOB, POD) else None
        kind, runtime = owner.kind, owner.runtime
        if is_kernel_thread(entry) and kind in (HOST, PLAIN, UNIT):
            kind, runtime, comm = KERNEL, "", _kernel_name(comm)
        elif guest and kind in (UNIT, USER, PLAIN, HOST):
            kind, runtime = VM, guest.runtime
        return Facts(
            owner=owner,
            kind=kind,
            runtime=runtime,
            cgroup=path,
            container=self.container(owner),
            guest=guest,
            comm=comm,
            argv=argv,
            uid=uid,
            user=self._names.user(uid) if uid >= 0 else "",
            owner_user=self._user_of(owner),
            pid=int(entry.get("pid", 0)),
            start_ticks=int(entry.get("start_ticks", 0)),
        )

    def member(self, facts: Facts, parent: Member | None) -> Member:
        """Where a process with these facts belongs."""
        cmdline = " ".join(facts.argv)
        within = f"{facts.owner.kind} {facts.owner.id}" if facts.owner.kind in _CLOSED else ""
        heir = parent if parent is not None and parent.heritable and within in ("", parent.within) else None
        for place, rule in enumerate(self._rules):
            matches = rule.matches(facts, cmdline)
            if matches is not None:
                key = GroupKey(rule.environment(facts, matches), rule.name(facts, matches), facts.kind, facts.runtime)
                return Member(key, place, rule.of_process, within)
            if heir is not None and heir.rule == place:
                return heir._replace(within=within)
        raise AssertionError("BUG: the last of the shipped rules takes everything")

    def of_cgroup(self, path: str) -> GroupKey:
        """The group of what a control group used when nobody knows which process it was."""
        return self.member(self.facts_of_cgroup(path), None).group

    def facts_of_cgroup(self, path: str) -> Facts:
        """What its path alone tells."""
        owner = owner_of(path)
        return Facts(owner, owner.kind, owner.runtime, path, self.container(owner), owner_user=self._user_of(owner))

    def _user_of(self, owner: Owner) -> str:
        return (self._names.user(int(owner.user)) or owner.user) if owner.user else ""

    def container(self, owner: Owner) -> Container:
        """The names of a container, as far as they are known."""
        return self._names.container(owner.runtime, owner.id) if owner.kind == CONTAINER else Container()


def is_kernel_thread(entry: Mapping[str, Any]) -> bool:
    return not entry.get("argv") and _KTHREADD in (entry.get("ppid"), entry.get("pid"))


def served_pid(entry: Mapping[str, Any]) -> int:
    """The pid of the process that a kernel thread works for, 0 = none."""
    found = _SERVES.fullmatch(str(entry.get("comm", ""))) if is_kernel_thread(entry) else None
    return int(found[1]) if found else 0


def _kernel_name(comm: str) -> str:
    """kworker/u8:3-events_unbound is a kworker, ksoftirqd/0 a ksoftirqd."""
    return comm.partition("/")[0]
