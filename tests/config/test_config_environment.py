"""Every known variable has its effect or is answered with the reason why it has none; errors name the variable."""

import json

import pytest

from energyd import environment, settings
from energyd.config import Meter
from energyd.configfile import load_with_warnings, own_variables
from energyd.service.stop import PARENT_VARIABLE
from energyd.settings_docs import value_text


def at(config, path):
    for step in path.split("."):
        config = config[int(step)] if step.isdigit() else getattr(config, step)
    return config


@pytest.mark.parametrize(
    ("variable", "text", "path", "value"),
    [
        ("METRICS_ENABLED", "false", "metrics.enabled", False),
        ("METRICS_PORT", "9090", "metrics.port", 9090),
        ("METRICS_PATH", "/m", "metrics.path", "/m"),
        ("METRICS_PUSH_ENABLED", "false", "metrics.push_enabled", False),
        ("METRICS_PUSH_URL", "http://b/", "metrics.push.0.url", "http://b/"),
        ("METRICS_PUSH_INTERVAL", "60", "metrics.push.0.interval_s", 60.0),
        ("LINKY_EXPORTER_INTERFACE", "/dev/ttyUSB1", "meters.0.device", "/dev/ttyUSB1"),
        ("LINKY_EXPORTER_MODE", "STANDARD", "meters.0.mode", "standard"),
        ("LINKY_EXPORTER_LOGLEVEL", "WARNING", "log.level", "warning"),
        ("LINKY_EXPORTER_PORT", "8124", "metrics.port", 8124),
        ("LINKY_SOCAT_HOST", "gateway:2001", "meters.0.device", "socket://gateway:2001"),
    ],
)
def test_a_variable_of_another_program_goes_before_the_file(load, variable, text, path, value):
    file = """
meters: [{device: /dev/ttyUSB0, mode: auto}]
metrics: {port: 1, path: /file, push: {url: http://a/, interval: 15}}
log: {level: debug}
"""
    assert at(load(file, {variable: text}), path) == value


def test_the_six_variables_of_the_local_client_work_together(load):
    config = load(
        "",
        {
            "METRICS_ENABLED": "true",
            "METRICS_PORT": "9090",
            "METRICS_PATH": "/metrics",
            "METRICS_PUSH_ENABLED": "true",
            "METRICS_PUSH_URL": "http://victoriametrics:8428/api/v1/import/prometheus",
            "METRICS_PUSH_INTERVAL": "60",
        },
    )
    assert (config.metrics.port, config.metrics.push_enabled) == (9090, True)
    assert [(target.url, target.interval_s) for target in config.metrics.push] == [
        ("http://victoriametrics:8428/api/v1/import/prometheus", 60.0)
    ]


def test_the_variables_of_linky_exporter_make_one_meter(load):
    config = load(
        "", {"LINKY_EXPORTER_INTERFACE": "/dev/ttyUSB0", "LINKY_EXPORTER_MODE": "HISTORIQUE", "LINKY_EXPORTER_PORT": "8100"}
    )
    assert config.meters == (Meter("linky", "/dev/ttyUSB0", "historique"),)
    assert config.metrics.port == 8100


def test_its_name_and_its_patience_are_settings_too(load):
    config = load("", {"LINKY_EXPORTER_INTERFACE": "/dev/ttyUSB0", "LINKY_EXPORTER_NAME": "maison", "LINKY_FRAME_TIMEOUT": "30"})
    assert config.metrics.linky_exporter_name == "maison"
    assert config.meters == (Meter("linky", "/dev/ttyUSB0", link_timeout_s=30.0),)


def test_they_change_the_one_meter_that_the_file_names(load):
    config = load("meters: [{name: house, device: /dev/a}]", {"LINKY_EXPORTER_INTERFACE": "/dev/b"})
    assert config.meters == (Meter("house", "/dev/b"),)


def test_they_cannot_mean_one_of_several_meters(refused):
    said = refused("meters: [{name: a, device: /dev/a}, {name: b, device: /dev/b}]", {"LINKY_EXPORTER_INTERFACE": "/dev/c"})
    assert said == "LINKY_EXPORTER_INTERFACE: meters: it speaks of one meter, but energyd.yml:1 lists several"


@pytest.mark.parametrize(
    ("environ", "warned", "why"),
    [
        ({"LINKY_FRAME_TIMEOUT": "30"}, "LINKY_FRAME_TIMEOUT", "no meter is configured"),
        ({"LINKY_SOCAT_FILE": "/tmp/linky"}, "LINKY_SOCAT_FILE", "itself, without socat"),
        ({"LINKY_EXPORTER_MODE": "STANDARD"}, "LINKY_EXPORTER_MODE", "no meter is configured"),
        ({"LINKY_EXPORTER_PORT": "8123"}, "LINKY_EXPORTER_PORT", "metrics.port: 8123 is also the port of Home Assistant"),
        ({"TZ": "UTC"}, "TZ", "the key timezone names"),
        (
            {"LINKY_SOCAT_HOST": "a:1", "LINKY_EXPORTER_INTERFACE": "/dev/ttyUSB0"},
            "LINKY_EXPORTER_INTERFACE",
            "says where the meter is",
        ),
        ({"LINKY_EXPORTER_INTREFACE": "/dev/a"}, "LINKY_EXPORTER_INTREFACE", "did you mean LINKY_EXPORTER_INTERFACE?"),
    ],
)
def test_what_has_no_effect_or_is_probably_not_meant_is_answered(environ, warned, why):
    (warning,) = load_with_warnings(None, environ).warnings
    assert warning.startswith(warned + ": ")
    assert why in warning


