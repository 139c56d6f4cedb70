"""The breaker before a store: while it is down nobody waits for it.

Promises: pure; the clock is an argument. Three failures in a row open it; after five seconds and a jitter it lets one
call try. Two threads that ask in the same instant may both be let through: harmless, so there is no lock. Refuses:
knowing what failed, and what to do without the store.
"""

from __future__ import annotations

from dataclasses import dataclass

FAILURES = 3
"""In a row, until it opens."""
PAUSE = 5.0
"""Seconds until the next try."""
JITTER = 1.0
"""Seconds added at most, so that the workers of a fleet don't try in step."""


@dataclass(slots=True)
class Breaker:
    """`allows`, then `succeeded` or `failed`, each time. Times are seconds of one clock."""

    failures: int = 0
    until: float = 0.0  # it is open to then

    @property
    def open(self) -> bool:
        """The store is not asked (but for a try now and then)."""
        return self.failures >= FAILURES

    def allows(self, now: float) -> bool:
        """Whether to ask the store. True while it is open is the one try: others wait for what comes of it."""
        if not self.open:
            return True
        # A clock that was set back must not keep it open for ever.
        if self.until - PAUSE - JITTER <= now < self.until:
            return False
        self.until = now + PAUSE
        return True

    def succeeded(self) -> bool:
        """It answered; True if that closed the breaker."""
        was = self.open
        self.failures, self.until = 0, 0.0
        return was

    def failed(self, now: float, jitter: float) -> bool:
        """It did not answer; `jitter` from 0 to 1. True if that opened the breaker (not: kept it open)."""
        was = self.open
        self.failures += 1
        if self.open:
            self.until = now + PAUSE + JITTER * jitter
        return self.open and not was
