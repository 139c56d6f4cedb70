"""Whatever is eased, no eased rule refuses for good; and what is eased is what is written."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings

from tests.builders.transactions import NOW, FakePolicies
from tests.property.test_order import SEEDS, SPECS, a_message, a_policy, indexed
from tidegate.engine.judge import judge
from tidegate.model import Disposition, Easing, Mode, Restraint, Rule, Verdict


def a_restraint(roll: random.Random, rules: list[Rule]) -> Restraint:
    """Some rules eased somehow, sometimes all."""
    some = {rule.id: roll.choice(tuple(Easing)) for rule in rules if roll.random() < 0.5}
    return Restraint(some, roll.choice((None, None, *Easing)))


def judged(rules: list[Rule], seed: int, restraint: Restraint) -> Verdict:
    """The verdict through the real index."""
    return judge(a_message(random.Random(seed)), indexed(rules, SPECS), NOW, restraint=restraint)


def a_case(seed: int) -> tuple[list[Rule], Restraint]:
    """A policy in which some rules are kept, and a restraint."""
    roll = random.Random(seed)
    rules = [replace(rule, kept=roll.random() < 0.3) for rule in a_policy(roll)]
    return rules, a_restraint(roll, rules)


@settings(max_examples=300, deadline=None)
@given(SEEDS)
def test_no_eased_rule_refuses_for_good(seed: int) -> None:
    """A 5xx, or a discard, is always that of a rule that nobody eased."""
    rules, restraint = a_case(seed)
    verdict = judged(rules, seed, restraint)
    if verdict.disposition in (Disposition.REJECT, Disposition.DISCARD):
        winner = next(rule for rule in rules if rule.id == verdict.rule)
        assert None is restraint.of(winner.id, winner.kept)


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_the_index_changes_nothing(seed: int) -> None:
    """A rule that the index leaves aside has no part in the message, eased or not. (Of one that is not asked the index
    is all that tells.)"""
    rules, restraint = a_case(seed)
    asked_rules = {name: easing for name, easing in restraint.rules.items() if easing.evaluated}
    everything = restraint.everything if restraint.everything and restraint.everything.evaluated else None
    restraint = Restraint(asked_rules, everything)
    message = a_message(random.Random(seed))
    asked = judge(message, FakePolicies(rules, SPECS), NOW, restraint=restraint)
    found = judged(rules, seed, restraint)
    assert (asked.disposition, asked.reply, asked.changes) == (found.disposition, found.reply, found.changes)


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_shadow_is_shadow(seed: int) -> None:
    """A rule that is eased into shadow does what one does that is written so."""
    rules, _ = a_case(seed)
    chosen = {rule.id for rule in rules if rule.do.exempt is None and random.Random(f"{seed}{rule.id}").random() < 0.5}
    written = [
        replace(rule, mode=Mode.SHADOW) if rule.id in chosen and rule.mode is not Mode.OFF else rule for rule in rules
    ]
    eased = judged(rules, seed, Restraint(dict.fromkeys(chosen, Easing.SHADOW)))
    plain = replace(eased, trail=tuple(replace(mark, eased=None) for mark in eased.trail))
    assert judged(written, seed, Restraint()) == plain