@pytest.mark.parametrize(
    ("tariffs", "said"),
    [
        ([("a", None, "2026-01-01", "2026-01-31"), ("b", None, "2026-02-01", None)], []),
        (
            [("b", None, "2026-02-02", None), ("a", None, "2026-01-01", "2026-01-31")],
            ["tariffs[1].valid_to: no table has a price from the day after 2026-01-31 until 2026-02-02"],
        ),
        ([("a", "linky", "2026-01-01", "2026-01-31"), ("b", "linky", "2026-03-01", None), ("c", None, "2026-01-01", None)], []),
        ([("a", None, "2026-01-01", None), ("b", None, "2026-02-01", "2026-02-28")], []),
        (
            [("a", None, "2026-01-01", None), ("b", None, "2026-02-01", "2026-02-28"), ("c", None, "2026-03-02", None)],
            ["tariffs[1].valid_to: no table has a price from the day after 2026-02-28 until 2026-03-02"],
        ),
        ([("a", "linki", "2026-01-01", None)], ["tariffs[0].meter: no meter is named linki; there are: linky"]),
    ],
)
def test_days_without_a_price_and_tables_without_a_meter_are_said(load, tariffs, said):
    rows = [
        {key: value for key, value in zip(("name", "meter", "valid_from", "valid_to"), row, strict=True) if value is not None}
        for row in tariffs
    ]
    environ = {"ENERGYD_METERS": '[{"name": "linky", "device": "/dev/a"}]', "ENERGYD_TARIFFS": json.dumps(rows)}
    warnings = load_with_warnings(None, environ).warnings
    assert [warning.partition(": ")[2] for warning in warnings] == said


def test_the_file_that_socat_made_gives_way_to_its_host(load):
    loaded = load_with_warnings(
        None, {"LINKY_SOCAT_HOST": "a:1", "LINKY_SOCAT_FILE": "/dev/linky", "LINKY_EXPORTER_INTERFACE": "/dev/linky"}
    )
    assert loaded.config.meters == (Meter("linky", "socket://a:1"),)
    assert [warning.partition(":")[0] for warning in loaded.warnings] == ["LINKY_SOCAT_FILE"]


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("METRICS_PORT", "x", "METRICS_PORT: metrics.port: must be an integer from 1 to 65535, not x"),
        ("METRICS_PORT", "9090.0", "METRICS_PORT: metrics.port: must be an integer from 1 to 65535, not 9090.0"),
        ("METRICS_ENABLED", "yes", "METRICS_ENABLED: metrics.enabled: must be true or false, not yes"),
        ("METRICS_ENABLED", "1", "METRICS_ENABLED: metrics.enabled: must be true or false, not 1"),
        ("METRICS_PUSH_ENABLED", "true", "METRICS_PUSH_ENABLED: metrics.push.url: missing"),
        ("METRICS_PUSH_INTERVAL", "1 fortnight", "METRICS_PUSH_INTERVAL: metrics.push.interval: must be a duration"),
        ("LINKY_EXPORTER_MODE", "FAST", "LINKY_EXPORTER_MODE: meters[0].mode: must be auto, historique or standard, not fast"),
        ("LINKY_EXPORTER_INTERFACE", "ttyUSB0", "LINKY_EXPORTER_INTERFACE: meters[0].device: must be a tty"),
        ("LINKY_SOCAT_HOST", "gateway", "LINKY_SOCAT_HOST: meters[0].device: must be socket://host:port"),
        ("ENERGYD_METRICS_PROT", "1", "ENERGYD_METRICS_PROT: unknown variable; did you mean ENERGYD_METRICS_PORT?"),
        ("ENERGYD_", "1", "ENERGYD_: unknown variable; "),
        ("ENERGYD_METERS", "[{", "ENERGYD_METERS: not YAML: "),
        ("ENERGYD_METERS", "/dev/ttyUSB0", "ENERGYD_METERS: meters: must be a list"),
        ("ENERGYD_METERS", '[{"device": "/dev/a"}, {"devise": "/dev/a"}]', "ENERGYD_METERS: meters[1].devise: unknown key"),
        ("ENERGYD_METRICS_LABELS", "a=b", "ENERGYD_METRICS_LABELS: metrics.labels: must be a mapping of label names to texts"),
        ("ENERGYD_METRICS_PATH", "/\udc80", "ENERGYD_METRICS_PATH: holds half of a surrogate pair"),
        ("LINKY_FRAME_TIMEOUT", "0", "LINKY_FRAME_TIMEOUT: meters[0].link_timeout: must be a duration from 1s to 1h"),
        (
            "ENERGYD_COMPATIBILITY",
            '["kepler"]',
            "ENERGYD_COMPATIBILITY: compatibility: must be linky_exporter, myelectricaldata, scaphandre, node_exporter or cadvisor",
        ),
    ],
)
def test_an_error_names_the_variable_and_the_key(refused, variable, text, said):
    assert refused("meters: [{device: /dev/a}]", {variable: text}).startswith(said)


