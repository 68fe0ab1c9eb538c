"""The words of a PromQL expression, and the series that it selects. Nothing here knows what an expression means.

Outside truth: Prometheus' documentation, "Querying basics" and "Operators".
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

COMPARISONS: Final = ("==", "!=", "<=", "<", ">=", ">")
SETS: Final = ("or", "and", "unless")
_ARITHMETIC: Final = ("+", "-", "*", "/", "%", "^", "atan2")
_WORDS: Final = frozenset((*SETS, "bool", "offset", "atan2", "inf", "nan"))
_BEFORE_LABELS: Final = frozenset(("by", "without", "on", "ignoring", "group_left", "group_right"))
_TOKEN: Final = re.compile(
    r"""(?:\s|\#[^\n]*)*(?:
      (?P<number>(?:0[xX][0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)(?![\w.]))
    | (?P<duration>(?:\d+(?:ms|[smhdwy]))+)
    | (?P<name>[a-zA-Z_][a-zA-Z0-9_:]*)
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    | (?P<sign>=~|!~|==|!=|<=|>=|[-+*/%^<>=(){}\[\],@:])
    | (?P<end>\Z))""",
    re.VERBOSE,
)


class Unreadable(ValueError):
    """Where an expression ceases to be PromQL."""


class Token(NamedTuple):
    kind: str  # number, duration, name, text or sign
    text: str


class Matcher(NamedTuple):
    """`text` with its quotes."""

    label: str
    operator: str
    text: str

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{self.text}"


class Selector(NamedTuple):
    """Series by name, '' if only matchers say it. `window` stands in its brackets, `when` are its `offset` and `@`, as written."""

    name: str
    matchers: tuple[Matcher, ...] = ()
    window: str = ""
    when: str = ""

    def with_matchers(self, *matchers: Matcher) -> str:
        """The instant vector of the same name and time, by other matchers."""
        chosen = "{" + ", ".join(map(str, matchers)) + "}" if matchers or not self.name else ""
        return f"{self.name}{chosen}{self.when}"


def tokens(expression: str) -> list[Token]:
    """Its words, in order. Unreadable where it has something else."""
    found: list[Token] = []
    at = 0
    while True:
        match = _TOKEN.match(expression, at)
        if match is None:
            raise Unreadable(f"unreadable from here: {expression[at:].strip()!r}")
        kind = match.lastgroup or ""
        if kind == "end":
            return found
        found.append(Token(kind, match[kind]))
        at = match.end()


def selectors(words: Sequence[Token]) -> Iterator[Selector]:
    """Every selection, in order; what stands where is only guessed, for an expression that a server has accepted."""
    at = 0
    while at < len(words):
        kind, text = words[at]
        after = words[at + 1].text if at + 1 < len(words) else ""
        if kind == "name" and text in _BEFORE_LABELS:
            at = _past(words, at + 1, ")") if after == "(" else at + 1
        elif text == "{" or (kind == "name" and text.lower() not in _WORDS and after != "(" and after not in _BEFORE_LABELS):
            selector, at = _selector(words, at)
            yield selector
        else:
            at += 1


def _selector(words: Sequence[Token], at: int) -> tuple[Selector, int]:
    """The selector that begins at a word, and the word behind it."""
    name = "" if words[at].text == "{" else words[at].text
    at += bool(name)
    matchers: list[Matcher] = []
    if at < len(words) and words[at].text == "{":
        end = _past(words, at, "}")
        inside = words[at + 1 : end - 1]
        matchers = [Matcher(*(word.text for word in inside[i : i + 3])) for i in range(0, len(inside) - 2, 4)]
        at = end
    window, when = "", ""
    while at < len(words) and words[at].text in ("[", "offset", "@"):
        sign = words[at].text
        if sign == "[":
            window, at = words[at + 1].text, _past(words, at, "]")
            continue
        end = at + 1 + (words[at + 1].text == "-") + 1
        when += f" {sign} " + "".join(word.text for word in words[at + 1 : end])
        if words[end - 1].text in ("start", "end"):  # `@ start()`
            when, end = when + "()", end + 2
        at = end
    return Selector(name, tuple(matchers), window, when), at


def _past(words: Sequence[Token], at: int, closing: str) -> int:
    """The place behind the next word that closes."""
    return next((i + 1 for i in range(at, len(words)) if words[i].text == closing), len(words))


def compares(words: Sequence[Token]) -> bool:
    """Whether an operator of it takes series away by their value."""
    return any(word.text in COMPARISONS for word in _outside(words))


def combines(words: Sequence[Token]) -> bool:
    """Whether it has an operator between two sides at all."""
    return any(word.text in (*SETS, *COMPARISONS, *_ARITHMETIC) for word in _outside(words))


def _outside(words: Sequence[Token]) -> Iterator[Token]:
    """Those that choose no labels: what compares them stands in braces."""
    inside = False
    for word in words:
        inside = word.text == "{" or (inside and word.text != "}")
        if not inside and word.kind != "text":
            yield word
