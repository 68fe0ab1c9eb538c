"""Each mistake is one line: file, line, key, what is wrong, what to do. No secret is in it."""

import os

import pytest

from energyd import configfile
from energyd.errors import ConfigError

NOBODY = 65534

MISTAKES = [
    # unknown keys and the nearest that exists
    (
        "a: 1\nmetrics:\n  prot: 1\n",
        "energyd.yml:1: a: unknown key; valid here: meters, metrics, energy, usage, tariffs, groups, log, run_dir",
    ),
    ("\nmetrics:\n  prot: 1\n", "energyd.yml:3: metrics.prot: unknown key; did you mean metrics.port?"),
    ("port: 9090", "energyd.yml:1: port: unknown key; did you mean metrics.port?"),
    ("push: {}", "energyd.yml:1: push: unknown key; did you mean metrics.push?"),
    ("Metrics: {}", "energyd.yml:1: Metrics: unknown key; did you mean metrics?"),
    (
        "meters:\n- device: /dev/a\n- name: b\n  devise: /dev/b",
        "energyd.yml:4: meters[1].devise: unknown key; did you mean meters[1].device?",
    ),
    (
        "meters:\n- device: /dev/a\n- name: b\n  device: /dev/../dev/a",
        "energyd.yml:4: meters[1].device: /dev/../dev/a is that of meters[0] (/dev/a); give each meter its own, or remove one",
    ),
    (
        "meters: [{device: 'socket://a:1'}, {name: b, device: 'socket://a:1'}]",
        "energyd.yml:1: meters[1].device: socket://a:1 is that of meters[0]; give each meter its own",
    ),
    ("metrics: {push: {ulr: x}}", "energyd.yml:1: metrics.push.ulr: unknown key; did you mean metrics.push.url?"),
    ("metrics: {push: [{ulr: x},{}]}", "energyd.yml:1: metrics.push[0].ulr: unknown key; did you mean metrics.push[0].url?"),
    ("clock: {rate: 5}", "energyd.yml:1: clock: unknown key; "),
    ("meters: [{device: /dev/a, simulated: true}]", "energyd.yml:1: meters[0].simulated: unknown key; "),
    ('"a\\nb": 1', r"energyd.yml:1: 'a\nb': unknown key; "),
    ("usage: {rate_hz: true}", "usage.rate_hz: must be a number"),
    # truths are true or false
    *(
        (f"metrics: {{enabled: {word}}}", f"metrics.enabled: must be true or false, not {word}")
        for word in ("yes", "on", "Off", "1", "0.0", "y")
    ),
    ('metrics: {enabled: "true"}', 'energyd.yml:1: metrics.enabled: must be true or false, not "true"'),
    ("metrics: {enabled: }", "energyd.yml:1: metrics.enabled: has no value; give it one or remove the key"),
    # numbers
    *(
        (f"metrics: {{port: {word}}}", f"metrics.port: must be an integer from 1 to 65535, not {word}")
        for word in ("0", "65536", "-1", "9090.0", "9e3", "0x10", "true", "1_000", "09090", "9" * 40)
    ),
    ('metrics: {port: "9090"}', 'metrics.port: must be an integer from 1 to 65535, not "9090"'),
    ("metrics: {port: [1]}", "metrics.port: must be an integer from 1 to 65535, not a list"),
    ("energy: {rate_hz: 2000}", "energy.rate_hz: must be a number from 0.1 to 1000 Hz, not 2000"),
    ("energy: {rate_hz: .nan}", "energy.rate_hz: must be a number from 0.1 to 1000 Hz, not .nan"),
    ("energy: {rate_hz: 1e999}", "energy.rate_hz: must be a number from 0.1 to 1000 Hz, not 1e999"),
    ("usage: {top: 1.5}", "usage.top: must be an integer from 0 to 10000, not 1.5"),
    # units
    *(
        (
            f"metrics: {{push: {{url: http://a/, interval: {word}}}}}",
            f"metrics.push.interval: must be a duration from 1s to 1d: seconds, or a number with ms, s, m, h or d; not {word}",
        )
        for word in ("15x", "0s", "999ms", "2d", "-5", "1 week", "1:30", "s", "PT15S", "15S")
    ),
    # texts
    ("metrics: {labels: {rack: 12}}", "metrics.labels: rack: must be a text, not 12; put it in quotes"),
    ("metrics: {labels: [a]}", "metrics.labels: must be a mapping of label names to texts, not a list"),
    (
        "metrics: {labels: {a-b: x}}",
        "metrics.labels: a-b: must be a label name: letters, digits and _, not beginning with a digit, not 'a-b'",
    ),
    ("metrics: {labels: {__a: x}}", "metrics.labels: __a: label names that begin with __ belong to Prometheus; choose another"),
    ("metrics: {labels: {zone: x}}", "metrics.labels: zone: energyd's own series carry a label of that name; choose another"),
    ("metrics: {path: metrics}", "metrics.path: must be a path such as /metrics, not 'metrics'"),
    ("metrics: {path: /-/ready}", "metrics.path: must not be /, /api/v1/snapshot or below /-/, where other pages are"),
    ("metrics: {path: /api/v1/snapshot}", "metrics.path: must not be /, /api/v1/snapshot or below /-/, where other pages are"),
    ("metrics: {path: /}", "metrics.path: must not be /, /api/v1/snapshot or below /-/, where other pages are"),
    (
        "metrics: {listen: 256.0.0.1}",
        "metrics.listen: must be an address such as 127.0.0.1, 0.0.0.0 or ::1, or a host name, not '256.0.0.1'",
    ),
    ("metrics: {listen: '*'}", "metrics.listen: must be an address such as"),
    ("metrics: {listen: 1.5}", "metrics.listen: must be an address or a host name, not 1.5; put it in quotes"),
    ("run_dir: run", "energyd.yml:1: run_dir: must be an absolute path, not 'run'"),
    ("log: {level: INFO}", "log.level: must be debug, info, warning, error or critical, not INFO"),
    ("log: {format: xml}", "log.format: must be text, json or journal, not xml"),
    ("timezone: Paris", "timezone: must be a name of the time zone database such as Europe/Paris, not 'Paris'"),
    ("energy: {sources: [rapl, meter]}", "energy.sources: a meter stands before all others, or is no source; put meter first"),
    ("energy: {sources: [model]}", "energy.sources: model needs energy.model_idle_w and a greater energy.model_max_w"),
    (
        "energy: {sources: [model], model_idle_w: 9, model_max_w: 8}",
        "energy.sources: model needs energy.model_idle_w and a greater",
    ),
    ("energy: {sources: [hwmno]}", "energy.sources: must be auto, rapl, psys, hwmon, battery, nvidia, meter or model, not hwmno"),
    ("energy: {sources: [rapl, rapl]}", "energy.sources: names one of its items twice"),
    (
        "energy: {price_eur_per_kwh: '0.25'}",
        'energy.price_eur_per_kwh: must be euros from 0 to 100 with at most 6 decimals, not "0.25"',
    ),
    (
        "energy: {price_eur_per_kwh: 0.1234567}",
        "energy.price_eur_per_kwh: must be euros from 0 to 100 with at most 6 decimals, not 0.1234567",
    ),
    ("energy: {price_eur_per_kwh: -1}", "energy.price_eur_per_kwh: must be euros from 0 to 100 with at most 6 decimals, not -1"),
    ("timezone: Europe/Lutetia", "timezone: must be a name of the time zone database such as Europe/Paris, not 'Europe/Lutetia'"),
    ("timezone: ../../etc/passwd", "timezone: must be a name of the time zone database"),
    ("timezone: Europe", "timezone: must be a name of the time zone database"),
    # meters
    ("meters: /dev/ttyUSB0", "energyd.yml:1: meters: must be a list (each item begins with '- '), not a value"),
    ("meters: {device: /dev/ttyUSB0}", "energyd.yml:1: meters: must be a list (each item begins with '- '), not a mapping"),
    ("meters: [/dev/ttyUSB0]", "energyd.yml:1: meters[0]: must be a mapping (key: value), not a value"),
    ("meters:\n- name: a", "energyd.yml:2: meters[0].device: missing; for example device: /dev/ttyUSB0"),
    ("meters: [{device: /dev/a, name: A}]", "meters[0].name: must be 1 to 32 of a-z, 0-9, _ and -, not 'A'"),
    ("meters: [{device: /dev/a, name: ../a}]", "meters[0].name: must be 1 to 32 of a-z, 0-9, _ and -, not '../a'"),
    (
        "meters:\n- device: /dev/a\n- device: /dev/b",
        "energyd.yml:3: meters[1].name: 'linky' is taken by meters[0]; give each its own name",
    ),
    (
        "meters:\n- {device: /dev/a, name: x}\n-\n  device: /dev/b\n  name: x",
        "energyd.yml:5: meters[1].name: 'x' is taken by meters[0]",
    ),
    (
        "meters: [{device: ttyUSB0}]",
        "device: must be a tty such as /dev/ttyUSB0, socket://host:port, rfc2217://host:port or file:/PATH, not 'ttyUSB0'",
    ),
    ("meters: [{device: 'tcp://a:1'}]", "meters[0].device: must be a device; write socket://a:1"),
    ("meters: [{device: 'socket://a'}]", "meters[0].device: must be socket://host:port, not 'socket://a'"),
    ("meters: [{device: 'socket://a:0'}]", "meters[0].device: must be socket://host:port, not 'socket://a:0'"),
    ("meters: [{device: 'socket://a:70000'}]", "meters[0].device: must be socket://host:port, not 'socket://a:70000'"),
    ("meters: [{device: 'socket://[::1:2'}]", "meters[0].device: must be a URL"),
    ("meters: [{device: 'file:tic.log'}]", "meters[0].device: must be an absolute path, not 'tic.log'"),
    ("meters: [{device: /dev/a, mode: STANDARD}]", "meters[0].mode: must be auto, historique or standard, not STANDARD"),
    ("meters: [{device: /dev/a, pdl: 123}]", "meters[0].pdl: must be 14 digits, not '123'"),
    # push
    (
        "metrics:\n  push:\n    enabled: true",
        "energyd.yml:2: metrics.push.url: missing; for example url: http://victoriametrics:8428/api/v1/import/prometheus",
    ),
    (
        "metrics: {push: [{url: http://a/}, {url: http://b/}]}",
        "metrics.push[1].name: 'push' is taken by metrics.push[0]; give each its own name",
    ),
    ("metrics: {push: http://a/}", "metrics.push: must be a list (each item begins with '- '), not a value"),
    ("metrics: {push: {url: http://a/, protocol: otlp}}", "metrics.push.protocol: must be auto, victoriametrics or remote_write"),
    (
        "metrics: {push: {url: http://a/, resolution: 20s}}",
        "metrics.push.resolution: longer than the interval; make it at most 15s",
    ),
    (
        "metrics: {push: {url: http://a/, bearer_token: a, bearer_token_file: /b}}",
        "metrics.push: bearer_token and bearer_token_file are both given; keep one",
    ),
    (
        "metrics: {push: {url: http://a/, bearer_token: a, username: b, password: c}}",
        "metrics.push: a bearer token and a password are both given; keep one",
    ),
    (
        "metrics: {push: {url: http://a/, bearer_token: a, headers: {authorization: b}}}",
        "metrics.push.headers: Authorization and bearer_token are both given; keep one",
    ),
    (
        "metrics: {push: {url: https://a/, tls_cert_file: /a}}",
        "metrics.push: tls_cert_file and tls_key_file belong together; give both",
    ),
    ("metrics: {push: {url: http://a/, proxy: socks5://s3cret@a/}}", "metrics.push.proxy: must be a URL such as http://proxy:3128"),
    ("metrics: {push: {url: ftp://a/}}", "metrics.push.url: must be a URL that begins with http:// or https://"),
    (
        "metrics: {push: {url: 'http:///x'}}",
        "metrics.push.url: must be a URL such as http://victoriametrics:8428/api/v1/import/prometheus",
    ),
    ("metrics: {push: {url: 'http://a:99999/'}}", "metrics.push.url: must be a URL such as"),
    ("metrics: {push: {url: 'http://a b/'}}", "metrics.push.url: must be a URL such as"),
    ("metrics: {push: {url: 'http://a,b/'}}", "metrics.push.url: must name a host that can exist"),
    ("metrics: {push: {url: 'http://[x/'}}", "metrics.push.url: must be a URL"),
    ("metrics: {push: {url: http://a/, username: u}}", "metrics.push: username without a password; give password_file"),
    (
        "metrics: {push: {url: http://a/, password_file: /a}}",
        "metrics.push.username: missing; a password without a user is never sent",
    ),
    ("metrics: {push: {url: http://a/, headers: {Host: b}}}", "metrics.push.headers: Host: energyd sets this header itself"),
    (
        "metrics: {push: {url: http://a/, headers: {a b: c}}}",
        "metrics.push.headers: a b: must be the name of an HTTP header, not 'a b'",
    ),
    (
        'metrics: {push: {url: http://a/, headers: {a: "b\\r\\nc"}}}',
        "metrics.push.headers: a: must be printable ASCII without spaces at its ends",
    ),
    ("metrics: {push: {url: http://a/, match: '('}}", "metrics.push.match: must be a regular expression: missing )"),
    # what is not built yet is refused, not ignored
    ("metrics: {families: [energyd_.*]}", "metrics.families: must be a mapping of patterns to true or false, not a list"),
    ("metrics: {families: {energyd_.*: 0}}", "metrics.families: energyd_.*: must be true or false, not 0"),
    ("metrics: {families: {'(': true}}", "metrics.families: (: must be a regular expression"),
    ("metrics: {rename: {energyd_.*: 'a b'}}", "metrics.rename: energyd_.*: must be a name of letters, digits and _"),
    ("metrics: {bearer_token_file: token}", "metrics.bearer_token_file: must be an absolute path, not 'token'"),
    ("metrics: {web_config_file: web.yml}", "metrics.web_config_file: must be an absolute path, not 'web.yml'"),
    (
        "metrics: {spool: {max_bytes: 1.5}}",
        "metrics.spool.max_bytes: must be a size from 1MiB to 1048576GiB: bytes, or a number with",
    ),
    ("metrics: {spool: {max_bytes: 1 potato}}", "metrics.spool.max_bytes: must be a size from 1MiB to 1048576GiB"),
    ("metrics: {spool: {fsync: always}}", "metrics.spool.fsync: must be tick, batch or never, not always"),
    ("metrics: {spool: {fsnyc: batch}}", "metrics.spool.fsnyc: unknown key; did you mean metrics.spool.fsync?"),
    ("groups: [a]", "groups[0]: must be a mapping (key: value), not a value"),
    ("groups: {a: 1}", "groups: must be a list (each item begins with '- '), not a mapping"),
    ("groups: [{nmae: a}]", "energyd.yml:1: groups[0].nmae: unknown key; did you mean groups[0].name?"),
    ("groups: [{name: '{com}'}]", "groups[0].name: {com} is not a field; the fields are comm, exe, "),
    ("groups: [{name: '{comm'}]", "groups[0].name: has a brace that begins or ends no field"),
    ("groups: [{name: '{{.Foo}}'}]", "groups[0].name: {{.Foo}} is not a field; those of process-exporter are Comm, "),
    (
        "groups: [{kind: box}]",
        "groups[0].kind: must be container, pod, vm, job, unit, user, helper, cgroup, kernel or host, not box",
    ),
    ("groups: [{cmdline: ['(']}]", "groups[0].cmdline: must be a regular expression: missing )"),
    ("groups: [{cmdline: ['[[:digit:]]']}]", "groups[0].cmdline: must be a regular expression: possible nested set"),
    ("groups: [{label: {a: '('}}]", "groups[0].label: a: must be a regular expression: missing )"),
    ("groups: [{cgroup: '*'}]", "groups[0].cgroup: must be a regular expression: nothing to repeat"),
    ("groups: [{comm: [1]}]", "groups[0].comm: must be a shell pattern, not 1; put it in quotes"),
    (
        "groups:\n- name: '{match:x}'\n  cmdline: a\n",
        "energyd.yml:2: groups[0]: no expression of cmdline captures x: write (?P<x>...)",
    ),
    ("tariffs: [{name: a}]", "tariffs[0].valid_from: missing; for example valid_from: 2026-02-01"),
    (
        "tariffs: [{name: a, valid_from: 2026-02-30}]",
        "tariffs[0].valid_from: must be a day that the calendar has, not '2026-02-30'",
    ),
    ("tariffs: [{name: a, valid_from: 1.2.2026}]", "tariffs[0].valid_from: must be a date, YYYY-MM-DD, not '1.2.2026'"),
    (
        "tariffs: [{name: a, valid_from: 2026-02-01, prices: {HCHD: 0.1}}]",
        "tariffs[0].prices: HCHD: neither a register nor a period; did you mean HCHP?",
    ),
    (
        "tariffs: [{name: a, valid_from: 2026-02-01, prices: {hp: '0.1'}}]",
        'tariffs[0].prices: hp: must be euros from 0 to 100 with at most 6 decimals, not "0.1"',
    ),
    (
        "tariffs: [{name: a, valid_from: 2026-02-01, prices: []}]",
        "tariffs[0].prices: must be a mapping of registers or periods to prices, not a list",
    ),
    (
        "tariffs: [{name: a, valid_from: 2026-02-02, valid_to: 2026-02-01}]",
        "tariffs[0].valid_to: is before valid_from; exchange them",
    ),
    (
        "tariffs: [{name: a, valid_from: 2026-01-01, valid_to: 2026-02-01}, {name: b, valid_from: 2026-02-01}]",
        "tariffs[1]: b and tariffs[0] a are valid on the same day; end one with valid_to before the other begins",
    ),
    (
        "tariffs: [{name: a, valid_from: 2026-01-01}, {name: a, valid_from: 2026-02-01}]",
        "tariffs[1].name: 'a' is taken by tariffs[0]; give each its own name",
    ),
    ("units: [{name: a}]", "units: not available in this version of energyd; remove it"),
    (
        "compatibility: [kepler]",
        "compatibility: must be linky_exporter, myelectricaldata, scaphandre, node_exporter or cadvisor, not kepler",
    ),
    # YAML itself
    ("- a", "energyd.yml:1: must be a mapping of sections such as 'metrics:', not a list or a single value"),
    ("metrics", "energyd.yml:1: must be a mapping of sections such as 'metrics:', not a list or a single value"),
    ("metrics:\n  port: 1\n  path: /a\n  port: 2", "energyd.yml:4: port: written twice, first at energyd.yml:2; keep one"),
    ("metrics:\n\tport: 1", "energyd.yml:2: not YAML: a tab where only spaces may stand; indent with spaces"),
    ("metrics: [1", "energyd.yml:1: not YAML: expected ',' or ']', but got '<stream end>'"),
    ("a: b: c", "energyd.yml:1: not YAML: a second ': '; put a text that holds one in quotes, or indent this line less"),
    ("a: 1\n---\nb: 2", "energyd.yml:2: not YAML: a second document (---); keep one"),
    ("metrics:\n  port\n  path: /a", "energyd.yml:3: not YAML: "),
    ("a: *b", "energyd.yml:1: not YAML: an alias of nothing; put a text that begins with * in quotes"),
    ("a: &a [*a]", "energyd.yml:1: an alias refers to what holds it"),
    ("? [a]\n: b", "energyd.yml:1: a key must be a text, not a list or mapping"),
    ("metrics: !!map {}", None),
    ("metrics: {port: !!int 5}", "energyd.yml:1: tags mean nothing here; put a text that begins with ! in quotes"),
    ("metrics: !x {}", "energyd.yml:1: tags mean nothing here; put a text that begins with ! in quotes"),
    ("metrics: {<<: 5}", "energyd.yml:1: << takes an alias of a mapping, or a list of them"),
    ('metrics: {labels: {a: "\\ud800"}}', "energyd.yml:1: holds half of a surrogate pair, which is not text"),
    ('a: "\\UFFFFFFFF"', "energyd.yml: not YAML: it holds an escape or a number that means nothing"),
    ("a: \x07", "energyd.yml: not YAML: it holds a character that no YAML file may hold"),
    (b"metrics:\n  path: /\xff", "energyd.yml:2: not UTF-8; save the file as UTF-8"),
    ("[" * 5000, "energyd.yml: nested too deeply"),
    ("#" * ((1 << 20) + 1), "energyd.yml: larger than 1 MiB, so it is not a configuration of energyd"),
]


