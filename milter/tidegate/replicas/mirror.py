"""One list of Redis as this host has it: what is in force, and whether what Redis says now is to be believed.

Theory of belief. A list that moved on in small steps, by its log, is followed at once: who put an entry on it or took
it off meant that. A list that arrives whole (at the first time, or where the log does not reach back, or where its
history is another one) is compared with what is in force; where too much is gone at once, it is not taken until a
person confirms. A list that is not there any more, or of an older version, is not followed at all: that is an emptied
Redis, or an old dump.

Promises: whatever is wrong, what is in force stays in force. Refuses: disks, threads, and a clock of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from tidegate.conditions.members import is_glob
from tidegate.image.replica import GLOBS, MAX_GLOBS, Base, Changes, Rows, fold, kind_of, lost, write_replica
from tidegate.model import Conventions, ListItem
from tidegate.policy.lists import MAX_ITEMS
from tidegate.replicas.entries import EntryReader
from tidegate.store.lists import Entry, ListStore, Operation, Removal, Version, version_from

MAX_CHANGES = 1000
"""Changes beside a base; with more they are worked into a new one."""
MAX_BAD = 1000
"""Entries that can't be used, which are remembered by name."""
FEW = 10
"""Entries that a list which arrives whole may lose without a question."""
_ALLOWING, _STOPPING = 10, 2  # parts of which more than one may not be gone at once


