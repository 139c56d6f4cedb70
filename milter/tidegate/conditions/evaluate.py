"""The door of this room: what a condition comes to, why it can't be known, and what made it YES.

Promises: `explain` and the others say what `evaluate` says; a cause names what a retry could cure if a retry could cure
the whole. Refuses to judge: what a rule does with YES or UNKNOWN is engine/'s.
"""

from __future__ import annotations

from tidegate.conditions.answers import NEGATED, NO, UNKNOWN, YES, answer, evaluate, unconfirmed
from tidegate.conditions.facts import Facts
from tidegate.model import (
    AllOf,
    AnyOf,
    Cause,
    Condition,
    Doubt,
    Evidence,
    Fresh,
    Not,
    Quantifier,
    Reading,
    Recipient,
    Recipients,
    Test,
    Truth,
    Unknowable,
)

__all__ = ["cause", "causes", "evaluate", "explain", "hit", "matched_recipients", "weigh"]

_HITS = 3
"""Parts that a hit names at most."""


def causes(condition: Condition, facts: Facts, recipient: Recipient | None = None) -> list[Cause]:
    """The causes of all UNKNOWN parts that an UNKNOWN condition rests on; empty where it is certain."""
    if evaluate(condition, facts, recipient) is not UNKNOWN:
        return []
    match condition:
        case Unknowable(doubt):
            return [doubt]
        case Fresh(name):
            stale = unconfirmed(name, facts)
            return [stale] if stale is not None else []
        case AllOf(children) | AnyOf(children):
            return [one for child in children for one in causes(child, facts, recipient)]
        case Not(child):
            return causes(child, facts, recipient)
        case Recipients(_, child):
            missing = facts.missing_recipients()
            found = [missing] if missing is not None else []
            return found + [one for to in facts.transaction.envelope.recipients for one in causes(child, facts, to)]
        case Test():
            why = answer(condition, facts, recipient)[3]
            return [why] if why is not None else []
    return []


def weigh(found: list[Cause]) -> Cause:
    """One cause for many: LASTING only if all are, for then a retry can't help."""
    passing = [one for one in found if one.doubt is Doubt.PASSING]
    return (passing or found or [Cause(Doubt.PASSING, "unknown")])[0]


def cause(condition: Condition, facts: Facts, recipient: Recipient | None = None) -> Cause:
    """Why `condition`, which is UNKNOWN, is."""
    return weigh(causes(condition, facts, recipient))


def explain(condition: Condition, facts: Facts, recipient: Recipient | None = None) -> Evidence:
    """The whole tree with every test's reading and answer; nothing is left out by a short cut."""
    match condition:
        case AllOf(children):
            below = tuple(explain(child, facts, recipient) for child in children)
            return _joined(condition, min((one.truth for one in below), default=YES), below)
        case AnyOf(children):
            below = tuple(explain(child, facts, recipient) for child in children)
            return _joined(condition, max((one.truth for one in below), default=NO), below)
        case Not(child):
            inner = explain(child, facts, recipient)
            return _joined(condition, NEGATED[inner.truth], (inner,))
        case Recipients(_, child):
            below = tuple(explain(child, facts, to) for to in facts.transaction.envelope.recipients)
            missing = Reading((), facts.missing_recipients())
            return Evidence(condition, missing, evaluate(condition, facts, recipient), None, below)
        case Test():
            truth, reading, found, why = answer(condition, facts, recipient)
            return Evidence(condition, Reading(reading.values, why) if truth is UNKNOWN else reading, truth, found)
        case Unknowable(doubt):
            return Evidence(condition, Reading((), doubt), UNKNOWN)
        case Fresh(name):
            return Evidence(condition, Reading((), unconfirmed(name, facts)), evaluate(condition, facts, recipient))
        case _:
            return Evidence(condition, Reading(), evaluate(condition, facts, recipient))


def _joined(condition: Condition, truth: Truth, below: tuple[Evidence, ...]) -> Evidence:
    return Evidence(condition, Reading(), truth, None, below)


def hit(condition: Condition, facts: Facts, recipient: Recipient | None = None) -> str:
    """What made a YES condition YES, in a few words: `login in suspended: alice@example.com`."""
    return ", ".join(_hits(condition, facts, recipient)[:_HITS])


def _hits(condition: Condition, facts: Facts, recipient: Recipient | None) -> list[str]:
    match condition:
        case AllOf(children) | AnyOf(children):
            found: list[str] = []
            for child in children:
                if isinstance(child, Fresh):
                    continue  # it narrows what another child says, and hits nothing itself
                if len(found) < _HITS and evaluate(child, facts, recipient) is YES:
                    found += _hits(child, facts, recipient)
            return found
        case Not(child):
            return [f"not {_named(child)}"]
        case Recipients(quantifier, child):
            if quantifier is not Quantifier.NO:
                for one in facts.transaction.envelope.recipients:
                    if evaluate(child, facts, one) is YES:
                        return _hits(child, facts, one)
            return [_named(condition)]
        case Test():
            truth, _, found_item, _ = answer(condition, facts, recipient)
            if truth is YES and found_item is not None:
                return [f"{_named(condition)}: {found_item}"]
            return [_named(condition)]
    return []


def _named(condition: Condition) -> str:
    """What is asked, in a few words."""
    match condition:
        case Test():
            return f"{condition.field} in {condition.list_name}" if condition.list_name else condition.field
        case Recipients(quantifier, child):
            return f"{quantifier.value} {_named(child)}"
        case AllOf(children) | AnyOf(children) if children:
            return _named(children[0])
        case Not(child):
            return _named(child)
    return ""


def matched_recipients(condition: Condition, facts: Facts, possible: bool = False) -> tuple[Recipient, ...]:
    """The recipients whom the any_rcpt and all_rcpt tests of the condition picked, in order.

    Only tests that made the condition YES pick: a branch that is NO does not. With `possible` those count too that are
    UNKNOWN: everybody whom the condition may turn out to pick.
    """
    picked = _picked(condition, facts, UNKNOWN if possible else YES)
    if not picked:
        return ()
    recipients = facts.transaction.envelope.recipients
    return tuple([one for number, one in enumerate(recipients) if number in picked])


def _picked(condition: Condition, facts: Facts, least: Truth) -> set[int]:
    """The positions of the recipients whom the condition picks, where it is at least `least` itself."""
    if evaluate(condition, facts) < least:
        return set()
    match condition:
        case AllOf(children) | AnyOf(children):
            return set().union(*(_picked(child, facts, least) for child in children))
        case Recipients(quantifier, child) if quantifier is not Quantifier.NO:
            recipients = facts.transaction.envelope.recipients
            return {number for number, one in enumerate(recipients) if evaluate(child, facts, one) >= least}
    return set()
