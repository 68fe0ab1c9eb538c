"""What is written arrives in Config; what is not written is the default."""

import subprocess
import sys

import pytest

from energyd import configfile
from energyd.config import Config, Meter, Push
from energyd.configfile import load_with_warnings

SEED = """
metrics:
  enabled: true
  port: 9090
  path: "/metrics"

  labels:
    instance: "home"
    location: "paris"

  push:
    enabled: true
    url: "http://victoriametrics:8428/api/v1/import/prometheus"
    interval: 60  # Toutes les 60 secondes

    # Authentification (optionnel)
    username: ""
    password: ""

    # Headers personnalisés
    headers:
      X-Custom-Header: "value"
"""


def test_the_block_that_users_of_the_local_client_have_is_accepted_as_it_is(load):
    metrics = load(SEED).metrics
    assert (metrics.enabled, metrics.port, metrics.path) == (True, 9090, "/metrics")
    assert metrics.labels == (("instance", "home"), ("location", "paris"))
    assert metrics.push_enabled
    assert metrics.push == (
        Push(
            name="push",
            url="http://victoriametrics:8428/api/v1/import/prometheus",
            interval_s=60.0,
            headers=(("X-Custom-Header", "value"),),
        ),
    )


@pytest.mark.parametrize(
    "text", ["", "\n", "# nothing\n", "---\n", "{}", "null", "\ufeff", "metrics:\n", "meters:\nmetrics:\n  labels:\n  push:\n"]
)
def test_what_says_nothing_is_the_defaults(load, text):
    assert load(text) == Config()


def test_without_any_file_the_defaults_apply():
    assert configfile.load(None, {}) == Config()


def test_the_default_file_is_read_when_it_exists(tmp_path, monkeypatch):
    path = tmp_path / "there.yml"
    path.write_text("metrics: {port: 1}")
    monkeypatch.setattr(configfile, "DEFAULT_PATH", str(path))
    assert configfile.load(None, {}).metrics.port == 1


def test_every_kind_of_value_arrives(load):
    config = load(
        """
meters:
  - {name: house, device: /dev/ttyUSB0, mode: historique}
  - {name: solar, device: "socket://[::1]:2001"}
  - {name: heat_pump, device: rfc2217://ser2net.local:4000, mode: standard}
  - {name: old-1, device: file:/var/lib/tic.log}
metrics:
  enabled: false
  listen: "::"
  path: /x/metrics
  push:
    - {name: a, url: "https://vm.example:8428/x?db=1", interval: 1.5s, username: me, password_file: /etc/p, match: "a_.*"}
    - {name: b, url: http://127.0.0.1/, enabled: false}
    - {name: c, url: http://127.0.0.1/, interval: 5m, headers: {Authorization: "Bearer x", X-Two: "2"}}
energy: {rate_hz: 100, idle: proportional}
usage: {rate_hz: 0.5, top: 0}
log: {level: debug, format: json}
sysfs_root: /host/sys/
procfs_root: /host/proc
run_dir: /dev/shm/energyd-1000
state_dir: /srv/energyd
"""
    )
    assert config.meters == (
        Meter("house", "/dev/ttyUSB0", "historique"),
        Meter("solar", "socket://[::1]:2001"),
        Meter("heat_pump", "rfc2217://ser2net.local:4000", "standard"),
        Meter("old-1", "file:/var/lib/tic.log"),
    )
    first, last = config.metrics.push
    assert first == Push("a", "https://vm.example:8428/x?db=1", 1.5, "me", None, "/etc/p", (), "a_.*")
    assert last == Push("c", "http://127.0.0.1/", 300.0, headers=(("Authorization", "Bearer x"), ("X-Two", "2")))
    assert (config.metrics.enabled, config.metrics.listen, config.metrics.path) == (False, "::", "/x/metrics")
    assert (config.energy.rate_hz, config.energy.idle) == (100.0, "proportional")
    assert (config.usage.rate_hz, config.usage.top) == (0.5, 0)
    assert (config.log.level, config.log.format) == ("debug", "json")
    assert (config.sysfs_root, config.powercap_root) == ("/host/sys", "/host/sys/class/powercap")
    assert (config.procfs_root, config.run_dir, config.state_dir) == ("/host/proc", "/dev/shm/energyd-1000", "/srv/energyd")


def test_numbers_are_float_where_config_says_float(load):
    config = load("energy: {rate_hz: 10}\nmetrics: {push: {url: http://a/, interval: 60}}")
    assert isinstance(config.energy.rate_hz, float)
    assert isinstance(config.metrics.push[0].interval_s, float)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15", 15.0),
        ("15s", 15.0),
        ("1500ms", 1.5),
        ("5m", 300.0),
        ("1.5 h", 5400.0),
        ("1d", 86400.0),
        ('"15s"', 15.0),
        ("1e1", 10.0),
    ],
)
def test_a_duration_is_seconds_or_has_a_unit(load, text, seconds):
    assert load(f"metrics: {{push: {{url: http://a/, interval: {text}}}}}").metrics.push[0].interval_s == seconds


def test_anchors_and_merge_keys_are_understood(load):
    config = load(
        """
metrics:
  push:
    - &vm {name: a, url: http://a/, interval: 30, headers: &h {X: "1"}}
    - {<<: *vm, name: b}
    - {<<: [{name: c}, *vm], headers: *h}
"""
    )
    assert [target.name for target in config.metrics.push] == ["a", "b", "c"]
    assert {target.interval_s for target in config.metrics.push} == {30.0}


def test_one_disabled_receiver_means_no_push_and_may_lack_its_url(load):
    config = load("metrics: {push: {enabled: false}}")
    assert (config.metrics.push_enabled, config.metrics.push) == (False, ())


def test_flag_goes_before_environment_before_file_before_default(load):
    text = "metrics: {port: 1000}"
    assert load("").metrics.port == 9836
    assert load(text).metrics.port == 1000
    assert load(text, {"METRICS_PORT": "2000"}).metrics.port == 2000
    assert load(text, {"METRICS_PORT": "2000"}, (("metrics.port", "3000"),)).metrics.port == 3000
    assert load(text, {}, (("metrics.port", "3000"), ("metrics.port", "4000"))).metrics.port == 4000


def test_a_flag_reaches_into_maps_and_takes_json(load):
    config = load("metrics: {labels: {a: b}}", {}, (("metrics.labels.location", "75"), ("meters", '[{"device": "/dev/ttyS0"}]')))
    assert config.metrics.labels == (("a", "b"), ("location", "75"))
    assert config.meters == (Meter("linky", "/dev/ttyS0"),)


def test_labels_that_prometheus_puts_itself_are_accepted_with_a_warning(tmp_path):
    path = tmp_path / "energyd.yml"
    path.write_text("metrics:\n  labels:\n    instance: home\n    job: x\n    ok: y\n")
    warnings = load_with_warnings(str(path), {}).warnings
    assert [warning.split(": ")[:2] for warning in warnings] == [
        [f"{path}:3", "metrics.labels.instance"],
        [f"{path}:4", "metrics.labels.job"],
    ]
    assert "keeps this one as exported_job, unless its scrape has honor_labels" in warnings[1]


def test_what_nobody_will_see_is_warned_about(tmp_path):
    path = tmp_path / "energyd.yml"
    path.write_text("metrics: {enabled: false}")
    assert "nobody will see" in load_with_warnings(str(path), {}).warnings[0]


def test_a_worker_that_imports_the_configuration_does_not_pay_for_yaml():
    program = "import sys, energyd.config; sys.exit(bool({'yaml', 'dataclasses', 'asyncio', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
