"""The stores of counters that the settings name: for a worker, and for the commands. Nothing is connected here.

Promises: the redis library is imported only where a Redis is set, so that the workers of the others do without.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tidegate.store.address import StoreSettings
from tidegate.store.counting import PATIENCE, Shelf
from tidegate.store.database import FOLDER, NAME, Database
from tidegate.store.debts import Debts
from tidegate.store.ledger import StoreLedger
from tidegate.store.sqlite import SqliteCounters
from tidegate.store.sqliteshelf import SqliteShelf

_HUMAN = 5.0  # seconds that a person waits for a store


class CountSettings(StoreSettings, Protocol):
    """What the counters need of the settings."""

    @property
    def state(self) -> str: ...
    @property
    def limits_local_share(self) -> float: ...


def open_ledger(settings: CountSettings) -> StoreLedger:
    """Who counts for a worker. `limits_local_share` in percent."""
    database = Database(settings.state)
    local = SqliteCounters(database, stands_in=bool(settings.redis))
    if not settings.redis:
        return StoreLedger(local)
    from tidegate.store.connection import open_store
    from tidegate.store.counters import RedisCounters

    shared = RedisCounters(open_store(settings, PATIENCE, PATIENCE))
    return StoreLedger(local, shared, Debts(database), settings.limits_local_share / 100)


def open_shelf(settings: CountSettings) -> Shelf:
    """The counters that are in force, for a person: those in Redis where one is set."""
    if not settings.redis:
        return SqliteShelf(Database(settings.state, _HUMAN))
    from tidegate.store.connection import open_store
    from tidegate.store.redisshelf import RedisShelf

    return RedisShelf(open_store(settings, _HUMAN))


def own_shelf(state: str) -> SqliteShelf | None:
    """The counters of this host, also where Redis counts: what is kept for its outages. None: there are none."""
    return SqliteShelf(Database(state, _HUMAN)) if (Path(state) / FOLDER / NAME).exists() else None