def test_a_secret_in_a_variable_is_not_quoted(refused):
    said = refused("", {"ENERGYD_METRICS_PUSH_URL": "http://u:s3cret@a/"})
    assert said.startswith("ENERGYD_METRICS_PUSH_URL: metrics.push.url: must not hold a user name")
    assert "s3cret" not in said


VALUES = {
    "meters": '[{"name": "a", "device": "/dev/a"}]',
    "metrics.push": '[{"name": "a", "url": "http://a/"}]',
    "tariffs": '[{"name": "a", "valid_from": "2026-02-01", "prices": {"hp": 0.2}}]',
    "groups": '[{"name": "{comm}", "comm": "make"}]',
    "metrics.push.url": "http://b/",
    "metrics.push.username": "1234",
    "metrics.push.password": "12:34",
    "metrics.push.password_file": "/p",
    "metrics.push.bearer_token": "1234",
    "metrics.push.bearer_token_file": "/p",
    "metrics.push.tls_ca_file": "/p",
    "metrics.push.tls_cert_file": "/p",
    "metrics.push.tls_key_file": "/p",
    "metrics.push.proxy": "http://p/",
    "metrics.push.labels": '{"X": "1"}',
    "metrics.push.headers": '{"X": "1"}',
    "metrics.push.match": "energyd_.*",
    "metrics.labels": '{"a": "b"}',
}


def row_of(key):
    return settings.setting(key.replace("metrics.push.", "metrics.push[]."))


@pytest.mark.parametrize(
    ("variable", "key"),
    [(variable, key) for variable, key in environment.VARIABLES.items() if row_of(key) is None or not row_of(key).reserved],
)
def test_every_key_has_its_variable(load, variable, key):
    text = VALUES.get(key) or value_text(row_of(key))
    context = {"metrics.push.username": {"ENERGYD_METRICS_PUSH_PASSWORD": "x"}}
    context["metrics.push.password"] = context["metrics.push.password_file"] = {"ENERGYD_METRICS_PUSH_USERNAME": "x"}
    context["metrics.push.tls_cert_file"] = {"ENERGYD_METRICS_PUSH_TLS_KEY_FILE": "/k"}
    context["metrics.push.tls_key_file"] = {"ENERGYD_METRICS_PUSH_TLS_CERT_FILE": "/c"}
    file = "metrics: {push: {url: http://a/}}" if key.startswith("metrics.push") else ""
    changed = load(file, {variable: text, **context.get(key, {})})
    if key in VALUES:
        assert changed != load(file)
    if key == "metrics.push.username":
        assert changed.metrics.push[0].username == "1234", "what looks like a number is a text where a text is wanted"


def test_two_variables_that_disagree_are_an_error_and_two_that_agree_are_not(load, refused):
    assert load("", {"METRICS_PORT": "1", "LINKY_EXPORTER_PORT": "1"}).metrics.port == 1
    said = refused("", {"METRICS_PORT": "1", "LINKY_EXPORTER_PORT": "2"})
    assert said == "LINKY_EXPORTER_PORT: metrics.port: differs from METRICS_PORT, which sets the same; remove one of them"


def test_the_time_zone_that_is_used_anyway_needs_no_answer():
    assert load_with_warnings(None, {"TZ": "Europe/Paris"}).warnings == ()


def test_an_empty_variable_is_no_variable(load):
    assert load("", dict.fromkeys([*environment.ALIASES, *environment.VARIABLES, *environment.WITHOUT_EFFECT], "")) == load("")


def test_a_variable_cannot_change_one_of_several_receivers_but_can_replace_them(load, refused):
    file = "metrics:\n  push:\n    - {name: a, url: http://a/}\n    - {name: b, url: http://b/}"
    said = refused(file, {"METRICS_PUSH_URL": "http://c/"})
    assert said == "METRICS_PUSH_URL: metrics.push.url: energyd.yml:2 lists several receivers; change it there"
    assert [target.url for target in load(file, {"ENERGYD_METRICS_PUSH": '{"url": "http://c/"}'}).metrics.push] == ["http://c/"]


def test_the_private_variable_of_our_own_processes_is_no_setting(load):
    assert PARENT_VARIABLE in environment.PRIVATE
    assert load("", {PARENT_VARIABLE: "1"}) == load("")


def test_own_variables_are_those_that_mean_something():
    environ = {
        "PATH": "/bin",
        "TZ": "UTC",
        "METRICS_PORT": "1",
        "ENERGYD_LOG_LEVEL": "debug",
        PARENT_VARIABLE: "1",
        "LINKY_FRAME_TIMEOUT": "1",
    }
    assert sorted(own_variables(environ)) == ["ENERGYD_LOG_LEVEL", "LINKY_FRAME_TIMEOUT", "METRICS_PORT", "TZ"]
