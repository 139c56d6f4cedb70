"""The simulated counters of limits: as the stores count, event by event, at the messages' own times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders.charges import a_charge
from tests.builders.countmodel import CountModel
from tests.builders.kept import a_kept
from tests.builders.policies import a_policy, load_text
from tests.builders.transactions import NOW
from tidegate import image
from tidegate.limits import Charge
from tidegate.model import PolicySet
from tidegate.replay import limiting
from tidegate.replay.compare import Comparing, Comparison
from tidegate.replay.limiting import Simulated

LIMITED = """
rules:
  - id: rate
    when: {{login: {{exists: true}}}}
    limits: [{{name: hour, by: login, count: messages, max: {}, per: 1h}}]
    do: {{defer: {{code: "451 4.7.1", text: "again in {{limit.retry}}"}}}}
"""

CHARGES = st.lists(
    st.builds(
        Charge,
        rule=st.sampled_from("ab"),
        limit=st.sampled_from(("n", "m")),
        key=st.sampled_from(("bob", "eve")),
        maximum=st.integers(0, 7),
        per=st.sampled_from((90.0, 600.0, 6000.0)),
        cost=st.integers(0, 3),
        stops=st.booleans(),
        shadow=st.booleans(),
    )
    | st.lists(st.sampled_from("uvwxyz"), min_size=1, max_size=4, unique=True).map(
        lambda members: Charge("a", "d", "bob", 5, 600.0, len(members), tuple(members))
    ),
    max_size=4,
    unique_by=lambda one: (one.shadow, one.rule, one.limit, one.key),
)


@given(st.lists(st.tuples(st.integers(0, 900_000), CHARGES, st.booleans()), max_size=30))
def test_it_counts_as_the_stores_do(steps: list[tuple[int, list[Charge], bool]]) -> None:
    """Whatever is charged, in whichever windows, with whatever is edited meanwhile."""
    model, simulated, now = CountModel(), Simulated(), 1_700_000_000_000
    for wait, charges, commit in steps:
        now += wait
        expected = tuple(usage for usage, _ in model.charge(charges, "", now, commit))
        assert expected == simulated.charge(tuple(charges), "", now / 1000, commit)


def test_what_has_passed_is_forgotten() -> None:
    """Memory does not grow with the number of senders that ever were."""
    simulated = Simulated()
    for number in range(limiting._MOST + 10):
        simulated.charge((a_charge(key=f"u{number}", per=60.0),), "", NOW + number, True)
    assert len(simulated._counters) < 200


def test_members_that_have_passed_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does it with the number of recipients that one sender ever wrote to."""
    monkeypatch.setattr(limiting, "_MOST", 500)
    simulated = Simulated()
    for number in range(200):
        names = tuple(f"m{number}-{one}" for one in range(10))
        simulated.charge((a_charge(maximum=10**9, cost=10, per=60.0, members=names),), "", NOW + number * 60, True)
    (held,) = simulated._counters.values()
    assert len(held.members) < 600


def generation(text: str) -> PolicySet:
    return image.Generation(image.build(load_text(a_policy(text)).loaded, 1))


def compared(before: int, after: int, *, limits: bool) -> Comparison:
    """Ten messages of one login in an hour, by these two maxima."""
    comparing = Comparing(generation(LIMITED.format(before)), generation(LIMITED.format(after)), limits=limits)
    for number in range(10):
        comparing.take(a_kept(NOW + number))
    return comparing.found


def test_a_lower_limit_stops_more() -> None:
    """Each policy has counters of its own: four of seven that went on are deferred, by the rule of the limit."""
    found = compared(7, 3, limits=True)
    (change,) = found.changes.values()
    assert ("accept", "defer", "rate", 4) == (change.before, change.after, change.rule, change.count)
    assert ("simulated", 10, 0) == (found.limits, found.judged, found.unreplayable)


def test_by_default_no_limit_is_exceeded() -> None:
    """And it is told how they were taken."""
    found = compared(7, 3, limits=False)
    assert ("not exceeded", 10, 0) == (found.limits, found.judged, found.changed)
