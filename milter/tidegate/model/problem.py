"""What is wrong with an entry, where, and what cures it; and what became of each entry.

An admin's mistake is a Problem, never an exception. The registry of codes is policy/codes.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.model.words import EntryKind, EntryState, Severity


@dataclass(frozen=True, slots=True)
class Place:
    """A spot in a source: a file name relative to the policy directory (or `redis:KEY`), line and column, both from 1.

    Line 0 is the source as a whole.
    """

    source: str
    line: int
    column: int
    end_column: int = 0  # exclusive, on the same line; 0: unknown

    def __str__(self) -> str:
        if not self.line:
            return self.source
        return f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class EntryKey:
    """Which entry: its section and its id."""

    kind: EntryKind
    id: str

    def __str__(self) -> str:
        return f"{self.kind.value} {self.id}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: stable `code`, message, place, cure, and the source line to show it in."""

    code: str
    message: str
    place: Place
    severity: Severity = Severity.ERROR
    entry: EntryKey | None = None
    cure: str = ""
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as the policy set has it: its state, and the reason where it isn't simply active.

    `since`: POSIX seconds of the first load that found it broken while its last valid text serves; 0: it is not.
    `overrides`: where the entry of the same id stands that this one covers or removes; "": nowhere.
    """

    key: EntryKey
    state: EntryState
    place: Place
    digest: str = ""
    reason: str = ""
    since: float = 0.0
    overrides: str = ""
