"""Rules with limits, and verdicts on messages that meet them, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.builders.ledgers import ExactLedger
from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tidegate.engine.judge import judge
from tidegate.engine.metering import Meter
from tidegate.model import (
    Actions,
    AddHeader,
    Always,
    Cause,
    Condition,
    Counting,
    Disposition,
    Doubt,
    Ending,
    Limit,
    ReplyTemplate,
    Restraint,
    Rule,
    Template,
    Unknowable,
    Verdict,
)

ALICE = "alice@example.com"
PASSING = Unknowable(Cause(Doubt.PASSING, "a list is down"))
LASTING = Unknowable(Cause(Doubt.LASTING, "not UTF-8"))
ENDINGS = {
    Disposition.REJECT: Ending(Disposition.REJECT, ReplyTemplate(550, "5.7.1", Template("no {limit.used}"))),
    Disposition.DEFER: Ending(Disposition.DEFER, ReplyTemplate(451, "4.7.1", Template("again in {limit.retry}"))),
    Disposition.HOLD: Ending(Disposition.HOLD, reason=Template("{limit.used} + of {limit.max}")),
    Disposition.DISCARD: Ending(Disposition.DISCARD),
}


def a_limit(name: str = "hour", maximum: int = 10, **changes: object) -> Limit:
    """By login, messages, an hour, unless the test says otherwise."""
    return replace(Limit(name, ("login",), Counting.MESSAGES, maximum, 3600.0), **changes)  # type: ignore[arg-type]


def limiting(
    name: str = "rate",
    ending: Disposition | None = Disposition.DEFER,
    *limits: Limit,
    when: Condition | None = None,
    **changes: object,
) -> Rule:
    """A rule with limits; without an ending it adds a header."""
    do = Actions(ENDINGS[ending]) if ending else Actions(edits=(AddHeader("X-Rate", (Template("{limit.used}"),)),))
    rule = Rule(name, when or Always(), do, limits=limits or (a_limit(),))
    return replace(rule, **changes)  # type: ignore[arg-type]


def plain(name: str, ending: Disposition, when: Condition | None = None, **changes: object) -> Rule:
    """A rule without limits."""
    return replace(Rule(name, when or Always(), Actions(ENDINGS[ending])), **changes)  # type: ignore[arg-type]


def judged(rules: Sequence[Rule], ledger: ExactLedger, restraint: Restraint | None = None, **given: object) -> Verdict:
    """The verdict on one message."""
    transaction = a_transaction(**given)  # type: ignore[arg-type]
    policies = FakePolicies(rules)
    return judge(transaction, policies, NOW, restraint=restraint or Restraint(), meter=Meter(ledger))


def full(*rules: str, amount: int = 10, shadow: bool = False) -> ExactLedger:
    """A ledger in which these rules' limit `hour` is used up for the login."""
    ledger = ExactLedger()
    for rule in rules:
        ledger.use(rule, "hour", ALICE, amount, NOW - 1, shadow)
    return ledger
