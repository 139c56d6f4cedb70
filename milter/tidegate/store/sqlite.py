"""Counters in SQLite: the host's own, where there is no Redis, and its local count while Redis is down.

Promises: all charges of a message are looked at, then charged, in one transaction, at the time at which that
transaction holds the file: no two processes see the clock in another order than the counters. A row is a counter and a
bucket (limits/window.py). For distinct members there is a row for each member with the bucket in which it was last
seen, and the buckets count how many those are. Refuses: knowing what an outage means.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tidegate.limits import window
from tidegate.limits.charge import Charge
from tidegate.limits.counter import Grant, extras, name
from tidegate.limits.window import Bucket, Extra, Span
from tidegate.store.counting import Answer, folded, identity
from tidegate.store.database import Database

_SUM = "SELECT sum(used), max(ending) FROM spent WHERE counter = ? AND ending > ?"
_ROWS = "SELECT ending, used FROM spent WHERE counter = ? AND ending > ?"
_KNOWN = "SELECT ending, used, granted FROM known WHERE counter = ? AND ending > ? ORDER BY used DESC LIMIT 1"
_GRANTS = "SELECT key, amount, until, at, who, reason, rule, name FROM granted WHERE key = ? AND until > ?"
_MEMBER = "SELECT ending FROM seen WHERE counter = ? AND member = ?"
_ADD = """INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (counter, ending) DO UPDATE
  SET used = used + excluded.used, maximum = excluded.maximum, per = excluded.per,
  until = max(until, excluded.until)"""
_SEE = """INSERT INTO seen VALUES (?, ?, ?, ?) ON CONFLICT (counter, member) DO UPDATE
  SET ending = excluded.ending, until = max(until, excluded.until)"""
_LEAVE = "UPDATE spent SET used = used - 1 WHERE counter = ? AND ending = ? AND used > 0"
_KEEP = """INSERT INTO known VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (counter, since) DO UPDATE
  SET ending = excluded.ending, used = excluded.used, granted = excluded.granted, members = excluded.members,
  until = excluded.until
  WHERE excluded.ending >= ending"""


@dataclass(frozen=True, slots=True)
class Known:
    """The last count that Redis told of a counter: all of it counts as if it were charged at `when` (milliseconds)."""

    counter: str
    used: int
    when: int
    per: float
    granted: int = 0
    distinct: bool = False
    since: str = ""  # since when the Redis counted that told it


@dataclass(slots=True)
class _Look:
    """One charge, and what the file holds for it."""

    charge: Charge
    counter: str
    window: Span
    members: tuple[bytes, ...] = ()
    met: tuple[int, ...] = ()  # in which buckets its members were last seen, one for each that was
    known: int = 0  # how many of them count
    ahead: bool = False  # there are buckets of the future
    answer: Answer | None = None


class SqliteCounters:
    """Counts in one file. `clock` gives POSIX seconds and is asked inside the transaction."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time, *, stands_in: bool = False) -> None:
        """`stands_in`: for a Redis that is down, so what that last told counts too, and answers say so."""
        self._database = database
        self._clock = clock
        self._stands_in = stands_in

    @property
    def lost(self) -> str:
        """How counters were lost of late; "" if they were not."""
        return self._database.lost

    def charge(self, charges: Sequence[Charge], retry_of: str, commit: bool) -> tuple[Answer, ...]:
        """As limits.Ledger says. Raises UncountedError."""
        return self._database.run(lambda link: self._charge(link, charges, retry_of, commit), write=commit)

    def learn(self, known: Sequence[Known]) -> None:
        """Put on record what Redis last told. Raises UncountedError."""

        def keep(link: sqlite3.Connection) -> None:
            for one in known:
                span = window.span(one.per)
                ending = span.ending(one.when)
                row = (one.counter, ending, one.used, one.granted, one.distinct, one.since, ending + span.per)
                link.execute(_KEEP, row)

        self._database.run(keep)

    def probe(self) -> None:
        """Can it be written? Raises UncountedError."""
        row = (b"", 0, 0, self.now())
        self._database.run(lambda link: link.execute("INSERT OR REPLACE INTO paid VALUES (?, ?, ?, ?)", row))

    def now(self) -> int:
        """Milliseconds."""
        return int(self._clock() * 1000)

    def _charge(
        self, link: sqlite3.Connection, charges: Sequence[Charge], retry_of: str, commit: bool
    ) -> tuple[Answer, ...]:
        now = self.now()
        paid = _paid(link, retry_of, now) if retry_of else None
        granted = _granted(link, charges, now)
        looks = [
            self._look(link, one, extras(granted, one) if granted else (), now, paid[0] if paid else None)
            for one in charges
        ]
        answers = tuple(one.answer for one in looks if one.answer is not None)
        if commit and paid is not None:
            link.execute("UPDATE paid SET repeats = repeats + 1 WHERE message = ?", (identity(retry_of),))
        elif commit:
            which = window.charged(charges, [one.usage for one in answers])
            paying = [one for one, meant in zip(looks, which, strict=True) if meant and one.charge.cost > 0]
            for look in paying:
                look.answer = _add(link, look, now)
            if retry_of and paying:
                row = (identity(retry_of), now, 0, now + window.REPEAT)
                link.execute("INSERT OR REPLACE INTO paid VALUES (?, ?, ?, ?)", row)
        return tuple(one.answer for one in looks if one.answer is not None)

    def _look(
        self, link: sqlite3.Connection, charge: Charge, more: Sequence[Extra], now: int, paid: int | None
    ) -> _Look:
        look = _Look(charge, name(charge), window.span(charge.per))
        oldest = now - look.window.per
        last = look.window.ending(now)
        total, newest = link.execute(_SUM, (look.counter, oldest)).fetchone()
        look.ahead = newest is not None and newest > last
        if charge.members:
            look.members = folded(charge.members)
            look.charge = charge = replace(charge, cost=len(look.members))
            seen = (link.execute(_MEMBER, (look.counter, one)).fetchone() for one in look.members)
            look.met = tuple(min(row[0], last) for row in seen if row is not None)
            look.known = sum(one > oldest for one in look.met)
        elif paid is None and not self._stands_in:
            usage = window.usage(charge, (Bucket(last, total or 0),), 0, more, now)
            if not usage.exceeded:  # what most messages are: no row is read
                look.answer = Answer(usage, usage.used)
                return look
        held = [Bucket(*row) for row in link.execute(_ROWS, (look.counter, oldest))]
        if self._stands_in:
            for ending, used, amount in link.execute(_KNOWN, (look.counter, oldest)).fetchall():
                held.append(Bucket(ending, used))
                more = (*more, Extra(amount, ending + look.window.per))
        buckets = window.settled(held, now, look.window)
        if look.met:
            ours = Tally(look.met)
            buckets = [Bucket(one.ending, max(0, one.used - ours[one.ending])) for one in buckets]
        elif paid is not None and not look.members:
            buckets = window.without(buckets, paid, charge.cost, now, look.window)
        usage = window.usage(charge, buckets, look.known, more, now, local=self._stands_in)
        look.answer = Answer(usage, usage.used)
        return look


