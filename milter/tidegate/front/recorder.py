"""Judged messages into the replay store, after their verdict, where the settings ask for it.

Promises: a message never waits for it: a thread of its own picks what is kept, seals and writes; what can't be written,
or is too much, is counted as lost. Refuses: keeping anything that no rule reads.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from tidegate.front.flushing import start_flushing
from tidegate.front.session import Session
from tidegate.model import Message, PolicySet, Recipient, Transaction, Verdict
from tidegate.observe.counters import Event
from tidegate.replay import BusyError, Kept, Quill, UnavailableError, Verdicted, keep_headers

PAUSE = 0.25  # seconds in which messages gather
_WAITING = 2000  # messages that may wait
_BYTES = 8 << 20  # bytes of their headers, all together
_LARGE = 64 * 1024  # bytes of one message's headers that are not kept waiting as they are
_TRIES, _BREATH = 20, 0.05
_log = structlog.get_logger()


class Counts(Protocol):
    """What is counted here (observe/counters.py, Tally)."""

    def event(self, event: Event) -> None: ...


@dataclass(frozen=True, slots=True)
class _Seen:
    """One message after its verdict, and the bytes of its headers."""

    transaction: Transaction
    policies: PolicySet
    verdict: Verdict
    now: float  # POSIX seconds
    refused: tuple[Recipient, ...]
    size: int
    known: frozenset[str] | None = None  # what is kept was picked already


class Recorder:
    """One worker's."""

    def __init__(self, quill: Quill, tally: Counts) -> None:
        self._quill = quill
        self._tally = tally
        self._seen: deque[_Seen] = deque()
        self._bytes = 0
        self._some = threading.Event()
        self._writing = threading.Lock()
        self._error = ""

    def note(
        self,
        transaction: Transaction,
        policies: PolicySet,
        verdict: Verdict,
        now: float,
        refused: tuple[Recipient, ...],
        size: int,
    ) -> None:
        """This message had its verdict. `size`: bytes of its headers; `refused`: at RCPT."""
        one = _Seen(transaction, policies, verdict, now, refused, size)
        if size > _LARGE:
            one = _picked(one)
        if len(self._seen) >= _WAITING or self._bytes + one.size > _BYTES:
            self._tally.event(Event.REPLAY_LOST)
            return
        self._bytes += one.size  # two threads at once may lose one of the two: the bound is near, not exact
        self._seen.append(one)
        if not self._some.is_set():
            self._some.set()

    def start(self) -> None:
        """The thread that writes."""
        start_flushing("replay", self._some, PAUSE, self.flush)

    def flush(self) -> bool:
        """Write what waits; False where the store is busy and it waits on."""
        with self._writing:
            seen = [self._seen.popleft() for _ in range(len(self._seen))]
            self._bytes = 0
            done = not seen or self._write(seen)
            if not done:
                self._bytes += sum(one.size for one in seen)
            return done

    def finish(self) -> None:
        """The last flush before the process ends; who rewrites the store gets a moment to be done."""
        for _ in range(_TRIES):
            if self.flush():
                return
            time.sleep(_BREATH)
        self._lose(len(self._seen), "it is busy for too long")

    def _write(self, seen: list[_Seen]) -> bool:
        try:
            self._quill.write(map(_kept, seen), time.time())
        except BusyError:
            if len(seen) < _WAITING:
                self._seen.extendleft(reversed(seen))
                return False
            self._lose(len(seen), "it is busy for too long")
        except OSError as error:
            self._lose(len(seen), error.strerror or str(error))
        except UnavailableError as error:
            self._lose(len(seen), str(error))
        except Exception as error:  # noqa: BLE001 - messages that can't be kept cost themselves
            self._lose(len(seen), type(error).__name__)
        else:
            self._error = ""
        return True

    def _lose(self, count: int, why: str) -> None:
        for _ in range(count):
            self._tally.event(Event.REPLAY_LOST)
        if why != self._error:  # once, until something could be written
            self._error = why
            _log.error("replay not recorded", error=why)


def keep(recorder: Recorder, session: Session, transaction: Transaction, verdict: Verdict, now: float) -> None:
    """This message had its verdict at its end."""
    if session.policies is not None:
        refused = tuple([one for one, _ in session.refused])
        recorder.note(transaction, session.policies, verdict, now, refused, session.header_bytes)


def keep_refused(recorder: Recorder, session: Session) -> None:
    """The client gives up, where all its recipients were refused: the last one's verdict is the message's."""
    if session.policies is not None and session.refused and not session.recipients:
        transaction, (_, verdict) = session.transaction("", with_message=False), session.refused[-1]
        refused = tuple([one for one, _ in session.refused])
        recorder.note(transaction, session.policies, verdict, time.time(), refused, 0)


def _picked(one: _Seen) -> _Seen:
    """With the headers alone that are kept."""
    message = one.transaction.message
    if message is None or one.known is not None:
        return one
    headers, known = keep_headers(message.headers, one.policies.needs)
    rest = (("", b""),) * (len(message.headers) - len(headers))  # the number stays
    picked = Message(headers + rest, message.size, message.complete, message.unreadable)
    size = sum(len(name) + len(value) + 4 for name, value in headers)
    return replace(one, transaction=replace(one.transaction, message=picked), known=known, size=size)


def _kept(seen: _Seen) -> Kept:
    one = _picked(seen)
    verdict = one.verdict
    return Kept(
        one.now,
        one.transaction,
        Verdicted(verdict.disposition, verdict.rule, verdict.certain, verdict.generation, verdict.digest),
        one.refused,
        one.known if one.known is not None else frozenset(),
    )
