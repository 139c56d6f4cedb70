"""Whole verdicts on random policies and hostile messages: what holds for all of them.

The order of rules decides nothing; the index changes nothing; shadow changes nothing; every reply is well-formed; a 5xx
comes from a rule that was certain; a rule that is NO, or in doubt where it can't matter, changes nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tests.engine.test_candidates import SPECS, a_condition, a_message, indexed
from tests.property.test_bracket import EDITS
from tidegate.engine.judge import judge, judge_recipient
from tidegate.engine.metering import Meter
from tidegate.limits import Stated
from tidegate.model import (
    Actions,
    Always,
    Cause,
    Counting,
    Disposition,
    Doubt,
    Ending,
    EntryState,
    ExceptClause,
    Exempt,
    Limit,
    Mode,
    Never,
    OnError,
    OnUninspected,
    Recipient,
    ReplyTemplate,
    Rule,
    Template,
    Truth,
    Unknowable,
    Verdict,
)

SEEDS = st.integers(0, 2**40)
TEXTS = ("no", "you are {sender.address}, {login}", "{subject} {ref} {rcpt.address}", "100 % {{}}", "{client.name}")
STATES = (*[EntryState.ACTIVE] * 8, EntryState.STALE, EntryState.DEFERRING, EntryState.SKIPPED, EntryState.TRIPPED)


def an_ending(roll: random.Random) -> Ending | None:
    """A random disposition with what belongs to it."""
    text = Template(roll.choice(TEXTS))
    return roll.choice(
        (
            None,
            Ending(Disposition.REJECT, ReplyTemplate(550, "5.7.1", text)),
            Ending(Disposition.DEFER, ReplyTemplate(450, "4.7.1", text)),
            Ending(Disposition.HOLD, reason=text),
            Ending(Disposition.DISCARD),
        )
    )


def a_rule(roll: random.Random, number: int) -> Rule:
    """A random rule: anything that the builder may make."""
    exempt = Exempt((f"r{roll.randrange(8)}", "tag")) if roll.random() < 0.25 else None
    ending = an_ending(roll)
    doubt = Unknowable(Cause(roll.choice(tuple(Doubt)), "why"))
    return Rule(
        f"r{number}",
        roll.choice((Always(), doubt, a_condition(roll), a_condition(roll))),
        Actions(ending, (roll.choice(EDITS),) if roll.random() < 0.4 else (), exempt),
        priority=roll.choice((10, 100, 100)),
        mode=roll.choice((Mode.ENFORCE, Mode.ENFORCE, Mode.ENFORCE, Mode.SHADOW, Mode.OFF)),
        state=roll.choice(STATES),
        tags=("tag",) if roll.random() < 0.2 else (),
        exceptions=(ExceptClause("x", a_condition(roll)),) if roll.random() < 0.2 else (),
        on_error=roll.choice((OnError.DEFER, OnError.DEFER, OnError.SKIP)),
        on_uninspected=roll.choice(tuple(OnUninspected)),
        inbound=roll.random() < 0.5,
        per_recipient=roll.random() < 0.1,
    )


def a_policy(roll: random.Random) -> list[Rule]:
    """One to eight rules, some of them with limits."""
    rules = [a_rule(roll, number) for number in range(roll.randint(1, 8))]
    return [_limited(rule, roll) for rule in rules]


def _limited(rule: Rule, roll: random.Random) -> Rule:
    if rule.do.exempt is not None or rule.per_recipient or roll.random() < 0.7:
        return rule
    limits = (Limit("hour", roll.choice((("login",), ())), Counting.MESSAGES, 10, 3600.0), a_day())
    return replace(rule, limits=limits[: roll.choice((1, 2))])


def a_day() -> Limit:
    return Limit("day", ("sender.domain",), Counting.RECIPIENTS, 1000, 86400.0)


def meter(seed: int) -> Meter:
    """Some of the limits are used up, and some can't be asked."""
    roll = random.Random(seed)
    names = [(f"r{number}", limit) for number in range(8) for limit in ("hour", "day")]
    return Meter(Stated({name: roll.choice((0, 9, 10, 10, 1000, None)) for name in names}))


def judged(rules: Sequence[Rule], seed: int) -> Verdict:
    """The verdict of these rules, found through their real index, on the message of that seed."""
    return judge(a_message(random.Random(seed)), indexed(rules, SPECS), NOW, meter=meter(seed))


@settings(max_examples=200, deadline=None)
@given(SEEDS, st.randoms())
def test_the_order_of_rules_is_nothing(seed: int, shuffler: random.Random) -> None:
    """Verdict, reply, edits and trail are the same however the rules are ordered."""
    rules = a_policy(random.Random(seed))
    shuffled = list(rules)
    shuffler.shuffle(shuffled)
    assert judged(rules, seed) == judged(shuffled, seed)


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_the_index_changes_nothing(seed: int) -> None:
    """Asking every rule gives the same verdict as asking those that the index finds."""
    rules = a_policy(random.Random(seed))
    asked = judge(a_message(random.Random(seed)), FakePolicies(rules, SPECS), NOW, meter=meter(seed))
    assert asked == judged(rules, seed)


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_shadow_changes_nothing(seed: int) -> None:
    """Without its shadow rules a policy gives the same verdict, reply and edits."""
    rules = a_policy(random.Random(seed))
    verdict = judged(rules, seed)
    enforced = tuple(mark for mark in verdict.trail if not mark.shadow)
    alone = judged([rule for rule in rules if rule.mode is not Mode.SHADOW], seed)
    limits = tuple(use for use in verdict.limits if not use.shadow)
    assert alone == replace(verdict, trail=enforced, would=None, limits=limits)


