"""When is a generation proven? After a soak: long enough, with enough messages, and undisturbed all the while.

Promises: pure; whatever disturbs (a worker's death, a breaker that trips, a brake) begins the soak anew. List entries
are data, so an edit of a list goes on with the soak of the rules that ask it. Refuses: clocks, counting.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.model import Entry, EntryKind


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much a generation has to serve until it is proven."""

    seconds: float
    messages: int


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at the daemon while all workers have the generation.

    `messages` and `disturbances` only grow: verdicts that were given, and worker deaths and trips that there were.
    """

    rules: str  # which rules serve (rules_digest)
    messages: int
    disturbances: int
    eased: bool = False  # something is braked or tripped now


@dataclass(frozen=True, slots=True)
class Period:
    """How things stood when a generation began to serve undisturbed; `since` is of the clock that `follow` is given."""

    rules: str
    since: float
    messages: int
    disturbances: int


def follow(before: Period | None, seen: Seen, now: float) -> Period:
    """The period that goes on, or a new one."""
    calm = (
        before is not None and not seen.eased and (before.rules, before.disturbances) == (seen.rules, seen.disturbances)
    )
    return before if calm and before is not None else Period(seen.rules, now, seen.messages, seen.disturbances)


def proven(period: Period, seen: Seen, wanted: Wanted, now: float) -> bool:
    """Was it long enough, and with enough messages?"""
    long_enough = now - period.since >= wanted.seconds
    return long_enough and not seen.eased and seen.messages - period.messages >= wanted.messages


def rules_digest(entries: Iterable[Entry]) -> str:
    """What the rules say, whatever stands in the lists: the same as long as only data changes."""
    rows = sorted(
        f"{entry.key} {entry.digest} {entry.state.value}\n" for entry in entries if entry.key.kind is not EntryKind.LIST
    )
    return hashlib.sha256("".join(rows).encode("utf-8", "backslashreplace")).hexdigest()