class Trouble(Enum):
    """What keeps a list from being followed."""

    BEHIND = "list-behind"
    GUARDED = "list-guarded"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A list that the policy asks: its name in Redis, its form; `allows`: something lets mail pass by it."""

    name: str
    form: str
    allows: bool = False


@dataclass(slots=True)
class Mirror:
    """One list. `base` None: it was never read. `confirmed`: POSIX seconds when Redis last said that it is so."""

    wanted: Wanted
    conventions: Conventions
    base: Base | None = None
    data: bytes = b""  # of the base
    changes: dict[str, ListItem | None] = field(default_factory=dict)
    version: Version | None = None  # in force; None: none, or of a list that Redis does not hold
    confirmed: float = 0.0
    trouble: Trouble | None = None
    why: str = ""
    bad: dict[str, str] = field(default_factory=dict)  # entries that can't be used, and why
    missing: bool = False  # Redis holds no such list, and never did as far as we know
    accept: bool = False  # a person said that what Redis holds is meant
    _globs: set[str] = field(default_factory=set)  # that were counted in this look

    @property
    def key(self) -> tuple[str, str]:
        """Name and form."""
        return self.wanted.name, self.wanted.form

    def restore(self, base: Base, data: bytes, changes: Changes, version: str, confirmed: float) -> None:
        """As it was before a restart."""
        self.base, self.data, self.changes = base, data, dict(changes)
        self.version, self.confirmed = version_from(version), confirmed

    def behind(self, why: str) -> None:
        """Redis can't be asked."""
        self.trouble, self.why = Trouble.BEHIND, why

    def follow(
        self, store: ListStore, there: bool, version: Version | None, now: float, progress: Callable[[], None]
    ) -> bool:
        """One look. `there`: Redis has such a list, of this version (None: one that is damaged).

        True where what is in force has changed. `progress` is called now and then in a long copy. Raises StoreError.
        """
        if not there:
            return self._missing(now)
        self.missing = False
        if version is None:
            return self._refuse("its version in Redis is damaged")
        if self.version is not None and not self.accept:
            if (version.number, version.moment) == (self.version.number, self.version.moment):
                self.version = version
                return self._confirmed(now)
            if version.number <= self.version.number or version.moment <= self.version.moment:
                return self._refuse(f"Redis holds the older version {version}, here is {self.version}")
            steps = store.since(self.wanted.name, self.version)
            if steps is not None:
                (number, moment), operations = steps
                latest = version if number == version.number else Version(number, moment, version.count)
                return self._step(latest, operations, now)
        return self._copy(store, version, now, progress)

    def _missing(self, now: float) -> bool:
        if self.base is not None and self.version is not None and not self.accept:
            return self._refuse("Redis holds no list of that name any more")
        fresh = self.base is None or self.accept
        if fresh:
            self._replace("", self._rows(), None)
        self.accept, self.missing = False, True
        self._confirmed(now)
        return fresh

    def _refuse(self, why: str) -> bool:
        self.trouble, self.why = Trouble.GUARDED, f"{why}; it stays as it was"
        return False

    def _confirmed(self, now: float) -> bool:
        self.confirmed, self.trouble, self.why = now, None, ""
        return False

    def _step(self, latest: Version, operations: list[Operation], now: float) -> bool:
        """Single changes act at once."""
        assert self.base is not None
        reader = EntryReader(self.wanted.form, self.conventions)
        known = {item.key for item in self.base.header.globs} | {key for key in self.changes if is_glob(key)}
        self._globs = {key for key in known if self.changes.get(key, True) is not None}
        for one in operations:
            self.bad.pop(one.key, None)
            if isinstance(one, Removal):
                key, why = reader.key(one.key)
                if not why:
                    self.changes[key] = None
                    self._globs.discard(key)
                continue
            item = self._item(reader, one.key, one)
            if item is not None:
                self.changes[item.key] = item
        self.version = latest
        if len(self.changes) > MAX_CHANGES:
            self.data = fold(self.base, self.changes, str(latest))
            self.base, self.changes = Base(self.data), {}
        self._confirmed(now)
        return True

    def _item(self, reader: EntryReader, key: str, entry: Entry | None) -> ListItem | None:
        item = reader.item(key, entry.until, entry.values) if entry is not None else f"{key[:80]!r} is half-written"
        if isinstance(item, ListItem):
            if not (reader.kind in GLOBS and is_glob(item.key)) or self._room(item.key):
                return item
            item = f"it is one glob more than {MAX_GLOBS}"
        if len(self.bad) < MAX_BAD:
            self.bad[key] = item
        return None

    def _room(self, key: str) -> bool:
        """Is there room for one more glob?"""
        self._globs.add(key)
        return len(self._globs) <= MAX_GLOBS

    def _copy(self, store: ListStore, version: Version, now: float, progress: Callable[[], None]) -> bool:
        """All of it, compared with what is in force."""
        count = store.size(self.wanted.name)
        if count > MAX_ITEMS:
            return self._refuse(f"Redis holds {count} entries, more than {MAX_ITEMS}")
        self.bad, self._globs = {}, set()
        reader, rows = EntryReader(self.wanted.form, self.conventions), self._rows()
        for part in store.entries(self.wanted.name):
            rows.add(item for key, entry in part if (item := self._item(reader, key, entry)) is not None)
            progress()
        after = store.version(self.wanted.name)
        if after == version and count != version.count and not self.accept:
            return self._refuse(f"Redis holds {count} entries, and its version says {version.count}")
        if self.base is not None and not self.accept and not self._believes(rows, now):
            return False
        self._replace(str(version), rows, version)
        self.accept = False
        self._confirmed(now)
        return True

    def _believes(self, rows: Rows, now: float) -> bool:
        assert self.base is not None
        gone, were = lost(self.base, self.changes, rows, now)
        parts = _ALLOWING if self.wanted.allows else _STOPPING
        if were and not rows.numbers and not rows.globs:
            return self._refuse(f"it is empty in Redis at once, and held {were} entries")
        if gone > FEW and gone * parts > were:
            return self._refuse(f"{gone} of {were} entries are gone at once")
        return True

    def _rows(self) -> Rows:
        """For a new base. Under the salt of the old one, so that the two can be compared."""
        salt = bytes.fromhex(self.base.header.salt) if self.base is not None else os.urandom(16)
        return Rows(self.wanted.form, salt, self.conventions)

    def _replace(self, version: str, rows: Rows, known: Version | None) -> None:
        self.data = write_replica(self.wanted.name, version, rows)
        self.base, self.changes, self.version = Base(self.data), {}, known

    def count(self) -> int:
        """Entries, about: those count too that have ended, and those that changed twice."""
        if self.base is None:
            return 0
        more = sum(1 if item is not None else -1 for item in self.changes.values())
        return max(0, self.base.count + more)


def fits(base: Base, wanted: Wanted, conventions: Conventions) -> bool:
    """Is this base of that list, and are its keys written as they are here?"""
    header = base.header
    same = (header.name, header.form, header.conventions) == (wanted.name, wanted.form, conventions)
    return same and base.kind is kind_of(wanted.form)
