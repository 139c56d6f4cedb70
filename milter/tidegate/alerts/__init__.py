"""Problems over time, and who is told of them.

The state: codes.py (the daemon's own problem codes), book.py (which alert stands since when; pure), debt.py (mail that
waits for us), silence.py, record.py (what survives a restart). The telling: schedule.py (what is told when; pure),
notice.py (the text of it), teller.py and the channels. Promises: state-based; a repair, a delete and a byte-identical
revert all clear an alert; a channel that is dead delays neither mail nor another channel.
"""

from tidegate.alerts.book import AGAIN, ESCALATE, Alert, Book, Change, Key, age, reconcile
from tidegate.alerts.codes import CODES, CONFIRM, CRITICAL, DEFERRING, problem
from tidegate.alerts.debt import Debt
from tidegate.alerts.plan import AlertSettings
from tidegate.alerts.record import document, from_document
from tidegate.alerts.silence import Silence

__all__ = [
    "AGAIN",
    "CODES",
    "CONFIRM",
    "CRITICAL",
    "DEFERRING",
    "ESCALATE",
    "Alert",
    "AlertSettings",
    "Book",
    "Change",
    "Debt",
    "Key",
    "Silence",
    "age",
    "document",
    "from_document",
    "problem",
    "reconcile",
]
