"""The last step for local mail with the null sender: nothing is refused, a person finds it in the hold queue."""

from __future__ import annotations

import pytest

from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tidegate.engine.judge import judge
from tidegate.model import (
    Actions,
    Always,
    Cause,
    Condition,
    Disposition,
    Doubt,
    Ending,
    Mode,
    ReplyTemplate,
    Rule,
    Template,
    Unknowable,
    Verdict,
)

REFUSE = Actions(Ending(Disposition.REJECT, ReplyTemplate(550, "5.7.1", Template("not from here"))))
PUT_OFF = Actions(Ending(Disposition.DEFER, ReplyTemplate(450, "4.7.1", Template("later"))))
DOUBT = Unknowable(Cause(Doubt.PASSING, "the store is away"))


def judged(*rules: Rule, local: bool = True, sender: str = "", unreadable: str = "") -> Verdict:
    """The verdict on a bounce, or what looks like one."""
    doubts = {unreadable: "bytes"} if unreadable else {}
    transaction = a_transaction(sender=sender, login="" if local else "a@x", local=local, unreadable=doubts)
    return judge(transaction, FakePolicies(rules), NOW)


@pytest.mark.parametrize(
    ("when", "do", "reason"),
    [
        (Always(), REFUSE, "null sender, instead of reject: not from here"),
        (Always(), PUT_OFF, "null sender, instead of defer: later"),
        (DOUBT, REFUSE, "null sender, instead of defer: the store is away"),
    ],
    ids=["reject", "defer", "doubt"],
)
def test_refusals_become_hold(when: Condition, do: Actions, reason: str) -> None:
    """Hold, without a reply, with what it is instead of; the rule keeps its name."""
    verdict = judged(Rule("r", when, do))
    assert (Disposition.HOLD, None, reason, "r") == (verdict.disposition, verdict.reply, verdict.reason, verdict.rule)


def test_bounces_pass() -> None:
    """Where no rule stops it, it goes on."""
    assert Disposition.ACCEPT is judged().disposition


@pytest.mark.parametrize(
    ("local", "sender", "unreadable"),
    [(False, "", ""), (True, "cron@example.com", ""), (True, "", "sender.address")],
    ids=["by SMTP", "with a sender", "sender can't be read"],
)
def test_other_mail(local: bool, sender: str, unreadable: str) -> None:
    """Only local mail that is known to have the null sender."""
    verdict = judged(Rule("r", Always(), REFUSE), local=local, sender=sender, unreadable=unreadable)
    assert Disposition.REJECT is verdict.disposition


def test_would_likewise() -> None:
    """A rule in shadow would hold it too; where it is held anyway there is no difference."""
    shadow = Rule("s", Always(), REFUSE, mode=Mode.SHADOW)
    assert (Disposition.ACCEPT, Disposition.HOLD) == (judged(shadow).disposition, judged(shadow).would)
    held = judged(shadow, Rule("r", Always(), PUT_OFF))
    assert (Disposition.HOLD, None) == (held.disposition, held.would)
