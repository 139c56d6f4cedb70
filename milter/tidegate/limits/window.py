"""The sliding window: exactly, as the specification, and in buckets, as the stores keep it.

Times are whole milliseconds since the epoch. A bucket is named by its end, an absolute time that its granularity
divides, and counts until all of it is older than the window. So what a window of buckets lets through, an exact one
lets through too: never more than `maximum` in any window of length `per`. What it refuses is at most one granule early.

Buckets of several granularities may lie side by side: an edited `per`, and two generations that count the same mail.
A bucket that ends in the future was made before the clock was set back. All that is in it happened before now, so it is
counted into the bucket of now: it counts for another window at most, and never too little.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.limits.charge import Charge, Usage

PARTS = 60
"""Granules of one window."""
REPEAT = 600_000
"""Milliseconds for which a message that was charged is known again."""
REPEATS = 3
"""How many times it may come again unpaid. A client that lost a reply tries once or twice in that time (Postfix after
five minutes, minimal_backoff_time). More is no use to it, and a gift to who sends other content under one Message-ID:
identity.py sees no body that no rule reads, and no header but those that a client writes once."""


class Bucket(NamedTuple):
    """What was charged in one granule."""

    ending: int
    used: int


class Extra(NamedTuple):
    """A grant as the window sees it: so much more, until then."""

    amount: int
    until: int


@dataclass(frozen=True, slots=True)
class Span:
    """A window's length and granularity."""

    per: int
    step: int

    def ending(self, now: int) -> int:
        """The end of the bucket into which `now` falls."""
        return (now // self.step + 1) * self.step


def span(per: float) -> Span:
    """Of a window of so many seconds."""
    length = max(1, math.ceil(per * 1000))
    return Span(length, -(-length // PARTS))


def counting(buckets: Iterable[Bucket], now: int, per: int) -> list[Bucket]:
    """Those that count at `now`, oldest first."""
    return sorted(one for one in buckets if one.ending > now - per)


def settled(buckets: Iterable[Bucket], now: int, window: Span) -> list[Bucket]:
    """The same content without a bucket of the future, oldest first."""
    last = window.ending(now)
    merged: dict[int, int] = {}
    for one in buckets:
        ending = min(one.ending, last)
        merged[ending] = merged.get(ending, 0) + one.used
    return sorted(Bucket(ending, used) for ending, used in merged.items())


def without(buckets: Sequence[Bucket], charged: int, cost: int, now: int, window: Span) -> list[Bucket]:
    """What others charged: `cost` taken out of the bucket in which the time `charged` lies, if that still counts.

    The bucket is the first that ends after it: its granularity may have been another one.
    """
    when = min(charged, now)
    if window.ending(when) <= now - window.per:
        return list(buckets)
    place = next((place for place, one in enumerate(buckets) if one.ending > when), None)
    return [
        Bucket(one.ending, max(0, one.used - cost)) if number == place else one for number, one in enumerate(buckets)
    ]


def allowance(maximum: int, extras: Iterable[Extra], now: int) -> int:
    """The maximum with what is granted at `now`."""
    return maximum + sum(one.amount for one in extras if one.until > now)


def usage(
    charge: Charge, others: Sequence[Bucket], known: int, extras: Sequence[Extra], now: int, local: bool = False
) -> Usage:
    """What a counter says: `others` are its buckets that count, oldest first, without this message's own share.

    `known`: how many of the charge's members are in the window already.
    """
    waiting = sum(one.used for one in others)
    allowed = allowance(charge.maximum, extras, now)
    if charge.cost <= 0 or waiting + charge.cost <= allowed:
        return Usage(waiting + known, allowed, 0.0, False, local=local)
    return Usage(waiting + known, allowed, _wait(charge, others, waiting, extras, now), True, local=local)


def _wait(charge: Charge, others: Sequence[Bucket], waiting: int, extras: Sequence[Extra], now: int) -> float:
    """Seconds until the cost fits, if nothing else is charged meanwhile. It can fit only where a bucket leaves."""
    per = span(charge.per).per
    for one in others:
        waiting -= one.used
        at = one.ending + per
        if waiting + charge.cost <= allowance(charge.maximum, extras, at):
            return (at - now) / 1000
    return math.inf


def charged(charges: Sequence[Charge], usages: Sequence[Usage]) -> tuple[bool, ...]:
    """Which of them are charged (limits/charge.py, Ledger says the rules)."""
    over = [one for one, told in zip(charges, usages, strict=True) if one.stops and told.exceeded]
    if any(not one.shadow for one in over):
        return (False,) * len(charges)
    silent = {one.rule for one in over}
    return tuple(not (one.shadow and one.rule in silent) for one in charges)


@dataclass(slots=True)
class ExactWindow:
    """The specification: each event counts from its time for `per` seconds, and not a moment longer."""

    per: float
    events: deque[tuple[float, int]] = field(default_factory=deque)

    def used(self, now: float) -> int:
        """What counts at `now`."""
        return sum(cost for when, cost in self.events if when > now - self.per)

    def fits(self, now: float, cost: int, maximum: int) -> bool:
        """Would so much more be within the maximum?"""
        return self.used(now) + cost <= maximum

    def add(self, now: float, cost: int) -> None:
        """It was let through."""
        self.events.append((now, cost))

    def highest(self) -> int:
        """The most that any closed window of that length ever held."""
        events = sorted(self.events)
        most = current = first = 0
        for when, cost in events:
            current += cost
            while events[first][0] < when - self.per:
                current -= events[first][1]
                first += 1
            most = max(most, current)
        return most


@dataclass(slots=True)
class ExactDistinct:
    """The same for members: each counts from the last time it was seen."""

    per: float
    seen: dict[str, float] = field(default_factory=dict)

    def used(self, now: float) -> int:
        """How many count at `now`."""
        return sum(when > now - self.per for when in self.seen.values())

    def fits(self, now: float, members: Iterable[str], maximum: int) -> bool:
        """Would these be within the maximum?"""
        fresh = sum(self.seen.get(one, -math.inf) <= now - self.per for one in set(members))
        return self.used(now) + fresh <= maximum

    def add(self, now: float, members: Iterable[str]) -> None:
        """They were let through."""
        self.seen.update(dict.fromkeys(members, now))
