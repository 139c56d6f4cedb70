"""Limits and the bracket against brute force: every assignment of YES and NO to rules in doubt, and of room and none to
limits that can't be known.

Brute force knows nothing of calls, of `stops`, or of what need not be asked. It takes a rule with limits to act where
its conditions hold and one of its limits is exceeded; what the bracket then decides has to be what every assignment
comes to. And whatever is charged, is charged because the message goes on.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.builders.ledgers import ExactLedger
from tests.builders.limits import ALICE, a_limit
from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tests.property.test_bracket import ACCEPTED, GOES_ON, World, a_set, counts_as_no, reaches, worlds, wrong
from tidegate.conditions.facts import Facts
from tidegate.engine.bracket import settle
from tidegate.engine.inquiry import UNWATCHED, Inquiry
from tidegate.engine.metering import Meter, metered
from tidegate.engine.parts import Stand
from tidegate.model import Cause, Disposition, Doubt, EntryState, Limit, LimitUse, Mode, OnError, Truth

DISCARD = Disposition.DISCARD
ROOM, FULL, DOWN = "room", "full", "down"
Usages = Mapping[tuple[str, str], str]
UNKNOWN = Cause(Doubt.PASSING, "why")
DIFFERS = "decided, and an assignment differs"


@dataclass(frozen=True, slots=True)
class Case:
    """How the rules stand before limits are asked, and what there is to know of each limit."""

    stands: tuple[Stand, ...]
    usages: Usages

    @property
    def limiting(self) -> list[Stand]:
        return [one for one in self.stands if one.rule.limits]


def a_case(roll: random.Random) -> Case:
    """Some of the rules of a random set have limits; exempts have none."""
    stands: list[Stand] = []
    usages: dict[tuple[str, str], str] = {}
    for one in a_set(roll):
        rule = one.rule
        if one.truth is Truth.NO or rule.do.exempt is not None or roll.random() < 0.4:
            stands.append(one)
            continue
        limits: tuple[Limit, ...] = tuple(a_limit(name) for name in ("hour", "day")[: roll.choice((1, 1, 2))])
        state = roll.choice((EntryState.ACTIVE, EntryState.ACTIVE, EntryState.STALE))
        stands.append(replace(one, rule=replace(rule, limits=limits, state=state)))
        usages |= {(rule.id, limit.name): roll.choice((ROOM, FULL, FULL, DOWN)) for limit in limits}
    return Case(tuple(stands), usages)


def asked(case: Case) -> tuple[list[Stand], tuple[LimitUse, ...], ExactLedger]:
    """What metering makes of it."""
    ledger = ExactLedger(down=frozenset(name for name, usage in case.usages.items() if usage == DOWN))
    for (rule, limit), usage in case.usages.items():
        ledger.use(rule, limit, ALICE, 10 if usage == FULL else 5, NOW - 1)
    rules = [one.rule for one in case.stands]
    facts = Facts(a_transaction(), FakePolicies(rules), NOW)
    inquiry = Inquiry(facts, UNWATCHED, ACCEPTED.recipients)
    return *metered([one for one in case.stands if one.truth is not Truth.NO], ACCEPTED, inquiry, Meter(ledger)), ledger


def resolved(case: Case, usages: Usages) -> list[Stand]:
    """How the rules stand where it is known of every limit (or left at DOWN) whether there is room."""
    found: list[Stand] = []
    for one in case.stands:
        told = [usages[one.rule.id, limit.name] for limit in one.rule.limits]
        if not told or FULL in told or counts_as_no(one):
            found.append(one)
        elif DOWN in told:
            found.append(replace(one, truth=Truth.UNKNOWN, cause=UNKNOWN))
    return found


def all_worlds(case: Case) -> Iterator[World]:
    """What the message comes to, for every assignment of both kinds."""
    skipped = {one.rule.id for one in case.stands if one.rule.on_error is OnError.SKIP}
    down = [name for name, usage in case.usages.items() if usage == DOWN and name[0] not in skipped]
    for answers in itertools.product((ROOM, FULL), repeat=len(down)):
        usages = {name: ROOM if usage == DOWN else usage for name, usage in case.usages.items()}
        yield from worlds(resolved(case, {**usages, **dict(zip(down, answers, strict=True))}))


def silenced(case: Case, one: Stand) -> bool:
    """Does an exempt that is certain name the rule?"""
    return any(
        other.truth is Truth.YES
        and other.rule.state is EntryState.ACTIVE
        and not other.rule.stale_exempt
        and reaches(other.rule, one.rule)
        for other in case.stands
    )


@settings(max_examples=600, deadline=None)
@given(st.integers(0, 2**40))
def test_what_is_decided_holds_for_every_assignment(seed: int) -> None:
    """Rules in doubt, limits that can't be known, limits that are not asked: none of them makes a decision wrong."""
    case = a_case(random.Random(seed))
    stands, _, _ = asked(case)
    outcome, found = settle(stands, ACCEPTED), set(all_worlds(case))
    why = wrong(resolved(case, case.usages), outcome, found)
    if why == DIFFERS and outcome.disposition not in GOES_ON:
        # Some were not asked: what is certain stops the message, and they could only have put a stricter end in doubt.
        assert {one.rule.id for one in case.limiting} - {one.rule.id for one in stands}
        assert all(disposition >= outcome.disposition for disposition, _ in found)
    else:
        assert "" == why


