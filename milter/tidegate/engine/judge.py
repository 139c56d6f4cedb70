"""The whole judgement: which rules, what truth, the bracket, the edits, the reply, the trail. One value comes out.

Promises: the same transaction, policy set and time give the same verdict, whatever the order of the rules. Every reply
is well-formed whatever the client sent. Rules in shadow change nothing but `would` and their own marks in the trail.
Refuses: clocks, I/O, and a 5xx from a rule in doubt (engine/bracket.py says what that means).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from tidegate.conditions.facts import Facts
from tidegate.conditions.placeholders import expand
from tidegate.engine.bracket import Outcome, ending, names, settle, strength
from tidegate.engine.candidates import candidates
from tidegate.engine.changes import MakeValues, Settled, settle_edits
from tidegate.engine.easing import shadowed
from tidegate.engine.explain import Explanation, explain_rule, not_asked
from tidegate.engine.inquiry import UNWATCHED, Inquiry, Watch
from tidegate.engine.local import hold_null_sender
from tidegate.engine.match import as_at_rcpt, stand
from tidegate.engine.metering import Meter, metered
from tidegate.engine.parts import Accepted, Stand, rank
from tidegate.engine.placeholders import Values
from tidegate.engine.reply import make_reply, safe_text, temporary, uninspected
from tidegate.engine.suspending import suspensions
from tidegate.model import (
    NO_RESTRAINT,
    Actions,
    Changes,
    Disposition,
    LimitUse,
    Mark,
    PolicySet,
    Recipient,
    Reply,
    Restraint,
    Rule,
    Transaction,
    Truth,
    Verdict,
)

_GOES_ON = (Disposition.ACCEPT, Disposition.HOLD)
MAX_ALONE = 20
"""Rules in shadow of which it is told what each alone would do: as many as the decision line names."""
_NOBODY_LEFT = "no recipient would be left"
_NOT_ALL = "there are recipients that can't be read, so not all of them can be removed or redirected"
_EXEMPT_IN_DOUBT = "an exempt that names the rule is broken, or can't be judged"


def judge(
    transaction: Transaction,
    policies: PolicySet,
    now: float,
    watch: Watch = UNWATCHED,
    restraint: Restraint = NO_RESTRAINT,
    meter: Meter | None = None,
) -> Verdict:
    """The verdict on a whole message, at its end; `now` in POSIX seconds.

    `meter` asks limits: the same one for all judgements of a message. Without one they are in doubt.
    """
    facts = Facts(transaction, policies, now)
    local = transaction.connection.local
    found: Collection[int] = ()
    failure: Exception | None = None
    if not watch.walks:
        try:
            found = candidates(facts, policies)
        except Exception as error:  # noqa: BLE001 - which rules it would have found, nobody knows
            failure = error
        else:
            if not found and not (local and policies.per_recipient):
                return _nothing(policies.number, policies.digest)
    recipients = transaction.envelope.recipients
    inquiry = Inquiry(facts, watch, recipients, restraint)
    concerned = inquiry.stands(inquiry.everyone(failure) if watch.walks or failure is not None else found)
    if local:  # Postfix takes a verdict at RCPT on local mail for a misconfiguration, so they count here
        at_rcpt = {number for one in recipients for number in inquiry.search_at_rcpt(one)}
        concerned += inquiry.recipient_stands(at_rcpt)
    if not concerned:
        return inquiry.told(_nothing(policies.number, policies.digest))
    accepted = Accepted(recipients, policies.conventions)
    uses: tuple[LimitUse, ...] = ()
    if policies.limited:
        concerned, uses = metered(concerned, accepted, inquiry, meter)
    verdict = (
        inquiry.told(_conclude(concerned, accepted, inquiry))
        if concerned
        else inquiry.told(_nothing(policies.number, policies.digest))
    )
    if uses:
        verdict = replace(verdict, limits=uses)
    return hold_null_sender(verdict, facts) if local else verdict


def judge_recipient(
    transaction: Transaction,
    recipient: Recipient,
    policies: PolicySet,
    now: float,
    watch: Watch = UNWATCHED,
    restraint: Restraint = NO_RESTRAINT,
) -> Verdict | None:
    """The verdict on one recipient at RCPT, by the per_recipient rules alone; None: none of them concerns it.

    `transaction.message` is None. Exempts that name one of these rules count with what can be known at RCPT; one that
    needs more is in doubt there. Nothing can be held or discarded for one recipient: that would be DEFER. Local mail
    has no verdict at RCPT.
    """
    if not policies.per_recipient or transaction.connection.local:
        return None
    facts = Facts(transaction, policies, now)
    inquiry = Inquiry(facts, watch, (recipient,), restraint)
    concerned = inquiry.recipient_stands(inquiry.search_at_rcpt(recipient))
    if not concerned:
        return None
    concerned += _exempts_at_rcpt([one.rule for one in concerned], inquiry)
    verdict = inquiry.told(_conclude(concerned, Accepted(), inquiry))
    disposition = _at_rcpt(verdict.disposition)
    would = None if verdict.would is None else _at_rcpt(verdict.would)
    return replace(
        verdict,
        disposition=disposition,
        reply=verdict.reply if disposition is verdict.disposition else temporary(transaction.reference),
        changes=Changes(),
        certain=verdict.certain and disposition is verdict.disposition,
        would=None if would is disposition else would,
        trail=tuple(one if one.would is None else replace(one, would=_at_rcpt(one.would)) for one in verdict.trail),
    )


def explain(
    transaction: Transaction,
    policies: PolicySet,
    now: float,
    restraint: Restraint = NO_RESTRAINT,
    meter: Meter | None = None,
) -> Explanation:
    """The verdict, and every rule of the set with its evidence: those too that the index leaves aside."""
    verdict = judge(transaction, policies, now, restraint=restraint, meter=meter)
    facts = Facts(transaction, policies, now)
    marks = {mark.rule: mark for mark in verdict.trail}
    rules = [policies.rule(number) for number in range(len(policies))]
    poison = restraint.poison
    each = (
        not_asked(rule, marks.get(rule.id))
        if rule.id in poison
        else explain_rule(rule, facts, marks.get(rule.id), tuple(one for one in verdict.limits if one.rule == rule.id))
        for rule in rules
    )
    return Explanation(verdict, tuple(each))


def _at_rcpt(disposition: Disposition) -> Disposition:
    return Disposition.DEFER if disposition in (Disposition.HOLD, Disposition.DISCARD) else disposition


@lru_cache(maxsize=8)
def _nothing(number: int, digest: str) -> Verdict:
    """The verdict on a message that no rule concerns; one for each generation."""
    return Verdict(Disposition.ACCEPT, generation=number, digest=digest)


def _conclude(concerned: Sequence[Stand], accepted: Accepted, inquiry: Inquiry) -> Verdict:
    """The verdict by the enforced rules, and what it would be with those in shadow."""
    enforced = [one for one in concerned if not shadowed(one.rule)]
    verdict = _decide(enforced, accepted, inquiry)
    if len(enforced) == len(concerned):
        return verdict
    would = _decide(concerned, accepted, inquiry).disposition
    hidden = [one for one in _ranked(concerned) if shadowed(one.rule)]
    alone = (
        [would]
        if len(hidden) == 1
        else [_decide([*enforced, one], accepted, inquiry).disposition for one in hidden[:MAX_ALONE]]
    )
    marks = [
        replace(_mark(one, inquiry, shadow=True), would=alone[number] if number < len(alone) else None)
        for number, one in enumerate(hidden)
    ]
    wishes = (*verdict.suspensions, *suspensions(hidden, frozenset(), inquiry.facts, shadow=True))
    would_be = None if would is verdict.disposition else would
    return replace(verdict, trail=(*verdict.trail, *marks), would=would_be, suspensions=wishes)


def _decide(concerned: Sequence[Stand], accepted: Accepted, inquiry: Inquiry) -> Verdict:
    """The verdict by these; a rule whose texts can't be made is in doubt like one that can't be evaluated."""
    while True:
        try:
            return _decided(concerned, accepted, inquiry)
        except Exception as error:
            rule = inquiry.making
            if rule is None or any(one.rule is rule and one.truth is Truth.UNKNOWN for one in concerned):
                raise
            doubted = inquiry.failed(rule, error)
            concerned = [doubted if one.rule is rule else one for one in concerned]


def _decided(concerned: Sequence[Stand], accepted: Accepted, inquiry: Inquiry) -> Verdict:
    facts = inquiry.facts
    inquiry.making = None
    outcome = settle(concerned, accepted)
    disposition, winner = outcome.disposition, outcome.winner
    by = {one.rule.id: one for one in concerned}

    def values(rule: Rule) -> Mapping[str, str]:
        inquiry.make(rule)
        one = by[rule.id]
        return Values(rule, facts, one.matched[0] if rule.per_recipient and one.matched else None, one.use)

    reply, reason = _words(outcome, facts.transaction.reference, values)
    inquiry.making = None
    rule = winner.id if winner is not None else ""
    settled = Settled(Changes(), {})
    if disposition in _GOES_ON and any(one.rule.do.edits for one in outcome.acting):
        settled = settle_edits(outcome.acting, accepted, facts, values)
        if settled.emptied_by and disposition is Disposition.ACCEPT:
            disposition, reason, rule = Disposition.HOLD, _NOBODY_LEFT, settled.emptied_by
        if settled.missed_by:
            disposition, reason, rule = Disposition.HOLD, _NOT_ALL, settled.missed_by
        inquiry.making = None
    return Verdict(
        disposition,
        reply,
        reason,
        settled.changes,
        rule,
        outcome.certain,
        tuple(_mark(one, inquiry, outcome, settled) for one in _ranked(concerned)),
        generation=facts.policies.number,
        digest=facts.policies.digest,
        suspensions=suspensions(outcome.acting, outcome.capped, facts),
    )


def _ranked(concerned: Iterable[Stand]) -> list[Stand]:
    return sorted(concerned, key=lambda one: rank(one.rule))


def _words(outcome: Outcome, reference: str, values: MakeValues) -> tuple[Reply | None, str]:
    """Reply and reason: the winner's own where it is certain of what it says, otherwise ours."""
    winner, disposition = outcome.winner, outcome.disposition
    if winner is None or disposition in (Disposition.ACCEPT, Disposition.DISCARD):
        return None, ""
    asked = ending(winner)
    sure = any(one.rule is winner for one in outcome.acting)
    if sure and asked is not None and asked.disposition is disposition:
        if disposition is Disposition.HOLD:
            return None, safe_text(expand(asked.reason.text, values(winner))) if asked.reason is not None else winner.id
        assert asked.reply is not None, f"{winner.id}: a refusal without a reply"
        return make_reply(asked.reply, values(winner)), ""
    if sure:
        reason = _EXEMPT_IN_DOUBT
    else:
        doubt = next(one for one in outcome.doubts if one.rule is winner)
        reason = safe_text(doubt.cause.text if doubt.cause is not None else f"{winner.id} is in doubt")
    if disposition is Disposition.HOLD:
        return None, reason
    return (uninspected if disposition is Disposition.REJECT else temporary)(reference), reason


