"""The bracket: what becomes of a message if some of its rules are UNKNOWN.

Promises: order-free; whatever it decides holds for every assignment of YES and NO to the UNKNOWN rules (a property test
compares it with brute force); it never takes a 5xx from a rule in doubt. Refuses to look at anything but rules, truths
and the accepted recipients.

Theory. Each rule is two parts, its action and its exemption, and each part takes its own worst case: at the mild end no
UNKNOWN action happens and every UNKNOWN exemption does, at the strict end the other way round. An exemption can't be
exempted, and a rule does not silence itself, so one pass over the exempts settles who is silenced. All that happens in
between grows from the mild end to the strict one; so what is equal at both ends (disposition; where the message goes
on, the parts of engine/parts.py) is certain.

Where the ends differ the answer is 451, with these readings of DESIGN section 4:
- What the rules that are certain refuse or defer is never made milder: the answer is at least the mild end's.
- Where all doubts that count are lasting, the strictest `on_uninspected` of theirs is the answer. `reject` is a 5xx
  only if that rule is valid and in force (ACTIVE), its doubt is lasting through and through, and no exempt silences it
  or is in doubt and names it: what is certain then is that the message can't be inspected, which is what the admin
  declared `reject` for.
  A broken or a stale rule never gets there: its answer is 451.
- A passing doubt that moves neither end does not count, so it does not make a lasting one wait.
- A rule that a skipped exempt names answers at most 4xx, since nobody knows whether it was silenced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.engine.parts import Accepted, Parts, Stand, parts, rank
from tidegate.model import (
    Actions,
    Disposition,
    Doubt,
    Ending,
    EntryState,
    Exempt,
    OnError,
    OnUninspected,
    Rule,
    Truth,
)

YES, NO, UNKNOWN = Truth.YES, Truth.NO, Truth.UNKNOWN

_DECLARED = {
    OnUninspected.SKIP: Disposition.ACCEPT,
    OnUninspected.HOLD: Disposition.HOLD,
    OnUninspected.DEFER: Disposition.DEFER,
    OnUninspected.REJECT: Disposition.REJECT,
}
_GOES_ON = (Disposition.ACCEPT, Disposition.HOLD)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the stands come to.

    `winner` gives the disposition; None: nobody did. `acting` are the rules that certainly act, in order of rank.
    `certain` False: the ends differ, or a skipped exempt made a 5xx a 4xx. `doubts` are the rules whose doubt counts.
    `silenced` says which exempt surely silenced a rule; `capped` holds the rules that answer at most 4xx.
    """

    disposition: Disposition = Disposition.ACCEPT
    winner: Rule | None = None
    acting: tuple[Stand, ...] = ()
    certain: bool = True
    doubts: tuple[Stand, ...] = ()
    silenced: Mapping[str, str] = field(default_factory=dict)
    capped: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Split:
    """One rule as two: the truth of its action and of its exemption, once what is skipped counts as not matched."""

    stand: Stand
    action: Truth
    exemption: Truth
    skipped: bool  # its exemption is not in force, though it might be right

    @property
    def passing(self) -> bool:
        """A broken or stale entry will be repaired; no cause at all is nobody's declared wish."""
        cause = self.stand.cause
        return cause is None or cause.doubt is Doubt.PASSING or self.stand.rule.state is EntryState.DEFERRING


@dataclass(frozen=True, slots=True)
class _End:
    """One end of the bracket."""

    disposition: Disposition
    parts: Parts
    acting: tuple[Stand, ...]


