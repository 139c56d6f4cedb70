"""Whom a rule would have concerned that is not in force: for the exposure ledger, after the verdict.

Promises: changes no verdict, and is asked only where a rule is watched; a broken entry counts where it might have
matched. Refuses: more than MAX_WATCHED rules, the first by rank: what a message costs has to stay small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tidegate.conditions.facts import Facts
from tidegate.engine.match import answer
from tidegate.model import EntryState, PolicySet, Rule, Transaction, Truth

MAX_WATCHED = 200


@dataclass(frozen=True, slots=True)
class Exposed:
    """One rule that would have concerned a message; `certain` False: nobody knows, since it can't be read."""

    rule: str
    certain: bool


def watched(policies: PolicySet) -> tuple[Rule, ...]:
    """The skipped rules of this generation, as if they were in force."""
    return tuple(replace(policies.rule(number), state=EntryState.ACTIVE) for number in policies.watched)


def concerned(transaction: Transaction, rules: Sequence[Rule], policies: PolicySet, now: float) -> tuple[Exposed, ...]:
    """Those of `rules` that this message might have met."""
    facts = Facts(transaction, policies, now)
    found = []
    for rule in rules:
        truth = _truth(rule, facts)
        if truth is not Truth.NO:
            found.append(Exposed(rule.id, truth is Truth.YES))
    return tuple(found)


def _truth(rule: Rule, facts: Facts) -> Truth:
    try:
        if not rule.per_recipient:
            return answer(rule, facts)[0]
        return max((answer(rule, facts, one)[0] for one in facts.transaction.envelope.recipients), default=Truth.NO)
    except Exception:  # noqa: BLE001 - a rule fails alone (engine/inquiry.py), and this one has no say
        return Truth.UNKNOWN
