"""Pattern databases in an image: which of many patterns can match, without asking each.

Patterns stand in groups of 32, each group in one database, the groups of 32 groups in one, and so on up to one that
says whether anything matches at all. Most texts are answered by that one, in a microsecond. A database that the engine
would not build (all of them together can be too large for it) is left out, and counts as a hit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tidegate import patterns
from tidegate.image.codec import MalformedError
from tidegate.patterns import Database, PatternError

FAN: Final = 32
NONE: Final = -1
"""Stands for a database that was left out."""

Levels = tuple[tuple[int, ...], ...]
"""Numbers of databases, the groups first; the last level has at most one."""

_WHITE = re.compile(r"\\(.)", re.DOTALL)


class Shelf:
    """The databases of an image under construction."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._singles: dict[str, int] = {}

    def _add(self, data: bytes) -> int:
        self.parts.append(data)
        return len(self.parts) - 1

    @property
    def singles(self) -> dict[str, int]:
        """Patterns that have a database of their own."""
        return self._singles

    def single(self, source: str) -> int:
        """The database of one pattern of a `matches` test or a regex list. Raises PatternError: it was not checked."""
        number = self._singles.get(source)
        if number is None:
            number = self._singles[source] = self._add(patterns.compiled(source))
        return number

    def tree(self, sources: Sequence[str], folded: bool) -> Levels:
        """The levels over `sources`; empty where there is no engine, or nothing to ask."""
        if not sources or patterns.available():
            return ()
        levels = [self._level(sources, FAN, folded)]
        span = FAN
        while len(levels[-1]) > 1:
            span *= FAN
            levels.append(self._level(sources, span, folded))
        return tuple(levels)

    def _level(self, sources: Sequence[str], span: int, folded: bool) -> tuple[int, ...]:
        return tuple(self._group(sources[at : at + span], folded) for at in range(0, len(sources), span))

    def _group(self, sources: Sequence[str], folded: bool) -> int:
        if len(sources) == 1 and not folded:
            return self.single(sources[0])
        try:
            return self._add(Database.compile(sources, folded).serialise())
        except PatternError:
            return NONE


class Databases:
    """The databases of an image that is in use: each is made ready when it is first asked.

    Raises PatternError, of one made by another version of the engine, for another CPU, or of a lack of memory.
    """

    __slots__ = ("_data", "_ends", "_ready")

    def __init__(self, data: memoryview, ends: memoryview) -> None:
        """`ends`: 64-bit numbers, 0 and then where each database ends."""
        self._data = data
        self._ends = ends
        self._ready: list[Database | None] = [None] * max(0, len(ends) - 1)

    def __len__(self) -> int:
        return len(self._ready)

    def get(self, number: int) -> Database:
        """One database. Two threads may make it ready at once: one of the two stays."""
        database = self._ready[number]
        if database is None:
            database = Database.deserialise(bytes(self._data[self._ends[number] : self._ends[number + 1]]))
            self._ready[number] = database
        return database


class Tree:
    """Levels over patterns that are asked together."""

    __slots__ = ("_count", "_databases", "_levels")

    def __init__(self, levels: Levels, count: int, databases: Databases) -> None:
        """`count` patterns. Raises MalformedError where the levels do not fit them."""
        size = -(-count // FAN)
        for level in levels:
            if len(level) != size or not all(NONE <= number < len(databases) for number in level):
                raise MalformedError("a tree of patterns does not fit its patterns")
            size = -(-size // FAN)
        self._levels = tuple(reversed(levels))
        self._count = count
        self._databases = databases

    def probe(self) -> None:
        """Make the top ready. Raises PatternError where this machine's engine can't use it."""
        for number in self._levels[0] if self._levels else ():
            if number != NONE:
                self._databases.get(number)

    def hits(self, data: bytes) -> Iterator[int]:
        """The numbers of the patterns that may match, by whole groups; without an engine all of them."""
        groups: Iterable[int] = range(-(-self._count // FAN))
        if self._levels:
            groups = range(len(self._levels[0]))
        for depth, level in enumerate(self._levels):
            if depth:
                groups = [one for group in groups for one in range(group * FAN, min(group * FAN + FAN, len(level)))]
            groups = [one for one in groups if level[one] == NONE or self._databases.get(level[one]).scan(data)]
        for group in groups:
            yield from range(group * FAN, min(group * FAN + FAN, self._count))


class Literal:
    """An expression of the index that is nothing but escaped text, perhaps anchored: Python can ask it by itself."""

    __slots__ = ("_end", "_start", "_text")

    def __init__(self, text: str, start: bool, end: bool) -> None:
        self._text = text
        self._start = start
        self._end = end

    @classmethod
    def parse(cls, expression: str) -> Literal | None:
        """None where it is more than text."""
        start = expression.startswith("^")
        body = expression[1:] if start else expression
        end = body.endswith("$") and not body.endswith("\\$")
        body = body[:-1] if end else body
        text = _WHITE.sub(r"\1", body)
        return cls(text, start, end) if re.escape(text) == body else None

    def fits(self, folded: str) -> bool:
        """Is the text there, where the anchors say?"""
        if self._start:
            return folded == self._text if self._end else folded.startswith(self._text)
        return folded.endswith(self._text) if self._end else self._text in folded
