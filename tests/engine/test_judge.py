"""The verdict, sentence by sentence of DESIGN section 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tidegate.engine.judge import MAX_ALONE, judge
from tidegate.model import (
    Actions,
    AddHeader,
    AddRecipient,
    AllOf,
    Always,
    AnyOf,
    Cause,
    Condition,
    Disposition,
    Doubt,
    Ending,
    EntryState,
    Exempt,
    Mode,
    Never,
    Not,
    OnError,
    OnUninspected,
    Operator,
    RemoveRecipient,
    ReplyTemplate,
    Rule,
    SetHeader,
    Template,
    Transaction,
    Truth,
    Unknowable,
    Verdict,
)
from tidegate.model import Test as FieldTest

PASSING = Unknowable(Cause(Doubt.PASSING, "the store is away"))
LASTING = Unknowable(Cause(Doubt.LASTING, "encrypted"))
ACCEPT, DISCARD, HOLD, DEFER, REJECT = Disposition
YES, NO, UNKNOWN = Always(), Never(), PASSING


def reject(text: str = "no", code: str = "550 5.7.1") -> Actions:
    """`do: {reject: …}`."""
    return Actions(Ending(REJECT, ReplyTemplate(int(code[:3]), code[4:], Template(text))))


def defer(text: str = "later", code: str = "450 4.7.1") -> Actions:
    """`do: {defer: …}`."""
    return Actions(Ending(DEFER, ReplyTemplate(int(code[:3]), code[4:], Template(text))))


def hold(reason: str = "look") -> Actions:
    """`do: {hold: …}`."""
    return Actions(Ending(HOLD, reason=Template(reason)))


DISCARDS = Actions(Ending(DISCARD))


def sets(value: str, name: str = "X-A") -> Actions:
    """`do: {set_header: …}`."""
    return Actions(edits=(SetHeader(name, (Template(value),)),))


def exempts(*targets: str) -> Actions:
    """`do: {exempt: […]}`."""
    return Actions(exempt=Exempt(targets))


def verdict_of(rules: Sequence[Rule], transaction: Transaction | None = None, now: float = NOW) -> Verdict:
    """The verdict on a plain message."""
    return judge(transaction or a_transaction(), FakePolicies(rules), now)


def said(verdict: Verdict) -> str:
    """The reply in full."""
    return str(verdict.reply)


def test_no_rule_concerns_it() -> None:
    """Without any policy, or with rules about others, mail is accepted; generation and digest are named."""
    assert Verdict(ACCEPT, generation=1, digest="d1") == verdict_of([])
    assert Verdict(ACCEPT, generation=1, digest="d1") == verdict_of([Rule("r", NO, reject())])


def test_the_plain_verdict_is_made_once_for_each_generation() -> None:
    """Accepted mail is most of the mail."""
    assert verdict_of([]) is verdict_of([])
    other = judge(a_transaction(), FakePolicies([], number=2, digest="d2"), NOW)
    assert (2, "d2") == (other.generation, other.digest)


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ((reject(), defer(), hold(), DISCARDS, sets("x")), REJECT),
        ((defer(), hold(), DISCARDS, sets("x")), DEFER),
        ((hold(), DISCARDS, sets("x")), HOLD),
        ((DISCARDS, sets("x")), DISCARD),
        ((sets("x"),), ACCEPT),
    ],
    ids=["reject", "defer", "hold", "discard", "accept"],
)
def test_the_strictest_disposition_wins(actions: tuple[Actions, ...], expected: Disposition) -> None:
    """reject > defer > hold > discard > accept, in whatever order and with whatever priority."""
    rules = [Rule(f"r{number}", YES, do, priority=900 - number) for number, do in enumerate(actions)]
    assert expected is verdict_of(rules).disposition
    assert expected is verdict_of(rules[::-1]).disposition


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [(("b", 10), ("a", 20), "b"), (("b", 10), ("a", 10), "a")],
    ids=["the lower priority number", "then the id"],
)
def test_among_equals(first: tuple[str, int], second: tuple[str, int], winner: str) -> None:
    """Of two equally strict rules the lower priority number, then the id, gives the reply; the other lost to it."""
    rules = [Rule(name, YES, reject(f"by {name}"), priority=priority) for name, priority in (first, second)]
    verdict = verdict_of(rules)
    assert (winner, f"550 5.7.1 by {winner}") == (verdict.rule, said(verdict))
    assert [("", winner)[mark.rule != winner] for mark in verdict.trail] == [mark.lost_to for mark in verdict.trail]


def test_a_hold_has_its_reason() -> None:
    """The reason is expanded like a reply, and is one safe line."""
    assert ("look at alice@example.com", None) == (
        verdict_of([Rule("r", YES, hold("look at {sender.address}"))]).reason,
        verdict_of([Rule("r", YES, hold("look at {sender.address}"))]).reply,
    )


# The bracket.


def test_a_doubt_that_decides_defers() -> None:
    """If the ends differ the answer is 451, temporary, with the reference and the doubtful rule's name."""
    verdict = verdict_of([Rule("r", UNKNOWN, reject())])
    assert (DEFER, False, "r", "the store is away") == (
        verdict.disposition,
        verdict.certain,
        verdict.rule,
        verdict.reason,
    )
    assert "451 4.3.0 Temporary failure in our policy check, please try again later (R3F)" == said(verdict)


