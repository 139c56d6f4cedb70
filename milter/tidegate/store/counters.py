"""Counters in Redis: one script call for all limits of a message, by the server's clock.

Promises: one round trip (a second one where the server does not know the script yet); all keys under the environment's
hash tag, each with an end of its own; all are looked at, then charged, and Redis does nothing else meanwhile. A reply
that is none of ours is an UncountedError. Refuses: knowing what an outage means (store/ledger.py).

The clock is the server's, so hosts whose clocks differ share a window. Keys, below `{tidegate:ENV}:`:
`limit:COUNTER` HASH of a bucket's end → what it holds, and `m`, `p`: maximum and window of the last charge (`d`: it is
distinct); `seen:COUNTER` ZSET of members by the bucket in which they were last seen; `grants:KEY` HASH; `retry:MESSAGE`
STRING for ten minutes; `limits:since`: when this server began to count, a new one after it lost its data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tidegate.limits import window
from tidegate.limits.charge import Charge, Usage
from tidegate.limits.counter import name
from tidegate.store.connection import Argument, Link, Script, StoreError
from tidegate.store.counting import Answer, UncountedError, folded, identity
from tidegate.store.countscript import COUNT
from tidegate.store.debts import Due
from tidegate.store.settling import give

SINCE = "limits:since"
_SCRIPT = Script(COUNT)
_TOLD = 5  # numbers of one charge in the reply


class RedisCounters:
    """Counts in the Redis of one environment."""

    def __init__(self, link: Link, clock: Callable[[], float] | None = None) -> None:
        """`clock` in POSIX seconds; None: the server's."""
        self._link = link
        self._clock = clock
        self.since = ""  # `ENVIRONMENT:MOMENT`: since when the server counts, as it last said

    @property
    def where(self) -> str:
        """The store's name for people."""
        return self._link.where

    def charge(self, charges: Sequence[Charge], retry_of: str, commit: bool) -> tuple[Answer, ...]:
        """As limits.Ledger says. Raises UncountedError."""
        key = self._link.keys.key
        message = identity(retry_of).hex() if retry_of else ""
        keys = [key(SINCE), key(f"retry:{message}")]
        arguments: list[Argument] = [
            "" if self._clock is None else int(self._clock() * 1000),
            int(commit),
            int(bool(retry_of)),
            window.REPEAT,
            window.REPEATS,
        ]
        for one in charges:
            counter, span, members = name(one), window.span(one.per), folded(one.members)
            keys += [key(f"limit:{counter}"), key(f"seen:{counter}"), key(f"grants:{one.key}")]
            cost = len(members) if members else one.cost
            flags = f"{one.stops:d} {one.shadow:d} {len(members)}"
            arguments.append(f"{one.rule} {one.limit} {cost} {one.maximum} {span.per} {span.step} {flags}")
            arguments += members
        try:
            reply = self._link.run(_SCRIPT, keys, arguments)
        except StoreError as error:
            raise UncountedError(error.why) from error
        return self._read(reply, len(charges))

    def probe(self) -> None:
        """Does it answer, and take writes? Raises UncountedError."""
        self.charge((), "", True)

    def give(self, dues: Sequence[Due], fill: bool) -> None:
        """Add what a host counted alone; `fill`: put back what is missing. Raises UncountedError."""
        give(self._link, dues, None if self._clock is None else self._clock(), fill=fill)

    def close(self) -> None:
        """Give the connections back."""
        self._link.close()

    def _read(self, reply: object, count: int) -> tuple[Answer, ...]:
        try:
            since, *words = reply.decode("ascii").split(" ") if isinstance(reply, bytes) else [""]
            numbers = list(map(int, words))
        except ValueError:
            since, numbers = "", []
        if not since or len(numbers) != _TOLD * count:
            raise UncountedError(f"{self.where}: its answer makes no sense")
        self.since = f"{self._link.keys.environment}:{since}"
        rows = [numbers[place : place + _TOLD] for place in range(0, len(numbers), _TOLD)]
        return tuple(
            Answer(Usage(used, maximum, math.inf if retry < 0 else retry / 1000, bool(exceeded)), after)
            for used, after, maximum, retry, exceeded in rows
        )
