"""Configuration text as a tree of nodes that know where they were written: YAML from a file, a variable or a flag.

Plain scalars are read nearly by the core schema of YAML 1.2 (yaml.org/spec/1.2.2, 10.3.2) instead of PyYAML's 1.1: `yes`, `on`,
`12:30` and `0123` are texts, not a truth, a number in base 60 and an octal one. Law: whatever the bytes are, the result is a tree
or a ConfigError whose one line names the place and quotes no value.
"""

import re
from typing import NamedTuple, TypeAlias

import yaml

from energyd.errors import ConfigError

Value: TypeAlias = "bool | int | float | str | list[Node] | dict[str, Node] | None"

MAX_BYTES = 1 << 20
_NULL = ("", "~", "null", "Null", "NULL")
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})")
_FLOAT = re.compile(r"[-+]?(?=[0-9]*\.|[0-9]+[eE])(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_MERGE = "<<"
_STR_TAG = "tag:yaml.org,2002:str"
_TAG = "tags mean nothing here; put a text that begins with ! in quotes"
_CONTAINER_TAGS = ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")


class Node(NamedTuple):
    """A value and its origin. `where`: 'energyd.yml:12', 'METRICS_PORT' or '--set'; of a mapping's entry, the line of its key.

    `text` is the scalar as it was written, with its quotes. `loose`: it comes from a variable or a flag, where everything is text,
    so that a setting which wants a text takes it even if it looks like a number.
    """

    where: str
    value: Value
    text: str = ""
    loose: bool = False


def parse(text: str, source: str, *, numbered: bool = True) -> Node:
    """The tree of one YAML document; ConfigError if it is not YAML. `where` is `source:line`, `source` if not numbered."""
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
        if root is None:
            return Node(source, None)
        return _Converter(source, numbered).convert(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}:{mark.line + 1}" if mark is not None and numbered else source
        raise ConfigError(f"{where}: not YAML: {_problem(error)}") from None
    except yaml.YAMLError:
        raise ConfigError(f"{source}: not YAML: it holds a character that no YAML file may hold") from None
    except RecursionError:
        raise ConfigError(f"{source}: nested too deeply") from None
    except (ValueError, OverflowError):
        raise ConfigError(f"{source}: not YAML: it holds an escape or a number that means nothing") from None


def parse_file(path: str, named_by: str = "--config") -> Node:
    """The tree of the file at `path`; ConfigError if it cannot be read, which tells where it was named."""
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}{_mend(error, named_by)}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than 1 MiB, so it is not a configuration of energyd")
    try:
        return parse(content.decode("utf-8-sig"), path)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None


def parse_value(text: str, source: str) -> Node:
    """A value from a variable or a flag: a list or mapping in JSON (or YAML's flow form), else a scalar, text if need be."""
    if text.lstrip()[:1] in ("[", "{"):
        return parse(text, source, numbered=False)
    text = _text(text, source)
    return Node(source, _plain(text), text, True)


def put(root: Node, path: tuple[str, ...], node: Node) -> Node:
    """`root` with `node` at `path`, making the mappings on the way; ConfigError where something that is no mapping stands in it."""
    if not path:
        return node
    if root.value is not None and not isinstance(root.value, dict):
        raise ConfigError(f"{node.where}: {path[0]!r} cannot be set: {root.where} gives something without keys there")
    entries = dict(root.value or {})
    entries[path[0]] = put(entries.get(path[0], Node(node.where, None)), path[1:], node)
    return root._replace(value=entries)


def shown(text: str) -> str:
    """A key fit for a message: one line, printable, short."""
    text = text if len(text) <= 60 else text[:57] + "..."
    return text if text.isprintable() and text else ascii(text)


class _Converter:
    """yaml nodes to ours. Aliased nodes are converted once, so that nested aliases cost nothing, and may not hold themselves."""

    def __init__(self, source: str, numbered: bool) -> None:
        self._source = source
        self._numbered = numbered
        self._done: dict[int, Node | None] = {}

    def convert(self, node: yaml.Node) -> Node:
        where = self._where(node)
        if id(node) in self._done:
            done = self._done[id(node)]
            if done is None:
                raise ConfigError(f"{where}: an alias refers to what holds it")
            return done
        self._done[id(node)] = None
        result = self._convert(node, where)
        self._done[id(node)] = result
        return result

    def _convert(self, node: yaml.Node, where: str) -> Node:
        if isinstance(node, yaml.ScalarNode):
            if node.tag != _STR_TAG:
                raise ConfigError(f"{where}: {_TAG}")
            text = _text(node.value, where)
            return Node(where, _plain(text), text) if node.style is None else Node(where, text, f'"{text}"')
        if node.tag not in _CONTAINER_TAGS:
            raise ConfigError(f"{where}: {_TAG}")
        if isinstance(node, yaml.SequenceNode):
            return Node(where, [self.convert(item) for item in node.value])
        return Node(where, self._mapping(node))

    def _mapping(self, node: yaml.Node) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key_node, value_node in node.value:
            where = self._where(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{where}: a key must be a text, not a list or mapping")
            key = _text(key_node.value, where)
            if key == _MERGE and key_node.style is None:
                merged = {**self._merged(self.convert(value_node)), **merged}
                continue
            if key in entries:
                raise ConfigError(f"{where}: {shown(key)}: written twice, first at {entries[key].where}; keep one")
            entries[key] = self.convert(value_node)._replace(where=where)
        return {**merged, **entries}

    def _merged(self, node: Node) -> dict[str, Node]:
        """What `<<: *anchor` brings; the earlier of a list of anchors wins (yaml.org/type/merge)."""
        sources = node.value if isinstance(node.value, list) else [node]
        entries: dict[str, Node] = {}
        for source in reversed(sources):
            if not isinstance(source.value, dict):
                raise ConfigError(f"{source.where}: << takes an alias of a mapping, or a list of them")
            entries.update(source.value)
        return entries

    def _where(self, node: yaml.Node) -> str:
        return f"{self._source}:{node.start_mark.line + 1}" if self._numbered else self._source


def _plain(text: str) -> Value:
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _text(text: str, where: str) -> str:
    """JSON writes rare characters as two surrogates, which are one character; half a pair cannot leave through a file or socket."""
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: holds half of a surrogate pair, which is not text") from None


def _problem(error: yaml.MarkedYAMLError) -> str:
    """PyYAML's words, or ours where it quotes the text (an unquoted password that begins with * is an undefined alias to it)."""
    problem = (error.problem or "it cannot be read").split("\n", 1)[0]
    return next((words for start, words in _PROBLEMS.items() if problem.startswith(start)), problem)


_PROBLEMS = {
    "found character '\\t'": "a tab where only spaces may stand; indent with spaces",
    "found undefined alias": "an alias of nothing; put a text that begins with * in quotes",
    "found duplicate anchor": "an anchor that exists already; put a text that begins with & in quotes",
    "found undefined tag handle": "a tag; put a text that begins with ! in quotes",
    "found character '@'": "put a text that begins with @ in quotes",
    "found character '`'": "put a text that begins with ` in quotes",
    "mapping values are not allowed here": "a second ': '; put a text that holds one in quotes, or indent this line less",
    "but found another document": "a second document (---); keep one",
    "could not find expected ':'": "a key without ': '",
}


def _mend(error: OSError, named_by: str) -> str:
    if isinstance(error, PermissionError):
        return "; run as a user who may read it, such as root"
    return f"; name an existing file with {named_by}" if isinstance(error, FileNotFoundError) else ""