def _paid(link: sqlite3.Connection, retry_of: str, now: int) -> tuple[int, int] | None:
    """When this very message was charged, and how often it came again since, if it need not pay once more."""
    row = link.execute("SELECT charged, repeats FROM paid WHERE message = ?", (identity(retry_of),)).fetchone()
    if row is None or row[0] <= now - window.REPEAT or row[1] >= window.REPEATS:
        return None
    return int(row[0]), int(row[1])


def _granted(link: sqlite3.Connection, charges: Sequence[Charge], now: int) -> list[Grant]:
    keys = dict.fromkeys(one.key for one in charges)
    return [
        Grant(key, amount, until / 1000, at / 1000, who, reason, rule, limit)
        for one in keys
        for key, amount, until, at, who, reason, rule, limit in link.execute(_GRANTS, (one, now))
    ]


def _add(link: sqlite3.Connection, look: _Look, now: int) -> Answer:
    """Charge it; the answer with what the counter holds then."""
    assert look.answer is not None  # it was looked at
    span, charge, counter = look.window, look.charge, look.counter
    last = span.ending(now)
    until = last + span.per
    if look.ahead:
        _settle(link, look, last)
    cost = charge.cost
    for old, number in Tally(look.met).items():
        if old != last:
            for _ in range(number):
                link.execute(_LEAVE, (counter, old))
        else:
            cost -= number
    if cost > 0:
        link.execute(_ADD, (counter, last, cost, charge.maximum, span.per, until))
    for member in look.members:
        link.execute(_SEE, (counter, member, last, until))
    return Answer(look.answer.usage, look.answer.usage.used + charge.cost - look.known)


def _settle(link: sqlite3.Connection, look: _Look, last: int) -> None:
    """Count what lies in the future into the bucket of now."""
    rows = link.execute(
        "SELECT sum(used), max(maximum) FROM spent WHERE counter = ? AND ending > ?", (look.counter, last)
    )
    used, maximum = rows.fetchone()
    link.execute("DELETE FROM spent WHERE counter = ? AND ending > ?", (look.counter, last))
    link.execute(_ADD, (look.counter, last, used, maximum, look.window.per, last + look.window.per))
    link.execute("UPDATE seen SET ending = ? WHERE counter = ? AND ending > ?", (last, look.counter, last))
