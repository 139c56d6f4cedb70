"""One way to tell people: a thread with its queue, which tries again until what waits has arrived.

Promises: a channel that is dead, slow or black-holed delays nobody but itself; what waits survives a restart and
arrives in order; a notification that the other side refuses for good is given up after a few tries, so that it does
not block the ones behind it. Refuses: deciding what is told (schedule.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from tidegate.alerts.notice import Notice
from tidegate.alerts.plan import ChannelPlan
from tidegate.alerts.posting import UndeliveredError
from tidegate.alerts.senders import Sender
from tidegate.alerts.spool import Spool

FIRST = 1.0  # seconds before the second attempt; doubles
LONGEST = 30.0  # a receiver that is back is told within this time
REFUSALS = 5  # attempts for a notification that the other side says it does not want
OLD = 3 * 86400.0  # seconds after which a notification is no news any more
FAILING = 60.0  # seconds of failures after which the channel itself is an alert

_log = structlog.get_logger()


@dataclass(slots=True)
class Tally:
    """What a channel has done; read by other threads, written by its own."""

    delivered: int = 0
    failed: int = 0  # attempts
    dropped: int = 0
    error: str = ""  # of the last attempt, "" where it went well
    failing: float = 0.0  # POSIX seconds since when attempts fail; 0: they don't
    succeeded: float = 0.0  # the last one
    test: dict[str, Any] = field(default_factory=dict)  # number, error, and what there is to say


class Way(Protocol):
    """A channel as the teller sees it."""

    plan: ChannelPlan
    tally: Tally

    def start(self) -> None: ...
    def offer(self, notice: Notice, now: float) -> None: ...
    def test(self, notice: Notice, number: int) -> None: ...
    def waiting(self) -> int: ...
    def trouble(self, now: float) -> str: ...


class Queue:
    """A channel that delivers one notification after the other."""

    def __init__(self, plan: ChannelPlan, sender: Sender, spool: Spool, clock: Callable[[], float] = time.time) -> None:
        self.plan = plan
        self.tally = Tally()
        self._sender = sender
        self._spool = spool
        self._clock = clock
        self._news = threading.Event()
        self._test: tuple[Notice, int] | None = None
        self._attempts = 0  # for the notification that is first

    def start(self) -> None:
        threading.Thread(target=self._work, name=f"channel-{self.plan.name}", daemon=True).start()

    def offer(self, notice: Notice, now: float) -> None:
        """Let it wait for its delivery, if it is grave enough for this channel."""
        if notice.severity >= self.plan.severity:
            self._spool.put(notice.id, notice.values, now)
            self._news.set()

    def test(self, notice: Notice, number: int) -> None:
        """One attempt beside the queue; the tally says what came of it."""
        self._test = notice, number
        self._news.set()

    def waiting(self) -> int:
        return len(self._spool)

    def trouble(self, now: float) -> str:
        """Why people are not told by this channel, "" where they are."""
        if self.tally.failing and now - self.tally.failing >= FAILING:
            return self.tally.error
        return self._sender.trouble(now) or self._spool.error

    def _work(self) -> None:
        while True:
            pause = self.step()
            self._news.wait(pause)
            self._news.clear()

    def step(self) -> float | None:
        """Deliver what can be delivered; seconds until the next attempt, None: when there is something new."""
        self._try_test()
        while (one := self._spool.first()) is not None:
            now = self._clock()
            if now - one.since > OLD:
                self._give_up(one.id, "it is no news any more")
            elif (pause := self._attempt(one.values, now)) is not None:
                return pause
            self._spool.done(one)
            self._attempts = 0
            self._try_test()
        return None

    def _attempt(self, values: Mapping[str, Any], now: float) -> float | None:
        """None: it was delivered, or given up. Else the seconds to wait."""
        tally = self.tally
        try:
            self._sender.send(values)
        except UndeliveredError as error:
            self._attempts += 1
            tally.failed += 1
            tally.error = str(error)
            tally.failing = tally.failing or now
            if self._attempts == 1:
                _log.warning("notification not delivered", channel=self.plan.name, error=tally.error)
            if error.final and self._attempts >= REFUSALS:
                self._give_up(str(values.get("id", "")), tally.error)
                return None
            return float(min(LONGEST, FIRST * 2 ** min(self._attempts - 1, 10)))
        tally.delivered += 1
        tally.error, tally.failing, tally.succeeded = "", 0.0, self._clock()
        return None

    def _give_up(self, identity: str, why: str) -> None:
        self.tally.dropped += 1
        _log.error("notification given up", channel=self.plan.name, id=identity, why=why)

    def _try_test(self) -> None:
        asked, self._test = self._test, None
        if asked is None:
            return
        notice, number = asked
        self.tally.test = tested(self._sender, notice.values, number)


def tested(sender: Sender, values: Mapping[str, Any], number: int) -> dict[str, Any]:
    """One attempt, and what came of it."""
    began = time.monotonic()
    error = said = ""
    try:
        said = sender.send(values)
    except UndeliveredError as failure:
        error = str(failure)
    return {"number": number, "error": error, "said": said, "seconds": round(time.monotonic() - began, 3)}
