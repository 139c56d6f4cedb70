"""The form of rspamd's files: libucl's, as far as people write it.

Sections `name { … }` and `name "inner" { … }`, `key = value;` and `key: value`, arrays, quoted and bare texts, `#` and
`/* */` comments. Promises: linear time, no recursion deeper than a cap. Refuses macros (`.include`) and heredocs: they
are told with their line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias, Union

_DEPTH = 20
_TOKEN = re.compile(
    r'(?P<blank>\s+|#[^\n]*|/\*.*?\*/)|(?P<text>"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\')|(?P<mark>[{}\[\];,=:])'
    r"|(?P<bare>[^\s{}\[\];,=#\"']+)",
    re.DOTALL,
)


class UclError(ValueError):
    """It can't be read; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text and its line."""

    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Section:
    """Pairs in their order; a key may be there several times."""

    pairs: tuple[tuple[str, Ucl], ...]
    line: int

    def all(self, key: str) -> list[Ucl]:
        """Every value of `key`; an array counts as its items."""
        found: list[Ucl] = []
        for name, value in self.pairs:
            if name == key:
                found += value if isinstance(value, tuple) else [value]
        return found

    def text(self, key: str) -> str:
        """The last text of `key`; "" where there is none."""
        return next((one.value for one in reversed(self.all(key)) if isinstance(one, Text)), "")


Ucl: TypeAlias = Union[Text, Section, "tuple[Ucl, ...]"]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    value: str
    line: int


def parse(text: str) -> Section:
    """The whole file. Raises UclError."""
    tokens = _Tokens(list(_tokens(text)))
    return _section(tokens, 0, "")


def _tokens(text: str) -> Iterator[_Token]:
    at, line = 0, 1
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise UclError(f"line {line}: {text[at : at + 20].splitlines()[0]!r} can't be read")
        kind, value = str(found.lastgroup), found[0]
        if kind == "text":
            yield _Token(kind, re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL), line)
        elif kind != "blank":
            if kind == "bare" and value.startswith((".include", "<<")):
                raise UclError(f"line {line}: {value} is not read; put what it stands for in its place")
            yield _Token(kind, value, line)
        line += value.count("\n")
        at = found.end()


class _Tokens:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def line(self) -> int:
        token = self._tokens[min(self._at, len(self._tokens) - 1)] if self._tokens else None
        return token.line if token else 1

    def peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def take(self) -> _Token:
        token = self.peek()
        if token is None:
            raise UclError(f"line {self.line}: the file ends in the middle")
        self._at += 1
        return token

    def skip(self, *marks: str) -> None:
        while (token := self.peek()) is not None and token.kind == "mark" and token.value in marks:
            self._at += 1


def _section(tokens: _Tokens, depth: int, end: str) -> Section:
    if depth > _DEPTH:
        raise UclError(f"line {tokens.line}: nested deeper than {_DEPTH} levels")
    pairs: list[tuple[str, Ucl]] = []
    line = tokens.line
    while True:
        tokens.skip(";", ",")
        token = tokens.peek()
        if token is None and not end:
            return Section(tuple(pairs), line)
        token = tokens.take()
        if token.kind == "mark":
            if token.value == end:
                return Section(tuple(pairs), line)
            raise UclError(f"line {token.line}: {token.value} where a name is due")
        name = token.value.rstrip(":")
        tokens.skip("=", ":")
        pairs.append((name, _value(tokens, depth)))


def _value(tokens: _Tokens, depth: int) -> Ucl:
    token = tokens.take()
    if token.kind == "mark":
        if token.value == "{":
            return _section(tokens, depth + 1, "}")
        if token.value == "[":
            return _array(tokens, depth + 1)
        raise UclError(f"line {token.line}: {token.value} where a value is due")
    following = tokens.peek()
    if following is not None and following.kind == "mark" and following.value == "{":  # `name "inner" { … }`
        tokens.take()
        return Section(((token.value, _section(tokens, depth + 1, "}")),), token.line)
    if token.kind == "text":
        return Text(token.value, token.line)
    words = [token.value]
    while (more := tokens.peek()) is not None and more.kind == "bare" and more.line == token.line:
        words.append(tokens.take().value)  # a bare text goes on to the end of its line: `rate = 10 / 1h`
    return Text(" ".join(words), token.line)


def _array(tokens: _Tokens, depth: int) -> tuple[Ucl, ...]:
    if depth > _DEPTH:
        raise UclError(f"line {tokens.line}: nested deeper than {_DEPTH} levels")
    items: list[Ucl] = []
    while True:
        tokens.skip(",", ";")
        token = tokens.peek()
        if token is not None and token.kind == "mark" and token.value == "]":
            tokens.take()
            return tuple(items)
        items.append(_value(tokens, depth))
