"""Pattern databases in an image: which of many patterns can match, without asking each.

Patterns stand in groups of 32, each group in one database, the groups of 32 groups in one, and so on up to one that
says whether anything matches at all. Most texts are answered by that one, in a microsecond. A database that the engine
would not build (all of them together can be too large for it), or not in time, is left out, and counts as a hit.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from tidegate import patterns
from tidegate.image.codec import MalformedError
from tidegate.patterns import Database, PatternError

FAN: Final = 32
NONE: Final = -1
"""Stands for a database that was left out."""

HEAVY: Final = 2 * 1024 * 1024
"""Bytes of single databases up to which a group is built: the engine takes as long for the group as for all of them."""

SECONDS: Final = 12.0
"""That all groups of an image may take together: the loader has a minute for the whole load. Bytes don't tell it all
(32 times `abc.*x{1,900}`: 16 KB, and 5 s)."""

Levels = tuple[tuple[int, ...], ...]
"""Numbers of databases, the groups first; the last level has at most one."""

_TOKEN = re.compile(r"\\.|\.[*+]|.", re.DOTALL)


KEY_SIZE: Final = 32
"""Bytes of a database's key."""


def key_of(sources: Sequence[str], folded: bool) -> bytes:
    """What a database is made of, as a hash."""
    found = sha256(b"folded" if folded else b"")
    for source in sources:
        found.update(b"\0" + patterns.encode(source))  # no pattern holds a NUL (Database.compile)
    return found.digest()


class Shelf:
    """The databases of an image under construction. `made`: those that an earlier image holds, by key."""

    def __init__(self, made: Mapping[bytes, bytes] = MappingProxyType({})) -> None:
        self.parts: list[bytes] = []
        self.keys: list[bytes] = []
        self._made = made
        self._spent = self._longest = 0.0  # seconds that groups took: all, and the slowest
        self._singles: dict[str, int] = {}

    def _add(self, data: bytes, key: bytes) -> int:
        self.parts.append(data)
        self.keys.append(key)
        return len(self.parts) - 1

    @property
    def singles(self) -> dict[str, int]:
        """Patterns that have a database of their own."""
        return self._singles

    @property
    def spent(self) -> dict[str, int]:
        """Milliseconds that the dear ones of them took, now or when they were made."""
        made = {source: patterns.made(source) for source in self._singles}
        return {source: max(1, round(one.seconds * 1000)) for source, one in made.items() if one and one.dear}

    def single(self, source: str) -> int:
        """The database of one pattern of a `matches` test or a regex list. Raises PatternError: it was not checked."""
        number = self._singles.get(source)
        if number is None:
            number = self._singles[source] = self._add(patterns.compiled(source), key_of((source,), False))
        return number

    def patterns(self, sources: Sequence[str]) -> Levels:
        """The levels over patterns. Raises PatternError: one was not checked."""
        sizes = [len(self.parts[self.single(source)]) for source in sources]
        return self._levels(sources, False, sizes)

    def literals(self, needles: Sequence[str]) -> Levels:
        """The levels over texts to be found in casefolded text; empty where there is no engine."""
        return () if patterns.available() else self._levels([re.escape(one) or "^" for one in needles], True, [])

    def _levels(self, sources: Sequence[str], folded: bool, sizes: Sequence[int]) -> Levels:
        levels: list[tuple[int, ...]] = []
        span, heavy = FAN, HEAVY
        while sources and (not levels or len(levels[-1]) > 1):
            starts = range(0, len(sources), span)
            levels.append(
                tuple(
                    NONE if sum(sizes[at : at + span]) > heavy else self._group(sources[at : at + span], folded)
                    for at in starts
                )
            )
            span, heavy = span * FAN, heavy * 4
        return tuple(levels)

    def _is_dear(self, source: str) -> bool:
        made = patterns.made(source)
        return made is not None and made.dear

    def _group(self, sources: Sequence[str], folded: bool) -> int:
        if len(sources) == 1 and not folded:
            return self.single(sources[0])
        key = key_of(sources, folded)
        made = self._made.get(key)
        if made is not None:
            return self._add(made, key)
        # A group takes as long as its parts together, and the next of a level as long as the one before.
        expected = self._longest if len(sources) <= FAN else self._spent
        if self._spent + expected > SECONDS:
            return NONE
        began = time.monotonic()
        if not folded and any(map(self._is_dear, sources)):
            made = patterns.compile_within(sources, folded, SECONDS - self._spent).data
        else:
            made = _compiled(sources, folded)
        took = time.monotonic() - began
        self._spent += took
        self._longest = max(self._longest, took)
        return self._add(made, key) if made else NONE


