"""The configuration as one frozen object, and its JSON form that the workers read.

`energyd.settings` holds the table of keys, `energyd.configfile` reads YAML, environment and flags into a `Config`; the parent
writes it to `run_dir/config.json`, and every worker gets it from there with `read`. So no worker imports YAML, and all of them
see the same values. NamedTuples, because a reader process pays 1 MB for dataclasses.
"""

import json
from typing import Any, NamedTuple

from energyd.errors import ConfigError


class Meter(NamedTuple):
    """A Linky or older meter. `device`: a tty, socket://host:port, rfc2217://host:port or file:PATH."""

    name: str
    device: str
    mode: str = "auto"  # auto | historique | standard
    pdl: str | None = None
    simulated: bool = False
    role: str = "house"  # house | production
    link_timeout_s: float = 10.0


class Energy(NamedTuple):
    rate_hz: float = 10.0
    idle: str = "separate"  # separate | proportional
    dram: str = "cpu_time"  # cpu_time | memory
    sources: tuple[str, ...] = ("auto",)  # in order of preference: auto | rapl | psys | hwmon | battery | nvidia | meter | model
    model_idle_w: float | None = None
    model_max_w: float | None = None
    guests_dir: str | None = None
    price_eur_per_kwh: float | None = None


class Tariff(NamedTuple):
    """What a kilowatt-hour costs from one local day to another, both included. `prices`: (register or period, euros)."""

    name: str
    valid_from: str  # YYYY-MM-DD
    valid_to: str | None = None
    meter: str | None = None  # None = every meter
    subscription_eur_per_month: float = 0.0
    prices: tuple[tuple[str, float], ...] = ()


class Usage(NamedTuple):
    rate_hz: float = 2.0
    top: int = 50
    max_groups: int = 100


class GroupRule(NamedTuple):
    """A group of processes. `name` and `environment` are templates, '' = the default; every selector that is given must match.

    `cgroup`, `label` values and `cmdline` are regular expressions, `unit`, `comm` and `exe` shell patterns of which one must match.
    """

    name: str = ""
    environment: str = ""
    kind: tuple[str, ...] = ()
    runtime: tuple[str, ...] = ()
    cgroup: str | None = None
    label: tuple[tuple[str, str], ...] = ()
    unit: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    comm: tuple[str, ...] = ()
    exe: tuple[str, ...] = ()
    cmdline: tuple[str, ...] = ()


class Push(NamedTuple):
    """One receiver. `match`: a regular expression on the metric name, None = all."""

    name: str
    url: str
    interval_s: float = 15.0
    username: str | None = None
    password: str | None = None
    password_file: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    match: str | None = None
    protocol: str = "auto"  # auto (by the path of the url) | victoriametrics | remote_write
    resolution_s: float = 1.0
    bearer_token: str | None = None
    bearer_token_file: str | None = None
    tls_ca_file: str | None = None
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    proxy: str | None = None
    labels: tuple[tuple[str, str], ...] = ()


class Spool(NamedTuple):
    """Of each receiver. `keep_s`: how long what it has acknowledged is kept, in case that it is killed and has lost it."""

    max_bytes: int = 1 << 30
    max_age_s: float = 7 * 86400.0
    keep_s: float = 30.0
    fsync: str = "batch"  # tick | batch | never


class Metrics(NamedTuple):
    enabled: bool = True
    listen: str = "127.0.0.1"
    port: int = 9836
    path: str = "/metrics"
    labels: tuple[tuple[str, str], ...] = ()
    families: tuple[tuple[str, bool], ...] = ()  # (pattern of names, shown)
    rename: tuple[tuple[str, str], ...] = ()  # (pattern of names, replacement)
    web_config_file: str | None = None
    bearer_token_file: str | None = None
    linky_exporter_name: str = "linky-exporter"
    push_enabled: bool = False
    push: tuple[Push, ...] = ()
    spool: Spool = Spool()


class Log(NamedTuple):
    level: str = "info"
    format: str = "text"  # text | json | journal


class SimulationClock(NamedTuple):
    """The ScaledClock of simulated meters; rate 1 is the machine's own time."""

    rate: float = 1.0
    mono0_ns: int = 0
    real0_ns: int = 0


class Config(NamedTuple):
    """Every setting, resolved: paths are absolute, files of secrets are named but not read."""

    run_dir: str = "/run/energyd"
    state_dir: str = "/var/lib/energyd"
    sysfs_root: str = "/sys"
    procfs_root: str = "/proc"
    timezone: str = "Europe/Paris"
    meters: tuple[Meter, ...] = ()
    energy: Energy = Energy()
    usage: Usage = Usage()
    metrics: Metrics = Metrics()
    groups: tuple[GroupRule, ...] = ()
    tariffs: tuple[Tariff, ...] = ()
    units: tuple[Any, ...] = ()
    compatibility: tuple[str, ...] = ("linky_exporter", "myelectricaldata", "scaphandre")
    log: Log = Log()
    powercap_root: str = "/sys/class/powercap"  # below sysfs_root, unless it is set
    # derived by `energyd run`, not settable in the file
    simulated: tuple[str, ...] = ()  # of "meter", "rapl"
    clock: SimulationClock = SimulationClock()

    def to_json(self) -> str:
        return json.dumps(_plain(self), indent=1)


_SECTIONS: dict[str, type[Any]] = {
    "energy": Energy,
    "usage": Usage,
    "metrics": Metrics,
    "spool": Spool,
    "log": Log,
    "clock": SimulationClock,
}
_LISTS: dict[str, type[Any]] = {"meters": Meter, "push": Push, "tariffs": Tariff, "groups": GroupRule}
_PAIRS = ("labels", "headers", "prices", "label", "families", "rename")


def _plain(value: Any) -> Any:
    """NamedTuples as objects, tuples as lists, everything else as it is."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {key: _plain(item) for key, item in value._asdict().items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _build(kind: type[Any], values: Any) -> Any:
    if not isinstance(values, dict):
        raise ValueError(f"{kind.__name__} is not an object")
    built: dict[str, Any] = {}
    for key, value in values.items():
        if key in _SECTIONS:
            built[key] = _build(_SECTIONS[key], value)
        elif key in _LISTS:
            built[key] = tuple(_build(_LISTS[key], item) for item in value)
        elif key in _PAIRS:
            built[key] = tuple((name, text) for name, text in value)
        else:
            built[key] = tuple(value) if isinstance(value, list) else value
    return kind(**built)


def from_json(text: str) -> Config:
    """The inverse of `Config.to_json`; raises TypeError or ValueError on text that it did not write."""
    config = _build(Config, json.loads(text))
    assert isinstance(config, Config)
    return config


def read(path: str) -> Config:
    """The configuration that `energyd run` or `energyd check-config --write` left at `path`; ConfigError otherwise."""
    try:
        with open(path) as file:
            return from_json(file.read())
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; `energyd check-config --write` makes it from the configuration") from None
    except (OSError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {error}; `energyd check-config --write` makes it anew") from error
