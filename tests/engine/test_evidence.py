"""`explain`: every rule with its evidence, and why one that does not act does not."""

from __future__ import annotations

import pytest

from tests.builders.transactions import NOW, a_transaction
from tests.engine.test_candidates import indexed
from tidegate.engine.explain import RuleEvidence
from tidegate.engine.judge import explain
from tidegate.model import (
    Actions,
    Always,
    Cause,
    Disposition,
    Doubt,
    Ending,
    EntryState,
    ExceptClause,
    Exempt,
    ListKind,
    Mode,
    Never,
    Operator,
    ReplyTemplate,
    Rule,
    Sample,
    Schedule,
    Template,
    Truth,
    Unknowable,
)
from tidegate.model import Test as FieldTest

LOGIN = FieldTest("login", Operator.ONE_OF, ("eve@example.com",), None, ListKind.LOGIN)
HOLD = Actions(Ending(Disposition.HOLD))
REFUSE = Actions(Ending(Disposition.REJECT, ReplyTemplate(550, "5.7.1", Template("no"))))
DOUBT = Unknowable(Cause(Doubt.PASSING, "the store is away"))


def explained(*rules: Rule, inbound: bool = False) -> tuple[RuleEvidence, ...]:
    """The explanation of a plain message, by a policy set with its real index."""
    return explain(a_transaction(login="" if inbound else "alice@example.com"), indexed(rules), NOW).rules


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (Rule("r", Always(), HOLD), ""),
        (Rule("r", LOGIN, HOLD), "its condition is not met"),
        (Rule("r", Always(), HOLD, mode=Mode.OFF), "its mode is off"),
        (Rule("r", Always(), HOLD, state=EntryState.TRIPPED), "its breaker has opened"),
        (Rule("r", Always(), HOLD, state=EntryState.EXPIRED), "it has expired"),
        (Rule("r", Always(), HOLD, state=EntryState.SKIPPED), "the entry is broken and was never valid: it is skipped"),
        (Rule("r", Always(), HOLD, schedule=Schedule(end=NOW)), "it has expired"),
        (Rule("r", Always(), HOLD, schedule=Schedule(start=NOW + 1)), "not in its schedule now"),
        (Rule("r", Always(), HOLD, sample=Sample(0, "login")), "not in its sample of 0 %"),
        (Rule("r", Always(), HOLD, exceptions=(ExceptClause("crm", Always()),)), "exception crm"),
        (Rule("r", Always(), HOLD, exceptions=(ExceptClause("crm", Always(), NOW),)), ""),
        (Rule("r", Always(), HOLD, per_recipient=True), "judged at RCPT, for each recipient alone"),
        (Rule("r", Always(), HOLD, mode=Mode.SHADOW), "in shadow: evaluated, without effect; alone it would hold"),
        (Rule("r", DOUBT, HOLD), "in doubt: the store is away"),
    ],
)
def test_why_not(rule: Rule, why: str) -> None:
    """In the words of whoever has to find out."""
    (found,) = explained(rule)
    assert why == found.why_not


def test_exempted_and_lost() -> None:
    """What other rules did to it."""
    rules = (
        Rule("a", Always(), HOLD),
        Rule("b", Always(), REFUSE),
        Rule("c", Always(), REFUSE),
        Rule("e", Always(), Actions(exempt=Exempt(("c",)))),
    )
    assert ["lost to b", "", "exempted by e", ""] == [one.why_not for one in explained(*rules)]


def test_inbound() -> None:
    """Inbound mail is judged by rules that name it."""
    rules = (Rule("a", Always(), HOLD), Rule("b", Always(), HOLD, inbound=True))
    assert ["the message is inbound, and the rule does not name inbound mail", ""] == [
        one.why_not for one in explained(*rules, inbound=True)
    ]


def test_every_rule_with_its_evidence() -> None:
    """Rules that the index leaves aside too: each test with what was read and how it came out."""
    found = explained(Rule("a", LOGIN, HOLD), Rule("b", Never(), HOLD), Rule("c", Always(), HOLD))
    assert ["a", "b", "c"] == [one.rule.id for one in found]
    assert [Truth.NO, Truth.NO, Truth.YES] == [one.truth for one in found]
    assert (("alice@example.com",), None) == (found[0].evidence.reading.values, found[0].mark)
    assert found[2].mark is not None


def test_per_recipient_evidence() -> None:
    """One piece of evidence for each recipient."""
    when = FieldTest("rcpt.domain", Operator.ONE_OF, ("example.net",), None, ListKind.DOMAIN)
    (found,) = explained(Rule("r", when, REFUSE, per_recipient=True))
    assert (Truth.YES, [Truth.YES]) == (found.truth, [one.truth for one in found.evidence.children])
