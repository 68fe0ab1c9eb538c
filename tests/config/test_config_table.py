"""The table of settings, the Config, the shipped files and the code agree."""

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from energyd import settings, settings_docs
from energyd.config import Config, Meter
from energyd.export.catalogue import CATALOGUE
from energyd.settingchecks import OWN_LABELS
from energyd.settingtypes import Reserved

ROOT = Path(__file__).parents[2]


def fields(kind, prefix=""):
    """Every leaf field of Config, as the table writes its keys."""
    for name in kind._fields:
        key = prefix + name
        default = kind._field_defaults.get(name)
        if key in settings.LISTS:
            yield from fields(settings.LISTS[key], key + "[].")
        elif hasattr(default, "_fields") and key not in settings.DERIVED:
            yield from fields(type(default), key + ".")
        else:
            yield key


def test_every_field_of_config_has_a_row_or_is_derived_and_every_row_has_a_field():
    rows = {f"{row.key.rpartition('.')[0]}.{row.field}" if row.field else row.key for row in settings.SETTINGS}
    rows.remove("metrics.push[].enabled")  # its field is the presence in the list
    assert rows | set(settings.DERIVED) == set(fields(Config))
    assert not rows & set(settings.DERIVED)


def test_keys_are_unique_and_the_rows_of_a_section_stand_together():
    keys = [row.key for row in settings.SETTINGS]
    assert len(set(keys)) == len(keys)
    sections = [key.rpartition(".")[0].split("[")[0].split(".")[0] for key in keys]
    changes = [section for before, section in zip([None, *sections], sections, strict=False) if section and section != before]
    assert len(set(changes)) == len(changes)


def test_defaults_are_valid_values(load):
    for row in settings.SETTINGS:
        text = settings_docs.value_text(row)
        if text and not row.reserved and "[]" not in row.key:
            assert load("", {}, ((row.key, text),)) == Config(), row.key


def test_the_shipped_configuration_is_exactly_the_defaults(load):
    assert load((ROOT / "conf/energyd.yml").read_text()) == Config()


ONE_SECRET = ("    password: ", "    bearer_token")
"""Examples of which a target can have only one."""


def test_the_shipped_configuration_with_every_example_switched_on_is_valid(load):
    text = (ROOT / "conf/energyd.yml").read_text()
    active = re.sub(r"^( *)#((- |  )?[a-z_]+:)", r"\1\2", text, flags=re.MULTILINE)
    assert "\n  - name: linky\n" in active
    config = load("\n".join(line for line in active.splitlines() if not line.startswith(ONE_SECRET)))
    assert config.meters == (Meter("linky", "/dev/ttyUSB0", pdl="09876543210123"),)
    assert config.tariffs[0].prices == (("hc", 0.1579), ("hp", 0.2065))
    assert config.metrics.push[0].headers == (("X-Custom-Header", "value"),)
    assert config.metrics.labels == (("location", "paris"),)


def test_the_shipped_configuration_names_every_key_that_works_and_none_that_does_not():
    text = (ROOT / "conf/energyd.yml").read_text()
    for row in settings.SETTINGS:
        named = re.search(rf"^ *#?(- | *){row.leaf}:", text, re.MULTILINE) is not None
        same_leaf = [other for other in settings.SETTINGS if other.leaf == row.leaf and not other.reserved]
        assert named == bool(same_leaf), row.key


