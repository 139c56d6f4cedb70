"""Verdicts at RCPT: per_recipient rules alone, with what is known there; and what of them counts for local mail."""

from __future__ import annotations

import pytest

from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tidegate.engine.judge import judge, judge_recipient
from tidegate.model import (
    Actions,
    Always,
    Cause,
    Condition,
    Disposition,
    Doubt,
    Ending,
    Exempt,
    ListKind,
    Mode,
    OnUninspected,
    Operator,
    Quantifier,
    Recipient,
    Recipients,
    ReplyTemplate,
    Rule,
    Template,
    Unknowable,
    Verdict,
)
from tidegate.model import Test as FieldTest

CLOSED = FieldTest("rcpt.domain", Operator.ONE_OF, ("closed.example",), None, ListKind.DOMAIN)
REFUSE = Actions(Ending(Disposition.REJECT, ReplyTemplate(550, "5.1.1", Template("closed: {rcpt.address}"))))
PUT_OFF = Actions(Ending(Disposition.DEFER, ReplyTemplate(450, "4.2.1", Template("later"))))
RULE = Rule("closed", CLOSED, REFUSE, per_recipient=True)
SUBJECT = FieldTest("subject", Operator.EXISTS, (True,))
LOGIN = FieldTest("login", Operator.EXISTS, (True,))


def at_rcpt(*rules: Rule, to: str = "x@closed.example", local: bool = False, unreadable: str = "") -> Verdict | None:
    """The verdict on one recipient, `bob` having been accepted before."""
    doubts = {unreadable: "bytes"} if unreadable else {}
    transaction = a_transaction(message=False, local=local, unreadable=doubts)
    return judge_recipient(transaction, Recipient(to), FakePolicies(rules), NOW)


def test_only_that_recipient() -> None:
    """The rule's recipient fields are about this one."""
    verdict = at_rcpt(RULE)
    assert verdict is not None
    assert ("550 5.1.1 closed: x@closed.example", "closed", 1) == (
        str(verdict.reply),
        verdict.rule,
        verdict.generation,
    )
    assert ["rcpt.domain: closed.example"] == [mark.hit for mark in verdict.trail]
    assert at_rcpt(RULE, to="y@open.example") is None


def test_rules_about_messages_take_no_part() -> None:
    """Without a per_recipient rule there is nothing to say at RCPT."""
    assert at_rcpt(Rule("r", Always(), REFUSE)) is None


def test_they_take_no_part_at_end_of_message() -> None:
    """Mail that came by SMTP was judged at RCPT."""
    verdict = judge(a_transaction(rcpt=("x@closed.example",)), FakePolicies([RULE]), NOW)
    assert (Disposition.ACCEPT, ()) == (verdict.disposition, verdict.trail)


def test_strictest_wins_at_rcpt() -> None:
    """As at end of message."""
    later = Rule("later", Always(), PUT_OFF, priority=1, per_recipient=True)
    verdict = at_rcpt(later, RULE)
    assert verdict is not None
    assert (Disposition.REJECT, {"later": "closed", "closed": ""}) == (
        verdict.disposition,
        {mark.rule: mark.lost_to for mark in verdict.trail},
    )


@pytest.mark.parametrize(
    ("when", "certain_too", "expected"),
    [
        (Unknowable(Cause(Doubt.PASSING, "x")), False, Disposition.DEFER),
        (Unknowable(Cause(Doubt.PASSING, "x")), True, Disposition.REJECT),
    ],
    ids=["it decides", "it does not matter"],
)
def test_a_doubt_defers_only_if_it_matters(when: Condition, certain_too: bool, expected: Disposition) -> None:
    """The bracket at RCPT."""
    verdict = at_rcpt(Rule("doubt", when, REFUSE, per_recipient=True), *([RULE] if certain_too else []))
    assert verdict is not None
    assert expected is verdict.disposition


def test_nothing_is_held_for_one_recipient() -> None:
    """What a rule declares for content that can't be inspected is a deferral at RCPT."""
    when = FieldTest("client.helo", Operator.ONE_OF, ("bad",), None, ListKind.STRING)
    rule = Rule("r", when, REFUSE, per_recipient=True, on_uninspected=OnUninspected.HOLD)
    verdict = at_rcpt(rule, unreadable="client.helo")
    assert verdict is not None
    assert (Disposition.DEFER, 451, False) == (
        verdict.disposition,
        verdict.reply.code if verdict.reply else 0,
        verdict.certain,
    )


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (LOGIN, Disposition.ACCEPT),
        (FieldTest("login", Operator.EXISTS, (False,)), Disposition.REJECT),
        (SUBJECT, Disposition.DEFER),
        (Recipients(Quantifier.ANY, CLOSED), Disposition.DEFER),
    ],
    ids=["matches", "does not match", "needs a header", "counts over recipients"],
)
def test_exempts_of_whole_messages(when: Condition, expected: Disposition) -> None:
    """An exempt that names the rule counts as far as it can be known at RCPT; its own action does not."""
    exempt = Rule("e", when, Actions(PUT_OFF.ending, exempt=Exempt(("closed",))))
    verdict = at_rcpt(RULE, exempt)
    assert verdict is not None
    assert expected is verdict.disposition
    other = at_rcpt(RULE, Rule("e", when, Actions(exempt=Exempt(("another",)))))
    assert other is not None
    assert Disposition.REJECT is other.disposition


def test_shadow_at_rcpt() -> None:
    """It has no effect, and says what it would do."""
    verdict = at_rcpt(Rule("s", CLOSED, REFUSE, mode=Mode.SHADOW, per_recipient=True))
    assert verdict is not None
    assert (Disposition.ACCEPT, None, Disposition.REJECT) == (verdict.disposition, verdict.reply, verdict.would)


@pytest.mark.parametrize(
    ("rcpt", "expected"),
    [
        (("bob@example.net",), Disposition.ACCEPT),
        (("bob@example.net", "x@closed.example"), Disposition.REJECT),
    ],
    ids=["none", "one of two"],
)
def test_local_mail(rcpt: tuple[str, ...], expected: Disposition) -> None:
    """For local mail they count for the message, the strictest of all recipients; there is no verdict at RCPT."""
    policies = FakePolicies([RULE, Rule("later", CLOSED, PUT_OFF, priority=1, per_recipient=True)])
    verdict = judge(a_transaction(rcpt=rcpt, local=True, login=""), policies, NOW)
    assert expected is verdict.disposition
    if verdict.reply is not None:
        assert "closed: x@closed.example" == verdict.reply.text
    assert at_rcpt(RULE, local=True) is None