def _mark(
    stand: Stand, inquiry: Inquiry, outcome: Outcome | None = None, settled: Settled | None = None, shadow: bool = False
) -> Mark:
    """One rule in the trail: on what it matched, and why it did not count where it did not."""
    rule = stand.rule
    found = ""
    if stand.truth is Truth.YES and not rule.by_share:
        found = inquiry.hit(rule, stand.matched[0] if rule.per_recipient and stand.matched else None)
    if stand.truth is Truth.YES and stand.use is not None:
        use = stand.use
        count = f"limit {use.limit}: {use.used} + {use.cost} of {use.maximum}"
        found = f"{found}, {count}" if found else count
    exempted_by = outcome.silenced.get(rule.id, "") if outcome is not None else ""
    lost_to = ""
    if outcome is not None and settled is not None and stand.truth is Truth.YES and not exempted_by:
        lost_to = _lost_to(rule, outcome, settled)
    return Mark(rule.id, stand.truth, found, stand.cause, shadow, exempted_by, lost_to)


def _lost_to(rule: Rule, outcome: Outcome, settled: Settled) -> str:
    """Whom the rule lost to: its disposition to a stricter or earlier one, its edits to a refusal or another's edit."""
    winner = outcome.winner
    if winner is not None and winner is not rule:
        stops = outcome.disposition not in _GOES_ON
        if strength(rule, outcome.capped) is not Disposition.ACCEPT or (rule.do.edits and stops):
            return winner.id
    return settled.lost.get(rule.id, "")


def _exempts_at_rcpt(rules: Sequence[Rule], inquiry: Inquiry) -> list[Stand]:
    """The rules about whole messages that exempt one of `rules`: their exemption alone, by what is known at RCPT."""
    policies = inquiry.facts.policies
    found: dict[int, Rule] = {}
    for number in policies.exempts:
        rule = policies.rule(number)
        exempt = rule.do.exempt
        if exempt is None or rule.per_recipient or not any(names(exempt, one) for one in rules):
            continue
        clauses = tuple(replace(clause, when=as_at_rcpt(clause.when)) for clause in rule.exceptions)
        found[number] = replace(
            rule, when=as_at_rcpt(rule.when), exceptions=clauses, do=Actions(exempt=exempt), per_recipient=False
        )
    return inquiry.ask(found, found.__getitem__, stand)
