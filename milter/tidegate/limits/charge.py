"""The words that cross between the engine, which knows what a message costs, and a store, which counts.

A counter is (shadow, rule, limit, key): editing a limit's `max` or `per` keeps it. While the store answers, no window
of length `per` ever holds more than `maximum` of what limits with `stops` let through (DESIGN section 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tidegate.model import Cause, OnStoreDown

__all__ = ["Charge", "Ledger", "OnStoreDown", "Usage"]


@dataclass(frozen=True, slots=True)
class Charge:
    """What one limit of one rule wants to add for this message."""

    rule: str
    limit: str
    key: str  # folded, never empty
    maximum: int
    per: float  # seconds
    cost: int  # messages: 1, recipients, bytes
    members: tuple[str, ...] = ()  # distinct: what is counted once in a window; cost is then len(members)
    stops: bool = True  # exceeded: the message does not go on, so nothing at all is charged
    shadow: bool = False  # its own counter; never keeps others from being charged
    on_store_down: OnStoreDown = OnStoreDown.LOCAL


@dataclass(frozen=True, slots=True)
class Usage:
    """What one counter says to one charge."""

    used: int  # in the window, before this message
    maximum: int  # with grants
    retry: float  # seconds until this cost fits; 0 where it fits; math.inf where it never does (cost > maximum)
    exceeded: bool
    cause: Cause | None = None  # it can't be known (store down, on_store_down: defer)
    local: bool = False  # told by the local count while the store is down


class Ledger(Protocol):
    """Who counts. A store's, or a test's own."""

    def charge(self, charges: tuple[Charge, ...], retry_of: str, now: float, commit: bool) -> tuple[Usage, ...]:
        """One round trip, one answer for each charge in their order; never raises. `now` in POSIX seconds.

        All are charged, with these exceptions. `commit` False: none is. One with `stops` that is not in shadow is
        exceeded: none is, those in shadow neither. One with `stops` that is in shadow is exceeded: those of the same
        rule are not, as if it were enforced; the others are. One without `stops` is charged beyond its maximum.

        `retry_of` is the identity of the message ("": it has none). One that was charged within the last 10 minutes is
        not charged again, and its own earlier charge is left out of `used`.
        """