@settings(max_examples=200, deadline=None)
@given(SEEDS)
@example(20583)  # a rule that is silenced, and whose own exempt can't be inspected
def test_a_5xx_comes_from_a_rule_that_is_certain(seed: int) -> None:
    """The refusing rule is enforced, in force, and YES; or its lasting doubt is what it declares `reject` for."""
    rules = a_policy(random.Random(seed))
    verdict = judged(rules, seed)
    if verdict.disposition is Disposition.REJECT:
        (rule,) = (one for one in rules if one.id == verdict.rule)
        (mark,) = (one for one in verdict.trail if one.rule == verdict.rule)
        assert verdict.certain
        assert (False, "", "") == (mark.shadow, mark.exempted_by, mark.lost_to)
        if mark.truth is Truth.YES:
            assert rule.state in (EntryState.ACTIVE, EntryState.STALE)
            assert rule.do.ending is not None
            assert Disposition.REJECT is rule.do.ending.disposition
        else:
            assert EntryState.ACTIVE is rule.state
            assert OnUninspected.REJECT is rule.on_uninspected
            assert mark.cause is not None
            assert Doubt.LASTING is mark.cause.doubt
        assert not exempts_in_doubt(rules, rule, verdict)
    if not verdict.certain:
        assert Disposition.REJECT is not verdict.disposition


def exempts_in_doubt(rules: Sequence[Rule], target: Rule, verdict: Verdict) -> list[str]:
    """The exempts that name `target` and are UNKNOWN, skipped or stale in this verdict."""
    marks = {mark.rule: mark for mark in verdict.trail if not mark.shadow}
    return [
        one.id
        for one in rules
        if one.do.exempt is not None
        and one.id in marks
        and one is not target
        and {target.id, *target.tags} & {*one.do.exempt.names}
        and (marks[one.id].truth is Truth.UNKNOWN or one.state is EntryState.STALE)
    ]


@settings(max_examples=200, deadline=None)
@given(
    SEEDS,
    st.text(alphabet=st.characters(), max_size=500),
    st.binary(max_size=500),
    st.text(alphabet=st.characters(), max_size=50),
)
def test_every_reply_is_well_formed(seed: int, text: str, raw: bytes, name: str) -> None:
    """Whatever the client says, in whatever field: one class, one line, printable ASCII, at most 400 characters."""
    rules = a_policy(random.Random(seed))
    to = f"{name}@example.net"
    transaction = a_transaction(text, text, (to,), (("Subject", raw), ("From", raw)), name=name, helo=text)
    policies = indexed(rules, SPECS)
    for verdict in (
        judge(transaction, policies, NOW),
        judge_recipient(replace(transaction, message=None), Recipient(to), policies, NOW),
    ):
        if verdict is None:
            continue
        first = {Disposition.REJECT: 5, Disposition.DEFER: 4}.get(verdict.disposition)
        assert (first is None) == (verdict.reply is None)
        if verdict.reply is not None:
            assert (first, f"{first}.") == (verdict.reply.code // 100, verdict.reply.enhanced[:2])
            assert 0 < len(verdict.reply.text) <= 400
            assert verdict.reply.text.isascii()
            assert verdict.reply.text.isprintable()
        for value in (value for change in verdict.changes.headers for value in change.values):
            assert value.isascii()
            assert all(line[:1] in (" ", "\t") for line in value.split("\n")[1:])


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_rules_that_do_not_matter_change_nothing(seed: int) -> None:
    """A rule that is NO, one that is off, and an edit in doubt of a message that is refused for certain."""
    rules = a_policy(random.Random(seed))
    verdict = judged(rules, seed)
    off = Rule("z0", Always(), Actions(Ending(Disposition.DISCARD)), mode=Mode.OFF)
    never = Rule("z1", Never(), Actions(Ending(Disposition.DISCARD), exempt=Exempt(everything=True)))
    assert verdict == judged([off, never, *rules], seed)
    sure = any(mark.rule == verdict.rule and mark.truth is Truth.YES for mark in verdict.trail)
    if sure and verdict.certain and verdict.disposition in (Disposition.REJECT, Disposition.DEFER):
        doubt = Rule(
            "z2", Unknowable(Cause(Doubt.PASSING, "why")), Actions(Ending(Disposition.HOLD), EDITS[:1]), inbound=True
        )
        again = judged([doubt, *rules], seed)
        assert (verdict.disposition, verdict.reply, verdict.rule) == (again.disposition, again.reply, again.rule)


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_somebody_always_gets_a_message_that_goes_on(seed: int) -> None:
    """Recipients are never empty, and nobody is added who is there already."""
    message = a_message(random.Random(seed))
    changes = judged(a_policy(random.Random(seed)), seed).changes
    accepted = {one.address for one in message.envelope.recipients}
    assert set(changes.remove_recipients) <= accepted
    assert (accepted - set(changes.remove_recipients)) | set(changes.add_recipients) | set(changes.bcc)
    assert len({*changes.add_recipients, *changes.bcc}) == len(changes.add_recipients) + len(changes.bcc)
    assert not accepted & {*changes.add_recipients, *changes.bcc}
