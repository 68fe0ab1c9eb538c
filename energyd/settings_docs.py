"""What is said about the settings elsewhere, made from their table: `python -m energyd.settings_docs --write | --check`.

conf/energyd.yml, conf/energyd.schema.json (JSON Schema draft-07, for editors) and packaging/man/energyd.yml.5 (man(7)).
Law: the same table gives the same bytes, so that a test can tell whether they are up to date.
"""

import json
import sys
from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Any, Final

from energyd import environment, settings
from energyd.configfile import DEFAULT_PATH
from energyd.errors import EXIT_CONFIGURATION
from energyd.generated import write_or_check
from energyd.settingrows.row import Setting
from energyd.settings import default
from energyd.settingtypes import Boolean, Duration, Pairs, Switches, Text, duration

WIDTH: Final = 100

_YML_HEAD = """\
# Configuration of energyd. Every key is optional: the values below are the defaults, a key behind # has none and shows an example.
# `energyd check-config` checks this file; energyd.yml(5) explains it. Flags (--set) and the environment (ENERGYD_*) go before it.
"""

_MAN_DESCRIPTION = (
    f"The configuration of energyd, by default {DEFAULT_PATH}, is one YAML document of at most 1 MiB in UTF-8. "
    "The file and every key in it are optional.",
    "It is read strictly: a truth is true or false (not yes, on or 1), an integer has no fraction, a text that looks like a "
    "number or a truth is put in quotes, and nothing is rounded. An unknown key, a key written twice or a value that "
    "a key does not take ends energyd with exit status 100 and one line that names file, line and key.",
    "A flag (--set section.key=value) goes before an environment variable, that before the file, and that before the default.",
)


