"""Who is told what, and when: each alert when it is raised, gets worse, has stood for long, and when it ends.

Promises: pure (POSIX seconds come in); computed from what stands and what was told, so it comes to the same after a
restart, and whatever could not be told yet is still due. More notifications than the storm limit allows are one
summary; critical ones are never hidden among lesser ones. Refuses: sending, texts (notice.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from tidegate.alerts.book import AGAIN, Alert
from tidegate.alerts.plan import AlertSettings
from tidegate.model import Severity

SUMMARIES = 60.0  # seconds between two summaries at least


class Event(str, Enum):
    """Why somebody is told."""

    RAISED = "raised"
    ESCALATED = "escalated"
    REPEATED = "repeated"
    RESOLVED = "resolved"
    SUMMARY = "summary"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Told:
    """What was last told of one alert that stands, as far as people know."""

    alert: Alert
    last: float
    repeats: int = 0
    number: int = 1  # notifications of this alert so far


@dataclass(frozen=True, slots=True)
class Memory:
    """What people know, by the alert's key, and when they were last told anything."""

    told: Mapping[str, Told] = field(default_factory=dict)
    recent: tuple[float, ...] = ()  # notifications within the storm window
    summary: float = 0.0  # the last one; 0: there was none


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to tell of one alert."""

    event: Event
    alert: Alert
    number: int


@dataclass(frozen=True, slots=True)
class Round:
    """What one look came to: single notifications, summaries of many, and what people know after them."""

    single: tuple[Item, ...]
    summaries: tuple[tuple[Item, ...], ...]
    memory: Memory
    waiting: bool  # something is due and has to wait for the next summary


def look(
    standing: Sequence[Alert],
    resting: Iterable[Alert],
    silenced: frozenset[str],
    memory: Memory,
    plan: AlertSettings,
    now: float,
) -> Round:
    """Everything that is due now."""
    recent = tuple(when for when in memory.recent if 0 <= now - when < plan.window)
    due = list(_due(standing, resting, silenced, memory, plan, now))
    grave = [item for item in due if item.alert.severity >= Severity.CRITICAL]
    lesser = [item for item in due if item.alert.severity < Severity.CRITICAL]
    single: list[Item] = []
    summaries: list[tuple[Item, ...]] = []
    quiet = not memory.summary or not 0 <= now - memory.summary < SUMMARIES
    if len(grave) <= plan.storm:
        single += grave
    elif quiet:
        summaries.append(tuple(grave))
    if len(lesser) <= plan.storm - len(recent):
        single += lesser
    elif quiet:
        summaries.append(tuple(lesser))
    emitted = [*single, *(item for items in summaries for item in items)]
    told = dict(memory.told)
    for item in emitted:
        _remember(told, item, now)
    # A critical one is told whatever came before, so it does not use up what the others may have.
    counted = len([item for item in single if item.alert.severity < Severity.CRITICAL]) + len(summaries)
    after = Memory(told, (*recent, *[now] * counted), now if summaries else memory.summary)
    return Round(tuple(single), tuple(summaries), after, len(emitted) < len(due))


def _due(
    standing: Sequence[Alert],
    resting: Iterable[Alert],
    silenced: frozenset[str],
    memory: Memory,
    plan: AlertSettings,
    now: float,
) -> Iterable[Item]:
    present = {alert.key: alert for alert in standing}
    for key, alert in present.items():
        if key in silenced:
            continue
        told = memory.told.get(key)
        if told is None:
            yield Item(Event.RAISED, alert, 1)
        elif alert.severity > told.alert.severity:
            yield Item(Event.ESCALATED, alert, told.number + 1)
        elif now >= told.last + plan.repeat[min(told.repeats, len(plan.repeat) - 1)]:
            yield Item(Event.REPEATED, alert, told.number + 1)
    ended = {alert.key: alert for alert in resting}
    for key, told in memory.told.items():
        if key not in present:
            gone = ended.get(key)
            # What comes and goes is told to be gone once it stays away.
            if gone is None or not gone.flapping or not 0 <= now - gone.ended < AGAIN:
                yield Item(Event.RESOLVED, gone or replace(told.alert, ended=now), told.number + 1)


def _remember(told: dict[str, Told], item: Item, now: float) -> None:
    key = item.alert.key
    if item.event is Event.RESOLVED:
        told.pop(key, None)
        return
    before = told.get(key)
    repeats = before.repeats + 1 if before and item.event is Event.REPEATED else 0
    told[key] = Told(item.alert, now, repeats, item.number)
