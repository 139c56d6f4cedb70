"""Both stores against the plain model of tests/builders/countmodel.py: event by event, the same answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders.countmodel import CountModel
from tests.builders.stores import STORES, Bench, a_bench
from tidegate.limits import Charge
from tidegate.limits.counter import Grant

START = 1_700_000_000_000
# Windows of minutes: keys in Redis expire by the real clock, which must not happen while a trace runs.


@pytest.fixture(scope="module", params=STORES)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A store whose clock the test sets."""
    with a_bench(request.param, tmp_path_factory.mktemp("store")) as made:
        yield made


@dataclass(frozen=True, slots=True)
class Step:
    """One event: the clock moves, a message comes."""

    wait: int
    charges: tuple[Charge, ...]
    retry_of: str
    commit: bool


@st.composite
def charges(draw: st.DrawFn) -> tuple[Charge, ...]:
    """Some of a few counters, each at most once; `max` and `per` are edited all the time."""
    found = []
    for rule, limit, shadow in draw(
        st.lists(
            st.sampled_from(
                [("a", "n", False), ("a", "m", False), ("a", "d", False), ("b", "n", True), ("b", "d", True)]
            ),
            unique=True,
            max_size=4,
        )
    ):
        members = tuple(draw(st.lists(st.sampled_from("uvwxyz"), min_size=1, max_size=4))) if limit == "d" else ()
        found.append(
            Charge(
                rule,
                limit,
                draw(st.sampled_from(("bob", "eve:1"))),
                draw(st.integers(0, 7)),
                draw(st.sampled_from((90, 600, 600, 600, 6000))),
                draw(st.integers(0, 3)) if not members else len(members),
                members,
                draw(st.booleans()),
                shadow,
            )
        )
    return tuple(found)


STEPS = st.builds(
    Step,
    st.one_of(st.integers(0, 90_000), st.integers(0, 9_000_000), st.integers(-2_000_000, 0)),
    charges(),
    st.sampled_from(("", "", "m1", "m2")),
    st.sampled_from((True, True, True, False)),
)
GRANTS = st.lists(
    st.builds(
        Grant,
        st.sampled_from(("bob", "eve:1")),
        st.integers(1, 5),
        st.integers(600, 6000).map(lambda seconds: START / 1000 + seconds),
        st.just(START / 1000),
        st.just("root"),
        st.just("a mailing"),
        st.sampled_from(("", "a", "b")),
        st.sampled_from(("", "n", "d")),
    ),
    max_size=2,
)


def test_what_one_message_id_is_worth(bench: Bench) -> None:
    """A sender who hands in the same again and again pays for each fourth of them, and the limit stops him."""
    bench.clear()
    bench.at = START
    limit = Charge("a", "n", "bob", 2, 600.0, 1)
    passed = [not bench.counters.charge((limit,), "m1", True)[0].usage.exceeded for _ in range(20)]
    assert [True] * 8 + [False] * 12 == passed


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=25), GRANTS)
def test_the_store_says_what_the_model_says(bench: Bench, steps: list[Step], grants: list[Grant]) -> None:
    """Whatever comes: usage, retry, what is charged, retries of a message, grants, edits, a clock that jumps."""
    bench.clear()
    model, now = CountModel(grants=grants), START
    bench.at = now
    for grant in grants:
        bench.shelf.grant(grant)
    for step in steps:
        bench.at = now = now + step.wait
        expected = model.charge(step.charges, step.retry_of, now, step.commit)
        assert expected == [
            (one.usage, one.after) for one in bench.counters.charge(step.charges, step.retry_of, step.commit)
        ]
