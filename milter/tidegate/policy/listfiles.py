"""The lines of a list file: one item to a line, a map in two columns as in Postfix's texthash.

`#` begins a comment (a line's first character, or after a blank where the type has no `#` in its items), blank lines,
CRLF and a BOM are tolerated. A line that can't be used is skipped and told; a file of bad lines tells only the first.
In a map a line that begins with a blank continues the one before (Postfix, DATABASE_README).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from tidegate.model import ListItem, ListKind
from tidegate.policy.suggest import shown

MAX_TOLD = 20
"""Bad lines of one code that are told one by one."""
MAX_DOUBTED = 1000
"""Keys of bad lines that are kept; more of them cast doubt on every key that the map does not hold."""
MAX_LINE = 65_536
"""Characters of a (continued) line: a login with all its addresses."""

_COMMENT = re.compile(r"[ \t]#")
_HASH_IS_TEXT = (ListKind.STRING, ListKind.REGEX)
_SEPARATOR = re.compile(r"[,\s]+")
_WHITE = " \t\r\n\f\v"


class CheckItem(Protocol):
    """Makes a key or a value from a text: (normalised, what is wrong). `own` fits items that are their own keys."""

    own: re.Pattern[str] | None

    def key(self, text: str) -> tuple[str, str]: ...
    def value(self, text: str) -> tuple[str, str]: ...


@dataclass(frozen=True, slots=True)
class BadLine:
    """One line that is skipped, or half of it."""

    code: str
    message: str
    line: int
    column: int
    end_column: int


@dataclass(slots=True)
class Lines:
    """What a file came to: its items, how many lines it has, how many are bad, and what is told of those."""

    items: list[ListItem] = field(default_factory=list)
    count: int = 0
    bad: int = 0
    told: list[BadLine] = field(default_factory=list)
    doubted: dict[str, None] = field(default_factory=dict)  # keys of a map's bad lines; "" where it can't be read
    _tellings: dict[str, int] = field(default_factory=dict)  # by code, told or not

    def tell(self, code: str, message: str, line: int, text: str) -> None:
        """A bad line; of each code the first MAX_TOLD are told one by one."""
        self._tellings[code] = self._tellings.get(code, 0) + 1
        if self._tellings[code] <= MAX_TOLD:
            self.told.append(BadLine(code, message, line, 1, 1 + len(text)))

    def sum_up(self) -> None:
        """Let the last one that is told of each code stand for all that are not."""
        for code, count in self._tellings.items():
            if count > MAX_TOLD:
                at = max(number for number, one in enumerate(self.told) if one.code == code)
                message = f"{count - MAX_TOLD + 1} more lines like these"
                self.told[at] = BadLine(code, message, self.told[at].line, 1, 0)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str
    wrong: str = ""


def read_lines(kind: ListKind, data: bytes, check: CheckItem) -> Lines:
    """All lines of a file; what `check` can't use is skipped."""
    lines = Lines()
    add = _add_pair if kind is ListKind.MAP else _add_item
    seen: dict[str, None] = {}
    for line in _lines(kind, data, check.own):
        lines.count += 1
        if isinstance(line, str):
            if line not in seen:
                seen[line] = None
                lines.items.append(ListItem(line))
            continue
        why = line.wrong or add(line, lines, check, seen)
        if why:
            lines.bad += 1
            lines.tell("bad-line", why, line.number, line.text)
            if kind is ListKind.MAP:
                lines.doubted[_bad_key(line, check) if len(lines.doubted) < MAX_DOUBTED else ""] = None
    lines.sum_up()
    return lines


def _bad_key(line: _Line, check: CheckItem) -> str:
    """The key of a map's line that can't be used, as far as it can be told."""
    first = line.text.split(None, 1)[0] if line.text else ""
    key, why = check.key(first) if "\ufffd" not in first else ("", "")
    return "" if why else key


Add = Callable[[_Line, Lines, CheckItem, "dict[str, None]"], str]


def _add_item(line: _Line, lines: Lines, check: CheckItem, seen: dict[str, None]) -> str:
    key, why = check.key(line.text)
    if not why and key not in seen:
        seen[key] = None
        lines.items.append(ListItem(key))
    return why


def _add_pair(line: _Line, lines: Lines, check: CheckItem, seen: dict[str, None]) -> str:
    parts = line.text.split(None, 1)
    if len(parts) < 2:
        return f"{shown(line.text)} has one column; a map needs a key and its values"
    key, why = check.key(parts[0])
    if why:
        return why
    values: dict[str, None] = {}
    for text in _SEPARATOR.split(parts[1].strip(_WHITE + ",")):
        value, why = check.value(text)
        if why:
            return why
        values[value] = None
    if key in seen:
        lines.tell("duplicate-key-line", f"{shown(parts[0])} stands twice; the first counts", line.number, line.text)
        return ""
    seen[key] = None
    lines.items.append(ListItem(key, tuple(values)))
    return ""


def _lines(kind: ListKind, data: bytes, own: re.Pattern[str] | None) -> Iterator[_Line | str]:
    """The lines that hold something, without comments; a map's continued ones as one.

    A line that is an item and its own key comes as that: nearly all lines of long files are such.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    if kind is not ListKind.MAP:
        for number, raw in enumerate(data.split(b"\n"), 1):
            text = raw.decode("ascii", "replace")  # what isn't ASCII is nothing that `own` fits
            if own is not None and own.match(text) and text[0] != "#":
                yield text
                continue
            line = _line(kind, number, raw)
            if line is not None:
                yield line
        return
    open_line: _Line | None = None
    for number, raw in enumerate(data.split(b"\n"), 1):
        line = _line(kind, number, raw)
        if line is None:
            continue  # Postfix: comments and blank lines do not end a logical line
        if open_line is not None and raw[:1] in (b" ", b"\t"):
            if not open_line.wrong:
                joined = f"{open_line.text} {line.text}"
                open_line = _Line(open_line.number, joined[:MAX_LINE], line.wrong or _too_long(joined))
            continue
        if open_line is not None:
            yield open_line
        open_line = line
    if open_line is not None:
        yield open_line


def _line(kind: ListKind, number: int, raw: bytes) -> _Line | None:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        shown_text = raw.decode("utf-8", "replace").strip(_WHITE)
        return _Line(number, shown_text[:MAX_LINE], f"it is not UTF-8 (byte {error.start + 1})")
    text = text.strip(_WHITE)
    if not text or text[0] == "#":
        return None
    if "#" in text and kind not in _HASH_IS_TEXT and (comment := _COMMENT.search(text)):
        text = text[: comment.start()].rstrip(_WHITE)
    return _Line(number, text[:MAX_LINE], _too_long(text))


def _too_long(text: str) -> str:
    return f"the line has more than {MAX_LINE} characters" if len(text) > MAX_LINE else ""
