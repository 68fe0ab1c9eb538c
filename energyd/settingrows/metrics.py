"""Settings of what is served to Prometheus."""

from typing import Final

from energyd import settingchecks as check
from energyd.settingrows.row import LABELS, LINE, PATH, REGULAR_EXPRESSION, Setting
from energyd.settingtypes import Boolean, Integer, Pairs, Switches, Text

SECTIONS: Final = {
    "metrics": "What is served to Prometheus, and pushed.",
}

ROWS: Final = (
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
        LABELS,
        "Labels that every series carries. Prometheus puts its own `instance` and `job` there and keeps these as exported_instance "
        "and exported_job, unless its scrape says honor_labels.",
        example="{location: paris}",
    ),
    Setting(
        "metrics.linky_exporter_name",
        LINE,
        "What the label `job` of the linky_* series says. Prometheus puts its own job there and keeps this one as exported_job, "
        "unless its scrape says honor_labels.",
    ),
    Setting(
        "metrics.families",
        Switches("a mapping of patterns to true or false", REGULAR_EXPRESSION),
        "Which families are shown: a regular expression on the whole name, and true or false. The first that matches decides.",
        example='{energyd_process_cpu_seconds_total: true, "energyd_process_.*": false}',
    ),
    Setting(
        "metrics.rename",
        Pairs("a mapping of patterns to names", REGULAR_EXPRESSION, Text("a name", check.family_name, check.FAMILY_NAME_PATTERN)),
        "New names of families: a regular expression on the whole name, and the name, in which $1 stands for the first group.",
        example='{"energyd_(.*)": home_$1}',
    ),
    Setting(
        "metrics.web_config_file",
        PATH,
        "TLS and users of the server: a web configuration file as node_exporter and Prometheus read it. Changes apply at once.",
        example="/etc/energyd/web.yml",
    ),
    Setting(
        "metrics.bearer_token_file",
        PATH,
        "File with a token: whoever asks must say `Authorization: Bearer TOKEN`, or be a user of web_config_file.",
        example="/etc/energyd/scrape-token",
    ),
)
