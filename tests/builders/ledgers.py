"""Counts in memory for the tests of who asks: exact, event by event, as the interface says (limits/charge.py)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from tidegate.limits import Charge, Usage
from tidegate.model import Cause, Doubt

Counter = tuple[bool, str, str, str]
RETRY = 600.0
DOWN = Cause(Doubt.PASSING, "the store is down")
_NOTHING: Mapping[Counter, int] = MappingProxyType({})


def counter_of(charge: Charge) -> Counter:
    """What a charge is about."""
    return charge.shadow, charge.rule, charge.limit, charge.key


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it came."""

    charges: tuple[Charge, ...]
    retry_of: str
    commit: bool


@dataclass
class ExactLedger:
    """A Ledger. `down` names limits that can't be asked, `fails` is raised instead of an answer."""

    events: dict[Counter, list[tuple[float, str, int]]] = field(default_factory=dict)  # (when, member or message, cost)
    down: frozenset[tuple[str, str]] = frozenset()
    fails: Exception | None = None
    calls: list[Call] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)  # messages that were charged, and when

    def use(self, rule: str, limit: str, key: str, amount: int, now: float, shadow: bool = False) -> None:
        """So much was used before."""
        self.events.setdefault((shadow, rule, limit, key), []).append((now, f"before {len(self.events)}", amount))

    def used(self, rule: str, limit: str, key: str, shadow: bool = False) -> int:
        """All that was ever charged to this counter."""
        return sum(cost for _, _, cost in self.events.get((shadow, rule, limit, key), ()))

    def charge(self, charges: tuple[Charge, ...], retry_of: str, now: float, commit: bool) -> tuple[Usage, ...]:
        """As Ledger.charge."""
        self.calls.append(Call(charges, retry_of, commit))
        if self.fails is not None:
            raise self.fails
        again = bool(retry_of) and now - self.seen.get(retry_of, -math.inf) < RETRY
        answers = tuple(self._answer(one, retry_of if again else "", now) for one in charges)
        exceeded = [charge for charge, usage in zip(charges, answers, strict=True) if usage.exceeded and charge.stops]
        if not commit or again or any(not one.shadow for one in exceeded):
            return answers
        stopped = {one.rule for one in exceeded}
        for one, usage in zip(charges, answers, strict=True):
            if usage.cause is None and not (one.shadow and one.rule in stopped):
                self._add(one, retry_of or f"message {len(self.calls)}", now)
        if retry_of:
            self.seen[retry_of] = now
        return answers

    def _answer(self, charge: Charge, retry_of: str, now: float) -> Usage:
        if (charge.rule, charge.limit) in self.down:
            return Usage(0, charge.maximum, 0.0, False, DOWN)
        live = [one for one in self.events.get(counter_of(charge), ()) if one[0] > now - charge.per]
        live = [one for one in live if not retry_of or one[1] != retry_of]
        if charge.members:
            known = {member for _, member, _ in live}
            used, cost = len(known), len(set(charge.members) - known)
        else:
            used, cost = sum(amount for _, _, amount in live), charge.cost
        exceeded = used + cost > charge.maximum
        retry = math.inf if cost > charge.maximum else charge.per if exceeded else 0.0
        return Usage(used, charge.maximum, retry, exceeded)

    def _add(self, charge: Charge, message: str, now: float) -> None:
        rows = self.events.setdefault(counter_of(charge), [])
        if charge.members:
            known = {member for when, member, _ in rows if when > now - charge.per}
            rows += [(now, member, 1) for member in charge.members if member not in known]
        else:
            rows.append((now, message, charge.cost))
