"""The thread of a worker that finds out whether a store is whole again, and writes down what Redis told.

Promises: messages never wait for an attempt; it sleeps where there is nothing to do. It is a thread of Python's own,
started before libmilter. Refuses: deciding anything (store/ledger.py).
"""

from __future__ import annotations

import threading

import structlog

from tidegate.store.ledger import StoreLedger

_AGAIN = 1.0  # seconds between two looks while something is wrong
_WRITE = 5.0  # seconds after which what Redis told is on record
_log = structlog.get_logger()


def start_keeper(ledger: StoreLedger) -> None:
    """Start it; it ends with the process."""
    threading.Thread(target=_keep, args=(ledger,), name="limits", daemon=True).start()


def _keep(ledger: StoreLedger) -> None:
    pause = threading.Event()
    while True:
        ledger.troubled.wait(None if ledger.mirror is None else _WRITE)
        try:
            ledger.look()
        except Exception as error:  # noqa: BLE001 - the thread's boundary: without it nobody would look again
            _log.error("limits not looked after", exc_info=error)
        if ledger.troubled.is_set():
            pause.wait(_AGAIN)