def test_the_files_made_from_the_table_are_up_to_date(tmp_path, capsys):
    assert settings_docs.main(["--check"]) == 0, capsys.readouterr().err
    assert settings_docs.main(["--check", "--root", str(tmp_path)]) == 1
    assert settings_docs.main(["--write", "--root", str(tmp_path)]) == 0
    assert settings_docs.main(["--check", "--root", str(tmp_path)]) == 0


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_manual_page_is_clean_troff_and_names_every_key():
    page = ROOT / "packaging/man/energyd.yml.5"
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", page], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    plain = re.sub(r"\x1b\[[0-9;]*m|.\x08|[\u2010-]\n *", "", done.stdout)
    for row in settings.SETTINGS:
        assert row.key in plain


def test_no_constant_label_can_collide_with_a_label_of_our_own():
    assert {label for metric in CATALOGUE for label in metric.labels} <= OWN_LABELS


def valid(schema, value):
    """As much of JSON Schema draft-07 as the schema uses."""
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": int | float,
        "boolean": bool,
        "null": type(None),
    }
    known = {"type", "enum", "anyOf", "pattern", "minimum", "maximum", "properties", "additionalProperties", "propertyNames"}
    known |= {"items", "uniqueItems", "maxItems", "maxProperties", "description", "default", "$schema", "title"}
    assert set(schema) <= known, f"the test does not know {set(schema) - known}"
    if "anyOf" in schema and not any(valid(option, value) for option in schema["anyOf"]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(isinstance(value, kinds[name]) and (name == "boolean") >= isinstance(value, bool) for name in names):
            return False
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    if isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return False
    if isinstance(value, list):
        unique = len({json.dumps(item) for item in value}) == len(value) or not schema.get("uniqueItems")
        return (
            unique
            and len(value) <= schema.get("maxItems", len(value))
            and all(valid(schema.get("items", {}), item) for item in value)
        )
    if isinstance(value, dict):
        rest = schema.get("additionalProperties", {})
        return len(value) <= schema.get("maxProperties", len(value)) and all(
            valid(schema.get("propertyNames", {}), key)
            and (
                valid(schema["properties"][key], item)
                if key in schema.get("properties", {})
                else rest is not False and valid(rest, item)
            )
            for key, item in value.items()
        )
    return True


SCHEMA = json.loads((ROOT / "conf/energyd.schema.json").read_text())
ACCEPTED = [
    {},
    None,
    {"metrics": None, "meters": None},
    {
        "meters": [
            {"name": "a", "device": "/dev/a", "mode": "auto"},
            {"name": "b", "device": "socket://a:1"},
        ]
    },
    {
        "metrics": {
            "labels": {"a": "b"},
            "push": {"url": "http://a/", "interval": "15s", "username": "", "password": "", "headers": {"A": "b"}},
        }
    },
    {"metrics": {"push": [{"name": "a", "url": "http://a/", "interval": 60}, {"name": "b", "enabled": False}]}},
    {"energy": {"rate_hz": 10, "sources": [], "price_eur_per_kwh": None}, "usage": {"top": 0}},
    {"groups": [{"name": "{comm}", "kind": ["vm", "job"], "runtime": "qemu", "label": {"a": ".+"}, "comm": "x"}]},
    {"groups": {"process_names": [{"name": "{{.Comm}}", "cmdline": [".+"]}]}},
    {
        "groups": [],
        "tariffs": None,
        "metrics": {"spool": {}, "web_config_file": None, "families": None, "rename": {}},
        "compatibility": [],
    },
]
REFUSED = [
    [],
    {"metrics": {"prot": 1}},
    {"metrics": {"port": 0}},
    {"metrics": {"port": "9090"}},
    {"metrics": {"enabled": 1}},
    {"metrics": {"push": {"url": "ftp://a/"}}},
    {"metrics": {"push": {"url": "http://a/", "interval": "15x"}}},
    {"metrics": {"labels": {"a-b": "x"}}},
    {"metrics": {"labels": {"a": 1}}},
    {"meters": [{"device": "ttyUSB0"}]},
    {"meters": {"device": "/dev/a"}},
    {"energy": {"idle": "apart"}},
    {"energy": {"sources": ["rapl", "rapl"]}},
    {"groups": [{"kind": "box"}]},
    {"groups": [{"comm": 1}]},
    {"groups": {"process_name": []}},
    {"metrics": {"spool": {"max_bytes": 5}}},
    {"metrics": {"web_config_file": "web.yml"}},
]


@pytest.mark.parametrize("value", ACCEPTED, ids=json.dumps)
def test_what_the_schema_accepts_the_loader_accepts(load, value):
    assert valid(SCHEMA, value)
    load(json.dumps(value))


@pytest.mark.parametrize("value", REFUSED, ids=json.dumps)
def test_what_the_schema_refuses_the_loader_refuses(refused, value):
    assert not valid(SCHEMA, value)
    refused(json.dumps(value))


OURS = (
    "config",
    "configbuild",
    "configfile",
    "configtree",
    "environment",
    "settingchecks",
    "settings",
    "settings_docs",
    "settingtypes",
)


def attributes_read():
    """`a.b` for every attribute b read of a name or attribute a in the sources, those of the configuration left out."""
    for path in [*(ROOT / "energyd").rglob("*.py"), *(ROOT / "workers").glob("*.py")]:
        if path.stem in OURS and path.parent == ROOT / "energyd":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                holder = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
                yield f"{holder}.{node.attr}"


HOLDERS = {
    "": ("config", "settings"),
    "meters[]": ("meter",),
    "tariffs[]": ("tariff",),
    "groups[]": ("rule",),
    "metrics.push[]": ("target", "push", "settings", "_settings"),
    "metrics.spool": ("spool",),
}
"""What the sources call an item of a list."""


def test_a_setting_that_is_offered_is_read_by_something():
    read = set(attributes_read())
    for row in settings.SETTINGS:
        section, _, leaf = row.key.rpartition(".")
        holders = HOLDERS.get(section, (section,))
        found = any(f"{holder}.{row.field or leaf}" in read for holder in holders) or row.key == "metrics.push[].enabled"
        assert found or isinstance(row.type, Reserved), f"nothing reads {row.key}: make it Reserved until something does"
