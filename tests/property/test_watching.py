"""Rules that are skipped are watched for the exposure ledger: that changes no verdict, and misses no message."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings

from tests.builders.transactions import NOW
from tests.engine.test_candidates import SPECS, a_message, indexed
from tests.property.test_order import SEEDS, a_policy
from tidegate.engine.exposure import concerned, watched
from tidegate.engine.judge import judge
from tidegate.model import NO_RESTRAINT, Actions, Disposition, Ending, EntryState, Mode


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_what_is_skipped_changes_nothing(seed: int) -> None:
    """With skipped rules among them, wherever they stand, the rules give the same verdict, reply, edits and trail."""
    roll = random.Random(seed)
    rules = a_policy(roll)
    skipped = [
        replace(rule, id=f"skipped-{rule.id}", state=EntryState.SKIPPED, do=Actions()) for rule in a_policy(roll)
    ]
    mixed = [*rules, *skipped]
    roll.shuffle(mixed)
    message = a_message(random.Random(seed))
    assert judge(message, indexed(rules, SPECS), NOW) == judge(message, indexed(mixed, SPECS), NOW)


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_a_message_that_a_skipped_rule_would_have_met_is_told(seed: int) -> None:
    """Where the rule, in force and alone, is in the trail, it would have been concerned; and nowhere else."""
    roll = random.Random(seed)
    hold = Actions(Ending(Disposition.HOLD))
    message = a_message(random.Random(seed))
    for one in a_policy(roll):
        rule = replace(one, limits=())  # of what is skipped nobody knows them
        if rule.per_recipient or rule.mode is Mode.OFF:
            continue
        alone = judge(message, indexed([replace(rule, do=hold, state=EntryState.ACTIVE)], SPECS), NOW)
        policies = indexed([replace(rule, do=Actions(), state=EntryState.SKIPPED)], SPECS)
        told = concerned(message, watched(policies), policies, NO_RESTRAINT, NOW)
        assert [mark.rule for mark in alone.trail] == [one.rule for one in told]
