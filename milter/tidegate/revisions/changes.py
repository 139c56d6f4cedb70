"""What lies between two manifests, entry by entry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from tidegate.model import EntryKey
from tidegate.revisions.manifest import Manifest


class Change(str, Enum):
    """What became of one entry. FORGOTTEN: neither entry nor tombstone any more, so a file's entry is in force."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True)
class Changes:
    """One changed key; `before` and `after` are digests, "" where there is no entry."""

    key: EntryKey
    change: Change
    before: str = ""
    after: str = ""


def compare(old: Manifest, new: Manifest) -> tuple[Changes, ...]:
    """All that differs, sorted by kind and id. Where nothing does the manifests are the same."""
    before, after = old.shas, new.shas
    gone, stones = set(old.removed), set(new.removed)
    found = []
    for key in {*before, *after, *gone, *stones}:
        one, other = before.get(key, ""), after.get(key, "")
        if one == other and (key in gone) == (key in stones):
            continue
        if other:
            change = Change.CHANGED if one else Change.ADDED
        else:
            change = Change.REMOVED if key in stones else Change.FORGOTTEN
        found.append(Changes(key, change, one, other))
    return tuple(sorted(found, key=lambda one: (one.key.kind.value, one.key.id)))
