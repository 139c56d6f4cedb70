"""Each type of rule, under each easing, with each sort of rule that depends on it."""

from __future__ import annotations

import pytest

from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tidegate.engine.judge import explain, judge, judge_recipient
from tidegate.model import (
    Actions,
    AddRecipient,
    Always,
    Bcc,
    Cause,
    Disposition,
    Doubt,
    Easing,
    Ending,
    EntryState,
    Exempt,
    Mode,
    Never,
    OnError,
    OnUninspected,
    Redirect,
    RemoveRecipient,
    ReplyTemplate,
    Restraint,
    Rule,
    Schedule,
    SetHeader,
    Template,
    Truth,
    Unknowable,
    Verdict,
)

SOFT, SHADOW, SKIP, DEFER = Easing
ACCEPT, DISCARD, HOLD, DEFERRED, REJECT = Disposition
REFUSES = Actions(Ending(REJECT, ReplyTemplate(550, "5.7.1", Template("no"))))
DEFERS = Actions(Ending(DEFERRED, ReplyTemplate(450, "4.7.1", Template("slowly"))))
HOLDS = Actions(Ending(HOLD, reason=Template("look")))
DISCARDS = Actions(Ending(DISCARD))
EDITS = Actions(edits=(SetHeader("X-A", (Template("x"),)),))
EXEMPTS = Actions(exempt=Exempt(("guard",)))
BOTH = Actions(REFUSES.ending, EDITS.edits, Exempt(("guard",)))
GUARD = Rule("guard", Always(), REFUSES)
LASTING = Unknowable(Cause(Doubt.LASTING, "encrypted"))
PASSING = Unknowable(Cause(Doubt.PASSING, "the store is away"))


def verdict_of(restraint: Restraint, *rules: Rule, local: bool = False) -> Verdict:
    """The verdict on a plain message."""
    return judge(a_transaction(local=local), FakePolicies(rules), NOW, restraint=restraint)


def eased(easing: Easing, rule: Rule, *others: Rule) -> Verdict:
    """With `rule` eased, and nothing else."""
    return verdict_of(Restraint({rule.id: easing}), rule, *others)


TYPES = {
    "reject": (REFUSES, REJECT, DEFERRED, ACCEPT, DEFERRED),
    "defer": (DEFERS, DEFERRED, DEFERRED, ACCEPT, DEFERRED),
    "hold": (HOLDS, HOLD, HOLD, ACCEPT, DEFERRED),
    "discard": (DISCARDS, DISCARD, DEFERRED, ACCEPT, DEFERRED),
    "edit": (EDITS, ACCEPT, ACCEPT, ACCEPT, DEFERRED),
    "exempt": (EXEMPTS, ACCEPT, ACCEPT, ACCEPT, ACCEPT),
}


@pytest.mark.parametrize(("do", "full", "soft", "gone", "waiting"), TYPES.values(), ids=TYPES.keys())
def test_each_type_alone(
    do: Actions, full: Disposition, soft: Disposition, gone: Disposition, waiting: Disposition
) -> None:
    """Soft: what is final is deferred. Shadow and skip: as if it were not there. Defer: who depends on it waits."""
    rule = Rule("r", Always(), do)
    assert full is verdict_of(Restraint(), rule).disposition
    found = [eased(easing, rule).disposition for easing in (SOFT, SHADOW, SKIP, DEFER)]
    assert [soft, gone, gone, waiting] == found


@pytest.mark.parametrize("easing", Easing, ids=lambda one: one.value)
@pytest.mark.parametrize(("do", "full"), [(row[0], row[1]) for row in TYPES.values()], ids=TYPES.keys())
def test_another_rule_stays_as_it_was(do: Actions, full: Disposition, easing: Easing) -> None:
    """A refusal that nobody eased is given, in its own words, beside whatever is eased; an exempt is the exception."""
    if do.exempt is not None:
        return
    verdict = eased(easing, Rule("r", Always(), do), GUARD)
    assert (REJECT, "guard", "550 5.7.1 no") == (verdict.disposition, verdict.rule, str(verdict.reply))


@pytest.mark.parametrize("do", [EXEMPTS, BOTH], ids=["exempt", "exempt-and-reject"])
@pytest.mark.parametrize("easing", Easing, ids=lambda one: one.value)
def test_what_an_eased_rule_exempts_does_not_bite(do: Actions, easing: Easing) -> None:
    """The brake takes no exemption away: the rule that it names answers at most 4xx, whatever the easing."""
    verdict = eased(easing, Rule("r", Always(), do), GUARD)
    assert verdict.disposition is not REJECT
    if easing in (SOFT, SHADOW):
        assert "r" == {mark.rule: mark for mark in verdict.trail}["guard"].exempted_by


def test_a_rule_that_acts_and_exempts_is_eased_as_two() -> None:
    """In shadow it refuses nothing and edits nothing, and goes on to exempt."""
    verdict = eased(SHADOW, Rule("r", Always(), BOTH), GUARD)
    assert (ACCEPT, REJECT, False) == (verdict.disposition, verdict.would, bool(verdict.changes))


def test_an_exempt_of_an_eased_rule() -> None:
    """Who is exempted from a rule stays so while that rule is eased, and nothing else changes for it."""
    exempt = Rule("vip", Always(), EXEMPTS)
    for easing in Easing:
        assert ACCEPT is eased(easing, GUARD, exempt).disposition


