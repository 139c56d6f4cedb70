"""docs/failure.md: what becomes of a message when a rule fails, for each action, fault and mode, as judge() has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tests.builders.verdicts import rejecting
from tidegate.conditions import answers
from tidegate.engine.inquiry import Unwatched
from tidegate.engine.judge import judge
from tidegate.engine.metering import Meter
from tidegate.front.judging import without_content
from tidegate.limits import Stated
from tidegate.model import (
    NO_RESTRAINT,
    Actions,
    AddHeader,
    Bcc,
    Condition,
    Counting,
    Disposition,
    Easing,
    Ending,
    EntryState,
    Exempt,
    Limit,
    OnError,
    OnUninspected,
    Operator,
    ReplyTemplate,
    Restraint,
    Rule,
    Template,
    Transaction,
    Verdict,
)
from tidegate.model import Test as FieldTest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "failure.md"

ACTIONS = {
    "`reject`": Actions(Ending(Disposition.REJECT, ReplyTemplate(550, "5.7.1", Template("no")))),
    "`defer`": Actions(Ending(Disposition.DEFER, ReplyTemplate(450, "4.7.1", Template("later")))),
    "`hold`": Actions(Ending(Disposition.HOLD, reason=Template("look"))),
    "`discard`": Actions(Ending(Disposition.DISCARD)),
    "recipients, sender": Actions(edits=(Bcc("journal@example.com"),)),
    "headers": Actions(edits=(AddHeader("X-Seen", (Template("yes"),)),)),
    "`exempt` of a `reject`": Actions(exempt=Exempt(("named",))),
}
MATCHES = FieldTest("subject", Operator.CONTAINS, ("hello",))
LISTED = FieldTest("subject", Operator.IN, (), "broken")
FAILING = FieldTest("rcpt.count", Operator.GT, (0,))


class Late(Unwatched):
    """The time is up before the eighth rule."""

    def late(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Fault:
    """One row: what is wrong, in which mode, and how that is brought about."""

    name: str
    mode: str
    when: Condition = MATCHES
    change: Callable[[Rule], Rule] = lambda rule: rule
    poison: bool = False
    easing: Easing | None = None
    late: bool = False
    limited: bool = False

    def verdict(self, actions: Actions) -> Verdict:
        rule = self.change(Rule("r", self.when, actions))
        first = [Rule(f"a{number}", FieldTest("login", Operator.EXISTS, (False,)), Actions()) for number in range(7)]
        rules = [*(first if self.late else []), rule]
        if actions.exempt is not None:
            rules.insert(0, rejecting("named"))
        transaction: Transaction = a_transaction()
        if self.poison:
            transaction = without_content(transaction)
        restraint = NO_RESTRAINT if self.easing is None else Restraint({"r": self.easing})
        policies = FakePolicies(rules, {"broken": "its file is not readable"})
        meter = Meter(Stated({("r", "hour"): None}))
        return judge(transaction, policies, NOW, *([Late()] if self.late else []), restraint=restraint, meter=meter)


def state(state: EntryState) -> Callable[[Rule], Rule]:
    return lambda rule: replace(rule, state=state)


def on_error(mode: OnError) -> Callable[[Rule], Rule]:
    return lambda rule: replace(rule, on_error=mode)


def on_uninspected(mode: OnUninspected) -> Callable[[Rule], Rule]:
    return lambda rule: replace(rule, on_uninspected=mode)


def limited(mode: OnError) -> Callable[[Rule], Rule]:
    limit = Limit("hour", ("login",), Counting.MESSAGES, 100, 3600.0)
    return lambda rule: replace(rule, on_error=mode, limits=(limit,))


def eased(actions: Actions, mode: OnError) -> Easing:
    """What the supervisor makes of a tripped rule: an exempt has no skip."""
    return Easing.SKIP if mode is OnError.SKIP and actions.exempt is None else Easing.DEFER


FAULTS = [
    Fault("none: the rule matches", ""),
    Fault("never valid", "`on_invalid: skip`", change=state(EntryState.SKIPPED)),
    Fault("never valid", "`on_invalid: defer`", change=state(EntryState.DEFERRING)),
    Fault("an edit is broken (STALE)", "", change=state(EntryState.STALE)),
    *(
        Fault(name, f"`on_error: {mode.value}`", when, on_error(mode), late=late)
        for name, when, late in (
            ("a list that it asks is broken", LISTED, False),
            ("its evaluation fails", FAILING, False),
            ("the deadline passes before it", MATCHES, True),
        )
        for mode in (OnError.DEFER, OnError.SKIP)
    ),
    *(
        Fault("its limits can't be counted", f"`on_error: {mode.value}`", change=limited(mode), limited=True)
        for mode in (OnError.DEFER, OnError.SKIP)
    ),
    Fault("tripped", "`on_error: defer`", easing=Easing.DEFER),
    Fault("tripped", "`on_error: skip`", easing=Easing.SKIP),
    *(
        Fault(name, f"`on_uninspected: {mode.value}`", change=on_uninspected(mode), poison=poison)
        for name, poison in (("what it reads can't be inspected", True),)
        for mode in OnUninspected
    ),
]


def cell(fault: Fault, actions: Actions) -> str:
    """What the client is told, or what becomes of the message."""
    if fault.limited and actions.exempt is not None:
        return "(none has limits)"
    if fault.easing is not None:
        fault = replace(fault, easing=eased(actions, OnError.SKIP if fault.easing is Easing.SKIP else OnError.DEFER))
    verdict = fault.verdict(actions)
    if verdict.reply is not None:
        return f"{verdict.reply.code}"
    if verdict.changes:
        return "edited"
    return {Disposition.ACCEPT: "goes on", Disposition.HOLD: "held", Disposition.DISCARD: "discarded"}[
        verdict.disposition
    ]


def table() -> str:
    """The table of the page."""
    head = ["fault", "mode", *ACTIONS]
    rows = [[fault.name, fault.mode, *(cell(fault, actions) for actions in ACTIONS.values())] for fault in FAULTS]
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@pytest.fixture(autouse=True)
def _failing_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setitem(answers._PROBES, Operator.GT, fail)


def test_the_page_says_what_happens() -> None:
    """The page has the very table. Where this fails, the table below belongs into the page, if the change is meant."""
    made = table()
    assert made in PAGE.read_text(encoding="utf-8"), f"\n{made}"


@pytest.mark.parametrize("fault", FAULTS[1:], ids=lambda one: f"{one.name}, {one.mode}")
@pytest.mark.parametrize("action", ACTIONS)
def test_no_doubt_refuses_for_good(fault: Fault, action: str) -> None:
    """P6: no 5xx comes of a rule in doubt, but where `on_uninspected` says so; a stale rule is not in doubt."""
    meant = "reject" in fault.mode or (fault.name.startswith("an edit") and action == "`reject`")
    assert meant or not cell(fault, ACTIONS[action]).startswith("5")
