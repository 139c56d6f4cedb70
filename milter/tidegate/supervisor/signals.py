"""Signals as notes: the handlers only write down what came, and a wakeup pipe ends the wait in select.

Promises: no signal is lost, none interrupts anything. Refuses: deciding what a signal means.
"""

from __future__ import annotations

import os
import selectors
import signal

_HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)


class Signals:
    """Those of one process. `wakeup` are both ends of the pipe, which a fresh fork closes."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._received: set[int] = set()
        reader, writer = self.wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in _HEARD:
            signal.signal(number, lambda received, _frame: self._received.add(received))
        selector.register(reader, selectors.EVENT_READ, lambda _events: os.read(reader, 1 << 16))

    def take(self) -> set[int]:
        """What came since the last call."""
        received, self._received = self._received, set()
        return received
