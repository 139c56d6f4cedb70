"""Conditions answered: YES, NO or UNKNOWN, by Kleene's logic (all is the minimum, any the maximum).

Promises: never raises on a condition that the builder made, and is exact in Kleene's sense however it takes short cuts.
A test on several values passes if one does; otherwise it is UNKNOWN if a part of the field, or the list it asks, can't
be read. The public door, and what an answer rests on, is conditions/evaluate.py.

Three kinds of half-known readings are used as far as they are certain: a number with a cause is a lower bound; of a
text that was cut only what it contains and how it begins counts; a direction in doubt is one of few.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from tidegate.conditions.facts import Facts
from tidegate.conditions.fields import FIELDS, RECIPIENT_FIELDS
from tidegate.conditions.members import glob_matches, is_glob, lookup_keys, shape_of
from tidegate.conditions.readers import directions
from tidegate.conditions.text import fold
from tidegate.model import (
    AllOf,
    Always,
    AnyOf,
    Cause,
    Condition,
    Doubt,
    FieldType,
    Fresh,
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
# Names of this module: a member of an enumeration costs Python 3.11 as much as a dict look-up and a call.
_EXISTS, _ONE_OF, _IP, _DOMAIN, _ADDRESS = (
    Operator.EXISTS,
    Operator.ONE_OF,
    ListKind.IP,
    ListKind.DOMAIN,
    ListKind.ADDRESS,
)
_ALL_RCPT, _NO_RCPT = Quantifier.ALL, Quantifier.NO
NEGATED = {YES: NO, NO: YES, UNKNOWN: UNKNOWN}

_OF_RECIPIENT = frozenset(RECIPIENT_FIELDS.values())
_NUMBERS = frozenset(name for name, row in FIELDS.items() if row.type is FieldType.NUMBER)
# Operators that depend on how a text ends, or on all of it.
_NEED_THE_END = frozenset({Operator.ONE_OF, Operator.IN, Operator.SUFFIX, Operator.GLOB})

_ANCHOR = re.compile(r"\$|\\[zZbB]")

Answer = tuple[Truth, Reading, "str | None", "Cause | None"]
"""Truth, what was read, what hit, and why it is UNKNOWN."""


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
    return NEGATED[_HANDLERS[type(condition.child)](condition.child, facts, recipient)]


def _quantified(condition: Recipients, facts: Facts, _recipient: Recipient | None) -> Truth:
    """No recipient at all makes any_rcpt and all_rcpt NO, and no_rcpt YES; a message has one at least.

    Recipients that could not be read may be like the others or not.
    """
    child, quantifier = condition.child, condition.quantifier
    handler = _HANDLERS[type(child)]
    recipients = facts.transaction.envelope.recipients
    decisive = NO if quantifier is _ALL_RCPT else YES
    found = NO if not recipients else NEGATED[decisive]
    for one in recipients:
        truth = handler(child, facts, one)
        if truth is decisive:
            found = decisive
            break
        if truth is UNKNOWN:
            found = UNKNOWN
    if (found is not decisive or not recipients) and facts.missing_recipients() is not None:
        found = UNKNOWN
    return NEGATED[found] if quantifier is _NO_RCPT else found


def _test(condition: Test, facts: Facts, recipient: Recipient | None) -> Truth:
    return answer(condition, facts, recipient)[0]


def answer(test: Test, facts: Facts, recipient: Recipient | None = None) -> Answer:
    """One test, with what its answer rests on."""
    field, operator = test.field, test.operator
    if recipient is not None and field in _OF_RECIPIENT:
        reading = facts.read_recipient(field, recipient)
    else:
        reading = facts.read(field)
    values, cause = reading.values, reading.cause
    if operator is _EXISTS:
        if values or cause is None:
            return (YES if bool(values) is test.values[0] else NO), reading, None, None
        return UNKNOWN, reading, None, cause
    if cause is not None:
        return _half_known(test, reading, facts, recipient)
    if not values:
        return NO, reading, None, None
    hit, cause = _probe(test, values, facts, recipient)
    if hit is not None:
        return YES, reading, hit, None
    return (NO if cause is None else UNKNOWN), reading, None, cause


def _probe(
    test: Test, values: tuple[Scalar, ...], facts: Facts, recipient: Recipient | None
) -> tuple[str | None, Cause | None]:
    """What of the operand hit one of the values, or why a list can't be asked."""
    operator = test.operator
    if test.list_name is not None:
        return _listed(test.list_name, values, facts)
    if operator is _ONE_OF:
        return _one_of(test, values, facts), None
    on_text = _ON_TEXT.get(operator)
    if on_text is None:
        return _PROBES[operator](test, values, facts), None
    if recipient is None and test.field not in facts.cut:
        return on_text(test.values, facts.folded(test.field)), None
    return on_text(test.values, [fold(str(value)) for value in values]), None


def _half_known(test: Test, reading: Reading, facts: Facts, recipient: Recipient | None) -> Answer:
    """The answer of a field of which a part can't be read."""
    field, operator = test.field, test.operator
    if field in _NUMBERS:
        return _at_least(test, reading)
    if field == "direction" and operator is _ONE_OF:
        return _one_of_directions(test, reading, facts)
    values = reading.values
    if field in facts.cut and operator in _NEED_THE_END:
        values = tuple(value for value in values if value not in facts.cut[field])
    hit, trouble = _probe(test, values, facts, recipient)
    if hit is not None:
        return YES, reading, hit, None
    return UNKNOWN, reading, None, trouble or reading.cause


