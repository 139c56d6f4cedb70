"""What the clerk does for the host's counters, once a minute: drop what no window needs, and cut the write-ahead log.

Without it the log grows: workers that never pause keep SQLite from starting it anew. Promises: makes no file where
there is none, and never raises; messages wait for a few hundred rows at most. Refuses: reading a counter.
"""

from __future__ import annotations

import time

import structlog

from tidegate.store.counting import UncountedError
from tidegate.store.database import Database

_MINUTE = 60.0
_log = structlog.get_logger()


class Tender:
    """Of one state directory."""

    def __init__(self, state: str) -> None:
        self._database = Database(state)
        self._looked = -_MINUTE
        self._error = ""

    def look(self, now: float) -> None:
        """Tend it if a minute has passed; `now` in monotonic seconds."""
        if now - self._looked < _MINUTE or not self._database.exists():
            return
        self._looked, error = now, ""
        try:
            self._database.tend(int(time.time() * 1000))
        except UncountedError as failure:
            error = failure.why
        if error and error != self._error:
            _log.error("limit counters not tended", error=error)
        self._error = error
