"""THE table of settings: every key, its type, its meaning. Defaults stand in `energyd.config`.

The loader's checks, conf/energyd.yml, conf/energyd.schema.json and energyd.yml(5) are all made from these rows, so that none of
them can say what the others do not. A key is a dotted path; `[]` marks the items of a list. Law: a row is here because something
reads it, or it is `Reserved` and refused.
"""

from typing import Any, NamedTuple

from energyd import settingchecks as check
from energyd.config import Config, GroupRule, Meter, Push, Tariff
from energyd.groups.cgrouppath import KINDS, RUNTIMES
from energyd.groups.rules import check_template
from energyd.settingtypes import (
    Boolean,
    Choice,
    Choices,
    Duration,
    Integer,
    Mappings,
    Number,
    Pairs,
    Price,
    Prices,
    Reserved,
    SettingType,
    Size,
    Switches,
    Text,
    Texts,
)


class Setting(NamedTuple):
    """`field`: its name in Config where that has a unit; `example`: YAML where there is no default; `required`: in its item."""

    key: str
    type: SettingType
    help: str
    example: str = ""
    field: str = ""
    required: bool = False

    @property
    def leaf(self) -> str:
        return self.key.rpartition(".")[2]

    @property
    def reserved(self) -> bool:
        return isinstance(self.type, Reserved)


_NAMES = Text("a regular expression", check.regular_expression)
_PATH = Text("an absolute path", check.absolute_path, check.PATH_PATTERN)

_PATTERN = Text("a shell pattern", check.one_line)

SECTIONS: dict[str, str] = {
    "meters": "The electricity meters that are listened to, one entry each. No meter is looked for on its own.",
    "metrics": "What is served to Prometheus, and pushed.",
    "metrics.push": (
        "Where metrics are sent, for receivers that cannot scrape: one mapping, or a list of them with different names. "
        "VictoriaMetrics gets lines of text (/api/v1/import/prometheus), Prometheus and its kin remote write (/api/v1/write). "
        "`energyd push --check` tries it out."
    ),
    "metrics.spool": "What waits on disk, below state_dir, until a receiver has it. Each receiver has a spool of its own.",
    "energy": "The host's own energy counters.",
    "usage": "Who used the processor.",
    "tariffs": (
        "What energy costs, in dated tables: a day is priced by the table that is valid on it. Without a table no cost is told. "
        "Prices are yours; conf/examples/tariffs.yml shows tables of each kind."
    ),
    "groups": (
        "Groups of processes, so that energy can be asked for by what one cares about. A process belongs to the first rule of "
        "which every selector matches, or its parent belongs to by comm, exe or cmdline; after these rules come the shipped ones: "
        "containers, virtual machines, slurm jobs, users, systemd units, control groups, commands. A rule without selectors takes "
        "whatever reaches it. name and environment are texts with fields: {comm} {exe} {exe_full} {user} {uid} {pid} {start_ticks} "
        "{kind} {runtime} {id} {short_id} {unit} {cgroup} {container_name} {container_id} {image} {pod} {namespace} {vm}, "
        "{label:KEY} of the container, {match:NAME} of cmdline. The configuration of process-exporter is understood as it is: "
        "groups: {process_names: [...]}."
    ),
    "log": "What the processes say on stderr.",
}

