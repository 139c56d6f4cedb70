"""The heartbeat: a POST every so often to somebody who notices when it stops, since a dead daemon can't raise alerts.

Promises: it is sent only while the supervisor is heard and workers serve; it fails in silence, for that is its message.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from tidegate.alerts.plan import AlertSettings
from tidegate.alerts.posting import UndeliveredError, post
from tidegate.alerts.senders import encoded

FRESH = 15.0  # seconds since the supervisor was last heard
_TIMEOUT = 10.0

_log = structlog.get_logger()


class Heartbeat:
    """One thread; `pulse` is called whenever the supervisor is heard."""

    def __init__(self, plan: AlertSettings, host: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._plan = plan
        self._host = host
        self._clock = clock
        self._heard = -FRESH
        self._values: Mapping[str, Any] = {}
        self.failing = False
        self.sent = 0

    def start(self) -> None:
        if self._plan.heartbeat:
            threading.Thread(target=self._work, name="heartbeat", daemon=True).start()

    def pulse(self, values: Mapping[str, Any]) -> None:
        """The supervisor lives, and says this."""
        self._values = values
        self._heard = self._clock()

    def _work(self) -> None:
        pause = threading.Event()
        while True:
            self.beat()
            pause.wait(self._plan.every if self.sent or self.failing else 1.0)

    def beat(self) -> bool:
        """One POST, if all is alive; was it taken?"""
        values = self._values
        if self._clock() - self._heard > FRESH or not values.get("workers"):
            return False
        body = {"event": "heartbeat", "host": self._host, "time": time.time(), **values}
        try:
            post(self._plan.heartbeat, encoded(body), _TIMEOUT)
        except UndeliveredError as error:
            if not self.failing:
                _log.warning("heartbeat not delivered", error=str(error))
            self.failing = True
            return False
        self.failing = False
        self.sent += 1
        return True
