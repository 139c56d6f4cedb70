"""The two stores of counters, each with a clock that the test sets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.builders.redisserver import RedisServer
from tests.builders.storesettings import StoreWords
from tidegate.store.connection import open_store
from tidegate.store.counters import RedisCounters
from tidegate.store.counting import Counters, Shelf
from tidegate.store.database import Database
from tidegate.store.redisshelf import RedisShelf
from tidegate.store.sqlite import SqliteCounters
from tidegate.store.sqliteshelf import SqliteShelf

STORES = ("sqlite", "redis")


def redis_at(url: str) -> StoreWords:
    """The settings of a Redis for the environment `test`."""
    return StoreWords(url, environment="test")


@dataclass(slots=True)
class Bench:
    """A store of counters under test. `at`: its time in milliseconds."""

    at: int = 1_700_000_000_000
    counters: Counters = field(init=False)
    shelf: Shelf = field(init=False)
    server: RedisServer | None = None
    database: Database | None = None

    def clock(self) -> float:
        """In seconds."""
        return self.at / 1000

    def clear(self) -> None:
        """Forget everything."""
        if self.server is not None:
            self.server.flush()
        if self.database is not None:
            for table in ("spent", "seen", "known", "paid", "granted", "deeds"):
                self.database.run(lambda link, table=table: link.execute(f"DELETE FROM {table}"))  # type: ignore[misc]


@contextmanager
def a_bench(kind: str, folder: Path) -> Iterator[Bench]:
    """One of STORES."""
    bench = Bench()
    if kind == "sqlite":
        bench.database = Database(str(folder))
        bench.counters = SqliteCounters(bench.database, bench.clock)
        bench.shelf = SqliteShelf(bench.database, bench.clock)
        yield bench
        bench.database.close()
        return
    with RedisServer() as server:
        bench.server = server
        bench.counters = RedisCounters(open_store(redis_at(server.url), 5.0), bench.clock)
        bench.shelf = RedisShelf(open_store(redis_at(server.url), 5.0), bench.clock)
        yield bench
        bench.shelf.close()