@pytest.mark.parametrize(("text", "message"), [row for row in MISTAKES if row[1] is not None], ids=lambda value: repr(value)[:70])
def test_a_mistake_is_named_with_file_line_key_and_mend(refused, text, message):
    said = refused(text)
    assert said.startswith("energyd.yml:")
    assert message in said


def test_the_tags_that_yaml_gives_itself_are_no_mistake(load):
    assert load("metrics: !!map {}\nmeters: !!seq []") == load("")


@pytest.mark.parametrize(
    "text",
    [
        "metrics: {push: {url: http://a/, username: u, password: s3cret, password_file: /a}}",
        "metrics: {push: {url: http://a/, password: s3cret}}",
        "metrics: {push: {url: http://a/, username: u, password: [s3cret]}}",
        "metrics: {push: {url: http://a/, username: u, password: {s3cret: 1}}}",
        'metrics: {push: {url: http://a/, username: u, password: "s3cret\\n"}}',
        "metrics: {push: {url: http://a/, username: u, password: *s3cret}}",
        "metrics: {push: {url: http://a/, username: u, password: !s3cret x}}",
        "metrics: {push: {url: http://a/, username: u, password: !s3cret!x y}}",
        "metrics: {push: {url: http://a/, username: u, password: @s3cret}}",
        "metrics: {push: {url: http://a/, username: u, password: 's3cret}}",
        "metrics:\n  push:\n    password: s3cret: x",
        "metrics: {push: {url: 'http://u:s3cret@a/'}}",
        "metrics: {push: {url: 'ftp://u:s3cret@a/'}}",
        "metrics: {push: {url: 'http://a b/?token=s3cret'}}",
        "metrics: {push: {url: http://a/, headers: {Authorization: 's3cret '}}}",
        "metrics: {push: {url: http://a/, headers: {Authorization: [s3cret]}}}",
        "metrics: {push: {url: http://a/, headers: s3cret}}",
        "metrics: {push: {url: http://a/, username: u, password: s3cret, headers: {Authorization: x}}}",
    ],
)
def test_no_error_quotes_a_secret(refused, text):
    assert "s3cret" not in refused(text)


