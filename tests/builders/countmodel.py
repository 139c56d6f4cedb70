"""What a store of counters has to answer, said as plainly as possible: every event is kept, nothing is ever purged.

Slow, and without a bucket but the time at which an event stops to count. The stores are compared with it, event by
event.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tidegate.limits.charge import Charge, Usage
from tidegate.limits.counter import Counter, Grant

REPEAT, REPEATS = 600_000, 3


@dataclass(slots=True)
class Event:
    """So much, and the end of its granule (milliseconds)."""

    ending: int
    cost: int


@dataclass(slots=True)
class CountModel:
    """Counts for a test, at times that the test gives (milliseconds)."""

    events: dict[Counter, list[Event]] = field(default_factory=dict)
    members: dict[Counter, dict[str, int]] = field(default_factory=dict)
    paid: dict[str, tuple[int, int]] = field(default_factory=dict)
    grants: list[Grant] = field(default_factory=list)

    def charge(self, charges: Sequence[Charge], retry_of: str, now: int, commit: bool) -> list[tuple[Usage, int]]:
        """Usage and the count after it, for each charge."""
        charges = [replace(one, cost=len(set(one.members))) if one.members else one for one in charges]
        paid = self.paid.get(retry_of) if retry_of else None
        if paid and (paid[0] <= now - REPEAT or paid[1] >= REPEATS):
            paid = None
        told = [self._usage(one, now, paid) for one in charges]
        if commit and paid:
            self.paid[retry_of] = paid[0], paid[1] + 1
        refused = any(one.stops and not one.shadow and usage.exceeded for one, usage in zip(charges, told, strict=True))
        silent = {
            one.rule for one, usage in zip(charges, told, strict=True) if one.stops and one.shadow and usage.exceeded
        }
        answers = []
        for one, usage in zip(charges, told, strict=True):
            charged = commit and not paid and not refused and not (one.shadow and one.rule in silent) and one.cost > 0
            if charged and retry_of:
                self.paid[retry_of] = now, 0
            answers.append((usage, self._add(one, now, usage) if charged else usage.used))
        return answers

    def _counter(self, charge: Charge) -> Counter:
        return Counter(charge.rule, charge.limit, charge.key, charge.shadow)

    def _steps(self, charge: Charge) -> tuple[int, int]:
        per = math.ceil(charge.per * 1000)
        return per, math.ceil(per / 60)

    def _allowed(self, charge: Charge, when: int) -> int:
        return charge.maximum + sum(
            one.amount
            for one in self.grants
            if one.key == charge.key
            and one.rule in ("", charge.rule)
            and one.limit in ("", charge.limit)
            and int(one.until * 1000) > when
        )

    def _usage(self, charge: Charge, now: int, paid: tuple[int, int] | None) -> Usage:
        per, step = self._steps(charge)
        last = (now // step + 1) * step
        counter = self._counter(charge)
        if charge.members:
            seen = {
                member: min(ending, last)
                for member, ending in self.members.get(counter, {}).items()
                if ending > now - per
            }
            others = [Event(ending, 1) for member, ending in seen.items() if member not in charge.members]
            used = len(seen)
        else:
            others = [
                Event(min(one.ending, last), one.cost) for one in self.events.get(counter, []) if one.ending > now - per
            ]
            if paid:
                self._take_out(others, charge.cost, min(paid[0], now), now, per, step)
            used = sum(one.cost for one in others)
        return self._judge(charge, others, used, now, per)

    def _take_out(self, others: list[Event], cost: int, when: int, now: int, per: int, step: int) -> None:
        if (when // step + 1) * step <= now - per:
            return
        ending = min((one.ending for one in others if one.ending > when), default=None)
        for one in others:
            if one.ending == ending:
                own = min(one.cost, cost)
                one.cost -= own
                cost -= own

    def _judge(self, charge: Charge, others: list[Event], used: int, now: int, per: int) -> Usage:
        def fits(when: int) -> bool:
            waiting = sum(one.cost for one in others if one.ending > when - per)
            return waiting + charge.cost <= self._allowed(charge, when)

        allowed = self._allowed(charge, now)
        if charge.cost <= 0 or fits(now):
            return Usage(used, allowed, 0.0, False)
        free = [when for when in sorted({one.ending + per for one in others}) if fits(when)]
        return Usage(used, allowed, (free[0] - now) / 1000 if free else math.inf, True)

    def _add(self, charge: Charge, now: int, usage: Usage) -> int:
        per, step = self._steps(charge)
        last = (now // step + 1) * step
        counter = self._counter(charge)
        if charge.members:
            seen = self.members.setdefault(counter, {})
            fresh = sum(seen.get(one, 0) <= now - per for one in set(charge.members))
            self.members[counter] = {member: min(ending, last) for member, ending in seen.items()} | dict.fromkeys(
                charge.members, last
            )
            return usage.used + fresh
        events = self.events.setdefault(counter, [])
        for one in events:
            one.ending = min(one.ending, last)
        events.append(Event(last, charge.cost))
        return usage.used + charge.cost
