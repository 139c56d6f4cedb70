"""What a person sees and changes of the counters: the same in both stores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.builders.charges import a_charge
from tests.builders.stores import STORES, Bench, a_bench
from tidegate.limits.counter import Counter, Grant, Standing, Wanted

HOUR = 3_600_000
EVERYTHING = Wanted()


@pytest.fixture(scope="module", params=STORES)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Both stores, one after the other."""
    with a_bench(request.param, tmp_path_factory.mktemp("store")) as made:
        yield made


@pytest.fixture
def bench(opened: Bench) -> Bench:
    """With nothing in it."""
    opened.clear()
    return opened


def grant(bench: Bench, amount: int = 5, **more: str) -> Grant:
    """Something for bob, for an hour."""
    now = bench.clock()
    return Grant(
        **{"key": "bob", "amount": amount, "until": now + 3600, "at": now, "who": "root", "reason": "news"} | more
    )  # type: ignore[arg-type]


def used(bench: Bench, wanted: Wanted = EVERYTHING) -> dict[str, int]:
    """What is told of each counter."""
    return {str(one.counter): one.used for one in bench.shelf.standings(wanted)}


def test_what_is_counted_is_told(bench: Bench) -> None:
    """Each counter with maximum and window of its last charge; shadow apart; a key may hold anything."""
    strange = "a:b*?[c]\\ü|{x}"
    charges = [
        a_charge(3),
        a_charge(9, 4, limit="day", per=86400.0),
        a_charge(3, shadow=True),
        a_charge(5, 2, key=strange, rule="who", members=("x", "y")),
    ]
    for one in charges:
        bench.counters.charge((one,), "", True)
    bench.counters.charge((a_charge(4),), "", True)
    told = {one.counter: replace(one, seen=0) for one in bench.shelf.standings(Wanted())}
    expected = [
        Standing(Counter("rate", "hour", "bob"), 2, 4, 3600.0),
        Standing(Counter("rate", "day", "bob"), 4, 9, 86400.0),
        Standing(Counter("rate", "hour", "bob", shadow=True), 1, 3, 3600.0),
        Standing(Counter("who", "hour", strange), 2, 5, 3600.0, distinct=True),
    ]
    assert {one.counter: one for one in expected} == told
    assert {f"e:who:hour:{strange}": 2} == used(bench, Wanted(key=strange))


def test_what_counts_no_more_is_not_told(bench: Bench) -> None:
    """Two hours later the hour is empty, the day is not."""
    bench.counters.charge((a_charge(3), a_charge(9, limit="day", per=86400.0)), "", True)
    bench.at += 2 * HOUR
    assert {"e:rate:day:bob": 1} == used(bench)


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        (Wanted("bob"), {"e:rate:hour:eve": 1}),
        (Wanted("bob", "rate", "day"), {"e:rate:hour:bob": 1, "e:rate:hour:eve": 1}),
        (Wanted("nobody"), {"e:rate:hour:bob": 1, "e:rate:day:bob": 1, "e:rate:hour:eve": 1}),
    ],
    ids=["a key", "one limit of it", "nothing"],
)
def test_reset(wanted: Wanted, left: dict[str, int], bench: Bench) -> None:
    """Counters are empty, the others are not touched, and who did it is on record; distinct members are forgotten."""
    charges = (a_charge(), a_charge(limit="day", members=("x",)), a_charge(key="eve"))
    bench.counters.charge(charges, "", True)
    assert 3 - len(left) == bench.shelf.reset(wanted, "root", "a mistake of ours")
    assert left == used(bench)
    after = bench.counters.charge((a_charge(limit="day", members=("x",)),), "", False)[0].usage.used
    assert ("e:rate:day:bob" in left) == bool(after)
    assert [("reset", "root", "a mistake of ours", wanted.key)] == [
        (one.what, one.who, one.reason, one.key) for one in bench.shelf.deeds()
    ]


def test_grants(bench: Bench) -> None:
    """They add up, concern what they say, show in what is told, and end."""
    for one in (
        grant(bench),
        grant(bench, 2, rule="rate"),
        grant(bench, 1, limit="day"),
        grant(bench, 7, rule="other"),
    ):
        bench.shelf.grant(one)
    bench.shelf.grant(grant(bench, 9, key="eve"))
    assert [10] == [one.usage.maximum for one in bench.counters.charge((a_charge(3),), "", True)]
    assert [(10, 7)] == [(one.maximum, one.granted) for one in bench.shelf.standings(Wanted("bob"))]
    assert [1, 2, 5, 7] == sorted(one.amount for one in bench.shelf.grants("bob"))
    assert 5 == len(bench.shelf.grants(""))
    assert [9, 7, 1, 2, 5] == [one.amount for one in bench.shelf.deeds()]
    bench.at += HOUR
    assert ([], [3]) == (
        bench.shelf.grants("bob"),
        [one.usage.maximum for one in bench.counters.charge((a_charge(3),), "", False)],
    )


def test_a_reset_keeps_grants(bench: Bench) -> None:
    """They end by themselves."""
    bench.shelf.grant(grant(bench))
    bench.shelf.reset(Wanted("bob"), "root", "")
    assert 1 == len(bench.shelf.grants("bob"))


def test_a_person_is_forgotten(bench: Bench) -> None:
    """Counters, grants, and what was done for that key; not those of others. To look first changes nothing."""
    bench.counters.charge((a_charge(), a_charge(key="eve")), "", True)
    bench.shelf.grant(grant(bench))
    bench.shelf.grant(grant(bench, key="eve"))
    bench.shelf.reset(Wanted("bob"), "root", "")
    bench.counters.charge((a_charge(),), "", True)
    keys = ("bob", "bob@example.com")
    assert [4, 4, 0] == [bench.shelf.forget(keys, only_count) for only_count in (True, False, True)]
    assert ({"e:rate:hour:eve": 1}, ["eve"]) == (used(bench), [one.key for one in bench.shelf.deeds()])
    assert 1 == len(bench.shelf.grants(""))


def test_many_counters(bench: Bench) -> None:
    """More than one page of them."""
    for number in range(450):
        bench.counters.charge((a_charge(key=f"user{number}"),), "", True)
    assert 450 == len(used(bench))
    assert 450 == bench.shelf.reset(Wanted(rule="rate"), "root", "")


def test_rubbish_is_passed_over(bench: Bench) -> None:
    """Somebody else's values under our keys in Redis."""
    if bench.server is None:
        pytest.skip("the host's file has columns")
    key = "{tidegate:test}:"
    bench.server.ask("SET", f"{key}limit:e:rate:hour:bob", "x")
    bench.server.ask("HSET", f"{key}limit:e:rate:day:bob", "m", "x", "p", "y", "z", "1")
    bench.server.ask("SET", f"{key}limit:rubbish", "x")
    bench.server.ask("SET", f"{key}grants:bob", "x")
    bench.server.ask("HSET", f"{key}grants:eve", "a", "[", "b", "{}", "c", '{"amount": "x"}')
    bench.server.ask("XADD", f"{key}limits:log", "*", "a", "b")
    assert ({}, [], []) == (used(bench), bench.shelf.grants(""), bench.shelf.deeds())
    bench.counters.charge((a_charge(key="eve"),), "", True)
    bench.shelf.grant(grant(bench))
    assert 1 == len(bench.shelf.grants("bob"))
