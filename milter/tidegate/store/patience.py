"""A limit on a whole answer: redis-py's time-outs are for each read, so a byte now and then would hold us for ever.

Promises: within `at_most(seconds)` no connection that `bounded` made reads for longer than that in all, whatever
comes; what it does then is what a read that timed out does. Refuses: connecting (it has a time-out of its own) and
resolving names, which the system's resolver does in its own time.
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
    """For all that this thread reads inside."""
    _limit.end = time.monotonic() + seconds
    try:
        yield
    finally:
        del _limit.end


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
        end = getattr(_limit, "end", None)
        if end is None:
            yield
            return
        left, own = end - time.monotonic(), self._link.gettimeout()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        if own == 0 or (own is not None and own <= left):
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
            return _Patient(super()._connect())

    Bounded.__name__ = Bounded.__qualname__ = f"Bounded{kind.__name__}"
    return Bounded
