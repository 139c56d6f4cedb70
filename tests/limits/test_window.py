"""The window of buckets against the exact one: what it lets through is never more than the maximum in any window, and
what it refuses is a granule early at most."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.limits import Charge
from tidegate.limits.window import (
    Bucket,
    ExactDistinct,
    ExactWindow,
    Extra,
    charged,
    counting,
    settled,
    span,
    usage,
    without,
)
from tidegate.model import OnStoreDown

PERS = st.sampled_from((1, 10, 61, 3600))  # seconds


def a_charge(maximum: int, cost: int = 1, per: float = 3600, **more: object) -> Charge:
    """One limit's charge."""
    return Charge("rule", "hour", "bob", maximum, per, cost, **more)  # type: ignore[arg-type]


def added(buckets: list[Bucket], now: int, cost: int, per: float) -> list[Bucket]:
    """The buckets with so much more."""
    window = span(per)
    return settled([*buckets, Bucket(window.ending(now), cost)], now, window)


TRACES = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 4)), min_size=1, max_size=120)


@settings(max_examples=200, deadline=None)
@given(PERS, st.integers(1, 9), TRACES)
def test_never_more_than_the_maximum_in_any_window(per: int, maximum: int, trace: list[tuple[int, int]]) -> None:
    """Closed windows of exactly `per`, anywhere; and whoever is refused is refused by a window a granule longer."""
    window = span(per)
    exact, longer = ExactWindow(per * 1000), ExactWindow(per * 1000 + window.step)
    buckets: list[Bucket] = []
    now = 1_700_000_000_123
    for wait, cost in trace:
        now += wait * window.step // 10
        charge = a_charge(maximum, cost, per)
        told = usage(charge, counting(buckets, now, window.per), 0, (), now)
        if told.exceeded:
            assert not longer.fits(now, cost, maximum)
            continue
        assert exact.fits(now, cost, maximum)
        exact.add(now, cost)
        longer.add(now, cost)
        buckets = added(buckets, now, cost, per)
    assert exact.highest() <= maximum


@settings(max_examples=200, deadline=None)
@given(PERS, st.integers(1, 9), TRACES, st.lists(st.tuples(st.integers(1, 5), st.integers(0, 4_000_000)), max_size=2))
def test_retry_is_exact(per: int, maximum: int, trace: list[tuple[int, int]], grants: list[tuple[int, int]]) -> None:
    """At that time it fits, a millisecond before it does not; and never means never."""
    now = 1_700_000_000_000
    buckets: list[Bucket] = []
    extras = [Extra(amount, now + after) for amount, after in grants]
    for wait, cost in trace:
        now += wait * span(per).step // 10
        charge = a_charge(maximum, cost, per)

        def fits(when: int, charge: Charge = charge, held: list[Bucket] = buckets) -> bool:
            return not usage(charge, counting(held, when, span(per).per), 0, extras, when).exceeded

        told = usage(charge, counting(buckets, now, span(per).per), 0, extras, now)
        if not told.exceeded:
            assert told.retry == 0
            buckets = added(buckets, now, cost, per)
        elif math.isinf(told.retry):
            assert cost > maximum
            assert not fits(now + span(per).per + span(per).step)
        else:
            free = now + round(told.retry * 1000)
            assert (False, True) == (fits(free - 1), fits(free))


def test_a_message_that_never_fits_is_told_so() -> None:
    """More than the maximum by itself: it has to be split."""
    told = usage(a_charge(300, 301), [], 0, (), 1000)
    assert (True, math.inf) == (told.exceeded, told.retry)


def test_nothing_costs_nothing() -> None:
    """A message that adds nothing is within any limit, even one that is overdrawn (its maximum was lowered)."""
    assert not usage(a_charge(5, 0), [Bucket(10_000, 9)], 0, (), 9_000).exceeded


def test_members_that_are_known_cost_nothing_twice() -> None:
    """Of two members one is in the window: others 2, ours 2, of at most 4."""
    told = usage(a_charge(4, 2), [Bucket(10_000, 2)], 1, (), 9_000)
    assert (3, False) == (told.used, told.exceeded)


@pytest.mark.parametrize(("cost", "members", "exceeded"), [(1, 1, False), (2, 2, True)], ids=["fits", "does not"])
def test_a_grant_is_more_until_its_end(cost: int, members: int, exceeded: bool) -> None:
    """And not a moment longer."""
    full = [Bucket(60_000, 300)]
    assert exceeded is usage(a_charge(300, cost), full, 0, [Extra(1, 50_000)], 49_999).exceeded
    assert usage(a_charge(300, members), full, 0, [Extra(1, 50_000)], 50_000).exceeded


def test_buckets_of_the_future_count_for_one_more_window() -> None:
    """The clock was set back by a day: what lies ahead is counted now, once, and ends a window later."""
    window = span(3600)
    ahead = [Bucket(86_400_000, 7), Bucket(90_000_000, 5)]
    now = 120_000
    assert [Bucket(180_000, 12)] == settled(ahead, now, window)
    assert [] == counting(settled(ahead, now, window), 180_000 + window.per, window.per)


@pytest.mark.parametrize(
    ("charged_at", "left"),
    [(30_000, [Bucket(60_000, 1), Bucket(120_000, 5)]), (70_000, [Bucket(60_000, 4), Bucket(120_000, 2)])],
    ids=["the first", "the second"],
)
def test_what_others_charged(charged_at: int, left: list[Bucket]) -> None:
    """A message that comes again is measured without its own share."""
    buckets = [Bucket(60_000, 4), Bucket(120_000, 5)]
    assert left == without(buckets, charged_at, 3, 130_000, span(3600))


def test_a_share_that_counts_no_more_is_nobodys() -> None:
    """Charged five minutes ago, in a window of a minute: what is there now is of others."""
    buckets = [Bucket(301_000, 4)]
    assert buckets == without(buckets, 1_000, 3, 300_500, span(60))


RULES = {
    "all fit": ([(True, False, False), (True, True, False)], [True, True]),
    "one refuses": ([(True, False, True), (True, False, False), (True, True, False)], [False, False, False]),
    "one holds": ([(False, False, True), (True, False, False)], [True, True]),
    "one in shadow would refuse": ([(True, True, True), (True, False, False)], [False, True]),
    "one in shadow would hold": ([(False, True, True), (True, False, False)], [True, True]),
}


@pytest.mark.parametrize(("rows", "expected"), RULES.values(), ids=RULES)
def test_all_or_none(rows: list[tuple[bool, bool, bool]], expected: list[bool]) -> None:
    """Who is charged, for (stops, shadow, exceeded)."""
    charges = [
        Charge(f"rule{number}", "hour", "bob", 1, 60, 1, (), stops, shadow, OnStoreDown.LOCAL)
        for number, (stops, shadow, _exceeded) in enumerate(rows)
    ]
    usages = [
        usage(one, [Bucket(1000, 1 if exceeded else 0)], 0, (), 500)
        for one, (_stops, _shadow, exceeded) in zip(charges, rows, strict=True)
    ]
    assert tuple(expected) == charged(charges, usages)


def test_distinct_counts_from_the_last_time_seen() -> None:
    """The specification of distinct members."""
    window = ExactDistinct(60)
    window.add(0, ["a", "b"])
    window.add(50, ["a"])
    assert (1, True, False) == (window.used(70), window.fits(70, ["a", "c"], 2), window.fits(70, ["c", "d"], 2))
