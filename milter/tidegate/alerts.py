"""Problems over time: which alert stands, since when, and what changed.

Promises: pure and state-based. Each cycle compares what is wrong now with the book, never with the event that
brought it, so a repair, a delete and a byte-identical revert all clear an alert, and a thousand loads of the same
broken file raise one. Refuses: sending (channels), clocks (`now` is an argument), storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tidegate.model import Entry, EntryKey, EntryState, Place, Problem, Severity

Key = tuple[str, str]  # what it is about (entry or source), and the code

# The daemon's own problem codes: summary, cure. Those of the policy language are in policy/codes.py.
CONFIRM = "say that it is meant: tidegate confirm"

CODES: dict[str, tuple[str, str]] = {
    "settings-unreadable": ("the settings file can't be read", "make the file readable for the daemon's account"),
    "settings-syntax": ("the settings file is not valid YAML", "correct the line that is shown"),
    "settings-unknown-key": ("a setting that does not exist", "remove it, or correct its name"),
    "settings-duplicate-key": ("a setting stands twice", "keep one of them"),
    "settings-missing": ("a setting that has to be there is missing", "add it"),
    "settings-value": ("a setting has a value that can't be used", "write one of the forms that are named"),
    "settings-died": ("the reader of the settings died", "the file is hostile or damaged: restore it"),
    "settings-last-good": ("the last good settings run", "repair the settings, then restart"),
    "settings-changed": ("the settings on disk differ from those in force", "restart, or run --takeover"),
    "listen-failed": ("the milter socket can't be opened", "correct `listen`, or the folder's permissions"),
    "socket-lost": ("the milter socket is gone from its place", "restart the daemon; see who removes files there"),
    "successor-failed": (
        "a daemon that was to take over ended; this one serves on",
        "see what it wrote to standard error; then send USR2, or restart",
    ),
    "no-policy": ("there is no policy: all mail is accepted", "put a *.yaml file into the policy directory"),
    "no-generation": ("no policy could be loaded: all mail is deferred", "repair the policy directory"),
    "source-unreadable": ("a source can't be read; what it held before stays in force", "make it readable"),
    "source-empty": (
        "a source that held entries is empty; they stay in force",
        f"restore it, or {CONFIRM}",
    ),
    "source-truncated": (
        "a file lost its end mark `...`; what it held stays in force",
        f"save it again, or {CONFIRM}",
    ),
    "source-ignored": ("something in the policy directory is no regular file", "remove it, or rename it"),
    "mass-vanish": (
        "more than half of the entries are gone at once; they stay in force",
        f"restore them, or {CONFIRM}",
    ),
    "entry-stale": ("an entry serves as it last was", "repair or restore what is named"),
    "entry-skipped": ("an entry is not in force", "repair what is named"),
    "entry-deferring": ("the mail that an entry may concern is deferred", "repair what is named"),
    "entry-tripped": ("an entry has been eased", "see why it hit so much"),
    "loader-died": ("reading this killed the loader; it is left out", "simplify the entry that is named"),
    "loader-failed": ("the policies could not be loaded; the last generation stays", "see the log for the reason"),
    "record-corrupt": ("the record of accepted entries is damaged; it was set aside", "none: a new one is written"),
    "record-unwritable": ("the record of accepted entries can't be written", "free space in the state directory"),
    "worker-refused": ("a worker could not map the newest generation", "see the log; it is replaced"),
    "workers-dying": ("workers die again and again", "see the log, and report it with its last lines"),
    "log-unwritable": ("the log can't be written", "free space, or correct its permissions; then send USR1"),
    "clerk-dying": ("the clerk dies again and again: changes on disk are not seen", "send HUP after an edit"),
    "control-unavailable": ("the control socket can't be made: `status` can't ask", "correct the state directory"),
    "metrics-unavailable": ("the metrics address can't be opened", "choose a free address"),
}


def problem(
    code: str,
    message: str,
    place: Place,
    severity: Severity = Severity.ERROR,
    entry: EntryKey | None = None,
) -> Problem:
    """A problem of the daemon itself, with the cure that CODES has. Raises KeyError for a code that isn't there."""
    return Problem(code, message, place, severity, entry, CODES[code][1])


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
