"""One notification: its id, its text, and its document, which every channel but Alertmanager gets.

Promises: the id is the same where the same thing is told again after a crash, so a receiver can tell doubles apart.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.alerts.debt import Debt, span
from tidegate.alerts.record import document
from tidegate.alerts.schedule import Event, Item
from tidegate.model import Severity

VERSION = 1
_SHOWN = 20  # alerts that a summary names


@dataclass(frozen=True, slots=True)
class Notice:
    """What a channel delivers. `values` is JSON's."""

    id: str
    severity: Severity
    values: dict[str, Any]


def single(item: Item, host: str, debt: Debt, now: float) -> Notice:
    """One alert."""
    alert = item.alert
    identity = f"{alert.key}-{int(alert.since)}-{alert.times}-{item.number}"
    values = {
        **_head(identity, item.event, host, now),
        "status": "resolved" if item.event is Event.RESOLVED else "firing",
        "text": f"{alert.severity.name} {_said(item, now)}",
        **document(alert),
        "number": item.number,
    }
    if alert.defers and debt.messages:
        values["deferred"] = {"messages": debt.messages, "oldest": debt.since, "text": debt.text(now)}
        values["text"] += f"; {debt.text(now)}"
    return Notice(identity, alert.severity, values)


def summary(items: Sequence[Item], host: str, now: float) -> Notice:
    """Many alerts at once: how many of what, and the first of them."""
    parts = [f"{item.alert.key}-{int(item.alert.since)}-{item.alert.times}-{item.number}" for item in items]
    identity = f"summary-{hashlib.sha256(' '.join(sorted(parts)).encode()).hexdigest()[:16]}"
    events = Counter(item.event.value for item in items)
    codes = Counter(item.alert.code for item in items)
    firing = [item for item in items if item.event is not Event.RESOLVED]
    severity = max(item.alert.severity for item in items)
    counts = ", ".join(f"{count:,} {event}" for event, count in events.most_common())
    kinds = ", ".join(f"{count:,} {code}" for code, count in codes.most_common(3))
    values = {
        **_head(identity, Event.SUMMARY, host, now),
        "status": "firing" if firing else "resolved",
        "severity": severity.name.lower(),
        "text": f"{severity.name} {len(items):,} alerts at once: {counts} ({kinds}); see `tidegate alerts`",
        "count": len(items),
        "events": dict(events),
        "codes": dict(codes.most_common(_SHOWN)),
        "alerts": [{"event": item.event.value, **document(item.alert)} for item in list(items)[:_SHOWN]],
    }
    return Notice(identity, severity, values)


def trial(number: int, host: str, now: float) -> Notice:
    """A notification that says nothing but that it arrives."""
    values = {
        **_head(f"test-{number}", Event.TEST, host, now),
        "status": "test",
        "severity": "warning",
        "text": f"a test notification of Tidegate on {host}: nothing is wrong",
    }
    return Notice(f"test-{number}", Severity.WARNING, values)


def _head(identity: str, event: Event, host: str, now: float) -> dict[str, Any]:
    return {"version": VERSION, "id": identity, "event": event.value, "host": host, "time": now, "at": stamp(now)}


def _said(item: Item, now: float) -> str:
    """The alert in one line."""
    alert = item.alert
    age = span((alert.ended or now) - alert.since)
    words = {
        Event.RAISED: "",
        Event.ESCALATED: f", for {age} by now",
        Event.REPEATED: f", still, for {age}",
        Event.RESOLVED: f", resolved after {age}",
    }
    flapping = f", flapping: raised {alert.times} times" if alert.flapping else ""
    more = f" (and {alert.count - 1} more)" if alert.count > 1 else ""
    about = "" if alert.subject in (alert.place.source, "entries") else f"{alert.subject}: "
    return f"{alert.place}: {about}{alert.message}{more} [{alert.code}]{words.get(item.event, '')}{flapping}"


def stamp(when: float) -> str:
    """RFC 3339, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
