"""The thread that talks to Redis: a hung, slow or lost Redis costs this thread its time, and nobody else.

Promises: it polls every few seconds with a jitter, so that a fleet does not ask in step; it says what we run every ten
seconds and whenever that changed; what it found is one assignment, and whoever waits is woken through a pipe. It never
dies of what Redis does. Refuses: deciding anything (follow.py).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from tidegate.clerk.follow import MISSED, Followed, Follower
from tidegate.revisions import Node
from tidegate.store.connection import Link, StoreError
from tidegate.store.nodes import say

TIMEOUT = 2.0
"""Seconds that connecting and each reply may take: no mail waits for them."""
_AGAIN = 10.0  # seconds after which what we run is said again

_log = structlog.get_logger()


class Poller:
    """One clerk's. `found` is what the last poll came to; `wakeup` becomes readable when that is new."""

    def __init__(self, follower: Follower, link: Link, poll: float, jitter: Callable[[], float]) -> None:
        """`poll`: seconds between two polls; `jitter` gives a number from 0 to 1."""
        self.found: Followed = follower.found
        self.wakeup, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._follower = follower
        self._link = link
        self._poll = poll
        self._jitter = jitter
        self._nudge = threading.Event()
        self._node: Node | None = None
        self._said: Node | None = None
        self._said_at = self._failed = 0.0
        self._accept = False
        self._back: int | None = None

    def start(self) -> None:
        """From now on, until the process ends."""
        threading.Thread(target=self._run, name="redis", daemon=True).start()

    def tell(self, node: Node) -> None:
        """What we run, to be said from now on."""
        if node != self._node:
            self._node = node
            self._nudge.set()

    def accept(self) -> None:
        """A person says that the head in Redis is meant."""
        self._accept = True
        self._nudge.set()

    def back(self, number: int) -> None:
        """A person brings this revision back, from the records of this host."""
        self._back = number
        self._nudge.set()

    def _run(self) -> None:
        while True:
            try:
                self.step(time.time())
            except Exception as error:  # noqa: BLE001 - a bug in it must not end the thread in silence
                _log.error("redis fault", exc_info=error)
            self._nudge.wait(self._poll * (0.85 + 0.3 * self._jitter()))
            self._nudge.clear()

    def step(self, now: float) -> None:
        """One poll, and what there is to say. `now` in POSIX seconds."""
        if self._accept:
            self._accept = False
            self._follower.accept()
        number, self._back = self._back, None
        if number is not None:
            self._follower.back(number, now)
        found = self._follower.poll(now)
        if found.up:
            self._say(now)
        if self._follower.found != self.found:
            self.found = self._follower.found
            self._wake()

    def _say(self, now: float) -> None:
        node = self._node
        if node is None or (node == self._said and self._said_at <= now < self._said_at + _AGAIN):
            return
        report = replace(node, at=int(now), head=self._follower.found.head)
        try:
            say(self._link, node.name, report.canonical(), now)
        except StoreError as error:
            self._failed += 1
            if self._failed >= MISSED:
                self._follower.unwritable(f"{error.why}; the fleet does not hear of us", now)
            return
        self._failed = 0
        self._said, self._said_at = node, now
        self._follower.unwritable("", now)

    def _wake(self) -> None:
        try:
            os.write(self._writer, b"x")
        except BlockingIOError:
            return  # it is full of earlier calls
