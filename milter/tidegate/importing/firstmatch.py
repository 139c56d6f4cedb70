"""Rules of which the first that matches decides, as rules of which the strictest does.

A rule acts there only where no earlier one matched. Here all are judged, so an earlier rule that is milder, and would
have ended the search, has to be an exception of the later ones; one that is as strict needs none: it wins by its
strictness, or among equals by its priority.

Promises: the verdict is the same for every message. Refuses: jumps, scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tidegate.importing.actions import Effect
from tidegate.importing.words import NewException, NewRule, Value
from tidegate.model import Disposition


@dataclass(frozen=True, slots=True)
class Step:
    """One rule in its order. `ends`: where it matches, no later one is asked. `rule` None: it does nothing else.

    `recipients`: `when` is about one recipient; the rule itself is then written about one where it refuses, and about
    any of them where it doesn't. `late`: it needs more than is known at RCPT.
    """

    name: str
    when: Value
    effect: Effect
    rule: NewRule | None
    ends: bool = True
    recipients: bool = False
    late: bool = False


@dataclass(frozen=True, slots=True)
class Unsplittable:
    """A rule, and why it can't be written: one of the two is about the whole message, the other about one recipient."""

    rule: NewRule
    because: str  # the earlier rule that it would have to except


def strictest(steps: Iterable[Step]) -> Iterator[NewRule | Unsplittable]:
    """The rules, each with the exceptions that its place made."""
    earlier: list[Step] = []
    for step in steps:
        if step.rule is not None:
            yield _excepted(step, earlier)
        if step.ends:
            earlier.append(step)


def _excepted(step: Step, earlier: list[Step]) -> NewRule | Unsplittable:
    assert step.rule is not None
    passed = [one for one in earlier if outranked(one.effect, step.effect)]
    by_recipient = next((one.name for one in passed if one.recipients), "")
    whole = step.late or not refuses(step.effect) or bool(step.rule.limits)
    at_rcpt = not whole and (step.recipients or bool(by_recipient))
    late = next((one.name for one in passed if one.late), "")
    if (whole and by_recipient) or (at_rcpt and late):
        return Unsplittable(step.rule, by_recipient if whole else late)
    clauses = tuple(NewException(one.name, one.when) for one in passed)
    return replace(step.rule, exceptions=(*step.rule.exceptions, *clauses), per_recipient=at_rcpt)


def refuses(effect: Effect) -> bool:
    """Only a refusal can be given to one recipient alone."""
    return effect.disposition in (Disposition.REJECT, Disposition.DEFER)


def outranked(first: Effect, later: Effect) -> bool:
    """Would the later one change the verdict where the first one has matched?"""
    if later.edits:
        return first.disposition in (Disposition.ACCEPT, Disposition.HOLD)
    return later.disposition > first.disposition
