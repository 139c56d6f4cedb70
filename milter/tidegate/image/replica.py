"""A live list as workers ask it: a base that all of them map, and the few changes since it was made.

    start       magic, and the length of the header
    header      which list, which version, how many entries, the key of the hashes, globs (JSON)
    hashes      64-bit keyed hashes, sorted
    checks      32 bits more of each, at the same index
    timed       indices of the entries that end, and when
    values      of a map: where the values of each entry end, and those

Promises: a million entries are 12 MB that all workers share; a look-up takes some microseconds and touches a few
pages; an entry whose end has come is not found; the key of the hashes is drawn by chance and never leaves the host, so
nobody can make collisions. The text of an entry is not kept: 96 bits tell it, so of 10^22 look-ups among a million one
finds what is not there. Refuses: files of another layout (MalformedError); knowing Redis.
"""

from __future__ import annotations

import json
import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from tidegate.conditions.members import glob_matches, is_glob, lookup_keys, shape_of
from tidegate.image.codec import (
    CONVENTIONS,
    NUMBER,
    TEXT,
    TEXTS,
    WHOLE,
    WHOLES,
    Codec,
    MalformedError,
    dump,
    load,
    many,
    optional,
    record,
)
from tidegate.image.layout import SPAN, Buffer, Sections, Span, section
from tidegate.model import Cause, Conventions, Doubt, ListItem, ListKind, LiveSource

_MAGIC: Final = b"TGLIVE01"
_START: Final = struct.Struct("=8sQ")
_SIZE: Final = 12  # bytes of a hash with its check
GLOBS: Final = (ListKind.ADDRESS, ListKind.DOMAIN)

MAX_GLOBS: Final = 1000
"""Globs of one live list: each is tried on every value, some 0.3 us."""


@dataclass(frozen=True, slots=True)
class ReplicaHeader:
    """What a replica's base says of itself. `form` as in model.LiveSource; `conventions` are those of its keys."""

    name: str
    form: str
    version: str
    count: int
    salt: str
    conventions: Conventions
    shapes: tuple[int, ...]
    globs: tuple[ListItem, ...]
    hashes: Span
    checks: Span
    timed: Span
    ends: Span
    value_ends: Span
    values: Span


ITEM: Final[Codec] = record(ListItem, TEXT, TEXTS, optional(NUMBER))
_HEADER: Final[Codec] = record(
    ReplicaHeader, TEXT, TEXT, TEXT, WHOLE, TEXT, CONVENTIONS, WHOLES, many(ITEM), SPAN, SPAN, SPAN, SPAN, SPAN, SPAN
)


def kind_of(form: str) -> ListKind:
    """The type of a list of this form. Raises ValueError."""
    return ListKind.MAP if form == "logins" else ListKind(form)


class Hasher:
    """Keys to numbers of 96 bits, under one salt."""

    __slots__ = ("_salted",)

    def __init__(self, salt: bytes) -> None:
        self._salted = blake2b(digest_size=_SIZE, key=salt)

    def __call__(self, key: str) -> int:
        one = self._salted.copy()
        one.update(key.encode("utf-8", "surrogatepass"))
        return int.from_bytes(one.digest(), "big")


@dataclass(slots=True)
class Rows:
    """Entries on their way into a base, by their numbers. Of two with one key the one that ends later counts."""

    form: str
    salt: bytes
    conventions: Conventions
    numbers: list[int] = field(default_factory=list)
    ends: dict[int, float] = field(default_factory=dict)
    values: dict[int, tuple[str, ...]] = field(default_factory=dict)
    globs: dict[str, ListItem] = field(default_factory=dict)
    shapes: set[int] = field(default_factory=set)

    def add(self, items: Iterable[ListItem]) -> None:
        """More of them; whoever adds a key twice with and without an end means the one without."""
        kind = kind_of(self.form)
        globs, mapped, hasher = kind in GLOBS, kind is ListKind.MAP, Hasher(self.salt)
        for item in items:
            key = item.key
            if globs and is_glob(key):
                self.globs[key] = item
                continue
            number = hasher(key)
            self.numbers.append(number)
            self.shapes.add(shape_of(kind, key))
            if item.end is not None:
                self.ends[number] = max(item.end, self.ends.get(number, item.end))
            if mapped:
                self.values[number] = item.values

    def without(self, numbers: set[int], globs: Iterable[str]) -> None:
        """These are gone."""
        self.numbers = [one for one in self.numbers if one not in numbers]
        for number in numbers:
            self.ends.pop(number, None)
            self.values.pop(number, None)
        for key in globs:
            self.globs.pop(key, None)