LISTS: dict[str, type[Any]] = {"meters": Meter, "metrics.push": Push, "tariffs": Tariff, "groups": GroupRule}
"""Sections that are lists of items; metrics.push may also be one item."""

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "meters[].name",
        Text("1 to 32 of a-z, 0-9, _ and -", check.name, check.NAME_PATTERN),
        "Name of the meter in file names and labels, different for each: 1 to 32 of a-z, 0-9, _ and -.",
        example="linky",
    ),
    Setting(
        "meters[].device",
        Text("a tty, socket://host:port, rfc2217://host:port or file:/PATH", check.device, check.DEVICE_PATTERN),
        "Where the meter is heard: a tty, socket://host:port (TCP), rfc2217://host:port (a port server) or file:/PATH (a capture).",
        example="/dev/ttyUSB0",
        required=True,
    ),
    Setting(
        "meters[].mode",
        Choice(("auto", "historique", "standard")),
        "Mode of the customer tele-information; auto finds mode and speed by listening.",
        example="auto",
    ),
    Setting(
        "meters[].pdl",
        Text("14 digits", check.pdl, check.PDL_PATTERN, digits=True),
        "Point de livraison, 14 digits. A meter in standard mode says it itself (PRM), one in historique mode does not.",
        example='"09876543210123"',
    ),
    Setting(
        "meters[].role",
        Choice(("house", "production")),
        "What the meter counts: what the house draws and gives back, or, as a meter of its own, what is produced.",
        example="house",
    ),
    Setting(
        "meters[].link_timeout",
        Duration(1, 3600),
        "How long a meter may say no good frame before it counts as lost and its speed and mode are looked for again; Enedis asks "
        "for 10 s.",
        example="10s",
        field="link_timeout_s",
    ),
    Setting("metrics.enabled", Boolean(), "Whether /metrics is served."),
    Setting("metrics.listen", Text("an address or a host name", check.host), "Address to listen on; 0.0.0.0 or :: for all."),
    Setting("metrics.port", Integer(1, 65535), "TCP port to listen on."),
    Setting(
        "metrics.path",
        Text("a path such as /metrics", check.metrics_path, check.METRICS_PATH_PATTERN),
        "Path of the metrics.",
    ),
    Setting(
        "metrics.labels",
        Pairs(
            "a mapping of label names to texts",
            Text("a label name", check.label_name, check.LABEL_PATTERN),
            Text("a text", check.anything),
        ),
        "Labels that every series carries. Prometheus overwrites `instance` and `job` unless its scrape says honor_labels.",
        example="{location: paris}",
    ),
    Setting(
        "metrics.linky_exporter_name",
        Text("a text", check.one_line),
        "What the label `job` of the linky_* series says. Prometheus puts its own job there and keeps this one as exported_job, "
        "unless its scrape says honor_labels.",
    ),
    Setting(
        "metrics.families",
        Switches("a mapping of patterns to true or false", _NAMES),
        "Which families are shown: a regular expression on the whole name, and true or false. The first that matches decides.",
        example='{energyd_process_cpu_seconds_total: true, "energyd_process_.*": false}',
    ),
    Setting(
        "metrics.rename",
        Pairs("a mapping of patterns to names", _NAMES, Text("a name", check.family_name, check.FAMILY_NAME_PATTERN)),
        "New names of families: a regular expression on the whole name, and the name, in which $1 stands for the first group.",
        example='{"energyd_(.*)": home_$1}',
    ),
    Setting(
        "metrics.web_config_file",
        _PATH,
        "TLS and users of the server: a web configuration file as node_exporter and Prometheus read it. Changes apply at once.",
        example="/etc/energyd/web.yml",
    ),
    Setting(
        "metrics.bearer_token_file",
        _PATH,
        "File with a token: whoever asks must say `Authorization: Bearer TOKEN`, or be a user of web_config_file.",
        example="/etc/energyd/scrape-token",
    ),
    Setting(
        "metrics.push[].name",
        Text("1 to 32 of a-z, 0-9, _ and -", check.name, check.NAME_PATTERN),
        "Name of the receiver in logs and metrics, different for each: 1 to 32 of a-z, 0-9, _ and -.",
        example="push",
    ),
    Setting("metrics.push[].enabled", Boolean(), "Whether metrics are sent to this receiver.", example="true"),
    Setting(
        "metrics.push[].url",
        Text("a URL of http or https", check.url, check.URL_PATTERN, secret=True),
        "Where to send to.",
        example="http://victoriametrics:8428/api/v1/import/prometheus",
        required=True,
    ),
    Setting(
        "metrics.push[].protocol",
        Choice(("auto", "victoriametrics", "remote_write")),
        "What is spoken: lines of text or remote write; auto tells it from the end of the url's path. Remote write is spoken in "
        "version 2.0 to receivers that confirm what they have written, in 1.0 to all others.",
        example="auto",
    ),
    Setting(
        "metrics.push[].resolution",
        Duration(0.1, 86400),
        "Time from one sample of a series to the next; all samples of an interval are sent together.",
        example="1s",
        field="resolution_s",
    ),
    Setting("metrics.push[].interval", Duration(1, 86400), "Time from one push to the next.", example="15s", field="interval_s"),
    Setting("metrics.push[].username", Text("a text", check.one_line), "User of basic authentication.", example="energyd"),
    Setting(
        "metrics.push[].password",
        Text("a text", check.one_line, secret=True),
        "Its password; rather name a file, which fewer can read.",
        example='"secret"',
    ),
    Setting(
        "metrics.push[].password_file",
        _PATH,
        "File that holds the password.",
        example="/etc/energyd/push-password",
    ),
    Setting(
        "metrics.push[].bearer_token",
        Text("a text", check.header_value, secret=True),
        "Bearer token; rather name a file, which fewer can read.",
        example='"secret"',
    ),
    Setting(
        "metrics.push[].bearer_token_file",
        _PATH,
        "File that holds the bearer token.",
        example="/etc/energyd/push-token",
    ),
    Setting(
        "metrics.push[].tls_ca_file",
        _PATH,
        "PEM file of the authority that has signed the receiver's certificate; without one, those that the system trusts.",
        example="/etc/energyd/push-ca.pem",
    ),
    Setting(
        "metrics.push[].tls_cert_file",
        _PATH,
        "PEM file of our own certificate, where the receiver asks for one.",
        example="/etc/energyd/push-cert.pem",
    ),
    Setting("metrics.push[].tls_key_file", _PATH, "PEM file of its key.", example="/etc/energyd/push-key.pem"),
    Setting(
        "metrics.push[].proxy",
        Text("a URL of http", check.proxy, check.PROXY_PATTERN, secret=True),
        "HTTP proxy on the way; those of the environment are not used.",
        example="http://proxy:3128",
    ),
    Setting(
        "metrics.push[].headers",
        Pairs(
            "a mapping of header names to texts",
            Text("a header name", check.header_name, check.HEADER_PATTERN),
            Text("a text", check.header_value, secret=True),
        ),
        "Headers added to each request.",
        example="{X-Custom-Header: value}",
    ),
    Setting(
        "metrics.push[].labels",
        Pairs(
            "a mapping of label names to texts",
            Text("a label name", check.label_name, check.LABEL_PATTERN),
            Text("a text", check.anything),
        ),
        "Labels that every series carries to this receiver, besides those of metrics.labels.",
        example="{site: paris}",
    ),
    Setting(
        "metrics.push[].match",
        Text("a regular expression", check.regular_expression),
        "Regular expression that a metric's name must match to be sent; without one, all are.",
        example='"energyd_.*"',
    ),
    Setting(
        "metrics.spool.max_bytes",
        Size(1 << 20, 1 << 50),
        "Largest size of a spool; when it is reached, the oldest samples give way and are counted.",
    ),
    Setting(
        "metrics.spool.max_age",
        Duration(60, 366 * 86400),
        "Age at which samples are given up and counted. Prometheus without an out-of-order window takes none older than an hour.",
        field="max_age_s",
    ),
    Setting(
        "metrics.spool.keep",
        Duration(0, 3600),
        "How long samples are kept after a receiver has acknowledged them: when it turns out to have been restarted, it gets them "
        "again, because what it had not put on its own disk is lost.",
        field="keep_s",
    ),
    Setting(
        "metrics.spool.fsync",
        Choice(("tick", "batch", "never")),
        "When samples are forced to the disk, so that a power cut cannot take them: with every tick, with every batch (but at most "
        "every 5 s, to spare flash memory), or never. The death of energyd itself takes none in any case.",
    ),
    Setting("energy.rate_hz", Number(0.1, 1000, "Hz"), "How often the energy counters are read."),
    Setting(
        "energy.idle",
        Choice(("separate", "proportional")),
        "What becomes of the energy that the idle host uses: shown apart, or shared among processes by their CPU time.",
    ),
    Setting(
        "energy.dram",
        Choice(("cpu_time", "memory")),
        "What the energy of memory is shared by: CPU time of processes, which stands for their traffic, or their resident memory.",
    ),
    Setting(
        "energy.sources",
        Choices(("auto", "rapl", "psys", "hwmon", "battery", "nvidia", "meter", "model")),
        "What is read, in order of preference: the first that is there is the host, the others are shown beside it. auto is rapl, "
        "hwmon, battery and nvidia (GPUs, never summed). psys counts the platform instead of the packages and their memory; "
        "meter, at the first place, takes what a meter shows for the host's power; model estimates, see model_idle_w.",
    ),
    Setting(
        "energy.model_idle_w",
        Number(0, 100_000, "W"),
        "For the source model: power of the machine when it is idle. What is estimated is labelled so.",
        example="25",
    ),
    Setting(
        "energy.model_max_w",
        Number(0, 100_000, "W"),
        "For the source model: power of the machine when all its CPUs are busy.",
        example="95",
    ),
    Setting(
        "energy.guests_dir",
        _PATH,
        "Directory in which each virtual machine gets a powercap tree of its own share, below the name of its group, to be mounted "
        "into it through virtiofs or 9p and read there by an energyd (powercap_root) or a Scaphandre. Without it, nothing is lent.",
        example="/var/lib/energyd/guests",
    ),
    Setting(
        "energy.price_eur_per_kwh",
        Price(),
        "Price of a kilowatt-hour where no meter says which tariff is in force.",
        example="0.2016",
    ),
    Setting("usage.rate_hz", Number(0.1, 100, "Hz"), "How often the CPU clocks of all processes are read."),
    Setting("usage.top", Integer(0, 10_000), "How many processes, by energy, have series of their own; the rest is 'other'."),
    Setting(
        "usage.max_groups",
        Integer(0, 10_000),
        "How many groups, by energy, have series of their own; the rest is 'other'.",
    ),
    Setting(
        "tariffs[].name",
        Text("1 to 32 of a-z, 0-9, _ and -", check.name, check.NAME_PATTERN),
        "Name of the table, different for each: 1 to 32 of a-z, 0-9, _ and -.",
        example="hchp-2026",
        required=True,
    ),
    Setting(
        "tariffs[].meter",
        Text("1 to 32 of a-z, 0-9, _ and -", check.name, check.NAME_PATTERN),
        "Name of the meter that it is for; without one, it is for all that have no table of their own that day.",
        example="linky",
    ),
    Setting(
        "tariffs[].valid_from",
        Text("a date, YYYY-MM-DD", check.date, check.DATE_PATTERN),
        "First day, YYYY-MM-DD.",
        example="2026-02-01",
        required=True,
    ),
    Setting(
        "tariffs[].valid_to",
        Text("a date, YYYY-MM-DD", check.date, check.DATE_PATTERN),
        "Last day, YYYY-MM-DD; without one, until the next table begins.",
        example="2027-01-31",
    ),
    Setting(
        "tariffs[].subscription_eur_per_month",
        Price(10_000),
        "What is paid for each month, whatever is used.",
        example="15.65",
    ),
    Setting(
        "tariffs[].prices",
        Prices(),
        "Euros per kilowatt-hour by register of the meter (HCHC, EASF01, EAIT for what is injected) or by period: base, hc, hp, "
        "tempo_blue_hc, tempo_blue_hp, tempo_white_hc, tempo_white_hp, tempo_red_hc, tempo_red_hp, ejp_normal, ejp_peak, "
        "weekend, weekend_hc, weekend_hp, injected. A register goes before its period.",
        example="{hc: 0.1579, hp: 0.2065}",
    ),
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
        Text("a regular expression", check.regular_expression),
        "Regular expression that is looked for in the path of the control group.",
        example="^/user\\.slice/",
    ),
    Setting(
        "groups[].label",
        Pairs(
            "a mapping of a container's labels to regular expressions",
            Text("a label", check.one_line),
            Text("a regular expression", check.regular_expression),
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
        Texts(Text("a regular expression", check.regular_expression)),
        "Regular expressions, all of which are found in the command line, its words joined by spaces.",
        example="['-j ?[0-9]+']",
    ),
    Setting("log.level", Choice(("debug", "info", "warning", "error", "critical")), "The least severe event that is logged."),
    Setting("log.format", Choice(("text", "json", "journal")), "One line an event: text, a JSON object, or systemd's <priority>."),
    Setting(
        "run_dir",
        _PATH,
        "Directory of the rings and of config.json. It must be on a tmpfs.",
    ),
    Setting("state_dir", _PATH, "Directory of what outlives a restart: totals and baselines."),
    Setting("sysfs_root", _PATH, "Where sysfs is mounted; in a container, where the host's is."),
    Setting(
        "powercap_root",
        _PATH,
        "Where the powercap tree is, if not in class/powercap of sysfs_root: in a virtual machine, where the share that its host "
        "lends is mounted.",
    ),
    Setting("procfs_root", _PATH, "Where procfs is mounted; in a container, where the host's is."),
    Setting(
        "timezone",
        Text("a name of the time zone database", check.timezone),
        "Time zone in which days, months and tariffs begin, whatever the shell's TZ is.",
    ),
    Setting("units", Reserved(Mappings()), "Further units of energy."),
    Setting(
        "compatibility",
        Choices(("linky_exporter", "myelectricaldata", "scaphandre")),
        "Metric families of other programs that are served as well, under the names that those gave them.",
    ),
)

