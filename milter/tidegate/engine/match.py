"""How one rule stands to one message: its truth, with everything that narrows it.

A rule is YES if it applies now (mode, state, `active`), its `when` is YES, no exception in force is, the message is in
its sample, and the message is not inbound unless the rule names inbound mail. These join by Kleene's logic, so a doubt
in one of them counts only where the others don't settle the matter.

Broken and stale entries (DESIGN section 5). A DEFERRING or SKIPPED rule is never more than UNKNOWN. A STALE one serves
as it last was where that is stricter; what it would let through by `not`, `no_rcpt` or an exception is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from tidegate.conditions.evaluate import cause, evaluate, matched_recipients, weigh
from tidegate.conditions.facts import Facts
from tidegate.conditions.fields import find_field
from tidegate.conditions.readers import directions
from tidegate.conditions.stale import STALE, as_stale
from tidegate.engine.index import dormant
from tidegate.engine.parts import Stand
from tidegate.engine.schedule import in_force, sampled
from tidegate.model import (
    AllOf,
    AnyOf,
    Cause,
    Condition,
    Direction,
    Doubt,
    EntryState,
    ExceptClause,
    Not,
    Recipient,
    Recipients,
    Redirect,
    RemoveRecipient,
    Rule,
    Stage,
    Test,
    Truth,
    Unknowable,
)

YES, NO, UNKNOWN = Truth.YES, Truth.NO, Truth.UNKNOWN

Answer = tuple[Truth, "Cause | None"]
"""A truth, and its cause where it, or what it exempts, is in doubt."""

_BROKEN = Cause(Doubt.PASSING, "the entry is broken")
_NOT_YET = Cause(Doubt.PASSING, "not known at RCPT")
_WHO = Cause(Doubt.PASSING, "which recipients the rule is about can't be known")


def stand(rule: Rule, facts: Facts) -> Stand | None:
    """The rule where it is YES or UNKNOWN for this message; None where it is NO."""
    truth, why = answer(rule, facts)
    return None if truth is NO else _stand(rule, truth, why, facts)


def recipient_stand(rule: Rule, facts: Facts, recipients: Sequence[Recipient]) -> Stand | None:
    """The same for a per_recipient rule: it is judged for each recipient, and its strictest answer counts."""
    answers = [(*answer(rule, facts, one), one) for one in recipients]
    truth = max((one[0] for one in answers), default=NO)
    if truth is NO:
        return None
    doubts = [why for found, why, _ in answers if found is truth and why is not None]
    matched = tuple(one for found, _, one in answers if found is truth)
    return Stand(rule, truth, weigh(doubts) if doubts else None, matched)


def answer(rule: Rule, facts: Facts, recipient: Recipient | None = None) -> Answer:
    """The rule's truth and why it is UNKNOWN; cheap parts first, and nothing after a NO."""
    if dormant(rule) or (rule.schedule is not None and not in_force(rule.schedule, facts.now)):
        return NO, None
    stale = rule.state is EntryState.STALE
    when = as_stale(rule.when) if stale else rule.when
    worst = evaluate(when, facts, recipient)
    if worst is NO:
        return NO, None
    doubts = [cause(when, facts, recipient)] if worst is UNKNOWN else []
    for truth, why in _narrowings(rule, facts, recipient, stale):
        if truth is NO:
            return NO, None
        if truth is UNKNOWN:
            worst = UNKNOWN
            doubts.append(why or _BROKEN)
    if rule.state in (EntryState.DEFERRING, EntryState.SKIPPED):
        return UNKNOWN, next((one for one in doubts if one.doubt is Doubt.PASSING), _BROKEN)
    if worst is YES and rule.do.exempt is not None and (stale or rule.stale_exempt):
        acts = rule.do.ending is not None or rule.do.edits
        return (YES if acts else UNKNOWN), STALE  # its action serves, its exemption is in doubt
    return worst, weigh(doubts) if doubts else None


def _narrowings(rule: Rule, facts: Facts, recipient: Recipient | None, stale: bool) -> Iterator[Answer]:
    """What else has to hold: everything but `when`."""
    for clause in rule.exceptions:
        if applies(clause, facts.now):
            yield _not_excepted(clause, facts, recipient, stale)
    if not rule.inbound:
        yield outward(facts)
    if rule.sample is not None:
        yield sampled(rule.sample, facts)


def applies(clause: ExceptClause, now: float) -> bool:
    """Is the exception in force? A lapsed one is as if it were not written."""
    return clause.end is None or now < clause.end


def _not_excepted(clause: ExceptClause, facts: Facts, recipient: Recipient | None, stale: bool) -> Answer:
    truth = evaluate(clause.when, facts, recipient)
    if truth is UNKNOWN:
        return UNKNOWN, cause(clause.when, facts, recipient)
    if truth is YES:
        return (UNKNOWN, STALE) if stale else (NO, None)
    return YES, None


def outward(facts: Facts) -> Answer:
    """Is this message one that rules judge unasked: local, outbound or internal?"""
    connection, envelope = facts.transaction.connection, facts.transaction.envelope
    if connection.local or envelope.login:
        return YES, None
    possible, why = directions(facts)
    if Direction.INBOUND not in possible:
        return YES, None
    return (NO, None) if len(possible) == 1 else (UNKNOWN, why)


def _stand(rule: Rule, truth: Truth, why: Cause | None, facts: Facts) -> Stand:
    """With the recipients of `matched` edits. Where not all of them are known, the rule is in doubt."""
    if not about_matched(rule):
        return Stand(rule, truth, why)
    possible = matched_recipients(rule.when, facts, possible=True)
    if truth is YES and possible != matched_recipients(rule.when, facts):
        return Stand(rule, UNKNOWN, _WHO, possible)
    return Stand(rule, truth, why, possible)


def about_matched(rule: Rule) -> bool:
    """Has the rule edits that are about the recipients whom it matched?"""
    return any(_about_matched(edit) for edit in rule.do.edits)


def _about_matched(edit: object) -> bool:
    match edit:
        case RemoveRecipient(address):
            return address is None
        case Redirect(matched=only):
            return only
    return False


@lru_cache(maxsize=1024)
def as_at_rcpt(condition: Condition) -> Condition:
    """What a rule about the whole message can know at RCPT: later fields and counts over recipients are UNKNOWN."""
    match condition:
        case AllOf(children):
            return AllOf(tuple(as_at_rcpt(child) for child in children))
        case AnyOf(children):
            return AnyOf(tuple(as_at_rcpt(child) for child in children))
        case Not(child):
            return Not(as_at_rcpt(child))
        case Recipients():
            return Unknowable(_NOT_YET)
        case Test(field):
            row = find_field(field)
            return condition if row is not None and row.stage <= Stage.MAIL else Unknowable(_NOT_YET)
    return condition
