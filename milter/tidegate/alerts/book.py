"""The book of alerts: which alert stands, since when, and what changed.

Promises: pure and state-based. Each cycle compares what is wrong now with the book, never with the event that
brought it, so a repair, a delete and a byte-identical revert all clear an alert, and a thousand loads of the same
broken file raise one. Refuses: sending (channels), clocks (`now` is an argument), storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tidegate.alerts.codes import CODES, problem
from tidegate.model import Entry, EntryState, Place, Problem, Severity

Key = tuple[str, str]  # what it is about (entry or source), and the code

_MANY = 20  # so many alerts of one kind become one

_TELLING = {
    EntryState.STALE: "entry-stale",
    EntryState.SKIPPED: "entry-skipped",
    EntryState.DEFERRING: "entry-deferring",
    EntryState.TRIPPED: "entry-tripped",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """One episode: from the first cycle that saw it to the first that does not."""

    subject: str  # `rule spoofed-from`, or a file name where no entry is to blame
    code: str
    message: str
    place: Place
    severity: Severity
    since: float  # POSIX seconds
    cure: str = ""
    count: int = 1  # how many problems it stands for now (a file may have the same fault in several places)


Book = Mapping[Key, Alert]


@dataclass(frozen=True, slots=True)
class Change:
    """What one cycle brought: the new book, and the alerts that began and ended."""

    book: Book
    raised: tuple[Alert, ...]
    cleared: tuple[Alert, ...]


def reconcile(book: Book, problems: Iterable[Problem], entries: Iterable[Entry], now: float) -> Change:
    """Compare the book with what is wrong now. Notices raise nothing; warnings and errors do."""
    current: dict[Key, Alert] = {}
    blamed: set[str] = set()
    for found in problems:
        if found.severity < Severity.WARNING:
            continue
        subject = str(found.entry) if found.entry else found.place.source
        blamed.add(subject)
        _add(current, book, subject, found, now)
    for code, suffering in _suffering(entries, blamed).items():
        if len(suffering) > _MANY:
            _add_summary(current, book, code, suffering, now)
            continue
        for entry in suffering:
            text = entry.reason or f"{entry.key} is {entry.state.value}"
            _add(current, book, str(entry.key), problem(code, text, entry.place, entry=entry.key), now)
    raised = tuple(alert for key, alert in current.items() if key not in book)
    cleared = tuple(alert for key, alert in book.items() if key not in current)
    return Change(current, raised, cleared)


def _suffering(entries: Iterable[Entry], blamed: set[str]) -> dict[str, list[Entry]]:
    """By code, the entries without a problem of their own: a list, a condition or a whole file is at fault."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        code = _TELLING.get(entry.state)
        if code and str(entry.key) not in blamed:
            found.setdefault(code, []).append(entry)
    return found


def _add_summary(current: dict[Key, Alert], book: Book, code: str, entries: list[Entry], now: float) -> None:
    """One alert for many entries: an unreadable file with 10,000 rules is one thing to repair."""
    some = ", ".join(str(entry.key) for entry in entries[:3])
    text = f"{len(entries)} entries are {entries[0].state.value} ({some}, …)"
    key = ("entries", code)
    since = book[key].since if key in book else now
    current[key] = Alert("entries", code, text, entries[0].place, Severity.ERROR, since, CODES[code][1], len(entries))


def _add(current: dict[Key, Alert], book: Book, subject: str, problem: Problem, now: float) -> None:
    key = (subject, problem.code)
    known = current.get(key)
    if known:
        current[key] = replace(known, count=known.count + 1, severity=max(known.severity, problem.severity))
        return
    since = book[key].since if key in book else now
    current[key] = Alert(subject, problem.code, problem.message, problem.place, problem.severity, since, problem.cure)
