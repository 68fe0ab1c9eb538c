"""Environment variables in the configuration tree: ENERGYD_SECTION_KEY for every key, and those that other programs made known.

Outside truths: METRICS_* of the myelectricaldata client, LINKY_* of linky-exporter, TZ of tzset(3). An empty variable is
no variable (compose files pass them empty). Law: a known variable has its effect or is answered with the reason why it has none.
"""

import difflib
from collections.abc import Mapping

from energyd import settings
from energyd.config import Config
from energyd.configtree import Node, parse_value, put
from energyd.errors import ConfigError

PREFIX = "ENERGYD_"
PRIVATE = ("ENERGYD_PARENT",)
"""Variables that energyd's own processes hand on (service.stop); no settings."""

ALIASES: dict[str, str] = {
    "METRICS_ENABLED": "metrics.enabled",
    "METRICS_PORT": "metrics.port",
    "METRICS_PATH": "metrics.path",
    "METRICS_PUSH_ENABLED": "metrics.push.enabled",
    "METRICS_PUSH_URL": "metrics.push.url",
    "METRICS_PUSH_INTERVAL": "metrics.push.interval",
    "LINKY_EXPORTER_INTERFACE": "meters.device",
    "LINKY_EXPORTER_MODE": "meters.mode",
    "LINKY_EXPORTER_PORT": "metrics.port",
    "LINKY_EXPORTER_LOGLEVEL": "log.level",
    "LINKY_EXPORTER_NAME": "metrics.linky_exporter_name",
    "LINKY_FRAME_TIMEOUT": "meters.link_timeout",
    "LINKY_SOCAT_HOST": "meters.device",
}
WITHOUT_EFFECT: dict[str, str] = {
    "LINKY_SOCAT_FILE": "energyd connects to LINKY_SOCAT_HOST itself, without socat and its file",
    "TZ": "days and tariffs begin in the time zone that the key timezone names, so that no shell can move them",
}
_LOWER_CASE = ("LINKY_EXPORTER_MODE", "LINKY_EXPORTER_LOGLEVEL")


def _variables() -> dict[str, str]:
    keys = [row.key for row in settings.SETTINGS if "[]" not in row.key or row.key.startswith("metrics.push[]")]
    keys = [*settings.LISTS, *(key.replace("[]", "") for key in keys)]
    return {PREFIX + key.upper().replace(".", "_"): key for key in keys}


VARIABLES: dict[str, str] = _variables()
"""ENERGYD_* -> key. Keys of metrics.push are those of its one target; a list (meters, metrics.push, ...) takes JSON."""


def overlay(tree: Node, environ: Mapping[str, str]) -> tuple[Node, list[str]]:
    """`tree` with what the environment sets in it, and warnings. ConfigError names the variable."""
    given = {name: text for name, text in environ.items() if text != ""}
    if given.get("TZ") == Config().timezone:
        del given["TZ"]
    warnings = [f"{name}: has no effect: {why}" for name, why in WITHOUT_EFFECT.items() if name in given]
    _refuse_unknown(given)
    warnings += _unknown_to_all(given)
    if "LINKY_SOCAT_HOST" in given and "LINKY_EXPORTER_INTERFACE" in given:
        if given["LINKY_EXPORTER_INTERFACE"] != given.get("LINKY_SOCAT_FILE"):
            warnings.append("LINKY_EXPORTER_INTERFACE: has no effect: LINKY_SOCAT_HOST says where the meter is")
        del given["LINKY_EXPORTER_INTERFACE"]
    owners: dict[str, str] = {}
    for name, key in {**VARIABLES, **ALIASES}.items():
        if name not in given:
            continue
        if (other := owners.setdefault(key, name)) != name and _text(name, given[name]) != _text(other, given[other]):
            raise ConfigError(f"{name}: {key}: differs from {other}, which sets the same; remove one of them")
        node = parse_value(_text(name, given[name]), name)
        if key.startswith("meters."):
            tree = _put_in_meter(tree, key.removeprefix("meters."), node, warnings)
        else:
            tree = put_setting(tree, key, node)
    return tree, warnings


def own_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Those variables that mean something to `overlay`, for a process that must come to the same configuration later."""
    known = (*ALIASES, *WITHOUT_EFFECT)
    return {name: text for name, text in environ.items() if name in known or (name.startswith(PREFIX) and name not in PRIVATE)}


def put_setting(tree: Node, key: str, node: Node) -> Node:
    """`tree` with `node` at a dotted key; a key of metrics.push needs it to be one mapping."""
    if key.startswith("metrics.push.") and isinstance(tree.value, dict):
        metrics = tree.value.get("metrics")
        push = metrics.value.get("push") if metrics is not None and isinstance(metrics.value, dict) else None
        if push is not None and isinstance(push.value, list):
            raise ConfigError(f"{node.where}: {key}: {push.where} lists several receivers; change it there")
    return put(tree, tuple(key.split(".")), node)


def _put_in_meter(tree: Node, field: str, node: Node, warnings: list[str]) -> Node:
    """A variable of linky-exporter speaks of the one meter; LINKY_EXPORTER_INTERFACE also makes it."""
    meters = tree.value.get("meters") if isinstance(tree.value, dict) else None
    items = meters.value if meters is not None and meters.value is not None else []
    if not isinstance(items, list) or len(items) > 1:
        raise ConfigError(f"{node.where}: meters: it speaks of one meter, but {meters.where if meters else ''} lists several")
    if not items and field != "device":
        warnings.append(f"{node.where}: has no effect: no meter is configured; name its device in LINKY_EXPORTER_INTERFACE")
        return tree
    meter = put(items[0] if items else Node(node.where, None), (field,), node)
    return put(tree, ("meters",), Node(meters.where if meters is not None else node.where, [meter]))


def _text(name: str, text: str) -> str:
    if name == "LINKY_SOCAT_HOST":
        return f"socket://{text}"
    return text.lower() if name in _LOWER_CASE else text


def _refuse_unknown(given: Mapping[str, str]) -> None:
    for name in given:
        if name.startswith(PREFIX) and name not in VARIABLES and name not in PRIVATE:
            near = difflib.get_close_matches(name, VARIABLES, 1)
            advice = f"did you mean {near[0]}?" if near else "energyd.yml(5) lists all; remove it"
            raise ConfigError(f"{name}: unknown variable; {advice}")


def _unknown_to_all(given: Mapping[str, str]) -> list[str]:
    """A slip in a variable of another program may be somebody else's variable: a warning, no error."""
    known = (*ALIASES, *WITHOUT_EFFECT)
    unknown = [name for name in given if name.startswith(("LINKY_EXPORTER_", "METRICS_PUSH_")) and name not in known]
    return [f"{name}: has no effect: unknown; did you mean {difflib.get_close_matches(name, known, 1, 0)[0]}?" for name in unknown]