def _compiled(sources: Sequence[str], folded: bool) -> bytes:
    """b"" where the engine can't do it."""
    try:
        return Database.compile(sources, folded).serialise()
    except PatternError:
        return b""


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

    __slots__ = ("_count", "_databases", "_levels", "_top")

    def __init__(self, levels: Levels, count: int, databases: Databases) -> None:
        """`count` patterns. Raises MalformedError where the levels do not fit them."""
        size = -(-count // FAN)
        for level in levels:
            if len(level) != size or not all(NONE <= number < len(databases) for number in level):
                raise MalformedError("a tree of patterns does not fit its patterns")
            size = -(-size // FAN)
        if levels and len(levels[-1]) != 1:
            raise MalformedError("a tree of patterns has no top")
        self._top: Database | None = None
        self._levels = tuple(reversed(levels))
        self._count = count
        self._databases = databases

    def probe(self) -> None:
        """Make the top ready. Raises PatternError where this machine's engine can't use it."""
        for number in self._levels[0] if self._levels else ():
            if number != NONE:
                self._top = self._databases.get(number)

    def hits(self, data: bytes) -> Sequence[int]:
        """The numbers of the patterns that may match, by whole groups; without an engine all of them."""
        if self._top is not None and not self._top.scan(data):
            return ()
        if not self._levels:
            return range(self._count)
        groups = [0]
        for level in self._levels[1:]:
            below = (one for group in groups for one in range(group * FAN, min(group * FAN + FAN, len(level))))
            groups = [one for one in below if level[one] == NONE or self._databases.get(level[one]).scan(data)]
        return [one for group in groups for one in range(group * FAN, min(group * FAN + FAN, self._count))]


class Literal:
    """An expression of the index: texts that follow one another, with anything between them, perhaps anchored.

    That is what `contains`, `prefix`, `suffix` and globs come to. The engine looks for the longest of the texts alone,
    which it learns in a thousandth of the time that anchors and gaps would take; Python asks the rest.
    """

    __slots__ = ("_end", "_pieces", "_start", "needle")

    def __init__(self, pieces: list[str], start: bool, end: bool) -> None:
        self._pieces = pieces
        self._start = start
        self._end = end
        self.needle = max(pieces, key=len)

    @classmethod
    def parse(cls, expression: str) -> Literal:
        """Any expression; of one that is more than texts and gaps the needle is empty, and it always fits."""
        body = expression.removeprefix("(?s)")
        start = body.startswith("^")
        tokens = _TOKEN.findall(body[1:] if start else body)
        end = bool(tokens) and tokens[-1] == "$"
        pieces = [""]
        for token in tokens[:-1] if end else tokens:
            text = token.removeprefix("\\")
            if token in (".*", ".+"):
                pieces.append("")
            elif len(text) == 1 and (text == token) is (re.escape(text) == text):
                pieces[-1] += text
            else:
                return cls([""], False, False)
        return cls(pieces, start, end)

    def fits(self, folded: str) -> bool:
        """Do the texts stand there in order, and where the anchors say? A gap may be empty."""
        if len(self._pieces) == 1 and self._start and self._end:
            return folded == self._pieces[0]
        if self._start and not folded.startswith(self._pieces[0]):
            return False
        if self._end and not folded.endswith(self._pieces[-1]):
            return False
        at = 0
        for piece in self._pieces:
            at = folded.find(piece, at)
            if at < 0:
                return False
            at += len(piece)
        return True
