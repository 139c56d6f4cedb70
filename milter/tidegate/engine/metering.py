"""Limits in a judgement: what would be exceeded, asked in one call for the whole message, and what that makes of rules.

First the cheap judgement: every other rule is asked, and every rule with limits as far as its conditions go. What the
message comes to without them says whether it goes on; only then is anything charged. Where it does not go on, limits
are asked only if one of them could make the verdict stricter, or certain, and nothing is charged. A rule that is not
asked has no say.

Promises: at most one call for each message, whatever is judged again (Meter); a rule whose limits are not exceeded is
NO, even where its conditions are in doubt; one whose usage can't be known is UNKNOWN; a rule that an exempt silences
for certain is neither asked nor charged. Refuses: counting, a clock.

- `stops` of a charge is what the bracket says: were this rule alone exceeded, would the message go on? (So what
  one rule alone would discard or defer in doubt, and another holds, is held and not charged.)
- A rule in shadow has its own counters. One that a restraint has put there keeps its counters, and stops nothing.
- A message that is larger by itself than a limit will ever let through is not deferred for days by a rule that defers:
  where that rule is certain and not eased, and the count was the store's own, the answer is a 5xx that says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tidegate.conditions.readers import ABSENT
from tidegate.conditions.walk import tests_of
from tidegate.engine.bracket import settle, skips
from tidegate.engine.costs import Ask, ask
from tidegate.engine.easing import shadowed
from tidegate.engine.inquiry import COUNTING, Inquiry
from tidegate.engine.match import stand as stand_of
from tidegate.engine.parts import Accepted, Stand, rank
from tidegate.limits import Charge, Ledger, Usage, identity
from tidegate.model import (
    Cause,
    Counting,
    Disposition,
    Doubt,
    Ending,
    EntryState,
    LimitUse,
    Reading,
    ReplyTemplate,
    Rule,
    Template,
    Transaction,
    Truth,
)

SHARE = "limit.share"
_GOES_ON = (Disposition.ACCEPT, Disposition.HOLD)
_BROKEN = (EntryState.SKIPPED, EntryState.DEFERRING)  # nobody knows their limits
_NOBODY = Cause(Doubt.PASSING, "limits can't be counted: there is no store")
_LATE = Cause(Doubt.PASSING, "the deadline passed before the limits were asked")
_NOT_KEPT = Cause(Doubt.PASSING, "the limit was not asked when the message was first judged")

_Counter = tuple[bool, str, str, str]


class Meter:
    """The limits of one message: who counts, and what was answered. Made for each message, used for all its judgements.

    `asked`: the one call has been made.
    """

    __slots__ = ("_ledger", "_usages", "asked")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._usages: dict[_Counter, Usage] = {}
        self.asked = False

    def ask(
        self, charges: Sequence[Charge], transaction: Transaction, now: float, commit: bool
    ) -> Mapping[_Counter, Usage]:
        """What each counter says. Only the first time it is the ledger that is asked; raises what the ledger raises."""
        if not self.asked:
            self.asked = True
            answers = self._ledger.charge(tuple(charges), identity(transaction), now, commit)
            if len(answers) != len(charges):
                raise ValueError(f"{len(answers)} answers to {len(charges)} charges")
            for charge, usage in zip(charges, answers, strict=True):
                self._usages[counter(charge)] = usage
        return self._usages


def counter(charge: Charge) -> _Counter:
    """Which counter a charge is about."""
    return charge.shadow, charge.rule, charge.limit, charge.key


@dataclass(frozen=True, slots=True)
class _Metered:
    """A rule with limits as its conditions leave it, and what its limits want; `eased` by a restraint."""

    stand: Stand
    asks: tuple[Ask, ...]
    shadow: bool
    eased: bool


def metered(
    concerned: Sequence[Stand], accepted: Accepted, inquiry: Inquiry, meter: Meter | None
) -> tuple[list[Stand], tuple[LimitUse, ...]]:
    """How the rules stand once limits have had their say, and the limits that were asked."""
    limiting: list[Stand] = []
    others: list[Stand] = []
    for one in concerned:
        limits = one.rule.limits and one.rule.state not in _BROKEN
        stand = _at_most(one, inquiry) if limits and one.rule.by_share else one
        (limiting if limits and not skips(stand) else others).append(stand)
    if not limiting:
        return others, ()
    enforced = [one for one in others if not shadowed(one.rule)]
    silenced = settle([*enforced, *limiting], accepted).silenced
    limiting = sorted([one for one in limiting if one.rule.id not in silenced], key=_rank)
    goes_on, stops = _consequences(enforced, limiting, accepted)
    found = [_asks(stand, inquiry, stops[stand.rule.id]) for stand in limiting if stand.rule.id in stops]
    if not found:
        return others, ()
    late = inquiry.watch.late()
    if meter is None or late:
        doubt = _LATE if late else _NOBODY
        return [*others, *(inquiry.doubted(one.stand.rule, doubt) for one in found if one.asks)], ()
    usages = _usages(found, inquiry, meter, goes_on)
    left, uses = list(others), list[LimitUse]()
    for each in found:
        told = [_use(asked, each, usages) for asked in each.asks]
        uses += [use for use in told if use.key]
        left += _answered(each, told, inquiry)
    return left, tuple(uses)


def _rank(stand: Stand) -> tuple[int, str]:
    return rank(stand.rule)


def _consequences(
    enforced: Sequence[Stand], limiting: Sequence[Stand], accepted: Accepted
) -> tuple[bool, dict[str, bool]]:
    """Does the message go on without these rules? And those of them that can count: would they stop it?

    Each is looked at alone, so that one in shadow makes no difference to the others.
    """
    outcome = settle(enforced, accepted)
    base, doubted = outcome.disposition, bool(outcome.doubts)
    goes_on = base in _GOES_ON
    alone = {one.rule.id: settle([*enforced, one], accepted).disposition for one in limiting}
    held = {alone[one.rule.id] for one in limiting if not shadowed(one.rule)} >= {Disposition.HOLD}
    every = goes_on or (base is Disposition.DISCARD and held)  # hold is stricter, and then all edits count
    counting = {rule: one for rule, one in alone.items() if every or one > base or (doubted and one is base)}
    return goes_on, {rule: one not in _GOES_ON for rule, one in counting.items()}


def _at_most(stand: Stand, inquiry: Inquiry) -> Stand:
    """A rule that asks its own share as it stands at worst, before anybody knows the share."""
    if stand.truth is Truth.YES:
        return stand
    rule = stand.rule
    tried = sorted({0, *(number + step for number in _shares(rule) for step in (-1, 0, 1))})
    try:
        found = [stand_of(rule, inquiry.facts.holding(SHARE, Reading((number,)))) for number in tried]
    except Exception as error:  # noqa: BLE001 - a rule fails alone (engine/inquiry.py)
        return inquiry.failed(rule, error)
    return max((one for one in found if one is not None), key=lambda one: one.truth, default=stand)


def _shares(rule: Rule) -> list[int]:
    """The numbers with which the rule compares its share."""
    conditions = [rule.when, *(clause.when for clause in rule.exceptions)]
    return [int(value) for one in conditions for test in tests_of(one) if test.field == SHARE for value in test.values]


def _asks(stand: Stand, inquiry: Inquiry, stop: bool) -> _Metered:
    """What the limits of this rule want; where finding that out fails, they are in doubt."""
    rule = stand.rule
    aside = inquiry.put_aside(rule)
    shadow = shadowed(rule) and not aside
    stops = stop and not aside
    try:
        found = [ask(rule, limit, inquiry.facts, stops=stops, shadow=shadow) for limit in rule.limits]
    except Exception as error:  # noqa: BLE001 - a rule fails alone (engine/inquiry.py)
        failed = inquiry.failed(rule, error).cause
        found = [Ask(rule, limit, cause=failed) for limit in rule.limits]
    asks = tuple([one for one in found if one is not None])
    return _Metered(stand, asks, shadow, inquiry.eased(rule))


def _usages(found: Sequence[_Metered], inquiry: Inquiry, meter: Meter, commit: bool) -> Mapping[_Counter, Usage]:
    """The one call. What it raises makes all its limits doubtful."""
    facts, watch = inquiry.facts, inquiry.watch
    charges = [ask.charge for one in found for ask in one.asks if ask.charge is not None]
    if not charges:
        return {}
    watch.cells[watch.place] = COUNTING
    try:
        usages = meter.ask(charges, facts.transaction, facts.now, commit)
    except Exception as error:  # noqa: BLE001 - a ledger never raises; one that does costs its limits a doubt
        inquiry.note(None, error)
        failed = Cause(Doubt.PASSING, f"the limits can't be asked: {type(error).__name__}")
        usages = {counter(one): Usage(0, one.maximum, 0.0, False, failed) for one in charges}
    inquiry.resume(found[0].stand.rule)
    return usages


def _use(asked: Ask, one: _Metered, usages: Mapping[_Counter, Usage]) -> LimitUse:
    """What one limit came to; without a key where nothing could be counted."""
    charge, limit = asked.charge, asked.limit
    if charge is None:
        return LimitUse(asked.rule.id, limit.name, "", 0, 0, 0, 0.0, 0, shadow=one.shadow, cause=asked.cause)
    usage = usages.get(counter(charge)) or Usage(0, charge.maximum, 0.0, False, _NOT_KEPT)
    cause, exceeded = usage.cause, usage.exceeded
    if asked.cause is not None and cause is None:
        certain = usage.used + asked.least > usage.maximum
        if (exceeded and not certain) or (not exceeded and asked.more):
            cause = asked.cause
    if asked.lower is not None and cause is None and not exceeded:
        granted = usage.maximum - charge.maximum
        cause = asked.doubt if usage.used + charge.cost > asked.lower + granted else None
    retry = usage.retry
    if (asked.cause is not None and asked.least <= usage.maximum) or asked.doubt is not None:
        retry = min(retry, limit.per)  # that it never fits is not certain
    share = _share(usage, 0 if limit.count is Counting.DISTINCT and not exceeded else asked.least)
    return LimitUse(
        charge.rule,
        charge.limit,
        charge.key,
        charge.cost,
        usage.used,
        usage.maximum,
        retry,
        share,
        exceeded and cause is None,
        cause is None and share >= limit.warn,
        one.shadow,
        usage.local,
        cause,
    )


def _share(usage: Usage, cost: int) -> int:
    """In percent, rounded down; what is exceeded is above 100."""
    share = (usage.used + cost) * 100 // usage.maximum if usage.maximum > 0 else 100
    return max(share, 101) if usage.exceeded else share


def _answered(one: _Metered, told: Sequence[LimitUse], inquiry: Inquiry) -> list[Stand]:
    """The rule as its limits leave it; empty where it is NO."""
    stand = one.stand
    doubts = [use.cause for use in told if use.cause is not None]
    if stand.rule.by_share:
        by_share = _by_share(one, told, doubts, inquiry)
        return [] if by_share is None else [by_share]
    exceeded = [use for use in told if use.exceeded]
    if exceeded:
        return [_exceeded(one, max(exceeded, key=_worst))]
    if doubts:
        cause = next(
            (why for why in (stand.cause, *doubts) if why is not None and why.doubt is Doubt.PASSING), doubts[0]
        )
        return [replace(stand, truth=Truth.UNKNOWN, cause=cause)]
    return []


def _worst(use: LimitUse) -> tuple[float, int]:
    return use.retry, use.share


def _by_share(one: _Metered, told: Sequence[LimitUse], doubts: Sequence[Cause], inquiry: Inquiry) -> Stand | None:
    """A rule whose conditions ask the share: they are asked again, now that it is known."""
    known = [use for use in told if use.cause is None]
    most = max(known, key=lambda use: use.share, default=None)
    reading = ABSENT
    if told:
        reading = Reading((most.share,) if most is not None else (), doubts[0] if doubts else None)
    rule = one.stand.rule
    try:
        stand = stand_of(rule, inquiry.facts.holding(SHARE, reading))
    except Exception as error:  # noqa: BLE001 - a rule fails alone (engine/inquiry.py)
        stand = inquiry.failed(rule, error)
    if stand is None or most is None:
        return stand
    return _exceeded(replace(one, stand=stand), most)


def _exceeded(one: _Metered, use: LimitUse) -> Stand:
    """The rule by this limit; where it would defer the message for ever, it refuses it and says what to do."""
    stand, rule = replace(one.stand, use=use), one.stand.rule
    ending = rule.do.ending
    never = math.isinf(use.retry) and use.maximum > 0
    if (
        not never
        or use.local
        or one.eased
        or stand.truth is not Truth.YES
        or ending is None
        or ending.disposition is not Disposition.DEFER
    ):
        return stand
    return replace(stand, rule=replace(rule, do=replace(rule.do, ending=_too_large(rule, use))))


_WHAT: Mapping[Counting, tuple[int, str, str]] = {  # RFC 3463: X.5.3 too many recipients, X.3.4 too big, X.7.1 policy
    Counting.RECIPIENTS: (550, "5.5.3", "recipients"),
    Counting.BYTES: (552, "5.3.4", "bytes"),
    Counting.DISTINCT: (550, "5.7.1", "different values"),
    Counting.MESSAGES: (550, "5.7.1", "messages"),
}


def _too_large(rule: Rule, use: LimitUse) -> Ending:
    limit = next(one for one in rule.limits if one.name == use.limit)
    code, enhanced, what = _WHAT[limit.count]
    text = f"This message alone has {use.cost} {what}, and {use.maximum} are allowed: please split it ({{ref}})"
    return Ending(Disposition.REJECT, ReplyTemplate(code, enhanced, Template(text)))
