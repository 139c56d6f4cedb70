"""A look at text that YAML refuses: which keys stand in a broken flow-style rule, and where a quoted text ends.

Not a parser: it goes on where YAML stops. A bracket of the wrong kind closes what it can close, a quote that has no end
is a letter. What it finds is text to be read by the one composer (nodes.py), and says whether its place is certain.
Promises: what stands inside a quoted text is never taken for a key. Refuses: to find anything but headers and ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*+\"|'(?:[^']|'')*+'", re.DOTALL)
_BLANKS = re.compile(r"[ \t\n]+")
_COMMENT = re.compile(r"#[^\n]*")
_FLOW_WORD = re.compile(r"(?:[^\s,\[\]{}:]|:(?![\s,\[\]{}]|\Z))+")
_BLOCK_WORD = re.compile(r"(?:[^\s:]|:(?!\s|\Z))+")
_BEHIND_QUOTED = re.compile(r"[ \t]*(?:[,\]}:\n]|[ \t]\#|\Z)")  # otherwise it was the beginning of another text
_FLOW_ITEM = re.compile(r"\s*-\s+(?=\{)")
_MAX_DEPTH = 64
_ENDS = {"}": "{", "]": "["}


@dataclass(frozen=True, slots=True)
class _Token:
    """`kind`: one of `{ } [ ] , : -`, or `quoted`, `word`, `torn` (a quote without an end)."""

    kind: str
    first: int
    last: int


def _tokens(text: str, at: int = 0, flow: bool = False) -> Iterator[_Token]:
    """`flow`: all of it is in flow style, whatever its brackets say."""
    depth, fresh = int(flow), True  # fresh: a value can begin here
    while at < len(text):
        letter = text[at]
        if blanks := _BLANKS.match(text, at):
            at = blanks.end()
            fresh = fresh or (depth == 0 and "\n" in blanks[0])
            continue
        if letter == "#" and (at == 0 or text[at - 1] in " \t\n"):
            comment = _COMMENT.match(text, at)
            at = comment.end() if comment else at + 1
            continue
        token = _token(text, at, depth > 0, fresh)
        yield token
        if not flow:
            depth += (token.kind in ("{", "[")) - (token.kind in _ENDS and depth > 0)
        fresh = token.kind in ("{", "[", ",", ":", "-")
        at = token.last


def _token(text: str, at: int, flow: bool, fresh: bool) -> _Token:
    letter = text[at]
    if fresh and letter in "\"'":
        quoted = _QUOTED.match(text, at)
        if quoted is not None and _BEHIND_QUOTED.match(text, quoted.end()):
            return _Token("quoted", at, quoted.end())
        return _Token("torn", at, at + 1)
    if letter in "{}[]," and (flow or (fresh and letter in "{[")):
        return _Token(letter, at, at + 1)
    if letter == "-" and fresh and not flow and text[at + 1 : at + 2] in (" ", "\n", ""):
        return _Token("-", at, at + 1)
    word = (_FLOW_WORD if flow else _BLOCK_WORD).match(text, at)
    if word is not None:
        return _Token("word", at, word.end())
    return _Token(letter if letter == ":" else "word", at, at + 1)


@dataclass(frozen=True, slots=True)
class FlowKey:
    """One `key: value` of a rule as it is written, where in the text, and whether it is surely the rule's own."""

    name: str
    text: str
    first: int
    certain: bool


@dataclass(slots=True)
class _Level:
    """One bracket that is open."""

    bracket: str
    first: int = -1  # where its entry began
    name: str = ""
    tokens: int = 0  # of the entry so far


@dataclass(slots=True)
class _Scan:
    """One rule, token by token: its open brackets, and the keys found so far, with their depth."""

    text: str
    levels: list[_Level] = field(default_factory=list)
    found: list[tuple[int, FlowKey]] = field(default_factory=list)
    torn: bool = False  # a quote has no end
    sound: bool = True  # no bracket is missing
    closed: bool = False

    def token(self, token: _Token) -> bool:
        """Take one more; False where the rule has ended."""
        if self.closed:  # a bracket too many: what follows a comma is still of this rule
            if token.kind != ",":
                return False
            self.levels, self.closed, self.sound = [_Level("{")], False, False
        elif token.kind in _ENDS:
            self._close(_ENDS[token.kind], token.first)
        else:
            self._inside(token)
        return len(self.levels) <= _MAX_DEPTH

    def _inside(self, token: _Token) -> None:
        self.torn = self.torn or token.kind == "torn"
        if self.levels:
            level = self.levels[-1]
            if token.kind == ",":
                self._end(level, token.first, len(self.levels))
            else:
                level.tokens += 1
                if level.tokens == 1:
                    level.first = token.first if token.kind in ("word", "quoted") else -1
                elif level.tokens == 2 and token.kind == ":" and level.first >= 0:
                    level.name = self.text[level.first : token.first].strip().strip("\"'")
        if token.kind in ("{", "["):
            self.levels.append(_Level(token.kind))

    def _close(self, bracket: str, at: int) -> None:
        if bracket not in [level.bracket for level in self.levels]:
            return
        while True:
            level = self.levels.pop()
            self._end(level, at, len(self.levels) + 1)
            if level.bracket == bracket:
                break
            self.sound = False
        self.closed = not self.levels

    def _end(self, level: _Level, at: int, depth: int) -> None:
        if level.name:
            key = FlowKey(level.name, self.text[level.first : at], level.first, depth == 1 and not self.torn)
            self.found.append((depth, key))
        level.first, level.name, level.tokens = -1, "", 0

    def result(self) -> list[FlowKey]:
        """The keys, after the last token."""
        while self.levels:  # the last brackets are missing
            self.sound = False
            level = self.levels.pop()
            self._end(level, len(self.text), len(self.levels) + 1)
        own = [key for depth, key in self.found if depth == 1]
        if self.sound and not self.torn:
            return own
        names = {key.name for key in own}
        return own + [key for depth, key in self.found if depth > 1 and key.name not in names]


def is_flow(text: str) -> bool:
    """Is this item a map in flow style?"""
    return _FLOW_ITEM.match(text) is not None


def flow_keys(text: str) -> list[FlowKey]:
    """The keys of a flow-style item at its own level, and, behind a bracket that is missing, those of deeper levels."""
    item = _FLOW_ITEM.match(text)
    if item is None:
        return []
    scan = _Scan(text)
    for token in _tokens(text, item.end(), flow=True):
        if not scan.token(token):
            break
    return scan.result()


def lines_quoted(text: str, lines: int) -> int:
    """How many lines a quoted text needs that begins in the first `lines` of `text` and ends behind them; 0: none."""
    limit = -1
    for _ in range(lines):
        limit = text.find("\n", limit + 1)
        if limit < 0:
            return 0
    for token in _tokens(text):
        if token.first > limit:
            break
        if token.kind == "quoted" and token.last > limit:
            return text.count("\n", 0, token.last) + 1
    return 0
