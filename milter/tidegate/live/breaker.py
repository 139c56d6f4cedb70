"""The breaker of each rule: opens when it fails over several senders' mail, tries again by itself, and remembers.

Promises: pure. A rule is tripped by failures over three senders within ten minutes, so that none of them can switch it
off for the others, or at once by who counts the dead (live/culprits.py). A tripped rule is on trial again after a
while; what fails it then trips it for twice as long; a trial without failure closes the breaker. A rule begins anew
once the text that was tripped is asked nowhere any more: while a repaired one is on trial, most senders still have the
old one. Refuses: clocks, and what a tripped rule does (its `on_error`, by a restraint).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

SENDERS = 3
"""Senders over whose mail a rule has to fail."""
AGAIN = 2
"""And while it is on trial."""
WITHIN = 600.0
"""Seconds in which they have to be seen."""
_MANY = 200  # senders that are remembered for a rule
_DAY = 86400.0


class Why(str, Enum):
    """What tripped it."""

    FAILURES = "failures"
    DEATHS = "deaths"


class Phase(str, Enum):
    """`OPEN`: the rule is not asked. `TRIAL`: it is, and the next failure opens it again. `CLOSED`: remembered."""

    OPEN = "open"
    TRIAL = "trial"
    CLOSED = "closed"


_OPEN_FOR = {Why.FAILURES: (60.0, 3600.0), Why.DEATHS: (600.0, _DAY)}
_TRIAL = {Why.FAILURES: 60.0, Why.DEATHS: 600.0}


@dataclass(frozen=True, slots=True)
class Trip:
    """One rule's breaker. Times are POSIX seconds; `digest` is of the rule's text that was tripped."""

    rule: str
    digest: str
    why: Why
    since: float
    phase: Phase = Phase.OPEN
    until: float = 0.0  # the end of this phase
    turns: int = 1  # times in a row

    @property
    def open(self) -> bool:
        return self.phase is Phase.OPEN


@dataclass(slots=True)
class Breakers:
    """All of them, and who failed which rule lately."""

    trips: dict[str, Trip] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)  # of the rules, as the newest generation has them
    _failures: dict[str, dict[int, float]] = field(default_factory=dict)  # rule: sender: when

    def tripped(self) -> tuple[Trip, ...]:
        """Those whose rule is not asked now."""
        return tuple(trip for trip in self.trips.values() if trip.open)

    def failed(self, rule: str, sender: int, now: float) -> bool:
        """The rule failed over this sender's mail; True if that tripped it."""
        trip = self.trips.get(rule)
        if (trip is not None and trip.open) or rule not in self.digests:
            return False
        seen = self._failures.setdefault(rule, {})
        if len(seen) < _MANY or sender in seen:
            seen[sender] = now
        lately = {one: at for one, at in seen.items() if now - at < WITHIN}
        self._failures[rule] = lately
        if len(lately) < (AGAIN if trip is not None and trip.phase is Phase.TRIAL else SENDERS):
            return False
        self._open(rule, Why.FAILURES, now)
        return True

    def on_trial(self, rule: str) -> bool:
        """Is it asked only to see whether it holds?"""
        trip = self.trips.get(rule)
        return trip is not None and trip.phase is Phase.TRIAL

    def killed(self, rule: str, now: float, digest: str = "") -> bool:
        """The rule is to blame for the deaths of workers; True if that is new.

        `digest`: of the text that did it; "": of the newest.
        """
        trip = self.trips.get(rule)
        if trip is not None and trip.open:
            return False
        self._open(rule, Why.DEATHS, now, digest)
        return True

    def _open(self, rule: str, why: Why, now: float, digest: str = "") -> None:
        before = self.trips.get(rule)
        turns = before.turns + 1 if before is not None else 1
        first, longest = _OPEN_FOR[why]
        until = now + min(longest, first * 2 ** min(turns - 1, 20))
        digest = digest or self.digests.get(rule, "")
        self.trips[rule] = Trip(rule, digest, why, now, Phase.OPEN, until, turns)
        self._failures.pop(rule, None)

    def tick(self, now: float) -> tuple[Trip, ...]:
        """The breakers that went on to another phase by themselves. A clock that was set back ends a phase too."""
        moved = []
        for trip in list(self.trips.values()):
            if trip.since <= now < trip.until:
                continue
            if trip.phase is Phase.CLOSED:
                del self.trips[trip.rule]
                continue
            if trip.open:
                after = replace(trip, phase=Phase.TRIAL, since=now, until=now + _TRIAL[trip.why])
            else:
                after = replace(trip, phase=Phase.CLOSED, since=now, until=now + _DAY)
            self.trips[trip.rule] = after
            moved.append(after)
        return tuple(moved)

    def revised(self, rules: Iterable[tuple[str, str]]) -> tuple[Trip, ...]:
        """These rules, each with the digest of its text, are asked somewhere now, the newest last.

        The breakers of texts that no message meets any more are forgotten, and returned.
        """
        used = tuple(rules)
        self.digests = dict(used)
        asked = frozenset(used)
        gone = [trip for trip in self.trips.values() if (trip.rule, trip.digest) not in asked]
        for trip in gone:
            del self.trips[trip.rule]
            self._failures.pop(trip.rule, None)
        return tuple(gone)


def trip_document(trip: Trip) -> dict[str, object]:
    """For JSON."""
    return {
        "rule": trip.rule,
        "digest": trip.digest,
        "why": trip.why.value,
        "since": trip.since,
        "phase": trip.phase.value,
        "until": trip.until,
        "turns": trip.turns,
    }


def trips_from(documents: Iterable[Mapping[str, object]]) -> dict[str, Trip]:
    """The inverse. Raises ValueError, KeyError or TypeError."""
    trips = [
        Trip(
            str(one["rule"]),
            str(one["digest"]),
            Why(one["why"]),
            float(str(one["since"])),
            Phase(one["phase"]),
            float(str(one["until"])),
            int(str(one["turns"])),
        )
        for one in documents
    ]
    return {trip.rule: trip for trip in trips}
