"""A link to Redis: one command or one script at a time, within a time-out, and one exception for all that can go wrong.

Promises: works with redis-py 4.3 to 8.1, on one server (TCP, TLS, unix socket), behind Sentinels and in a Cluster;
never retries and never sleeps (the defaults of redis-py do, up to eight seconds: facts of the versions differ, so each
is set); after a failure the next call connects anew, and asks anew who the master is. Replies are plain RESP2: bytes,
int, None and lists of them, in every version. A Link may be used by several threads and over a fork. Refuses: deciding
what an outage means; remembering one (breaker.py).

All keys of an environment share one hash tag, so in a Cluster they lie on one node: a Link finds that node and talks to
it alone (routes.py). redis-py's own Cluster client sleeps a second before it tells of a dead node.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redis import exceptions

from tidegate.store.address import StoreSettings, parse
from tidegate.store.breaker import Breaker
from tidegate.store.failure import Fault, StoreError, failure
from tidegate.store.keys import Keys
from tidegate.store.patience import at_most
from tidegate.store.routes import Options, Route, route_to

__all__ = ["Breaker", "Fault", "Link", "Script", "StoreError", "StoreSettings", "open_store"]

_LARGE = 10  # times that a large answer may take what a read may
Argument = str | bytes | int | float
_ELSEWHERE = frozenset({Fault.READ_ONLY, Fault.BUSY, Fault.REFUSED})
"""A proper answer after which another server, or a new password, may be the right one."""
_BROKEN = (exceptions.RedisError, OSError, ValueError, IndexError, TypeError, RecursionError)
"""What redis-py raises, and what its reader of replies raises over bytes that are no reply."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script. All keys it touches are passed as KEYS: a Cluster and an ACL go by them."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


class Link:
    """To the Redis of one environment; `keys` names what is kept there. Connects when it is used first."""

    def __init__(self, route: Route, keys: Keys, whole: float) -> None:
        """`whole`: seconds that connecting and the reading of one answer may take in all."""
        self.keys = keys
        self._whole = whole
        self._route = route
        self._lock = threading.Lock()

    @property
    def where(self) -> str:
        """The store's name for people."""
        return self._route.where

    def call(self, *command: Argument) -> Any:
        """One command, one reply. Raises StoreError."""
        try:
            return self._ask(command)
        except _BROKEN as error:
            raise self._failed(error) from error

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """A script by its digest; it is sent where the server does not know it (yet, or after a restart).

        Raises StoreError.
        """
        tail = (len(keys), *keys, *arguments)
        try:
            with at_most(self._whole):
                try:
                    return self._ask(("EVALSHA", script.sha, *tail))
                except exceptions.NoScriptError:
                    return self._ask(("EVAL", script.text, *tail))
        except _BROKEN as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Give the connections back. The link can be used again."""
        with self._lock:
            self._route.forget()

    def _ask(self, command: tuple[Argument, ...]) -> Any:
        with at_most(self._whole):
            with self._lock:
                client = self._route.client()
            try:
                return client.execute_command(*command)
            except exceptions.ResponseError as error:
                with self._lock:
                    moved = self._route.redirected(error)
                if moved is None:
                    raise
                return moved(command)

    def _failed(self, error: Exception) -> StoreError:
        told = failure(error, self.where)
        if told.fault in _ELSEWHERE or not isinstance(error, exceptions.ResponseError):
            # Also where redis-py kept the connection: after bytes that are no reply it stands somewhere within them.
            self.close()
        return told


def open_store(settings: StoreSettings, timeout: float, whole: float = 0.0) -> Link:
    """A link to the Redis of the settings, for their environment. Nothing is connected yet.

    `timeout`: seconds that connecting and that each read may take; `whole`: that the reading of one answer may take in
    all, for who has mail waiting (0: ten times as long, since an answer may be large). Raises ValueError where the
    settings name no Redis, or one that address.parse refuses.
    """
    address = parse(settings.redis)
    keys = Keys(settings.environment)
    options = Options(
        timeout,
        settings.redis_user,
        settings.redis_password_file,
        settings.redis_ca_file,
        settings.redis_cert_file,
        settings.redis_key_file,
        settings.redis_sentinel_user,
        settings.redis_sentinel_password_file,
    )
    return Link(route_to(address, options, keys.slot), keys, whole or _LARGE * timeout)