DERIVED = ("simulated", "clock", "meters[].simulated", "metrics.push_enabled")
"""Fields of Config that no row gives: what `energyd run` finds out, and what follows from rows."""

_BY_KEY = {setting.key: setting for setting in SETTINGS}


def setting(key: str) -> Setting | None:
    return _BY_KEY.get(key)


def children(section: str) -> tuple[str, ...]:
    """The names directly below a section ('' is the top, 'meters[]' an item of a list), in the table's order."""
    prefix = section + "." if section else ""
    names = (key[len(prefix) :].split(".")[0].removesuffix("[]") for key in _BY_KEY if key.startswith(prefix))
    return tuple(dict.fromkeys(names))


def default(row: Setting) -> Any:
    """What Config holds when the key is absent; ITEM_DEFAULTS give what an item of a list cannot leave to its class."""
    if row.key in ITEM_DEFAULTS:
        return ITEM_DEFAULTS[row.key]
    section, _, _ = row.key.rpartition(".")
    field = row.field or row.leaf
    if section.endswith("[]"):
        return LISTS[section.removesuffix("[]")]._field_defaults.get(field)
    holder: Any = Config()
    for step in section.split(".") if section else ():
        holder = getattr(holder, step)
    return getattr(holder, field)


ITEM_DEFAULTS: dict[str, Any] = {"meters[].name": "linky", "metrics.push[].name": "push", "metrics.push[].enabled": True}
