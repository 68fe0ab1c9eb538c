"""Settings of the rules that make groups of processes."""

from typing import Final

from energyd import settingchecks as check
from energyd.groups.cgrouppath import KINDS, RUNTIMES
from energyd.groups.rules import check_template
from energyd.settingrows.row import REGULAR_EXPRESSION, Setting
from energyd.settingtypes import Choice, Pairs, Text, Texts

SECTIONS: Final = {
    "groups": (
        "Groups of processes, so that energy can be asked for by what one cares about. A process belongs to the first rule of "
        "which every selector matches, or its parent belongs to by comm, exe or cmdline; after these rules come the shipped ones: "
        "containers, virtual machines, slurm jobs, users, systemd units, control groups, commands. A rule without selectors takes "
        "whatever reaches it. name and environment are texts with fields: {comm} {exe} {exe_full} {user} {uid} {pid} {start_ticks} "
        "{kind} {runtime} {id} {short_id} {unit} {cgroup} {container_name} {container_id} {image} {pod} {namespace} {vm}, "
        "{label:KEY} of the container, {match:NAME} of cmdline. The configuration of process-exporter is understood as it is: "
        "groups: {process_names: [...]}."
    ),
}

_PATTERN = Text("a shell pattern", check.one_line)

ROWS: Final = (
    Setting(
        "groups[].name",
        Text("a text with fields such as {comm}", check_template),
        "Name of the group; {exe} if there is none.",
        example='"build of {user}"',
    ),
    Setting(
        "groups[].environment",
        Text("a text with fields such as {label:KEY}", check_template),
        "What the group counts as, so that kinds of running the same thing compare in one query; host if there is none.",
        example="host",
    ),
    Setting(
        "groups[].kind",
        Texts(Choice(KINDS)),
        "What a process is part of, by its control group and command line.",
        example="[unit, user]",
    ),
    Setting("groups[].runtime", Texts(Choice(RUNTIMES)), "Who runs it.", example="systemd"),
    Setting(
        "groups[].cgroup",
        REGULAR_EXPRESSION,
        "Regular expression that is looked for in the path of the control group.",
        example="^/user\\.slice/",
    ),
    Setting(
        "groups[].label",
        Pairs(
            "a mapping of a container's labels to regular expressions",
            Text("a label", check.one_line),
            REGULAR_EXPRESSION,
        ),
        "Labels of the container with a regular expression for the value of each.",
        example="{com.example.project: .+}",
    ),
    Setting(
        "groups[].unit",
        Texts(_PATTERN),
        "Units of systemd, one of which it is in.",
        example='["session-*.scope", user@*.service]',
    ),
    Setting(
        "groups[].user", Texts(Text("a user name or id", check.one_line, digits=True)), "Users, by name or id.", example="[alice]"
    ),
    Setting("groups[].comm", Texts(_PATTERN), "Names of processes, as in /proc/PID/comm.", example="[make, ninja]"),
    Setting(
        "groups[].exe",
        Texts(_PATTERN),
        "First words of command lines: the last part of the path, or all of it in a pattern with a slash.",
        example="[make, /usr/bin/*]",
    ),
    Setting(
        "groups[].cmdline",
        Texts(REGULAR_EXPRESSION),
        "Regular expressions, all of which are found in the command line, its words joined by spaces.",
        example="['-j ?[0-9]+']",
    ),
)
