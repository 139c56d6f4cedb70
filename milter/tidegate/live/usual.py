"""What is usual, and when a rule hits more than that: the automatic brake's decision.

Promises: pure but for the record; counts and clock are arguments. A rule that is new with its generation is measured
against the senders whom the generation lets pass, another one against its own past. What a person has said is meant
(`pardoned`) is not measured. Refuses: counting (observe/crowds.py), acting (supervisor/automatic.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from math import ceil
from pathlib import Path

from tidegate import records
from tidegate.live.recorded import ForeignError, recorded
from tidegate.model import Problem

NAME = "usual"
LEARNING = 3600.0  # seconds of history without which nothing is usual
PARDON = 86400.0  # seconds for which a rule may do what a person said is meant
_TIMES = 3  # what is usual, and beyond that it is a jump
_DECAY = 0.999  # in ten minutes: half in five days, so that a Monday is measured by other working days
_MOST = 4000  # senders, beyond which no rule is taken for usual by its share alone
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """The settings: how many senders are few, and which share of all senders (0 to 1) a rule may hit."""

    few: int
    share: float

    def every(self, seen: int) -> int:
        """How many senders a rule may hit where so many were seen in the last hour."""
        return min(max(self.few, ceil(self.share * seen)), _MOST)


@dataclass(frozen=True, slots=True)
class Trial:
    """How a generation's new rules do: senders whom they stopped, and whom the generation let pass."""

    stopped: int
    passed: int
    few: int
    every: int

    @property
    def jumps(self) -> bool:
        """Do they stop more than a few, and more than pass?"""
        return self.stopped > self.few and (self.stopped > self.passed or self.harmful)

    @property
    def harmful(self) -> bool:
        """Is it beyond doubt, so that the generation has to leave?"""
        return self.stopped > self.every and 4 * self.stopped > self.passed

    @property
    def over(self) -> bool:
        """Was it a bad beginning only? Most senders pass by now."""
        return 4 * self.stopped <= self.passed


@dataclass(frozen=True, slots=True)
class Usual:
    """What was usual until now: the most senders of each rule, slowly forgotten; "" are all rules together.

    `since`: when the history began. `fresh`: rules that are new and not yet proven; `blamed`: those for which a
    generation was taken back, new whenever they come again. Times are POSIX seconds.
    """

    since: float = 0.0
    levels: Mapping[str, float] = field(default_factory=dict)
    fresh: frozenset[str] = frozenset()
    blamed: frozenset[str] = frozenset()
    pardoned: Mapping[str, float] = field(default_factory=dict)  # until when

    def learned(self, now: float, hits: Mapping[str, int], rules: Iterable[str]) -> Usual:
        """After ten minutes more: `hits` are senders per rule. New rules teach nothing; gone ones are forgotten."""
        known = {"", *rules}
        levels = {rule: level * _DECAY for rule, level in self.levels.items() if rule in known and level >= 0.5}
        for rule, count in hits.items():
            if rule not in self.fresh and rule in known:
                levels[rule] = max(float(count), levels.get(rule, 0.0))
        pardoned = {rule: until for rule, until in self.pardoned.items() if now < until}
        since = self.since if 0 < self.since <= now else now
        return replace(self, since=since, levels=levels, pardoned=pardoned)

    def limit(self, rule: str, now: float) -> int:
        """Beyond how many senders it is a jump for this rule; 0: nobody knows yet, or it is meant."""
        if not self.since or now - self.since < LEARNING or self.meant(rule, now):
            return 0
        return max(2, ceil(_TIMES * self.levels.get(rule, 0.0)))

    def meant(self, rule: str, now: float) -> bool:
        """Has a person said so?"""
        return now < self.pardoned.get(rule, 0.0)

    def pardon(self, rules: Iterable[str], now: float) -> Usual:
        """A person says that what these rules do is meant."""
        meant = frozenset(rules)
        return replace(
            self, pardoned={**self.pardoned, **dict.fromkeys(meant, now + PARDON)}, blamed=self.blamed - meant
        )

    def proven(self) -> Usual:
        """What serves has passed its soak: nothing of it is new."""
        return replace(self, fresh=frozenset(), blamed=self.blamed - self.fresh)


def read_usual(state: str) -> tuple[Usual, tuple[Problem, ...]]:
    """The record of this state directory; without one there is no history."""
    return recorded(Path(state) / NAME, "the record of what is usual", _decode, Usual())


def write_usual(state: str, usual: Usual) -> bool:
    """Write the record where it changed; True if it did. Raises OSError."""
    values = {"format": _FORMAT, **asdict(usual), "fresh": sorted(usual.fresh), "blamed": sorted(usual.blamed)}
    return records.write(Path(state) / NAME, json.dumps(values).encode())


def _decode(body: bytes) -> Usual:
    values = json.loads(body)
    if values["format"] != _FORMAT:
        raise ForeignError(values["format"])
    return Usual(
        since=float(values["since"]),
        levels={str(rule): float(level) for rule, level in values["levels"].items()},
        fresh=frozenset(map(str, values["fresh"])),
        blamed=frozenset(map(str, values["blamed"])),
        pardoned={str(rule): float(until) for rule, until in values["pardoned"].items()},
    )
