"""Is a generation fit to go on from its share of senders to all of them? Pure: counts in, a decision out.

Promises: harm is told by *distinct senders*, never by messages alone; our own faults are no harm of the policy, but
more of them than beside it are a reason to stop as well; what hits both sides alike (an outbreak, a store that is down)
is no reason. No data is no pass: without enough of it the generation waits, and goes on in the end as unproven.
Refuses: clocks, counting, doing it.

Theory: the senders of both sides are one population, divided by a hash. Had the canary no effect, the senders that were
stopped would be spread over both sides as over a draw without replacement, so the chance that so many or more of them
fall on its side is a tail of the hypergeometric distribution (Fisher's exact test). It is looked at again and again
while the counts grow, so the chance at which one acts is small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from tidegate.observe.sides import Count, Outcome, Side

CHANCE = 1e-4  # below this, more stopped senders on one side are no accident
CHANCE_ALL = 1e-2  # the same, where the canary stops everybody that it meets
FEW = 3  # stopped senders below which nothing is concluded from their number
ALL_FEW = 2  # the same, where the canary stops everybody
ALL_MESSAGES = 10  # which it must have stopped then
DEATHS = 3  # of workers, during one canary
SLOWER = 4.0  # times as slow
SLOWER_BY = 0.1  # and so many seconds a message
TIMED = 20  # messages of each side that make a mean

_SAID = {
    Outcome.DISCARDED: "discarded",
    Outcome.REFUSED: "refused",
    Outcome.STOPPED: "stopped",
    Outcome.FAULT: "answered by a fault of our own",
}


class Step(str, Enum):
    """What to do with a canary."""

    WAIT = "waiting"
    PROMOTE = "promoted"
    UNPROVEN = "unproven"  # promoted without enough data
    ABANDON = "abandoned"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a canary has to see. `seconds` and `messages` both, but never more than `longest` seconds."""

    seconds: float
    messages: int
    longest: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What it has seen: both sides, seconds since its begin, workers that died meanwhile."""

    old: Side
    new: Side
    age: float
    deaths: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What to do, and why; `outcome`: in what the harm lies."""

    step: Step
    reason: str = ""
    outcome: Outcome | None = None


def decide(seen: Seen, wanted: Wanted) -> Judgement:
    """The next step of a canary."""
    if seen.deaths >= DEATHS:
        return Judgement(Step.ABANDON, f"{seen.deaths} workers died meanwhile", Outcome.FAULT)
    for outcome in _SAID:
        if _harmful(seen, outcome):
            return Judgement(Step.ABANDON, _told(seen, outcome), outcome)
    slow = _slower(seen)
    if slow:
        return Judgement(Step.ABANDON, slow)
    enough = min(side.of(Outcome.JUDGED).messages for side in (seen.old, seen.new)) >= wanted.messages
    if seen.age >= wanted.seconds and enough and not any(_suspect(seen, outcome) for outcome in _SAID):
        return Judgement(Step.PROMOTE)
    if seen.age >= wanted.longest:
        judged = seen.new.of(Outcome.JUDGED).messages
        why = "all that it met were stopped" if enough else f"it saw {judged} messages"
        return Judgement(Step.UNPROVEN, f"{why} in {seen.age:.0f} s")
    return Judgement(Step.WAIT)


def _stopped(seen: Seen, outcome: Outcome) -> tuple[Count, int, Count, int]:
    """Stopped and all: of the canary, and beside it."""
    return (
        seen.new.of(outcome),
        max(seen.new.of(Outcome.JUDGED).senders, seen.new.of(outcome).senders),
        seen.old.of(outcome),
        max(seen.old.of(Outcome.JUDGED).senders, seen.old.of(outcome).senders),
    )


def _harmful(seen: Seen, outcome: Outcome) -> bool:
    new, senders, old, others = _stopped(seen, outcome)
    if new.senders < ALL_FEW:
        return False
    chance = tail(new.senders, senders, old.senders, others)
    if _everybody(seen, outcome) and new.messages >= ALL_MESSAGES:
        return chance <= CHANCE_ALL
    return new.senders >= FEW and chance <= CHANCE


def _everybody(seen: Seen, outcome: Outcome) -> bool:
    """Does the canary stop every message that it meets?"""
    new, senders, _, _ = _stopped(seen, outcome)
    return 0 < senders == new.senders and new.messages >= seen.new.of(Outcome.JUDGED).messages


def _suspect(seen: Seen, outcome: Outcome) -> bool:
    """It stops everybody, which the other side does not, but its senders are too few to call that harm."""
    _, _, old, others = _stopped(seen, outcome)
    return _everybody(seen, outcome) and old.senders < others


def _told(seen: Seen, outcome: Outcome) -> str:
    new, senders, old, others = _stopped(seen, outcome)
    return f"{new.senders} of its {senders} senders were {_SAID[outcome]}, but {old.senders} of {others} beside it"


def _slower(seen: Seen) -> str:
    counts = [side.of(Outcome.JUDGED).messages for side in (seen.old, seen.new)]
    if min(counts) < TIMED:
        return ""
    old, new = (side.seconds / count for side, count in zip((seen.old, seen.new), counts, strict=True))
    if new <= SLOWER * old or new <= old + SLOWER_BY:
        return ""
    return f"a message took {new * 1000:.0f} ms, but {old * 1000:.0f} ms beside it"


def tail(hits: int, drawn: int, other_hits: int, others: int) -> float:
    """The chance that of `drawn` among all at least `hits` are of those that were hit, if it is chance alone."""
    total, marked = drawn + others, hits + other_hits
    every = _ways(total, drawn)
    most = min(drawn, marked)
    parts = (
        math.exp(_ways(marked, one) + _ways(total - marked, drawn - one) - every)
        for one in range(hits, most + 1)
        if drawn - one <= total - marked
    )
    return min(1.0, math.fsum(parts))


def _ways(total: int, chosen: int) -> float:
    """The logarithm of the binomial coefficient."""
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)
