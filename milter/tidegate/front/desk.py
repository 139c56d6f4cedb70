"""What all sessions of one worker share: the policy set in force, counters, the decision log, the drain flag.

The numbers are changed under Python's lock by one statement each; a reader may be one behind, never wrong for good.
A line that can't be made or written is lost, counted and said; it never costs a message its answer.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import structlog

from tidegate.front.exposure import Exposure
from tidegate.front.flushing import start_flushing
from tidegate.front.recorder import Recorder
from tidegate.front.session import Session
from tidegate.front.suspending import Suspending
from tidegate.ledger import Pen
from tidegate.limits import Ledger
from tidegate.live import Canary, Live, sender_of
from tidegate.model import Disposition, PolicySet, Verdict
from tidegate.observe.counters import ErrorKind, Event
from tidegate.observe.crowds import Crowds
from tidegate.observe.decision import Decision, line
from tidegate.observe.journal import Journal, Page, sender_key
from tidegate.observe.logs import Writer, render

FLUSH_SECONDS = 0.04
_WAITING = 10_000  # lines that may wait; more are written at once
_SHARE = 0.75  # of the deadline, in which rules are asked: a verdict that comes after the deadline is not given
_TOLD = 1000  # sorts of faults that the log names; the counter counts all
_LARGE = 64 * 1024  # bytes of a message
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: nothing to confuse on the telephone
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_log = structlog.get_logger()


class Counts(Protocol):
    """What the front counts with (observe/counters.py, Tally)."""

    def verdict(self, disposition: Disposition) -> None: ...
    def error(self, kind: ErrorKind) -> None: ...
    def event(self, event: Event) -> None: ...
    def seconds(self, seconds: float) -> None: ...
    def rule(self, rule: str, shadow: bool = False) -> None: ...
    def exposed(self, rule: str) -> None: ...
    def column(self, rule: str) -> int | None: ...


Knows = Callable[[Sequence[tuple[str, bytes]], Iterable[str]], bool]
"""Of a message's headers and recipients."""