def test_a_doubt_that_cannot_matter_delays_nothing() -> None:
    """The reply is the certain rule's, though the one in doubt has the lower priority number."""
    rules = [Rule("a", UNKNOWN, reject("a"), priority=1), Rule("b", YES, reject("b"), priority=2)]
    verdict = verdict_of(rules)
    assert ("b", "550 5.7.1 b", True) == (verdict.rule, said(verdict), verdict.certain)


@pytest.mark.parametrize("weaker", [defer(), hold(), DISCARDS, sets("x"), exempts("other")], ids=str)
def test_a_weaker_doubt_under_a_rejection(weaker: Actions) -> None:
    """Where the message is refused anyway, milder dispositions, edits and exempts of others in doubt don't count."""
    verdict = verdict_of([Rule("a", UNKNOWN, weaker), Rule("b", YES, reject())])
    assert (REJECT, True) == (verdict.disposition, verdict.certain)


def test_edits_in_doubt_count_where_the_message_goes_on() -> None:
    """One header in doubt that another rule may set decides nothing if that rule wins anyway."""
    in_doubt = Rule("b", UNKNOWN, sets("b"), priority=50)
    assert DEFER is verdict_of([in_doubt]).disposition
    assert ACCEPT is verdict_of([in_doubt, Rule("a", YES, sets("a"), priority=10)]).disposition
    assert DEFER is verdict_of([in_doubt, Rule("c", YES, sets("c"), priority=90)]).disposition


def test_remove_and_add_in_doubt() -> None:
    """`remove a` and `add a` look alike at both ends and lose `a` in between: 451."""
    removes, adds = RemoveRecipient("bob@example.net"), AddRecipient("bob@example.net")
    rules = [Rule("a", UNKNOWN, Actions(edits=(removes,))), Rule("b", UNKNOWN, Actions(edits=(adds,)))]
    assert DEFER is verdict_of(rules).disposition


def test_a_rule_that_acts_and_exempts_is_judged_as_two() -> None:
    """r0 (in doubt) defers and exempts r1 (in doubt), which defers: it may be that neither does, so it is 451."""
    both = Actions(defer("r0").ending, exempt=Exempt(("r1",)))
    verdict = verdict_of([Rule("r0", UNKNOWN, both), Rule("r1", UNKNOWN, defer("r1"))])
    assert (DEFER, False) == (verdict.disposition, verdict.certain)
    certain = verdict_of([Rule("r0", YES, both), Rule("r1", UNKNOWN, reject("r1"))])
    assert (DEFER, True, "r0") == (certain.disposition, certain.certain, certain.rule)


def test_what_is_certain_is_not_made_milder() -> None:
    """A certain deferral keeps its own reply while a rejection is in doubt."""
    verdict = verdict_of([Rule("a", UNKNOWN, reject()), Rule("b", YES, defer("later"))])
    assert (DEFER, "450 4.7.1 later", "b", False) == (
        verdict.disposition,
        said(verdict),
        verdict.rule,
        verdict.certain,
    )


# skip, and what a retry can't cure.


