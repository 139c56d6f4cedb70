"""A thread that writes what gathers: of Python's own, started before libmilter, and asleep where there is nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable


def start_flushing(name: str, some: threading.Event, seconds: float, flush: Callable[[], bool]) -> None:
    """Call `flush` so many seconds after `some` was set; once more where it says that it could not write (False)."""

    def keep_flushing() -> None:
        pause = threading.Event()
        while True:
            some.wait()
            pause.wait(seconds)
            some.clear()  # before the look: what comes now wakes us again
            if not flush():
                some.set()

    threading.Thread(target=keep_flushing, name=name, daemon=True).start()
