"""A limit on a whole answer: redis-py's time-outs are for each read, so a byte now and then would hold us for ever.

Promises: within `at_most(seconds)` no connection that `bounded` made connects and reads for longer than that in all,
whatever comes; what it does then is what a read that timed out does. Refuses: resolving names, which the system's
resolver does in its own time; a name of several addresses, none of which answers, costs that time for each.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_limit = threading.local()


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """For all that this thread connects to and reads inside; one within another can only be shorter."""
    before: float | None = getattr(_limit, "end", None)
    end = time.monotonic() + seconds
    _limit.end = end if before is None else min(end, before)
    try:
        yield
    finally:
        _limit.end = before


def _left() -> float | None:
    """Seconds; None: nobody set a limit. Raises TimeoutError where there is nothing left."""
    end: float | None = getattr(_limit, "end", None)
    if end is None:
        return None
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("the answer takes too long")
    return left


class _Patient:
    """A connected socket that remembers until when it may be read."""

    def __init__(self, link: Any) -> None:
        self._link = link

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)

    def recv(self, size: int) -> bytes:
        """As a socket's."""
        with self._within():
            return bytes(self._link.recv(size))

    def recv_into(self, *arguments: Any) -> int:
        """As a socket's; hiredis reads so."""
        with self._within():
            return int(self._link.recv_into(*arguments))

    @contextmanager
    def _within(self) -> Iterator[None]:
        left, own = _left(), self._link.gettimeout()
        if left is None or own == 0 or (own is not None and own <= left):
            yield
            return
        self._link.settimeout(left)
        try:
            yield
        finally:
            self._link.settimeout(own)


def bounded(kind: Any) -> Any:
    """A class of redis-py's connections, whose sockets are patient ones."""

    class Bounded(kind):  # type: ignore[misc]
        """redis-py's own, over a socket of ours."""

        def _connect(self) -> Any:
            left = _left()
            # Over a unix socket redis-py 4 connects within `socket_timeout`, and a server is there or refuses at once.
            own: float | None = getattr(self, "socket_connect_timeout", None)
            if left is None or own is None or own <= left:
                return _Patient(super()._connect())
            self.socket_connect_timeout = left
            try:
                return _Patient(super()._connect())
            finally:
                self.socket_connect_timeout = own

    Bounded.__name__ = Bounded.__qualname__ = f"Bounded{kind.__name__}"
    return Bounded