@pytest.mark.parametrize(
    ("rule", "restraint", "expected"),
    [
        (Rule("r", Always(), REFUSES), Restraint({}, SHADOW), ACCEPT),
        (Rule("r", Always(), REFUSES, kept=True), Restraint({}, SHADOW), REJECT),
        (Rule("r", Always(), REFUSES, kept=True), Restraint({"r": SOFT}, SHADOW), DEFERRED),
        (Rule("r", Always(), REFUSES), Restraint({"r": SOFT}, SHADOW), ACCEPT),
        (Rule("r", Always(), REFUSES, mode=Mode.SHADOW), Restraint({"r": DEFER}), ACCEPT),
        (Rule("r", Always(), REFUSES, mode=Mode.OFF), Restraint({"r": DEFER}), ACCEPT),
        (Rule("r", Always(), REFUSES, schedule=Schedule(end=NOW - 1)), Restraint({"r": DEFER}), ACCEPT),
        (Rule("r", Never(), REFUSES), Restraint({"r": SOFT}), ACCEPT),
        (Rule("r", LASTING, REFUSES, on_uninspected=OnUninspected.REJECT), Restraint(), REJECT),
        (Rule("r", LASTING, REFUSES, on_uninspected=OnUninspected.REJECT), Restraint({"r": SOFT}), DEFERRED),
        (Rule("r", LASTING, EDITS, on_uninspected=OnUninspected.REJECT), Restraint({"r": SOFT}), DEFERRED),
        (Rule("r", PASSING, REFUSES, on_error=OnError.DEFER), Restraint({}, SHADOW), ACCEPT),
        (Rule("r", Always(), Actions(), state=EntryState.DEFERRING), Restraint({}, SHADOW), ACCEPT),
        (Rule("r", Always(), Actions(), state=EntryState.DEFERRING), Restraint({"r": SKIP}), ACCEPT),
        (Rule("r", Always(), REFUSES, state=EntryState.STALE), Restraint({"r": SOFT}), DEFERRED),
    ],
    ids=[
        "all", "kept", "kept-but-named", "all-and-named", "shadow-mode", "off", "expired", "no-match", "uninspected",
        "uninspected-soft", "uninspected-edit", "doubt-in-shadow", "deferring-in-shadow", "deferring-skipped", "stale",
    ],
)  # fmt: skip
def test_a_restraint(rule: Rule, restraint: Restraint, expected: Disposition) -> None:
    """What is left of one rule."""
    assert expected is verdict_of(restraint, rule).disposition


@pytest.mark.parametrize(
    "do",
    [
        Actions(edits=(RemoveRecipient("bob@example.net"),)),
        Actions(edits=(Redirect("a@example.com", matched=True),)),
        Actions(edits=(AddRecipient("a@example.com"), Bcc("b@example.com"))),
    ],
    ids=["remove", "redirect", "add"],
)
def test_edits_wait_or_vanish(do: Actions) -> None:
    """An edit whose rule is not asked is in doubt with DEFER, and not made with SHADOW and SKIP."""
    rule = Rule("r", Always(), do)
    assert DEFERRED is eased(DEFER, rule).disposition
    for easing in (SHADOW, SKIP):
        verdict = eased(easing, rule)
        assert (ACCEPT, False) == (verdict.disposition, bool(verdict.changes))
    assert verdict_of(Restraint(), rule).changes == eased(SOFT, rule).changes


def test_soft_speaks_for_itself() -> None:
    """The reply is of the fourth class, in words that fit; the rule is named, and the trail says that it was eased."""
    verdict = eased(SOFT, GUARD)
    assert "451 4.7.1 Please try again later (R3F)" == str(verdict.reply)
    assert ("guard", True, (SOFT,)) == (verdict.rule, verdict.certain, tuple(mark.eased for mark in verdict.trail))


def test_the_trail_names_what_was_not_asked() -> None:
    """A rule that was skipped stands in it as UNKNOWN: it might have concerned the message."""
    (mark,) = eased(SKIP, GUARD).trail
    assert ("guard", Truth.UNKNOWN, SKIP) == (mark.rule, mark.truth, mark.eased)


def test_at_rcpt() -> None:
    """The same for a rule that is judged for each recipient, and for the exempts that name it."""
    transaction = a_transaction(message=False)
    recipient = transaction.envelope.recipients[0]
    rule = Rule("guard", Always(), REFUSES, per_recipient=True)
    exempt = Rule("vip", Always(), EXEMPTS)

    def said(restraint: Restraint, *rules: Rule) -> Disposition | None:
        found = judge_recipient(transaction, recipient, FakePolicies(rules), NOW, restraint=restraint)
        return found.disposition if found is not None else None

    assert [REJECT, DEFERRED, ACCEPT, ACCEPT, DEFERRED] == [
        said(Restraint({"guard": easing} if easing else {}), rule) for easing in (None, *Easing)
    ]
    assert [ACCEPT, ACCEPT, ACCEPT, DEFERRED, DEFERRED] == [
        said(Restraint({"vip": easing} if easing else {}), rule, exempt) for easing in (None, *Easing)
    ]


def test_local_mail() -> None:
    """A rule for each recipient counts for the message as a whole there, eased as well."""
    rule = Rule("r", Always(), REFUSES, per_recipient=True)
    found = [verdict_of(Restraint({"r": one}), rule, local=True).disposition for one in Easing]
    assert [DEFERRED, ACCEPT, ACCEPT, DEFERRED] == found


def test_explain_goes_by_the_restraint() -> None:
    """The verdict that is explained is the one that would be given."""
    found = explain(a_transaction(), FakePolicies([GUARD]), NOW, Restraint({}, SHADOW))
    assert (ACCEPT, "eased: evaluated, without effect") == (found.verdict.disposition, found.rules[0].why_not)
