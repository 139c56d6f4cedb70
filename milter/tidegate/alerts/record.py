"""Alerts as JSON, and the record by which a restart knows what stood and who was told.

Promises: the record is whole or not there (records.py); a damaged one is set aside and counts as none, which costs
repeated notifications and nothing else. The clerk writes it, off the mail path; the supervisor reads it once, at start.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tidegate import records
from tidegate.alerts.book import Alert, Book
from tidegate.alerts.debt import Debt
from tidegate.model import Place, Severity

NAME = "alerts"


def document(alert: Alert) -> dict[str, Any]:
    """One alert, as status, notifications and the record have it."""
    return {
        "key": alert.key,
        "subject": alert.subject,
        "code": alert.code,
        "message": alert.message,
        "place": str(alert.place),
        "source": alert.place.source,
        "line": alert.place.line,
        "column": alert.place.column,
        "severity": alert.severity.name.lower(),
        "since": alert.since,
        "cure": alert.cure,
        "count": alert.count,
        "times": alert.times,
        "flapping": alert.flapping,
        "defers": alert.defers,
        "base": alert.base.name.lower(),
        "ended": alert.ended,
    }


def from_document(values: Mapping[str, Any]) -> Alert:
    """The inverse. Raises KeyError, TypeError or ValueError."""
    return Alert(
        str(values["subject"]),
        str(values["code"]),
        str(values["message"]),
        Place(str(values["source"]), int(values["line"]), int(values["column"])),
        Severity[str(values["severity"]).upper()],
        float(values["since"]),
        str(values["cure"]),
        int(values["count"]),
        int(values["times"]),
        bool(values["defers"]),
        Severity[str(values["base"]).upper()],
        float(values["ended"]),
    )


@dataclass(frozen=True, slots=True)
class State:
    """What the supervisor knows about alerts, as it goes to the clerk and into the record."""

    book: Book = field(default_factory=dict)
    resting: Book = field(default_factory=dict)
    debt: Debt = field(default_factory=Debt)

    def values(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "alerts": [document(alert) for alert in self.book.values()],
            "resting": [document(alert) for alert in self.resting.values()],
            "debt": asdict(self.debt),
        }


def state_from(values: Mapping[str, Any]) -> State:
    """The inverse of State.values. Raises KeyError, TypeError or ValueError."""
    book, resting = (
        {(alert.subject, alert.code): alert for alert in map(from_document, values[name])}
        for name in ("alerts", "resting")
    )
    debt = values["debt"]
    return State(book, resting, Debt(int(debt["messages"]), float(debt["since"]), float(debt["last"])))


def write(state: str | os.PathLike[str], values: Mapping[str, Any]) -> None:
    """Put the record in place. Raises OSError."""
    records.write(Path(state) / NAME, json.dumps(values).encode("ascii", "backslashreplace"))


def read(state: str | os.PathLike[str]) -> dict[str, Any]:
    """What was recorded; {} where there is none, or a damaged one."""
    path = Path(state) / NAME
    try:
        values = json.loads(records.read(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        _set_aside(path)
        return {}
    return values if isinstance(values, dict) else {}


def recall(state: str | os.PathLike[str], now: float) -> State:
    """The alerts of the daemon before. What began in the future began now: the clock was set back."""
    try:
        found = state_from(read(state))
    except (KeyError, TypeError, ValueError):
        return State()
    return State(_until(found.book, now), _until(found.resting, now), found.debt.shifted(now))


def _until(book: Book, now: float) -> Book:
    return {
        key: replace(alert, since=now) if alert.since > now else alert
        for key, alert in book.items()
        if alert.ended <= now
    }


def _set_aside(path: Path) -> None:
    try:
        records.set_aside(path)
    except OSError:
        return  # it can't even be renamed: the next write says why