def _listed(name: str, values: tuple[Scalar, ...], facts: Facts) -> tuple[str | None, Cause | None]:
    """The item of a named list that covers a value, or why the list can't be asked."""
    known = facts.policies.list(name)
    if known is None:
        return None, Cause(Doubt.PASSING, f"list {name} is not loaded")
    if known.cause is not None:
        return None, known.cause
    for value in values:
        hit = known.find(str(value), facts.now)
        if hit is not None:
            return hit, None
    return None, None


def unconfirmed(name: str, facts: Facts) -> Cause | None:
    """Why what a list lets pass is in doubt; None where it is as its source has it."""
    known = facts.policies.list(name)
    if known is None:
        return Cause(Doubt.PASSING, f"list {name} is not loaded")
    if known.cause is not None or not known.stale:
        return known.cause
    return Cause(Doubt.PASSING, f"list {name} is only known as it was longer ago than its max_stale")


def _at_least(test: Test, reading: Reading) -> Answer:
    """A number of which only a lower bound is known: some answers are certain all the same."""
    least = int(reading.values[0]) if reading.values else 0
    truths = {_ANSWER_AT_LEAST[test.operator](least, int(limit)) for limit in test.values}
    truth = max(truths, default=NO)
    return truth, reading, (str(least) if truth is YES else None), (reading.cause if truth is UNKNOWN else None)


_ANSWER_AT_LEAST: dict[Operator, Callable[[int, int], Truth]] = {
    Operator.GT: lambda least, limit: YES if least > limit else UNKNOWN,
    Operator.GE: lambda least, limit: YES if least >= limit else UNKNOWN,
    Operator.LT: lambda least, limit: NO if least >= limit else UNKNOWN,
    Operator.LE: lambda least, limit: NO if least > limit else UNKNOWN,
    Operator.ONE_OF: lambda least, limit: NO if least > limit else UNKNOWN,
}


def _one_of_directions(test: Test, reading: Reading, facts: Facts) -> Answer:
    """A direction in doubt is one of a few: a test that all of them pass, or none, is certain."""
    possible, cause = directions(facts)
    wanted = [direction.value in test.values for direction in possible]
    if all(wanted):
        return YES, reading, " or ".join(direction.value for direction in possible), None
    return (UNKNOWN, reading, None, cause) if any(wanted) else (NO, reading, None, None)


@lru_cache(maxsize=2048)
def _operand(values: tuple[str, ...], kind: ListKind) -> tuple[frozenset[str], tuple[str, ...], tuple[int, ...]]:
    """An inline list ready to be asked: its exact keys, its globs, the shapes of its keys."""
    globs = tuple(value for value in values if is_glob(value)) if kind is _ADDRESS or kind is _DOMAIN else ()
    return frozenset(values), globs, tuple(sorted({shape_of(kind, value) for value in values}))


def _one_of(test: Test, values: Sequence[Scalar], _facts: Facts) -> str | None:
    kind = test.kind
    if kind is None:  # numbers and booleans; a boolean is not the number that Python takes it for
        return next((str(v).lower() for v in values for w in test.values if v == w and type(v) is type(w)), None)
    exact, globs, shapes = _operand(test.values, kind)
    for value in values:
        for key in lookup_keys(kind, str(value), shapes):
            if key in exact:
                return key
        for glob in globs:
            if glob_matches(glob, str(value)):
                return glob
    return None


def _matches(test: Test, values: Sequence[Scalar], facts: Facts) -> str | None:
    cut = facts.cut.get(test.field, ())
    for source in test.values:
        pattern = str(source)
        for value in values:
            if cut and value in cut and _ANCHOR.search(pattern):
                continue  # the anchor would find the cut, not the end
            if facts.policies.matches(test.field, pattern, str(value)):
                return pattern
    return None


def _compared(holds: Callable[[int, int], bool]) -> Callable[[Test, Sequence[Scalar], Facts], str | None]:
    def probe(test: Test, values: Sequence[Scalar], _facts: Facts) -> str | None:
        return next((str(v) for v in values for limit in test.values if holds(int(v), int(limit))), None)

    return probe


def _on_text(holds: Callable[[str, Any], bool]) -> Callable[[Sequence[Scalar], Sequence[str]], str | None]:
    """Operators on folded text; their operands were folded at load."""

    def probe(wanted: Sequence[Scalar], texts: Sequence[str]) -> str | None:
        for text in texts:
            for operand in wanted:
                if holds(text, operand):
                    return str(operand)
        return None

    return probe


_ON_TEXT: dict[Operator, Callable[[Sequence[Scalar], Sequence[str]], str | None]] = {
    Operator.CONTAINS: _on_text(lambda text, wanted: wanted in text),
    Operator.PREFIX: _on_text(str.startswith),
    Operator.SUFFIX: _on_text(str.endswith),
    Operator.GLOB: _on_text(lambda text, wanted: glob_matches(wanted, text)),
}

_PROBES: dict[Operator, Callable[[Test, Sequence[Scalar], Facts], str | None]] = {
    Operator.IN: _one_of,
    Operator.MATCHES: _matches,
    Operator.GT: _compared(lambda value, limit: value > limit),
    Operator.GE: _compared(lambda value, limit: value >= limit),
    Operator.LT: _compared(lambda value, limit: value < limit),
    Operator.LE: _compared(lambda value, limit: value <= limit),
}

_HANDLERS: dict[type[Any], Callable[[Any, Facts, Recipient | None], Truth]] = {
    Always: lambda _condition, _facts, _recipient: YES,
    Never: lambda _condition, _facts, _recipient: NO,
    Unknowable: lambda _condition, _facts, _recipient: UNKNOWN,
    AllOf: _all,
    AnyOf: _any,
    Not: _not,
    Recipients: _quantified,
    Test: _test,
    Fresh: lambda condition, facts, _recipient: UNKNOWN if unconfirmed(condition.list_name, facts) else YES,
}
