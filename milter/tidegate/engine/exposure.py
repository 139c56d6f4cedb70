"""Whom a rule would have concerned that is not in force: for the exposure ledger, after the verdict.

A rule is not in force where its entry is skipped, or where a restraint has taken it back. Promises: changes no verdict,
and is asked only where there is such a rule; a broken entry counts where it might have matched. Refuses: more than
MAX_WATCHED rules for one message: what it costs has to stay small.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tidegate.conditions.facts import Facts
from tidegate.engine.candidates import candidates
from tidegate.engine.easing import shadowed
from tidegate.engine.index import dormant
from tidegate.engine.match import answer
from tidegate.model import EntryState, PolicySet, Restraint, Rule, Transaction, Truth

MAX_WATCHED = 200


@dataclass(frozen=True, slots=True)
class Exposed:
    """One rule that would have concerned a message; `certain` False: nobody knows, since it can't be read."""

    rule: str
    certain: bool


def watched(policies: PolicySet) -> tuple[Rule, ...]:
    """The skipped rules of this generation, as if they were in force."""
    return tuple(replace(policies.rule(number), state=EntryState.ACTIVE) for number in policies.watched)


def concerned(
    transaction: Transaction, rules: Sequence[Rule], policies: PolicySet, restraint: Restraint, now: float
) -> tuple[Exposed, ...]:
    """Those of `rules`, and of the rules that are eased, which this message met or might have met."""
    facts = Facts(transaction, policies, now)
    asked = [*rules, *_eased(facts, restraint)] if restraint else rules
    answers = [(rule.id, _truth(rule, facts, restraint)) for rule in asked[:MAX_WATCHED]]
    return tuple(Exposed(rule, truth is Truth.YES) for rule, truth in answers if truth is not Truth.NO)


def _eased(facts: Facts, restraint: Restraint) -> list[Rule]:
    """The rules that are eased and can concern this message, at RCPT or at its end."""
    policies = facts.policies
    numbers: Iterable[int] = dict.fromkeys((*candidates(facts, policies), *policies.per_recipient))
    rules = map(policies.rule, numbers)
    return [
        rule
        for rule in rules
        if restraint.of(rule.id, rule.kept) is not None and not dormant(rule) and not shadowed(rule)
    ]


def _truth(rule: Rule, facts: Facts, restraint: Restraint) -> Truth:
    if rule.id in restraint.poison:
        return Truth.UNKNOWN
    try:
        if not rule.per_recipient:
            return answer(rule, facts)[0]
        return max((answer(rule, facts, one)[0] for one in facts.transaction.envelope.recipients), default=Truth.NO)
    except Exception:  # noqa: BLE001 - a rule fails alone (engine/inquiry.py), and this one has no say
        return Truth.UNKNOWN
