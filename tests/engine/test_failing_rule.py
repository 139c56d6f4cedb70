"""What fails over one rule costs that rule an UNKNOWN that will pass, and is told; the others are judged as ever."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tests.builders.verdicts import closed_recipient, deferring, labelling, on_subject, rejecting
from tidegate.conditions import answers, readers
from tidegate.engine.inquiry import FIRST
from tidegate.engine.judge import explain, judge, judge_recipient
from tidegate.model import (
    Actions,
    AddHeader,
    Always,
    Disposition,
    Doubt,
    Easing,
    Index,
    Mode,
    OnError,
    Operator,
    Recipient,
    RemoveRecipient,
    Restraint,
    Rule,
    Template,
    Truth,
    Verdict,
)
from tidegate.model import Test as FieldTest

BREAKING = FieldTest("rcpt.count", Operator.GT, (0,))
ACCEPT, DEFER, REJECT = Disposition.ACCEPT, Disposition.DEFER, Disposition.REJECT


def failing(*_arguments: Any) -> Any:
    """An operator, or a reader, with a bug."""
    raise KeyError("content@example.com")


@pytest.fixture(autouse=True)
def _broken_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(answers._PROBES, Operator.GT, failing)


class Watching:
    """A watch that keeps what was on record, and whose time is up after so many looks."""

    def __init__(self, looks: int = 1000) -> None:
        self.cells: Any = self
        self.place = 0
        self.walks = False
        self.seen: list[int] = []
        self._looks = looks

    def __setitem__(self, place: int, value: int) -> None:
        self.seen.append(value)

    def late(self) -> bool:
        self._looks -= 1
        return self._looks < 0


def verdict_on(*rules: Rule, index: Index | None = None, watch: Any = None) -> Verdict:
    """The verdict on a plain message."""
    policies = FakePolicies(rules, index=index)
    return judge(a_transaction(), policies, NOW, *([watch] if watch else []))


def told(verdict: Verdict) -> list[tuple[str, str]]:
    return [(fault.rule, fault.kind) for fault in verdict.faults]


def test_the_fate_of_the_rule_alone() -> None:
    """It is UNKNOWN with a passing cause, the fault says where, and its text, which may hold content, is not kept."""
    verdict = verdict_on(rejecting("bad", when=BREAKING), labelling())
    assert (DEFER, [("bad", "KeyError")]) == (verdict.disposition, told(verdict))
    (mark,) = [one for one in verdict.trail if one.rule == "bad"]
    assert mark.cause is not None
    assert Doubt.PASSING is mark.cause.doubt
    assert "test_failing_rule.py" in verdict.faults[0].place
    assert "content" not in repr(verdict)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (rejecting("bad", when=BREAKING), DEFER),
        (Rule("bad", BREAKING, rejecting().do, on_error=OnError.SKIP), ACCEPT),
        (Rule("bad", BREAKING, rejecting().do, mode=Mode.SHADOW), ACCEPT),
        (Rule("bad", BREAKING, Actions(edits=(RemoveRecipient(None),))), DEFER),
        (Rule("bad", BREAKING, labelling().do, on_error=OnError.SKIP), ACCEPT),
    ],
    ids=["defer", "skip", "shadow", "recipients", "header"],
)
def test_its_declared_fail_mode(rule: Rule, expected: Disposition) -> None:
    """`on_error` says what becomes of the message whose fate depends on it."""
    verdict = verdict_on(rule)
    assert (expected, [("bad", "KeyError")]) == (verdict.disposition, told(verdict))


def test_a_message_whose_fate_does_not_depend_on_it() -> None:
    """A certain refusal stands."""
    verdict = verdict_on(rejecting("bad", when=BREAKING), rejecting("sure"))
    assert (REJECT, "sure", True) == (verdict.disposition, verdict.rule, verdict.certain)


def test_recipients_of_a_rule_that_failed() -> None:
    """Whom it is about is in doubt as well: nobody is removed, and everybody might be."""
    rule = Rule("bad", BREAKING, Actions(edits=(RemoveRecipient(None),)))
    verdict = judge(a_transaction(rcpt=["a@example.net", "b@example.net"]), FakePolicies([rule]), NOW)
    assert (DEFER, ()) == (verdict.disposition, verdict.changes.remove_recipients)


def broken_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(readers.READERS, "subject", failing)


@pytest.mark.parametrize(
    "actions",
    [
        rejecting(text="about {subject}").do,
        Actions(edits=(AddHeader("X-About", (Template("{subject}"),)),)),
    ],
    ids=["reply", "header"],
)
def test_texts_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, actions: Actions) -> None:
    """A rule whose reply or header can't be made is in doubt; a rule beside it is not."""
    broken_subject(monkeypatch)
    rule = Rule("bad", Always(), actions)
    assert (DEFER, [("bad", "KeyError")]) == (verdict_on(rule).disposition, told(verdict_on(rule)))
    verdict = verdict_on(rule, rejecting("sure"))
    assert (REJECT, "sure") == (verdict.disposition, verdict.rule)


