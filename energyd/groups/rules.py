"""Rules that make groups: a process belongs to the first rule that matches it, under the name that the rule's template gives.

A superset of process-exporter's matchers (github.com/ncabatoff/process-exporter, README): `comm` and `exe` are lists of which one
must match, `cmdline` a list of regular expressions of which all must; added are `kind`, `runtime`, `cgroup`, `label`, `unit`,
`user` and the label `environment`. A rule without any of these takes whatever reaches it.

Law: pure; a rule that was accepted by `check` never raises, whatever a process calls itself.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import translate
from typing import Final, NamedTuple

from energyd.config import GroupRule
from energyd.expressions import expression
from energyd.groups.cgrouppath import VM, Owner
from energyd.groups.vmm import Guest, base_name

MAX_NAME: Final = 128
DEFAULT_NAME: Final = "{exe}"  # as in process-exporter
DEFAULT_ENVIRONMENT: Final = "host"
_FIELD: Final = re.compile(r"\{\{\s*\.([A-Za-z.]+)\s*\}\}|\{([a-z_]+)(?::([^{}]+))?\}")
_GO_FIELDS: Final = {
    "Comm": "comm",
    "ExeBase": "exe",
    "ExeFull": "exe_full",
    "Username": "user",
    "PID": "pid",
    "StartTime": "start_ticks",
    "Cgroups": "cgroup",
}
_GO_MATCH: Final = "Matches."


class Container(NamedTuple):
    """What the runtime says of a container; all of it may be empty."""

    name: str = ""
    image: str = ""
    labels: Mapping[str, str] = {}
    pod: str = ""
    namespace: str = ""


class Facts(NamedTuple):
    """Everything that a rule may ask about a process, or about a control group alone (then comm, argv and uid say nothing)."""

    owner: Owner
    kind: str
    runtime: str
    cgroup: str
    container: Container = Container()
    guest: Guest | None = None
    comm: str = ""
    argv: Sequence[str] = ()
    uid: int = -1
    user: str = ""  # of the process
    owner_user: str = ""  # whose slice it is in
    pid: int = 0
    start_ticks: int = 0


Matches = Mapping[str, str]
Getter = Callable[[Facts], str]

FIELDS: Final[dict[str, Getter]] = {
    "comm": lambda facts: facts.comm,
    "exe": lambda facts: base_name(facts.argv[0]) if facts.argv else facts.comm,
    "exe_full": lambda facts: facts.argv[0] if facts.argv else facts.comm,
    "user": lambda facts: facts.owner_user or facts.user or (str(facts.uid) if facts.uid >= 0 else ""),
    "uid": lambda facts: str(facts.uid) if facts.uid >= 0 else "",
    "pid": lambda facts: str(facts.pid) if facts.pid else "",
    "start_ticks": lambda facts: str(facts.start_ticks),
    "kind": lambda facts: facts.kind,
    "runtime": lambda facts: facts.runtime,
    "id": lambda facts: facts.owner.id,
    "short_id": lambda facts: facts.owner.id[:12],
    "unit": lambda facts: facts.owner.unit,
    "cgroup": lambda facts: facts.cgroup,
    "container_name": lambda facts: facts.container.name or facts.owner.id[:12],
    "container_id": lambda facts: facts.owner.id,
    "image": lambda facts: facts.container.image,
    "pod": lambda facts: facts.container.pod or facts.owner.pod,
    "namespace": lambda facts: facts.container.namespace,
    "vm": lambda facts: facts.owner.id if facts.owner.kind == VM else _guest_name(facts),
}


_FIELDS_ARE: Final = f"the fields are {', '.join(FIELDS)}, label:KEY and match:NAME"


def _guest_name(facts: Facts) -> str:
    return (facts.guest.name or facts.guest.runtime) if facts.guest else ""


class Template:
    """A text with {fields}, {label:KEY} of the container and {match:NAME} of the rule's own regular expressions."""

    def __init__(self, text: str) -> None:
        """Raises ValueError when a field is unknown."""
        self._parts: list[str | tuple[str, str]] = []
        end = 0
        for found in _FIELD.finditer(text):
            self._literal(text[end : found.start()])
            self._parts.append(_go_field(found[1]) if found[1] else _own_field(found[2], found[3]))
            end = found.end()
        self._literal(text[end:])

    def _literal(self, text: str) -> None:
        if "{" in text or "}" in text:
            raise ValueError(f"has a brace that begins or ends no field; {_FIELDS_ARE}")
        if text:
            self._parts.append(text)

    def named(self, source: str) -> set[str]:
        """The NAMEs of all {match:NAME} or {label:NAME}."""
        return {part[1] for part in self._parts if isinstance(part, tuple) and part[0] == source}

    def render(self, facts: Facts, matches: Matches) -> str:
        """At most MAX_NAME characters; '' when no field has a value."""
        values = [_value(part, facts, matches) for part in self._parts if not isinstance(part, str)]
        if values and not any(values):
            return ""
        filling = iter(values)
        return "".join(part if isinstance(part, str) else next(filling) for part in self._parts)[:MAX_NAME]


