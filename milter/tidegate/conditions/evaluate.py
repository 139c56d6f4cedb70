"""Conditions answered: YES, NO or UNKNOWN, by Kleene's logic (all is the minimum, any the maximum).

`evaluate` is what judges mail; `explain` gives the same answer with each test's reading. A test on several values
passes if one does; otherwise it is UNKNOWN if a part of the field, or the list it asks, can't be read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tidegate.conditions.facts import Facts
from tidegate.conditions.members import glob_matches, lookup_keys, prefix_of
from tidegate.conditions.text import fold
from tidegate.model import (
    AllOf,
    Always,
    AnyOf,
    Cause,
    Condition,
    Doubt,
    Evidence,
    ListKind,
    Never,
    Not,
    Operator,
    Quantifier,
    Reading,
    Recipient,
    Recipients,
    Scalar,
    Test,
    Truth,
    Unknowable,
)

YES, NO, UNKNOWN = Truth.YES, Truth.NO, Truth.UNKNOWN


def evaluate(condition: Condition, facts: Facts, recipient: Recipient | None = None) -> Truth:
    """The condition's truth; `recipient` is whom the recipient fields are about (inside a quantifier, or at RCPT)."""
    return _HANDLERS[type(condition)](condition, facts, recipient)


def _all(condition: AllOf, facts: Facts, recipient: Recipient | None) -> Truth:
    worst = YES
    for child in condition.children:
        truth = _HANDLERS[type(child)](child, facts, recipient)
        if truth is NO:
            return NO
        if truth is UNKNOWN:
            worst = UNKNOWN
    return worst


def _any(condition: AnyOf, facts: Facts, recipient: Recipient | None) -> Truth:
    best = NO
    for child in condition.children:
        truth = _HANDLERS[type(child)](child, facts, recipient)
        if truth is YES:
            return YES
        if truth is UNKNOWN:
            best = UNKNOWN
    return best


def _not(condition: Not, facts: Facts, recipient: Recipient | None) -> Truth:
    return _NEGATED[evaluate(condition.child, facts, recipient)]


def _quantified(condition: Recipients, facts: Facts, _recipient: Recipient | None) -> Truth:
    """No recipient at all makes any_rcpt and all_rcpt NO, and no_rcpt YES; a message has one at least."""
    truths = [evaluate(condition.child, facts, one) for one in facts.transaction.envelope.recipients]
    if condition.quantifier is Quantifier.ALL:
        return min(truths) if truths else NO
    found = max(truths) if truths else NO
    return _NEGATED[found] if condition.quantifier is Quantifier.NO else found


def _test(condition: Test, facts: Facts, recipient: Recipient | None) -> Truth:
    return _answer(condition, facts, recipient)[0]


def _answer(test: Test, facts: Facts, recipient: Recipient | None) -> tuple[Truth, Reading, str | None, Cause | None]:
    """Truth, what was read, what hit, and why it is UNKNOWN."""
    field = test.field
    if recipient is not None and field.startswith("rcpt.") and field != "rcpt.count":
        reading = facts.read_recipient(field, recipient)
    else:
        reading = facts.read(field)
    if test.operator is Operator.EXISTS:
        if not reading.values and reading.cause is not None:
            return UNKNOWN, reading, None, reading.cause
        return (YES if bool(reading.values) is test.values[0] else NO), reading, None, None
    if not reading.values:
        return (NO if reading.cause is None else UNKNOWN), reading, None, reading.cause
    cause = reading.cause
    if test.list_name is not None:
        known = facts.policies.list(test.list_name)
        if known is None:
            cause = Cause(Doubt.PASSING, f"list {test.list_name} is not there")
        elif known.cause is not None:
            cause = known.cause
        else:
            for value in reading.values:
                hit = known.find(str(value), facts.now)
                if hit is not None:
                    return YES, reading, hit, None
        return (NO if cause is None else UNKNOWN), reading, None, cause
    probe = _PROBES[test.operator]
    for value in reading.values:
        hit = probe(test, value, facts)
        if hit is not None:
            return YES, reading, hit, None
    return (NO if cause is None else UNKNOWN), reading, None, cause


@lru_cache(maxsize=2048)
def _exact(values: tuple[Scalar, ...]) -> tuple[frozenset[Scalar], tuple[str, ...], tuple[int, ...]]:
    """(exact keys, globs, prefix lengths) of an operand."""
    globs = tuple(v for v in values if isinstance(v, str) and ("*" in v or "?" in v))
    prefixes = {prefix_of(v) for v in values if isinstance(v, str) and v.rpartition("/")[2].isdigit() and "/" in v}
    return frozenset(values), globs, tuple(sorted(prefixes))


def _one_of(test: Test, value: Scalar, _facts: Facts) -> str | None:
    kind = test.kind
    if kind is None:
        return str(value) if any(value == v and type(value) is type(v) for v in test.values) else None
    exact, globs, prefixes = _exact(test.values)
    text = str(value)
    for key in lookup_keys(kind, text, prefixes if kind is ListKind.IP else ()):
        if key in exact:
            return key
    if globs and kind in (ListKind.ADDRESS, ListKind.DOMAIN):
        return next((glob for glob in globs if glob_matches(glob, text)), None)
    return None


def _texts(holds: Callable[[str, str], bool]) -> Callable[[Test, Scalar, Facts], str | None]:
    """A probe for operators on folded text; operands were folded at load."""

    def probe(test: Test, value: Scalar, _facts: Facts) -> str | None:
        text = fold(str(value))
        for wanted in test.values:
            if holds(text, str(wanted)):
                return str(wanted)
        return None

    return probe


