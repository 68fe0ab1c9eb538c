"""Settings of energyd as a whole: log, directories, time zone, names of other programs."""

from typing import Final

from energyd import settingchecks as check
from energyd.settingrows.row import PATH, Setting
from energyd.settingtypes import Choice, Choices, Mappings, Reserved, Text

SECTIONS: Final = {
    "log": "What the processes say on stderr.",
}

ROWS: Final = (
    Setting("log.level", Choice(("debug", "info", "warning", "error", "critical")), "The least severe event that is logged."),
    Setting("log.format", Choice(("text", "json", "journal")), "One line an event: text, a JSON object, or systemd's <priority>."),
    Setting(
        "run_dir",
        PATH,
        "Directory of the rings and of config.json. It must be on a tmpfs.",
    ),
    Setting("state_dir", PATH, "Directory of what outlives a restart: totals and baselines."),
    Setting("sysfs_root", PATH, "Where sysfs is mounted; in a container, where the host's is."),
    Setting(
        "powercap_root",
        PATH,
        "Where the powercap tree is, if not in class/powercap of sysfs_root: in a virtual machine, where the share that its host "
        "lends is mounted.",
    ),
    Setting("procfs_root", PATH, "Where procfs is mounted; in a container, where the host's is."),
    Setting(
        "timezone",
        Text("a name of the time zone database", check.timezone),
        "Time zone in which days, months and tariffs begin, whatever the shell's TZ is.",
    ),
    Setting("units", Reserved(Mappings()), "Further units of energy."),
    Setting(
        "compatibility",
        Choices(("linky_exporter", "myelectricaldata", "scaphandre", "node_exporter", "cadvisor")),
        "Metric families of other programs that are served as well, under the names that those gave them. node_exporter (CPU, "
        "memory, load, disks and network of the machine) and cadvisor (those of containers) are not among them as shipped.",
    ),
)