@settings(max_examples=600, deadline=None)
@given(st.integers(0, 2**40))
def test_it_is_charged_if_and_only_if_the_message_goes_on(seed: int) -> None:
    """One call at most; every limit that has a say is charged, or none is.

    Where one rule discards what another holds, or a rule or an exempt is in doubt, mail may be held uncharged: what
    would have stopped it alone does not stop it together with a hold.
    """
    case = a_case(random.Random(seed))
    assume(all(one.rule.do.ending is None or one.rule.do.ending.disposition is not DISCARD for one in case.stands))
    doubted = any(one.cause is not None for one in case.stands)
    stands, _, ledger = asked(case)
    goes_on = settle(stands, ACCEPTED).disposition in GOES_ON
    down = DOWN in case.usages.values()
    assert len(ledger.calls) <= 1
    concerned = [one for one in case.limiting if not silenced(case, one) and not counts_as_no(one)]
    for one in case.limiting:
        for limit in one.rule.limits:
            usage = case.usages[one.rule.id, limit.name]
            added = ledger.used(one.rule.id, limit.name, ALICE) - (10 if usage == FULL else 5)
            if one not in concerned or usage == DOWN:
                assert added == 0
            elif goes_on:
                assert added == 1 or (doubted and added == 0)
            elif not down:  # what is in doubt for want of an answer may have been charged: it comes again
                assert added == 0


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**40))
def test_rules_in_shadow_change_nothing_for_the_others(seed: int) -> None:
    """The same verdict, and the same charges, with rules in shadow and without them."""
    roll = random.Random(seed)
    case = a_case(roll)
    hidden = {one.rule.id for one in case.limiting if roll.random() < 0.5}
    shadows = tuple(
        replace(one, rule=replace(one.rule, mode=Mode.SHADOW)) if one.rule.id in hidden else one for one in case.stands
    )
    with_them, _, ledger = asked(replace(case, stands=shadows))
    alone, _, other = asked(replace(case, stands=tuple(one for one in case.stands if one.rule.id not in hidden)))
    shown = [one for one in with_them if one.rule.mode is not Mode.SHADOW]
    assert _named(shown) == _named(alone)
    for rule, limit in case.usages:
        assert rule in hidden or ledger.used(rule, limit, ALICE) == other.used(rule, limit, ALICE)


def _named(stands: Sequence[Stand]) -> list[tuple[str, Truth]]:
    return sorted((one.rule.id, one.truth) for one in stands)
