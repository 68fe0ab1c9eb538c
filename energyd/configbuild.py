"""A tree of nodes and the table of settings make a Config. Pure: no file, no variable.

Law: a key that the table does not know, a value that its type refuses, and settings that contradict each other are a ConfigError
"where: key: what is wrong"; what is allowed but probably not meant is a warning.
"""

import difflib
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, NamedTuple

from energyd import settings
from energyd.config import Config, Energy, GroupRule, Log, Meter, Metrics, Push, Spool, Tariff, Usage
from energyd.configtree import Node, shown
from energyd.errors import ConfigError
from energyd.groups.rules import check as check_rule
from energyd.settingrows.row import Setting

_SECTIONS: dict[str, type[Any]] = {"energy": Energy, "usage": Usage, "metrics": Metrics, "metrics.spool": Spool, "log": Log}
_LABELS_OF_PROMETHEUS = ("instance", "job")


class Loaded(NamedTuple):
    """A configuration and what its author should know about it, one sentence each."""

    config: Config
    warnings: tuple[str, ...] = ()


def build(tree: Node, real_path: Callable[[str], str] = str) -> Loaded:
    """The Config that the tree describes, defaults where it is silent; ConfigError otherwise.

    `real_path` follows symbolic links, so that one device under two names is found out.
    """
    values = _values("", "", _entries(tree, "the configuration"))
    config = Config(**values)
    _check_sources(config.energy, tree)
    _check_devices(config.meters, tree, real_path)
    if config.powercap_root == Config().powercap_root:
        config = config._replace(powercap_root=config.sysfs_root.rstrip("/") + "/class/powercap")
    return Loaded(config, tuple(_warnings(config, tree)))


def _values(section: str, shown_section: str, entries: dict[str, Node]) -> dict[str, Any]:
    """Field values of the section's class. `section` is the table's name (meters[]), `shown_section` the reader's (meters[1])."""
    names = settings.children(section)
    for name, node in entries.items():
        if name not in names:
            raise ConfigError(
                f"{node.where}: {_join(shown_section, shown(name))}: unknown key; {_advice(name, section, shown_section)}"
            )
    values: dict[str, Any] = {}
    for name in names:
        key, label = _join(section, name), _join(shown_section, name)
        row, given = settings.setting(key), entries.get(name)
        if row is not None:
            values[row.field or row.leaf] = settings.default(row) if given is None else _value(row, label, given)
        elif key == "metrics.push":
            values.update(_push(label, given))
        elif key in settings.LISTS:
            items = [] if given is None else _list(_pasted(given) if key == "groups" else given, label)
            values[name] = _items(key, label, items)
        else:
            values[name] = _SECTIONS[key](**_values(key, label, {} if given is None else _entries(given, label)))
    return values


def _value(row: Setting, label: str, node: Node) -> Any:
    default = settings.default(row)
    empty = node.value is None or (node.value == "" and default is None)
    if empty and default is None:
        return None
    if node.value is None and default == ():
        return default
    if node.value is None and not row.reserved:
        raise ConfigError(f"{node.where}: {label}: has no value; give it one or remove the key")
    try:
        value = row.type.read(node)
    except ValueError as error:
        raise ConfigError(f"{node.where}: {label}: {error}") from None
    return default if row.reserved else value


def _items(key: str, label: str, nodes: list[Node]) -> tuple[Any, ...]:
    """The items of a list of sections; their names differ."""
    built: list[Any] = []
    owners: dict[str, Node] = {}
    for index, node in enumerate(nodes):
        item_label = f"{label}[{index}]" if len(nodes) > 1 or key != "metrics.push" else label
        entries = _entries(node, item_label)
        values = _values(key + "[]", item_label, entries)
        where = entries["name"].where if "name" in entries else node.where
        if key == "groups":
            built.append(_group_rule(item_label, node, values))
            continue
        if (first := owners.setdefault(values["name"], node)) is not node:
            taken = f"{first.where}: {item_label}.name" if where == first.where else f"{where}: {item_label}.name"
            raise ConfigError(f"{taken}: {values['name']!r} is taken by {label}[{nodes.index(first)}]; give each its own name")
        if key == "metrics.push":
            _check_push(item_label, node, entries, values)
            if not values.pop("enabled"):
                continue
            built.append(Push(**values))
        else:
            _require(settings.children(key + "[]"), key + "[]", item_label, node, values)
            built.append(settings.LISTS[key](**values))
    if key == "tariffs":
        _check_tariffs(label, nodes, built)
    return tuple(built)


