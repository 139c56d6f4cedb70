"""How much change a comparison may show: the gate of `tidegate replay`, `policy put`, `promote` and `apply`.

Promises: no data is no pass. Exit codes as the commands have them: 0 within, 1 beyond, 2 it could not be told.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.replay.compare import Comparison

PASS, BEYOND, UNTOLD = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Decision:
    """`code` is the exit code, `reason` one sentence for a person."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Gate:
    """Shares from 0 to 1: of the judged messages those whose verdict may change; of all messages those that have to be
    judged, so that what is seen says something of the others."""

    max_change: float = 0.01
    min_judged: float = 0.5

    def decide(self, found: Comparison, lost: int) -> Decision:
        """`lost`: blocks or files that could not be read."""
        if not found.messages:
            return Decision(UNTOLD, "there is no message that could be replayed: no data is no pass")
        if lost:
            return Decision(UNTOLD, f"{lost} parts of what was kept can't be read: nobody knows what they would show")
        if found.known < self.min_judged or not found.judged:
            known, least = percent(found.known), percent(self.min_judged)
            return Decision(UNTOLD, f"only {known} of the messages can be replayed, and {least} have to be")
        share, most = percent(found.share), percent(self.max_change)
        if found.share > self.max_change:
            return Decision(BEYOND, f"{share} of the verdicts change, and {most} may")
        return Decision(PASS, f"{share} of the verdicts change, and {most} may")


def percent(share: float) -> str:
    """A share as a person reads it; what is not 0 never looks like it."""
    value = share * 100
    if 0 < value < 0.01:
        return "less than 0.01 %"
    return f"{value:.2f}".rstrip("0").rstrip(".") + " %"
