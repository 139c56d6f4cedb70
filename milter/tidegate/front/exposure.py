"""Messages that a rule would have concerned which is not in force: into the exposure ledger, after their verdict.

Promises: a message never waits for it: a thread of its own asks the rules and writes; what can't be written, or is
too much, is counted as lost. Refuses: changing a verdict, and content.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from tidegate.engine.exposure import Exposed, Numbered, concerned, watched
from tidegate.front.flushing import start_flushing
from tidegate.ledger import BusyError, Pen, Row
from tidegate.model import NO_RESTRAINT, Disposition, PolicySet, Restraint, Transaction
from tidegate.observe.counters import Event
from tidegate.observe.journal import Page
from tidegate.observe.masking import harmless, masked

PAUSE = 0.25  # seconds in which rows gather
_WAITING = 500  # messages that may wait to be looked at
_ROWS = 5000  # rows that may wait to be written
_LISTED = 2000  # messages that one process lists for one rule; of the others it tells the number
_GENERATIONS = 3  # whose watched rules are remembered: the old, the new, and one on trial
_TRIES, _BREATH = 20, 0.05
_LARGE = 64 * 1024  # bytes of a message, whose headers are not kept waiting
_log = structlog.get_logger()


class Counts(Protocol):
    """What is counted here (observe/counters.py, Tally)."""

    def event(self, event: Event) -> None: ...
    def exposed(self, rule: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Seen:
    """One message after its verdict."""

    transaction: Transaction
    policies: PolicySet
    outcome: Disposition
    now: float  # POSIX seconds
    restraint: Restraint


class Exposure:
    """One worker's. `pen` None: nothing is kept."""

    def __init__(self, pen: Pen | None, tally: Counts, mask: bool, page: Page) -> None:
        """`page` is the journal's: what is asked here is on record, too, before it is asked."""
        self._pen = pen
        self._page = page
        self._tally = tally
        self._hide = masked if mask else str
        self._seen: deque[_Seen] = deque()
        self._rows: list[Row] = []
        self._some = threading.Event()
        self._asking = threading.Lock()  # never held over a write
        self._writing = threading.Lock()
        self._listed: dict[str, int] = {}
        self._watched: deque[tuple[PolicySet, tuple[Numbered, ...]]] = deque(maxlen=_GENERATIONS)
        self._error = ""

    def note(
        self,
        transaction: Transaction,
        policies: PolicySet,
        outcome: Disposition,
        now: float,
        restraint: Restraint = NO_RESTRAINT,
    ) -> None:
        """This message had its verdict while rules were not in force."""
        if self._pen is None:
            return
        one = _Seen(transaction, policies, outcome, now, restraint)
        if transaction.message is not None and transaction.message.size > _LARGE:
            self._ask(one)
        elif len(self._seen) < _WAITING:
            self._seen.append(one)
        else:
            self._tally.event(Event.EXPOSURE_LOST)
        if not self._some.is_set():
            self._some.set()

    def pass_over(self) -> None:
        """This message may kill who judges it: it is not asked about."""
        self._tally.event(Event.EXPOSURE_LOST)

    def start(self) -> None:
        """The thread that asks and writes."""
        if self._pen is not None:
            start_flushing("exposure", self._some, PAUSE, self.flush)

    def flush(self) -> bool:
        """Ask and write what waits; False where the ledger is busy and the rows wait on."""
        with self._writing:
            for _ in range(len(self._seen)):
                self._ask(self._seen.popleft())
            with self._asking:
                rows, self._rows = self._rows, []
            return self._write(rows)

    def finish(self) -> None:
        """The last flush before the process ends; who rewrites the ledger gets a moment to be done."""
        for _ in range(_TRIES):
            if self.flush():
                return
            time.sleep(_BREATH)
        self._lose(self._rows, "it is busy for too long")

    def _ask(self, one: _Seen) -> None:
        try:
            with self._asking:
                for found in self._concerned(one, self._rules(one.policies)):
                    self._tally.exposed(found.rule)
                    self._add(one, found.rule, found.certain)
        except Exception as error:  # noqa: BLE001 - a row that can't be made costs that row
            self._tally.event(Event.EXPOSURE_LOST)
            self._tell(type(error).__name__)

    def _rules(self, policies: PolicySet) -> tuple[Numbered, ...]:
        for known, rules in self._watched:
            if known is policies:
                return rules
        found = watched(policies)
        self._watched.appendleft((policies, found))
        return found

    def _concerned(self, one: _Seen, rules: tuple[Numbered, ...]) -> tuple[Exposed, ...]:
        transaction = one.transaction
        login, client = transaction.envelope.login, transaction.connection.client_ip
        headers = transaction.message.headers if transaction.message is not None else ()
        shape = sum(len(name) + len(value) + 4 for name, value in headers)
        now = time.monotonic()
        row = self._page.begin(now, now, one.policies.number, hash(login or client), shape)
        try:
            return concerned(transaction, rules, one.policies, one.restraint, one.now, row)
        finally:
            self._page.end(row)

    def _add(self, one: _Seen, rule: str, certain: bool) -> None:
        """A row for it, or one more in the row that only counts."""
        listed = self._listed.get(rule, 0)
        if listed < _LISTED:
            self._listed[rule] = listed + 1
            self._rows.append(self._row(one, rule, certain))
            return
        for at in range(len(self._rows) - 1, -1, -1):
            row = self._rows[at]
            if row.rule == rule and row.certain == certain and not row.listed:
                self._rows[at] = replace(row, time=one.now, count=row.count + 1)
                return
        self._rows.append(Row(rule, one.now, certain=certain, first=one.now))

    def _row(self, one: _Seen, rule: str, certain: bool) -> Row:
        envelope = one.transaction.envelope
        return Row(
            rule,
            one.now,
            harmless(one.transaction.queue_id),
            one.transaction.reference,
            harmless(self._hide(envelope.sender)) if envelope.sender else "<>",
            harmless(self._hide(envelope.login)),
            self._fingerprints(envelope.login, envelope.sender),
            one.outcome.name.lower(),
            certain,
            first=one.now,
        )

    def _fingerprints(self, *names: str) -> tuple[str, ...]:
        assert self._pen is not None
        try:
            return self._pen.fingerprints(*names)
        except OSError as error:  # `tidegate forget` goes by the masked names then
            self._tell(error.strerror or str(error))
            return ()

    def _write(self, rows: list[Row]) -> bool:
        if not rows or self._pen is None:
            return True
        try:
            self._pen.write(rows)
        except BusyError:
            if len(rows) < _ROWS:
                with self._asking:
                    self._rows = rows + self._rows
                return False
            self._lose(rows, "it is busy for too long")
        except OSError as error:
            self._lose(rows, error.strerror or str(error))
        else:
            self._error = ""
        return True

    def _lose(self, rows: list[Row], why: str) -> None:
        for row in rows:
            for _ in range(row.count):
                self._tally.event(Event.EXPOSURE_LOST)
        self._tell(why)

    def _tell(self, why: str) -> None:
        """Once, until something could be written."""
        if why != self._error:
            self._error = why
            _log.error("exposure not recorded", error=why)
