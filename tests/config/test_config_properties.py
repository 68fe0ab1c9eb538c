"""Laws: valid values survive the way to the workers, and no text brings anything but a Config or a ConfigError."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energyd.config import Config, from_json
from energyd.configbuild import build
from energyd.configtree import Node, parse, parse_value
from energyd.environment import ALIASES, VARIABLES, overlay
from energyd.errors import ConfigError
from energyd.settings import SETTINGS

name = st.from_regex(r"\A[a-z0-9_-]{1,32}\Z")
path = st.from_regex(r"\A/[a-z0-9._-]{1,20}\Z")
line = st.text("aZ09é€𐀀#:'\"{}[]-&*!%@~|>?", min_size=1, max_size=20)
hostname = st.sampled_from(["127.0.0.1", "::1", "localhost", "vm.example.org"])
authority = st.sampled_from(["127.0.0.1:1", "[::1]:65535", "gateway:2001"])


def optional(**entries):
    return st.fixed_dictionaries({}, optional=entries)


meter = st.fixed_dictionaries(
    {"device": path | authority.map("socket://{}".format) | authority.map("rfc2217://{}".format) | path.map("file:{}".format)},
    optional={"mode": st.sampled_from(["auto", "historique", "standard"])},
)
password = st.sampled_from(["password", "password_file"]).flatmap(
    lambda key: st.fixed_dictionaries({"username": line, key: line if key == "password" else path})
)
target = st.builds(
    dict.__or__,
    st.fixed_dictionaries(
        {"url": authority.map("https://{}/write".format)},
        optional={
            "enabled": st.booleans(),
            "interval": st.floats(1, 86400) | st.integers(1, 86400) | st.integers(1, 1440).map("{}m".format),
            "headers": st.dictionaries(st.from_regex(r"\AX-[A-Za-z]{1,8}\Z"), st.from_regex(r"\A[!-~]{1,9}\Z"), max_size=3),
            "match": st.just("energyd_.*"),
        },
    ),
    st.just({}) | password,
)


def named(item):
    """Lists of items with different names."""
    return st.dictionaries(name, item, max_size=3).map(lambda items: [{"name": key, **value} for key, value in items.items()])


configuration = optional(
    meters=named(meter).filter(lambda meters: len({each["device"] for each in meters}) == len(meters)),
    metrics=optional(
        enabled=st.booleans(),
        listen=hostname,
        port=st.integers(1, 65535),
        path=st.from_regex(r"\A/[a-z0-9._]{1,20}\Z"),
        labels=st.dictionaries(st.from_regex(r"\Ax_[A-Za-z0-9_]{0,8}\Z"), line, max_size=3),
        push=target | named(target),
    ),
    energy=optional(rate_hz=st.floats(0.1, 1000)),
    usage=optional(rate_hz=st.floats(0.1, 100), top=st.integers(0, 10000)),
    log=optional(level=st.sampled_from(["debug", "error"]), format=st.sampled_from(["text", "json", "journal"])),
    run_dir=path,
    state_dir=path,
    sysfs_root=path,
    procfs_root=path,
)


@given(configuration)
@settings(deadline=None)
def test_valid_values_arrive_at_the_workers_as_they_were_written(values):
    config = build(parse(json.dumps(values), "energyd.yml")).config
    assert from_json(config.to_json()) == config
    metrics = values.get("metrics", {})
    assert config.metrics.port == metrics.get("port", 9836)
    assert dict(config.metrics.labels) == metrics.get("labels", {})
    assert config.run_dir == values.get("run_dir", "/run/energyd")
    assert [meter.device for meter in config.meters] == [meter["device"] for meter in values.get("meters", [])]
    assert config.usage.rate_hz == values.get("usage", {}).get("rate_hz", 2.0)


keys = st.sampled_from(sorted({part.removesuffix("[]") for row in SETTINGS for part in row.key.split(".")})) | st.text(max_size=5)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["15s", "/x", "auto", "http://a/"])
)
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12)
pieces = [
    "a",
    "metrics",
    "port",
    "push",
    "meters",
    ":",
    ": ",
    "\n",
    "\n  ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&a ",
    "*a",
    "!t ",
    "<<: ",
    "'",
    '"',
    "|",
    ">",
]
pieces += ["#", "\t", "---", "...", "%YAML", "\\", "\x00", "\ufeff", "\u2028", "1", "yes", "?", "@", "~"]


def outcome(make):
    try:
        return make()
    except ConfigError as error:
        return None if "\n" not in str(error) else pytest.fail(f"an error is one line: {error}")


@given(st.text(max_size=60) | st.lists(st.sampled_from(pieces), max_size=25).map("".join) | trees.map(json.dumps))
@settings(deadline=None, max_examples=300)
def test_no_text_brings_anything_but_a_config_or_a_config_error(text):
    tree = outcome(lambda: parse(text, "energyd.yml"))
    if tree is not None and (tree.value is None or isinstance(tree.value, dict)):
        outcome(lambda: build(tree))


@given(st.dictionaries(st.sampled_from([*ALIASES, *VARIABLES]), st.text(max_size=12) | trees.map(json.dumps), max_size=4))
@settings(deadline=None)
def test_no_environment_does(environ):
    outcome(lambda: build(overlay(Node("energyd.yml", None), environ)[0]))


@given(st.text(max_size=30))
def test_a_variable_is_a_value_or_a_config_error(text):
    outcome(lambda: parse_value(text, "X"))


def test_the_defaults_survive_the_way_to_the_workers():
    assert from_json(Config().to_json()) == Config()