@pytest.mark.parametrize(
    ("when", "changes"),
    [
        (PASSING, {"on_error": OnError.SKIP}),
        (LASTING, {"on_uninspected": OnUninspected.SKIP}),
        (LASTING, {}),
    ],
    ids=["on_error: skip", "on_uninspected: skip", "on_uninspected is skip unless it says otherwise"],
)
def test_skip_counts_as_not_matched(when: Condition, changes: dict[str, object]) -> None:
    """An UNKNOWN rule with `skip` does not act, and stands in the trail with its cause."""
    verdict = verdict_of([replace(Rule("r", when, reject()), **changes)])  # type: ignore[arg-type]
    assert (ACCEPT, True) == (verdict.disposition, verdict.certain)
    assert [("r", Truth.UNKNOWN)] == [(mark.rule, mark.truth) for mark in verdict.trail]
    assert verdict.trail[0].cause is not None


@pytest.mark.parametrize(
    ("declared", "disposition", "reply"),
    [
        (OnUninspected.HOLD, HOLD, "None"),
        (OnUninspected.DEFER, DEFER, "451 4.3.0 Temporary failure in our policy check, please try again later (R3F)"),
        (OnUninspected.REJECT, REJECT, "550 5.7.1 This message can't be inspected (R3F)"),
    ],
)
def test_a_lasting_doubt_gets_what_the_rule_declares(
    declared: OnUninspected, disposition: Disposition, reply: str
) -> None:
    """A retry can't cure it, so it does not wait five days and bounce."""
    verdict = verdict_of([Rule("r", LASTING, reject("matched"), on_uninspected=declared)])
    assert (disposition, reply, "encrypted") == (verdict.disposition, said(verdict), verdict.reason)


def test_of_several_lasting_doubts_the_strictest_declaration() -> None:
    """hold and defer: defer."""
    rules = [
        Rule("a", LASTING, reject(), on_uninspected=OnUninspected.HOLD),
        Rule("b", LASTING, reject(), on_uninspected=OnUninspected.DEFER),
    ]
    assert (DEFER, "b") == (verdict_of(rules).disposition, verdict_of(rules).rule)


def test_a_passing_doubt_beside_a_lasting_one() -> None:
    """While a passing doubt counts, the message waits for it; one that moves neither end does not make it wait."""
    lasting = Rule("a", LASTING, reject(), on_uninspected=OnUninspected.HOLD)
    moves = verdict_of([lasting, Rule("b", PASSING, defer())])
    assert (DEFER, "b") == (moves.disposition, moves.rule)
    beside = verdict_of([lasting, Rule("c", YES, hold()), Rule("b", PASSING, hold(), priority=1)])
    assert (HOLD, "c") == (beside.disposition, beside.rule)


def test_a_doubt_of_both_kinds_is_passing() -> None:
    """Lasting means lasting through and through: a retry might settle this one."""
    both = AnyOf((LASTING, PASSING))
    verdict = verdict_of([Rule("r", both, reject(), on_uninspected=OnUninspected.REJECT)])
    assert (DEFER, False) == (verdict.disposition, verdict.certain)


@pytest.mark.parametrize("state", [EntryState.DEFERRING, EntryState.STALE])
def test_a_broken_entry_never_refuses_for_good(state: EntryState) -> None:
    """`on_uninspected: reject` is a 5xx only from a rule that is valid and in force."""
    verdict = verdict_of([Rule("r", LASTING, reject(), on_uninspected=OnUninspected.REJECT, state=state)])
    assert DEFER is verdict.disposition


def test_a_hold_in_doubt_keeps_what_is_certain() -> None:
    """The edits of certain rules stay with a message that is held for a doubt."""
    rules = [Rule("a", LASTING, reject(), on_uninspected=OnUninspected.HOLD), Rule("b", YES, sets("certain"))]
    verdict = verdict_of(rules)
    assert (HOLD, ("certain",)) == (verdict.disposition, verdict.changes.headers[0].values)


# Exempts.


@pytest.mark.parametrize("target", ["r", "tag"], ids=["by id", "by tag"])
def test_an_exempt_silences_what_it_names(target: str) -> None:
    """The silenced rule is in the trail with the exempt that did it; others act."""
    rules = [
        Rule("r", YES, reject(), tags=("tag",)),
        Rule("other", YES, sets("x")),
        Rule("e", YES, exempts(target)),
    ]
    verdict = verdict_of(rules)
    assert (ACCEPT, {"e": "", "other": "", "r": "e"}) == (
        verdict.disposition,
        {mark.rule: mark.exempted_by for mark in verdict.trail},
    )
    assert verdict.changes.headers


