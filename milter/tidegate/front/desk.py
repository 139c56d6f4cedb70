"""What all sessions of one worker share: the policy set in force, counters, the decision log, the drain flag.

The numbers are changed under Python's lock by one statement each; a reader may be one behind, never wrong for good.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import Protocol

from tidegate.live import Live
from tidegate.model import Disposition
from tidegate.observe.counters import ErrorKind, Event, Tally
from tidegate.observe.decision import Decision, line
from tidegate.observe.logs import Writer, render

FLUSH_SECONDS = 0.04
_WAITING = 10_000  # lines that may wait; more are written at once
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: nothing to confuse on the telephone


class Counts(Protocol):
    """What the front counts with (observe/counters.py, Tally)."""

    def verdict(self, disposition: Disposition) -> None: ...
    def error(self, kind: ErrorKind) -> None: ...
    def event(self, event: Event) -> None: ...
    def seconds(self, seconds: float) -> None: ...
    def rule(self, rule: str, shadow: bool = False) -> None: ...


class Desk:
    """Made once in each worker, before libmilter runs."""

    def __init__(self, live: Live, tally: Tally, deadline: float, mask: bool, writer: Writer) -> None:
        """`deadline` in seconds for the judgement of one message."""
        self.live = live
        self.tally: Counts = tally
        self.deadline = deadline
        self.sessions = 0
        self.messages = 0
        self.draining = False
        self._mask = mask
        self._writer = writer
        self._waiting: deque[Decision] = deque()
        self._lost = 0
        self._serial = int.from_bytes(os.urandom(3), "big")

    def reference(self) -> str:
        """A new {ref}: ten characters, unique over the workers of a host for years."""
        self._serial = serial = (self._serial + 1) & 0xFFFFF
        number = ((int(time.time()) & 0x3FFFFFFF) << 20 | serial) ^ (os.getpid() & 0x3FF) << 10
        return "".join(_ALPHABET[number >> shift & 31] for shift in range(45, -1, -5))

    def decide(self, decision: Decision, at_once: bool) -> None:
        """One decision line: written before the reply where it is a refusal, else within FLUSH_SECONDS."""
        if at_once:
            self._write(line(decision, self._mask, render))
            return
        self._waiting.append(decision)
        if len(self._waiting) > _WAITING:
            self.flush()

    def flush(self) -> None:
        """Write what waits, as one write."""
        lines = []
        while self._waiting:
            try:
                decision = self._waiting.popleft()
            except IndexError:
                break  # another thread took it
            lines.append(line(decision, self._mask, render))
        if lines:
            self._write("".join(lines))

    def _write(self, text: str) -> None:
        self._writer.write(text)
        if self._writer.lost != self._lost:
            self._lost = self._writer.lost
            self.tally.error(ErrorKind.LOG)

    def start_flushing(self) -> None:
        """A thread of Python's own, started before libmilter, writes the lines of accepted mail."""

        def keep_flushing() -> None:
            pause = threading.Event()
            while True:
                pause.wait(FLUSH_SECONDS)
                self.flush()

        threading.Thread(target=keep_flushing, name="decisions", daemon=True).start()
