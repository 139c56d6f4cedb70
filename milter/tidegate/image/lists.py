"""Lists in an image: sorted keyed hashes, and the text of each item at the same index.

Promises: a look-up takes some microseconds, touches a few pages, and answers for exactly the items that were loaded: a
hash that fits is verified by its text. The key of the hash comes from the list's content, so the same list has the
same bytes, and nobody who does not know all of it can make collisions. Items that have lapsed are not found.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from types import MappingProxyType
from typing import Final

from tidegate.conditions.members import glob_matches, is_glob, lookup_keys, shapes_of
from tidegate.image.codec import (
    LIVE_SOURCE,
    NUMBER,
    TEXT,
    TEXTS,
    TRUTH,
    WHOLES,
    Codec,
    MalformedError,
    choice,
    dump,
    load,
    optional,
    record,
)
from tidegate.image.databases import Databases, Levels, Tree
from tidegate.image.layout import SPAN, Sections, Span, section
from tidegate.model import Cause, Doubt, EntryState, ListItem, ListKind, LiveSource, MemberListData
from tidegate.patterns import encode

SMALL: Final = 500
"""Items up to which a list is kept as a dict once it was asked: 0.1 us instead of 1.5."""

FEW_GLOBS: Final = 8
"""Globs up to which each is tried; more are asked together, by a pattern database."""


@dataclass(frozen=True, slots=True)
class ListHeader:
    """What an image says of a list: `special` are the indices of globs or patterns, `live` where its entries are."""

    name: str
    kind: ListKind
    unavailable: str | None
    digest: str
    stale: bool
    doubted: tuple[str, ...]
    salt: str
    shapes: tuple[int, ...]
    special: tuple[int, ...]
    hashes: Span
    ends: Span
    texts: Span
    live: LiveSource | None = None


LIST_HEADER: Final[Codec] = record(
    ListHeader, TEXT, choice(ListKind), optional(TEXT), TEXT, TRUTH, TEXTS, TEXT, WHOLES, WHOLES, SPAN, SPAN, SPAN,
    optional(LIVE_SOURCE),
)  # fmt: skip
_ITEM: Final[Codec] = record(ListItem, TEXT, TEXTS, optional(NUMBER))
_PLAIN: Final = 0x3D  # "=" before an item that is a key alone; the others are JSON, which begins with "["


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _write_item(item: ListItem) -> bytes:
    if item.values or item.end is not None:
        return dump(_ITEM, item)
    return b"=" + _bytes(item.key)


def _read_item(data: bytes) -> ListItem:
    if data[:1] == b"=":
        return ListItem(data[1:].decode("utf-8", "surrogatepass"))
    item: ListItem = load(_ITEM, memoryview(data))
    return item


def _salted(salt: bytes) -> blake2b:
    """What every hash of a list begins with: working the key in is half of the work."""
    return blake2b(digest_size=8, key=salt)


def _hash(key: str, salted: blake2b) -> int:
    one = salted.copy()
    one.update(_bytes(key))
    return int.from_bytes(one.digest(), "little")


def special_items(data: MemberListData) -> list[ListItem]:
    """The items that no look-up key finds: patterns, globs."""
    if data.kind is ListKind.REGEX:
        return list(data.items)
    if data.kind in (ListKind.ADDRESS, ListKind.DOMAIN):
        return [item for item in data.items if is_glob(item.key)]
    return []


@dataclass(frozen=True, slots=True)
class Body:
    """A list's items as they lie in an image, which follows from its kind and its salt. ListHeader names the parts."""

    shapes: tuple[int, ...]
    special: tuple[int, ...]
    hashes: bytes | memoryview
    ends: bytes | memoryview
    texts: bytes | memoryview


def write_list(
    data: MemberListData, sections: Sections, before: Mapping[tuple[ListKind, str], Body] = MappingProxyType({})
) -> tuple[Span, tuple[str, ...]]:
    """Put a list into the image: where its header stands, and the keys of its special items in their order.

    `before`: lists of an earlier image, by kind and salt. The salt says what the items are, so their body is the same.
    """
    records = {_write_item(item): item for item in data.items}
    written = sorted(records)
    salt = blake2b(b"\0".join(written), digest_size=16, person=b"list").digest()
    body = before.get((data.kind, salt.hex())) or _body(data, records, written, salt)
    header = ListHeader(
        data.name,
        data.kind,
        data.unavailable,
        data.digest,
        data.state is EntryState.STALE,
        data.doubted,
        salt.hex(),
        body.shapes,
        body.special,
        sections.add(body.hashes),
        sections.add(body.ends),
        sections.add(body.texts),
        data.live,
    )
    ends = memoryview(body.ends).cast("Q")
    special = tuple(_read_item(bytes(body.texts[ends[at] : ends[at + 1]])).key for at in body.special)
    return sections.add(dump(LIST_HEADER, header)), special