def value_text(row: Setting) -> str:
    """The default as YAML, '' if there is none."""
    value = default(row)
    if value is None or value == ():
        return ""
    if isinstance(row.type, Duration):
        return duration(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else str(value)


def yml() -> str:
    """conf/energyd.yml."""
    entries = [_yml_entry(name, name, 0) for name in settings.children("")]
    return _YML_HEAD + "".join("\n" + entry.lstrip("\n") for entry in entries if entry)


def _yml_entry(key: str, name: str, depth: int) -> str:
    indent = "  " * depth
    row = settings.setting(key)
    if row is not None:
        if row.reserved:
            return ""
        text = value_text(row)
        return _comment(_sentence(row), indent) + (f"{indent}{name}: {text}\n" if text else f"{indent}#{name}: {row.example}\n")
    if not _alive(key):
        return ""
    head = "\n" + _comment(settings.SECTIONS[key], indent) + f"{indent}{name}:\n"
    if key in settings.LISTS:
        return head + _yml_item(key, depth + 1)
    return head + "".join(_yml_entry(f"{key}.{child}", child, depth + 1) for child in settings.children(key))


def _yml_item(key: str, depth: int) -> str:
    """An item behind #: of a list with its dash, of metrics.push as the one mapping."""
    indent = "  " * depth
    dash = key != "metrics.push"
    text = ""
    rows = [row for row in settings.SETTINGS if row.key.startswith(key + "[].") and not row.reserved]
    for number, row in enumerate(rows):
        lead = ("- " if number == 0 else "  ") if dash else ""
        text += _comment(_sentence(row), indent) + f"{indent}#{lead}{row.leaf}: {row.example}\n"
    return text


def _comment(text: str, indent: str) -> str:
    return "".join(f"{indent}# {line}\n" for line in wrap(text, WIDTH - len(indent)))


def _sentence(row: Setting) -> str:
    """The meaning, and what the value must be where the meaning does not say it."""
    evident = isinstance(row.type, Boolean | Pairs | Switches | Text)
    return row.help + ("" if evident else f" Must be {row.type.words}.")


def _alive(section: str) -> bool:
    """Whether a section has a key that does something."""
    return any(row.key.startswith((section + ".", section + "[")) and not row.reserved for row in settings.SETTINGS)


def schema() -> str:
    """conf/energyd.schema.json."""
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Configuration of energyd"}
    return json.dumps({**head, **_schema("")}, indent=2, ensure_ascii=False) + "\n"


def _schema(section: str) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name in settings.children(section):
        key = f"{section}.{name}" if section else name
        row = settings.setting(key)
        if row is not None:
            properties[name] = _row_schema(row)
        elif key in settings.LISTS:
            item = _schema(key + "[]")
            properties[name] = {
                "description": settings.SECTIONS[key],
                **_list_schema(key, item),
            }
        else:
            properties[name] = {"description": settings.SECTIONS[key], **_schema(key)}
    return {"type": ["object", "null"], "properties": properties, "additionalProperties": False}


def _list_schema(key: str, item: dict[str, Any]) -> dict[str, Any]:
    many = {"type": ["array", "null"], "items": item}
    if key == "metrics.push":
        return {"anyOf": [item, many]}
    if key == "groups":
        pasted = {"type": "object", "properties": {"process_names": many}, "additionalProperties": False}
        return {"anyOf": [many, pasted]}
    return many


def _row_schema(row: Setting) -> dict[str, Any]:
    plain = row.type.schema()
    value = default(row)
    if value is None and not row.reserved:
        plain = {"anyOf": [plain, {"enum": [None, ""]}]}
    elif value == () and not row.reserved:
        plain = {"anyOf": [plain, {"type": "null"}]}
    shown = {} if value in (None, ()) or row.reserved else {"default": list(value) if isinstance(value, tuple) else value}
    note = " Not available in this version." if row.reserved else ""
    return {"description": row.help + note, **plain, **shown}


def man() -> str:
    """packaging/man/energyd.yml.5."""
    lines = ['.\\" Made by energyd.settings_docs from the table of settings.', '.TH ENERGYD.YML 5 "" energyd "File formats"']
    lines += [".SH NAME", r"energyd.yml \- configuration of energyd", ".SH DESCRIPTION"]
    for paragraph in _MAN_DESCRIPTION:
        lines += [".PP", troff(paragraph)]
    top = [row for row in settings.SETTINGS if "." not in row.key and not row.reserved]
    for section in [name for name in settings.SECTIONS if _alive(name)]:
        lines += [f".SH {troff(section.upper())}", troff(settings.SECTIONS[section])]
        prefix = section + "[]" if section in settings.LISTS else section
        for name in settings.children(prefix):
            row = settings.setting(f"{prefix}.{name}")
            if row is not None and not row.reserved:
                lines += _man_row(row)
    lines += [".SH DIRECTORIES"]
    for row in top:
        lines += _man_row(row)
    lines += _man_reserved() + _man_environment()
    lines += [
        ".SH FILES",
        ".TP",
        f".I {DEFAULT_PATH}",
        "The configuration, if it exists and no other is named with --config.".replace("-", r"\-"),
    ]
    lines += [
        ".TP",
        r".I /run/energyd/config.json",
        "What the processes read: the configuration as it was resolved; it holds secrets.",
    ]
    lines += [".SH EXIT STATUS", f"{EXIT_CONFIGURATION} if the configuration is wrong; a supervisor does not try again."]
    lines += [".SH EXAMPLE", ".nf", *(troff(line) for line in _EXAMPLE.splitlines()), ".fi", ".SH SEE ALSO", ".BR energyd (1)"]
    return "\n".join(lines) + "\n"


_EXAMPLE = """\
meters:
  - name: linky
    device: /dev/ttyUSB0
metrics:
  listen: 0.0.0.0
  labels:
    location: paris
  push:
    url: http://victoriametrics:8428/api/v1/import/prometheus
    interval: 60
"""


def _man_row(row: Setting) -> list[str]:
    text = value_text(row)
    tail = "Required." if row.required else f"Default: {text}." if text else "No default."
    return [".TP", f".B {troff(row.key)}", troff(_sentence(row)), troff(tail)]


def _man_reserved() -> list[str]:
    keys = ", ".join(row.key for row in settings.SETTINGS if row.reserved)
    return [
        ".SH RESERVED KEYS",
        troff(f"These keys are known but not available in this version, and refused unless empty: {keys}."),
    ]


def _man_environment() -> list[str]:
    lines = [".SH ENVIRONMENT", troff(_ENVIRONMENT)]
    for name, key in environment.ALIASES.items():
        lines += [".TP", f".B {troff(name)}", troff(f"Sets {key}" + (" of the one meter." if key.startswith("meters.") else "."))]
    for name, why in environment.WITHOUT_EFFECT.items():
        lines += [".TP", f".B {troff(name)}", troff(f"Has no effect, and a warning says so: {why}.")]
    return lines


_ENVIRONMENT = (
    "Every key can be set by a variable: ENERGYD_ and the key in capitals with _ for each dot, for example ENERGYD_METRICS_PORT. "
    "ENERGYD_METERS, ENERGYD_METRICS_PUSH, ENERGYD_TARIFFS and ENERGYD_GROUPS take a list in JSON; ENERGYD_METRICS_PUSH_URL and "
    "its like set the one receiver. "
    "An empty variable counts as none; an unknown ENERGYD_ variable and two variables that set one key differently are errors. "
    "These variables of other programs are understood as well:"
)


def troff(text: str) -> str:
    """Text that troff shows as it is: hyphens can be copied, and no line becomes a request."""
    text = (
        text.replace("\\", r"\e")
        .replace("-", r"\-")
        .replace("'", r"\(aq")
        .replace("`", r"\(ga")
        .replace("^", r"\(ha")
        .replace("~", r"\(ti")
    )
    return r"\&" + text if text.startswith((".", " ")) else text


FILES: Final[dict[str, Callable[[], str]]] = {
    "conf/energyd.yml": yml,
    "conf/energyd.schema.json": schema,
    "packaging/man/energyd.yml.5": man,
}


def main(argv: Sequence[str] | None = None) -> int:
    return write_or_check(FILES, "energyd.settings_docs", argv)


if __name__ == "__main__":
    sys.exit(main())
