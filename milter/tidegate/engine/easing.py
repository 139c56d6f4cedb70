"""What an easing makes of a rule (model/restraint.py): a milder rule, before anything is asked of it.

Promises: an eased rule never refuses and never discards for good, so no restraint brings about a 5xx; what a rule
exempts is not taken from it, because that would make others bite. Of an exempt that may not be asked nobody knows whom
it would silence, so the rules that it names answer at most 4xx, as with one that is broken. A rule that takes no part
anyway, or has nothing that could be eased, stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from tidegate.conditions.facts import Facts
from tidegate.engine.index import dormant
from tidegate.engine.match import outward
from tidegate.engine.parts import Stand
from tidegate.engine.schedule import in_force
from tidegate.model import (
    Actions,
    Cause,
    Disposition,
    Doubt,
    Easing,
    Ending,
    EntryState,
    Mode,
    OnUninspected,
    ReplyTemplate,
    Restraint,
    Rule,
    Template,
    Truth,
    Verdict,
)

_FINAL = (Disposition.REJECT, Disposition.DISCARD)
_LATER = Ending(Disposition.DEFER, ReplyTemplate(451, "4.7.1", Template("Please try again later ({ref})")))
_NOT_ASKED = Cause(Doubt.PASSING, "the rule is taken back for now, and not asked")


def shadowed(rule: Rule) -> bool:
    """Is the rule evaluated without effect?"""
    return rule.mode is Mode.SHADOW or rule.state is EntryState.SHADOW


@dataclass(slots=True)
class Ease:
    """One judgement under a restraint."""

    restraint: Restraint
    facts: Facts
    eased: dict[str, Easing] = field(default_factory=dict)  # the rules that it changed
    _unasked: list[Stand] = field(default_factory=list)

    def left(self, numbers: Iterable[int], rule_of: Callable[[int], Rule]) -> dict[int, Rule]:
        """The rules that are still asked, each as far as it is left."""
        found: dict[int, Rule] = {}
        for number in numbers:
            rule = rule_of(number)
            easing = self.restraint.of(rule.id, rule.kept)
            if easing is None or dormant(rule):
                found[number] = rule
            elif not easing.evaluated:
                self._leave_out(rule, easing)
            else:
                milder = _soft(rule) if easing is Easing.SOFT else _in_shadow(rule)
                found[number] = milder
                if milder is not rule:
                    self.eased[rule.id] = easing
        return found

    def joined(self, found: Iterable[Stand]) -> list[Stand]:
        """How the rules stand, with those that were not asked; what an eased rule exempts stands for itself."""
        unasked, self._unasked = self._unasked, []
        return [*(part for one in found for part in self._parts(one)), *unasked]

    def named(self, verdict: Verdict) -> Verdict:
        """The verdict, with the marks of eased rules saying so."""
        eased = self.eased
        if not eased or not verdict.trail:
            return verdict
        marks = (replace(one, eased=eased[one.rule]) if one.rule in eased else one for one in verdict.trail)
        return replace(verdict, trail=tuple(marks))

    def _parts(self, stand: Stand) -> Iterator[Stand]:
        rule = stand.rule
        if rule.do.exempt is not None and self.eased.get(rule.id) is Easing.SHADOW:
            yield replace(stand, rule=replace(rule, mode=Mode.ENFORCE, do=Actions(exempt=rule.do.exempt)))
            yield replace(stand, rule=replace(rule, do=replace(rule.do, exempt=None), stale_exempt=False))
        else:
            yield stand

    def _leave_out(self, rule: Rule, easing: Easing) -> None:
        facts = self.facts
        if (rule.schedule is not None and not in_force(rule.schedule, facts.now)) or shadowed(rule):
            return
        if not rule.inbound and outward(facts)[0] is Truth.NO:
            return
        broken = easing is Easing.SKIP or rule.state is EntryState.SKIPPED
        state = EntryState.SKIPPED if broken else EntryState.DEFERRING
        everybody = facts.transaction.envelope.recipients
        self._unasked.append(Stand(replace(rule, state=state), Truth.UNKNOWN, _NOT_ASKED, everybody))
        self.eased[rule.id] = easing


def _soft(rule: Rule) -> Rule:
    """What it refuses or discards is deferred, and it puts nobody on a list."""
    ending, uninspected = rule.do.ending, rule.on_uninspected
    if ending is not None and ending.disposition in _FINAL:
        rule = replace(rule, do=replace(rule.do, ending=_LATER))
    if rule.do.suspend is not None:
        rule = replace(rule, do=replace(rule.do, suspend=None))
    if uninspected is OnUninspected.REJECT:
        rule = replace(rule, on_uninspected=OnUninspected.DEFER)
    return rule


def _in_shadow(rule: Rule) -> Rule:
    """It acts without effect; one that only exempts stays as it is."""
    do = rule.do
    only_exempts = do.exempt is not None and do.ending is None and not do.edits and do.suspend is None
    return rule if only_exempts or shadowed(rule) else replace(rule, mode=Mode.SHADOW)