def _body(data: MemberListData, records: Mapping[bytes, ListItem], written: list[bytes], salt: bytes) -> Body:
    salted = _salted(salt)
    hashes = [_hash(records[one].key, salted) for one in written]
    order = sorted(range(len(hashes)), key=hashes.__getitem__)  # stable: equal hashes stay in the order of their texts
    written = [written[at] for at in order]
    special = set(special_items(data))
    return Body(
        shapes_of(data.kind, [item.key for item in data.items]),
        tuple(at for at, one in enumerate(written) if records[one] in special) if special else (),
        array("Q", [hashes[at] for at in order]).tobytes(),
        array("Q", accumulate(map(len, written), initial=0)).tobytes(),
        b"".join(written),
    )


class Members:
    """One list of a generation; implements model.MemberList."""

    __slots__ = (
        "_ends", "_hashes", "_items", "_matches", "_salted", "_shapes", "_special", "_texts", "_tree",
        "cause", "doubted", "kind", "name", "stale",
    )  # fmt: skip
    name: str
    kind: ListKind
    cause: Cause | None
    stale: bool
    doubted: frozenset[str]

    def __init__(self, header: ListHeader, body: memoryview, matches: Callable[[str, bytes], bool]) -> None:
        """`matches` asks one pattern. Raises MalformedError."""
        self.name = header.name
        self.kind = header.kind
        why = header.unavailable
        self.cause = None if why is None else Cause(Doubt.PASSING, f"list {header.name}: {why}")
        self.stale = header.stale
        self.doubted = frozenset(header.doubted)
        self._matches = matches
        self._salted = _salted(bytes.fromhex(header.salt))
        self._shapes = header.shapes
        self._special = header.special
        self._hashes = section(body, header.hashes).cast("Q")
        self._ends = section(body, header.ends).cast("Q")
        self._texts = section(body, header.texts)
        self._items: dict[str, tuple[ListItem, ...]] | None = None
        self._tree: Tree | None = None
        if len(self._ends) != len(self._hashes) + 1:
            raise MalformedError("a list's texts do not fit its hashes")

    def __len__(self) -> int:
        return len(self._hashes)

    def plant(self, levels: Levels, databases: Databases) -> None:
        """The pattern databases over the special items. Raises MalformedError, or PatternError."""
        tree = Tree(levels, len(self._special), databases)
        tree.probe()
        self._tree = tree

    def find(self, value: str, now: float) -> str | None:
        """The item that covers `value`, or None. A list that can't be asked covers nothing; its `cause` says so."""
        if self.cause is not None:
            return None
        if self.kind is not ListKind.REGEX:
            for key in lookup_keys(self.kind, value, self._shapes):
                for item in self._under(key):
                    if item.end is None or now < item.end:
                        return key
        return self._find_special(value, now) if self._special else None

    def values(self, key: str, now: float) -> tuple[str, ...] | None:
        """What a map says of exactly this key, or None."""
        if self.cause is not None or self.kind is not ListKind.MAP:
            return None
        live = [item for item in self._under(key) if item.end is None or now < item.end]
        return tuple(value for item in live for value in item.values) if live else None

    def _under(self, key: str) -> tuple[ListItem, ...]:
        """The items with this key."""
        items = self._items
        if items is None and len(self._hashes) <= SMALL:
            items = self._items = self._unpacked()
        if items is not None:
            return items.get(key, ())
        hashes = self._hashes
        wanted = _hash(key, self._salted)
        at = bisect_left(hashes, wanted)
        found: tuple[ListItem, ...] = ()
        while at < len(hashes) and hashes[at] == wanted:
            item = self._item(at)
            if item.key == key:
                found += (item,)
            at += 1
        return found

    def _unpacked(self) -> dict[str, tuple[ListItem, ...]]:
        items: dict[str, tuple[ListItem, ...]] = {}
        for at in range(len(self._hashes)):
            item = self._item(at)
            items[item.key] = (*items.get(item.key, ()), item)
        return items

    def _item(self, at: int) -> ListItem:
        return _read_item(bytes(self._texts[self._ends[at] : self._ends[at + 1]]))

    def _find_special(self, value: str, now: float) -> str | None:
        data = encode(value)
        for number in self._tree.hits(data) if self._tree is not None else range(len(self._special)):
            item = self._item(self._special[number])
            if (item.end is None or now < item.end) and self._fits(item.key, value, data):
                return item.key
        return None

    def _fits(self, key: str, value: str, data: bytes) -> bool:
        return self._matches(key, data) if self.kind is ListKind.REGEX else glob_matches(key, value)
