"""Who counts for a worker: Redis where it is set, the host's own file where it is not, or while Redis is down.

Promises: `charge` never raises and has one answer for each charge. An outage costs the first three messages the store's
patience and the others nothing: whether Redis is back is found out by a thread (keeper.py). Meanwhile each limit goes
by its `on_store_down`: `local` goes on from the last known count, in this host's file, and says so; `defer` has a
cause; `open` lets through. Where the file is all there is and can't be used, `local` has a cause too. Refuses: what a
cause means for the message (engine).

The connections are made when they are needed first, so after the fork.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from tidegate.limits.charge import Charge, OnStoreDown, Usage
from tidegate.model import Cause, Doubt
from tidegate.store.breaker import Breaker
from tidegate.store.counting import Answer, Counters, UncountedError
from tidegate.store.debts import Debts, Due
from tidegate.store.mirror import Mirror
from tidegate.store.sqlite import SqliteCounters

LOCAL, UNAVAILABLE, LOST = "limits-local", "limits-unavailable", "limits-lost"
TROUBLES = (LOCAL, UNAVAILABLE, LOST)
"""Alerts that a worker tells of."""
_LOST = 3600.0  # seconds for which it is told that Redis lost its data
_log = structlog.get_logger()


class Shared(Counters, Protocol):
    """Counters that other hosts see too."""

    since: str

    def probe(self) -> None:
        """Does it answer, and take writes? Raises UncountedError."""

    def give(self, dues: Sequence[Due], fill: bool) -> None:
        """Add what a host counted alone; `fill`: put back what is missing. Raises UncountedError."""


class StoreLedger:
    """limits.Ledger with real stores."""

    def __init__(
        self,
        local: SqliteCounters,
        shared: Shared | None = None,
        debts: Debts | None = None,
        share: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`share` of its maximum is what a limit has while Redis is down."""
        self._local = local
        self._shared = shared
        self._share = share
        self._clock = clock
        self._debts = debts
        self._owing = debts is not None  # there may be something that was counted here alone
        self._lacking = False  # Redis lost what it once told
        self._breaker = Breaker()
        self._since = ""
        self._lost = "", 0.0
        self.mirror = Mirror(local) if shared is not None else None
        self.down = ""  # why Redis does not count; "": it does
        self.failed = ""  # why the host's file does not
        self.stirred = threading.Event()  # something is to be written down, or failed and may be whole again

    def charge(self, charges: tuple[Charge, ...], retry_of: str, now: float, commit: bool) -> tuple[Usage, ...]:
        """limits.Ledger. `now` says when the message was judged; the stores go by their own clocks."""
        if not charges:
            return ()
        if self._shared is None:
            return self._alone(charges, retry_of, commit)
        if not self._breaker.open:
            try:
                answers = self._shared.charge(charges, retry_of, commit)
            except UncountedError as error:
                self._missed(error)
            else:
                self._answered()
                if self.mirror is not None:
                    self.mirror.saw(charges, answers, self._since)
                    if not self.stirred.is_set():
                        self.stirred.set()
                return tuple(one.usage for one in answers)
        return self._without_redis(charges, retry_of, commit)

    def troubles(self) -> Mapping[str, str]:
        """The alerts that stand, by their codes, and their texts."""
        lost, when = self._lost
        redis_lost = lost if lost and self._clock() - when < _LOST else ""
        found = {LOCAL: self.down, UNAVAILABLE: self.failed, LOST: redis_lost or self._local.lost}
        return {code: text for code, text in found.items() if text}

    def look(self) -> None:
        """What the keeper's thread does: try again what failed, write down what Redis told."""
        self.stirred.clear()  # before the look: what comes now is for the next one
        if self._shared is not None and self.down and self._breaker.allows(self._clock()):
            try:
                self._shared.probe()
            except UncountedError as error:
                self._missed(error)
            else:
                self._answered()
        if self.failed:
            self._try_local(self._local.probe)
        if self.mirror is not None:
            self._try_local(self.mirror.write)
        if self._debts is not None and self._shared is not None and not self.down:
            self._settle(self._debts, self._shared)
        if self.down or self.failed:
            self.stirred.set()

    def _settle(self, debts: Debts, shared: Shared) -> None:
        """Redis answers: put back what it lost, and hand over what was counted here alone."""
        try:
            if self._lacking:
                self._fill_up(debts, shared)
            if self._owing:
                self._owing = False  # before it is looked at: what comes now is for the next look
                self._hand_over(debts, shared)
        except UncountedError as error:
            self._owing = True
            _log.warning("limits not settled", why=error.why)
            self.stirred.set()

    def _fill_up(self, debts: Debts, shared: Shared) -> None:
        since, after = self._since, ""
        while dues := debts.remembered(after, since):
            if not self._lost[0]:
                self._lose()
            shared.give(dues, True)
            debts.forget(dues, since)
            after = dues[-1].counter
        if since == self._since:  # it has not lost them again meanwhile
            self._lacking = False

    def _hand_over(self, debts: Debts, shared: Shared) -> None:
        while dues := debts.take():
            try:
                shared.give(dues, False)
            except UncountedError:
                debts.put_back(dues)
                raise

    def _answered(self) -> None:
        shared = self._shared
        if self.down:
            self.down = ""
            _log.info("limits are counted in redis again")
        if self._breaker.failures:
            self._breaker.succeeded()
        if shared is not None and shared.since != self._since:
            if self._since:
                self._lose()
            # Also the first time: another worker may have known the Redis from before.
            self._lacking = self._debts is not None
            self.stirred.set()
            self._since = shared.since

    def _lose(self) -> None:
        self._lost = "Redis lost its data: counters go on from what each host was told last", self._clock()
        _log.error("limit counters lost", why=self._lost[0])

    def _missed(self, error: UncountedError) -> None:
        if not self.down:
            _log.error("limits are not counted in redis", why=error.why)
        self.down = f"{error.why}: each limit goes by its on_store_down"
        self._breaker.failed(self._clock(), random.random())
        self.stirred.set()

    def _without_redis(self, charges: tuple[Charge, ...], retry_of: str, commit: bool) -> tuple[Usage, ...]:
        if self.mirror is not None:
            self._try_local(self.mirror.write)
        self._owing = self._debts is not None
        places = [place for place, one in enumerate(charges) if one.on_store_down is OnStoreDown.LOCAL]
        shares = tuple(self._shared_out(charges[place]) for place in places)
        local = dict(zip(places, self._alone(shares, retry_of, commit), strict=True)) if places else {}
        cause = Cause(Doubt.PASSING, f"the limit can't be counted: {self.down.partition(': each')[0]}")
        return tuple(local[place] if place in local else _unknown(one, cause) for place, one in enumerate(charges))

    def _shared_out(self, charge: Charge) -> Charge:
        return charge if self._share >= 1 else replace(charge, maximum=max(1, math.ceil(charge.maximum * self._share)))

    def _alone(self, charges: tuple[Charge, ...], retry_of: str, commit: bool) -> tuple[Usage, ...]:
        """By the host's file."""
        answers: Sequence[Answer] = ()

        def count() -> None:
            nonlocal answers
            answers = self._local.charge(charges, retry_of, commit)

        if self._try_local(count):
            return tuple(one.usage for one in answers)
        cause = Cause(Doubt.PASSING, f"the limit can't be counted: {self.failed}")
        return tuple(_unknown(one, cause) for one in charges)

    def _try_local(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except UncountedError as error:
            if not self.failed:
                _log.error("limits are not counted here", why=error.why)
            self.failed = error.why
            self.stirred.set()
            return False
        if self.failed:
            self.failed = ""
            _log.info("limits are counted here again")
        return True


def _unknown(charge: Charge, cause: Cause) -> Usage:
    """Nobody counts it: let it through, or say why."""
    return Usage(0, charge.maximum, 0.0, False, None if charge.on_store_down is OnStoreDown.OPEN else cause)
