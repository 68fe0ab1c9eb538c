"""What the value of a setting may be: each type reads a node strictly and describes itself to people and to editors.

Strict means: a truth is `true` or `false`, an integer has no fraction, a text that looks like a number is quoted,
nothing is rounded. `read` raises ValueError with words that fit after "where: key: " and never quote a secret.
"""

import difflib
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from energyd.configtree import Node, shown
from energyd.ticfields import PRICE_KEYS

Json = dict[str, Any]
Text2Text = Callable[[str], str]


class SettingType(Protocol):
    """`words` follow "must be" in messages and stand in the manual."""

    @property
    def words(self) -> str: ...

    def read(self, node: Node) -> Any:
        """The value as Config holds it; ValueError says what is wrong with the node."""

    def schema(self) -> Json:
        """JSON Schema (draft-07) of what `read` accepts, as far as a schema can say it."""


class Boolean(NamedTuple):
    words: str = "true or false"

    def read(self, node: Node) -> bool:
        if isinstance(node.value, bool):
            return node.value
        raise ValueError(f"must be {self.words}, not {seen(node)}")

    def schema(self) -> Json:
        return {"type": "boolean"}


class Integer(NamedTuple):
    low: int
    high: int

    @property
    def words(self) -> str:
        return f"an integer from {self.low} to {self.high}"

    def read(self, node: Node) -> int:
        if isinstance(node.value, int) and not isinstance(node.value, bool) and self.low <= node.value <= self.high:
            return node.value
        raise ValueError(f"must be {self.words}, not {seen(node)}")

    def schema(self) -> Json:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Number(NamedTuple):
    low: float
    high: float
    unit: str = ""

    @property
    def words(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}" + (f" {self.unit}" if self.unit else "")

    def read(self, node: Node) -> float:
        if isinstance(node.value, int | float) and not isinstance(node.value, bool) and self.low <= node.value <= self.high:
            return float(node.value)
        raise ValueError(f"must be {self.words}, not {seen(node)}")

    def schema(self) -> Json:
        return {"type": "number", "minimum": self.low, "maximum": self.high}


class Price(NamedTuple):
    """Euros, at most six decimals, so that a price is a whole number of millionths."""

    high: float = 100.0

    @property
    def words(self) -> str:
        return f"euros from 0 to {self.high:g} with at most 6 decimals"

    def read(self, node: Node) -> float:
        value = node.value
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= self.high:
            millionths = Decimal(node.text) * 10**6
            if millionths == millionths.to_integral_value():
                return float(value)
        raise ValueError(f"must be {self.words}, not {seen(node)}")

    def schema(self) -> Json:
        return {"type": "number", "minimum": 0, "maximum": self.high}


class Prices(NamedTuple):
    """Euros per kilowatt-hour by register or tariff period."""

    words: str = "a mapping of registers or periods to prices"

    def read(self, node: Node) -> tuple[tuple[str, float], ...]:
        if not isinstance(node.value, dict) or not node.value:
            raise ValueError(f"must be {self.words}, not {seen(node)}")
        prices = []
        for key, item in node.value.items():
            if key not in PRICE_KEYS:
                near = difflib.get_close_matches(key, PRICE_KEYS, 1, 0.0)
                raise ValueError(f"{shown(key)}: neither a register nor a period; did you mean {near[0]}?")
            try:
                prices.append((key, Price().read(item)))
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None
        return tuple(prices)

    def schema(self) -> Json:
        return {"type": "object", "propertyNames": {"enum": list(PRICE_KEYS)}, "additionalProperties": Price().schema()}


_DURATION_UNITS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_SIZE_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class Duration(NamedTuple):
    """Seconds; Config holds a float."""

    low_s: float
    high_s: float

    @property
    def words(self) -> str:
        return (
            f"a duration from {duration(self.low_s)} to {duration(self.high_s)}: seconds, or a number with {_or(_DURATION_UNITS)}"
        )

    def read(self, node: Node) -> float:
        seconds = _with_unit(node, _DURATION_UNITS)
        if seconds is None or not Decimal(str(self.low_s)) <= seconds <= Decimal(str(self.high_s)):
            raise ValueError(f"must be {self.words}; not {seen(node)}")
        return float(seconds)

    def schema(self) -> Json:
        return {"anyOf": [{"type": "number", "minimum": self.low_s, "maximum": self.high_s}, _unit_schema(_DURATION_UNITS)]}


class Size(NamedTuple):
    """Bytes; Config holds an int."""

    low: int
    high: int

    @property
    def words(self) -> str:
        return f"a size from {size(self.low)} to {size(self.high)}: bytes, or a number with {_or(_SIZE_UNITS)}"

    def read(self, node: Node) -> int:
        count = _with_unit(node, {unit: Decimal(factor) for unit, factor in _SIZE_UNITS.items()})
        if count is None or count != count.to_integral_value() or not self.low <= count <= self.high:
            raise ValueError(f"must be {self.words}; not {seen(node)}")
        return int(count)

    def schema(self) -> Json:
        return {"anyOf": [{"type": "integer", "minimum": self.low, "maximum": self.high}, _unit_schema(_SIZE_UNITS)]}


class Choice(NamedTuple):
    values: tuple[str, ...]

    @property
    def words(self) -> str:
        return _or(self.values)

    def read(self, node: Node) -> str:
        text = node.value if isinstance(node.value, str) else node.text if node.loose else None
        if text in self.values:
            return text
        raise ValueError(f"must be {self.words}, not {seen(node)}")

    def schema(self) -> Json:
        return {"enum": list(self.values)}


