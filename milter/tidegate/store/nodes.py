"""What the daemons of a fleet say of themselves: one text each, which expires unless it is said again.

Promises: whoever was heard in the last day is known by name, so that a daemon that fell silent can be missed. Refuses:
knowing what a report says; believing it (a daemon can claim anything of itself, and of nothing else).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.store.connection import Fault, Link, Script, StoreError
from tidegate.store.revisions import many

LIVES = 90
"""Seconds that a report is believed."""
_REMEMBERED = 86400
_MOST = 5_000  # nodes

_SAY = Script(
    """
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[4] - ARGV[5])
return 1
"""
)


@dataclass(frozen=True, slots=True)
class Heard:
    """One node. `report` empty: it fell silent; `seen` is when (POSIX seconds, its own clock) it spoke last."""

    name: str
    seen: float
    report: bytes


def say(link: Link, name: str, report: bytes, now: float) -> None:
    """Leave a report; one round trip. `now` in POSIX seconds. Raises StoreError."""
    link.run(_SAY, [link.keys.node(name), link.keys.nodes], [name, report, LIVES, int(now), _REMEMBERED])


def heard(link: Link) -> tuple[Heard, ...]:
    """All nodes of the last day, by name. Raises StoreError."""
    reply = link.call("ZRANGE", link.keys.nodes, 0, _MOST - 1, "WITHSCORES")
    words = many(reply, len(reply) if isinstance(reply, list) else 1)
    try:
        seen: Mapping[str, float] = {
            (name or b"").decode("utf-8", "replace"): float(score or 0)
            for name, score in zip(words[::2], words[1::2], strict=True)
        }
    except ValueError as error:
        raise StoreError("Redis answers with something else than names and times", Fault.REPLY) from error
    if not seen:
        return ()
    reports = many(link.call("MGET", *(link.keys.node(name) for name in seen)), len(seen))
    rows = zip(seen.items(), reports, strict=True)
    return tuple(sorted((Heard(name, at, report or b"") for (name, at), report in rows), key=lambda one: one.name))