def write_replica(name: str, version: str, rows: Rows) -> bytes:
    """The base."""
    numbers = sorted(set(rows.numbers))
    hashes, checks = array("Q", [one >> 32 for one in numbers]), array("I", [one & 0xFFFFFFFF for one in numbers])
    timed = [at for at, one in enumerate(numbers) if one in rows.ends] if rows.ends else []
    body = Sections()
    value_ends, texts = array("Q", [0]), []
    if kind_of(rows.form) is ListKind.MAP:
        end = 0
        for one in numbers:
            texts.append(json.dumps(rows.values.get(one, ())).encode())
            end += len(texts[-1])
            value_ends.append(end)
    header = ReplicaHeader(
        name,
        rows.form,
        version,
        len(numbers) + len(rows.globs),
        rows.salt.hex(),
        rows.conventions,
        tuple(sorted(rows.shapes)),
        tuple(rows.globs.values()),
        body.add(hashes.tobytes()),
        body.add(checks.tobytes()),
        body.add(array("I", timed).tobytes()),
        body.add(array("d", [rows.ends[numbers[at]] for at in timed]).tobytes()),
        body.add(value_ends.tobytes()),
        body.add(b"".join(texts)),
    )
    head = dump(_HEADER, header)
    head += b" " * (-len(head) % 8)
    return b"".join((_START.pack(_MAGIC, len(head)), head, body.data()))


class Base:
    """A base, opened. The buffer must not change as long as this lives."""

    __slots__ = (
        "_checks",
        "_ends",
        "_hasher",
        "_hashes",
        "_timed",
        "_value_ends",
        "_values",
        "count",
        "header",
        "kind",
    )  # fmt: skip
    header: ReplicaHeader
    kind: ListKind
    count: int

    def __init__(self, buffer: Buffer) -> None:
        """Raises MalformedError."""
        view = memoryview(buffer)
        if len(view) < _START.size:
            raise MalformedError("a replica is cut")
        magic, length = _START.unpack(view[: _START.size])
        if magic != _MAGIC:
            raise MalformedError("this is no replica of a list, or one of another layout")
        header: ReplicaHeader = load(_HEADER, view[_START.size : _START.size + length])
        body = view[_START.size + length :]
        self.header = header
        try:
            self.kind = kind_of(header.form)
            self._hasher = Hasher(bytes.fromhex(header.salt))
            self._hashes = section(body, header.hashes).cast("Q")
            self._checks = section(body, header.checks).cast("I")
            self._timed = section(body, header.timed).cast("I")
            self._ends = section(body, header.ends).cast("d")
            self._value_ends = section(body, header.value_ends).cast("Q")
            self._values = section(body, header.values)
        except (ValueError, TypeError) as error:
            raise MalformedError(f"a replica is damaged: {error}") from error
        self.count = header.count
        if len(self._checks) != len(self._hashes) or len(self._timed) != len(self._ends):
            raise MalformedError("a replica's parts do not fit each other")

    def place(self, key: str) -> int:
        """Where the entry with this key stands; -1: nowhere."""
        number = self._hasher(key)
        wanted, check, hashes = number >> 32, number & 0xFFFFFFFF, self._hashes
        at = bisect_left(hashes, wanted)
        while at < len(hashes) and hashes[at] == wanted:
            if self._checks[at] == check:
                return at
            at += 1
        return -1

    def alive(self, at: int, now: float) -> bool:
        """Has the end of this entry not come yet?"""
        timed = self._timed
        if not timed:
            return True
        number = bisect_left(timed, at)
        return number == len(timed) or timed[number] != at or now < self._ends[number]

    def values(self, at: int) -> tuple[str, ...]:
        """The values of this entry of a map."""
        found = json.loads(bytes(self._values[self._value_ends[at] : self._value_ends[at + 1]]))
        return tuple(map(str, found))

    def rows(self) -> Rows:
        """All of it, to be written anew."""
        header = self.header
        rows = Rows(header.form, bytes.fromhex(header.salt), header.conventions)
        rows.numbers = [hash_ << 32 | check for hash_, check in zip(self._hashes, self._checks, strict=True)]
        rows.ends = {rows.numbers[at]: end for at, end in zip(self._timed, self._ends, strict=True)}
        if self.kind is ListKind.MAP:
            rows.values = {one: self.values(at) for at, one in enumerate(rows.numbers)}
        rows.globs = {item.key: item for item in header.globs}
        rows.shapes = set(header.shapes)
        return rows


Changes = Mapping[str, "ListItem | None"]
"""By key: the entry as it is now; None: it is gone."""


def write_changes(changes: Changes) -> bytes:
    """As JSON."""
    return json.dumps([[key, ITEM.write(item) if item is not None else None] for key, item in changes.items()]).encode()