def test_exempt_all() -> None:
    """`exempt: all` silences every other rule, and not itself."""
    do = Actions(edits=sets("x").edits, exempt=Exempt(everything=True))
    verdict = verdict_of([Rule("r", YES, reject()), Rule("e", YES, do)])
    assert (ACCEPT, "x") == (verdict.disposition, verdict.changes.headers[0].values[0])


def test_an_exempt_cannot_be_exempted() -> None:
    """e1 names e2, which names r: r is silenced all the same."""
    verdict = verdict_of([Rule("r", YES, reject()), Rule("e2", YES, exempts("r")), Rule("e1", YES, exempts("e2"))])
    assert ACCEPT is verdict.disposition


@pytest.mark.parametrize(
    ("exempt", "certain"),
    [
        (Rule("e", UNKNOWN, exempts("r")), False),
        (Rule("e", UNKNOWN, exempts("r"), on_error=OnError.SKIP), False),
        (Rule("e", LASTING, exempts("r")), False),
        (Rule("e", YES, exempts("r"), state=EntryState.SKIPPED), False),
        (Rule("e", YES, exempts("r"), state=EntryState.STALE), False),
        (Rule("e", YES, exempts("r"), state=EntryState.DEFERRING), False),
    ],
    ids=["in doubt", "has no skip", "skipped as uninspected", "skipped as broken", "stale", "broken"],
)
def test_while_an_exempt_is_in_doubt_its_rules_answer_4xx(exempt: Rule, certain: bool) -> None:
    """Nobody knows whether the rule was silenced, so it does not refuse for good; a rule not named does."""
    verdict = verdict_of([Rule("r", YES, reject()), exempt])
    assert (DEFER, certain, 451) == (
        verdict.disposition,
        verdict.certain,
        verdict.reply.code if verdict.reply else None,
    )
    other = verdict_of([Rule("r", YES, reject()), exempt, Rule("z", YES, reject("z"), priority=999)])
    assert (REJECT, "z") == (other.disposition, other.rule)


def test_an_exempt_that_is_certain_not_to_match() -> None:
    """A skipped exempt whose condition is NO casts no doubt."""
    exempt = Rule("e", NO, exempts("r"), state=EntryState.SKIPPED)
    assert REJECT is verdict_of([Rule("r", YES, reject()), exempt]).disposition


def test_a_lasting_doubt_of_an_exempt() -> None:
    """`hold` of an exempt that can't be judged; it has no 5xx to declare."""
    rule = Rule("r", YES, reject())
    held = verdict_of([rule, Rule("e", LASTING, exempts("r"), on_uninspected=OnUninspected.HOLD)])
    refused = verdict_of([rule, Rule("e", LASTING, exempts("r"), on_uninspected=OnUninspected.REJECT)])
    assert (HOLD, DEFER) == (held.disposition, refused.disposition)


# Broken and stale entries.


def test_a_deferring_entry_of_which_nothing_is_known() -> None:
    """A broken entry without a readable `do` may do anything: what no rule refuses waits."""
    broken = Rule("r", YES, Actions(), state=EntryState.DEFERRING)
    assert DEFER is verdict_of([broken]).disposition
    assert (REJECT, "s") == (verdict_of([broken, Rule("s", YES, reject())]).disposition, "s")


def test_a_stale_rule_serves_where_it_is_stricter() -> None:
    """The last good version refuses as it did."""
    assert REJECT is verdict_of([Rule("r", YES, reject(), state=EntryState.STALE)]).disposition


@pytest.mark.parametrize(
    "when",
    [AllOf((YES, Not(YES))), AnyOf((NO, Not(YES)))],
    ids=["all", "any"],
)
def test_what_a_stale_rule_lets_through_is_in_doubt(when: Condition) -> None:
    """A `not` that lets this message through may have been edited away."""
    assert ACCEPT is verdict_of([Rule("r", when, reject())]).disposition
    assert DEFER is verdict_of([Rule("r", when, reject(), state=EntryState.STALE)]).disposition


@pytest.mark.parametrize("state", [EntryState.TRIPPED, EntryState.OFF, EntryState.EXPIRED, EntryState.SKIPPED])
def test_states_that_take_no_part(state: EntryState) -> None:
    """Such a rule does not act and is not in the trail."""
    verdict = verdict_of([Rule("r", YES, reject(), state=state)])
    assert (ACCEPT, ()) == (verdict.disposition, verdict.trail)


# Shadow.


