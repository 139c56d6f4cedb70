"""What the host's own file owes to Redis after an outage, and what it remembers of what Redis told.

Promises: a charge is taken out in one transaction, so that of several workers one hands it over; it can be put back.
Distinct members are known by their hashes, and handed over as such; of a counter of distinct members that Redis lost
nobody knows who they were, so it begins anew. Refuses: speaking to Redis (store/settling.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.limits.window import Bucket
from tidegate.store.database import Database

PAGE = 100  # counters that are handed over at once


@dataclass(frozen=True, slots=True)
class Due:
    """What one counter is owed. Times in milliseconds."""

    counter: str
    per: int
    maximum: int
    buckets: tuple[Bucket, ...] = ()
    members: tuple[tuple[int, bytes], ...] = ()  # the end of the granule in which each was last seen


class Debts:
    """Of one host's file. Every method may raise UncountedError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self) -> tuple[Due, ...]:
        """Some of it."""
        return self._database.run(_take)

    def put_back(self, dues: Sequence[Due]) -> None:
        """It could not be handed over."""
        self._database.run(lambda link: _put_back(link, dues))

    def forget(self, dues: Sequence[Due], since: str) -> None:
        """They are put back: what was told of them before `since` is of no use any more."""
        self._database.run(lambda link: _forget(link, dues, since))

    def remembered(self, after: str, since: str) -> tuple[Due, ...]:
        """Some of what the Redis of this environment last told that counted before `since` (`ENVIRONMENT:MOMENT`).

        Of the counters behind `after`.
        """
        environment = since.partition(":")[0] + ":"
        meant = "counter > ? AND NOT members AND since != ? AND substr(since, 1, ?) = ? ORDER BY counter LIMIT ?"
        statement = f"SELECT counter, ending, used, until FROM known WHERE {meant}"
        rows = self._database.run(
            lambda link: link.execute(statement, (after, since, len(environment), environment, PAGE)).fetchall(),
            write=False,
        )
        return tuple(Due(name, until - ending, 0, (Bucket(ending, used),)) for name, ending, used, until in rows)


def _forget(link: sqlite3.Connection, dues: Sequence[Due], since: str) -> None:
    for one in dues:
        link.execute("DELETE FROM known WHERE counter = ? AND since != ?", (one.counter, since))


def _take(link: sqlite3.Connection) -> tuple[Due, ...]:
    names = [row[0] for row in link.execute("SELECT DISTINCT counter FROM spent LIMIT ?", (PAGE,))]
    return tuple(_taken(link, name) for name in names)


def _taken(link: sqlite3.Connection, name: str) -> Due:
    statement = "SELECT ending, used, maximum, per FROM spent WHERE counter = ? ORDER BY ending"
    rows = link.execute(statement, (name,)).fetchall()
    members = link.execute("SELECT ending, member FROM seen WHERE counter = ?", (name,)).fetchall()
    for table in ("spent", "seen"):
        link.execute(f"DELETE FROM {table} WHERE counter = ?", (name,))
    _ending, _used, maximum, per = rows[-1]
    # Of distinct members the buckets only say how many there are.
    buckets = () if members else tuple(Bucket(ending, used) for ending, used, _, _ in rows)
    return Due(name, per, maximum, buckets, tuple(members))


def _put_back(link: sqlite3.Connection, dues: Sequence[Due]) -> None:
    for one in dues:
        buckets = one.buckets or tuple(Bucket(ending, 1) for ending, _ in one.members)
        for ending, used in buckets:
            link.execute(
                "INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (counter, ending) DO UPDATE "
                "SET used = used + excluded.used",
                (one.counter, ending, used, one.maximum, one.per, ending + one.per),
            )
        for ending, member in one.members:
            link.execute(
                "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", (one.counter, member, ending, ending + one.per)
            )
