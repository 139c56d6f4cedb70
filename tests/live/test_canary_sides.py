"""Who is on which side, and what counts for a canary."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tidegate.live.canary import Canary, Part, sender_of
from tidegate.model import Disposition
from tidegate.observe.sides import Count, Outcome, Sides


def canary_of(sides: Sides, share: float, **more: Any) -> Canary:
    """One without a generation: what is asked here needs none."""
    wanted: dict[str, Any] = {"columns": {"bad": 3}, "expected": frozenset({"outbreak"})}
    return Canary(2, cast(Any, None), share, 1, tally=sides.tally(0), **(wanted | more))


@pytest.mark.parametrize(
    ("login", "sender", "client", "expected"),
    [
        pytest.param("Alice", "news@example.com", "192.0.2.7", "alice", id="the login"),
        pytest.param("", "News@Example.com", "192.0.2.7", "news@example.com", id="without one the envelope sender"),
        pytest.param("", "", "192.0.2.7", "192.0.2.0/24", id="a bounce: the network"),
        pytest.param("", "", "2001:db8:1:2:3::1", "2001:db8:1:2::/64", id="of IPv6"),
    ],
)
def test_sender_of(login: str, sender: str, client: str, expected: str) -> None:
    """Who sends, for the choice of a side."""
    assert expected == sender_of(login, sender, client)


@pytest.mark.parametrize("share", [0.5, 10.0, 30.0, 50.0])
def test_the_share_is_kept(share: float) -> None:
    """Of many senders so many are on the new side; the same in every worker, and a smaller share is part of it."""
    sides = Sides(2)
    first, second = canary_of(sides, share), canary_of(sides, share, columns={})
    smaller = canary_of(sides, share / 2)
    senders = [f"user{number}@example.com" for number in range(5000)]
    new = {sender for sender in senders if first.part(sender).new}
    assert pytest.approx(len(senders) * share / 100, rel=0.25, abs=15) == len(new)
    assert new == {sender for sender in senders if second.part(sender).new}
    assert new >= {sender for sender in senders if smaller.part(sender).new}


def test_another_daemon_chooses_others() -> None:
    """The hash is keyed: nobody can tell from outside who is first."""
    senders = [f"user{number}" for number in range(200)]
    chosen = [[canary_of(Sides(1), 50).part(sender).new for sender in senders] for _ in range(2)]
    assert chosen[0] != chosen[1]


@pytest.mark.parametrize(
    ("disposition", "expected"),
    [
        (Disposition.ACCEPT, {Outcome.JUDGED}),
        (Disposition.HOLD, {Outcome.JUDGED, Outcome.STOPPED}),
        (Disposition.DEFER, {Outcome.JUDGED, Outcome.STOPPED}),
        (Disposition.REJECT, {Outcome.JUDGED, Outcome.STOPPED, Outcome.REFUSED}),
        (Disposition.DISCARD, {Outcome.JUDGED, Outcome.STOPPED, Outcome.REFUSED, Outcome.DISCARDED}),
    ],
)
def test_what_a_verdict_counts_for(disposition: Disposition, expected: set[Outcome]) -> None:
    """Harm has degrees, each of which includes the milder ones; the rule behind it is counted where it differs."""
    sides = Sides(1)
    Part(canary_of(sides, 10), True, 99).judged(disposition, ("bad",))
    old, new = sides.read(1)
    assert expected == {outcome for outcome in Outcome if new.of(outcome) == Count(1, 1)}
    assert (disposition is not Disposition.ACCEPT) is (new.rules[3] == 1)
    assert 0 == old.of(Outcome.JUDGED).messages


def test_what_is_no_harm() -> None:
    """What a rule with `expect:` does is awaited; a fault of ours is counted apart."""
    sides = Sides(1)
    canary = canary_of(sides, 10)
    Part(canary, True, 1).judged(Disposition.REJECT, ("outbreak",))
    Part(canary, True, 2).refused(Disposition.REJECT, "outbreak")
    Part(canary, True, 3).failed(["bad"])
    _, new = sides.read(1)
    assert (Count(2, 2), Count(), Count(1, 1)) == tuple(
        new.of(one) for one in (Outcome.JUDGED, Outcome.STOPPED, Outcome.FAULT)
    )
    assert 1 == new.rules[3]


def test_harm_of_several_rules() -> None:
    """Is awaited only where all of them say so."""
    sides = Sides(1)
    Part(canary_of(sides, 10), True, 1).judged(Disposition.HOLD, ("outbreak", "bad"))
    _, new = sides.read(1)
    assert (Count(1, 1), 1) == (new.of(Outcome.STOPPED), new.rules[3])
