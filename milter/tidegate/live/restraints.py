"""Who eased which rule, how far, why and until when; and the record of it, so that a restart changes nothing.

Promises: pure but for `read_holds` and `write_holds`; a hold ends by itself; two reasons for one rule stand side by
side, and what they come to is one Restraint. Refuses: clocks, deciding when to ease (the brake, the breaker, people).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

from tidegate import records
from tidegate.model import NO_RESTRAINT, Easing, Entry, EntryKind, EntryState, Restraint, together

NAME = "restraints"
_FORMAT = 1


class By(str, Enum):
    """Whose doing it is."""

    HAND = "hand"  # `tidegate brake`
    FILE = "file"  # the file in the state directory
    AUTOMATIC = "automatic"  # the automatic brake
    EXPECT = "expect"  # the rule hit more than its `expect`
    BREAKER = "breaker"  # it failed again and again


@dataclass(frozen=True, slots=True)
class Hold:
    """One reason to ease one rule; `rule` "" is all of them. Times are POSIX seconds; `until` is exclusive."""

    rule: str
    easing: Easing
    by: By
    reason: str = ""
    since: float = 0.0
    until: float = math.inf

    @property
    def key(self) -> tuple[str, By]:
        """A rule has one hold of each kind."""
        return self.rule, self.by

    def document(self) -> dict[str, Any]:
        """For JSON; an `until` of None has no end of its own."""
        return {
            "rule": self.rule,
            "easing": self.easing.value,
            "by": self.by.value,
            "reason": self.reason,
            "since": self.since,
            "until": None if math.isinf(self.until) else self.until,
        }


@dataclass(frozen=True, slots=True)
class Holds:
    """All holds that stand; a value: every change makes a new one."""

    all: Mapping[tuple[str, By], Hold] = field(default_factory=dict)

    def plus(self, holds: Iterable[Hold]) -> Holds:
        """With these; one for the same rule of the same kind gives way."""
        return Holds({**self.all, **{one.key: one for one in holds}})

    def minus(self, holds: Iterable[Hold]) -> Holds:
        """Without these."""
        gone = {one.key for one in holds}
        return Holds({key: one for key, one in self.all.items() if key not in gone})

    def at(self, now: float) -> Holds:
        """Without those that have ended; the same value where none has."""
        if all(now < one.until for one in self.all.values()):
            return self
        return Holds({key: one for key, one in self.all.items() if now < one.until})

    def of(self, *kinds: By) -> tuple[Hold, ...]:
        """Those of these kinds."""
        return tuple(one for one in self.all.values() if one.by in kinds)

    def document(self) -> dict[str, Any]:
        """For the status."""
        found = self.restraint()
        return {
            "everything": found.everything.value if found.everything else None,
            "rules": len(found.rules),
            "holds": [one.document() for one in self.all.values()],
        }

    def restraint(self) -> Restraint:
        """What they come to."""
        if not self.all:
            return NO_RESTRAINT
        easings: dict[str, list[Easing]] = {}
        for one in self.all.values():
            easings.setdefault(one.rule, []).append(one.easing)
        joined = {rule: easing for rule, found in easings.items() if (easing := together(found)) is not None}
        poison = frozenset(one.rule for one in self.all.values() if one.by is By.BREAKER)
        return Restraint({rule: easing for rule, easing in joined.items() if rule}, joined.get(""), poison)


NO_HOLDS = Holds()
TRIPPING = (By.BREAKER, By.EXPECT, By.AUTOMATIC)


def tripped(entries: tuple[Entry, ...], holds: Holds) -> tuple[Entry, ...]:
    """The entries of a generation as they are now: TRIPPED where something other than a person eased the rule."""
    found = {one.rule: one for one in holds.of(*TRIPPING) if one.rule}
    if not found:
        return entries
    return tuple(
        replace(entry, state=EntryState.TRIPPED, reason=f"{hold.easing.value}: {hold.reason}")
        if entry.key.kind is EntryKind.RULE and (hold := found.get(entry.key.id)) is not None
        else entry
        for entry in entries
    )


def encode(restraint: Restraint) -> bytes:
    """For a worker."""
    every = restraint.everything.value if restraint.everything else None
    rules = {rule: easing.value for rule, easing in restraint.rules.items()}
    return json.dumps([every, rules, sorted(restraint.poison)]).encode()


def decode(data: bytes) -> Restraint:
    """What a worker was sent. Raises ValueError for anything else."""
    every, rules, poison = json.loads(data)
    easings = {rule: Easing(easing) for rule, easing in rules.items()}
    found = Restraint(easings, Easing(every) if every else None, frozenset(map(str, poison)))
    return found or NO_RESTRAINT


def write_holds(state: str, holds: Holds) -> bool:
    """Write the record where it changed; True if it did. Raises OSError."""
    body = {"format": _FORMAT, "holds": [one.document() for one in holds.all.values()]}
    return records.write(Path(state) / NAME, json.dumps(body).encode())


def read_holds(state: str) -> tuple[Holds, str]:
    """The record, and what is wrong with it: a damaged one is set aside, and holds nothing."""
    path = Path(state) / NAME
    try:
        body = json.loads(records.read(path))
        if body["format"] != _FORMAT:
            raise ValueError(f"it has the format {body['format']}")
        return Holds({one.key: one for one in map(_hold, body["holds"])}), ""
    except FileNotFoundError:
        return NO_HOLDS, ""
    except OSError as error:
        return NO_HOLDS, f"{NAME} can't be read: {error.strerror}"
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        try:
            records.set_aside(path)
        except OSError as stuck:
            return NO_HOLDS, f"{NAME} is damaged ({error}), and can't be set aside: {stuck.strerror}"
        return NO_HOLDS, f"{NAME} is damaged: {error}"


def _hold(found: Mapping[str, Any]) -> Hold:
    until = found["until"]
    return Hold(
        rule=str(found["rule"]),
        easing=Easing(found["easing"]),
        by=By(found["by"]),
        reason=str(found["reason"]),
        since=float(found["since"]),
        until=math.inf if until is None else float(until),
    )