def read_changes(data: bytes) -> Changes:
    """The inverse. Raises MalformedError."""
    try:
        return {str(key): None if item is None else ITEM.read(item) for key, item in json.loads(data)}
    except (ValueError, TypeError, RecursionError) as error:
        raise MalformedError(f"the changes of a replica can't be read: {error}") from error


def fold(base: Base, changes: Changes, version: str) -> bytes:
    """A new base with the changes worked in."""
    rows = base.rows()
    hasher = Hasher(rows.salt)
    rows.without({hasher(key) for key in changes}, changes)
    rows.add(item for item in changes.values() if item is not None)
    return write_replica(base.header.name, version, rows)


@dataclass(frozen=True, slots=True)
class Replica:
    """One live list as it is now. `overdue`: nobody has confirmed it for longer than its `max_stale`."""

    base: Base
    changes: Changes = field(default_factory=dict)
    overdue: bool = False


def empty_replica(name: str, form: str, conventions: Conventions) -> Replica:
    """A list without entries."""
    return Replica(Base(write_replica(name, "", Rows(form, b"empty", conventions))))


Replicas = Mapping[tuple[str, str], Replica]
"""By name in Redis, and form."""


class LiveMembers:
    """A live list of a generation, with one replica or with none; implements model.MemberList."""

    __slots__ = ("_base", "_changes", "_globs", "_shapes", "cause", "doubted", "kind", "name", "stale")
    name: str
    kind: ListKind
    cause: Cause | None
    stale: bool
    doubted: frozenset[str]

    def __init__(
        self, name: str, source: LiveSource, stale: bool, doubted: frozenset[str], replica: Replica | None
    ) -> None:
        """`stale` and `doubted` are those of the list's entry in the policy."""
        self.name = name
        self.kind = kind_of(source.form)
        self.stale, self.doubted = stale, doubted
        self.cause = None
        self._base: Base | None = None
        self._changes: Changes = {}
        self._shapes: tuple[int, ...] = ()
        self._globs: tuple[ListItem, ...] = ()
        if replica is None:
            self.cause = Cause(Doubt.PASSING, f"list {name}: it was never read from Redis (`{source.name}`)")
            return
        if replica.overdue:
            self.stale, self.doubted = True, frozenset(("",))
        self._base, self._changes = replica.base, replica.changes
        self._prepare(replica)

    def _prepare(self, replica: Replica) -> None:
        header, changes = replica.base.header, replica.changes
        self._shapes, globs = header.shapes, {item.key: item for item in header.globs}
        if changes:
            shapes = {shape_of(self.kind, key) for key, item in changes.items() if item is not None}
            self._shapes = tuple(sorted({*header.shapes, *shapes}))
            globs = {key: item for key, item in globs.items() if key not in changes}
            if self.kind in GLOBS:
                globs |= {key: item for key, item in changes.items() if item is not None and is_glob(key)}
        self._globs = tuple(globs.values())

    def __len__(self) -> int:
        return self._base.count if self._base is not None else 0

    def find(self, value: str, now: float) -> str | None:
        """The entry that covers `value`, or None. A list that can't be asked covers nothing; its `cause` says so."""
        base, changes = self._base, self._changes
        if base is None:
            return None
        for key in lookup_keys(self.kind, value, self._shapes):
            if changes and key in changes:
                item = changes[key]
                if item is not None and (item.end is None or now < item.end):
                    return key
                continue
            at = base.place(key)
            if at >= 0 and base.alive(at, now):
                return key
        for item in self._globs:
            if (item.end is None or now < item.end) and glob_matches(item.key, value):
                return item.key
        return None

    def values(self, key: str, now: float) -> tuple[str, ...] | None:
        """What a map says of exactly this key, or None."""
        base = self._base
        if base is None or self.kind is not ListKind.MAP:
            return None
        if key in self._changes:
            item = self._changes[key]
            return item.values if item is not None and (item.end is None or now < item.end) else None
        at = base.place(key)
        return base.values(at) if at >= 0 and base.alive(at, now) else None


def lost(before: Base, changes: Changes, after: Rows, now: float) -> tuple[int, int]:
    """Of the entries that were in force, how many are gone, and how many there were. Both under one salt."""
    hasher = Hasher(after.salt)
    kept = set(after.numbers)
    were = gone = 0
    touched = {hasher(key) for key in changes}
    for at, number in enumerate(before.rows().numbers):
        if number not in touched and before.alive(at, now):
            were += 1
            gone += number not in kept
    for glob in before.header.globs:
        if glob.key not in changes:
            were += 1
            gone += glob.key not in after.globs
    for key, _ in _standing(changes, now):
        were += 1
        gone += key not in after.globs and hasher(key) not in kept
    return gone, were


def _standing(changes: Changes, now: float) -> Iterator[tuple[str, ListItem]]:
    for key, item in changes.items():
        if item is not None and (item.end is None or now < item.end):
            yield key, item