def _matches(test: Test, value: Scalar, facts: Facts) -> str | None:
    for source in test.values:
        if facts.policies.matches(test.field, str(source), str(value)):
            return str(source)
    return None


def _compared(holds: Callable[[int, int], bool]) -> Callable[[Test, Scalar, Facts], str | None]:
    def probe(test: Test, value: Scalar, _facts: Facts) -> str | None:
        return str(value) if any(holds(int(value), int(limit)) for limit in test.values) else None

    return probe


_PROBES: dict[Operator, Callable[[Test, Scalar, Facts], str | None]] = {
    Operator.ONE_OF: _one_of,
    Operator.IN: _one_of,
    Operator.CONTAINS: _texts(lambda text, wanted: wanted in text),
    Operator.PREFIX: _texts(lambda text, wanted: text.startswith(wanted)),
    Operator.SUFFIX: _texts(lambda text, wanted: text.endswith(wanted)),
    Operator.GLOB: _texts(lambda text, wanted: glob_matches(wanted, text)),
    Operator.MATCHES: _matches,
    Operator.GT: _compared(lambda value, limit: value > limit),
    Operator.GE: _compared(lambda value, limit: value >= limit),
    Operator.LT: _compared(lambda value, limit: value < limit),
    Operator.LE: _compared(lambda value, limit: value <= limit),
}

_NEGATED = {YES: NO, NO: YES, UNKNOWN: UNKNOWN}

_HANDLERS: dict[type[Any], Callable[[Any, Facts, Recipient | None], Truth]] = {
    Always: lambda _condition, _facts, _recipient: YES,
    Never: lambda _condition, _facts, _recipient: NO,
    Unknowable: lambda _condition, _facts, _recipient: UNKNOWN,
    AllOf: _all,
    AnyOf: _any,
    Not: _not,
    Recipients: _quantified,
    Test: _test,
}


def causes(condition: Condition, facts: Facts, recipient: Recipient | None = None) -> list[Cause]:
    """The causes of all UNKNOWN parts that an UNKNOWN condition rests on; empty where it is certain."""
    if evaluate(condition, facts, recipient) is not UNKNOWN:
        return []
    match condition:
        case Unknowable(doubt):
            return [doubt]
        case AllOf(children) | AnyOf(children):
            return [one for child in children for one in causes(child, facts, recipient)]
        case Not(child):
            return causes(child, facts, recipient)
        case Recipients(_, child):
            return [c for one in facts.transaction.envelope.recipients for c in causes(child, facts, one)]
        case Test():
            why = _answer(condition, facts, recipient)[3]
            return [why] if why is not None else []
    return []


def weigh(found: list[Cause]) -> Cause:
    """One cause for many: LASTING only if all are, for then a retry can't help."""
    passing = [cause for cause in found if cause.doubt is Doubt.PASSING]
    return (passing or found or [Cause(Doubt.PASSING, "unknown")])[0]


def cause(condition: Condition, facts: Facts, recipient: Recipient | None = None) -> Cause:
    """Why `condition` is UNKNOWN."""
    return weigh(causes(condition, facts, recipient))


def explain(condition: Condition, facts: Facts, recipient: Recipient | None = None) -> Evidence:
    """The whole tree with every test's reading; nothing is short-circuited."""
    truth = evaluate(condition, facts, recipient)
    match condition:
        case AllOf(children) | AnyOf(children):
            below = tuple(explain(child, facts, recipient) for child in children)
            return Evidence(condition, Reading(), truth, None, below)
        case Not(child):
            return Evidence(condition, Reading(), truth, None, (explain(child, facts, recipient),))
        case Recipients(_, child):
            below = tuple(explain(child, facts, one) for one in facts.transaction.envelope.recipients)
            return Evidence(condition, Reading(), truth, None, below)
        case Test():
            truth, reading, found, doubt = _answer(condition, facts, recipient)
            shown = Reading(reading.values, doubt) if truth is UNKNOWN else reading
            return Evidence(condition, shown, truth, found)
        case Unknowable(doubt):
            return Evidence(condition, Reading((), doubt), truth)
    return Evidence(condition, Reading(), truth)


def hit(condition: Condition, facts: Facts, recipient: Recipient | None = None) -> str:
    """What made a YES condition YES, in a few words: the first test that is, with what hit."""
    match condition:
        case AllOf(children) | AnyOf(children):
            parts = [hit(child, facts, recipient) for child in children if evaluate(child, facts, recipient) is YES]
            return ", ".join([part for part in parts if part][:3])
        case Recipients(quantifier, child):
            for one in facts.transaction.envelope.recipients:
                if evaluate(child, facts, one) is YES:
                    return hit(child, facts, one)
            return quantifier.value
        case Test():
            truth, _, found, _ = _answer(condition, facts, recipient)
            where = f" in {condition.list_name}" if condition.list_name else ""
            return f"{condition.field}{where}: {found}" if truth is YES and found is not None else condition.field
    return ""


def matched_recipients(condition: Condition, facts: Facts) -> tuple[Recipient, ...]:
    """The recipients whom the any_rcpt and all_rcpt tests of the condition picked, in order."""
    return tuple(one for one in facts.transaction.envelope.recipients if _picks(condition, facts, one))


def _picks(condition: Condition, facts: Facts, one: Recipient) -> bool:
    match condition:
        case AllOf(children) | AnyOf(children):
            return any(_picks(child, facts, one) for child in children)
        case Recipients(quantifier, child) if quantifier is not Quantifier.NO:
            return evaluate(child, facts, one) is YES
    return False