def _check_sources(energy: Energy, tree: Node) -> None:
    if energy.sources == Energy().sources:
        return
    where = _entries(_entries(tree, "")["energy"], "")["sources"].where
    if "meter" in energy.sources[1:]:
        raise ConfigError(f"{where}: energy.sources: a meter stands before all others, or is no source; put meter first")
    if "model" in energy.sources:
        idle_w, max_w = energy.model_idle_w, energy.model_max_w
        if idle_w is None or max_w is None or idle_w > max_w:
            raise ConfigError(f"{where}: energy.sources: model needs energy.model_idle_w and a greater energy.model_max_w")


def _check_devices(meters: tuple[Meter, ...], tree: Node, real_path: Callable[[str], str]) -> None:
    """Two readers of one line would each get half of its characters; a capture can be read by many."""
    nodes = _list(_entries(tree, "")["meters"], "meters") if meters else []
    owners: dict[str, int] = {}
    for index, (meter, node) in enumerate(zip(meters, nodes, strict=True)):
        device = real_path(meter.device) if meter.device.startswith("/") else meter.device
        first = index if device.startswith("file:") else owners.setdefault(device, index)
        if first != index:
            same = meters[first].device
            raise ConfigError(
                f"{_entries(node, '')['device'].where}: meters[{index}].device: {meter.device} is that of meters[{first}]"
                f"{'' if same == meter.device else f' ({same})'}; give each meter its own, or remove one"
            )


def _pasted(node: Node) -> Node:
    """The configuration of process-exporter below `groups:` stands for its list."""
    if isinstance(node.value, dict) and set(node.value) == {"process_names"}:
        node = node.value["process_names"]
    return node


def _group_rule(label: str, node: Node, values: dict[str, Any]) -> GroupRule:
    rule = GroupRule(**values)
    try:
        check_rule(rule)
    except ValueError as error:
        raise ConfigError(f"{node.where}: {label}: {error}") from None
    return rule


def _check_tariffs(label: str, nodes: list[Node], tariffs: list[Tariff]) -> None:
    """A day has one table of each meter, and one for the meters that have none."""
    for number, (node, tariff) in enumerate(zip(nodes, tariffs, strict=True)):
        if tariff.valid_to is not None and tariff.valid_to < tariff.valid_from:
            raise ConfigError(f"{node.where}: {label}[{number}].valid_to: is before valid_from; exchange them")
        for other_number, other in enumerate(tariffs[:number]):
            if other.meter == tariff.meter and _overlap(other, tariff):
                raise ConfigError(
                    f"{node.where}: {label}[{number}]: {tariff.name} and {label}[{other_number}] {other.name} "
                    "are valid on the same day; end one with valid_to before the other begins"
                )


def _overlap(one: Tariff, other: Tariff) -> bool:
    """A table without an end ends where the next begins, so it only meets one that begins on the same day."""
    first, second = sorted((one, other), key=lambda tariff: tariff.valid_from)
    return first.valid_from == second.valid_from or (first.valid_to is not None and first.valid_to >= second.valid_from)


def _push(label: str, node: Node | None) -> dict[str, Any]:
    """metrics.push: one mapping, or a list of them; those that are not enabled are checked and left out."""
    nodes: list[Node] = []
    if node is not None and node.value not in (None, {}):
        nodes = [node] if isinstance(node.value, dict) else _list(node, label)
    targets = _items("metrics.push", label, nodes)
    return {"push": targets, "push_enabled": bool(targets)}


def _check_push(label: str, node: Node, entries: dict[str, Node], values: dict[str, Any]) -> None:
    if values["enabled"]:
        _require(settings.children("metrics.push[]"), "metrics.push[]", label, node, values)
    for name in ("password", "bearer_token"):
        if values[name] is not None and values[f"{name}_file"] is not None:
            raise ConfigError(f"{entries[name + '_file'].where}: {label}: {name} and {name}_file are both given; keep one")
    secret = values["password"] is not None or values["password_file"] is not None
    token = values["bearer_token"] is not None or values["bearer_token_file"] is not None
    if token and secret:
        raise ConfigError(f"{node.where}: {label}: a bearer token and a password are both given; keep one")
    if secret and values["username"] is None:
        raise ConfigError(f"{node.where}: {label}.username: missing; a password without a user is never sent")
    if values["username"] is not None and not secret:
        raise ConfigError(f"{entries['username'].where}: {label}: username without a password; give password_file")
    if (secret or token) and any(name.lower() == "authorization" for name, _ in values["headers"]):
        other = "username" if secret else "bearer_token"
        raise ConfigError(f"{entries['headers'].where}: {label}.headers: Authorization and {other} are both given; keep one")
    if (values["tls_cert_file"] is None) != (values["tls_key_file"] is None):
        raise ConfigError(f"{node.where}: {label}: tls_cert_file and tls_key_file belong together; give both")
    if values["resolution_s"] > values["interval_s"]:
        where = entries["resolution" if "resolution" in entries else "interval"].where
        raise ConfigError(f"{where}: {label}.resolution: longer than the interval; make it at most {values['interval_s']:g}s")


