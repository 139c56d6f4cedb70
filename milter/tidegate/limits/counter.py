"""Counters by name, grants, and what an admin sees and does of them: the words that the stores and the commands share.

Promises: plain values; a name is read back from its text. Refuses: clocks and I/O.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tidegate.limits.charge import Charge
from tidegate.limits.window import Extra

_MODES = ("e", "s")  # enforced, in shadow


@dataclass(frozen=True, slots=True, order=True)
class Counter:
    """What is counted apart: one limit of one rule for one key, and once more while the rule is in shadow."""

    rule: str
    limit: str
    key: str
    shadow: bool = False

    def __str__(self) -> str:
        """`e:RULE:LIMIT:KEY`: rule ids and limit names hold no colon, keys may."""
        return f"{_MODES[self.shadow]}:{self.rule}:{self.limit}:{self.key}"


def name(charge: Charge) -> str:
    """The counter of a charge, as it is written in a store."""
    return f"{_MODES[charge.shadow]}:{charge.rule}:{charge.limit}:{charge.key}"


def parsed(text: str) -> Counter | None:
    """The inverse; None for what is no name of ours."""
    mode, _, rest = text.partition(":")
    rule, _, rest = rest.partition(":")
    limit, colon, key = rest.partition(":")
    return Counter(rule, limit, key, mode == "s") if mode in _MODES and colon and rule and key else None


def concerns(key: str, names: Collection[str]) -> bool:
    """Is a counter's key about one of these people? Parts are joined by `|`; `<> LOGIN` is a null sender's."""
    return any(part.removeprefix("<> ").lower() in names for part in key.split("|"))


@dataclass(frozen=True, slots=True)
class Grant:
    """So much more for one key until a time, who said so, and why. An empty `rule` or `limit` means all of them."""

    key: str
    amount: int
    until: float  # POSIX seconds, as is `at`
    at: float
    who: str
    reason: str
    rule: str = ""
    limit: str = ""

    def concerns(self, rule: str, limit: str) -> bool:
        """Does it count for this limit of its key?"""
        return self.rule in ("", rule) and self.limit in ("", limit)


def extras(grants: Iterable[Grant], charge: Charge) -> tuple[Extra, ...]:
    """What is granted for one charge, as the window sees it."""
    return tuple(
        Extra(one.amount, math.floor(one.until * 1000))
        for one in grants
        if one.key == charge.key and one.concerns(charge.rule, charge.limit)
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """One counter now. `maximum` and `per` are those of its last charge, the grants of this moment included."""

    counter: Counter
    used: int
    maximum: int
    per: float  # seconds
    granted: int = 0
    distinct: bool = False
    seen: float = 0.0  # POSIX seconds: the end of the granule of the last charge

    @property
    def share(self) -> float:
        """Of the maximum: 1.0 is full."""
        return self.used / self.maximum if self.maximum > 0 else math.inf


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which counters a command means; what is empty means all."""

    key: str = ""
    rule: str = ""
    limit: str = ""

    def __contains__(self, counter: Counter) -> bool:
        return self.key in ("", counter.key) and self.rule in ("", counter.rule) and self.limit in ("", counter.limit)


@dataclass(frozen=True, slots=True)
class Deed:
    """What a person did to counters, for the record."""

    at: float  # POSIX seconds
    who: str
    what: str  # grant, reset
    key: str
    rule: str
    limit: str
    reason: str
    amount: int = 0
    until: float = 0.0