def settle(stands: Iterable[Stand], accepted: Accepted) -> Outcome:
    """The outcome of all rules that concern a message. Rules that are NO may be left out; the order is nothing."""
    splits = [_split(stand) for stand in sorted(stands, key=lambda one: rank(one.rule))]
    capped = frozenset(_targets(splits, [one for one in splits if one.skipped]))
    silenced = _targets(splits, [one for one in splits if one.exemption is YES])
    if not any(UNKNOWN in (one.action, one.exemption) for one in splits):
        acting = tuple(one.stand for one in splits if one.action is YES and one.stand.rule.id not in silenced)
        return _decided(_strictest(acting, capped), acting, silenced, capped)
    mild = _end(splits, silenced, capped, accepted, passing=False, lasting=False)
    strict = _end(splits, silenced, capped, accepted, passing=True, lasting=True)
    if _same(mild, strict):
        return _decided(mild.disposition, mild.acting, silenced, capped)
    return _undecided(splits, silenced, capped, accepted, mild, strict)


def _split(stand: Stand) -> _Split:
    """DESIGN section 3, on_error and on_uninspected: a rule with `skip` counts as not matched; an exempt has no skip
    for a doubt that will pass. What a STALE exempt allows is in doubt (section 5)."""
    rule, truth = stand.rule, stand.truth
    exempts = rule.do.exempt is not None
    if rule.state is EntryState.SKIPPED:
        return _Split(stand, NO, NO, exempts and truth is not NO)
    if rule.state is EntryState.DEFERRING and truth is not NO:
        return _Split(stand, UNKNOWN, UNKNOWN if exempts else NO, False)
    if truth is NO or (truth is YES and rule.state is not EntryState.STALE and not rule.stale_exempt):
        return _Split(stand, truth, truth if exempts else NO, False)
    if truth is YES:
        return _Split(stand, YES, UNKNOWN if exempts else NO, False)
    if stand.cause is not None and stand.cause.doubt is Doubt.LASTING:
        skip = rule.on_uninspected is OnUninspected.SKIP
        return _Split(stand, NO if skip else UNKNOWN, NO if skip or not exempts else UNKNOWN, skip and exempts)
    skip = rule.on_error is OnError.SKIP
    return _Split(stand, NO if skip else UNKNOWN, UNKNOWN if exempts else NO, False)


def skips(stand: Stand) -> bool:
    """Does a doubt make this rule count as not matched?"""
    return stand.truth is UNKNOWN and _split(stand).action is NO


def names(exempt: Exempt, rule: Rule) -> bool:
    """Does the exempt name this rule, by id, by tag, or as one of all?"""
    return exempt.everything or rule.id in exempt.names or any(tag in exempt.names for tag in rule.tags)


def _targets(splits: Sequence[_Split], exempts: Iterable[_Split]) -> dict[str, str]:
    """The rules that `exempts` name, each with the first exempt that does; no rule silences itself."""
    found: dict[str, str] = {}
    for one in exempts:
        exempt = one.stand.rule.do.exempt
        assert exempt is not None
        for other in splits:
            if other.stand.rule.id != one.stand.rule.id and names(exempt, other.stand.rule):
                found.setdefault(other.stand.rule.id, one.stand.rule.id)
    return found


def _end(
    splits: Sequence[_Split],
    silenced: Mapping[str, str],
    capped: frozenset[str],
    accepted: Accepted,
    *,
    passing: bool,
    lasting: bool,
) -> _End:
    """One end; `passing` and `lasting` say whether doubts of that kind are taken at their strictest."""

    def strict(one: _Split) -> bool:
        return passing if one.passing else lasting

    out = set(silenced)
    out.update(_targets(splits, [one for one in splits if one.exemption is UNKNOWN and not strict(one)]))
    acting = tuple(
        one.stand
        for one in splits
        if (one.action is YES or (one.action is UNKNOWN and strict(one))) and one.stand.rule.id not in out
    )
    disposition = _strictest(acting, capped)
    return _End(disposition, parts(acting, accepted) if disposition in _GOES_ON else Parts(), acting)


def _same(one: _End, other: _End) -> bool:
    return one.disposition is other.disposition and one.parts == other.parts


def ending(rule: Rule) -> Ending | None:
    """A rule's ending; a broken entry of which nothing is known may do anything, so it is taken to reject."""
    if rule.state is EntryState.DEFERRING and rule.do == Actions():
        return Ending(Disposition.REJECT)
    return rule.do.ending


