"""The thread of a worker that finds out whether a store is whole again, and writes down what Redis told.

Promises: messages never wait for an attempt; it sleeps where there is nothing to do. It is a thread of Python's own,
started before libmilter. Refuses: deciding anything (store/ledger.py).
"""

from __future__ import annotations

import threading

import structlog

from tidegate.store.ledger import StoreLedger

_AFTER = 1.0  # seconds from an answer until it is on record, and between two looks while something is wrong
_log = structlog.get_logger()


def start_keeper(ledger: StoreLedger) -> None:
    """Start it; it ends with the process."""
    threading.Thread(target=_keep, args=(ledger,), name="limits", daemon=True).start()


def _keep(ledger: StoreLedger) -> None:
    pause = threading.Event()
    while True:
        ledger.stirred.wait()
        pause.wait(_AFTER)
        try:
            ledger.look()
        except Exception as error:  # noqa: BLE001 - the thread's boundary: without it nobody would look again
            _log.error("limits not looked after", exc_info=error)
