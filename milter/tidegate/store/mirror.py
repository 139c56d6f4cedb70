"""What Redis last told of each counter, kept by the host, so that an outage goes on from there.

Promises: bounded memory; a message pays for a few assignments. What is new is put into the host's own file within a
second, by the keeper's thread, so that all workers know it and a restart in an outage does too. Refuses: believing it
while Redis answers.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from tidegate.limits.charge import Charge
from tidegate.limits.counter import name
from tidegate.store.counting import Answer, UncountedError
from tidegate.store.sqlite import Known, SqliteCounters

_MOST = 20_000  # counters that may wait to be written; more are forgotten, the oldest first


class Mirror:
    """Of one worker. Used by several threads."""

    def __init__(self, counters: SqliteCounters) -> None:
        self._counters = counters
        self._fresh: dict[str, Known] = {}
        self._writing = threading.Lock()

    def saw(self, charges: Sequence[Charge], answers: Sequence[Answer], since: str) -> None:
        """The Redis that counts since then said this, just now."""
        when = self._counters.now()
        fresh = self._fresh
        for charge, answer in zip(charges, answers, strict=True):
            counter = name(charge)
            granted = answer.usage.maximum - charge.maximum
            fresh[counter] = Known(counter, answer.after, when, charge.per, granted, bool(charge.members), since)
        while len(fresh) > _MOST:
            try:
                fresh.pop(next(iter(fresh)), None)
            except (StopIteration, RuntimeError):  # another thread was here
                return

    def write(self) -> None:
        """Put what is new into the host's file. Raises UncountedError, and tries again the next time."""
        if not self._fresh:
            return
        with self._writing:
            taken, self._fresh = self._fresh, {}
            try:
                self._counters.learn(tuple(taken.values()))
            except UncountedError:
                self._fresh = {**taken, **self._fresh}
                raise