def test_a_password_that_looks_like_a_number_is_asked_for_in_quotes_and_not_quoted_back(refused):
    said = refused("metrics: {push: {url: http://a/, username: u, password: 424242}}")
    assert said == "energyd.yml:1: metrics.push.password: must be a text; put it in quotes"


def test_a_file_that_is_not_there_or_a_directory_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match="No such file or directory; name an existing file with --config"):
        configfile.load(str(tmp_path / "no.yml"), {})
    with pytest.raises(ConfigError, match="Is a directory"):
        configfile.load(str(tmp_path), {})


def test_an_unreadable_file_is_a_configuration_error(tmp_path):
    path = tmp_path / "energyd.yml"
    path.write_text("")
    path.chmod(0)
    user = os.geteuid()
    os.seteuid(user or NOBODY)  # root may read everything
    try:
        with pytest.raises(ConfigError, match="Permission denied; run as a user who may read it"):
            configfile.load(str(path), {})
    finally:
        os.seteuid(user)


def test_nested_aliases_cost_nothing(refused):
    lines = ["x0: &x0 [a, a]"] + [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]" for i in range(1, 60)]
    assert "unknown key" in refused("\n".join(lines))


def test_a_flag_is_named_as_such(refused):
    assert refused("", {}, (("metrics.prot", "1"),)) == "--set: metrics.prot: unknown key; did you mean metrics.port?"
    assert refused("", {}, (("metrics.port", "x"),)) == "--set: metrics.port: must be an integer from 1 to 65535, not x"
    assert refused("metrics: 5", {}, (("metrics.port", "1"),)).startswith("--set: ")
    assert refused("", {}, (("meters", "[{"),)) == "--set: not YAML: expected the node content, but found '<stream end>'"


def test_one_device_under_two_names_is_found_out(tmp_path):
    (tmp_path / "by-id").mkdir()
    (tmp_path / "by-id/usb-adapter").symlink_to("../ttyUSB0")
    path = tmp_path / "energyd.yml"
    path.write_text(f"meters: [{{device: {tmp_path}/ttyUSB0}}, {{name: b, device: {tmp_path}/by-id/usb-adapter}}]\n")

    with pytest.raises(ConfigError, match=r"meters\[1\].device: .*usb-adapter is that of meters\[0\] \(.*ttyUSB0\)"):
        configfile.load(str(path), {})


def test_a_capture_may_be_read_twice(tmp_path):
    path = tmp_path / "energyd.yml"
    path.write_text("meters: [{device: 'file:/a'}, {name: b, device: 'file:/a'}]\n")

    assert len(configfile.load(str(path), {}).meters) == 2
