"""Mail that waits for us: how many messages were deferred by our own doing, and since when.

A deferral is no loss, but a debt with a clock: some senders give up after 24 hours, Postfix after five days. Pure:
counts and POSIX seconds come in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

QUIET = 900.0  # seconds without a new deferral after which the debt is paid: senders try again sooner
TELLING = 60.0  # seconds over which deferrals have to go on to be more than an accident


@dataclass(frozen=True, slots=True)
class Debt:
    """One run of deferrals. Times are POSIX seconds, 0: there is none."""

    messages: int = 0
    since: float = 0.0
    last: float = 0.0

    def grown(self, more: int, now: float) -> Debt:
        """After `more` deferrals since the last look."""
        if more > 0:
            return Debt(self.messages + more, self.since or now, now)
        if self.since and now - self.last > QUIET:
            return Debt()
        return self

    @property
    def lasting(self) -> bool:
        """Does it go on for long enough that somebody should know?"""
        return self.last - self.since >= TELLING

    def text(self, now: float) -> str:
        """For a person, "" where no mail waits."""
        if not self.messages:
            return ""
        several = "" if self.messages == 1 else "s"
        oldest = span(now - self.since)
        return f"{self.messages} deferral{several} by our own doing so far, the oldest {oldest} ago"

    def shifted(self, now: float) -> Debt:
        """As it counts on a clock that may have been set back since it was recorded."""
        return replace(self, since=min(self.since, now), last=min(self.last, now))


def span(seconds: float) -> str:
    """Roughly, as a person says it."""
    seconds = max(0.0, seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:.0f} s"
