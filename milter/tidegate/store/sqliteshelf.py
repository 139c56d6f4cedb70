"""The host's own counters as a person sees and changes them: `tidegate limits` and `tidegate forget` in SQLite."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from tidegate.limits.counter import Counter, Deed, Grant, Standing, Wanted, concerns, parsed
from tidegate.store.counting import KEPT
from tidegate.store.database import Database

_ALL = (
    "SELECT counter, ending, used, maximum, per FROM spent WHERE used > 0 AND ending > ? - per ORDER BY counter, ending"
)
_GRANTS = "SELECT key, amount, until, at, who, reason, rule, name FROM granted WHERE until > ? AND (? = '' OR key = ?)"
_TABLES = ("spent", "seen", "known")


class SqliteShelf:
    """The counters of one host. `clock` gives POSIX seconds. Every method may raise UncountedError."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    @property
    def where(self) -> str:
        """The file."""
        return self._database.where

    def standings(self, wanted: Wanted) -> list[Standing]:
        """The counters that hold something."""
        return self._database.run(lambda link: self._standings(link, wanted), write=False)

    def _standings(self, link: sqlite3.Connection, wanted: Wanted) -> list[Standing]:
        now = self._now()
        granted = self._granted(link, "")
        distinct = {row[0] for row in link.execute("SELECT DISTINCT counter FROM seen")}
        found: dict[Counter, Standing] = {}
        for name, ending, used, maximum, per in link.execute(_ALL, (now,)):
            counter = parsed(name)
            if counter is None or counter not in wanted:
                continue
            before = found.get(counter)
            more = sum(one.amount for one in granted if one.key == counter.key and one.concerns(*_limit(counter)))
            total = used + (before.used if before else 0)
            found[counter] = Standing(
                counter, total, maximum + more, per / 1000, more, name in distinct, seen=ending / 1000
            )
        return list(found.values())

    def grants(self, key: str) -> list[Grant]:
        """Those in force for a key; "": for all."""
        return self._database.run(lambda link: self._granted(link, key), write=False)

    def grant(self, grant: Grant) -> None:
        """Put it in force, and on record."""
        row = (
            *(grant.key, grant.rule, grant.limit, grant.amount),
            *(int(grant.until * 1000), int(grant.at * 1000), grant.who, grant.reason),
        )
        deed = Deed(
            grant.at, grant.who, "grant", grant.key, grant.rule, grant.limit, grant.reason, grant.amount, grant.until
        )

        def put(link: sqlite3.Connection) -> None:
            columns = "key, rule, name, amount, until, at, who, reason"
            link.execute(f"INSERT INTO granted ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            self._record(link, deed)

        self._database.run(put)

    def reset(self, wanted: Wanted, who: str, reason: str) -> int:
        """Empty counters, on record; how many. Grants stay."""

        def empty(link: sqlite3.Connection) -> int:
            names = self._names(link, lambda counter: counter in wanted)
            for name in names:
                _drop(link, name)
            deed = Deed(self._clock(), who, "reset", wanted.key, wanted.rule, wanted.limit, reason)
            self._record(link, deed)
            return len(names)

        return self._database.run(empty)

    def forget(self, names: Sequence[str], only_count: bool) -> int:
        """Drop all that is kept of keys about these people; how many rows and counters there were."""

        def drop(link: sqlite3.Connection) -> int:
            counters = self._names(link, lambda counter: concerns(counter.key, names))
            rows = [
                (table, number)
                for table in ("granted", "deeds")
                for number, key in link.execute(f"SELECT number, key FROM {table}").fetchall()
                if concerns(key, names)
            ]
            if not only_count:
                for name in counters:
                    _drop(link, name)
                for table, number in rows:
                    link.execute(f"DELETE FROM {table} WHERE number = ?", (number,))
            return len(counters) + len(rows)

        if only_count:
            return self._database.run(drop, write=False)
        # What is deleted is written over, in the file and in its log.
        self._database.run(lambda link: link.execute("PRAGMA secure_delete=ON").fetchall(), write=False)
        count = self._database.run(drop)
        self._database.empty_log()
        return count

    def deeds(self) -> list[Deed]:
        """What people did, newest first."""
        rows = self._database.run(
            lambda link: link.execute("SELECT deed FROM deeds ORDER BY number DESC").fetchall(), write=False
        )
        return [Deed(**json.loads(row[0])) for row in rows]

    def close(self) -> None:
        """Done with it."""
        self._database.close()

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _granted(self, link: sqlite3.Connection, key: str) -> list[Grant]:
        return [
            Grant(key, amount, until / 1000, at / 1000, who, reason, rule, limit)
            for key, amount, until, at, who, reason, rule, limit in link.execute(_GRANTS, (self._now(), key, key))
        ]

    def _record(self, link: sqlite3.Connection, deed: Deed) -> None:
        link.execute("DELETE FROM deeds WHERE at < ?", (self._now() - int(KEPT * 1000),))
        row = (int(deed.at * 1000), json.dumps(asdict(deed)), deed.key)
        link.execute("INSERT INTO deeds (at, deed, key) VALUES (?, ?, ?)", row)

    def _names(self, link: sqlite3.Connection, meant: Callable[[Counter], bool]) -> list[str]:
        union = " UNION ".join(f"SELECT counter FROM {table}" for table in _TABLES)
        found = ((row[0], parsed(row[0])) for row in link.execute(union))
        return [name for name, counter in found if counter is not None and meant(counter)]


def _limit(counter: Counter) -> tuple[str, str]:
    return counter.rule, counter.limit


def _drop(link: sqlite3.Connection, name: str) -> None:
    for table in _TABLES:
        link.execute(f"DELETE FROM {table} WHERE counter = ?", (name,))
