"""THE table of settings: every key, its type, its meaning. Defaults stand in `energyd.config`.

The loader's checks, conf/energyd.yml, conf/energyd.schema.json and energyd.yml(5) are all made from these rows, so that none of
them can say what the others do not; `energyd.settingrows` has a module of rows for each section. A key is a dotted path; `[]` marks
the items of a list. Law: a row is here because something reads it, or it is `Reserved` and refused.
"""

from typing import Any

from energyd.config import Config, GroupRule, Meter, Push, Tariff
from energyd.settingrows import energy, general, groups, meters, metrics, pushing, tariffs
from energyd.settingrows.row import Setting

_MODULES = (meters, metrics, pushing, energy, tariffs, groups, general)

SECTIONS: dict[str, str] = {key: text for module in _MODULES for key, text in module.SECTIONS.items()}

LISTS: dict[str, type[Any]] = {"meters": Meter, "metrics.push": Push, "tariffs": Tariff, "groups": GroupRule}
"""Sections that are lists of items; metrics.push may also be one item."""

SETTINGS: tuple[Setting, ...] = tuple(row for module in _MODULES for row in module.ROWS)

DERIVED = ("simulated", "clock", "meters[].simulated", "metrics.push_enabled")
"""Fields of Config that no row gives: what `energyd run` finds out, and what follows from rows."""

ITEM_DEFAULTS: dict[str, Any] = {"meters[].name": "linky", "metrics.push[].name": "push", "metrics.push[].enabled": True}
"""What an item of a list gets where its class cannot know it."""

_BY_KEY = {setting.key: setting for setting in SETTINGS}


def setting(key: str) -> Setting | None:
    return _BY_KEY.get(key)


def children(section: str) -> tuple[str, ...]:
    """The names directly below a section ('' is the top, 'meters[]' an item of a list), in the table's order."""
    prefix = section + "." if section else ""
    names = (key[len(prefix) :].split(".")[0].removesuffix("[]") for key in _BY_KEY if key.startswith(prefix))
    return tuple(dict.fromkeys(names))


def default(row: Setting) -> Any:
    """What Config holds when the key is absent."""
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