def strength(rule: Rule, capped: frozenset[str]) -> Disposition:
    """The disposition a rule asks for; at most DEFER for one that a skipped exempt names."""
    wanted = ending(rule)
    disposition = Disposition.ACCEPT if wanted is None else wanted.disposition
    return min(disposition, Disposition.DEFER) if rule.id in capped else disposition


def _strictest(acting: Iterable[Stand], capped: frozenset[str]) -> Disposition:
    return max((strength(stand.rule, capped) for stand in acting), default=Disposition.ACCEPT)


def _winner(disposition: Disposition, acting: Sequence[Stand], capped: frozenset[str]) -> Rule | None:
    """The first by rank that asks for this disposition, before those that were only capped down to it."""
    if disposition is Disposition.ACCEPT:
        return None
    asking = [stand.rule for stand in acting if strength(stand.rule, capped) is disposition]
    return next((rule for rule in asking if strength(rule, frozenset()) is disposition), next(iter(asking), None))


def _decided(
    disposition: Disposition, acting: tuple[Stand, ...], silenced: Mapping[str, str], capped: frozenset[str]
) -> Outcome:
    winner = _winner(disposition, acting, capped)
    certain = winner is None or strength(winner, frozenset()) is disposition
    return Outcome(disposition, winner, acting, certain, (), silenced, capped)


def _undecided(
    splits: Sequence[_Split],
    silenced: Mapping[str, str],
    capped: frozenset[str],
    accepted: Accepted,
    mild: _End,
    strict: _End,
) -> Outcome:
    """The ends differ: what the doubts that count call for, and never less than what is certain."""
    doubts = [one for one in splits if _counts(one, splits, silenced)]
    passing = [one for one in doubts if one.passing]
    if passing:
        low = _end(splits, silenced, capped, accepted, passing=True, lasting=False)
        high = _end(splits, silenced, capped, accepted, passing=False, lasting=True)
        if _same(low, mild) and _same(high, strict):
            doubts = [one for one in doubts if not one.passing]
            passing = []
    if passing:
        disposition, winner = Disposition.DEFER, passing[0].stand.rule
    else:
        doubtful = {*capped, *silenced, *_targets(splits, [one for one in splits if one.exemption is UNKNOWN])}
        declared = [(_declared(one, doubtful), one.stand.rule) for one in doubts]
        disposition = max(answer for answer, _ in declared)
        winner = next(rule for answer, rule in declared if answer is disposition)
    certain = disposition is Disposition.REJECT  # what the admin declared for what can't be inspected
    if mild.disposition >= disposition:
        disposition = mild.disposition
        winner = _winner(disposition, mild.acting, capped) or winner
    return Outcome(disposition, winner, mild.acting, certain, tuple(one.stand for one in doubts), silenced, capped)


def _counts(one: _Split, splits: Sequence[_Split], silenced: Mapping[str, str]) -> bool:
    """Is this part in doubt, and would it reach anything?"""
    rule = one.stand.rule
    acts = ending(rule) is not None or bool(rule.do.edits)
    if one.action is UNKNOWN and acts and rule.id not in silenced:
        return True
    if one.exemption is not UNKNOWN:
        return False
    reached = _targets(splits, [one])
    return any(
        other.action is not NO and other.stand.rule.id in reached and other.stand.rule.id not in silenced
        for other in splits
    )


def _declared(one: _Split, doubtful: set[str]) -> Disposition:
    rule = one.stand.rule
    answer = _DECLARED[rule.on_uninspected]
    if answer is not Disposition.REJECT:
        return answer
    acts = one.action is UNKNOWN and (rule.do.ending is not None or bool(rule.do.edits))
    sound = rule.state in (EntryState.ACTIVE, EntryState.SHADOW) and rule.id not in doubtful
    return answer if acts and sound else Disposition.DEFER
