"""What every store of counters does, for the messages and for the commands; imports no library.

Promises of each: `charge` is one round trip and one transaction, within the store's patience; what can't be had is an
UncountedError. Refuses: knowing what an outage means for a message (store/ledger.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from tidegate.limits.charge import Charge, Usage
from tidegate.limits.counter import Deed, Grant, Standing, Wanted

PATIENCE = 0.25
"""Seconds that a message waits for a store."""
KEPT = 90 * 86400.0
"""Seconds for which it stays on record who granted and reset what."""


class UncountedError(Exception):
    """The store did not count, and nothing is charged. `why` is for people."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Answer(NamedTuple):
    """What the store says to one charge, and its counter after it."""

    usage: Usage
    after: int


class Counters(Protocol):
    """A store, asked for a message. May be used by several threads."""

    def charge(self, charges: Sequence[Charge], retry_of: str, commit: bool) -> tuple[Answer, ...]:
        """As limits.Ledger says, by the store's own clock. Raises UncountedError."""


class Shelf(Protocol):
    """A store, asked for a person. Raises UncountedError."""

    @property
    def where(self) -> str:
        """Its name for people."""

    def standings(self, wanted: Wanted) -> list[Standing]:
        """The counters that hold something."""

    def grants(self, key: str) -> list[Grant]:
        """Those in force for a key."""

    def grant(self, grant: Grant) -> None:
        """Put it in force, and on record."""

    def reset(self, wanted: Wanted, who: str, reason: str) -> int:
        """Empty counters, on record; how many. Grants stay."""

    def forget(self, names: Sequence[str], only_count: bool) -> int:
        """Drop all that is kept of keys about these people: counters, grants, records. How many there were."""

    def deeds(self) -> list[Deed]:
        """What people did, newest first."""

    def close(self) -> None:
        """Done with it."""


def folded(members: Iterable[str]) -> tuple[bytes, ...]:
    """Members as the stores keep them: 64 bits of each, once. Nobody can be read out of a store."""
    return tuple(
        hashlib.blake2b(one.encode("utf-8", "surrogatepass"), digest_size=8).digest() for one in dict.fromkeys(members)
    )


def identity(retry_of: str) -> bytes:
    """A message's identity as the stores keep it."""
    return hashlib.blake2b(retry_of.encode("utf-8", "surrogatepass"), digest_size=12).digest()
