"""Whom rules put on live lists, on the way out of the worker: a queue with an end, sent by a thread of its own.

Promises: no message waits for it, or for Redis; the same again within a minute is not sent again; what does not fit is
counted (`suspensions_lost`). Refuses: Redis; the clerk writes (replicas/keeper.py).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from tidegate.front.flushing import start_flushing
from tidegate.model import Suspension
from tidegate.observe.counters import Event

_WAITING = 1000
_AGAIN = 60.0  # seconds after which the same is sent again: its end moves on with each message
_REMEMBERED = 10_000
_PAUSE = 0.02  # seconds in which what comes together is sent together
_TRY_AGAIN = 0.5


class Counts(Protocol):
    """What it counts with."""

    def event(self, event: Event) -> None: ...


Send = Callable[..., bool]
"""Sends one packet (channel.Channel.send); False where the supervisor does not read."""


class Suspending:
    """One worker's."""

    def __init__(self, send: Send, tally: Counts) -> None:
        self._send = send
        self._tally = tally
        self._waiting: deque[dict[str, object]] = deque()
        self._sent: dict[tuple[str, str], float] = {}
        self._some = threading.Event()

    def note(self, wishes: Iterable[Suspension], reference: str, now: float) -> None:
        """These are to be put on lists; `now` in POSIX seconds."""
        for one in wishes:
            key = (one.name, one.who)
            if one.shadow or self._sent.get(key, 0.0) > now - min(_AGAIN, one.seconds / 2):
                continue
            if len(self._waiting) >= _WAITING:
                self._tally.event(Event.SUSPENSIONS_LOST)
                continue
            if len(self._sent) >= _REMEMBERED:
                self._sent.clear()
            self._sent[key] = now
            self._waiting.append(
                {
                    "name": one.name,
                    "form": one.form,
                    "text": one.who,
                    "seconds": one.seconds,
                    "at": now,
                    "by": f"rule {one.rule}",
                    "why": reference,
                }
            )
            self._some.set()

    def start(self) -> None:
        """The thread."""
        start_flushing("suspending", self._some, _PAUSE, self._patiently)

    def _patiently(self) -> bool:
        if self.flush():
            return True
        time.sleep(_TRY_AGAIN)
        return False

    def flush(self) -> bool:
        """Send what waits; False where not all could be."""
        while self._waiting:
            if not self._send("put", **self._waiting[0]):
                return False
            self._waiting.popleft()
        return True
