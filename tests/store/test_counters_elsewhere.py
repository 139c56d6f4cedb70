"""Counters in a Cluster, behind Sentinels, and with other environments beside them."""

from __future__ import annotations

import pytest

from tests.builders.charges import a_charge
from tests.builders.redisserver import Cluster, RedisServer, Watched, until
from tests.builders.stores import redis_at
from tests.builders.storesettings import StoreWords
from tidegate.limits.counter import Wanted
from tidegate.store.connection import open_store
from tidegate.store.counters import RedisCounters
from tidegate.store.counting import UncountedError
from tidegate.store.redisshelf import RedisShelf


def counted(counters: RedisCounters, **more: object) -> int:
    """Charge bob; what was used before. All three sorts of keys are touched."""
    charges = (a_charge(100, **more), a_charge(100, rule="who", members=("a", "b")), a_charge(100, key="eve"))
    return counters.charge(charges, "a message" if not more else "", True)[0].usage.used


def test_a_cluster() -> None:
    """All keys of an environment lie on one node: one script call reaches them, wherever it was sent first."""
    with Cluster() as cluster:
        counters = RedisCounters(open_store(redis_at(cluster.url), 5.0))
        assert [0, 1] == [counted(counters, limit="day") for _ in range(2)]
        assert 0 == counted(counters)
        shelf = RedisShelf(open_store(redis_at(cluster.url), 5.0))
        assert 4 == len(shelf.standings(Wanted()))
        assert 2 == shelf.reset(Wanted(rule="rate", key="bob"), "root", "")
        holder = cluster.holder("{tidegate:test}:x")
        assert [0] * 2 == [node.ask("DBSIZE") for node in cluster.nodes if node is not holder]


def test_sentinels() -> None:
    """After a fail-over the replica counts on from what it has; while nobody is master there is a reason."""
    with Watched() as watched:
        counters = RedisCounters(open_store(redis_at(watched.url), 1.0))
        assert [0, 1, 2] == [counted(counters, limit="day") for _ in range(3)]
        replica = watched.replica
        assert replica is not None
        until(lambda: watched.master.ask("WAIT", 1, 1000) == 1, "the replica has it all")
        watched.master.kill()
        causes = set()

        def told() -> int:
            try:
                return counted(counters, limit="day")
            except UncountedError as error:
                causes.add(error.why)
                return 0

        assert 3 == until(told, "the replica is master")
        assert causes


def test_environments_do_not_meet() -> None:
    """One Redis for `test` and for `prod`: their counters are apart."""
    with RedisServer() as server:
        one, other = (
            RedisCounters(open_store(StoreWords(server.url, environment=name), 5.0)) for name in ("test", "prod")
        )
        assert [0, 0, 1] == [counted(store, limit="day") for store in (one, other, one)]


@pytest.mark.parametrize(
    "reply", [None, 5, [], b"", b"x", b"1.2 1 2 3 4", b"1.2 a 2 3 4 5", b"\xff 1 2 3 4 5", [b"1.2"]]
)
def test_an_answer_that_makes_no_sense(reply: object) -> None:
    """Somebody else listens there: nothing of it is believed."""
    with RedisServer() as server:
        link = open_store(redis_at(server.url), 5.0)
        link.run = lambda *_words: reply  # type: ignore[method-assign]
        with pytest.raises(UncountedError, match="makes no sense"):
            RedisCounters(link).charge((a_charge(),), "", True)
