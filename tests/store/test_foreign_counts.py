"""What people or other programs write under the keys of limits: it costs that key its count, and no other anything."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.builders.charges import a_charge
from tests.builders.redisserver import RedisServer
from tests.builders.stores import redis_at
from tidegate.limits.counter import Wanted
from tidegate.store.connection import open_store
from tidegate.store.counters import RedisCounters
from tidegate.store.debts import Due
from tidegate.store.redisshelf import RedisShelf

TAG = "{tidegate:test}:"
COUNTER = "e:rate:hour:bob"
BOB = f"{TAG}limit:{COUNTER}"
GRANT = f"{TAG}grants:bob"
SINCE = f"{TAG}limits:since"
NOW = int(time.time() * 1000)
SOON = NOW + 30_000
FOREIGN: dict[str, tuple[tuple[str | int, ...], ...]] = {
    "a word in a bucket": (("HSET", BOB, SOON, "garbage"),),
    "a number that overflows": (("HSET", BOB, SOON, 2**63 - 1),),
    "no number": (("HSET", BOB, SOON, "nan"),),
    "less than nothing": (("HSET", BOB, SOON, -500),),
    "a bucket at the end of time": (("HSET", BOB, "9" * 30, 1),),
    "words where numbers stand": (("HSET", BOB, "m", "x", "p", "y", "f", "w"),),
    "a grant of no number": (("HSET", GRANT, "1", '{"amount": NaN, "until": 99999999999, "rule": "", "limit": ""}'),),
    "a grant without end": (("HSET", GRANT, "1", '{"amount": 1e300, "until": 1e300, "rule": "", "limit": ""}'),),
    "since a word": (("SET", SINCE, "a b c"),),
    "since a set": (("DEL", SINCE), ("SADD", SINCE, "x")),
}


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.mark.parametrize("commands", FOREIGN.values(), ids=FOREIGN)
def test_counting_goes_on(server: RedisServer, commands: tuple[tuple[str | int, ...], ...]) -> None:
    """The message has its answer, is charged, and so is the next one; a person sees the counter too."""
    server.flush()
    counters = RedisCounters(open_store(redis_at(server.url), 5.0))
    due = Due(COUNTER, 3600_000, 3, ((SOON, 1),))
    for command in commands:
        server.ask(*command)
    first, second = (counters.charge((a_charge(3),), "", True)[0].usage for _ in range(2))
    assert [(0, 3, False), (1, 3, False)] == [(one.used, one.maximum, one.exceeded) for one in (first, second)]
    for command in commands:
        server.ask(*command)
    counters.give((due,), True)
    counters.give((due,), False)
    assert 1 <= counters.charge((a_charge(9),), "", True)[0].usage.used <= 5
    assert RedisShelf(open_store(redis_at(server.url), 5.0)).standings(Wanted())