def test_a_later_refusal_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the reply of the first can't be made, the next rule that is certain gives it."""
    broken_subject(monkeypatch)
    first = Rule("bad", Always(), rejecting(text="{subject}").do, priority=1)
    verdict = verdict_on(first, rejecting("next"))
    assert (REJECT, "next", [("bad", "KeyError")]) == (verdict.disposition, verdict.rule, told(verdict))


def test_an_index_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rule is asked then, and those that read what can't be read fail alone."""
    broken_subject(monkeypatch)
    rules = (on_subject("hello", rejecting("bad")), deferring("steady"), closed_recipient())
    index = Index(literals={"subject": (("hello", (0,)),)}, unkeyed=(1,))
    verdict = verdict_on(*rules, index=index)
    assert (DEFER, "steady") == (verdict.disposition, verdict.rule)
    assert [("", "KeyError"), ("bad", "KeyError")] == told(verdict)


def test_at_rcpt() -> None:
    """A per_recipient rule that fails defers the recipient whose fate depends on it."""
    rule = Rule("bad", FieldTest("rcpt.count", Operator.GT, (0,)), rejecting().do, per_recipient=True)
    verdict = judge_recipient(a_transaction(), Recipient("bob@example.net"), FakePolicies([rule]), NOW)
    assert verdict is not None
    assert (DEFER, [("bad", "KeyError")]) == (verdict.disposition, told(verdict))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit], ids=lambda one: one.__name__)
def test_what_is_no_failure_of_a_rule(monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    """Whoever ends the process is not a rule's fault: the guard at the callback has it."""

    def ending(*_arguments: Any) -> Any:
        raise error()

    monkeypatch.setitem(answers._PROBES, Operator.GT, ending)
    with pytest.raises(error):
        verdict_on(rejecting("bad", when=BREAKING))


def test_on_record_before_it_is_evaluated() -> None:
    """Each rule by its number, and the one whose text is made."""
    watch = Watching()
    verdict_on(labelling("one"), rejecting("two", when=BREAKING), labelling("three"), watch=watch)
    assert [FIRST, FIRST + 1, FIRST + 2] == watch.seen[:3]
    verdict_on(labelling("one"), rejecting("two"), watch=(reply := Watching()))
    assert FIRST + 1 == reply.seen[-1]


def test_when_the_time_is_up() -> None:
    """Rules that were not reached are in doubt for now; those in shadow are asked last."""
    shadow = Rule("shade", Always(), rejecting().do, mode=Mode.SHADOW)
    rules = [shadow, *[labelling(f"r{number}") for number in range(20)]]
    verdict = verdict_on(*rules, watch=Watching(looks=1))
    reached = {mark.rule for mark in verdict.trail if mark.cause is None}
    assert {f"r{number}" for number in range(15)} == reached
    assert (DEFER, "shade") == (verdict.disposition, verdict.trail[-1].rule)
    assert [] == told(verdict)


def test_explained() -> None:
    """`tidegate explain` shows a rule that fails as in doubt, with the place; one that is tripped is not asked."""
    policies = FakePolicies([rejecting("bad", when=BREAKING), labelling()])
    found, _ = explain(a_transaction(), policies, NOW).rules
    assert (Truth.UNKNOWN, True) == (found.truth, "test_failing_rule.py" in found.why_not)
    tripped = Restraint({"bad": Easing.DEFER}, poison=frozenset({"bad"}))
    found, _ = explain(a_transaction(), policies, NOW, tripped).rules
    assert found.cause is not None
    assert "tripped" in found.cause.text
    assert "not asked" in found.why_not
