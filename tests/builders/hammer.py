"""A process whose sixteen threads hammer the same counters: `python -m tests.builders.hammer STORE PLACE SECONDS`.

Prints, as JSON, for each message that was let through when its call began and when it ended (POSIX seconds). Each
message is charged against a short window and two long ones, and none has a retry identity.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from tests.builders.charges import a_charge
from tests.builders.stores import redis_at
from tidegate.limits import Charge
from tidegate.store.connection import open_store
from tidegate.store.counters import RedisCounters
from tidegate.store.counting import Counters
from tidegate.store.database import Database
from tidegate.store.sqlite import SqliteCounters

THREADS = 16
SHORT, LONG, LONGER = (
    a_charge(7, limit="short", per=0.5),
    a_charge(30, limit="long"),
    a_charge(10_000, 3, limit="longer"),
)


def counters(kind: str, place: str) -> Counters:
    """The store; a patience that no busy machine exhausts."""
    if kind == "sqlite":
        return SqliteCounters(Database(place, 20.0))
    return RedisCounters(open_store(redis_at(place), 20.0))


def hammer(store: Counters, charges: tuple[Charge, ...], seconds: float) -> list[tuple[float, float]]:
    """All threads, until the time is up."""
    passed: list[tuple[float, float]] = []
    end = time.monotonic() + seconds

    def work() -> None:
        while time.monotonic() < end:
            began = time.time()
            answers = store.charge(charges, "", True)
            if not any(one.usage.exceeded for one in answers):
                passed.append((began, time.time()))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return passed


if __name__ == "__main__":
    _, kind, place, seconds = sys.argv
    store = counters(kind, place)
    short = hammer(store, (SHORT, LONGER), float(seconds))
    long = hammer(store, (LONG, LONGER), float(seconds) / 4)
    print(json.dumps([short, long]))