def _require(names: tuple[str, ...], section: str, label: str, node: Node, values: dict[str, Any]) -> None:
    for name in names:
        row = settings.setting(_join(section, name))
        if row is not None and row.required and values[row.field or row.leaf] is None:
            raise ConfigError(f"{node.where}: {label}.{name}: missing; for example {name}: {row.example}")


def _entries(node: Node, label: str) -> dict[str, Node]:
    if node.value is None:
        return {}
    if isinstance(node.value, dict):
        return node.value
    raise ConfigError(
        f"{node.where}: {label}: must be a mapping (key: value), not {'a list' if isinstance(node.value, list) else 'a value'}"
    )


def _list(node: Node, label: str) -> list[Node]:
    if node.value is None:
        return []
    if isinstance(node.value, list):
        return node.value
    one = "a mapping" if isinstance(node.value, dict) else "a value"
    raise ConfigError(f"{node.where}: {label}: must be a list (each item begins with '- '), not {one}")


def _join(section: str, name: str) -> str:
    return f"{section}.{name}" if section else name


def _advice(name: str, section: str, shown_section: str) -> str:
    """The nearest valid key: first beside the wrong one, then anywhere, else what is valid here."""
    siblings = settings.children(section)
    if near := difflib.get_close_matches(name.lower(), siblings, 1):
        return f"did you mean {_join(shown_section, near[0])}?"
    keys = [*(row.key for row in reversed(settings.SETTINGS) if not row.reserved), *settings.SECTIONS]
    leaves = {key.rpartition(".")[2]: key for key in keys}
    if near := difflib.get_close_matches(name.lower(), leaves, 1, 0.8):
        return f"did you mean {leaves[near[0]]}?"
    return f"valid here: {', '.join(siblings)}"


def _warnings(config: Config, tree: Node) -> list[str]:
    entries: Any = tree.value or {}
    labels: Any = entries["metrics"].value["labels"].value if config.metrics.labels else {}
    warnings = [
        f"{labels[name].where}: metrics.labels.{name}: Prometheus puts its own there and keeps this one as exported_{name}, "
        "unless its scrape has honor_labels"
        for name in _LABELS_OF_PROMETHEUS
        if name in labels
    ]
    if config.metrics.port == 8123:
        warnings.append(f"{entries['metrics'].value['port'].where}: metrics.port: 8123 is also the port of Home Assistant")
    if not config.metrics.enabled and not config.metrics.push:
        warnings.append(f"{entries['metrics'].where}: metrics: neither served nor pushed; nobody will see what is measured")
    return [*warnings, *_tariff_warnings(config, entries)]


def _end(tariff: Tariff, tariffs: tuple[Tariff, ...]) -> str:
    """The last day of a table; one without an end ends where the next of its meter begins."""
    later = [other.valid_from for other in tariffs if other.meter == tariff.meter and other.valid_from > tariff.valid_from]
    return tariff.valid_to or min(later, default="9999-12-31")


def _tariff_warnings(config: Config, entries: Any) -> list[str]:
    """Tables that no meter uses, and days between two tables of a meter that none has a price for."""
    warnings = []
    known = [meter.name for meter in config.meters]
    for number, tariff in enumerate(config.tariffs):
        where = f"{entries['tariffs'].value[number].where}: tariffs[{number}]"
        if known and tariff.meter is not None and tariff.meter not in known:
            warnings.append(f"{where}.meter: no meter is named {tariff.meter}; there are: {', '.join(known)}")
        others = [other for other in config.tariffs if other.meter in (tariff.meter, None) and other is not tariff]
        last = tariff.valid_to
        if last is None or any(other.valid_from <= last < _end(other, config.tariffs) for other in others):
            continue
        later = min((other.valid_from for other in others if other.valid_from > last), default=None)
        if later is not None and date.fromisoformat(later) - date.fromisoformat(last) > timedelta(days=1):
            warnings.append(f"{where}.valid_to: no table has a price from the day after {last} until {later}")
    return warnings