def _go_field(name: str) -> tuple[str, str]:
    if name.startswith(_GO_MATCH):
        return "match", name.removeprefix(_GO_MATCH)
    if name in _GO_FIELDS:
        return _GO_FIELDS[name], ""
    raise ValueError(f"{{{{.{name}}}}} is not a field; those of process-exporter are {', '.join(_GO_FIELDS)} and Matches.NAME")


def _own_field(name: str, argument: str | None) -> tuple[str, str]:
    if name in ("label", "match") and argument:
        return name, argument
    if name in FIELDS and argument is None:
        return name, ""
    raise ValueError(f"{{{name}}} is not a field; {_FIELDS_ARE}")


def _value(part: tuple[str, str], facts: Facts, matches: Matches) -> str:
    name, argument = part
    if name == "label":
        return facts.container.labels.get(argument, "")
    return matches.get(argument, "") if name == "match" else FIELDS[name](facts)


class Rule:
    """A rule ready for use. `of_process`: it looks at the process itself, so that its children belong to it too."""

    def __init__(self, rule: GroupRule) -> None:
        """Raises ValueError when an expression or a template is wrong."""
        self._kinds, self._runtimes = frozenset(rule.kind), frozenset(rule.runtime)
        self._cgroup = _regex(rule.cgroup) if rule.cgroup else None
        self._labels = [(key, _regex(pattern)) for key, pattern in rule.label]
        self._units, self._users = _globs(rule.unit), frozenset(rule.user)
        self._comms = _globs(rule.comm)
        self._exe_bases = _globs(tuple(each for each in rule.exe if "/" not in each))
        self._exe_paths = _globs(tuple(each for each in rule.exe if "/" in each))
        self._cmdlines = [_regex(pattern) for pattern in rule.cmdline]
        self.of_process = bool(rule.comm or rule.exe or rule.cmdline)
        self._by_exe = bool(rule.exe)
        self._name = Template(rule.name or DEFAULT_NAME)
        self._environment = Template(rule.environment or DEFAULT_ENVIRONMENT)
        captured = {name for pattern in self._cmdlines for name in pattern.groupindex}
        if missing := (self._name.named("match") | self._environment.named("match")) - captured:
            raise ValueError(f"no expression of cmdline captures {', '.join(sorted(missing))}: write (?P<{min(missing)}>...)")

    def matches(self, facts: Facts, cmdline: str) -> Matches | None:
        """The named captures when the rule matches, else None. `cmdline` is argv joined by spaces."""
        if self._kinds and facts.kind not in self._kinds:
            return None
        if self._runtimes and facts.runtime not in self._runtimes and facts.owner.runtime not in self._runtimes:
            return None
        if self._comms and not self._comms(facts.comm):
            return None
        if self._by_exe and not self._exe_matches(facts):
            return None
        if self._units and not self._units(facts.owner.unit):
            return None
        if self._users and not ({facts.user, str(facts.uid)} & self._users):
            return None
        if self._cgroup and not self._cgroup.search(facts.cgroup):
            return None
        if not all(pattern.search(facts.container.labels.get(key, "")) for key, pattern in self._labels):
            return None
        captures: dict[str, str] = {}
        for pattern in self._cmdlines:
            found = pattern.search(cmdline) if facts.argv else None
            if found is None:
                return None
            captures.update({name: text or "" for name, text in found.groupdict().items()})
        return captures

    def _exe_matches(self, facts: Facts) -> bool:
        if not facts.argv:
            return False
        path = facts.argv[0]
        return bool((self._exe_bases and self._exe_bases(base_name(path))) or (self._exe_paths and self._exe_paths(path)))

    def name(self, facts: Facts, matches: Matches) -> str:
        """Never empty: what the template leaves empty is named by what is known of the owner."""
        return self._name.render(facts, matches) or facts.owner.id[:MAX_NAME] or facts.comm or facts.kind

    def environment(self, facts: Facts, matches: Matches) -> str:
        return self._environment.render(facts, matches) or DEFAULT_ENVIRONMENT


def check(rule: GroupRule) -> None:
    """Raises ValueError, in words that fit after "groups[n]: ", when the rule cannot be used."""
    Rule(rule)


def check_template(text: str) -> str:
    """The text; ValueError when a field in it is unknown."""
    Template(text)
    return text


def _regex(pattern: str) -> re.Pattern[str]:
    try:
        return expression(pattern)
    except ValueError as error:
        raise ValueError(f"{pattern!r}: not a regular expression: {error}") from None


def _globs(patterns: tuple[str, ...]) -> Callable[[str], object] | None:
    """A test whether a text matches one of the shell patterns; None for no patterns."""
    if not patterns:
        return None
    if not any(set(pattern) & set("*?[") for pattern in patterns):
        return frozenset(patterns).__contains__
    return re.compile("|".join(f"(?:{translate(pattern)})" for pattern in patterns)).match
