"""Whom a rule would have concerned that is not in force: for the exposure ledger, after the verdict.

A rule is not in force where its entry is skipped, or where a restraint has taken it back. Promises: changes no verdict,
and is asked only where there is such a rule; a broken entry counts where it might have matched. Refuses: more than
MAX_WATCHED rules of either kind for one message: what it costs has to stay small.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tidegate.conditions.facts import Facts
from tidegate.engine.candidates import candidates
from tidegate.engine.easing import shadowed
from tidegate.engine.index import dormant
from tidegate.engine.inquiry import FIRST, UNWATCHED, Watch
from tidegate.engine.match import answer
from tidegate.model import EntryState, PolicySet, Restraint, Rule, Transaction, Truth

MAX_WATCHED = 200


@dataclass(frozen=True, slots=True)
class Exposed:
    """One rule that would have concerned a message; `certain` False: nobody knows, since it can't be read."""

    rule: str
    certain: bool


Numbered = tuple[int, Rule]
"""A rule with its number in the generation."""


def watched(policies: PolicySet) -> tuple[Numbered, ...]:
    """The skipped rules of this generation, as if they were in force."""
    return tuple(
        (number, replace(policies.rule(number), state=EntryState.ACTIVE)) for number in policies.watched[:MAX_WATCHED]
    )


def concerned(
    transaction: Transaction,
    rules: Sequence[Numbered],
    policies: PolicySet,
    restraint: Restraint,
    now: float,
    watch: Watch = UNWATCHED,
) -> tuple[Exposed, ...]:
    """Those of `rules`, and of the rules that are eased, which this message met or might have met.

    Each is on record in `watch` before it is asked, as in a judgement.
    """
    facts = Facts(transaction, policies, now)
    found = []
    for number, rule in [*rules, *_eased(facts, restraint)] if restraint else rules:
        watch.cells[watch.place] = number + FIRST
        truth = _truth(rule, facts, restraint)
        if truth is not Truth.NO:
            found.append(Exposed(rule.id, truth is Truth.YES))
    return tuple(found)


def _eased(facts: Facts, restraint: Restraint) -> list[Numbered]:
    """The rules that are eased and can concern this message, at RCPT or at its end."""
    policies = facts.policies
    numbers: Iterable[int] = dict.fromkeys((*candidates(facts, policies), *policies.per_recipient))
    found = [
        (number, rule)
        for number in numbers
        if restraint.of((rule := policies.rule(number)).id, rule.kept) is not None
        and not dormant(rule)
        and not shadowed(rule)
    ]
    return found[:MAX_WATCHED]


def _truth(rule: Rule, facts: Facts, restraint: Restraint) -> Truth:
    if rule.id in restraint.poison:
        return Truth.UNKNOWN
    try:
        if not rule.per_recipient:
            truth = answer(rule, facts)[0]
            return min(truth, Truth.UNKNOWN) if rule.limits else truth  # nobody asks now whether it would be exceeded
        return max((answer(rule, facts, one)[0] for one in facts.transaction.envelope.recipients), default=Truth.NO)
    except Exception:  # noqa: BLE001 - a rule fails alone (engine/inquiry.py), and this one has no say
        return Truth.UNKNOWN
