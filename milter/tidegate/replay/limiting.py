"""The counters of limits, simulated over the messages of a replay, in the order in which they are read.

It counts as the stores do (limits/window.py), at the time of each message, and begins with nothing counted. Grants are
not known, and a message that a client handed in twice counts twice: what tells them apart is not kept.
Promises: one for each policy that is compared, so neither sees what the other lets through; memory is bounded: counters
whose windows have passed are dropped. Refuses: clocks and stores.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.limits import Charge, Usage
from tidegate.limits.window import Bucket, charged, counting, span, usage

_MOST = 100_000  # counters and members between two looks for those that have passed


class _Counter(NamedTuple):
    """Which counter a charge is about."""

    shadow: bool
    rule: str
    limit: str
    key: str


@dataclass(slots=True)
class _Counted:
    """What one counter holds: what was charged by the end of its bucket, or for each member the bucket it was last in.

    `passed` is when (milliseconds) all of it has passed, `per` the longest window in which it was charged.
    """

    buckets: dict[int, int] = field(default_factory=dict)
    members: dict[str, int] = field(default_factory=dict)
    passed: int = 0
    per: int = 0


class Simulated:
    """A Ledger (limits/charge.py) in memory."""

    def __init__(self) -> None:
        self._counters: dict[_Counter, _Counted] = {}
        self._grown = 0

    def charge(self, charges: tuple[Charge, ...], retry_of: str, now: float, commit: bool) -> tuple[Usage, ...]:
        """The answers, at the message's own time; what is let through is counted."""
        moment = int(now * 1000)
        usages = tuple([self._usage(one, moment) for one in charges])
        if commit:
            for one, pays in zip(charges, charged(charges, usages), strict=True):
                if pays:
                    self._add(one, moment)
        return usages

    def _usage(self, charge: Charge, now: int) -> Usage:
        held = self._counters.get(_of(charge))
        if held is None:
            return usage(charge, (), 0, (), now)
        window = span(charge.per)
        if not charge.members:
            rows: Iterable[Bucket] = (Bucket(ending, used) for ending, used in held.buckets.items())
            return usage(charge, counting(rows, now, window.per), 0, (), now)
        mine = set(charge.members)
        others: dict[int, int] = {}
        known = 0
        for member, ending in held.members.items():
            if ending <= now - window.per:
                continue
            if member in mine:
                known += 1
            else:
                others[ending] = others.get(ending, 0) + 1
        return usage(charge, counting((Bucket(*row) for row in others.items()), now, window.per), known, (), now)

    def _add(self, charge: Charge, now: int) -> None:
        window = span(charge.per)
        ending = window.ending(now)
        held = self._counters.setdefault(_of(charge), _Counted())
        held.passed = max(held.passed, ending + window.per)
        held.per = max(held.per, window.per)
        if charge.members:
            held.members.update(dict.fromkeys(charge.members, ending))
        else:
            held.buckets[ending] = held.buckets.get(ending, 0) + charge.cost
        self._grown += 1 + len(charge.members)
        if self._grown > _MOST:
            self._forget(now)

    def _forget(self, now: int) -> None:
        """Drop what has passed."""
        self._grown = 0
        self._counters = {key: held for key, held in self._counters.items() if held.passed > now}
        for held in self._counters.values():
            oldest = now - held.per
            held.buckets = {ending: used for ending, used in held.buckets.items() if ending > oldest}
            held.members = {member: ending for member, ending in held.members.items() if ending > oldest}


def _of(charge: Charge) -> _Counter:
    return _Counter(charge.shadow, charge.rule, charge.limit, charge.key)
