"""Settings of what is pushed, and of the spools in which it waits."""

from typing import Final

from energyd import settingchecks as check
from energyd.settingrows.row import LABELS, LINE, NAME, PATH, REGULAR_EXPRESSION, Setting
from energyd.settingtypes import Boolean, Choice, Duration, Pairs, Size, Text

SECTIONS: Final = {
    "metrics.push": (
        "Where metrics are sent, for receivers that cannot scrape: one mapping, or a list of them with different names. "
        "VictoriaMetrics gets lines of text (/api/v1/import/prometheus), Prometheus and its kin remote write (/api/v1/write). "
        "`energyd push --check` tries it out."
    ),
    "metrics.spool": "What waits on disk, below state_dir, until a receiver has it. Each receiver has a spool of its own.",
}

ROWS: Final = (
    Setting(
        "metrics.push[].name",
        NAME,
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
    Setting("metrics.push[].username", LINE, "User of basic authentication.", example="energyd"),
    Setting(
        "metrics.push[].password",
        Text("a text", check.one_line, secret=True),
        "Its password; rather name a file, which fewer can read.",
        example='"secret"',
    ),
    Setting(
        "metrics.push[].password_file",
        PATH,
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
        PATH,
        "File that holds the bearer token.",
        example="/etc/energyd/push-token",
    ),
    Setting(
        "metrics.push[].tls_ca_file",
        PATH,
        "PEM file of the authority that has signed the receiver's certificate; without one, those that the system trusts.",
        example="/etc/energyd/push-ca.pem",
    ),
    Setting(
        "metrics.push[].tls_cert_file",
        PATH,
        "PEM file of our own certificate, where the receiver asks for one.",
        example="/etc/energyd/push-cert.pem",
    ),
    Setting("metrics.push[].tls_key_file", PATH, "PEM file of its key.", example="/etc/energyd/push-key.pem"),
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
        LABELS,
        "Labels that every series carries to this receiver, besides those of metrics.labels.",
        example="{site: paris}",
    ),
    Setting(
        "metrics.push[].match",
        REGULAR_EXPRESSION,
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
        "again, because what it had not put on its own disk is lost. 40s outlives a power cut of a receiver that, like Prometheus, "
        "leaves it to Linux to write its files within 35 s.",
        field="keep_s",
    ),
    Setting(
        "metrics.spool.fsync",
        Choice(("tick", "batch", "never")),
        "When samples are forced to the disk, so that a power cut cannot take them: with every tick, with every batch (but at most "
        "every 5 s, to spare flash memory), or never. The death of energyd itself takes none in any case.",
    ),
)
