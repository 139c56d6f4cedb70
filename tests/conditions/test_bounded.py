"""No sender can make an operator work for longer than its message is long: four times the text, four times the work.

Work is CPU time of one evaluation, the least of several, compared between two sizes of the same hostile input.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tidegate.conditions.evaluate import evaluate
from tidegate.conditions.facts import Facts
from tidegate.model import Condition, ListKind, Operator, Quantifier, Recipients, Scalar, Transaction
from tidegate.model import Test as FieldTest

SMALL, LARGE = 16_384, 65_536
LITTLE = 0.01
"""CPU seconds below which nobody measures a ratio; a quadratic evaluation of LARGE takes seconds."""
GROWTH = 10
"""Four is linear, sixteen is quadratic."""
RUNS = 12
"""Of which the fastest counts: what else the machine does can only make one slower."""

_EVERY = tuple(f"x{number}" for number in range(1000))
_O, _K = Operator, ListKind
Make = Callable[[int], Transaction]


def subject(unit: str) -> Make:
    """One long subject."""
    return lambda size: a_transaction(headers=[("Subject", unit * (size // len(unit.encode())))])


def repeated(unit: str) -> Make:
    """Many headers of one name, as long together."""
    return lambda size: a_transaction(headers=[("X-Note", unit)] * (size // len(unit)))


def sender_header(unit: str) -> Make:
    return lambda size: a_transaction(headers=[("From", unit * (size // len(unit)))])


def recipients(size: int) -> Transaction:
    """As many as their addresses fill."""
    return a_transaction(rcpt=[f"user{number}@d{number}.example.net" for number in range(size // 20)])


def disclosed(size: int) -> Transaction:
    """Distinct addresses in To."""
    return a_transaction(headers=[("To", ",".join(f"a{number}@b{number}.c" for number in range(size // 12)))])


def on(field: str, operator: Operator, *values: Scalar, kind: ListKind | None = None, named: str = "") -> FieldTest:
    return FieldTest(field, operator, values, named or None, kind)


def any_rcpt(child: Condition) -> Condition:
    return Recipients(Quantifier.ANY, child)


def every_rcpt(child: Condition) -> Condition:
    return Recipients(Quantifier.ALL, child)


HOSTILE: dict[str, tuple[Condition, Make]] = {
    "contains, nearly": (on("subject", _O.CONTAINS, "a" * 500 + "b"), subject("a")),
    "contains, in turns": (on("subject", _O.CONTAINS, "ab" * 300 + "c"), subject("ab")),
    "contains, folded": (on("subject", _O.CONTAINS, "q"), subject("\u0130")),
    "contains, encoded words": (on("subject", _O.CONTAINS, "q"), subject("=?utf-8?q?a?= ")),
    "contains, in many headers": (on("header.x-note", _O.CONTAINS, "q"), repeated("a" * 10)),
    "prefix": (on("subject", _O.PREFIX, "a" * 900 + "b"), subject("a")),
    "suffix": (on("subject", _O.SUFFIX, "b" + "a" * 900), subject("a")),
    "glob, many stars": (on("subject", _O.GLOB, "*a" * 100 + "*b"), subject("a")),
    "glob, nearly": (on("subject", _O.GLOB, "*" + "a" * 500 + "b*"), subject("a")),
    "glob, anything": (on("subject", _O.GLOB, "*" + "?" * 300 + "b*"), subject("a")),
    "glob, half of anything": (on("subject", _O.GLOB, "*" + "a?" * 50 + "b*"), subject("a")),
    "glob, in many headers": (on("header.x-note", _O.GLOB, "*q*"), repeated("a" * 10)),
    "matches": (on("subject", _O.MATCHES, "q"), subject("a")),
    "one of": (on("subject", _O.ONE_OF, *_EVERY, kind=_K.STRING), subject("a")),
    "in, below a domain": (
        on("header.from.domain", _O.IN, kind=_K.DOMAIN, named="own-domains"),
        sender_header("a@" + "b." * 100 + "c,"),
    ),
    "one of, a glob of addresses": (
        on("header.from.address", _O.ONE_OF, "*x@*.y", kind=_K.ADDRESS),
        sender_header("a@b.c,"),
    ),
    "one of, a long sender": (
        on("sender.domain", _O.ONE_OF, ".x", kind=_K.DOMAIN),
        lambda size: a_transaction(sender="a@" + "b." * (size // 2)),
    ),
    "exists": (on("header.x-note", _O.EXISTS, True), repeated("a" * 10)),
    "gt, of a count": (on("disclosed.external_count", _O.GT, 10**6), disclosed),
    "ge, of a count": (on("disclosed.count", _O.GE, 10**6), disclosed),
    "lt, of a size": (on("header.count", _O.LT, 1), repeated("a" * 10)),
    "le, of recipients": (on("rcpt.count", _O.LE, 1), recipients),
    "any recipient": (any_rcpt(on("rcpt.domain", _O.ONE_OF, "x", kind=_K.DOMAIN)), recipients),
    "every recipient": (every_rcpt(on("rcpt.external", _O.ONE_OF, True)), recipients),
}


def work(condition: Condition, transaction: Transaction) -> float:
    """CPU seconds of one evaluation from nothing: reading, decoding and folding included."""
    taken = []
    for _ in range(RUNS):
        facts = Facts(transaction, FakePolicies((), {"own-domains": ("domain", ["x"])}), NOW)
        began = time.process_time()
        evaluate(condition, facts)
        taken.append(time.process_time() - began)
    return min(taken)


@pytest.mark.parametrize("name", HOSTILE)
def test_work_grows_with_the_message_alone(name: str) -> None:
    """Whatever the operand and the text."""
    condition, make = HOSTILE[name]
    large = work(condition, make(LARGE))
    assert large < LITTLE or large < GROWTH * work(condition, make(SMALL))


def test_every_operator_is_asked() -> None:
    """A new operator comes with the worst that can be done to it."""

    def operators(condition: Condition) -> set[Operator]:
        match condition:
            case FieldTest(_, operator):
                return {operator}
            case Recipients(_, child):
                return operators(child)
        return set()

    assert set(Operator) == set().union(*(operators(condition) for condition, _ in HOSTILE.values()))