class Desk:
    """Made once in each worker, before libmilter runs."""

    def __init__(
        self,
        live: Live,
        tally: Counts,
        deadline: float,
        mask: bool,
        writer: Writer,
        pen: Pen | None = None,
        page: Page | None = None,
        own: Knows = lambda _headers, _recipients: False,
        crowds: Crowds | None = None,
        recorder: Recorder | None = None,
        ledger: Ledger | None = None,
        suspending: Suspending | None = None,
        state: str = "",
    ) -> None:
        """`deadline` in seconds for one message; `pen` writes the exposure ledger, `page` the journal.

        `own` knows mail from sendmail(1) that is a notification of ours; `crowds` counts senders;
        `recorder` keeps messages for replay, None: nothing is kept; `ledger` counts limits, and is asked only where a
        generation has rules with some; `suspending` takes whom rules put on live lists; `state` is the
        directory where the key of released messages lies.
        """
        self.own = own
        self.state = state
        self.ledger = ledger
        self.suspending = suspending
        self.live = live
        self.page = page or Journal(1).page(0)
        self.tally = tally
        self.deadline = deadline
        self.share = deadline * _SHARE
        self.sessions = 0
        self.messages = 0
        self.draining = False
        self.exposure = Exposure(pen, tally, mask, self.page)
        self.crowds = crowds if crowds is not None else Crowds()
        self.recorder = recorder
        self._mask = mask
        self._writer = writer
        self._waiting: deque[Decision] = deque()
        self._some = threading.Event()  # there are lines that wait
        self._flushing = threading.Lock()
        self._lost = 0
        self._told: set[tuple[str, str]] = set()  # faults that the log names already: (rule, kind)
        self._serial = int.from_bytes(os.urandom(2), "big")
        self._process = (os.getpid() & 0x7FF) << 12

    def reference(self) -> str:
        """A new {ref}: ten characters, of the second (27 bits: four years), the process (11) and a serial (12).

        Two messages share one only if their worker begins more than 4,096 in that second.
        """
        self._serial = serial = self._serial + 1
        number = (int(time.time()) & 0x7FFFFFF) << 23 | self._process | serial & 0xFFF
        pairs = _PAIRS
        return (
            pairs[number >> 40]
            + pairs[number >> 30 & 1023]
            + pairs[number >> 20 & 1023]
            + pairs[number >> 10 & 1023]
            + pairs[number & 1023]
        )

    def opened(self, session: Session) -> None:
        """A connection has negotiated."""
        if not session.open:
            session.open = True
            self.sessions += 1
            self.tally.event(Event.CONNECTIONS)

    def closed(self, session: Session) -> None:
        """A connection is gone."""
        self.left(session)
        if session.open:
            session.open = False
            self.sessions -= 1
            self.tally.event(Event.DISCONNECTIONS)

    def begun(self, session: Session) -> PolicySet | None:
        """A message begins, with the policy set that is in force now."""
        policies = self.live.current
        if session.in_message:
            session.in_message = False
            self.messages -= 1
        session.begin(policies, self.reference())
        self.messages += 1
        return policies

    def divide(self, session: Session, canary: Canary) -> PolicySet | None:
        """There is a canary: by its sender the message takes that set, or keeps the one that is in force."""
        part = canary.part(sender_of(session.login, session.sender, session.client_ip))
        if part.new:
            session.policies = canary.generation
        session.part = part
        return session.policies

    def left(self, session: Session) -> None:
        """The message is over, one way or the other."""
        if session.in_message:
            session.in_message = False
            self.messages -= 1
        session.clear()

    def failed(self, verdict: Verdict, session: Session, queue_id: str) -> None:
        """Count what failed in a judgement; say where, once for each rule and sort of failure."""
        sender = sender_key(session.login, session.client_ip)
        for one in verdict.faults:
            self.tally.error(ErrorKind.RULE)
            column = self.tally.column(one.rule)
            if column is not None:
                self.page.failed(column, sender)
            known = (one.rule, one.kind)
            if known in self._told or len(self._told) >= _TOLD:
                continue
            self._told.add(known)
            _log.error(
                "rule fault", rule=one.rule, error=one.kind, at=one.place, ref=session.reference, queue_id=queue_id
            )

    def suspend(self, verdict: Verdict, session: Session, now: float) -> None:
        """Whom rules put on live lists, once the message has its answer; `now` in POSIX seconds."""
        if verdict.suspensions and self.suspending is not None:
            self.suspending.note(verdict.suspensions, session.reference, now)

    def finish(self) -> None:
        """The worker leaves: what waits is written and sent."""
        self.flush()
        self.exposure.finish()
        if self.recorder is not None:
            self.recorder.finish()
        if self.suspending is not None:
            self.suspending.flush()

    def decide(self, decision: Decision, at_once: bool) -> None:
        """One decision line: written before the reply where it is a refusal, else within FLUSH_SECONDS.

        What waits holds its message, headers and all, so that of a large one is not left waiting.
        """
        message = decision.transaction.message
        if at_once or (message is not None and message.size > _LARGE):
            self._write(self._lines([decision]))
            return
        self._waiting.append(decision)
        if not self._some.is_set():
            self._some.set()
        if len(self._waiting) > _WAITING:
            self.flush()

    def flush(self) -> None:
        """Write what waits, as one write. Returns after what another thread has begun to write is written too."""
        with self._flushing:
            waiting = self._waiting
            self._write(self._lines([waiting.popleft() for _ in range(len(waiting))]))

    def _lines(self, decisions: list[Decision]) -> str:
        made = []
        for decision in decisions:
            try:
                made.append(line(decision, self._mask, render))
            except Exception as error:  # noqa: BLE001 - a line that can't be made costs that line
                self.tally.error(ErrorKind.LOG)
                _log.error("decision line lost", ref=decision.transaction.reference, error=type(error).__name__)
        return "".join(made)

    def _write(self, text: str) -> None:
        if not text:
            return
        self._writer.write(text)
        if self._writer.lost != self._lost:
            self._lost = self._writer.lost
            self.tally.error(ErrorKind.LOG)

    def start_flushing(self) -> None:
        """The thread that writes the lines of accepted mail."""

        def flush() -> bool:
            self.flush()
            return True

        start_flushing("decisions", self._some, FLUSH_SECONDS, flush)


class Worker:
    """The one desk of this process: libmilter's callbacks are plain functions."""

    desk: Desk