def test_shadow_changes_nothing_but_would() -> None:
    """Evaluated and logged as `would`, alone and together; verdict, reply and edits are as without it."""
    rules = [Rule("a", YES, hold("a")), Rule("b", YES, sets("b"))]
    shadow = [
        Rule("s", YES, reject(), mode=Mode.SHADOW, priority=1),
        Rule("t", YES, sets("t"), mode=Mode.SHADOW, priority=1),
        Rule("e", YES, exempts("a"), mode=Mode.SHADOW),
    ]
    plain, verdict = verdict_of(rules), verdict_of([*shadow, *rules])
    enforced = tuple(mark for mark in verdict.trail if not mark.shadow)
    assert plain == replace(verdict, trail=enforced, would=None)
    alone = {mark.rule: mark.would for mark in verdict.trail if mark.shadow}
    assert (REJECT, {"s": REJECT, "t": HOLD, "e": ACCEPT}) == (verdict.would, alone)


def test_not_every_shadow_rule_is_told_alone() -> None:
    """Each is a judgement of its own, so there are as many as the log names."""
    verdict = verdict_of([Rule(f"s{n:03}", YES, hold(), mode=Mode.SHADOW) for n in range(MAX_ALONE + 5)])
    assert [HOLD] * MAX_ALONE + [None] * 5 == [mark.would for mark in verdict.trail]


@pytest.mark.parametrize(
    ("shadow", "would"),
    [(exempts("a"), ACCEPT), (hold(), None), (defer(), DEFER)],
    ids=["milder", "the same", "stricter"],
)
def test_would(shadow: Actions, would: Disposition | None) -> None:
    """What the disposition would be with all shadow rules enforced, where that differs."""
    verdict = verdict_of([Rule("a", YES, hold()), Rule("s", YES, shadow, mode=Mode.SHADOW)])
    assert (HOLD, would) == (verdict.disposition, verdict.would)


def test_a_shadow_rule_in_doubt() -> None:
    """A doubt in shadow delays nothing."""
    verdict = verdict_of([Rule("s", UNKNOWN, reject(), mode=Mode.SHADOW)])
    assert (ACCEPT, None, DEFER, True) == (verdict.disposition, verdict.reply, verdict.would, verdict.certain)


# The trail.


def test_the_trail() -> None:
    """Which rules matched and on what, which were unknown and why; rules that are NO are not in it."""
    login = FieldTest("login", Operator.IN, (), "suspended")
    rules = [Rule("a", login, reject()), Rule("b", PASSING, sets("b")), Rule("c", NO, reject())]
    policies = FakePolicies(rules, {"suspended": ("login", ["alice@example.com"])})
    trail = judge(a_transaction(), policies, NOW).trail
    assert ["a", "b"] == [mark.rule for mark in trail]
    assert ("login in suspended: alice@example.com", None) == (trail[0].hit, trail[0].cause)
    assert ("", Cause(Doubt.PASSING, "the store is away")) == (trail[1].hit, trail[1].cause)


def test_edits_of_a_refused_message_lost() -> None:
    """Edits only count where the message goes on."""
    for stops in (reject(), defer(), DISCARDS):
        verdict = verdict_of([Rule("a", YES, sets("a")), Rule("b", YES, stops)])
        assert (False, "b") == (bool(verdict.changes), verdict.trail[0].lost_to)
    held = verdict_of([Rule("a", YES, sets("a")), Rule("b", YES, hold())])
    assert (True, "") == (bool(held.changes), held.trail[0].lost_to)


def test_two_rules_set_one_header() -> None:
    """The lower priority number wins, the other is in the trail."""
    verdict = verdict_of([Rule("a", YES, sets("a"), priority=20), Rule("b", YES, sets("b"), priority=10)])
    assert [("X-A", ("b",), True, "b")] == [(h.name, h.values, h.replace, h.rule) for h in verdict.changes.headers]
    assert {"a": "b", "b": ""} == {mark.rule: mark.lost_to for mark in verdict.trail}


def test_nobody_left_is_held() -> None:
    """Recipients are never empty: the message is held, with all its recipients and the edits of its headers."""
    edits = (RemoveRecipient("bob@example.net"), AddHeader("X-A", (Template("a"),)))
    verdict = verdict_of([Rule("r", YES, Actions(edits=edits))])
    assert (HOLD, "no recipient would be left", "r", ()) == (
        verdict.disposition,
        verdict.reason,
        verdict.rule,
        verdict.changes.remove_recipients,
    )
    assert verdict.changes.headers
