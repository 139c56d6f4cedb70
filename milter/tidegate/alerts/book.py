"""The book of alerts: which alert stands, since when, how bad it is by now, and what changed.

Promises: pure and state-based. Each cycle compares what is wrong now with the book, never with the event that
brought it, so a repair, a delete and a byte-identical revert all clear an alert, and a thousand loads of the same
broken file raise one. What comes back within AGAIN is the same episode, raised once more. An alert for which mail
waits gets worse with age: senders give up after a day, so a deferral is a debt with a clock. Refuses: sending
(teller.py), clocks (`now` is an argument), storage (record.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.alerts.codes import CODES, CRITICAL, DEFERRING, problem
from tidegate.model import Entry, EntryState, Place, Problem, Severity

Key = tuple[str, str]  # what it is about (entry or source), and the code

AGAIN = 600.0  # seconds after its end in which an alert that comes back is the same episode
FLAPS = 4  # times raised in one episode, from which on it is shown as flapping
ESCALATE = (900.0, 3600.0)  # ages in seconds at which an alert for which mail waits gets worse

_MANY = 20  # so many alerts of one kind become one

_FOLLOWS = {"missing-key": "unknown-key"}  # a misspelt key is a missing one, too: one mistake, one alert

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
    severity: Severity  # by now
    since: float  # POSIX seconds
    cure: str = ""
    count: int = 1  # how many problems it stands for now (a file may have the same fault in several places)
    times: int = 1  # how often it was raised in this episode
    defers: bool = False  # mail waits for its repair
    base: Severity = Severity.ERROR  # what it is by itself, whatever its age
    ended: float = 0.0  # POSIX seconds; 0: it stands

    @property
    def key(self) -> str:
        """Its name for people and receivers: the same over loads, restarts and hosts."""
        return hashlib.sha256(f"{self.subject}\n{self.code}".encode("utf-8", "backslashreplace")).hexdigest()[:12]

    @property
    def flapping(self) -> bool:
        """Does it come and go?"""
        return self.times >= FLAPS


Book = Mapping[Key, Alert]


@dataclass(frozen=True, slots=True)
class Change:
    """What one cycle brought: the new book, the alerts that began, ended and got worse, those that may come back."""

    book: Book
    raised: tuple[Alert, ...]
    cleared: tuple[Alert, ...]
    worse: tuple[Alert, ...] = ()
    resting: Book = field(default_factory=dict)
    carried: frozenset[Key] = frozenset()  # of those that were, what was not seen yet


def reconcile(
    book: Book,
    problems: Iterable[Problem],
    entries: Iterable[Entry],
    now: float,
    resting: Book | None = None,
    escalate: Sequence[float] = ESCALATE,
    carried: Collection[Key] = (),
) -> Change:
    """Compare the book with what is wrong now. Notices raise nothing; warnings and errors do.

    `resting` are alerts that ended, `carried` those that can't clear yet: after a start not all is known.
    """
    entries = tuple(entries)
    waiting = {str(entry.key) for entry in entries if entry.state is EntryState.DEFERRING}
    found: dict[Key, Alert] = {}
    blamed: set[str] = set()
    for one in problems:
        if one.severity < Severity.WARNING:
            continue
        subject = str(one.entry) if one.entry else one.place.source
        blamed.add(subject)
        _add(found, subject, one, subject in waiting)
    for subject, code in list(found):
        cause = found.get((subject, _FOLLOWS.get(code, "")))
        if cause is not None:
            found[cause.subject, cause.code] = replace(cause, count=cause.count + found.pop((subject, code)).count)
    for code, suffering in _suffering(entries, blamed).items():
        if len(suffering) > _MANY:
            _add_summary(found, code, suffering)
            continue
        for entry in suffering:
            text = entry.reason or f"{entry.key} is {entry.state.value}"
            _add(found, str(entry.key), problem(code, text, entry.place, entry=entry.key), code in DEFERRING)
    rested = {key: alert for key, alert in (resting or {}).items() if now - alert.ended < AGAIN}
    current = {key: _aged(_dated(key, alert, book, rested, now), now, escalate) for key, alert in found.items()}
    if carried:
        current |= {key: alert for key, alert in book.items() if key in carried and key not in current}
    return replace(_change(book, current, rested, now), carried=frozenset(key for key in carried if key not in found))


def age(book: Book, now: float, escalate: Sequence[float] = ESCALATE) -> tuple[Book, tuple[Alert, ...]]:
    """The book with the severities that its alerts have by now, and those that got worse."""
    worse = {key: fresh for key, alert in book.items() if (fresh := _aged(alert, now, escalate)) is not alert}
    return ({**book, **worse} if worse else book), tuple(worse.values())


def _change(book: Book, current: dict[Key, Alert], rested: dict[Key, Alert], now: float) -> Change:
    raised = tuple(alert for key, alert in current.items() if key not in book)
    cleared = {key: replace(alert, ended=now) for key, alert in book.items() if key not in current}
    worse = tuple(alert for key, alert in current.items() if key in book and alert.severity > book[key].severity)
    resting = {key: alert for key, alert in rested.items() if key not in current}
    return Change(current, raised, tuple(cleared.values()), worse, {**resting, **cleared})


def _dated(key: Key, alert: Alert, book: Book, rested: Book, now: float) -> Alert:
    """With the beginning of its episode."""
    before = book.get(key)
    if before is not None:
        return replace(alert, since=before.since, times=before.times)
    again = rested.get(key)
    if again is not None:
        return replace(alert, since=again.since, times=again.times + 1)
    return replace(alert, since=now)


def _aged(alert: Alert, now: float, escalate: Sequence[float]) -> Alert:
    """With the severity that its age gives it."""
    steps = sum(now - alert.since >= limit for limit in escalate) if alert.defers else 0
    severity = Severity(min(Severity.EMERGENCY, alert.base + steps))
    return alert if severity is alert.severity else replace(alert, severity=severity)


def _suffering(entries: Iterable[Entry], blamed: set[str]) -> dict[str, list[Entry]]:
    """By code, the entries without a problem of their own: a list, a condition or a whole file is at fault."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        code = _TELLING.get(entry.state)
        if code and str(entry.key) not in blamed:
            found.setdefault(code, []).append(entry)
    return found


def _add_summary(found: dict[Key, Alert], code: str, entries: list[Entry]) -> None:
    """One alert for many entries: an unreadable file with 10,000 rules is one thing to repair."""
    some = ", ".join(str(entry.key) for entry in entries[:3])
    text = f"{len(entries)} entries are {entries[0].state.value} ({some}, …)"
    told = problem(code, text, entries[0].place)
    _add(found, "entries", told, code in DEFERRING, len(entries))


def _add(found: dict[Key, Alert], subject: str, told: Problem, defers: bool, count: int = 1) -> None:
    key = (subject, told.code)
    severity = Severity.CRITICAL if told.code in CRITICAL else told.severity
    known = found.get(key)
    if known:
        severity = max(known.base, severity)
        found[key] = replace(known, count=known.count + count, severity=severity, base=severity)
        return
    cure = told.cure or CODES.get(told.code, ("", ""))[1]
    defers = defers or told.code in DEFERRING
    found[key] = Alert(subject, told.code, told.message, told.place, severity, 0.0, cure, count, 1, defers, severity)