class Text(NamedTuple):
    """A text that `check` accepts and may normalise. `digits`: a plain number is taken as it was written."""

    words: str
    check: Text2Text
    pattern: str = ""
    secret: bool = False
    digits: bool = False

    def read(self, node: Node) -> str:
        text = node.value
        if node.loose or (self.digits and isinstance(text, int) and not isinstance(text, bool)):
            text = node.text
        if not isinstance(text, str):
            given = "" if self.secret else f", not {seen(node)}"
            quote = "; put it in quotes" if isinstance(text, int | float) else ""
            raise ValueError(f"must be {self.words}{given}{quote}")
        return self.check(text)

    def schema(self) -> Json:
        schema: Json = {"type": ["string", "integer"] if self.digits else "string"}
        return {**schema, "pattern": self.pattern} if self.pattern else schema


class Choices(NamedTuple):
    """A list without repetitions."""

    values: tuple[str, ...]

    @property
    def words(self) -> str:
        return f"a list of {_or(self.values)}"

    def read(self, node: Node) -> tuple[str, ...]:
        if not isinstance(node.value, list):
            raise ValueError(f"must be {self.words}, not {seen(node)}")
        chosen = tuple(Choice(self.values).read(item) for item in node.value)
        if len(set(chosen)) != len(chosen):
            raise ValueError("names one of its items twice")
        return chosen

    def schema(self) -> Json:
        return {"type": "array", "items": {"enum": list(self.values)}, "uniqueItems": True}


class Pairs(NamedTuple):
    """A mapping of texts to texts, in the order written; `name` checks the keys, `value` the values."""

    words: str
    name: Text
    value: Text

    def read(self, node: Node) -> tuple[tuple[str, str], ...]:
        if not isinstance(node.value, dict):
            raise ValueError(f"must be {self.words}" + ("" if self.value.secret else f", not {seen(node)}"))
        pairs = []
        for key, item in node.value.items():
            try:
                pairs.append((self.name.check(key), self.value.read(item)))
            except ValueError as error:
                raise ValueError(f"{shown(key)}: {error}") from None
        return tuple(pairs)

    def schema(self) -> Json:
        return {
            "type": "object",
            "propertyNames": {"pattern": self.name.pattern},
            "additionalProperties": self.value.schema(),
        }


class Texts(NamedTuple):
    """A list of values of one type, or a single one of them."""

    each: SettingType

    @property
    def words(self) -> str:
        return f"a list of which each is {self.each.words}, or one such value"

    def read(self, node: Node) -> tuple[str, ...]:
        return tuple(self.each.read(item) for item in (node.value if isinstance(node.value, list) else [node]))

    def schema(self) -> Json:
        return {"anyOf": [self.each.schema(), {"type": "array", "items": self.each.schema()}]}


class Switches(NamedTuple):
    """A mapping of texts to truths, in the order written; `name` checks the keys."""

    words: str
    name: Text

    def read(self, node: Node) -> tuple[tuple[str, bool], ...]:
        if not isinstance(node.value, dict):
            raise ValueError(f"must be {self.words}, not {seen(node)}")
        switches = []
        for key, item in node.value.items():
            try:
                switches.append((self.name.check(key), Boolean().read(item)))
            except ValueError as error:
                raise ValueError(f"{shown(key)}: {error}") from None
        return tuple(switches)

    def schema(self) -> Json:
        return {"type": "object", "additionalProperties": {"type": "boolean"}}


class Mappings(NamedTuple):
    """A list of mappings whose keys nothing reads yet."""

    words: str = "a list of mappings"

    def read(self, node: Node) -> list[Node]:
        if isinstance(node.value, list) and all(isinstance(item.value, dict) for item in node.value):
            return node.value
        raise ValueError(f"must be {self.words}, not {seen(node)}")

    def schema(self) -> Json:
        return {"type": "array", "items": {"type": "object"}}


class Reserved(NamedTuple):
    """A key whose name and type are decided and whose effect is not built: refused unless empty, so that nothing is promised."""

    of: SettingType

    @property
    def words(self) -> str:
        return self.of.words

    def read(self, node: Node) -> None:
        if node.value in (None, "", [], {}):
            return
        self.of.read(node)
        raise ValueError("not available in this version of energyd; remove it")

    def schema(self) -> Json:
        return {"anyOf": [{"type": "null"}, {"type": "array", "maxItems": 0}, {"type": "object", "maxProperties": 0}]}


def seen(node: Node) -> str:
    """What was found instead, in words that fit after "not"."""
    if isinstance(node.value, dict):
        return "a mapping"
    if isinstance(node.value, list):
        return "a list"
    if node.value is None:
        return "nothing"
    return shown(node.text)


def duration(seconds: float) -> str:
    """The shortest exact way to write a duration: 7d, 90s, 0.5s."""
    for unit in ("d", "h", "m"):
        count = Decimal(str(seconds)) / _DURATION_UNITS[unit]
        if count >= 1 and count == count.to_integral_value():
            return f"{int(count)}{unit}"
    return f"{seconds:g}s"


def size(count: int) -> str:
    """The shortest exact way to write a number of bytes: 1GiB, 1000B."""
    for unit in ("GiB", "MiB", "KiB"):
        if count and count % _SIZE_UNITS[unit] == 0:
            return f"{count // _SIZE_UNITS[unit]}{unit}"
    return f"{count}B"


def _with_unit(node: Node, units: dict[str, Decimal]) -> Decimal | None:
    if isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return Decimal(node.text)
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([A-Za-z]+)", node.value) if isinstance(node.value, str) else None
    return Decimal(match[1]) * units[match[2]] if match and match[2] in units else None


def _unit_schema(units: dict[str, Any]) -> Json:
    return {"type": "string", "pattern": f"^[0-9]{{1,15}}(\\.[0-9]{{1,15}})? ?({'|'.join(units)})$"}


def _or(names: Any) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
