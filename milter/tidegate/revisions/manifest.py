"""A manifest: which entries a revision is made of, by digest. It names no environment, so that the same manifest, with
the same digest, is what ran on test and what goes to production.

Promises: `Manifest.canonical` is the one text of it and `read_manifest` its strict inverse. Refuses: two entries of one
kind and id, an entry that is there and removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tidegate.model import EntryKey, EntryKind
from tidegate.revisions.canonical import SHA, Flaw, canonical, digest_of, parse

FORMAT = 1
MOST = 20_000
"""Entries of one manifest."""
_ID = 256  # characters; the reader of entries says which ids it takes
_KINDS = {kind.value: kind for kind in EntryKind}
_ORDER = {kind: kind.value for kind in EntryKind}


@dataclass(frozen=True, slots=True)
class Named:
    """One entry: which, and the SHA-256 of its text."""

    key: EntryKey
    sha: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`entries` overlay the entries of the files that have the same key; `removed` are tombstones: those are off."""

    entries: tuple[Named, ...] = ()
    removed: tuple[EntryKey, ...] = ()

    @property
    def shas(self) -> dict[EntryKey, str]:
        """By key."""
        return {one.key: one.sha for one in self.entries}

    def canonical(self) -> bytes:
        """The text whose digest names this manifest."""
        return canonical(
            {
                "format": FORMAT,
                "entries": sorted([one.key.kind.value, one.key.id, one.sha] for one in self.entries),
                "removed": sorted([key.kind.value, key.id] for key in self.removed),
            }
        )

    def digest(self) -> str:
        """Its name."""
        return digest_of(self.canonical())

    def edited(
        self, put: Iterable[Named] = (), removed: Iterable[EntryKey] = (), forgotten: Iterable[EntryKey] = ()
    ) -> Manifest:
        """With these entries put, these removed with a tombstone, and these without either."""
        shas = self.shas
        stones = dict.fromkeys(self.removed)
        for key in (*removed, *forgotten):
            shas.pop(key, None)
            stones.pop(key, None)
        stones.update(dict.fromkeys(removed))
        for one in put:
            shas[one.key] = one.sha
            stones.pop(one.key, None)
        return Manifest(
            tuple(Named(key, shas[key]) for key in sorted(shas, key=_sorted)), tuple(sorted(stones, key=_sorted))
        )


EMPTY = Manifest()
"""What an environment has before its first revision."""


def _sorted(key: EntryKey) -> tuple[str, str]:
    return _ORDER[key.kind], key.id


def read_manifest(data: bytes, *, strict: bool = True) -> Manifest | Flaw:
    """The manifest of a text. `strict`: only of the text that `canonical` writes; otherwise of any JSON of that shape
    (one that a person wrote by hand)."""
    value = parse(data)
    if isinstance(value, Flaw):
        return value
    if not isinstance(value, dict) or set(value) != {"format", "entries", "removed"}:
        return Flaw("it has to have `format`, `entries` and `removed`")
    if value["format"] != FORMAT or isinstance(value["format"], bool):
        return Flaw(f"its format is {str(value['format'])[:20]}, this release reads {FORMAT}")
    named, stones = _entries(value["entries"]), _keys(value["removed"])
    if isinstance(named, Flaw):
        return named
    if isinstance(stones, Flaw):
        return stones
    keys: set[EntryKey] = set()
    for key in (*(one.key for one in named), *stones):
        if key in keys:
            return Flaw(f"{key} stands twice in it")
        keys.add(key)
    manifest = EMPTY.edited(named, stones)
    if strict and manifest.canonical() != data:
        return Flaw("it is not as `tidegate policy` writes it")
    return manifest


def _entries(rows: Any) -> tuple[Named, ...] | Flaw:
    if not isinstance(rows, list) or len(rows) > MOST:
        return Flaw(f"`entries` has to be a list of at most {MOST}")
    found = []
    for row in rows:
        if not isinstance(row, list) or len(row) != 3 or not isinstance(row[2], str) or not SHA.fullmatch(row[2]):
            return Flaw("an entry has to be [kind, id, sha256]")
        key = _key(row[:2])
        if isinstance(key, Flaw):
            return key
        found.append(Named(key, row[2]))
    return tuple(found)


def _keys(rows: Any) -> tuple[EntryKey, ...] | Flaw:
    if not isinstance(rows, list) or len(rows) > MOST:
        return Flaw(f"`removed` has to be a list of at most {MOST}")
    found = []
    for row in rows:
        key = _key(row)
        if isinstance(key, Flaw):
            return key
        found.append(key)
    return tuple(found)


def _key(row: Any) -> EntryKey | Flaw:
    if not isinstance(row, list) or len(row) != 2 or not all(isinstance(one, str) for one in row):
        return Flaw("what is named has to be [kind, id]")
    kind, name = row
    if kind not in _KINDS:
        return Flaw(f"there is no kind of entry `{kind[:20]}`")
    if not name or len(name) > _ID or not name.isprintable():
        return Flaw(f"{name[:20]!r} is no id")
    return EntryKey(_KINDS[kind], name)
